from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from lstm_model.configuration import DataSettings
from lstm_model.data.encoded_table import EncodedTable
from lstm_model.data.step import Step
from lstm_model.evaluation.baselines import (
    BASELINES,
    BY_NAME,
    Baseline,
    evaluate_baselines,
)
from lstm_model.evaluation.boosting import forecast_lightgbm
from lstm_model.evaluation.lags import LAGS
from lstm_model.evaluation.ridge import RIDGE_PENALTY, forecast_ridge

HOUR, DAY = Step(3600), Step(86400)


def hourly(values: list[float], start: str = "2020-01-01") -> pd.DataFrame:
    index = pd.date_range(start, periods=len(values), freq="h", name="time")
    return pd.DataFrame({"pm": values}, index=index)


def changes_of(name: str, table: EncodedTable, form: str = "") -> npt.NDArray[np.float64]:
    """Of a table that is one series."""
    forecasts = BY_NAME[name].changes(table, form)
    assert forecasts is not None
    (changes,) = forecasts
    return changes


def test_the_same_hour_yesterday_worked_out_by_hand(
    settings: Callable[..., DataSettings],
) -> None:
    values = [float(v) for v in np.random.default_rng(0).integers(0, 99, 80)]
    values[30] = float("nan")
    made = settings(
        features=["pm"], horizon=26, validation_from="2020-01-03", test_from="2020-01-05"
    )
    series = EncodedTable.from_table(hourly(values), HOUR, made)
    change = changes_of("same_hour_yesterday", series)
    # From row 40: row 41 at lead time 1 is row 17 a day before; row 64 at 24 is row 40 itself; row
    # 65 at 25 is two days before, row 17; row 54 at 14 is row 30, missing, so row 29 stands in.
    assert change[40, 0] == values[17] - values[40]
    assert change[40, 23] == 0.0
    assert change[40, 24] == values[17] - values[40]
    assert change[40, 13] == values[29] - values[40]
    assert change[5, 0] == 0.0, "nothing is known of the day before the first"


def test_no_yesterday_where_a_day_is_no_whole_rows(
    settings: Callable[..., DataSettings],
) -> None:
    for step, start in (
        (Step(25200), "2020-01-10"),
        (Step(86400), "2020-02-01"),
    ):
        frame = hourly([float(v * v) for v in range(60)])
        frame.index = pd.date_range("2020-01-01", periods=60, freq=step.duration, name="time")
        made = settings(features=["pm"], horizon=1, validation_from=start, test_from="2020-03-01")
        series = EncodedTable.from_table(frame, step, made)
        assert BY_NAME["same_hour_yesterday"].changes(series, "") is None


@pytest.mark.parametrize("form", ["levels", "logarithms"])
def test_ridge_is_the_penalised_least_squares_solution(series: EncodedTable, form: str) -> None:
    """Against numpy's lstsq on rows stacked one by one, the penalty as rows of their own."""
    found = forecast_ridge(series.series[0], form)
    inputs = series.inputs[:, :5].astype(np.float64)  # without the target's means
    if form == "levels":
        for i, channel in enumerate(series.series[0].encoder.numeric):
            if channel.log1p and channel.scale is not None:
                level = np.exp(inputs[:, i] * channel.scale + channel.mean) - 1
                inputs[:, i] = (level - level[:300].mean()) / level[:300].std()
    blank = [0.0] * inputs.shape[1]
    for lead in range(series.horizon):
        x, y, rows = [], [], []
        for row in range(len(inputs)):
            lags = [inputs[row - k] if row >= k else blank for k in range(LAGS)]
            x.append(np.concatenate(lags))
            if series.series[0].train_mask[row, lead]:
                rows.append(row)
                y.append(series.target[row + lead + 1] - series.last_observed[row])
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


def test_the_better_form_of_ridge_is_reported(series: EncodedTable) -> None:
    found = evaluate_baselines(series)
    errors = {}
    for form in ("levels", "logarithms"):
        residuals = forecast_ridge(series.series[0], form) - series.series[0].changes
        scored = [residuals[series.series[0].valid_mask[:, lead], lead] for lead in range(3)]
        errors[form] = np.sqrt([np.mean(values**2) for values in scored]).mean()
    assert found.scores["ridge"].rmse == pytest.approx(min(errors.values()))
    assert errors[found.forms["ridge"]] == min(errors.values())


