from datetime import datetime

import numpy as np
import pandas as pd
import pytest

from lstm_model.configuration import DataSettings
from lstm_model.data.sources import Dataset
from lstm_model.data.step import Step
from lstm_model.errors import InputError, TableError
from lstm_model.evaluation.baselines import PERSISTENCE
from tuning.comparison.backtest import (
    EvaluationWindow,
    ForecastErrors,
    evaluation_windows,
    series_for_window,
)

HOUR = Step(3600)


def made(start: str, rows: int, step: str = "1h") -> Dataset:
    """A target that climbs by 1, 2, 3, ... from row to row, so that every change is told apart."""
    times = pd.date_range(start, periods=rows, freq=step, name="time")
    target = np.cumsum(np.arange(rows)).astype(np.float64)
    frame = pd.DataFrame({"pm": target}, index=times)
    return Dataset(frame, Step.of(pd.Timedelta(step)), "made.csv", False, "0" * 64)


def settings(**changes: object) -> DataSettings:
    given = {
        "target": "pm",
        "features": ["pm"],
        "horizon": 2,
        "validation_from": "2020-01-03",
        "test_from": "2020-01-05",
    }
    return DataSettings.model_validate(given | changes)


def test_the_test_is_from_test_from_to_the_tables_end() -> None:
    (test,) = evaluation_windows(made("2020-01-01", 120), settings(), [])
    assert (test.start, test.end) == (datetime(2020, 1, 5), datetime(2020, 1, 6))
    assert test.label == "2020-01-05 to 2020-01-05"


def test_years_are_named_and_the_test_not_repeated() -> None:
    data = settings(validation_from="2022-01-01", test_from="2023-01-01")
    table = made("2020-01-01", 4 * 365 + 1, "1D")
    windows = evaluation_windows(table, data, [2023, 2022, 2021, 2022])
    assert [window.label for window in windows] == ["2023", "2021", "2022"]
    assert windows[1] == EvaluationWindow("2021", datetime(2021, 1, 1), datetime(2022, 1, 1))


@pytest.mark.parametrize("year", [2019, 2020, 2024])
def test_years_outside_the_table_are_refused(year: int) -> None:
    data = settings(validation_from="2022-01-01", test_from="2023-01-01")
    with pytest.raises(InputError, match=rf"--test-years must lie in the table.*but got {year}"):
        evaluation_windows(made("2020-01-01", 4 * 365 + 1, "1D"), data, [year])


def test_a_test_may_lie_in_the_last_year_that_there_is() -> None:
    data = settings(validation_from="9998-01-01", test_from="9999-01-01")
    table = made("9996-01-01", 4 * 365, "1D")  # to 30 December
    windows = evaluation_windows(table, data, [9998])
    assert [window.label for window in windows] == ["9999-01-01 to 9999-12-30", "9998"]
    later = data.model_copy(update={"test_from": datetime(9999, 7, 1)})
    with pytest.raises(InputError, match=r"--test-years must lie in the table.*but got 9999"):
        evaluation_windows(table, later, [9999])


def test_a_table_without_a_test_is_refused() -> None:
    with pytest.raises(InputError, match=r"must reach beyond test_from \(2020-01-05 00:00\)"):
        evaluation_windows(made("2020-01-01", 96), settings(), [])


def test_a_test_that_was_never_observed_is_refused() -> None:
    table = made("2020-01-01", 120)
    table.frame.iloc[96:] = np.nan
    with pytest.raises(TableError, match=r"the test period .* can't be used: validation must have"):
        series_for_window(table, settings(), evaluation_windows(table, settings(), [])[0])


def test_window_learns_from_all_before_it_alone() -> None:
    table = made("2020-01-01", 120)
    final = series_for_window(
        table,
        settings(folds=2),
        EvaluationWindow("4 January", datetime(2020, 1, 4), datetime(2020, 1, 5)),
    )
    assert (final.validation_start, len(final.target), final.earlier_folds) == (72, 96, ())
    assert final.training_only.times[-1] == np.datetime64("2020-01-03T23:00")


@pytest.fixture
def period() -> ForecastErrors:
    """24 test hours, two lead times; row 100 is missing, so row 101's change is from row 99."""
    table = made("2020-01-01", 120)
    table.frame.iloc[100] = np.nan
    final = series_for_window(table, settings(), evaluation_windows(table, settings(), [])[0])
    origins = 120 - (96 - 2)
    # Seeds that forecast a change of 10 and 30, wherever and whenever.
    seeds = np.stack([np.full((origins, 2), 10.0), np.full((origins, 2), 30.0)])
    return ForecastErrors.of(final, {"lstm": seeds})


def test_errors_stand_at_the_hour_that_is_forecast(period: ForecastErrors) -> None:
    assert period.times[0] == pd.Timestamp("2020-01-05")
    # From row 95 to 96 the target climbs by 96, from 94 to 96 by 95 + 96.
    assert period.errors["lstm"][:, 0].tolist() == [[10 - 96, 10 - 191], [30 - 96, 30 - 191]]
    assert period.mean_errors("lstm")[0].tolist() == [20 - 96, 20 - 191]
    assert period.mean_errors(PERSISTENCE)[0].tolist() == [-96, -191]
    # The last hour is forecast from the row before, which has that row's level.
    assert period.origins[-1].tolist() == [118, 117]
    assert period.levels[-1].tolist() == [118 * 119 / 2, 117 * 118 / 2]


def test_hours_that_were_not_observed_count_for_no_model(period: ForecastErrors) -> None:
    assert period.rows() == {1: 23, 2: 23}
    for errors in period.errors.values():
        assert np.isnan(errors[:, 4]).all()  # row 100
        assert np.isfinite(np.delete(errors, 4, axis=1)).all()
    # Row 101 is forecast at lead time 1 from row 100, when row 99's value was the last known.
    assert period.mean_errors(PERSISTENCE)[5, 0] == -(100 + 101)


def test_scores_of_the_mean_forecast_and_each_seed(period: ForecastErrors) -> None:
    scores = period.scores()
    changes = np.delete(-period.mean_errors(PERSISTENCE)[:, 0], 4)
    assert scores["lstm"].rmse[1] == pytest.approx(np.sqrt(np.mean((20 - changes) ** 2)))
    assert scores["lstm"].mae[1] == pytest.approx(np.mean(np.abs(20 - changes)))
    assert scores["lstm"].seeds == 2
    assert (scores["lstm"].rmse_by_seed or {})[1] == pytest.approx(
        [np.sqrt(np.mean((each - changes) ** 2)) for each in (10, 30)]
    )
    reference = np.sqrt(np.mean(changes**2))
    assert scores["lstm"].skill[1] == pytest.approx(1 - scores["lstm"].rmse[1] / reference)
    assert scores[PERSISTENCE].skill == {1: 0.0, 2: 0.0}
    assert scores[PERSISTENCE].seeds is None
    assert set(scores[PERSISTENCE].to_json()) == {"rmse", "mae", "skill"}
