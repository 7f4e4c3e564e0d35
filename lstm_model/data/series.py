"""A table as the model sees it: causal inputs scaled by training rows, missing targets masked.

Letters: T rows (hours), F input channels, L lead times. Nothing in row t depends on a row after t,
and nothing learned (scales, categories) depends on a row outside training.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from lstm_model.arrays import Float32Array, Float64Array, Mask
from lstm_model.configuration import DataSettings
from lstm_model.errors import TableError

# A column that is never negative and leans this far to the right is read as log(1 + x): of the
# Beijing columns that takes pm2.5, Iws, Is and Ir, and leaves the weather's levels alone.
SKEW_FOR_LOGARITHM = 1.0

# Means of the past are inputs too: an LSTM has to learn slowly what a running mean knows at once
# (docs/LOG.md has what they gain).
DAY, WEEK = pd.Timedelta(days=1), pd.Timedelta(days=7)

PERIODS = {"hour_of_day": 24.0, "day_of_week": 7.0, "day_of_year": 365.25}


@dataclass(frozen=True)
class NumericChannel:
    """One numeric feature: log(1 + x) if `logarithm`, then (x - mean) / scale.

    A feature that never varied in training taught nothing, has scale 0, and is 0 throughout.
    `least` and `most` are its smallest and its largest value in training, in its own unit.
    """

    column: str
    logarithm: bool
    mean: float
    scale: float
    least: float
    most: float

    def encode(self, values: Float64Array) -> Float64Array:
        """(T,) in the column's unit -> (T,) scaled; missing stays NaN."""
        if self.scale == 0:
            return np.zeros_like(values)
        if self.logarithm:
            # A later value below zero has no place in training's range; zero is the nearest.
            values = np.log1p(np.maximum(values, 0.0))
        return (values - self.mean) / self.scale


@dataclass(frozen=True)
class CategoryChannels:
    """One categorical feature: a channel of 0 or 1 for each category seen in training."""

    column: str
    categories: tuple[str, ...]


@dataclass(frozen=True)
class PastChannel:
    """A feature's mean over the last `rows` rows, this one included; scaled as numeric ones are.

    One row without a logarithm is the target's level, beside the logarithm that its own channel
    holds: a forecast change is proportional to the one, and what causes it to the other.
    """

    column: str
    rows: int
    logarithm: bool
    mean: float = 0.0
    scale: float = 1.0

    @property
    def name(self) -> str:
        return f"{self.column}:level" if self.rows == 1 else f"{self.column}:mean{self.rows}"

    def learned(self, column: "pd.Series[Any]") -> "PastChannel":
        """With the mean and the scale of this training column."""
        if not column.min() < column.max():  # constant, or nothing is known
            return replace(self, mean=0.0, scale=0.0)
        seen = self.encode(column.ffill().to_numpy(np.float64))
        known = seen[np.isfinite(seen)]
        return replace(self, mean=float(known.mean()), scale=float(known.std()))

    def encode(self, values: Float64Array) -> Float64Array:
        """(T,) filled in the column's unit -> (T,) scaled; NaN before the first value."""
        if self.scale == 0:
            return np.zeros_like(values)
        if self.logarithm:
            values = np.log1p(np.maximum(values, 0.0))
        means = pd.Series(values).rolling(self.rows, min_periods=1).mean().to_numpy(np.float64)
        return np.asarray((means - self.mean) / self.scale)


