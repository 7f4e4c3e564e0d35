"""Forecasts with prediction intervals: split-conformal, scaled with the forecast's own level.

docs/method.md has the method and its sources. Letters: N forecasts whose outcome is known, T
origins, L lead times, K knots.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd

from lstm_model.arrays import Float64Array
from lstm_model.data.series import EncodedSeries

# What the intervals claim: the share of observations that lie in them.
COVERAGES = (0.8, 0.95)
# How errors grow with the level is a line through the mean sizes of residuals in so many groups of
# forecasts, each with at least so many of them where there are enough.
MOST_KNOTS, LEAST_IN_A_GROUP = 20, 50
# No group's spread is taken to be less than this share of all residuals' mean size: a level that
# happened to be forecast without any error would have intervals without any width.
LEAST_SPREAD = 0.01
# Levels are rounded by at most this share of their span.
LEVEL_ROUNDING = 1e-3


@dataclass(frozen=True)
class Intervals:
    """What residuals taught about the errors to expect at each lead time.

    Attributes:
        levels: (L, K) forecasts, in the target's unit, rising.
        spreads: (2, L, K) what residuals (observation minus forecast) below zero and above it add
            to their mean size at these levels, in the target's unit. A model that exaggerates at
            high levels has other signs there than at low ones.
        quantiles: (L, 2) by coverage: the lower and the upper quantile of residuals divided by the
            spread of their own side at their forecast's level.
    """

    levels: Float64Array
    spreads: Float64Array
    quantiles: Mapping[float, Float64Array]

    @classmethod
    def calibrated(cls, forecasts: Float64Array, observed: Float64Array) -> Self:
        """From forecasts of hours that the model was not trained on, and what came.

        Args:
            forecasts, observed: (N, L) in the target's unit; NaN in either leaves the pair out.
                There is at least one pair for every lead time.
        """
        known = np.isfinite(forecasts) & np.isfinite(observed)
        groups = int(np.clip(known.sum(axis=0).min() // LEAST_IN_A_GROUP, 1, MOST_KNOTS))
        levels, spreads, scores = [], [], []
        for lead, rows in enumerate(known.T):
            level = forecasts[rows, lead]
            residual = observed[rows, lead] - level
            members = np.array_split(np.argsort(level, kind="stable"), groups)
            knots = _compact_levels(np.array([level[each].mean() for each in members]))
            sides = np.stack([np.maximum(-residual, 0), np.maximum(residual, 0)])
            sizes = np.array([sides[:, each].mean(axis=1) for each in members]).T
            # Where there was no error at all, any spread will do: every quantile is 0.
            least = LEAST_SPREAD * float(sides.mean()) or 1.0
            spread = _compact(np.maximum(sizes, least))
            levels.append(knots)
            spreads.append(spread)
            below, above = (np.interp(level, knots, side) for side in spread)
            scores.append(np.sort(residual / np.where(residual < 0, below, above)))
        return cls(
            np.array(levels),
            np.stack(spreads, axis=1),
            {
                claim: _compact(np.array([_two_sided(each, claim) for each in scores]))
                for claim in COVERAGES
            },
        )

    def bounds(
        self, forecasts: Float64Array, floor: Float64Array | float = -math.inf
    ) -> dict[float, tuple[Float64Array, Float64Array]]:
        """Lower and upper bounds by coverage.

        Args:
            forecasts: (T, L) in the target's unit.
            floor: (T, 1), (T, L) or one for all: what the target can't fall below; no lower bound
                does, but for a forecast that does so itself.

        Returns:
            (T, L) each, in the target's unit; NaN where the forecast is.
        """
        spread = np.empty((2, *forecasts.shape))
        for side, spreads in enumerate(self.spreads):
            for lead, levels in enumerate(self.levels):
                spread[side, :, lead] = np.interp(forecasts[:, lead], levels, spreads[lead])
        below, above = spread
        found = {}
        for claim, (low, high) in ((claim, q.T) for claim, q in self.quantiles.items()):
            # A quantile has the sign of the side that its residuals lay on.
            lower = forecasts + low * np.where(low < 0, below, above)
            upper = forecasts + high * np.where(high < 0, below, above)
            found[claim] = np.maximum(lower, np.minimum(floor, forecasts)), upper
        return found

    def to_json(self) -> dict[str, Any]:
        return {
            "levels": self.levels.tolist(),
            "spreads": self.spreads.tolist(),
            "quantiles": {f"{claim:g}": q.tolist() for claim, q in self.quantiles.items()},
        }

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> Self:
        """What to_json() gave; raises ValueError where its parts don't fit together."""
        levels, spreads = np.array(saved["levels"]), np.array(saved["spreads"])
        quantiles = {float(claim): np.array(q) for claim, q in saved["quantiles"].items()}
        if levels.ndim != 2 or spreads.shape != (2, *levels.shape):
            raise ValueError("its intervals have no table of levels and spreads")
        if any(q.shape != (len(levels), 2) for q in quantiles.values()):
            raise ValueError("its intervals have no two quantiles for each lead time")
        return cls(levels, spreads, quantiles)


