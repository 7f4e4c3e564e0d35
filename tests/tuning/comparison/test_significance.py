"""Answers by hand, closed forms, a slow bootstrap that spells out every draw, and statsmodels."""

import math
import re
from collections.abc import Callable

import numpy as np
import pytest

from lstm_model.arrays import Float64Array
from tuning.comparison.significance import (
    Metric,
    PairedDifference,
    check_observations,
    diebold_mariano,
    holm,
    paired_difference,
)

METRICS: tuple[Metric, ...] = ("rmse", "mae")


def half(found: PairedDifference) -> float:
    return (found.high - found.low) / 2


def correlated(
    rng: np.random.Generator, seeds: int, hours: int, quality: float = 0.1
) -> tuple[Float64Array, Float64Array]:
    """Two models whose errors share most, are remembered for hours, and differ by seed."""
    noise = rng.standard_t(4, (3, hours + 20))
    smooth = np.stack([np.convolve(row, 0.7 ** np.arange(20), "valid") for row in noise])
    shared, *own = smooth[:, :hours]
    of_seed = rng.normal(0, quality, (2, seeds, 1)) + rng.normal(0, 0.1, (2, seeds, hours))
    return shared + own[0] * (0.3 + of_seed[0]), shared + own[1] * (0.3 + of_seed[1])


# --- the bootstrap against another one, and against closed forms