@dataclass(frozen=True)
class FeatureEncoder:
    """What training rows taught about the inputs: enough to encode any later table.

    The channels of `past` come last: what comes before is the features themselves and the clock.
    """

    numeric: tuple[NumericChannel, ...]
    categorical: tuple[CategoryChannels, ...]
    calendar: tuple[str, ...]
    past: tuple[PastChannel, ...] = ()

    @classmethod
    def learn(
        cls, training: pd.DataFrame, target: str, calendar: Sequence[str], step: pd.Timedelta
    ) -> Self:
        """From the training rows alone: `training` holds the features, indexed by time."""
        numeric: list[NumericChannel] = []
        categorical = []
        for name in training.columns:
            column = training[name].dropna()
            if pd.api.types.is_numeric_dtype(column.dtype):
                values = column.to_numpy(np.float64)
                least, most = (float(values.min()), float(values.max())) if len(values) else (0, 0)
                # Too few values to have a shape, or none at all, teach nothing: left as they are.
                logarithm = bool(
                    len(values) > 2 and 0 <= least < most and _skew(values) > SKEW_FOR_LOGARITHM
                )
                seen = np.log1p(values) if logarithm else values
                mean = float(seen.mean()) if len(seen) else 0.0
                # Of equal values the deviation is what was rounded in their mean.
                scale = float(seen.std()) if least < most else 0.0
                numeric.append(NumericChannel(str(name), logarithm, mean, scale, least, most))
            else:
                kinds = tuple(sorted(str(kind) for kind in column.unique()))
                categorical.append(CategoryChannels(str(name), kinds))
        past = []
        for channel in numeric:
            if channel.column == target and channel.logarithm:
                past.append(PastChannel(target, 1, False))
            for span in (DAY, WEEK) if channel.column == target else (DAY,):
                if (rows := round(span / step)) > 1:
                    past.append(PastChannel(channel.column, rows, channel.logarithm))
        return cls(
            tuple(numeric),
            tuple(categorical),
            tuple(calendar),
            tuple(channel.learned(training[channel.column]) for channel in past),
        )

    @property
    def channels(self) -> tuple[str, ...]:
        """The F input channels' names, in their order in the tensor."""
        waves = [f"{name}:{wave}" for name in self.calendar for wave in ("sin", "cos")]
        kinds = [f"{c.column}={kind}" for c in self.categorical for kind in c.categories]
        past = [channel.name for channel in self.past]
        return (*(c.column for c in self.numeric), *kinds, *waves, *past)

    @property
    def columns(self) -> tuple[str, ...]:
        """The features: numbers first, then categories."""
        return (*(c.column for c in self.numeric), *(c.column for c in self.categorical))

    @property
    def plain(self) -> slice:
        """The channels without those of `past`, which baselines do not get."""
        return slice(len(self.channels) - len(self.past))

    def inputs(self, frame: pd.DataFrame) -> Float32Array:
        """The features of T rows -> (T, F), every value known at its row.

        A missing number repeats the last one seen, and before the first is the training mean. A
        missing category repeats the last one too; one that training never saw is no category.
        """
        columns: list[Float64Array] = []
        for channel in self.numeric:
            filled = frame[channel.column].ffill().to_numpy(np.float64)
            columns.append(np.nan_to_num(channel.encode(filled), nan=0.0))
        for group in self.categorical:
            filled = frame[group.column].ffill().to_numpy(object)
            columns.extend((filled == kind).astype(np.float64) for kind in group.categories)
        times = frame.index
        assert isinstance(times, pd.DatetimeIndex)
        for name in self.calendar:
            angle = 2 * np.pi * _phase(times, name)
            columns.extend((np.sin(angle), np.cos(angle)))
        for past in self.past:
            filled = frame[past.column].ffill().to_numpy(np.float64)
            columns.append(np.nan_to_num(past.encode(filled), nan=0.0))
        return np.stack(columns, axis=1).astype(np.float32)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> Self:
        return cls(
            tuple(NumericChannel(**c) for c in saved["numeric"]),
            tuple(
                CategoryChannels(c["column"], tuple(c["categories"])) for c in saved["categorical"]
            ),
            tuple(saved["calendar"]),
            tuple(PastChannel(**c) for c in saved["past"]),
        )