def test_persistence_has_no_skill(series: EncodedTable) -> None:
    persistence = evaluate_baselines(series).persistence
    assert persistence.skill == 0.0
    known = np.diff(series.target[299:360])  # row 299 on: each from an observed hour to another
    errors = series.series[0].changes[series.series[0].valid_mask[:, 0], 0]
    assert persistence.rmse_by_lead_time[0] == pytest.approx(np.sqrt(np.mean(errors**2)))
    assert set(known[np.isfinite(known)]) <= set(errors)


def test_boosting_learns_from_training_rows_alone(
    table: pd.DataFrame, settings: Callable[..., DataSettings]
) -> None:
    """Validation rows that turn to nonsense change nothing that was learned, nor a row before."""
    series = EncodedTable.from_table(table, HOUR, settings())
    found = forecast_lightgbm(series, 2)
    spoilt = table.copy()
    spoilt.loc[spoilt.index[320] :, "pm"] = 5000.0
    again = forecast_lightgbm(EncodedTable.from_table(spoilt, HOUR, settings()), 2)
    np.testing.assert_array_equal(again[:320], found[:320])
    # It has learned something: a wave is far from persistence.
    changes, training = series.series[0].changes[:, 1], series.series[0].train_mask[:, 1]
    errors = (found - changes)[training]
    assert np.sqrt(np.mean(errors**2)) < 0.5 * np.sqrt(np.mean(changes[training] ** 2))


