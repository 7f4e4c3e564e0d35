"""The conformal maths: quantiles worked by hand, a naive reference, coverage where the truth is
known.
"""

import json
import math
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from lstm_model.arrays import Float64Array
from lstm_model.configuration import DataSettings
from lstm_model.data.encoded_table import EncodedTable
from lstm_model.data.series_index import SeriesIndex
from lstm_model.data.step import Step
from lstm_model.evaluation.holdout import Holdout
from lstm_model.inference.forecasts import Forecasts
from lstm_model.inference.intervals import Intervals, calibrate, calibrate_series
from lstm_model.training.evaluator import HoldoutEvaluator


def test_quantiles_worked_by_hand() -> None:
    """39 residuals -19 ... 19 of one level: each side adds 190 / 39 to their mean size.

    Of 40 places between and beside them, a tenth is 4 on each side for 80%: the fourth from each
    end, -16 and 16. For 95% it is one: the ends.
    """
    residuals = np.random.default_rng(1).permutation(np.arange(-19.0, 20.0))
    forecasts = np.full((39, 1), 50.0)
    found = Intervals.fit(forecasts, forecasts + residuals[:, None])
    assert found.knots.tolist() == [[50.0]]
    assert found.scales[:, 0, 0] == pytest.approx([190 / 39, 190 / 39], rel=1e-5)
    bounds = found.bounds(np.array([[50.0], [7.0]]))
    for claim, half in ((0.8, 16.0), (0.95, 19.0)):
        low, high = bounds[claim]
        np.testing.assert_allclose(low, [[50 - half], [7 - half]], rtol=1e-5)
        np.testing.assert_allclose(high, [[50 + half], [7 + half]], rtol=1e-5)


def test_each_side_has_its_own_quantile() -> None:
    """Errors that are mostly a little below and seldom far above: the interval leans as they do."""
    residuals = np.concatenate([np.full(90, -1.0), np.full(9, 20.0)])[:, None]
    found = Intervals.fit(np.zeros((99, 1)), residuals)
    low, high = found.bounds(np.zeros((1, 1)))[0.8]
    # The tenth of 99 from each end, of 100 places: -1 below, and above the tenth largest is -1 too.
    assert (low.item(), high.item()) == pytest.approx((-1.0, -1.0), rel=1e-5)
    low, high = found.bounds(np.zeros((1, 1)))[0.95]
    assert (low.item(), high.item()) == pytest.approx((-1.0, 20.0), rel=1e-5)


def naive(
    forecasts: Float64Array, observed: Float64Array, asked: float, claim: float, knots: int
) -> Float64Array:
    """The interval at one level and lead time, written down once more, one number at a time."""
    pairs = sorted(zip(forecasts, observed, strict=True), key=lambda pair: pair[0])
    length, more = divmod(len(pairs), knots)
    ends = np.cumsum([length + (group < more) for group in range(knots)])
    groups = [pairs[end - length - (g < more) : end] for g, end in enumerate(ends)]
    at = [math.fsum(f for f, _ in group) / len(group) for group in groups]
    sizes = {
        sign: [math.fsum(max(sign * (y - f), 0) for f, y in group) / len(group) for group in groups]
        for sign in (-1, 1)
    }

    def spread(level: float, residual: float) -> float:
        size = sizes[-1 if residual < 0 else 1]
        if level <= at[0]:
            return size[0]
        for (a, b), (c, d) in pairwise(zip(at, size, strict=True)):
            if a <= level <= c:
                return b + (d - b) * (level - a) / (c - a)
        return size[-1]

    scores = sorted((y - f) / spread(f, y - f) for f, y in pairs)
    missed = (1 - claim) / 2
    # The largest that at most `missed` of a further score's places lie below, and its mirror image.
    low = max(i for i in range(len(scores)) if i + 1 <= (len(scores) + 1) * missed + 1e-9)
    high = len(scores) - 1 - low
    ends_at = [scores[low], scores[high]]
    return np.array([asked + score * spread(asked, score) for score in ends_at])


def test_it_agrees_with_a_naive_reference() -> None:
    rng = np.random.default_rng(2)
    forecasts = rng.gamma(2, 40, (433, 2))
    observed = forecasts + rng.standard_t(4, (433, 2)) * (3 + 0.2 * forecasts)
    forecasts[7, 0] = observed[[3, 40], 1] = np.nan
    found = Intervals.fit(forecasts, observed)
    assert found.knots.shape == (2, 8), "431 pairs have eight groups of 50 or more"
    asked = np.array([[0.0, 3.0], [55.0, 60.0], [123.4, 200.0], [2000.0, 900.0]])
    for claim, (low, high) in found.bounds(asked).items():
        for lead in range(2):
            known = np.isfinite(forecasts[:, lead]) & np.isfinite(observed[:, lead])
            for row, level in enumerate(asked[:, lead]):
                expected = naive(forecasts[known, lead], observed[known, lead], level, claim, 8)
                got = [low[row, lead], high[row, lead]]
                np.testing.assert_allclose(got, expected, rtol=1e-4)


