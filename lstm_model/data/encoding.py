"""Features as input channels: filled from the past, scaled by training rows alone.

Letters: T rows (hours), F input channels. No row is encoded from a row after it.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np
import pandas as pd

from lstm_model.arrays import Float32Array, Float64Array, Mask
from lstm_model.data.step import DAY, WEEK, Step
from lstm_model.errors import TableError

# A column that is never negative and more skewed than this is read as log(1 + x). Of the Beijing
# columns these are pm2.5, Iws, Is and Ir; the weather's levels stay as they are.
SKEW_FOR_LOG1P = 1.0

# Means of the past are inputs too: an LSTM has to learn slowly what a running mean knows at once
# (docs/LOG.md has what they gain).

CALENDAR_PERIODS = {"hour_of_day": 24.0, "day_of_week": 7.0, "day_of_year": 365.25}

# What the channels' fields are called in model.json.
JSON_KEYS = {"log1p": "logarithm", "min": "least", "max": "most"}


@dataclass(frozen=True)
class NumericChannel:
    """One numeric feature: log(1 + x) if `log1p`, then (x - mean) / scale.

    A feature that never varied in training taught nothing: its scale is 0, and so is every value.
    Without a scale, each row is scaled by the mean and the deviation of the rows up to it. `min`
    and `max` are its smallest and its largest value in training, in its own unit.
    """

    column: str
    log1p: bool
    mean: float
    scale: float | None
    min: float
    max: float

    def encode(self, values: Float64Array) -> Float64Array:
        """(T,) in the column's unit -> (T,) scaled; missing stays NaN."""
        return _standardize(_log1p(values) if self.log1p else values, self.mean, self.scale)


@dataclass(frozen=True)
class CategoryChannels:
    """One categorical feature: a channel of 0 or 1 for each category seen in training."""

    column: str
    categories: tuple[str, ...]


@dataclass(frozen=True)
class PastChannel:
    """A feature's mean over the last `rows` rows, this one included; scaled as numeric ones are.

    One row without log1p is the target's level, beside its logarithm, which its own channel holds:
    the change to forecast scales with the level, while its drivers act on the logarithm. Scaled as
    a NumericChannel is.
    """

    column: str
    rows: int
    log1p: bool
    mean: float = 0.0
    scale: float | None = None

    @property
    def name(self) -> str:
        return f"{self.column}:level" if self.rows == 1 else f"{self.column}:mean{self.rows}"

    def fitted(self, column: "pd.Series[Any]") -> "PastChannel":
        """With the mean and the scale of this training column."""
        if not column.min() < column.max():  # constant, or nothing is known
            return replace(self, mean=0.0, scale=0.0)
        means = self._means(column.ffill().to_numpy(np.float64))
        known = means[np.isfinite(means)]
        return replace(self, mean=float(known.mean()), scale=float(known.std()))

    def encode(self, values: Float64Array) -> Float64Array:
        """(T,) filled in the column's unit -> (T,) scaled; NaN before the first value."""
        return _standardize(self._means(values), self.mean, self.scale)

    def _means(self, values: Float64Array) -> Float64Array:
        values = _log1p(values) if self.log1p else values
        return pd.Series(values).rolling(self.rows, min_periods=1).mean().to_numpy(np.float64)