def test_over_folds_the_baselines_are_means(
    table: pd.DataFrame, settings: Callable[..., DataSettings]
) -> None:
    both = evaluate_baselines(EncodedTable.from_table(table, HOUR, settings(folds=2)))
    apart = [
        evaluate_baselines(
            EncodedTable.from_table(table, HOUR, settings(validation_from=start, test_from=end))
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


def series_of(values: "npt.ArrayLike", step: Step, split: int, horizon: int = 1) -> EncodedTable:
    """Two thirds of the rest validate."""
    values = np.asarray(values, np.float64)
    first = step.after(pd.DatetimeIndex(["2019-01-01"], name="time"), 1)  # a time of its own
    times = step.grid(first[0], step.after(first, len(values) - 1)[0])
    settings = DataSettings(
        target="pm",
        features=("pm",),
        horizon=horizon,
        validation_from=times[split].to_pydatetime(),
        test_from=times[split + 2 * (len(values) - split) // 3].to_pydatetime(),
    )
    return EncodedTable.from_table(pd.DataFrame({"pm": values}, index=times), step, settings)


@pytest.mark.parametrize(
    ("step", "rows", "split", "names"),
    [
        ("1h", 24 * 30, 24 * 20, "same_hour_yesterday same_hour_last_week"),
        ("1h", 24 * 9, 24 * 6, "same_hour_yesterday"),
        (
            "30min",
            48 * 420,
            48 * 380,
            "same_hour_yesterday same_hour_last_week same_hour_last_year",
        ),
        ("12h", 60, 30, "same_hour_yesterday same_hour_last_week"),
        ("1D", 900, 600, "same_day_last_week same_day_last_year"),
        ("1D", 300, 200, "same_day_last_week"),
        ("7D", 200, 120, "same_week_last_year"),
        ("7D", 60, 40, ""),
        ("7h", 200, 120, "same_hour_last_week"),
        ("2D", 900, 600, ""),
        ("30D", 60, 30, ""),
        (Step(1, "month"), 90, 50, "same_month_last_year"),
        (Step(1, "month end"), 90, 50, "same_month_last_year"),
        (Step(1, "month"), 18, 10, ""),  # validation begins in the first year
        (Step(2, "month"), 90, 50, ""),
        (Step(3, "month"), 60, 40, "same_quarter_last_year"),
        (Step(12, "month"), 60, 40, ""),
        (Step(1, "business day"), 300, 200, "same_day_last_week"),
    ],
)
def test_seasons_follow_step_and_past(step: str | Step, rows: int, split: int, names: str) -> None:
    values = np.random.default_rng(0).normal(10, 1, rows)
    step = step if isinstance(step, Step) else Step.of(pd.Timedelta(step))
    scores = evaluate_baselines(series_of(values, step, split)).scores
    assert list(scores) == ["persistence", *names.split(), "training_mean", "ridge"]


def test_seasons_and_the_mean_worked_out_by_hand() -> None:
    values = np.random.default_rng(1).normal(10, 1, 24 * 30)
    values[[200, 500]] = np.nan
    series = series_of(values, HOUR, 24 * 20, horizon=170)
    week = changes_of("same_hour_last_week", series)
    mean = changes_of("training_mean", series)
    # From row 490: row 491 is 323 a week before; row 658, at 168, is 490 itself; row 659, at 169,
    # is two weeks before, 323. From row 600: row 668 is row 500, missing, so row 499 stands in.
    assert week[490, 0] == values[323] - values[490]
    assert week[490, 167] == 0
    assert week[490, 168] == values[323] - values[490]
    assert week[600, 67] == values[499] - values[600]
    # Row 500 is missing: its forecasts are changes from row 499.
    average = np.nanmean(values[: 24 * 20])
    np.testing.assert_allclose(mean[500], average - values[499])


@pytest.mark.parametrize(
    ("name", "months", "year"), [("same_month_last_year", 1, 12), ("same_quarter_last_year", 3, 4)]
)
def test_a_year_of_months_worked_out_by_hand(name: str, months: int, year: int) -> None:
    values = np.random.default_rng(1).normal(10, 1, 90)
    values[42] = np.nan
    change = changes_of(name, series_of(values, Step(months, "month"), 60, horizon=13))
    # From row 50: its year's first lead time is row 51 - year; a whole year ahead is row 50 itself;
    # one more has to go two years back.
    assert change[50, 0] == values[51 - year] - values[50]
    assert change[50, year - 1] == 0
    assert change[50, year] == values[51 - year] - values[50]
    assert change[41 + year, 0] == values[41] - values[41 + year], "row 42 is missing"


def test_never_negative_target_is_forecast_so() -> None:
    """A wave that touches zero, which ridge overshoots."""
    rng = np.random.default_rng(2)
    wave = np.maximum(0, 5 * np.sin(np.arange(900) / 4) + rng.normal(0, 2, 900))
    for values, floor in ((wave, 0.0), (wave - 1, -np.inf)):
        series = series_of(values, HOUR, 600)
        free = series.last_observed[:, None] + forecast_ridge(series.series[0], "levels")
        kept = changes_of("ridge", series, "levels")
        assert series.never_negative == (floor == 0,)
        assert (free < 0).any()
        np.testing.assert_allclose(
            series.last_observed[:, None] + kept, np.maximum(free, floor), atol=1e-12
        )


def test_ridge_with_more_columns_than_rows_is_the_same() -> None:
    """Against the equations with as many unknowns as columns."""
    rng = np.random.default_rng(3)
    rows, split, features = 120, 60, 8
    frame = pd.DataFrame(
        rng.normal(size=(rows, features)),
        columns=[f"f{at}" for at in range(features)],
        index=pd.date_range("2020-01-01", periods=rows, freq="h", name="time"),
    )
    settings = DataSettings(
        target="f0",
        features=tuple(map(str, frame.columns)),
        validation_from=frame.index[split].to_pydatetime(),
        test_from=frame.index[-1].to_pydatetime(),
    )
    series = EncodedTable.from_table(frame, HOUR, settings)
    found = forecast_ridge(series.series[0], "levels")[:, 0]
    inputs = series.inputs[:, series.series[0].encoder.without_means].astype(np.float64)
    padded = np.vstack([np.zeros((LAGS - 1, features)), inputs])
    design = np.stack([padded[at : at + LAGS].T.ravel() for at in range(len(inputs))])
    training = series.series[0].train_mask[:, 0]
    assert design.shape[1] == features * LAGS > training.sum()
    x, y = design[training], series.series[0].changes[training, 0]
    centred = x - x.mean(0)
    gram = centred.T @ centred + RIDGE_PENALTY * len(x) * np.eye(design.shape[1])
    weights = np.linalg.solve(gram, centred.T @ (y - y.mean()))
    np.testing.assert_allclose(found, (design - x.mean(0)) @ weights + y.mean(), atol=1e-6)


# The conformance suite: what each entry of BASELINES has to do, in each of its forms.
CASES = [
    pytest.param(each, form, id=f"{each.name} {form}")
    for each in BASELINES
    for form in each.forms
    if each.name != "pooled_ridge"  # of several series alone
]
HORIZON = 3


STEPS = {
    "hour": HOUR,
    "week_last": Step(604800),
    "month": Step(1, "month"),
    "quarter": Step(3, "month"),
}


def conforming(baseline: Baseline, change_from: int | None = None) -> tuple[EncodedTable, int]:
    """A skewed series with missing values, of a step that the baseline is for, and where its
    validation starts; from one row after that on, the target is another where asked for.
    """
    rng = np.random.default_rng(4)
    step = next((step for name, step in STEPS.items() if name in baseline.name), DAY)
    rows, split = (9500, 9000) if step == HOUR else (900, 700)
    values = np.exp(rng.normal(2, 0.5, rows))
    values[rng.integers(0, rows, 40)] = np.nan
    if change_from is not None:
        values[split + change_from :] = 1e6
    return series_of(values, step, split, horizon=HORIZON), split


@pytest.mark.parametrize(("baseline", "form"), CASES)
def test_baseline_forecasts_every_row(baseline: Baseline, form: str) -> None:
    series, _ = conforming(baseline)
    assert np.isnan(series.target).any()
    changes = changes_of(baseline.name, series, form)
    assert changes.shape == (len(series.target), HORIZON)
    assert np.isfinite(changes).all()
    known = np.isfinite(series.last_observed)
    assert series.never_negative == (True,)
    assert (series.last_observed[known, None] + changes[known] >= -1e-9).all()


@pytest.mark.parametrize(("baseline", "form"), CASES)
def test_baseline_is_causal(baseline: Baseline, form: str) -> None:
    """A target that changes after a row of validation moves no forecast up to that row."""
    (before, split), (after, _) = conforming(baseline), conforming(baseline, change_from=50)
    forecasts = [changes_of(baseline.name, series, form) for series in (before, after)]
    np.testing.assert_array_equal(forecasts[0][: split + 50], forecasts[1][: split + 50])


def test_best_baseline_by_lead_time_and_overall() -> None:
    """A random walk of whole days: yesterday is best from some lead time on."""
    rng = np.random.default_rng(5)
    hours = np.arange(24 * 60)
    values = 100 + 10 * np.sin(2 * np.pi * hours / 24) + np.cumsum(rng.normal(0, 1, len(hours)))
    found = evaluate_baselines(series_of(values, HOUR, 24 * 40, horizon=12))
    by_rmse = {name: score.rmse for name, score in found.scores.items()}
    assert by_rmse[found.best] == min(by_rmse.values())
    without_ridge = [found.best_at(lead, lambda name: name != "ridge") for lead in range(1, 13)]
    for lead, name in enumerate(without_ridge):
        errors = {
            each: score.rmse_by_lead_time[lead]
            for each, score in found.scores.items()
            if each != "ridge"
        }
        assert errors[name] == min(errors.values())
    assert set(without_ridge) == {"persistence", "same_hour_yesterday"}
    best = found.scores[found.best]
    assert found.skill_beyond(best.to_json()) == 0
    half = replace(best, rmse_by_lead_time=0.5 * best.rmse_by_lead_time)
    assert found.skill_beyond(half.to_json()) == pytest.approx(0.5)
    assert list(found.leading) == list(dict.fromkeys(["persistence", "ridge", found.best]))
    facts = found.to_json()
    assert facts["best_baseline"] == found.best
    assert facts["same_hour_yesterday_rmse"] == by_rmse["same_hour_yesterday"]