def stationary(rows: int, rng: np.random.Generator) -> tuple[Float64Array, Float64Array]:
    """Forecasts at 1, 2 and 3 steps of a level that returns to 60, and what came.

    The errors have a memory of some hours, as real ones do; they grow with the level and with the
    lead time, and lean upwards.
    """
    level, memory = np.empty(rows), np.empty(rows)
    log, kept = 0.0, 0.0
    for row, (shock, noise) in enumerate(rng.normal(size=(rows, 2))):
        log = 0.97 * log + 0.17 * shock
        kept = 0.6 * kept + 0.8 * noise
        level[row], memory[row] = 60 * math.exp(log), kept
    forecasts = level[:, None] + np.zeros(3)
    lean = np.exp(0.5 * memory) - math.exp(0.125)
    grown = (2 + 0.15 * forecasts) * np.sqrt([1, 2, 3])
    return forecasts, forecasts + lean[:, None] * grown


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_coverage_at_every_lead_time_and_level(seed: int) -> None:
    """Calibrated on a year, held against ten others: within 2 points, and within 5 of any level."""
    rng = np.random.default_rng(seed)
    found = Intervals.fit(*stationary(8760, rng))
    forecasts, observed = stationary(87600, rng)
    fifths = np.quantile(forecasts[:, 0], [0, 0.2, 0.4, 0.6, 0.8, 1])
    for claim, (low, high) in found.bounds(forecasts).items():
        inside = (low <= observed) & (observed <= high)
        np.testing.assert_allclose(inside.mean(axis=0), claim, atol=0.02)
        # Neither side has the misses of both.
        np.testing.assert_allclose((observed < low).mean(axis=0), (1 - claim) / 2, atol=0.015)
        for begin, end in pairwise(fifths):
            rows = (forecasts[:, 0] >= begin) & (forecasts[:, 0] <= end)
            np.testing.assert_allclose(inside[rows].mean(axis=0), claim, atol=0.05)


def test_each_side_follows_the_level_on_its_own() -> None:
    """High forecasts err far downwards and little upwards, low ones the other way round."""
    rng = np.random.default_rng(4)

    def drawn(rows: int) -> tuple[Float64Array, Float64Array]:
        forecasts = rng.uniform(0, 200, (rows, 1))
        size = rng.exponential(1, (rows, 1))
        down, up = 5 + 0.2 * forecasts, 45 - 0.2 * forecasts
        residuals = np.where(rng.random((rows, 1)) < 0.5, -down * size, up * size)
        return forecasts, forecasts + residuals

    found = Intervals.fit(*drawn(8000))
    forecasts, observed = drawn(80000)
    for claim, (low, high) in found.bounds(forecasts).items():
        for begin in (0, 50, 100, 150):
            rows = (forecasts >= begin) & (forecasts < begin + 50)
            assert (observed < low)[rows].mean() == pytest.approx((1 - claim) / 2, abs=0.025)
            assert (observed > high)[rows].mean() == pytest.approx((1 - claim) / 2, abs=0.025)


def test_what_is_never_negative_has_no_negative_bound() -> None:
    residuals = np.linspace(-30, 30, 99)[:, None]
    found = Intervals.fit(np.full((99, 1), 50.0), 50 + residuals)
    low, high = found.bounds(np.array([[10.0], [-3.0], [np.nan]]), lower_limit=0.0)[0.8]
    np.testing.assert_allclose(low[:, 0], [0.0, -3.0, np.nan])
    np.testing.assert_allclose(high[:, 0], [34.4, 21.4, np.nan], atol=0.5)
    assert found.bounds(np.array([[10.0]]))[0.8][0].item() < -10


def test_no_errors_give_width_zero() -> None:
    forecasts = np.arange(200.0)[:, None]
    found = Intervals.fit(forecasts, forecasts)
    for low, high in found.bounds(forecasts).values():
        np.testing.assert_array_equal(low, forecasts)
        np.testing.assert_array_equal(high, forecasts)


def test_they_come_back_as_they_were() -> None:
    rng = np.random.default_rng(3)
    forecasts = rng.normal(50, 20, (500, 4))
    found = Intervals.fit(forecasts, forecasts + rng.normal(0, 5, (500, 4)))
    again = Intervals.from_json(json.loads(json.dumps(found.to_json())))
    for claim, (low, high) in found.bounds(forecasts).items():
        np.testing.assert_array_equal(again.bounds(forecasts)[claim][0], low)
        np.testing.assert_array_equal(again.bounds(forecasts)[claim][1], high)
    assert len(json.dumps(found.to_json())) < 4 * 800


