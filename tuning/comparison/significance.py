"""Is the difference between two forecasters on a test more than luck?"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
import numpy.typing as npt

from lstm_model.arrays import Float64Array, Mask
from tuning.comparison.hours_by_series import HoursBySeries

# The relative ones are of several series: the mean of each one's error by persistence's.
Metric = Literal["rmse", "mae", "relative_rmse", "relative_mae"]
RELATIVE: tuple[Metric, ...] = ("relative_rmse", "relative_mae")
SQUARED: tuple[Metric, ...] = ("rmse", "relative_rmse")  # the others are of absolute errors
RowIndex = npt.NDArray[np.int64]

BLOCK_HOURS = 168  # h: errors are dependent over days, and pollution comes in episodes of days
MIN_BLOCKS = 10
# A resample that misses the few weeks in which two models differ seems to have no spread at all:
# its deviation is stretched by no more than this. Of 800 simulated pairs fewer than 1% came to it.
MAX_STUDENTISATION = 10.0


@dataclass(frozen=True)
class PairedDifference:
    """The metric of a minus that of b, in its unit: below 0, a is better."""

    difference: float
    low: float  # the 95% interval's ends
    high: float
    p_value: float  # two-sided; at most 0.05 where 0 lies outside the interval, and only there


@dataclass(frozen=True)
class DieboldMariano:
    """Above 0, a is worse; the p-value is two-sided, from the normal distribution."""

    statistic: float
    p_value: float


def paired_difference(
    a: Float64Array,
    b: Float64Array,
    metric: Metric,
    *,
    seed: int,
    block: int = BLOCK_HOURS,
    replicates: int = 4000,
) -> PairedDifference:
    """How much better or worse the mean forecast of a's seeds is than that of b's, and how surely.

    The target is the difference to expect on another draw of the series and of the seeds. Each
    replicate draws blocks of consecutive hours, the same for both models (the moving-block
    bootstrap, Künsch 1989, doi:10.1214/aos/1176347265), and for each model S - 1 of its S seeds
    with replacement, which gives the variance of a mean of S without bias (Rao and Wu 1988,
    doi:10.1080/01621459.1988.10478591). A model of one seed is taken to have no other. Missing
    hours stay in their place, without a loss.

    The seeds that are drawn change the losses to first order, by the slope of the loss at the error
    of the mean forecast. Averaging their forecasts would mix in that fewer different seeds make a
    worse mean, and widen the interval. What a seed does to single hours is still counted in the
    blocks and in the seeds, so that the interval is rather too wide (Owen 2007,
    doi:10.1214/07-AOAS122).

    The interval is symmetric (Hall 1988, Journal of the Royal Statistical Society B 50:35-45) and
    studentised (Götze and Künsch 1996, doi:10.1214/aos/1069362303): each replicate's deviation from
    their mean is divided by the standard error that its own blocks show and multiplied by that of
    the series, and 95% of these lie within half the interval's width. The p-value inverts it and is
    never 0 (Phipson and Smyth 2010, doi:10.2202/1544-6115.1585). `python -m benchmarks.coverage`
    measures how often the interval holds the truth.

    Args:
        a, b: (S, T) forecast minus observation in the target's unit, of S seeds (each model its
            own S) at T consecutive hours of one lead time; NaN where the hour was not observed.
        seed: of the draws: the same arguments give the same result.
        block: h; a series of fewer than 10 blocks has them cut to a tenth of its hours.
        replicates: at least 19, so that 5% of them is one.

    Raises:
        ValueError: the shapes don't match, the observed hours differ or are fewer than two, an
            error is infinite, or so few hours are observed that a resample has none.
    """
    observed = _common_mask(a, b)
    resamples = _Resamples.draw(observed, seed=seed, block=block, replicates=replicates)
    terms_a, terms_b = (_InfluenceTerms.of(errors, observed, metric) for errors in (a, b))
    return _bootstrap(terms_a, terms_b, resamples, seed)


def paired_relative_difference(
    a: Float64Array,
    b: Float64Array,
    metric: Metric,
    hours: HoursBySeries,
    *,
    seed: int,
    block: int = BLOCK_HOURS,
    replicates: int = 4000,
) -> PairedDifference:
    """As paired_difference(), of several series: the mean over them of RMSE, or MAE, divided by
    persistence's.

    Blocks are of time, and drawn for all series together, since what happens to one happens to its
    neighbours: of series that move as one there is little more to learn than of one (Gonçalves
    2011, Econometric Theory 27:1048-1082). Each replicate changes the metric to first order, by the
    influence of each hour that it holds, persistence's errors included. As that is a sum over
    series it is summed up once, by time (as Driscoll and Kraay 1998 sum moments,
    doi:10.1162/003465398557825), and the replicates cost what they cost with one series. The seeds
    that are drawn change it to first order as well, as they do there.

    Args:
        a, b: (S, R) forecast minus observation, of S seeds at the hours of all series.
        metric: one of RELATIVE.

    Raises:
        ValueError: as paired_difference().
    """
    observed = hours.observed
    if observed.sum() < 2:
        raise ValueError(f"two hours or more must be observed, but got {observed.sum()}")
    resamples = _Resamples.draw(observed, seed=seed, block=block, replicates=replicates)
    terms_a, terms_b = (_InfluenceTerms.of_series(errors, hours, metric) for errors in (a, b))
    return _bootstrap(terms_a, terms_b, resamples, seed)


def relative_losses(errors: Float64Array, hours: HoursBySeries, metric: Metric) -> Float64Array:
    """(T,) what the mean forecast of (S, R) errors loses at each time, all series together; NaN
    where none counts. Their mean is the metric: as the bootstrap, to first order.
    """
    terms, observed = _InfluenceTerms.of_series(errors, hours, metric), hours.observed
    return np.where(observed, terms.value + observed.sum() * terms.influence, np.nan)


def effective_block(hours: int, block: int) -> int:
    """The block that a series of so many hours is resampled in: it holds MIN_BLOCKS or more."""
    return min(block, max(1, hours // MIN_BLOCKS))


def check_observations(
    observed: Mask, *, seed: int, block: int = BLOCK_HOURS, replicates: int = 4000
) -> None:
    """Raises ValueError where paired_difference() would, given only which hours are observed (T,):
    before there are any errors.
    """
    if observed.sum() < 2:
        raise ValueError(f"two hours or more must be observed, but got {observed.sum()}")
    _Resamples.draw(observed, seed=seed, block=block, replicates=replicates)


@dataclass(frozen=True)
class _Resamples:
    """Draws of blocks of consecutive hours.

    Attributes:
        starts, ends: (R, blocks) where the blocks of each of R resamples start and end.
        counts: (R,) how many of its hours are observed.
        hours: T.
        block: hours of one, but the last of each resample.
    """

    starts: RowIndex
    ends: RowIndex
    counts: Float64Array
    hours: int
    block: int

    @classmethod
    def draw(cls, observed: Mask, *, seed: int, block: int, replicates: int) -> Self:
        """Of hours (T,) some of which are observed."""
        if block < 1 or replicates < 19:
            raise ValueError(
                "block must be 1 h or more and replicates 19 or more, "
                f"but got block={block}, replicates={replicates}"
            )
        hours = len(observed)
        block = effective_block(hours, block)
        blocks = -(-hours // block)
        generator = np.random.default_rng(seed).spawn(1)[0]
        starts = generator.integers(hours - block + 1, size=(replicates, blocks))
        ends = starts + block
        ends[:, -1] -= blocks * block - hours  # a resample is as long as the series
        running = _prefix_sums(observed)
        counts = (running[ends] - running[starts]).sum(axis=1)
        if not counts.all():
            raise ValueError(
                f"every resample must hold an observed hour, but {np.sum(counts == 0)} of "
                f"{replicates} hold none: {observed.sum()} of {hours} h are observed, too few or "
                "too close together"
            )
        return cls(starts, ends, counts, hours, block)


def diebold_mariano(
    loss_a: Float64Array, loss_b: Float64Array, *, bandwidth: int = BLOCK_HOURS
) -> DieboldMariano:
    """The mean loss difference over its standard error (Diebold and Mariano 1995).

    The variance of the mean is the sum of the autocovariances up to the bandwidth with Bartlett's
    weights 1 - k / (bandwidth + 1) (Newey and West 1987, doi:10.2307/1913610); the test itself is
    doi:10.1080/07350015.1995.10524599. It takes the forecasts as given: other seeds might do
    otherwise. Losses that differ nowhere give 0 and p = 1; where they differ by the same at every
    hour the statistic is infinite, or as large as rounding makes it.

    Args:
        loss_a, loss_b: (T,) squared or absolute errors at consecutive hours, NaN where not
            observed; these are dropped, and the rest taken as a sequence.
        bandwidth: h; cut to one less than the observed hours.

    Raises:
        ValueError: the shapes don't match, the observed hours differ or are fewer than two, a
            loss is infinite, or the bandwidth is negative.
    """
    if loss_a.ndim != 1 or loss_b.ndim != 1:
        raise ValueError(f"losses must be (hours,), but got {loss_a.shape} and {loss_b.shape}")
    observed = _common_mask(loss_a[None], loss_b[None])
    if bandwidth < 0:
        raise ValueError(f"bandwidth must be 0 h or more, but got {bandwidth}")
    differences = (loss_a - loss_b)[observed]
    mean = float(differences.mean())
    # The weighted sum of autocovariances is the mean square of the sums over all windows of
    # bandwidth + 1 hours, those that reach over the ends too: it can't come out negative.
    width = min(bandwidth, len(differences) - 1) + 1
    running = _prefix_sums(np.pad(differences - mean, width - 1))
    windows = running[width:] - running[:-width]
    error = math.sqrt(float(windows @ windows) / width) / len(differences)
    if error > 0:
        statistic = mean / error
    elif mean != 0:
        statistic = math.copysign(math.inf, mean)
    else:
        statistic = 0.0
    return DieboldMariano(statistic, math.erfc(abs(statistic) / math.sqrt(2)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values (1979, Scandinavian Journal of Statistics 6:65-70), in their order.

    Rejecting those of at most 0.05 rejects a true hypothesis, one or more of the family, with a
    probability of at most 5%, however the tests depend on each other.

    Raises:
        ValueError: a value does not lie from 0 to 1.
    """
    if wrong := [p for p in p_values if not 0 <= p <= 1]:
        raise ValueError(f"p-values must lie from 0 to 1, but got {', '.join(map(str, wrong))}")
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda n: p_values[n])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = highest
    return adjusted


