import io
import math
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lstm_model.configuration import DataSettings
from lstm_model.data.sources import Dataset
from lstm_model.data.step import Step
from lstm_model.errors import InputError, TableError
from lstm_model.evaluation.baselines import PERSISTENCE
from lstm_model.training.evaluator import HoldoutEvaluator
from tests.tuning.comparison.builders import make_dataset
from tuning.comparison.backtest import (
    EvaluationWindow,
    ForecastErrors,
    evaluation_windows,
    table_for_window,
    tell_left_out,
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
        table_for_window(table, settings(), evaluation_windows(table, settings(), [])[0])


def test_window_learns_from_all_before_it_alone() -> None:
    table = made("2020-01-01", 120)
    final = table_for_window(
        table,
        settings(folds=2),
        EvaluationWindow("4 January", datetime(2020, 1, 4), datetime(2020, 1, 5)),
    )
    assert (final.validation_starts, len(final.target), final.earlier_folds) == ((72,), 96, ())
    assert final.training_only.times[-1] == np.datetime64("2020-01-03T23:00")


@pytest.fixture
def period() -> ForecastErrors:
    """24 test hours, two lead times; row 100 is missing, so row 101's change is from row 99."""
    table = made("2020-01-01", 120)
    table.frame.iloc[100] = np.nan
    final = table_for_window(table, settings(), evaluation_windows(table, settings(), [])[0])
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


# --- several series


def climbs(rows: int, by: float = 1.0) -> Any:
    """A target that climbs by 1, 2, 3, ... times `by`."""
    return by * np.cumsum(np.arange(rows)).astype(np.float64)


@pytest.fixture
def panel() -> ForecastErrors:
    """Two lead times; the test is from row 96 on, to row 120 of the first series.

    "B" is ten times larger, "flat" never changes in the test, "unseen" is not observed in it, and
    "late" has its first two rows in it, with one that is missing before them.
    """
    flat, unseen = climbs(120), climbs(120)
    flat[90:], unseen[96:] = flat[90], np.nan
    series = {
        "A": climbs(120),
        "B": climbs(110, 10),
        "flat": flat,
        "unseen": unseen,
        "late": np.array([np.nan, 5.0, 9.0, 15.0]),
    }
    dataset = make_dataset(series, {"late": 100})
    data = settings()
    [window] = evaluation_windows(dataset, data, [])
    table = table_for_window(dataset, data, window)
    origins = len(HoldoutEvaluator(table).holdout.changes)
    seeds = np.stack([np.full((origins, 2), 10.0), np.full((origins, 2), 30.0)])
    return ForecastErrors.of(table, {"lstm": seeds})


def test_rows_of_all_series_stand_one_after_the_other(panel: ForecastErrors) -> None:
    assert panel.index.names == ("A", "B", "flat", "unseen", "late")
    assert panel.index.bounds == (0, 24, 38, 62, 86, 90)
    assert panel.errors["lstm"].shape == (2, 90, 2)
    # B climbs ten times as much: from row 95 to 96 by 960.
    assert panel.mean_errors("lstm")[24].tolist() == [20 - 960, 20 - 1910]
    assert panel.mean_errors(PERSISTENCE)[0].tolist() == [-96, -191]
    # Its rows in the table come after A's.
    assert panel.origins[24].tolist() == [120 + 95, 120 + 94]
    assert panel.levels[24].tolist() == [10 * 95 * 94 / 2 + 950, 10 * 94 * 93 / 2 + 940]
    # "late" begins four hours after A's test does.
    assert panel.hours[[0, 23, 24, 37, 86, 89]].tolist() == [0, 23, 0, 13, 4, 7]
    assert panel.hour_count == 24


def test_a_series_that_begins_in_the_test_is_scored_from_its_first_value_on(
    panel: ForecastErrors,
) -> None:
    late = panel.mean_errors(PERSISTENCE)[86:]
    # No origin before its first row, and no last value before its second one.
    unknown = [np.nan, np.nan]
    expected = np.array([unknown, unknown, [5 - 9, np.nan], [9 - 15, 5 - 15]])
    np.testing.assert_array_equal(late, expected)
    np.testing.assert_array_equal(panel.known[86:], np.isfinite(expected))
    assert set(panel.scales) == {"late"}
    assert panel.scales["late"].shape == (4, 2)


def test_what_can_not_be_scored_counts_for_nothing(panel: ForecastErrors) -> None:
    assert panel.rows() == {1: 24 + 14 + 2, 2: 24 + 14 + 1}
    by_series = panel.scores_by_series()
    assert by_series is not None
    assert list(by_series["lstm"]) == ["A", "B", "late"]
    lstm, own = panel.scores()["lstm"], by_series["lstm"]
    assert own["late"].rmse[1] == pytest.approx(np.sqrt((16**2 + 14**2) / 2))
    assert own["late"].mae[1] == pytest.approx(15)
    assert own["late"].skill[2] == pytest.approx(1 - 10 / 10)
    assert lstm.skill[1] == pytest.approx(np.mean([each.skill[1] for each in own.values()]))
    squares: list[float] = [
        24 * own["A"].rmse[1] ** 2,
        14 * own["B"].rmse[1] ** 2,
        2 * own["late"].rmse[1] ** 2,
    ]
    assert lstm.rmse[1] == pytest.approx(math.sqrt(sum(squares) / 40))
    assert panel.scores()[PERSISTENCE].skill == {1: 0.0, 2: 0.0}
    assert len((lstm.skill_by_seed or {})[1]) == 2


def test_series_side_by_side_are_those_that_count(panel: ForecastErrors) -> None:
    side = panel.hours_by_series(2)
    assert side.rows.tolist() == [*range(38), 89]
    assert side.series.tolist() == [0] * 24 + [1] * 14 + [2]
    assert side.times.tolist() == [*range(24), *range(14), 7]
    assert side.persistence[[0, -1]].tolist() == [-191, -10]


def test_forecasts_are_written_with_their_series(panel: ForecastErrors) -> None:
    table = pd.read_csv(io.StringIO(panel.csv()))
    assert list(table) == ["series", "time", "lead_time", "observed", "lstm", PERSISTENCE]
    assert table.series.value_counts().to_dict() == {"A": 48, "B": 28, "late": 3}
    last = table.iloc[-1]
    assert (last.series, last.time, last.lead_time) == ("late", "2020-01-05 07:00", 2)
    assert (last.observed, last.lstm, last[PERSISTENCE]) == (15, 5 + 20, 5)


def test_written_forecasts_have_the_digits_of_what_their_series_changes_by() -> None:
    """A meter at twelve millions that goes on by thirds of a millionth, beside another series."""
    meter = 12e6 + np.arange(120) / 3e6
    dataset = make_dataset({"A": climbs(120), "meter": meter})
    [window] = evaluation_windows(dataset, settings(), [])
    period = ForecastErrors.of(table_for_window(dataset, settings(), window), {})
    table = pd.read_csv(io.StringIO(period.csv())).set_index("series").loc["meter"]
    ahead = table[table.lead_time == 1]
    np.testing.assert_allclose(ahead[PERSISTENCE], meter[95:119], rtol=0, atol=3e-9)
    assert ahead.observed.tolist() == meter[96:].tolist()


def test_left_out_series_are_told_with_the_reason() -> None:
    unseen = climbs(120)
    unseen[96:] = np.nan
    series = {"A": climbs(120), "C": unseen, "D": unseen.copy(), "late": climbs(10)}
    dataset = make_dataset(series, {"late": 100})
    [window] = evaluation_windows(dataset, settings(), [])
    table = table_for_window(dataset, settings(), window)
    label = "2020-01-05 to 2020-01-05"
    assert tell_left_out(table, window) == [
        f"For the test {label} nothing was learned from late: it has 0 forecasts to learn from "
        "before it, and 5 are needed at every lead time.",
        f"The test {label} can't score C and D: none of it is observed then.",
    ]


def test_the_test_decides_no_sign_and_a_new_series_is_as_the_others_are() -> None:
    """What turns negative in the test, and what begins there."""
    turns = climbs(120)
    turns[100:] = -5 * np.arange(20)
    begins = climbs(20)
    dataset = make_dataset({"A": turns, "B": climbs(120), "new": begins}, {"new": 100})
    [window] = evaluation_windows(dataset, settings(), [])
    assert table_for_window(dataset, settings(), window).never_negative == (True, True, True)
    cold = make_dataset({"A": turns, "B": climbs(120) - 3, "new": begins}, {"new": 100})
    assert table_for_window(cold, settings(), window).never_negative == (True, False, False)


def test_a_test_reaches_to_the_end_of_the_longest_series() -> None:
    dataset = make_dataset({"A": climbs(130), "B": climbs(100)})
    [window] = evaluation_windows(dataset, settings(), [])
    assert window.end == datetime(2020, 1, 6, 10)