@dataclass(frozen=True)
class FeatureEncoder:
    """Turns the features of one series into input channels, with the scales and categories of
    training.

    The channels of `past` come last: before them are the features themselves and the calendar.
    """

    numeric: tuple[NumericChannel, ...]
    categorical: tuple[CategoryChannels, ...]
    calendar: tuple[str, ...]
    past: tuple[PastChannel, ...] = ()

    @property
    def channels(self) -> tuple[str, ...]:
        """The F input channels' names, in their order in the tensor."""
        waves = [f"{name}:{wave}" for name in self.calendar for wave in ("sin", "cos")]
        categories = [f"{c.column}={name}" for c in self.categorical for name in c.categories]
        past = [channel.name for channel in self.past]
        return (*(c.column for c in self.numeric), *categories, *waves, *past)

    @property
    def columns(self) -> tuple[str, ...]:
        """The features: numbers first, then categories."""
        return (*(c.column for c in self.numeric), *(c.column for c in self.categorical))

    @property
    def without_means(self) -> slice:
        """The channels without those of `past`, which baselines do not get."""
        return slice(len(self.channels) - len(self.past))

    def transform(self, frame: pd.DataFrame, out: Float32Array | None = None) -> Float32Array:
        """The features of T rows -> (T, F), every value known at its row.

        A missing number repeats the last one seen, and before the first is the training mean. A
        missing category repeats the last one too; one that training never saw is no category.

        Args:
            out: (T, F) to write into.
        """
        inputs = np.empty((len(frame), len(self.channels)), np.float32) if out is None else out
        # One after the other: all of them in float64 would take twice as much memory again.
        for number, values in enumerate(self._encode(frame)):
            inputs[:, number] = values
        return inputs

    def _encode(self, frame: pd.DataFrame) -> Iterator[Float64Array | Mask]:
        """(T,) of each channel, in their order."""
        for channel in self.numeric:
            filled = frame[channel.column].ffill().to_numpy(np.float64)
            yield np.nan_to_num(channel.encode(filled), nan=0.0)
        for group in self.categorical:
            last = frame[group.column].ffill()
            yield from ((last == name).to_numpy(bool) for name in group.categories)
        times = frame.index
        assert isinstance(times, pd.DatetimeIndex)
        for name in self.calendar:
            angle = 2 * np.pi * _phase(times, name)
            yield from (np.sin(angle), np.cos(angle))
        for past in self.past:
            filled = frame[past.column].ffill().to_numpy(np.float64)
            yield np.nan_to_num(past.encode(filled), nan=0.0)

    def to_json(self) -> dict[str, Any]:
        """As model.json has it."""
        return asdict(self, dict_factory=lambda fields: {JSON_KEYS.get(k, k): v for k, v in fields})

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> Self:
        """What to_json() gave."""
        fields = {key: field for field, key in JSON_KEYS.items()}
        numeric, past = (
            [{fields.get(k, k): v for k, v in c.items()} for c in saved[kind]]
            for kind in ("numeric", "past")
        )
        return cls(
            tuple(NumericChannel(**c) for c in numeric),
            tuple(
                CategoryChannels(c["column"], tuple(c["categories"])) for c in saved["categorical"]
            ),
            tuple(saved["calendar"]),
            tuple(PastChannel(**c) for c in past),
        )


