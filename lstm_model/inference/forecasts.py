"""What a model forecasts from the rows of a table: points and bounds, as a table or as arrays.

Letters: T origins of all series, one after the other, L lead times.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import pandas as pd

from lstm_model.arrays import Float64Array, IntArray
from lstm_model.data.series_index import ONE_SERIES, SeriesIndex
from lstm_model.data.step import Step
from lstm_model.inference.intervals import COVERAGES


@dataclass(frozen=True)
class Forecasts:
    """What a model forecasts from T origins, of one series or of several one after the other.

    Examples:
        >>> origins = pd.DatetimeIndex(["2024-05-01 10:00", "2024-05-01 11:00"] * 2)
        >>> forecasts = Forecasts(
        ...     origins,
        ...     Step(3600),
        ...     np.array([[1.0], [2.0], [30.0], [40.0]]),
        ...     {},
        ...     SeriesIndex(("north", "south"), (0, 2, 4)),
        ... )
        >>> forecasts.by_series["south"].point.tolist()
        [[30.0], [40.0]]
        >>> last = forecasts.every_nth_origin(2)  # of each series
        >>> last.table()[["series", "origin", "forecast"]]
          series              origin  forecast
        0  north 2024-05-01 11:00:00       2.0
        1  south 2024-05-01 11:00:00      40.0

    Attributes:
        origins: (T,) the last row that each forecast has read.
        step: the time from one row to the next; lead time h is h steps after the origin.
        point: (T, L) the forecasts, in the target's unit.
        bounds: (T, L) lower and upper bounds of the prediction intervals by coverage (0.8 and
            0.95), in the target's unit. Empty where the model was saved without any.
        index: which origins are of which series; without one they are all of one.
        left_out: the table's series that nothing is forecast of, and why.
        pooled: those whose intervals are of all series together, in units of each one's change.
        new: those that the model has not learned from. Each, and its intervals, are scaled by its
            own rows so far.
    """

    origins: pd.DatetimeIndex
    step: Step
    point: Float64Array
    bounds: Mapping[float, tuple[Float64Array, Float64Array]]
    index: SeriesIndex = field(default=None)  # type: ignore[assignment]  # of one series
    left_out: Mapping[str, str] = field(default_factory=dict)
    pooled: tuple[str, ...] = ()
    new: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.index is None:
            object.__setattr__(self, "index", SeriesIndex.of_one(len(self.origins)))

    @property
    def by_series(self) -> Mapping[str, "Forecasts"]:
        """The forecasts of each series alone, by its name, which is empty where none is given."""
        return {
            name: Forecasts(
                self.origins[rows],
                self.step,
                self.point[rows],
                {claim: (low[rows], high[rows]) for claim, (low, high) in self.bounds.items()},
                pooled=tuple(each for each in self.pooled if each == name),
                new=tuple(each for each in self.new if each == name),
            )
            for name, rows in self.index
        }

    def every_nth_origin(self, n: int) -> Self:
        """From each n-th origin of a series, counted back from its last, which is always there."""
        parts: list[IntArray] = [
            np.arange(rows.start + (rows.stop - rows.start - 1) % n, rows.stop, n)
            for _, rows in self.index
        ]
        kept = np.concatenate(parts)
        return type(self)(
            self.origins[kept],
            self.step,
            self.point[kept],
            {coverage: (low[kept], high[kept]) for coverage, (low, high) in self.bounds.items()},
            SeriesIndex.of_lengths(self.index.names, map(len, parts)),
            self.left_out,
            self.pooled,
            self.new,
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

        Its columns are `series`, where the table's series have names, `origin`, `lead_time` (in
        steps), `valid_time`, `forecast`, and `lower_80`, `upper_80`, `lower_95`, `upper_95`, which
        are empty where there are no bounds.
        """
        count, horizon = self.point.shape
        columns: dict[str, Any] = {}
        if self.index.names != (ONE_SERIES,):
            names = np.array(self.index.names, object)
            columns["series"] = pd.Series(names[self.index.numbers.repeat(horizon)], dtype="str")
        origins = self.origins.repeat(horizon)
        leads = np.tile(np.arange(1, horizon + 1), count)
        columns |= {
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