def calibrate(validated: Sequence[tuple[EncodedSeries, Float64Array]]) -> Intervals:
    """From the forecasts of one or several validation periods.

    Args:
        validated: each period's series and (origins, L) changes that a model forecast for it which
            had learned from what comes before: what Validation.forecast() gives, or a mean of such.
    """
    forecasts, observed = [], []
    for series, changes in validated:
        rows = slice(len(series.target) - len(changes), None)
        last = series.last_observed[rows, None]
        came = np.where(series.valid_mask[rows], series.changes[rows], np.nan)
        forecasts.append(last + changes)
        observed.append(last + came)
    return Intervals.calibrated(np.concatenate(forecasts), np.concatenate(observed))


@dataclass(frozen=True)
class Forecasts:
    """What a model forecasts from T origins.

    Attributes:
        origins: (T,) the last row that each forecast has read.
        step: the time from one row to the next; lead time h is h steps after the origin.
        values: (T, L) the forecasts, in the target's unit.
        bounds: (T, L) lower and upper bounds by the share of observations that are to lie in them
            (0.8 and 0.95), in the target's unit. Empty where the model was saved without any.
    """

    origins: pd.DatetimeIndex
    step: pd.Timedelta
    values: Float64Array
    bounds: Mapping[float, tuple[Float64Array, Float64Array]]

    def every(self, rows: int) -> Self:
        """From each `rows`-th origin, counted back from the last, which is always among them."""
        kept = slice((len(self.origins) - 1) % rows, None, rows)
        return type(self)(
            self.origins[kept],
            self.step,
            self.values[kept],
            {claim: (low[kept], high[kept]) for claim, (low, high) in self.bounds.items()},
        )

    def valid_times(self, origin: int = -1) -> pd.DatetimeIndex:
        """(L,) when the forecasts from an origin, by its number, are valid."""
        leads = pd.RangeIndex(1, self.values.shape[1] + 1)
        return pd.DatetimeIndex(self.origins[origin] + leads * self.step)

    def table(self) -> pd.DataFrame:
        """A row for each origin and lead time.

        Its columns are `origin`, `lead_time` (in steps), `valid_time`, `forecast`, and
        `lower_80`, `upper_80`, `lower_95`, `upper_95`, which are empty where there are no bounds.
        """
        count, horizon = self.values.shape
        origins = self.origins.repeat(horizon)
        leads = np.tile(np.arange(1, horizon + 1), count)
        found = {
            "origin": origins,
            "lead_time": leads,
            "valid_time": origins + pd.to_timedelta(leads * self.step),
            "forecast": self.values.ravel(),
        }
        nothing = (np.full_like(self.values, np.nan),) * 2
        for claim in COVERAGES:
            low, high = self.bounds.get(claim, nothing)
            found[f"lower_{round(100 * claim)}"] = low.ravel()
            found[f"upper_{round(100 * claim)}"] = high.ravel()
        return pd.DataFrame(found)


def _two_sided(scores: Float64Array, claim: float) -> tuple[float, float]:
    """The order statistics of (N,) sorted scores between which the next one lies.

    Each side is missed with a probability of at most half of 1 - claim, whatever the scores'
    distribution, if the next one could as well have been any of them. Too few scores (below 39 for
    95%) can't promise that: their extremes are taken.
    """
    count = len(scores)
    missed = (count + 1) * (1 - claim) / 2
    # Rounded, since 0.1 times 40 must be 4 and no less.
    low = max(math.floor(round(missed, 9)), 1)
    high = min(math.ceil(round(count + 1 - missed, 9)), count)
    return float(scores[low - 1]), float(scores[high - 1])


def _compact_levels(levels: Float64Array) -> Float64Array:
    """Rising (K,) levels to six digits, where that is little beside their span: of a meter that
    stands at twelve millions six digits would be all the same.
    """
    few = _compact(levels)
    exact = float(np.abs(few - levels).max()) > LEVEL_ROUNDING * float(np.ptp(levels))
    return levels if exact else few


def _compact(values: Float64Array) -> Float64Array:
    """To six digits, as they are saved."""
    return np.array([float(f"{value:.6g}") for value in values.flat]).reshape(values.shape)
