"""One series as the model sees it: encoded inputs, splits, and missing targets masked.

Letters: T rows (hours), F input channels, L lead times. Nothing in row t depends on a row after t,
and nothing that is fitted (scales, categories) depends on a row outside training.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from lstm_model.arrays import Float32Array, Float64Array, Mask
from lstm_model.data.encoding import FeatureEncoder
from lstm_model.data.step import Step


@dataclass(frozen=True, eq=False)
class EncodedSeries:
    """One series of an EncodedTable, with no row of the test in it.

    Attributes:
        name: the series', empty where the table is one series.
        inputs: (T, F) scaled.
        target: (T,) in the target's unit, NaN where it was not observed.
        last_observed: (T,) the last target observed at or before each row, NaN before the first.
        times: (T,) the clock.
        step: time between rows.
        validation_start: the first validation row. Splits go by the hour that is forecast.
        horizon: L.
        change_scale: root mean square of the target's change from `last_observed` to each lead
            time, in the target's unit: the unit of the model's output. (L,) of training rows, or
            (T, L) of the rows so far, where there was nothing to learn from.
        encoder: how `inputs` was made.
        never_negative: whether no target was below zero in the rows that a model learns from or is
            validated on: then no forecast is.
    """

    name: str
    inputs: Float32Array
    target: Float64Array
    last_observed: Float64Array
    times: pd.DatetimeIndex
    step: Step
    validation_start: int
    horizon: int
    change_scale: Float64Array
    encoder: FeatureEncoder
    never_negative: bool = False

    @cached_property
    def changes(self) -> Float64Array:
        """(T, L) the change from the last observed value to each lead time, NaN if unknown."""
        return changes_ahead(self.target, self.last_observed, self.horizon)

    @cached_property
    def min_changes(self) -> Float64Array:
        """(T,) the change from the last observed value that a forecast may not fall below."""
        lowest = floors(self.target, self.never_negative) - self.last_observed
        return np.where(np.isfinite(lowest), lowest, -np.inf)

    @property
    def first_origin(self) -> int:
        """The first row that validation is forecast from: `horizon` rows before it, if they are
        there.
        """
        return max(0, self.validation_start - self.horizon)

    @property
    def learned(self) -> bool:
        """Whether training learns from it."""
        return self.change_scale.ndim == 1

    @property
    def scales(self) -> Float64Array:
        """(T, L) `change_scale` of every row."""
        return np.broadcast_to(self.change_scale, self.changes.shape)

    @property
    def _forecast_rows(self) -> npt.NDArray[np.int_]:
        """(T, L): the row that each origin forecasts at each lead time."""
        return np.arange(len(self.target))[:, None] + np.arange(1, self.horizon + 1)

    @cached_property
    def train_mask(self) -> Mask:
        """(T, L): forecasts of observed hours before `validation_start`."""
        return np.isfinite(self.changes) & (self._forecast_rows < self.validation_start)

    @cached_property
    def valid_mask(self) -> Mask:
        """(T, L): forecasts of observed hours from `validation_start` on."""
        return np.isfinite(self.changes) & (self._forecast_rows >= self.validation_start)


def changes_ahead(target: Float64Array, last_observed: Float64Array, horizon: int) -> Float64Array:
    """(T,) and (T,) -> (T, L): target[t + h] - last_observed[t], NaN if unknown."""
    ahead = np.full((len(target), horizon), np.nan)
    for lead in range(1, min(horizon, len(target) - 1) + 1):
        ahead[:-lead, lead - 1] = target[lead:]
    return ahead - last_observed[:, None]


def is_never_negative(target: Float64Array) -> bool:
    """Whether no observed value of (T,) is below zero."""
    return not bool((target < 0).any())


def floors(target: Float64Array, never_negative: bool) -> Float64Array:
    """(T,) what a forecast from each row may not fall below, in the target's unit.

    It is 0 where the target is `never_negative` and no row of (T,) up to this one was negative, as
    one that a model has to forecast from may be; else there is no floor: minus infinity.
    """
    negative = np.maximum.accumulate(target < 0)
    return np.where(negative | (not never_negative), -np.inf, 0.0)


def change_scale(changes: Float64Array) -> Float64Array:
    """(T, L) changes with NaN -> (L,) their root mean squares, 0 where nothing is known."""
    known = np.isfinite(changes)
    squares = np.where(known, changes, 0.0) ** 2
    return np.asarray(np.sqrt(squares.sum(axis=0) / np.maximum(known.sum(axis=0), 1)))


def change_scale_so_far(changes: Float64Array) -> Float64Array:
    """(T, L) as changes_ahead() has them -> (T, L) root mean squares of those known by each row.

    A change to h rows ahead is known h rows later.
    """
    known_by = np.full_like(changes, np.nan)
    for lead in range(1, min(changes.shape[1], len(changes) - 1) + 1):
        known_by[lead:, lead - 1] = changes[:-lead, lead - 1]
    known = np.isfinite(known_by)
    squares = np.cumsum(np.where(known, known_by, 0.0) ** 2, axis=0)
    return np.asarray(np.sqrt(squares / np.maximum(np.cumsum(known, axis=0), 1)))
