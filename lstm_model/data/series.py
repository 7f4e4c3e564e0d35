"""A table as the model sees it: encoded inputs, splits, and missing targets masked.

Letters: T rows (hours), F input channels, L lead times. Nothing in row t depends on a row after t,
and nothing that is fitted (scales, categories) depends on a row outside training.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from lstm_model.arrays import Float32Array, Float64Array, Mask
from lstm_model.configuration import DataSettings
from lstm_model.data.encoding import FeatureEncoder, check_calendar
from lstm_model.data.step import Step, rows_before
from lstm_model.errors import TableError


@dataclass(frozen=True, eq=False)
class EncodedSeries:
    """A table ready for training and validation, with no row of the test in it.

    Attributes:
        inputs: (T, F) scaled.
        target: (T,) in the target's unit, NaN where it was not observed.
        last_observed: (T,) the last target observed at or before each row, NaN before the first.
        times: (T,) the clock.
        step: time between rows.
        validation_start: the first validation row. Splits go by the hour that is forecast.
        horizon: L.
        change_scale: (L,) root mean square of the target's change from `last_observed` to each
            lead time in training rows, in the target's unit: the unit of the model's output.
        encoder: how `inputs` was made.
        never_negative: whether no target was below zero in the rows that a model learns from or is
            validated on: then no forecast is.
        earlier_folds: the earliest first, each with scales of its own.
    """

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
    earlier_folds: tuple["EncodedSeries", ...] = ()

    @cached_property
    def folds(self) -> tuple["EncodedSeries", ...]:
        """Every validation period with the rows before it, the earliest first."""
        return (*self.earlier_folds, replace(self, earlier_folds=()))

    @classmethod
    def from_table(cls, frame: pd.DataFrame, step: Step, settings: DataSettings) -> Self:
        """The rows of `frame` before the test, encoded, with earlier folds where asked for.

        Args:
            frame: the features, regular in time, indexed by it.
            step: time between rows.

        Raises:
            TableError: training or validation has no row to learn from or to score, or a calendar
                input never changes.
        """
        times = frame.index
        assert isinstance(times, pd.DatetimeIndex)
        training = times[: rows_before(times, settings.validation_from)]
        check_calendar(training, step, settings.calendar)
        *before, final = rolling_origins(times, step, settings)
        folds: list[Self] = []
        for back, fold in enumerate(reversed(before), start=1):
            try:
                folds.insert(0, cls._fold(frame, step, fold))
            except TableError as error:
                raise TableError(
                    f"folds must fit into the table, but the one with validation from "
                    f"{fold.validation_from} to before {fold.test_from} does not: {error}; ask for "
                    f"at most {back}"
                ) from error
        return replace(cls._fold(frame, step, final), earlier_folds=tuple(folds))

    @classmethod
    def _fold(cls, frame: pd.DataFrame, step: Step, settings: DataSettings) -> Self:
        """One validation period with the rows before it."""
        times = frame.index
        assert isinstance(times, pd.DatetimeIndex)
        start = rows_before(times, settings.validation_from)
        times = times[: rows_before(times, settings.test_from)]
        frame = frame.iloc[: len(times)]
        encoder = FeatureEncoder.fit(frame.iloc[:start], settings.target, settings.calendar, step)
        target = frame[settings.target].to_numpy(np.float64)
        last_observed = frame[settings.target].ffill().to_numpy(np.float64)
        changes = changes_ahead(target, last_observed, settings.horizon)
        lead_times = np.arange(1, settings.horizon + 1)
        in_training = np.arange(len(frame))[:, None] + lead_times < start
        scale = _root_mean_square(np.where(in_training, changes, np.nan))
        series = cls(
            inputs=encoder.transform(frame),
            target=target,
            last_observed=last_observed,
            times=times,
            step=step,
            validation_start=start,
            horizon=settings.horizon,
            change_scale=scale,
            encoder=encoder,
            never_negative=is_never_negative(target),
        )
        for name, mask in (("training", series.train_mask), ("validation", series.valid_mask)):
            if not mask.any(axis=0).all():
                raise TableError(
                    f"{name} must have an observed {settings.target} for every lead time up to "
                    f"{settings.horizon}, but none can be scored at lead time "
                    f"{int(np.argmin(mask.any(axis=0))) + 1}; move validation_from or test_from"
                )
        if not (scale > 0).all():
            raise TableError(
                f"{settings.target} must change in training, but never does: nothing to learn"
            )
        # Persistence errs by the changes; without any, skill would be divided by 0.
        if not (series.valid_mask & (changes**2 > 0)).any(axis=0).all():
            raise TableError(
                f"{settings.target} must change in validation, but never does, and no skill can be "
                "told; move validation_from or test_from"
            )
        return series

    @property
    def training_only(self) -> Self:
        """The training rows alone: enough to train on, with nothing to score in it."""
        rows = slice(self.validation_start)
        return replace(
            self,
            inputs=self.inputs[rows],
            target=self.target[rows],
            last_observed=self.last_observed[rows],
            times=self.times[rows],
            never_negative=is_never_negative(self.target[rows]),
            earlier_folds=(),
        )

    # Worked out once for a study, and carried to its workers with the rest.
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


def rolling_origins(
    times: pd.DatetimeIndex, step: Step, settings: DataSettings
) -> tuple[DataSettings, ...]:
    """The settings of each fold, the earliest first.

    Folds of calendar steps have as many rows each: months are not of one length.
    """
    if step.is_fixed or settings.folds == 1:
        return settings.rolling_origins
    start, end = (
        rows_before(times, border) for border in (settings.validation_from, settings.test_from)
    )
    first = times[[start]].tz_localize(None)
    borders = [settings.test_from, settings.validation_from] + [
        step.after(first, -back * (end - start))[0].to_pydatetime()
        for back in range(1, settings.folds)
    ]
    return tuple(
        settings.model_copy(update={"validation_from": start, "test_from": end, "folds": 1})
        for end, start in reversed(list(pairwise(borders)))
    )


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


def _root_mean_square(values: Float64Array) -> Float64Array:
    """(T, L) with NaN -> (L,), 0 where nothing is known."""
    known = np.isfinite(values)
    squares = np.where(known, values, 0.0) ** 2
    return np.asarray(np.sqrt(squares.sum(axis=0) / np.maximum(known.sum(axis=0), 1)))
