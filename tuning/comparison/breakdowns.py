"""Where the errors are: by month, hour, level and category; the largest; what intervals held."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from lstm_model.arrays import Float64Array, IntArray, Mask
from lstm_model.data.encoded_table import EncodedTable
from lstm_model.inference.predictor import TrainedForecaster
from lstm_model.wording import distinct
from tuning.comparison.backtest import ForecastErrors
from tuning.comparison.result import Breakdown, Coverage, LargestError

# Of the training rows, for a target without known levels.
LEVEL_QUANTILES = (0.2, 0.4, 0.6, 0.8, 0.95)
N_LARGEST_ERRORS = 10

Categories = Mapping[str, npt.NDArray[np.object_]]


def break_down(
    errors: ForecastErrors,
    models: Sequence[str],
    level_edges: Sequence[float],
    categories: Categories,
) -> list[Breakdown]:
    """RMSE of the hours of each month, hour of the day, level and category, by lead time.

    Month and hour are of the hour that is forecast; level and category are what was known at the
    forecast's origin, since sorting by what came of it would favour models that exaggerate
    (Lerch et al. 2017, doi:10.1214/16-STS588).

    Args:
        level_edges: the inner edges between levels, in the target's unit.
        categories: (rows of the table,) of each categorical column, the last one known.
    """
    squares = {model: np.square(errors.mean_errors(model)) for model in models}
    breakdowns = []
    for by, group, members in _groups(errors, level_edges, categories):
        for lead in range(1, errors.horizon + 1):
            hours = members[:, lead - 1] & errors.known[:, lead - 1]
            if hours.any():
                rmse = {
                    model: float(np.sqrt(squares[model][hours, lead - 1].mean()))
                    for model in models
                }
                breakdowns.append(Breakdown(by, lead, group, int(hours.sum()), rmse))
    return breakdowns


def _groups(
    errors: ForecastErrors, level_edges: Sequence[float], categories: Categories
) -> Iterator[tuple[str, str, Mask]]:
    """(breakdown, group, (T, L) which forecasts are in it)."""
    month, hour = (np.asarray(each) for each in (errors.times.month, errors.times.hour))

    def at_every_lead(rows: Mask) -> Mask:
        return np.repeat(rows[:, None], errors.horizon, axis=1)

    for number in np.unique(month):
        yield "month", str(number), at_every_lead(month == number)
    for number in np.unique(hour):
        yield "hour of day", f"{number:02d}", at_every_lead(hour == number)
    for name, members in group_by_level(errors.levels, level_edges).items():
        yield "level", name, members
    for column, of_row in categories.items():
        at_origin = of_row[errors.origins]
        for category in sorted({value for value in of_row if isinstance(value, str)}):
            yield column, category, at_origin == category


def group_by_level(values: Float64Array, level_edges: Sequence[float]) -> dict[str, Mask]:
    """Which of the values, of any shape, lie between which edges; a value on an edge is above."""
    number = np.searchsorted(level_edges, values, side="right")
    edges = distinct(level_edges)
    names = [f"below {edges[0]}"]
    names += [f"{low} to {high}" for low, high in pairwise(edges)]
    names += [f"{edges[-1]} and more"]
    return {name: number == each for each, name in enumerate(names)}


def find_level_edges(table: EncodedTable, known: Sequence[float] | None) -> list[float]:
    """Where levels begin: the known edges of the target's levels, else quantiles of the training.

    Args:
        known: as Dataset.level_edges has them.
    """
    if known is not None:
        return list(known)
    target = np.concatenate(
        [series.target[: series.validation_start] for series in table.each_series()]
    )
    return sorted({float(q) for q in np.nanquantile(target, LEVEL_QUANTILES)})


def find_largest_errors(errors: ForecastErrors, model: str, lead: int) -> list[LargestError]:
    """The hours that the model missed by most at a lead time, of all series."""
    at_lead = errors.mean_errors(model)[:, lead - 1]
    number = errors.index.numbers
    order = np.argsort(-np.abs(np.nan_to_num(at_lead)), kind="stable")[:N_LARGEST_ERRORS]
    return [
        LargestError(
            model=model,
            lead_time=lead,
            time=f"{errors.times[row]:%Y-%m-%d %H:%M}",
            observed=float(errors.observed[row]),
            forecast=float(errors.observed[row] + at_lead[row]),
            error=float(at_lead[row]),
            series=errors.index.names[number[row]] if errors.has_series else None,
        )
        for row in order
        if np.isfinite(at_lead[row])
    ]


def measure_coverage(
    errors: ForecastErrors, name: str, model: TrainedForecaster, level_edges: Sequence[float]
) -> list[Coverage]:
    """How many observations lie in a model's prediction intervals, of all series.

    By lead time; at the first and the last one by the forecast's own level as well.

    Args:
        name: the model's in `errors`.
    """
    forecasts = _forecasts(errors, name)
    coverage = []
    for claim, bounds in _bounds(errors, forecasts, model).items():
        for lead in range(1, errors.horizon + 1):
            groups = {"all": errors.known[:, lead - 1]}
            if lead in (1, errors.horizon):
                groups |= group_by_level(forecasts[:, lead - 1], level_edges)
            for level, members in groups.items():
                rows = np.flatnonzero(members)
                coverage += _measure_rows(errors, name, claim, lead, level, rows, bounds)
    return coverage


def measure_coverage_by_series(
    errors: ForecastErrors, models: Mapping[str, TrainedForecaster]
) -> dict[str, list[Coverage]] | None:
    """As measure_coverage() at the first and the last lead time, of all levels, in each series;
    None of one series.
    """
    if not errors.has_series:
        return None
    coverage: dict[str, list[Coverage]] = {}
    for name, model in models.items():
        by_claim = _bounds(errors, _forecasts(errors, name), model)
        for series, rows in errors.index:
            own = np.arange(rows.start, rows.stop)
            for claim, bounds in by_claim.items():
                for lead in sorted({1, errors.horizon}):
                    coverage.setdefault(series, []).extend(
                        _measure_rows(errors, name, claim, lead, "all", own, bounds)
                    )
    return {series: shares for series, shares in coverage.items() if shares}


def _forecasts(errors: ForecastErrors, name: str) -> Float64Array:
    """(T, L) what a model forecast."""
    return errors.observed[:, None] + errors.mean_errors(name)


def _bounds(
    errors: ForecastErrors, forecasts: Float64Array, model: TrainedForecaster
) -> dict[float, tuple[Float64Array, Float64Array]]:
    """(T, L) lower and upper bounds by coverage, NaN where none are known."""
    bounds: dict[float, tuple[Float64Array, Float64Array]] = {}
    for series, rows in errors.index:
        of_series = model.prediction_intervals(
            forecasts[rows], errors.floors[rows], series=series, scales=errors.scales.get(series)
        )
        for claim, (low, high) in of_series.items():
            if claim not in bounds:
                bounds[claim] = np.full_like(forecasts, np.nan), np.full_like(forecasts, np.nan)
            bounds[claim][0][rows], bounds[claim][1][rows] = low, high
    return bounds


def _measure_rows(
    errors: ForecastErrors,
    name: str,
    claim: float,
    lead: int,
    level: str,
    rows: IntArray,
    bounds: tuple[Float64Array, Float64Array],
) -> list[Coverage]:
    """Of those of these hours that count and have bounds; empty where there are none."""
    at = lead - 1
    low, high, known = bounds[0][rows, at], bounds[1][rows, at], errors.known[rows, at]
    rows = rows[known & np.isfinite(high - low)]
    if not len(rows):
        return []
    low, high, observed = bounds[0][rows, at], bounds[1][rows, at], errors.observed[rows]
    share = float(((low <= observed) & (observed <= high)).mean())
    return [Coverage(name, claim, lead, level, len(rows), share, float((high - low).mean()))]