@dataclass(frozen=True, eq=False)
class EncodedSeries:
    """A table ready for training and validation, with no row of the test in it.

    Attributes:
        inputs: (T, F) scaled.
        target: (T,) in the target's unit, NaN where it was not observed.
        last: (T,) the last observed target at or before each row, NaN before the first.
        times: (T,) the clock.
        step: time between rows.
        split: the first validation row. Splits go by the hour that is forecast.
        horizon: L.
        change_scale: (L,) root mean square of the target's change from `last` to each lead time
            in training rows, in the target's unit: what the model's output is measured in.
        encoding: how `inputs` was made.
        never_negative: whether no target was below zero in the rows that a model learns from or is
            validated on: then no forecast is.
        earlier: the earlier folds, the first of them first, each with scales of its own.
    """

    inputs: Float32Array
    target: Float64Array
    last: Float64Array
    times: npt.NDArray[np.datetime64]
    step: pd.Timedelta
    split: int
    horizon: int
    change_scale: Float64Array
    encoding: FeatureEncoder
    never_negative: bool = False
    earlier: tuple["EncodedSeries", ...] = ()

    @cached_property
    def folds(self) -> tuple["EncodedSeries", ...]:
        """Every validation period with what comes before it, the earliest first."""
        return (*self.earlier, replace(self, earlier=()))

    @classmethod
    def from_table(cls, frame: pd.DataFrame, step: pd.Timedelta, settings: DataSettings) -> Self:
        """The rows of `frame` before the test, encoded, with earlier folds where asked for.

        Args:
            frame: the features, regular in time, indexed by it.
            step: time between rows.

        Raises:
            TableError: training or validation has no row to learn from or to score, or the calendar
                nothing to tell.
        """
        _refuse_still(frame.index[frame.index < settings.validation_from], step, settings.calendar)
        *before, last = settings.rolling_origins
        folds: list[Self] = []
        for back, fold in enumerate(reversed(before), start=1):
            try:
                folds.insert(0, cls._of(frame, step, fold))
            except TableError as error:
                raise TableError(
                    f"folds must fit into the table, but the one with validation from "
                    f"{fold.validation_from} to before {fold.test_from} does not: {error}; ask for "
                    f"at most {back}"
                ) from error
        return replace(cls._of(frame, step, last), earlier=tuple(folds))

    @classmethod
    def _of(cls, frame: pd.DataFrame, step: pd.Timedelta, settings: DataSettings) -> Self:
        """One fold."""
        frame = frame.loc[frame.index < settings.test_from]
        split = int(
            np.searchsorted(frame.index.to_numpy(), np.datetime64(settings.validation_from))
        )
        training = frame.iloc[:split]
        encoding = FeatureEncoder.learn(training, settings.target, settings.calendar, step)
        target = frame[settings.target].to_numpy(np.float64)
        last = frame[settings.target].ffill().to_numpy(np.float64)
        changes = changes_ahead(target, last, settings.horizon)
        lead_times = np.arange(1, settings.horizon + 1)
        in_training = np.arange(len(frame))[:, None] + lead_times < split
        scale = _root_mean_square(np.where(in_training, changes, np.nan))
        series = cls(
            inputs=encoding.inputs(frame),
            target=target,
            last=last,
            times=frame.index.to_numpy(),
            step=step,
            split=split,
            horizon=settings.horizon,
            change_scale=scale,
            encoding=encoding,
            never_negative=is_never_negative(target),
        )
        for name, mask in (("training", series.training), ("validation", series.validation)):
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
        if not (series.validation & (changes**2 > 0)).any(axis=0).all():
            raise TableError(
                f"{settings.target} must change in validation, but never does, and no skill can be "
                "told; move validation_from or test_from"
            )
        return series

    @property
    def learned(self) -> Self:
        """The training rows alone: enough for a Training, with nothing to score in it."""
        return replace(
            self,
            inputs=self.inputs[: self.split],
            target=self.target[: self.split],
            last=self.last[: self.split],
            times=self.times[: self.split],
            never_negative=is_never_negative(self.target[: self.split]),
            earlier=(),
        )

    # Worked out once for a study, and carried to its workers with the rest.
    @cached_property
    def changes(self) -> Float64Array:
        """(T, L): what happened from the last observed value to each lead time, NaN if unknown."""
        return changes_ahead(self.target, self.last, self.horizon)

    @cached_property
    def min_changes(self) -> Float64Array:
        """(T,) the change from the last observed value that a forecast may not fall below."""
        least = floors(self.target, self.never_negative) - self.last
        return np.where(np.isfinite(least), least, -np.inf)

    @property
    def _forecast_rows(self) -> npt.NDArray[np.int_]:
        """(T, L): the row that each origin forecasts at each lead time."""
        return np.arange(len(self.target))[:, None] + np.arange(1, self.horizon + 1)

    @cached_property
    def training(self) -> Mask:
        """(T, L): forecasts of observed hours before the split."""
        return np.isfinite(self.changes) & (self._forecast_rows < self.split)

    @cached_property
    def validation(self) -> Mask:
        """(T, L): forecasts of observed hours from the split on."""
        return np.isfinite(self.changes) & (self._forecast_rows >= self.split)