def slow(
    a: Float64Array,
    b: Float64Array,
    metric: Metric,
    block: int,
    replicates: int,
    rng: np.random.Generator,
) -> tuple[float, float]:
    """Half the interval's width and the p-value, with every hour listed and slopes by nudging."""
    hours, nudge = a.shape[1], 1e-6
    observed = np.flatnonzero(~np.isnan(a[0]))
    loss: Callable[[Float64Array], Float64Array] = np.square if metric == "rmse" else np.abs
    root: Callable[[float], float] = math.sqrt if metric == "rmse" else float

    def scored(error: Float64Array, weights: Float64Array) -> float:
        return root(float(np.average(loss(error[observed]), weights=weights[observed])))

    everywhere = np.ones(hours)
    means = [errors.mean(axis=0) for errors in (a, b)]
    whole = [scored(mean, everywhere) for mean in means]
    influence = np.zeros(hours)
    for hour in observed:
        heavier = everywhere + nudge * (np.arange(hours) == hour)
        one, other = (scored(m, heavier) - w for m, w in zip(means, whole, strict=True))
        influence[hour] = (one - other) / nudge * len(observed)
    from_seeds = 0.0
    for errors, mean, value in zip((a, b), means, whole, strict=True):
        moved = [scored(mean + nudge * (each - mean), everywhere) - value for each in errors]
        if len(errors) > 1:
            from_seeds += float(np.var(np.array(moved) / nudge, ddof=1)) / len(errors)

    def standard_error(starts: list[int]) -> float:
        sums = [influence[start : start + block].sum() for start in starts]
        spread = np.var(sums, ddof=0 if len(starts) == hours - block + 1 else 1)
        return math.sqrt(spread * hours / block / len(observed) ** 2 + from_seeds)

    drawn, errors_of_draws = [], []
    for _ in range(replicates):
        starts = [int(rng.integers(0, hours - block + 1)) for _ in range(-(-hours // block))]
        listed = [hour for start in starts for hour in range(start, start + block)][:hours]
        weights = np.bincount(listed, minlength=hours).astype(np.float64)
        values = []
        for errors, mean in zip((a, b), means, strict=True):
            chosen = rng.choice(len(errors), max(1, len(errors) - 1))
            toward = mean + nudge * (errors[chosen].mean(axis=0) - mean)
            before, after = (
                np.average(loss(each[observed]), weights=weights[observed])
                for each in (mean, toward)
            )
            values.append(root(float(before + (after - before) / nudge)))
        drawn.append(values[0] - values[1])
        errors_of_draws.append(standard_error(starts))
    every = standard_error(list(range(hours - block + 1)))
    ratios = np.abs(np.array(drawn) - np.mean(drawn)) / np.array(errors_of_draws)
    beyond = np.sum(ratios >= abs(whole[0] - whole[1]) / every)
    return float(np.quantile(ratios, 0.95)) * every, float(beyond + 1) / (replicates + 1)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("seeds_a", "seeds_b", "worse"), [(1, 1, 1.1), (5, 4, 2.0), (3, 1, 1.1), (1, 3, 1.1)]
)
def test_it_is_the_bootstrap_that_lists_every_hour(
    metric: Metric, seeds_a: int, seeds_b: int, worse: float
) -> None:
    rng = np.random.default_rng(seeds_a)
    a, b = correlated(rng, 5, 250, quality=0.4)
    a, b = a[:seeds_a], b[:seeds_b] * worse
    a[:, :6] *= 5  # hours that few blocks hold: the replicates' mean is not the difference
    missing = rng.random(250) < np.where(np.arange(250) > 190, 0.7, 0.02)
    a[:, missing] = b[:, missing] = np.nan
    found = paired_difference(a, b, metric, seed=1, block=12, replicates=8000)
    expected, p_value = slow(a, b, metric, 12, 1500, rng)
    # The 95% quantile of 1,500 draws is known to 3%.
    assert half(found) == pytest.approx(expected, rel=0.09)
    assert found.p_value == pytest.approx(p_value, abs=0.05)


def test_the_difference_is_that_of_the_mean_forecasts() -> None:
    a = np.tile([[4.0, 0.0, np.nan, 1.0], [2.0, -2.0, np.nan, 1.0]], 10)  # mean 3, -1, 1
    b = np.tile([[-2.0, 2.0, np.nan, 1.0]], 10)
    rmse = paired_difference(a, b, "rmse", seed=0)
    assert rmse.difference == pytest.approx(math.sqrt(11 / 3) - math.sqrt(3))
    assert paired_difference(a, b, "mae", seed=0).difference == pytest.approx(0.0)
    assert rmse.low + rmse.high == pytest.approx(2 * rmse.difference)


@pytest.mark.parametrize("metric", METRICS)
def test_independent_hours_give_the_standard_error_of_the_textbook(metric: Metric) -> None:
    rng = np.random.default_rng(4)
    hours, sd_a, sd_b = 3000, 2.0, 3.0
    a, b = (rng.normal(0, sd, (1, hours)) for sd in (sd_a, sd_b))
    # Of |e|, the variance is (1 - 2 / pi) sd^2; of the root of a mean square, sd^2 / 2.
    share = 0.5 if metric == "rmse" else 1 - 2 / math.pi
    expected = 1.96 * math.sqrt(share * (sd_a**2 + sd_b**2) / hours)
    assert half(paired_difference(a, b, metric, seed=0, block=10)) == pytest.approx(
        expected, rel=0.06
    )


def test_dependent_hours_widen_the_interval_by_their_long_run_variance() -> None:
    rng = np.random.default_rng(5)
    hours, memory = 20_000, 0.8
    steps = rng.normal(size=hours)
    level = np.empty(hours)
    last = 0.0
    for hour in range(hours):
        last = level[hour] = memory * last + steps[hour]
    found = paired_difference(20 + level[None], np.full((1, hours), 20.0), "mae", seed=0)
    # Of the mean of an AR(1), the variance is that of a step / (1 - memory)^2 / hours.
    assert half(found) == pytest.approx(1.96 / (1 - memory) / math.sqrt(hours), rel=0.1)


# --- seeds


def test_seeds_are_drawn_one_fewer_than_there_are() -> None:
    """Seeds at -3, -1, 1 and 3 about 10: three of four draws, worked out by hand.

    All 64 triples: 2 have a mean of +-3, 6 of +-7/3; so 95% reach to 7/3. Of four draws it were 2.
    """
    sign = np.tile([1.0, -1.0], 20)  # the seeds are as far off in forecasts too high as too low
    a = np.array([[7.0], [9.0], [11.0], [13.0]]) * sign
    found = paired_difference(a, 10 * sign[None], "mae", seed=3, replicates=20_000)
    assert found.difference == 0
    assert half(found) == pytest.approx(7 / 3, abs=0.05)


@pytest.mark.parametrize("metric", METRICS)
def test_the_variance_of_the_seeds_adds_to_that_of_the_hours(metric: Metric) -> None:
    rng = np.random.default_rng(6)
    hours, seeds = 2000, 25
    quality = rng.normal(0, 0.05, (2, seeds, 1))
    hourly = rng.normal(0, 1, (2, 1, hours))
    a, b = 20 + hourly + quality  # at a mean of 20, the RMSE moves as the mean does
    of_hours = 2 / hours
    of_seeds = sum(quality[model].var(ddof=1) / seeds for model in range(2))
    together = paired_difference(a, b, metric, seed=0, block=5)
    assert half(together) == pytest.approx(1.96 * math.sqrt(of_hours + of_seeds), rel=0.06)
    agreeing = paired_difference(20 + hourly[0], 20 + hourly[1], metric, seed=0, block=5)
    assert half(agreeing) == pytest.approx(1.96 * math.sqrt(of_hours), rel=0.06)


def test_seeds_are_drawn_for_each_model_on_its_own() -> None:
    """The same seeds in both models: drawn together, they would cancel."""
    quality = np.random.default_rng(7).normal(10, 1, (25, 1))
    a = np.repeat(quality, 40, axis=1)
    found = paired_difference(a, a.copy(), "mae", seed=0)
    expected = 1.96 * math.sqrt(2 * quality.var(ddof=1) / 25)
    assert half(found) == pytest.approx(expected, rel=0.06)


def test_that_fewer_different_seeds_make_a_worse_mean_widens_nothing() -> None:
    """Seeds that are noise and nothing else: the RMSE of their mean varies by the closed form.

    The interval is too wide, as noise is counted in the hours, in the seeds and in both; resampled
    means, whose RMSE depends on how many of their seeds differ, would make it 10 times too wide.
    """
    rng = np.random.default_rng(8)
    seeds, hours = 5, 4000
    a, b = rng.normal(0, 1, (2, seeds, hours))
    exact = 1.96 * math.sqrt(2 / seeds / (2 * hours))
    found = half(paired_difference(a, b, "rmse", seed=0, block=10))
    assert exact < found < 3 * exact


# --- signs, symmetry, p-values


@pytest.mark.parametrize("metric", METRICS)
def test_swapped_models_give_the_opposite(metric: Metric) -> None:
    a, b = correlated(np.random.default_rng(9), 5, 600)
    better = paired_difference(a, b * 1.2, metric, seed=0, block=24)
    worse = paired_difference(b * 1.2, a, metric, seed=0, block=24)
    assert better.difference == -worse.difference < 0
    assert better.high < 0 < worse.low
    # The seeds are drawn by others for b than for a.
    assert half(better) == pytest.approx(half(worse), rel=0.05)
    one = paired_difference(a[:1], b[:1], metric, seed=0, block=24)
    other = paired_difference(b[:1], a[:1], metric, seed=0, block=24)
    assert (one.low, one.high, one.p_value) == (-other.high, -other.low, other.p_value)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("seeds", [1, 5])
def test_identical_models_do_not_differ(metric: Metric, seeds: int) -> None:
    a, _ = correlated(np.random.default_rng(10), seeds, 600)
    found = paired_difference(a, a.copy(), metric, seed=0)
    assert (found.difference, found.p_value) == (0.0, 1.0)
    assert found.low <= 0 <= found.high
    assert (found.low < 0) == (seeds > 1)


def test_a_p_value_of_at_most_five_per_cent_is_an_interval_without_zero() -> None:
    rng = np.random.default_rng(11)
    outside = []
    for seed in range(120):
        a, b = correlated(rng, 3, 200)
        found = paired_difference(a, b * 1.07, "rmse", seed=seed, block=10, replicates=199)
        outside.append(not found.low <= 0 <= found.high)
        assert outside[-1] == (found.p_value <= 0.05)
    assert 20 < sum(outside) < 100


def test_what_has_too_few_hours_is_known_before_there_are_errors() -> None:
    a, b = np.random.default_rng(1).normal(0, 1, (2, 1, 1000))
    refused = []
    for kept in (1000, 700, 160, 60, 1):
        a[:, kept:] = b[:, kept:] = np.nan
        try:
            paired_difference(a, b, "rmse", seed=0)
            said = ""
        except ValueError as error:
            said = str(error)
        refused.append(bool(said))
        if said:
            with pytest.raises(ValueError, match=re.escape(said)):
                check_observations(np.isfinite(a[0]), seed=0)
        else:
            check_observations(np.isfinite(a[0]), seed=0)
    assert refused == [False, False, True, True, True]


def test_the_least_p_value_is_one_of_one_more_than_the_replicates() -> None:
    a = np.random.default_rng(12).normal(1, 0.1, (1, 100))
    assert paired_difference(a, a + 50, "mae", seed=0, replicates=99).p_value == 0.01


def test_the_same_seed_gives_the_same_result_and_another_one_nearly() -> None:
    a, b = correlated(np.random.default_rng(13), 5, 600)
    first = paired_difference(a, b, "rmse", seed=1)
    assert first == paired_difference(a, b, "rmse", seed=1)
    other = paired_difference(a, b, "rmse", seed=2)
    assert half(first) != half(other) == pytest.approx(half(first), rel=0.1)


def test_one_episode_is_no_evidence() -> None:
    """Most resamples without it have no spread at all; the interval is finite all the same."""
    b = np.random.default_rng(14).normal(0, 1, (1, 2000))
    a = b.copy()
    a[:, 700:760] *= 3
    found = paired_difference(a, b, "rmse", seed=0, block=100)
    assert found.p_value > 0.05
    assert 0 < found.difference < found.high < 25 * found.difference


@pytest.mark.parametrize("metric", METRICS)
def test_a_perfect_forecast_is_better_by_the_other_ones_error(metric: Metric) -> None:
    b = np.tile([3.0, -3.0], (1, 50))
    found = paired_difference(np.zeros((2, 100)), b, metric, seed=0)
    assert found.difference == found.low == found.high == -3.0
    assert found.p_value == pytest.approx(1 / 4001)


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    """Two models made alike, by the hundred: benchmarks/coverage.py does it on whole years."""
    rng = np.random.default_rng(15)
    years = [correlated(rng, 5, 1000) for _ in range(300)]
    within = [paired_difference(*pair, "rmse", seed=0, block=25, replicates=199) for pair in years]
    share = np.mean([found.low <= 0 <= found.high for found in within])
    assert 0.92 < share < 0.99  # 95% of 300 is known to 1.3 points


# --- missing hours and short series


def test_missing_hours_stay_in_their_place() -> None:
    """Any 4 h hold the same 3 errors, so that all resamples are alike; 4 of the observed do not."""
    a = np.tile([1.0, 2.0, 6.0, np.nan], (1, 20))
    b = np.where(np.isnan(a), np.nan, 1.0)
    found = paired_difference(a, b, "mae", seed=0, block=4)
    assert found.difference == 2
    assert half(found) < 1e-9
    dropped = paired_difference(
        a[:, ~np.isnan(a[0])], b[:, ~np.isnan(a[0])], "mae", seed=0, block=4
    )
    assert half(dropped) > 0.1


def test_a_resample_is_as_long_as_the_series() -> None:
    """21 h of 1, 3, 1, ... in blocks of 2: ten of any kind and one hour, so 41 / 21 or 43 / 21.

    The seeds of b, which hardly differ, are there to give the blocks, all alike, a scale.
    """
    a = np.tile([1.0, 3.0], 11)[None, :21]
    b = np.array([[9.999], [10.001]]) * np.ones(21)
    assert half(paired_difference(a, b, "mae", seed=0)) == pytest.approx(1 / 21, rel=0.1)


@pytest.mark.parametrize("hour", [0, 19])
def test_the_first_and_the_last_hour_are_drawn_too(hour: int) -> None:
    a = np.zeros((1, 20))
    a[0, hour] = 1
    assert half(paired_difference(a, np.zeros((1, 20)), "mae", seed=0)) > 0


@pytest.mark.parametrize(("hours", "block"), [(2, 1), (9, 1), (50, 5), (1679, 167), (1680, 168)])
def test_a_short_series_has_its_blocks_cut_to_a_tenth(hours: int, block: int) -> None:
    a, b = correlated(np.random.default_rng(16), 2, hours)
    found = paired_difference(a, b, "rmse", seed=0, replicates=200)
    assert found == paired_difference(a, b, "rmse", seed=0, block=block, replicates=200)
    if block > 1:
        assert found != paired_difference(a, b, "rmse", seed=0, block=block - 1, replicates=200)


# --- what is refused

GOOD = np.ones((2, 30))
GAP = np.where(np.arange(30) == 3, np.nan, GOOD)
GAP_IN_ONE_SEED = np.stack([GOOD[0], GAP[0]])
LONELY = np.where(np.arange(2000) < 3, 1.0, np.nan)[None]


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (GOOD, np.ones((2, 31)), r"same hours for both models, but got \(2, 30\) and \(2, 31\)"),
        (GOOD, np.ones(30), r"must be \(seeds, hours\), .* but got \(2, 30\) and \(30,\)"),
        (np.ones((0, 30)), GOOD, r"one seed or more .* but got \(0, 30\) and \(2, 30\)"),
        (GOOD, np.ones((0, 30)), r"one seed or more .* but got \(2, 30\) and \(0, 30\)"),
        (GOOD, GAP, "same hours observed, but they differ at 1 of 30 h"),
        (GAP, GOOD, "same hours observed, but they differ at 1 of 30 h"),
        (GAP_IN_ONE_SEED, GAP, "all of their seeds .* but they differ at 1 of 30 h"),
        (GOOD * np.nan, GOOD * np.nan, "two hours or more must be observed, but got 0"),
        (LONELY[:, 2:], LONELY[:, 2:], "two hours or more must be observed, but got 1"),
        (LONELY, LONELY, r"but \d+ of 4000 hold none: 3 of 2000 h are observed"),
        (GOOD / 0.25, GOOD * np.inf, "must be finite, .* but 60 are infinite"),
    ],
)
def test_errors_that_cannot_be_compared(a: Float64Array, b: Float64Array, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        paired_difference(a, b, "rmse", seed=0)


@pytest.mark.parametrize("wrong", [{"block": 0}, {"replicates": 18}])
def test_blocks_and_replicates_out_of_range(wrong: dict[str, int]) -> None:
    ((name, value),) = wrong.items()
    with pytest.raises(ValueError, match=f"block must be .* replicates 19 .*{name}={value}"):
        paired_difference(GOOD, GOOD, "rmse", seed=0, **wrong)


# --- Diebold and Mariano


def newey_west(differences: Float64Array, bandwidth: int) -> float:
    """The statistic, from a sum over all pairs of hours."""
    hours = len(differences)
    centred = differences - differences.mean()
    total = 0.0
    for one in range(hours):
        for other in range(hours):
            weight = max(0.0, 1 - abs(one - other) / (bandwidth + 1))
            total += weight * centred[one] * centred[other]
    return float(differences.mean() / math.sqrt(total / hours**2))


@pytest.mark.parametrize("bandwidth", [0, 1, 7, 59, 168])
def test_the_statistic_is_that_of_a_double_loop(bandwidth: int) -> None:
    rng = np.random.default_rng(17)
    a = np.convolve(rng.normal(0.3, 1, 69), np.ones(10), "valid") ** 2
    b = rng.normal(0, 2, 60) ** 2
    found = diebold_mariano(a, b, bandwidth=bandwidth)
    # There are 60 hours: a longer bandwidth is that of 59.
    assert found.statistic == pytest.approx(newey_west(a - b, min(bandwidth, 59)), rel=1e-9)
    swapped = diebold_mariano(b, a, bandwidth=bandwidth)
    assert (swapped.statistic, swapped.p_value) == (-found.statistic, found.p_value)


@pytest.mark.parametrize(
    ("bandwidth", "statistic", "p_value"),
    [
        (0, 3.092721240340256, 0.001983303378543589),
        (5, 2.8297678293487234, 0.00465817934600953),
        (24, 2.2622072502270516, 0.02368460158228202),
        (168, 4.644883722443031, 3.4026804763722633e-06),
    ],
)
def test_the_figures_of_statsmodels(bandwidth: int, statistic: float, p_value: float) -> None:
    """statsmodels 0.15.0: OLS(a - b, ones).fit(cov_type="HAC", cov_kwds={"maxlags": bandwidth,
    "kernel": "bartlett", "use_correction": False}), its tvalues and pvalues.
    """
    t = np.arange(500.0)
    a = (np.sin(0.7 * t) + 0.6 * np.cos(0.05 * t) + 0.3) ** 2
    b = (np.cos(1.3 * t) + 0.5 * np.sin(0.05 * t)) ** 2
    found = diebold_mariano(a, b, bandwidth=bandwidth)
    assert found.statistic == pytest.approx(statistic, rel=1e-9)
    assert found.p_value == pytest.approx(p_value, rel=1e-7)
    gaps = np.full((2, 600), np.nan)
    gaps[:, np.flatnonzero(np.arange(600) % 6)] = a, b
    assert diebold_mariano(*gaps, bandwidth=bandwidth) == found


def test_the_bandwidth_is_a_week_unless_told() -> None:
    a, b = np.random.default_rng(18).exponential(size=(2, 1000))
    assert diebold_mariano(a, b) == diebold_mariano(a, b, bandwidth=168)
    assert diebold_mariano(a, b) != diebold_mariano(a, b, bandwidth=167)


def test_losses_that_differ_nowhere_or_everywhere_alike() -> None:
    loss = np.array([4.0, 1.0, np.nan, 0.5])
    same = diebold_mariano(loss, loss.copy())
    assert (same.statistic, same.p_value) == (0.0, 1.0)
    worse = diebold_mariano(loss + 2, loss)
    assert (worse.statistic, worse.p_value) == (math.inf, 0.0)
    assert diebold_mariano(loss, loss + 2).statistic == -math.inf


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        (np.ones((2, 5)), np.ones(5), r"must be \(hours,\), but got \(2, 5\) and \(5,\)"),
        (np.ones(5), np.ones(6), r"same hours for both models, but got \(1, 5\) and \(1, 6\)"),
        (GAP[0], GOOD[0], "same hours observed, but they differ at 1 of 30 h"),
        (np.array([1.0, np.nan]), np.array([2.0, np.nan]), "two hours or more .* but got 1"),
        (np.array([1.0, np.inf]), np.ones(2), "must be finite, .* but 1 are infinite"),
    ],
)
def test_losses_that_cannot_be_compared(a: Float64Array, b: Float64Array, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        diebold_mariano(a, b)


def test_a_negative_bandwidth() -> None:
    with pytest.raises(ValueError, match="bandwidth must be 0 h or more, but got -1"):
        diebold_mariano(np.ones(5), np.ones(5), bandwidth=-1)


# --- Holm


@pytest.mark.parametrize(
    ("p_values", "adjusted"),
    [
        ([], []),
        ([0.04], [0.04]),
        # Times 3, 2 and 1 from the least on.
        ([0.03, 0.01, 0.2], [0.06, 0.03, 0.2]),
        # 3 x 0.01, then 2 x 0.012 = 0.024 and 1 x 0.02, which may not fall below it.
        ([0.02, 0.01, 0.012], [0.03, 0.03, 0.03]),
        ([0.9, 0.6, 0.0], [1.0, 1.0, 0.0]),
        # statsmodels 0.15.0, multipletests(method="holm").
        ([0.011, 0.02, 0.04, 0.005, 0.5, 0.02], [0.055, 0.08, 0.08, 0.03, 0.5, 0.08]),
    ],
)
def test_holm(p_values: list[float], adjusted: list[float]) -> None:
    assert holm(p_values) == pytest.approx(adjusted)


@pytest.mark.parametrize("wrong", [-0.1, 1.5, math.nan])
def test_holm_takes_probabilities_alone(wrong: float) -> None:
    with pytest.raises(ValueError, match=f"must lie from 0 to 1, but got {wrong}"):
        holm([0.5, wrong])