@dataclass(frozen=True)
class _InfluenceTerms:
    """One model's metric on the test, in the target's unit or relative, and what it is made of."""

    value: float
    losses: Float64Array  # (T,) of the mean forecast, 0 where not observed
    slopes: Float64Array  # (S, T) change of the loss for a seed's whole weight
    # (T,) their sum over observed hours, by the count, is the metric's change
    influence: Float64Array
    count: int
    of_losses: Literal["root of mean", "mean", "sum"]  # what the metric, or its change, is
    seeds_variance: float  # of the metric, from the draw of the seeds

    @classmethod
    def of(cls, errors: Float64Array, observed: Mask, metric: Metric) -> Self:
        errors = np.where(observed, errors, 0.0)
        mean, count = errors.mean(axis=0), observed.sum()
        if metric == "rmse":
            losses, slopes = mean**2, 2 * mean * errors
            value = math.sqrt(losses.sum() / count)
            root = 0.5 / value if value else 0.0  # the slope of the square root
        else:
            losses, slopes = np.abs(mean), np.sign(mean) * errors
            value, root = float(losses.sum() / count), 1.0
        influence = np.where(observed, root * (losses - losses.sum() / count), 0.0)
        by_seed = root * slopes.sum(axis=1) / count
        return cls(
            value=value,
            losses=losses,
            slopes=slopes,
            influence=influence,
            count=int(count),
            of_losses="root of mean" if metric == "rmse" else "mean",
            seeds_variance=_variance_of_mean(by_seed),
        )

    @classmethod
    def of_series(cls, errors: Float64Array, hours: HoursBySeries, metric: Metric) -> Self:
        """Of (S, R) errors: here losses are influences, and sums over all hours are changes."""
        errors = hours.known(errors)
        mean = errors.mean(axis=0)
        loss = np.square if metric in SQUARED else np.abs
        losses, references = loss(mean), loss(hours.persistence)
        units = hours.by_series(references)
        means = hours.by_series(losses) / units  # of each series, the ratio or its square
        weights = 1 / (units * len(units))
        if metric in SQUARED:
            means = np.sqrt(means)
            with np.errstate(divide="ignore"):
                # The slope of the square root; a perfect forecast has no losses to multiply by it.
                weights = np.where(means > 0, 0.5 * weights / means, 0.0)
            against, slope = weights * means**2, 2 * mean
        else:
            against, slope = weights * means, np.sign(mean)
        of_row = weights[hours.series]
        influence = hours.by_time(of_row * losses - against[hours.series] * references)
        slopes = np.stack([hours.by_time(of_row * slope * each) for each in errors])
        return cls(
            value=float(means.mean()),
            losses=influence,
            slopes=slopes,
            influence=influence,
            count=1,
            of_losses="sum",
            seeds_variance=_variance_of_mean(slopes.sum(axis=1)),
        )

    def replicates(self, resamples: _Resamples, generator: np.random.Generator) -> Float64Array:
        """(R,) the metric in resamples; of several series its change."""

        def summed(terms: Float64Array) -> Float64Array:
            running = _prefix_sums(terms)
            return np.asarray((running[resamples.ends] - running[resamples.starts]).sum(axis=1))

        seeds = len(self.slopes)
        draws = max(1, seeds - 1)
        drawn = generator.multinomial(draws, np.full(seeds, 1 / seeds), size=len(resamples.starts))
        weights = drawn / draws - 1 / seeds
        sums = summed(self.losses)
        for weight, slopes in zip(weights.T, self.slopes, strict=True):
            sums += weight * summed(slopes)
        if self.of_losses == "sum":
            return sums
        means = sums / resamples.counts
        return np.sqrt(np.maximum(means, 0.0)) if self.of_losses == "root of mean" else means


