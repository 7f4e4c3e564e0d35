"""Several series at once: against the exact statistic, resampled hour by hour."""

import numpy as np
import pytest

from lstm_model.arrays import Float64Array
from tuning.comparison.hours_by_series import HoursBySeries
from tuning.comparison.significance import (
    RELATIVE,
    Metric,
    PairedDifference,
    diebold_mariano,
    paired_difference,
    paired_relative_difference,
    relative_losses,
)


def half(found: PairedDifference) -> float:
    return (found.high - found.low) / 2


def make_panel(
    rng: np.random.Generator,
    series: int,
    hours: int,
    shared: float,
    seeds: int = 1,
    noise: float = 0.35,
) -> tuple[Float64Array, Float64Array, HoursBySeries]:
    """Errors (S, R) of two models beside persistence, (R,), of series that move together by
    `shared`: a share of 1 of what happens. Each series has a size of its own, and several seeds
    differ by 5%. Model a's noise is 0.3, b's is given.
    """
    common = rng.normal(size=(3, 1, hours))
    own = rng.normal(size=(3, series, hours))
    mixed = np.sqrt(shared) * common + np.sqrt(1 - shared) * own
    memory = np.array([0.6**lag for lag in range(12)])
    smooth = np.apply_along_axis(lambda row: np.convolve(row, memory)[:hours], 2, mixed)
    persistence = smooth[0] * 10.0 ** np.arange(series)[:, None]
    sizes = 10.0 ** np.arange(series)[:, None]
    a = 0.8 * persistence + 0.3 * smooth[1] * sizes
    b = 0.8 * persistence + noise * smooth[2] * sizes
    quality = 1 + rng.normal(0, 0.05 if seeds > 1 else 0, (2, seeds, 1))
    places = np.arange(series * hours)
    panel = HoursBySeries(places, places // hours, places % hours, persistence.ravel(), hours)
    return a.ravel() * quality[0], b.ravel() * quality[1], panel


def exact(
    errors: Float64Array, panel: HoursBySeries, metric: Metric, weights: Float64Array
) -> float:
    """The mean over series of a model's error by persistence's, each hour with its weight."""
    ratios = []
    for number in range(panel.series.max() + 1):
        mine = panel.series == number
        weight = weights[panel.times[mine]]
        own, reference = errors[panel.rows][mine], panel.persistence[mine]
        if metric == "relative_rmse":
            ratios.append(np.sqrt((weight @ own**2) / (weight @ reference**2)))
        else:
            ratios.append((weight @ np.abs(own)) / (weight @ np.abs(reference)))
    return float(np.mean(ratios))


@pytest.mark.parametrize("metric", RELATIVE)
def test_it_is_the_bootstrap_of_the_exact_statistic(metric: Metric) -> None:
    """Of four series, one of which is observed in a part of the time alone."""
    rng = np.random.default_rng(1)
    hours, block = 1500, 25
    a, b, panel = make_panel(rng, 4, hours, 0.5)
    known = (panel.series < 3) | (panel.times > 900)
    panel = HoursBySeries(
        panel.rows[known],
        panel.series[known],
        panel.times[known],
        panel.persistence[known],
        hours,
    )
    found = paired_relative_difference(a, b, metric, panel, seed=0, block=block)
    everywhere = np.ones(hours)
    means = [errors.mean(axis=0) for errors in (a, b)]
    one, other = (exact(mean, panel, metric, everywhere) for mean in means)
    assert found.difference == pytest.approx(one - other)

    drawn = []
    for _ in range(1500):
        starts = rng.integers(0, hours - block + 1, hours // block)
        listed = (starts[:, None] + np.arange(block)).ravel()
        weights = np.bincount(listed, minlength=hours).astype(np.float64)
        one, other = (exact(mean, panel, metric, weights) for mean in means)
        drawn.append(one - other)
    # The 95% quantile of 1,500 draws is known to 3%; studentising adds to it.
    sizes = np.abs(np.array(drawn) - np.mean(drawn))
    assert half(found) == pytest.approx(float(np.quantile(sizes, 0.95)), rel=0.12)


def test_series_that_move_together_are_little_more_than_one() -> None:
    """Series shuffled on their own would be taken for independent, and seem to say much more."""
    rng = np.random.default_rng(2)
    hours, series, block = 2000, 8, 20
    a, b, panel = make_panel(rng, series, hours, 0.95)
    together = half(paired_relative_difference(a, b, "relative_rmse", panel, seed=0, block=block))
    moved = panel.times.copy()
    for number in range(series):
        mine = panel.series == number
        # Blocks of each series in an order of its own: the same errors, at other times.
        order = rng.permutation(hours // block)
        moved[mine] = (order[:, None] * block + np.arange(block)).ravel()
    shuffled = HoursBySeries(panel.rows, panel.series, moved, panel.persistence, hours)
    apart = half(paired_relative_difference(a, b, "relative_rmse", shuffled, seed=0, block=block))
    assert apart < 0.55 * together  # about the root of 1 / 8 of it


@pytest.mark.parametrize("metric", RELATIVE)
def test_one_series_has_the_interval_of_one(metric: Metric) -> None:
    """Persistence that errs alike at every hour scales the errors, and has no luck of its own."""
    rng = np.random.default_rng(3)
    a, b, panel = make_panel(rng, 1, 3000, 0.0, seeds=4)
    steady = HoursBySeries(panel.rows, panel.series, panel.times, np.full(3000, 2.0), 3000)
    plain: Metric = "rmse" if metric == "relative_rmse" else "mae"
    found = paired_relative_difference(a, b, metric, steady, seed=0, block=30)
    one = paired_difference(a, b, plain, seed=0, block=30)
    assert found.difference == pytest.approx(one.difference / 2)
    assert half(found) == pytest.approx(half(one) / 2, rel=0.02)


def test_the_draw_of_the_seeds_widens_the_interval() -> None:
    """25 seeds that differ by 5% in both: their variance adds to that of the hours."""
    rng = np.random.default_rng(4)
    a, b, panel = make_panel(rng, 5, 1500, 0.5, seeds=25)
    found = half(paired_relative_difference(a, b, "relative_rmse", panel, seed=0, block=15))
    one, other = (np.repeat(each.mean(axis=0)[None], 25, axis=0) for each in (a, b))
    hours = half(paired_relative_difference(one, other, "relative_rmse", panel, seed=0, block=15))
    everywhere = np.ones(panel.length)
    of_seeds = sum(
        np.var([exact(seed, panel, "relative_rmse", everywhere) for seed in each], ddof=1) / 25
        for each in (a, b)
    )
    assert found == pytest.approx(np.hypot(hours, 1.96 * np.sqrt(of_seeds)), rel=0.06)
    assert found > 1.1 * hours


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    """Two models whose errors are made alike, of series that move together, by the hundred."""
    rng = np.random.default_rng(5)
    within = []
    for _ in range(200):
        a, b, panel = make_panel(rng, 4, 600, 0.7, noise=0.3)
        found = paired_relative_difference(
            a, b, "relative_rmse", panel, seed=0, block=20, replicates=199
        )
        within.append(found.low <= 0 <= found.high)
    assert 0.9 < np.mean(within) < 1  # 95% of 200 is known to 1.5 points


def test_identical_models_do_not_differ_and_swapped_ones_give_the_opposite() -> None:
    a, b, panel = make_panel(np.random.default_rng(6), 3, 800, 0.5)
    same = paired_relative_difference(a, a.copy(), "relative_rmse", panel, seed=0, block=20)
    assert (same.difference, same.low, same.high, same.p_value) == (0.0, 0.0, 0.0, 1.0)
    one = paired_relative_difference(a, b, "relative_mae", panel, seed=0, block=20)
    other = paired_relative_difference(b, a, "relative_mae", panel, seed=0, block=20)
    assert (one.low, one.high, one.p_value) == (-other.high, -other.low, other.p_value)


def test_a_perfect_forecast_is_better_by_all_of_the_others_error() -> None:
    _, b, panel = make_panel(np.random.default_rng(7), 2, 400, 0.5)
    found = paired_relative_difference(0 * b, b, "relative_rmse", panel, seed=0, block=10)
    assert found.difference == pytest.approx(-exact(b[0], panel, "relative_rmse", np.ones(400)))
    assert found.high < 0


def test_an_error_that_is_missing_where_it_counts_is_refused() -> None:
    a, b, panel = make_panel(np.random.default_rng(8), 2, 200, 0.5)
    a[0, 5] = np.nan
    with pytest.raises(ValueError, match="must be finite, but 1 are not"):
        paired_relative_difference(a, b, "relative_rmse", panel, seed=0, block=10)


def two_series_of_two_hours() -> HoursBySeries:
    """Of which persistence errs by 1 and by 100."""
    errors = np.array([1.0, 1.0, 100.0, 100.0])
    return HoursBySeries(np.arange(4), np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]), errors, 3)


@pytest.mark.parametrize("metric", RELATIVE)
def test_mean_of_the_losses_is_the_metric(metric: Metric) -> None:
    """Ratios of 0.5 and 1.08: their mean is 0.79, and that of their squares 0.71."""
    hours = two_series_of_two_hours()
    losses = relative_losses(np.array([[0.5, -0.5, 108.0, 108.0]]), hours, metric)
    np.testing.assert_allclose(losses, [0.79, 0.79, np.nan])
    # A series that errs by 0 and 2 has the RMSE 2 ** 0.5, and the MAE 1.
    losses = relative_losses(np.array([[0.0, 2.0, 100.0, 100.0]]), hours, metric)
    mean = {"relative_rmse": (2**0.5 + 1) / 2, "relative_mae": 1.0}[metric]
    assert np.nanmean(losses) == pytest.approx(mean)
    assert losses[0] < losses[1]


def test_diebold_mariano_has_the_sign_of_the_difference() -> None:
    """Ratios of 0.50 and 1.08 against 0.60 and 1.00: their squares would say the opposite."""
    rng = np.random.default_rng(9)
    luck = rng.normal(size=(2, 400))
    luck /= np.sqrt((luck**2).mean(axis=1, keepdims=True))
    rows = np.arange(800)
    persistence = (luck * [[1.0], [100.0]]).ravel()
    hours = HoursBySeries(rows, rows // 400, rows % 400, persistence, 400)
    a, b = (
        (luck[::-1] * np.array(ratios)[:, None] * [[1.0], [100.0]]).reshape(1, -1)
        for ratios in ((0.50, 1.08), (0.60, 1.00))
    )
    found = paired_relative_difference(a, b, "relative_rmse", hours, seed=0, block=10)
    losses = [relative_losses(each, hours, "relative_rmse") for each in (a, b)]
    assert found.difference == pytest.approx(-0.01)
    assert np.mean(losses[0] - losses[1]) == pytest.approx(-0.01)
    assert diebold_mariano(*losses, bandwidth=10).statistic < 0
