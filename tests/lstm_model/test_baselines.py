from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from lstm_model.baselines import (
    BY_NAME,
    LAGS,
    RIDGE_PENALTY,
    boosted,
    evaluate_baselines,
    ridge,
)
from lstm_model.configuration import DataSettings
from lstm_model.series import Series

HOUR, DAY = pd.Timedelta(hours=1), pd.Timedelta(days=1)


def hourly(values: list[float], start: str = "2020-01-01") -> pd.DataFrame:
    index = pd.date_range(start, periods=len(values), freq="h", name="time")
    return pd.DataFrame({"pm": values}, index=index)


def test_the_same_hour_yesterday_worked_out_by_hand(
    settings: Callable[..., DataSettings],
) -> None:
    values = [float(v) for v in np.random.default_rng(0).integers(0, 99, 80)]
    values[30] = float("nan")
    made = settings(
        features=["pm"], horizon=26, validation_from="2020-01-03", test_from="2020-01-05"
    )
    series = Series.from_table(hourly(values), HOUR, made)
    change = BY_NAME["same_hour_yesterday"].changes(series, "")
    assert change is not None
    # From row 40: row 41 at lead time 1 is row 17 a day before; row 64 at 24 is row 40 itself; row
    # 65 at 25 is two days before, row 17; row 54 at 14 is row 30, missing, so row 29 stands in.
    assert change[40, 0] == values[17] - values[40]
    assert change[40, 23] == 0.0
    assert change[40, 24] == values[17] - values[40]
    assert change[40, 13] == values[29] - values[40]
    assert change[5, 0] == 0.0, "nothing is known of the day before the first"


def test_no_same_hour_yesterday_where_days_are_no_whole_number_of_rows(
    settings: Callable[..., DataSettings],
) -> None:
    for step, start in (
        (pd.Timedelta(hours=7), "2020-01-10"),
        (pd.Timedelta(days=1), "2020-02-01"),
    ):
        frame = hourly([float(v * v) for v in range(60)])
        frame.index = pd.date_range("2020-01-01", periods=60, freq=step, name="time")
        made = settings(features=["pm"], horizon=1, validation_from=start, test_from="2020-03-01")
        series = Series.from_table(frame, step, made)
        assert BY_NAME["same_hour_yesterday"].changes(series, "") is None


@pytest.mark.parametrize("form", ["levels", "logarithms"])
def test_ridge_is_the_penalised_least_squares_solution(series: Series, form: str) -> None:
    """Against numpy's lstsq on rows stacked one by one, the penalty as rows of their own."""
    found = ridge(series, form)
    inputs = series.inputs[:, :5].astype(np.float64)  # without the target's means
    if form == "levels":
        for i, channel in enumerate(series.encoding.numeric):
            if channel.logarithm:
                level = np.exp(inputs[:, i] * channel.scale + channel.mean) - 1
                inputs[:, i] = (level - level[:300].mean()) / level[:300].std()
    blank = [0.0] * inputs.shape[1]
    for lead in range(series.horizon):
        x, y, rows = [], [], []
        for row in range(len(inputs)):
            lags = [inputs[row - k] if row >= k else blank for k in range(LAGS)]
            x.append(np.concatenate(lags))
            if series.training[row, lead]:
                rows.append(row)
                y.append(series.target[row + lead + 1] - series.last[row])
        design = np.array(x)
        centre, level = design[rows].mean(axis=0), np.mean(y)
        penalty = np.sqrt(RIDGE_PENALTY * len(rows)) * np.eye(design.shape[1])
        weights = np.linalg.lstsq(
            np.vstack([design[rows] - centre, penalty]),
            np.concatenate([np.array(y) - level, np.zeros(len(penalty))]),
        )[0]
        np.testing.assert_allclose(
            found[:, lead], (design - centre) @ weights + level, rtol=1e-6, atol=1e-6
        )


def test_the_better_form_of_ridge_is_reported(series: Series) -> None:
    found = evaluate_baselines(series)
    errors = {
        form: np.sqrt(
            [
                np.mean((ridge(series, form) - series.changes)[series.validation[:, i], i] ** 2)
                for i in range(3)
            ]
        ).mean()
        for form in ("levels", "logarithms")
    }
    assert found.scores["ridge"].rmse == pytest.approx(min(errors.values()))
    assert errors[found.forms["ridge"]] == min(errors.values())


def test_persistence_has_no_skill(series: Series) -> None:
    persistence = evaluate_baselines(series).persistence
    assert persistence.skill == 0.0
    known = np.diff(series.target[299:360])  # row 299 on: each from an observed hour to another
    errors = series.changes[series.validation[:, 0], 0]
    assert persistence.rmse_by_lead_time[0] == pytest.approx(np.sqrt(np.mean(errors**2)))
    assert set(known[np.isfinite(known)]) <= set(errors)


def test_boosting_learns_from_training_rows_alone(
    table: pd.DataFrame, settings: Callable[..., DataSettings]
) -> None:
    """Validation rows that turn to nonsense change nothing that was learned, nor a row before."""
    series = Series.from_table(table, HOUR, settings())
    found = boosted(series, 2)
    spoilt = table.copy()
    spoilt.loc[spoilt.index[320] :, "pm"] = 5000.0
    again = boosted(Series.from_table(spoilt, HOUR, settings()), 2)
    np.testing.assert_array_equal(again[:320], found[:320])
    # It has learned something: a wave is far from persistence.
    changes, training = series.changes[:, 1], series.training[:, 1]
    errors = (found - changes)[training]
    assert np.sqrt(np.mean(errors**2)) < 0.5 * np.sqrt(np.mean(changes[training] ** 2))


def test_over_folds_the_baselines_are_means(
    table: pd.DataFrame, settings: Callable[..., DataSettings]
) -> None:
    both = evaluate_baselines(Series.from_table(table, HOUR, settings(folds=2)))
    apart = [
        evaluate_baselines(
            Series.from_table(table, HOUR, settings(validation_from=start, test_from=end))
        )
        for start, end in (("2020-01-11", "2020-01-13T12:00"), ("2020-01-13T12:00", "2020-01-16"))
    ]
    # Of a year before there is nothing; the better form of ridge is that of both folds.
    *without_forms, last = both.scores
    assert without_forms == [
        *("persistence", "same_hour_yesterday", "same_hour_last_week", "training_mean")
    ]
    assert last == "ridge"
    for each in without_forms:
        means = [found.scores[each].rmse for found in apart]
        assert both.scores[each].rmse == pytest.approx(np.mean(means))
    assert both.persistence.skill == 0.0
