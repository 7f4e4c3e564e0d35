"""Forecasts with prediction intervals: split-conformal, scaled with the forecast's own level.

docs/method.md has the method and its sources. Letters: N forecasts whose outcome is known, T
origins, L lead times, K knots.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from lstm_model.arrays import Float64Array
from lstm_model.data.encoded_table import EncodedTable
from lstm_model.data.series import EncodedSeries

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
# Of several series, one has intervals of its own where so many of its forecasts or more are known
# at every lead time: 95% intervals leave out five of them at each side.
MIN_OWN_FORECASTS = 200


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

    def bounds_in_units(
        self,
        forecasts: Float64Array,
        units: Float64Array,
        lower_limit: Float64Array | float = -math.inf,
    ) -> dict[float, tuple[Float64Array, Float64Array]]:
        """As bounds(), of intervals that were fitted to forecasts and observations in other units.

        Args:
            units: (T, L) of each forecast, in the target's unit. Where it is 0, no bound is known.
        """
        known = np.where(units > 0, units, np.nan)
        bounds = self.bounds(forecasts / known, lower_limit / known)
        return {coverage: (low * known, high * known) for coverage, (low, high) in bounds.items()}

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


def calibrate(validated: Sequence[tuple[EncodedTable, Float64Array]]) -> Intervals:
    """From the forecasts of one or several validation periods of one series.

    Args:
        validated: each period's table, and the (origins, L) changes that a model trained on the
            rows before it forecast for it: of HoldoutEvaluator.forecast(), or a mean of such.
    """
    forecasts, observed = [], []
    for table, changes in validated:
        for _, forecast, came, _ in _validations(table, changes):
            forecasts.append(forecast)
            observed.append(came)
    return Intervals.fit(np.concatenate(forecasts), np.concatenate(observed))


def calibrate_series(
    validated: Sequence[tuple[EncodedTable, Float64Array]],
) -> tuple[Intervals | None, dict[str, Intervals]]:
    """From the forecasts of validation periods of several series, as calibrate() takes them.

    Returns:
        Intervals pooled over all series, in units of each one's `change_scale`, or None where no
        unit is known; and by name those of the series that have MIN_OWN_FORECASTS.
    """
    by_series: dict[str, list[tuple[Float64Array, Float64Array]]] = {}
    pooled = []
    for table, changes in validated:
        for series, forecast, came, rows in _validations(table, changes):
            by_series.setdefault(series.name, []).append((forecast, came))
            scales = series.scales[rows]
            units = np.where(scales > 0, scales, np.nan)
            pooled.append((forecast / units, came / units))
    own = {}
    for name, periods in by_series.items():
        forecasts, observed = map(np.concatenate, zip(*periods, strict=True))
        known = np.isfinite(forecasts) & np.isfinite(observed)
        if known.sum(axis=0).min() >= MIN_OWN_FORECASTS or len(by_series) == 1:
            own[name] = Intervals.fit(forecasts, observed)
    forecasts, observed = map(np.concatenate, zip(*pooled, strict=True))
    has_any = (np.isfinite(forecasts) & np.isfinite(observed)).any(axis=0).all()
    return (Intervals.fit(forecasts, observed) if has_any else None), own


def _validations(
    table: EncodedTable, changes: Float64Array
) -> Iterator[tuple[EncodedSeries, Float64Array, Float64Array, slice]]:
    """Each series of a validation period with the forecasts for it, what was observed, NaN where
    it doesn't count, and the rows of the series that are their origins.
    """
    begin = 0
    for series in table.each_series():
        rows = slice(series.first_origin, len(series.target))
        part = changes[begin : begin + rows.stop - rows.start]
        begin += len(part)
        last_observed = series.last_observed[rows, None]
        known = np.where(series.valid_mask[rows], series.changes[rows], np.nan)
        yield series, last_observed + part, last_observed + known, rows


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