def changes_ahead(target: Float64Array, last: Float64Array, horizon: int) -> Float64Array:
    """(T,) observed and (T,) last observed -> (T, L): target[t + h] - last[t], NaN if unknown."""
    ahead = np.full((len(target), horizon), np.nan)
    for lead in range(1, min(horizon, len(target) - 1) + 1):
        ahead[:-lead, lead - 1] = target[lead:]
    return ahead - last[:, None]


def is_never_negative(target: Float64Array) -> bool:
    """Whether no observed value of (T,) is below zero."""
    return not bool((target < 0).any())


def floors(target: Float64Array, never_negative: bool) -> Float64Array:
    """(T,) what a forecast from each row may not fall below, in the target's unit.

    That is 0 where the target is `never_negative`, and was not in any row up to this one (T,)
    either, such as one that a model has to forecast from; else there is none.
    """
    negative = np.maximum.accumulate(target < 0)
    return np.where(negative | (not never_negative), -np.inf, 0.0)


def _root_mean_square(values: Float64Array) -> Float64Array:
    """(T, L) with NaN -> (L,), 0 where nothing is known."""
    known = np.isfinite(values)
    squares = np.where(known, values, 0.0) ** 2
    return np.asarray(np.sqrt(squares.sum(axis=0) / np.maximum(known.sum(axis=0), 1)))


def _skew(values: Float64Array) -> float:
    """The third standardised moment; 0 for a constant."""
    deviation = values - values.mean()
    variance = float((deviation**2).mean())
    return float((deviation**3).mean()) / math.sqrt(variance) ** 3 if variance > 0 else 0.0


def _refuse_still(times: pd.Index, step: pd.Timedelta, calendar: Sequence[str]) -> None:
    """Raises TableError where the clock stands at one point of a period in all training rows."""
    assert isinstance(times, pd.DatetimeIndex)
    still = [name for name in calendar if len(times) > 1 and not np.ptp(_phase(times, name))]
    if still:
        one = len(still) == 1
        raise TableError(
            f"calendar must change from row to row, but with rows {step.days} days apart "
            f"{' and '.join(still)} never {'does' if one else 'do'}; leave "
            f"{'it' if one else 'them'} out"
        )


def _phase(times: pd.DatetimeIndex, name: str) -> Float64Array:
    """(T,) position in the calendar's period, in turns: 0 at its start, 1 at its end."""
    hour = times.hour + times.minute / 60 + times.second / 3600
    position = {
        "hour_of_day": hour,
        "day_of_week": times.day_of_week + hour / 24,
        "day_of_year": times.day_of_year - 1 + hour / 24,
    }[name]
    return np.asarray(position, np.float64) / PERIODS[name]