def test_validations_are_put_together(series: EncodedTable) -> None:
    """Observed validation hours of each fold count, those of training do not."""
    check = HoldoutEvaluator(series).holdout
    wrong = np.where(check.scored, 2.0, 1e6)  # every forecast is 2 too high, where it counts
    changes = np.nan_to_num(check.changes) + wrong
    found = calibrate([(series, changes), (series, changes)])
    for low, high in found.bounds(np.full((1, 3), 60.0)).values():
        np.testing.assert_allclose(low, 58.0, rtol=1e-5)
        np.testing.assert_allclose(high, 58.0, rtol=1e-5)
    # Two folds have twice the rows, and so twice the knots.
    rows = series.series[0].valid_mask.sum(axis=0).min()
    assert found.knots.shape == (3, 2 * rows // 50)


def test_series_with_few_forecasts_are_pooled_in_their_units() -> None:
    """Every forecast is two of its series' typical changes too high, and in `many` one more."""
    rng = np.random.default_rng(6)
    rows = {"many": 700, "few": 560, "tiny": 3}
    levels = {"many": 100.0, "few": 1.0, "tiny": 5.0}
    frame = pd.concat(
        pd.DataFrame(
            {"pm": levels[name] * (5 + rng.normal(size=count))},
            index=pd.date_range("2020-01-01", periods=count, freq="h", name="time"),
        )
        for name, count in rows.items()
    )
    settings = DataSettings.model_validate(
        {
            "target": "pm",
            "features": ["pm"],
            "horizon": 2,
            "validation_from": "2020-01-20",
            "test_from": "2021-01-01",
        }
    )
    index = SeriesIndex(tuple(rows), tuple(np.cumsum([0, *rows.values()]).tolist()))
    table = EncodedTable.from_table(frame, Step(3600), settings, index)
    assert table.learned == (True, True, False)
    holdout = Holdout(table)
    high = np.where(np.arange(len(holdout.changes)) < holdout.bounds[1], 3.0, 2.0)[:, None]
    changes = np.nan_to_num(holdout.changes) + high * holdout.scales
    pooled, own = calibrate_series([(table, changes)])
    assert list(own) == ["many"]  # with 244 forecasts, and `few` has 104
    scales = {name: table.change_scales[number] for number, name in enumerate(rows)}
    level = np.full((1, 2), 500.0)
    for low, high_bound in own["many"].bounds(level).values():
        np.testing.assert_allclose(low, level - 3 * scales["many"], rtol=1e-4)
        np.testing.assert_allclose(high_bound, low)
    assert pooled is not None
    units = np.array([[7.0, 9.0]])
    low, _ = pooled.bounds_in_units(5 * units, units)[0.95]
    np.testing.assert_allclose(low, 5 * units - 3 * units, rtol=0.1)
    assert np.isnan(pooled.bounds_in_units(units, 0 * units)[0.8][0]).all()
    # Two periods have twice the forecasts: enough for `few` too.
    assert list(calibrate_series([(table, changes)] * 2)[1]) == ["many", "few"]


def test_bounds_in_units_are_those_of_the_units() -> None:
    rng = np.random.default_rng(5)
    forecasts = rng.uniform(1, 9, (300, 2))
    found = Intervals.fit(forecasts, forecasts + rng.normal(size=(300, 2)))
    units = np.array([[10.0, 1000.0]])
    for claim, (low, high) in found.bounds(forecasts, 4.0).items():
        scaled = found.bounds_in_units(forecasts * units, np.tile(units, (300, 1)), 4.0 * units)
        np.testing.assert_allclose(scaled[claim][0], low * units)
        np.testing.assert_allclose(scaled[claim][1], high * units)


def test_table_has_a_row_per_origin_and_lead_time() -> None:
    origins = pd.date_range("2020-02-28 22:00", periods=5, freq="h", name="time")
    values = np.arange(10.0).reshape(5, 2)
    bounds = {0.8: (values - 1, values + 1), 0.95: (values - 3, values + 4)}
    found = Forecasts(origins, Step(3600), values, bounds)
    some = found.every_nth_origin(3).table()
    assert list(some.columns) == [
        *("origin", "lead_time", "valid_time", "forecast"),
        *("lower_80", "upper_80", "lower_95", "upper_95"),
    ]
    # Counted back from the last origin, 02:00: it, and 23:00.
    assert [str(time) for time in some["origin"]] == (
        ["2020-02-28 23:00:00"] * 2 + ["2020-02-29 02:00:00"] * 2
    )
    assert some["lead_time"].tolist() == [1, 2, 1, 2]
    assert str(some["valid_time"][1]) == "2020-02-29 01:00:00"
    assert some["forecast"].tolist() == [2.0, 3.0, 8.0, 9.0]
    assert some["lower_80"].tolist() == [1.0, 2.0, 7.0, 8.0]
    assert some["upper_95"].tolist() == [6.0, 7.0, 12.0, 13.0]
    assert found.every_nth_origin(99).origins.tolist() == [origins[-1]]
    assert len(found.every_nth_origin(1).origins) == 5
    assert list(found.valid_times()) == list(some["valid_time"][2:])
    assert Forecasts(origins, found.step, values, {}).table()["upper_80"].isna().all()
