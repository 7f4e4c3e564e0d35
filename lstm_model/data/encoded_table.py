"""A table as the model sees it: the rows of its series before the test, encoded.

Letters: R rows of all N series, F input channels, L lead times.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal, Self

import numpy as np
import pandas as pd

from lstm_model.arrays import Float32Array, Float64Array, Mask
from lstm_model.configuration import DataSettings
from lstm_model.data.encoding import SeriesEncoders, check_calendar
from lstm_model.data.series import (
    EncodedSeries,
    change_scale,
    change_scale_so_far,
    changes_ahead,
    is_never_negative,
)
from lstm_model.data.series_index import SeriesIndex
from lstm_model.data.step import Step, rows_before
from lstm_model.errors import TableError

# A series' spread is learned from so many changes or more at every lead time: from fewer it would
# be luck, and by it the targets are divided.
MIN_CHANGES = 5


@dataclass(frozen=True)
class LeftOut:
    """A series that training does not learn from, or that validation does not score."""

    series: str
    split: Literal["training", "validation"]
    reason: str


@dataclass(frozen=True, eq=False)
class EncodedTable:
    """A table ready for training and validation, with no row of the test in it.

    Attributes:
        index: which of the rows are of which series.
        padded_inputs: (R + 1, F) scaled. The last row, of zeros, is the training mean: it stands
            for all rows that are not there.
        target: (R,) in the target's unit, NaN where it was not observed.
        last_observed: (R,) the last target of the series observed at or before each row.
        times: (R,) the clock.
        step: time between rows.
        validation_starts: by series, how many of its rows lie before validation.
        horizon: L.
        change_scales: by series, as EncodedSeries has them.
        encoders: how the inputs were made.
        never_negative: by series, as EncodedSeries has it.
        left_out: what training does not learn from and validation does not score, and why, in any
            of the folds.
        earlier_folds: the earliest first, each with scales of its own.
    """

    index: SeriesIndex
    padded_inputs: Float32Array
    target: Float64Array
    last_observed: Float64Array
    times: pd.DatetimeIndex
    step: Step
    validation_starts: tuple[int, ...]
    horizon: int
    change_scales: tuple[Float64Array, ...]
    encoders: SeriesEncoders
    never_negative: tuple[bool, ...]
    left_out: tuple[LeftOut, ...] = ()
    earlier_folds: tuple["EncodedTable", ...] = ()

    @property
    def inputs(self) -> Float32Array:
        """(R, F) scaled."""
        return self.padded_inputs[:-1]

    @property
    def channels(self) -> tuple[str, ...]:
        """The names of the F input channels."""
        return self.encoders.of_others.channels

    @property
    def learned(self) -> tuple[bool, ...]:
        """By series, whether training learns from it."""
        return tuple(scale.ndim == 1 for scale in self.change_scales)

    @cached_property
    def folds(self) -> tuple["EncodedTable", ...]:
        """Every validation period with the rows before it, the earliest first."""
        return (*self.earlier_folds, replace(self, earlier_folds=()))

    @cached_property
    def series(self) -> tuple[EncodedSeries, ...]:
        """Each series, and what is worked out of it once."""
        return tuple(self.each_series())

    def each_series(self) -> Iterator[EncodedSeries]:
        """Each series in turn, as views of the table: nothing that is worked out of it is kept."""
        for number, (name, rows) in enumerate(self.index):
            yield EncodedSeries(
                name=name,
                inputs=self.inputs[rows],
                target=self.target[rows],
                last_observed=self.last_observed[rows],
                times=self.times[rows],
                step=self.step,
                validation_start=self.validation_starts[number],
                horizon=self.horizon,
                change_scale=self.change_scales[number],
                encoder=self.encoders.each[number],
                never_negative=self.never_negative[number],
            )

    def __getstate__(self) -> dict[str, Any]:
        """Without the views, each of which would be copied."""
        return {name: value for name, value in self.__dict__.items() if name != "series"}

    @classmethod
    def from_table(
        cls,
        frame: pd.DataFrame,
        step: Step,
        settings: DataSettings,
        index: SeriesIndex | None = None,
        *,
        check_scored: bool = True,
    ) -> Self:
        """The rows of `frame` before the test, encoded, with earlier folds where asked for.

        Args:
            frame: the features by time, regular in each series.
            step: time between rows.
            index: the series of the rows; without it they are one.
            check_scored: False takes a table of one series also where validation has nothing to
                score.

        Raises:
            TableError: training or validation has no row to learn from or to score, or a calendar
                input never changes.
        """
        index = index or SeriesIndex.of_one(len(frame))
        times = pd.DatetimeIndex(frame.index)
        if len(index) > 1:
            times = times.unique().sort_values()
        training = times[: rows_before(times, settings.validation_from)]
        check_calendar(training, step, settings.calendar)
        *before, final = rolling_origins(times, step, settings)
        folds: list[Self] = []
        for back, fold in enumerate(reversed(before), start=1):
            try:
                folds.insert(0, cls._fold(frame, index, step, fold, check_scored))
            except TableError as error:
                raise TableError(
                    f"folds must fit into the table, but the one with validation from "
                    f"{fold.validation_from} to before {fold.test_from} does not: {error}; ask for "
                    f"at most {back}"
                ) from error
        last = cls._fold(frame, index, step, final, check_scored)
        left_out = dict.fromkeys(each for fold in (*folds, last) for each in fold.left_out)
        return replace(last, earlier_folds=tuple(folds), left_out=tuple(left_out))

    @classmethod
    def _fold(
        cls,
        frame: pd.DataFrame,
        index: SeriesIndex,
        step: Step,
        settings: DataSettings,
        check_scored: bool,
    ) -> Self:
        """One validation period with the rows before it."""
        left_out: list[LeftOut] = []
        names, parts, starts = [], [], []
        for name, rows in index:
            part = frame.iloc[rows]
            times = pd.DatetimeIndex(part.index)
            if not (end := rows_before(times, settings.test_from)):
                reason = "it begins after validation"
                left_out += [LeftOut(name, "training", reason), LeftOut(name, "validation", reason)]
                continue
            names.append(name)
            parts.append(part.iloc[:end])
            starts.append(rows_before(times[:end], settings.validation_from))
        if not parts:
            raise TableError(f"no row lies before test_from ({settings.test_from})")
        target = [part[settings.target].to_numpy(np.float64) for part in parts]
        last_observed = [part[settings.target].ffill().to_numpy(np.float64) for part in parts]
        scales, learned = [], []
        lead_times = np.arange(1, settings.horizon + 1)
        for name, observed, last, start in zip(names, target, last_observed, starts, strict=True):
            changes = changes_ahead(observed, last, settings.horizon)
            in_training = np.arange(len(observed))[:, None] + lead_times < start
            training = np.where(in_training, changes, np.nan)
            scale = change_scale(training)
            why = _why_not_learned(training, scale) if len(index) > 1 else None
            if why:
                left_out.append(LeftOut(name, "training", why))
            scales.append(change_scale_so_far(changes) if why else scale)
            learned.append(why is None)
        if not any(learned):
            why = next(each.reason for each in left_out if each.series == names[0])
            raise TableError(
                f"training must have a series that can be learned from, but of the first one, "
                f"{names[0]}, {why}, and of the others nothing can be learned either; move "
                "validation_from"
            )
        trainings = [
            part.iloc[:start]
            for part, start, learns in zip(parts, starts, learned, strict=True)
            if learns
        ]
        fitted = SeriesEncoders.fit(
            trainings, settings.target, settings.calendar, step, settings.static
        )
        own = iter(fitted.each)
        encoders = tuple(next(own) if learns else fitted.of_others for learns in learned)
        kept = SeriesIndex.of_lengths(names, map(len, parts))
        inputs = np.zeros((kept.bounds[-1] + 1, len(fitted.of_others.channels)), np.float32)
        for part, encoder, (_, rows) in zip(parts, encoders, kept, strict=True):
            encoder.transform(part, out=inputs[rows])
        clocks = [pd.DatetimeIndex(part.index) for part in parts]
        table = cls(
            index=kept,
            padded_inputs=inputs,
            target=np.concatenate(target),
            last_observed=np.concatenate(last_observed),
            times=pd.DatetimeIndex(clocks[0].append(clocks[1:])) if clocks[1:] else clocks[0],
            step=step,
            validation_starts=tuple(starts),
            horizon=settings.horizon,
            change_scales=tuple(scales),
            encoders=SeriesEncoders(encoders, fitted.of_others),
            never_negative=tuple(map(is_never_negative, target)),
        )
        if len(index) == 1:
            _check_only_series(table.series[0], settings.target, check_scored)
        else:
            left_out += _not_scored(table)
            _check_scored(table, settings.target)
        return replace(table, left_out=tuple(left_out))

    @property
    def training_only(self) -> Self:
        """The training rows alone: enough to train on, with nothing to score in it."""
        rows = [
            slice(part.start, part.start + start)
            for (_, part), start in zip(self.index, self.validation_starts, strict=True)
        ]
        kept = np.concatenate([np.arange(part.start, part.stop) for part in rows])
        return replace(
            self,
            index=SeriesIndex.of_lengths(self.index.names, self.validation_starts),
            padded_inputs=self.padded_inputs[np.append(kept, -1)],
            target=self.target[kept],
            last_observed=self.last_observed[kept],
            times=self.times[kept],
            change_scales=tuple(
                scale if scale.ndim == 1 else scale[:start]
                for scale, start in zip(self.change_scales, self.validation_starts, strict=True)
            ),
            never_negative=tuple(is_never_negative(self.target[part]) for part in rows),
            earlier_folds=(),
        )


def scored_lead_times(series: EncodedSeries) -> Mask:
    """(L,) at which lead times validation has a forecast to score, and persistence errs.

    Persistence errs by the changes; without any, skill would be divided by 0.
    """
    return np.asarray((series.valid_mask & (series.changes**2 > 0)).any(axis=0))


def _why_not_learned(training: Float64Array, scale: Float64Array) -> str | None:
    """Why nothing is learned from a series with these (T, L) changes in training, or None."""
    count = int(np.isfinite(training).sum(axis=0).min())
    if count < MIN_CHANGES:
        return (
            f"it has {count} forecasts to learn from before validation, and {MIN_CHANGES} are "
            "needed at every lead time"
        )
    return None if (scale > 0).all() else "it never changes before validation"


def _not_scored(table: EncodedTable) -> list[LeftOut]:
    """The series that validation can't score, or not at all lead times, and why."""
    left_out = []
    for series in table.each_series():
        scored, observed = scored_lead_times(series), series.valid_mask.any()
        if scored.all():
            continue
        reason = "it never changes in validation" if observed else "none of it is observed then"
        if scored.any():
            reason = f"nothing can be scored at {(~scored).sum()} of {len(scored)} lead times"
        left_out.append(LeftOut(series.name, "validation", reason))
    return left_out


def _check_scored(table: EncodedTable, target: str) -> None:
    scored = np.any([scored_lead_times(series) for series in table.each_series()], axis=0)
    if not scored.all():
        raise TableError(
            f"validation must have a series whose {target} is observed and changes, for every lead "
            f"time up to {table.horizon}, but none can be scored at lead time "
            f"{int(np.argmin(scored)) + 1}; move validation_from or test_from"
        )


def _check_only_series(series: EncodedSeries, target: str, check_scored: bool) -> None:
    """Raises TableError where there is nothing to learn from or to score."""
    splits = {"training": series.train_mask, "validation": series.valid_mask}
    for name, mask in splits.items():
        if not mask.any(axis=0).all() and (check_scored or name == "training"):
            raise TableError(
                f"{name} must have an observed {target} for every lead time up to "
                f"{series.horizon}, but none can be scored at lead time "
                f"{int(np.argmin(mask.any(axis=0))) + 1}; move validation_from or test_from"
            )
    if not (series.change_scale > 0).all():
        raise TableError(f"{target} must change in training, but never does: nothing to learn")
    if check_scored and not scored_lead_times(series).all():
        raise TableError(
            f"{target} must change in validation, but never does, and no skill can be told; "
            "move validation_from or test_from"
        )


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