def _bootstrap(
    terms_a: _InfluenceTerms, terms_b: _InfluenceTerms, resamples: _Resamples, seed: int
) -> PairedDifference:
    """The difference of two models' metrics and its interval, as paired_difference() says."""
    _, for_a, for_b = np.random.default_rng(seed).spawn(3)
    difference = terms_a.value - terms_b.value
    deviations = terms_a.replicates(resamples, for_a)
    deviations -= terms_b.replicates(resamples, for_b)
    deviations -= deviations.mean()

    # Standard errors, of the series and of each resample: of sums over blocks, and of the seeds.
    block, starts = resamples.block, resamples.starts
    running = _prefix_sums(terms_a.influence - terms_b.influence)
    per_block = resamples.hours / block / terms_a.count**2
    seeds = terms_a.seeds_variance + terms_b.seeds_variance
    error = math.sqrt((running[block:] - running[:-block]).var() * per_block + seeds)
    drawn = running[starts + block] - running[starts]
    errors = np.sqrt(drawn.var(axis=1, ddof=1) * per_block + seeds)
    if error > 0:
        deviations *= error / np.maximum(errors, error / MAX_STUDENTISATION)

    replicates = len(deviations)
    sizes = np.sort(np.abs(deviations))
    half = float(sizes[replicates - (replicates + 1) // 20])
    reached = replicates - int(np.searchsorted(sizes, abs(difference)))
    p_value = (1 + reached) / (replicates + 1)
    return PairedDifference(difference, difference - half, difference + half, p_value)


def _variance_of_mean(by_seed: Float64Array) -> float:
    """Of a mean of the (S,) seeds; 0 of one seed, which is taken to have no other."""
    return float(by_seed.var(ddof=1)) / len(by_seed) if len(by_seed) > 1 else 0.0


def _prefix_sums(values: Float64Array | Mask) -> Float64Array:
    """(T,) -> (T + 1,) sums of all before: a stretch's sum is a difference of two."""
    return np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])


def _common_mask(a: Float64Array, b: Float64Array) -> Mask:
    """(T,) which hours both models' errors (S, T) have."""
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or not len(a) or not len(b):
        raise ValueError(
            "errors must be (seeds, hours), one seed or more and the same hours for both models, "
            f"but got {a.shape} and {b.shape}"
        )
    missing = np.isnan(np.concatenate([a, b]))
    observed = np.asarray(~missing[0])
    if different := int((missing != missing[0]).any(axis=0).sum()):
        raise ValueError(
            "both models and all of their seeds must have the same hours observed, "
            f"but they differ at {different} of {len(observed)} h"
        )
    if observed.sum() < 2:
        raise ValueError(f"two hours or more must be observed, but got {observed.sum()}")
    if infinite := int(np.isinf(a).sum() + np.isinf(b).sum()):
        raise ValueError(f"errors must be finite, or NaN for missing, but {infinite} are infinite")
    return observed