@dataclass(frozen=True)
class SeriesEncoders:
    """The encoders of several series, which have the channels and the categories in common.

    Attributes:
        each: of every series, with the level and the spread of its own training rows.
        of_others: of a series that training never saw, which is scaled by its own rows so far.
    """

    each: tuple[FeatureEncoder, ...]
    of_others: FeatureEncoder

    @classmethod
    def fit(
        cls,
        trainings: Sequence[pd.DataFrame],
        target: str,
        calendar: Sequence[str],
        step: Step,
        static: Sequence[str] = (),
    ) -> Self:
        """From the training rows of one series or more: their features, indexed by time.

        A column is read as a logarithm in all series or in none: where most of them are skewed.

        Args:
            static: columns of which a series has one value, scaled alike in all of them.
        """
        numeric: list[tuple[NumericChannel, ...]] = []  # of every series
        of_others: list[NumericChannel] = []
        categorical = []
        for name in map(str, trainings[0].columns):
            columns = [training[name].dropna() for training in trainings]
            if pd.api.types.is_numeric_dtype(columns[0].dtype):
                values = [column.to_numpy(np.float64) for column in columns]
                known = [each for each in values if len(each)]
                if name in static:
                    of_series = np.array([each[0] for each in known])
                    shared = _fit_numeric(name, of_series, _is_skewed(of_series))
                    numeric.append((shared,) * len(trainings))
                    of_others.append(shared)
                    continue
                skewed = [_is_skewed(each) for each in values if len(each)]
                log1p = 2 * sum(skewed) > len(skewed) and all(
                    v.min() >= 0 for v in values if len(v)
                )
                fitted = tuple(_fit_numeric(name, each, log1p) for each in values)
                numeric.append(fitted)
                low = float(min((each.min() for each in known), default=0.0))
                high = float(max((each.max() for each in known), default=0.0))
                of_others.append(NumericChannel(name, log1p, 0.0, None, low, high))
            else:
                kinds = {str(kind) for column in columns for kind in column.unique()}
                categorical.append(CategoryChannels(name, tuple(sorted(kinds))))
        past = []
        for channel in of_others:
            if channel.column == target and channel.log1p:
                past.append(PastChannel(target, 1, False))
            for span in (DAY, WEEK) if channel.column == target else (DAY,):
                if channel.column not in static and (rows := round(span / step.duration)) > 1:
                    past.append(PastChannel(channel.column, rows, channel.log1p))
        shared_parts = tuple(categorical), tuple(calendar)
        each = tuple(
            FeatureEncoder(
                tuple(channels[number] for channels in numeric),
                *shared_parts,
                tuple(channel.fitted(training[channel.column]) for channel in past),
            )
            for number, training in enumerate(trainings)
        )
        return cls(each, FeatureEncoder(tuple(of_others), *shared_parts, tuple(past)))


def _fit_numeric(column: str, values: Float64Array, log1p: bool) -> NumericChannel:
    """From the (T,) known values of training."""
    low, high = (float(values.min()), float(values.max())) if len(values) else (0, 0)
    scaled = np.log1p(values) if log1p else values
    mean = float(scaled.mean()) if len(scaled) else 0.0
    # The deviation of equal values need not be 0, because their mean is rounded.
    scale = float(scaled.std()) if low < high else 0.0
    return NumericChannel(column, log1p, mean, scale, low, high)


def _is_skewed(values: Float64Array) -> bool:
    """Whether (T,) known values are none below 0 and mostly far below their largest.

    Too few values to have a shape, or none at all, teach nothing: left as they are.
    """
    varies = len(values) > 2 and 0 <= values.min() < values.max()
    return bool(varies and _skewness(values) > SKEW_FOR_LOG1P)


def _log1p(values: Float64Array) -> Float64Array:
    """A later value below zero has no place in training's range; zero is the nearest."""
    return np.log1p(np.maximum(values, 0.0))


def _standardize(values: Float64Array, mean: float, scale: float | None) -> Float64Array:
    if scale is None:
        so_far = pd.Series(values).expanding()
        means, scales = (each.to_numpy(np.float64) for each in (so_far.mean(), so_far.std(ddof=0)))
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(scales > 0, (values - means) / scales, 0.0)
    return (values - mean) / scale if scale else np.zeros_like(values)


def _skewness(values: Float64Array) -> float:
    """The third standardised moment; 0 for a constant. scipy.stats takes long to import."""
    deviation = values - values.mean()
    variance = float((deviation**2).mean())
    return float((deviation**3).mean()) / math.sqrt(variance) ** 3 if variance > 0 else 0.0


def check_calendar(times: pd.DatetimeIndex, step: Step, calendar: Sequence[str]) -> None:
    """Raises TableError where a calendar input has one value in all training rows."""
    constant = [name for name in calendar if len(times) > 1 and not np.ptp(_phase(times, name))]
    if constant:
        one = len(constant) == 1
        raise TableError(
            f"calendar must change from row to row, but with rows {step.name} apart "
            f"{' and '.join(constant)} never {'does' if one else 'do'}; leave "
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
    return np.asarray(position, np.float64) / CALENDAR_PERIODS[name]
