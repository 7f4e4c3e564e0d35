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
from lstm_model.data.step import Step

# The share of observations that is to lie in an interval.
COVERAGES = (0.8, 0.95)
# How errors grow with the level is a line through the mean sizes of residuals in so many groups of
# forecasts, each with at least so many of them where there are enough.
MAX_KNOTS, MIN_GROUP_SIZE = 20, 50
# No group's scale is taken to be less than this share of all residuals' mean size: a level that
# happened to be forecast without any error would have intervals without any width.
MIN_SCALE = 0.01
# Knots are rounded by at most this share of their span.
KNOT_ROUNDING = 1e-3


@dataclass(frozen=True)
class Intervals:
    """How large the errors to expect are, at each lead time and level of the forecast.

    Attributes:
        knots: (L, K) forecasts, in the target's unit, rising.
        scales: (2, L, K) mean size of negative and of positive residuals (observation minus
            forecast) at each knot, in the target's unit; the other sign counts as 0. A model that
            exaggerates at high levels errs to other sides there than at low ones.
        score_quantiles: (L, 2) by coverage: the lower and the upper quantile of scores. A score is
            a residual divided by the scale of its sign at its forecast's level.
    """

    knots: Float64Array
    scales: Float64Array
    score_quantiles: Mapping[float, Float64Array]

    @classmethod
    def fit(cls, forecasts: Float64Array, observed: Float64Array) -> Self:
        """From forecasts of hours that the model was not trained on, and what was observed.

        Args:
            forecasts, observed: (N, L) in the target's unit; NaN in either leaves the pair out.
                There is at least one pair for every lead time.
        """
        known = np.isfinite(forecasts) & np.isfinite(observed)
        groups = int(np.clip(known.sum(axis=0).min() // MIN_GROUP_SIZE, 1, MAX_KNOTS))
        all_knots, all_scales, scores = [], [], []
        for lead, rows in enumerate(known.T):
            level = forecasts[rows, lead]
            residual = observed[rows, lead] - level
            members = np.array_split(np.argsort(level, kind="stable"), groups)
            knots = _round_knots(np.array([level[group].mean() for group in members]))
            sides = np.stack([np.maximum(-residual, 0), np.maximum(residual, 0)])
            sizes = np.array([sides[:, group].mean(axis=1) for group in members]).T
            # Where there was no error at all, any scale will do: every quantile is 0.
            smallest = MIN_SCALE * float(sides.mean()) or 1.0
            scales = _round(np.maximum(sizes, smallest))
            all_knots.append(knots)
            all_scales.append(scales)
            below, above = (np.interp(level, knots, side) for side in scales)
            scores.append(np.sort(residual / np.where(residual < 0, below, above)))
        return cls(
            np.array(all_knots),
            np.stack(all_scales, axis=1),
            {
                coverage: _round(np.array([_conformal_quantiles(s, coverage) for s in scores]))
                for coverage in COVERAGES
            },
        )

    def bounds(
        self, forecasts: Float64Array, lower_limit: Float64Array | float = -math.inf
    ) -> dict[float, tuple[Float64Array, Float64Array]]:
        """Lower and upper bounds by coverage.

        Args:
            forecasts: (T, L) in the target's unit.
            lower_limit: (T, 1), (T, L) or one for all: physical lower limit of the target. Bounds
                are clipped to it, or to the forecast where that is lower.

        Returns:
            (T, L) each, in the target's unit; NaN where the forecast is.
        """
        sides = np.empty((2, *forecasts.shape))
        for side, scales in enumerate(self.scales):
            for lead, knots in enumerate(self.knots):
                sides[side, :, lead] = np.interp(forecasts[:, lead], knots, scales[lead])
        below, above = sides
        bounds = {}
        for coverage, (low, high) in ((c, q.T) for c, q in self.score_quantiles.items()):
            # A quantile has the sign of the side that its residuals lay on.
            lower = forecasts + low * np.where(low < 0, below, above)
            upper = forecasts + high * np.where(high < 0, below, above)
            bounds[coverage] = np.maximum(lower, np.minimum(lower_limit, forecasts)), upper
        return bounds

    def to_json(self) -> dict[str, Any]:
        """As model.json has it."""
        return {
            "levels": self.knots.tolist(),
            "spreads": self.scales.tolist(),
            "quantiles": {f"{c:g}": q.tolist() for c, q in self.score_quantiles.items()},
        }

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> Self:
        """What to_json() gave; raises ValueError where its parts don't fit together."""
        knots, scales = np.array(saved["levels"]), np.array(saved["spreads"])
        quantiles = {float(coverage): np.array(q) for coverage, q in saved["quantiles"].items()}
        if knots.ndim != 2 or scales.shape != (2, *knots.shape):
            raise ValueError("its intervals have no table of levels and spreads")
        if any(q.shape != (len(knots), 2) for q in quantiles.values()):
            raise ValueError("its intervals have no two quantiles for each lead time")
        return cls(knots, scales, quantiles)


def calibrate(validated: Sequence[tuple[EncodedSeries, Float64Array]]) -> Intervals:
    """From the forecasts of one or several validation periods.

    Args:
        validated: each period's series, and the (origins, L) changes that a model trained on the
            rows before it forecast for it: of HoldoutEvaluator.forecast(), or a mean of such.
    """
    forecasts, observed = [], []
    for series, changes in validated:
        rows = slice(len(series.target) - len(changes), None)
        last_observed = series.last_observed[rows, None]
        known = np.where(series.valid_mask[rows], series.changes[rows], np.nan)
        forecasts.append(last_observed + changes)
        observed.append(last_observed + known)
    return Intervals.fit(np.concatenate(forecasts), np.concatenate(observed))


@dataclass(frozen=True)
class Forecasts:
    """What a model forecasts from T origins.

    Attributes:
        origins: (T,) the last row that each forecast has read.
        step: the time from one row to the next; lead time h is h steps after the origin.
        point: (T, L) the forecasts, in the target's unit.
        bounds: (T, L) lower and upper bounds of the prediction intervals by coverage (0.8 and
            0.95), in the target's unit. Empty where the model was saved without any.
    """

    origins: pd.DatetimeIndex
    step: Step
    point: Float64Array
    bounds: Mapping[float, tuple[Float64Array, Float64Array]]

    def every_nth_origin(self, n: int) -> Self:
        """From each n-th origin, counted back from the last, which is always among them."""
        kept = slice((len(self.origins) - 1) % n, None, n)
        return type(self)(
            self.origins[kept],
            self.step,
            self.point[kept],
            {coverage: (low[kept], high[kept]) for coverage, (low, high) in self.bounds.items()},
        )

    def valid_times(self, origin: int = -1) -> pd.DatetimeIndex:
        """(L,) when the forecasts from an origin, by its number, are valid."""
        at = self.origins[[origin]]
        leads = range(1, self.point.shape[1] + 1)
        return pd.DatetimeIndex([self.step.after(at, lead)[0] for lead in leads])

    def _all_valid_times(self) -> pd.DatetimeIndex:
        """(T * L,) a row for each origin and lead time."""
        count, horizon = self.point.shape
        by_lead = [self.step.after(self.origins, lead) for lead in range(1, horizon + 1)]
        places = np.arange(count * horizon).reshape(horizon, count).T.ravel()
        return pd.DatetimeIndex(by_lead[0].append(by_lead[1:])[places])

    def table(self) -> pd.DataFrame:
        """A row for each origin and lead time.

        Its columns are `origin`, `lead_time` (in steps), `valid_time`, `forecast`, and
        `lower_80`, `upper_80`, `lower_95`, `upper_95`, which are empty where there are no bounds.
        """
        count, horizon = self.point.shape
        origins = self.origins.repeat(horizon)
        leads = np.tile(np.arange(1, horizon + 1), count)
        columns = {
            "origin": origins,
            "lead_time": leads,
            "valid_time": self._all_valid_times(),
            "forecast": self.point.ravel(),
        }
        unknown = (np.full_like(self.point, np.nan),) * 2
        for coverage in COVERAGES:
            low, high = self.bounds.get(coverage, unknown)
            columns[f"lower_{round(100 * coverage)}"] = low.ravel()
            columns[f"upper_{round(100 * coverage)}"] = high.ravel()
        return pd.DataFrame(columns)


def _conformal_quantiles(scores: Float64Array, coverage: float) -> tuple[float, float]:
    """The order statistics of (N,) sorted scores between which the next one lies.

    Each side is missed with a probability of at most half of 1 - coverage, whatever the scores'
    distribution, if the next one could as well have been any of them. Too few scores (below 39 for
    95%) can't promise that: their extremes are taken.
    """
    count = len(scores)
    missed = (count + 1) * (1 - coverage) / 2
    # Rounded, since 0.1 times 40 must be 4 and no less.
    low = max(math.floor(round(missed, 9)), 1)
    high = min(math.ceil(round(count + 1 - missed, 9)), count)
    return float(scores[low - 1]), float(scores[high - 1])


def _round_knots(knots: Float64Array) -> Float64Array:
    """Rising (K,) knots to six digits, where that is little beside their span: those of a meter
    that stands at twelve millions would all be the same.
    """
    rounded = _round(knots)
    error = float(np.abs(rounded - knots).max())
    return knots if error > KNOT_ROUNDING * float(np.ptp(knots)) else rounded


def _round(values: Float64Array) -> Float64Array:
    """To six digits, as they are saved."""
    return np.array([float(f"{value:.6g}") for value in values.flat]).reshape(values.shape)
