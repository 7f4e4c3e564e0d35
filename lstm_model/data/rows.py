"""The rows of a table in the order of time, one step apart: what is twice, and what is not there.

Nothing is put in or left out but by the keys `gaps` and `duplicates`, and what was done is counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd

from lstm_model.arrays import IntArray, Mask
from lstm_model.configuration import Reading
from lstm_model.data.places import Places
from lstm_model.data.step import (
    ALMOST_A_DAY,
    DAY,
    MOSTLY,
    NOTHING,
    Step,
    dates_on_wall,
    find_step,
    likely_months,
    off_grid,
    to_ticks,
)
from lstm_model.data.time_forms import Clock
from lstm_model.data.zones import localize, on_zone
from lstm_model.errors import TableError

UTC = "UTC"
Labels = Sequence[Any] | pd.Index  # of rows, as places has them


@dataclass(frozen=True)
class RowRepair:
    """Rows that were put in, left out or moved, and how many."""

    kind: Literal["gaps", "duplicates", "order", "clock"]
    value: str
    rows: int
    first: str

    def __str__(self) -> str:
        rows = f"{self.rows:,} {'row' if self.rows == 1 else 'rows'}"
        steps = f"{self.rows:,} {'step' if self.rows == 1 else 'steps'}"
        match self.kind:
            case "gaps":
                return f"{steps} without a row became rows without values, the first {self.first}"
            case "duplicates":
                kept = "the mean" if self.value == "mean" else f"the {self.value}"
                return f"{rows} with the time of another, the first {self.first}: {kept} counts"
            case "order":
                return f"{rows}, the last of which comes first: read backwards"
            case "clock":
                return (
                    f"{rows} of an hour that comes twice and stands once, the first {self.first}: "
                    "read as the first"
                )

    def to_json(self) -> dict[str, Any]:
        return {self.kind: self.value, "rows": self.rows, "first": self.first}


@dataclass(frozen=True)
class Rows:
    """Where the rows of a table lie on a regular clock.

    Attributes:
        times: the regular clock, named 'time'.
        step: between its times.
        taken: the table's rows that count, by number.
        at: the number of each one's time. Rows of one time are to be averaged.
        zone: of the clock: its name, 'UTC' where the table says so itself, or None.
        has_offsets: whether the table's times say where on UTC they lie.
        repairs: what was done to the rows.
    """

    times: pd.DatetimeIndex
    step: Step
    taken: IntArray
    at: IntArray
    zone: str | None
    has_offsets: bool
    repairs: tuple[RowRepair, ...] = ()

    @cached_property
    def are_as_they_stand(self) -> bool:
        """Whether each row of the table is the regular clock's, in its order."""
        count = len(self.times)
        return not self.repairs and np.array_equal(self.taken, np.arange(count))

    def arrange(self, column: "pd.Series[Any]", places: Places) -> "pd.Series[Any]":
        """A column of the table by the regular clock, NaN where there is no row.

        Raises:
            TableError: texts that differ are to be averaged.
        """
        if self.are_as_they_stand:
            return column.set_axis(self.times)
        taken = column.iloc[self.taken]
        values = taken.set_axis(self.at)
        if not values.index.is_unique:
            if pd.api.types.is_numeric_dtype(column.dtype):
                values = values.groupby(level=0).mean()
            else:
                kinds = values.groupby(level=0).nunique()
                if (several := kinds > 1).any():
                    row = taken.index[int(np.argmax(self.at == kinds.index[int(several.argmax())]))]
                    raise TableError(
                        f"{places.locate(row)}: {column.name} must be the same in rows of one time "
                        "for duplicates: mean, since texts have no mean; set duplicates to first "
                        "or last"
                    )
                values = values.groupby(level=0).first()
        return values.reindex(np.arange(len(self.times))).set_axis(self.times)

    @property
    def without_a_row(self) -> Mask:
        """(T,) the times that no row of the table has."""
        empty = np.ones(len(self.times), bool)
        empty[self.at] = False
        return empty


def arrange_rows(
    clock: Clock,
    reading: Reading,
    places: Places,
    labels: Labels,
    step: Step | None = None,
    first_rows: Sequence[int] = (0,),
) -> Rows:
    """The rows of a table on a regular clock.

    Args:
        labels: of the rows, as places has them.
        step: between rows, where it is known, as of a table to forecast from.
        first_rows: where each of several files begins. They are taken in the order of their first
            times, whatever their names say.

    Raises:
        TableError: rows are missing, twice, out of order or irregular, and no key says what then.
    """
    names = _RowNames(places, labels)
    repairs: list[RowRepair] = []
    taken = _order_of_files(clock, first_rows)
    steps = np.diff(clock.times[taken])
    on_the_wall = reading.zone is not None and not clock.is_utc
    # Backwards too, a wall clock goes forward once in autumn.
    most = MOSTLY * len(steps) if on_the_wall else len(steps) - (steps == NOTHING).sum()
    if (steps < NOTHING).any() and (steps < NOTHING).sum() >= most:
        taken = taken[::-1]
        repairs.append(RowRepair("order", "backwards", len(taken), names.locate(taken[0])))
    times, zone, once = _put_on_zone(clock, reading, taken, names)
    if once:
        first = str(times[once[0]].tz_localize(None))
        repairs.append(RowRepair("clock", zone or "", len(once), first))
    _check_order(times, taken, reading, names)
    order = np.argsort(to_ticks(times), kind="stable")
    taken, times = taken[order], times[order]
    kept = _choose_duplicates(times, taken, reading, names, repairs)
    taken, times = taken[kept], times[kept]
    firsts = np.flatnonzero(np.diff(to_ticks(times), prepend=to_ticks(times[:1]) - 1) != NOTHING)
    rising, rows = times[firsts], taken[firsts]  # those to be averaged once
    known = step
    step = step or (find_step(rising) if len(rising) > 1 else None)
    if step is None or off_grid(rising, step) is not None:
        raise _irregular(rising, rows, known, names)
    _check_length(rising, rows, step, names)
    grid = rising.rename("time")
    at = np.searchsorted(to_ticks(rising), to_ticks(times))
    if (whole := step.grid(rising[0], rising[-1])).size > len(rising):
        _check_gaps(rising, rows, whole, step, reading, names, trained=known is not None)
        if np.bincount(np.diff(whole.get_indexer(rising))).argmax() > 1 and known is None:
            # Some times lie between the steps of the others: no row is missing everywhere else.
            raise _irregular(rising, rows, None, names)
        repairs.append(
            RowRepair("gaps", "fill", whole.size - len(rising), str(whole[~whole.isin(rising)][0]))
        )
        grid, at = whole, whole.get_indexer(times)
    return Rows(grid, step, taken, at, zone, clock.is_utc, tuple(repairs))


@dataclass(frozen=True)
class _RowNames:
    """What messages call the rows of a table, by their number."""

    places: Places
    labels: Labels

    def locate(self, row: int) -> str:
        return self.places.locate(self.labels[int(row)])

    def move(self, goes: str, times: pd.DatetimeIndex, rows: IntArray, at: int) -> str:
        """How the clock goes from the row before to one, by its number among these rows."""
        before = self.places.row(self.labels[int(rows[at - 1])])
        return (
            f"{self.locate(rows[at])}: the clock {goes} from {times[at - 1]} ({before}) to "
            f"{times[at]}"
        )


def _order_of_files(clock: Clock, first_rows: Sequence[int]) -> IntArray:
    """The rows' numbers, those of files in the order of the files' first times."""
    ends = (*first_rows[1:], len(clock.times))
    files = list(zip(first_rows, ends, strict=True))
    backwards = all(clock.times[first] > clock.times[end - 1] for first, end in files)
    files.sort(key=lambda file: clock.times[file[0]], reverse=backwards)
    return np.concatenate([np.arange(*file) for file in files])


def _put_on_zone(
    clock: Clock, reading: Reading, taken: IntArray, names: _RowNames
) -> tuple[pd.DatetimeIndex, str | None, list[int]]:
    """The rows' times with their zone, if they have one, and rows that could be of two hours."""
    times = clock.times[taken]
    if clock.is_utc:
        zone = reading.zone or UTC
        return on_zone(times, zone), zone, []
    if reading.zone is None:
        return pd.DatetimeIndex(times, name="time"), None, []
    moves = np.abs(np.diff(times))
    moves = moves[moves != NOTHING]
    days = bool(len(moves)) and bool(moves.min() >= DAY.to_timedelta64())
    index, once = localize(times, reading.zone, lambda row: names.locate(taken[row]), days=days)
    return index, reading.zone, once


def _check_order(
    times: pd.DatetimeIndex, taken: IntArray, reading: Reading, names: _RowNames
) -> None:
    """Rows must be in the order of time, but for those that `duplicates` deals with."""
    ticks = to_ticks(times)
    back = np.diff(ticks) < NOTHING
    if not back.any():
        return
    behind = ticks < np.maximum.accumulate(ticks)
    if reading.duplicates != "refuse" and pd.Index(ticks).duplicated()[behind].all():
        return
    raise TableError(
        f"{names.move('runs back', times, taken, int(back.argmax()) + 1)}, but rows must be in the "
        f"order of time (rows that break this: {back.sum()})"
    )


def _choose_duplicates(
    times: pd.DatetimeIndex,
    taken: IntArray,
    reading: Reading,
    names: _RowNames,
    repairs: list[RowRepair],
) -> Mask:
    """Which of these rows, in the order of time, count; what is left out goes to `repairs`."""
    again = np.diff(to_ticks(times)) == NOTHING
    kept = np.ones(len(times), bool)
    if not again.any():
        return kept
    first = int(again.argmax()) + 1
    if reading.duplicates == "refuse":
        raise TableError(
            f"{names.move('stands still', times, taken, first)}, but each time must have one row "
            f"(rows that break this: {again.sum()}); in the data block, duplicates: first, last or "
            "mean says which of them counts"
        )
    repairs.append(RowRepair("duplicates", reading.duplicates, int(again.sum()), str(times[first])))
    if reading.duplicates == "first":
        kept[1:] = ~again
    elif reading.duplicates == "last":
        kept[:-1] = ~again
    return kept


def _irregular(
    times: pd.DatetimeIndex, rows: IntArray, step: Step | None, names: _RowNames
) -> TableError:
    """Why rising times are on no step, or not on the one that is known."""
    if len(times) < 2:
        return TableError(
            f"{names.locate(rows[0])}: the clock must go on, but all rows have {times[0]}"
        )
    if step is not None:
        at, broken = off_grid(times, step) or 1, ""
        rule = f"rows must be {step.name} apart, as those that the model was trained on"
    else:
        gaps = np.diff(to_ticks(times))
        if gaps.min() >= ALMOST_A_DAY:  # a day is a day, of 23 hours or 25
            gaps = np.diff(to_ticks(dates_on_wall(times)))
        kinds, counts = np.unique(gaps, return_counts=True)
        usual = kinds[counts.argmax()]
        most, off = ", as most are" if counts.max() > MOSTLY * len(gaps) else "", gaps != usual
        likely = Step.of(pd.Timedelta(usual))
        if (month := likely_months(times)) is not None:
            most, likely = ", as most are", month
            off = ~times.isin(month.grid(times[0], times[-1]))[1:]
        at = int(off.argmax()) + 1
        rule = f"rows must be {likely.name} apart{most}"
        broken = f" (rows that break this: {off.sum()})"
    return TableError(
        f"{names.move('jumps', times, rows, at)}, but {rule}{broken}; correct the times, or gather "
        "the rows in steps of one length first"
    )


def _check_length(times: pd.DatetimeIndex, rows: IntArray, step: Step, names: _RowNames) -> None:
    """Not most steps may be without a row; told before there is a time in memory for each."""
    if step.is_fixed:
        steps = int((times[-1] - times[0]) // step.duration) + 1
    else:
        steps = len(step.grid(times[0], times[-1]))
    lacking = steps - len(times)
    if lacking > len(times):
        longest = int(np.diff(to_ticks(times)).argmax()) + 1
        raise TableError(
            f"{names.move('jumps', times, rows, longest)}, but rows must be {step.name} apart, and "
            f"{lacking:,} steps of its {steps:,} have no row; correct the times, or gather the "
            "rows in longer steps first"
        )


def _check_gaps(
    times: pd.DatetimeIndex,
    rows: IntArray,
    grid: pd.DatetimeIndex,
    step: Step,
    reading: Reading,
    names: _RowNames,
    *,
    trained: bool,
) -> None:
    """Steps may have no row only where `gaps` says so."""
    lacking = len(grid) - len(times)
    jumps = np.diff(grid.get_indexer(times)) > 1
    move = names.move("jumps", times, rows, int(jumps.argmax()) + 1)
    rule = f"{move}, but rows must be {step.name} apart"
    if reading.gaps == "refuse":
        steps = "step" if lacking == 1 else "steps"
        rule = f"{rule} (rows that break this: {jumps.sum()})"
        if trained:
            raise TableError(
                f"{rule}; put a row without values in for each of the {lacking:,} {steps} without "
                "one, or train with gaps: fill, which a model keeps"
            )
        raise TableError(
            f"{rule}; in the data block, gaps: fill makes the {lacking:,} {steps} without a row "
            "rows without values"
        )


def count_steps_left(last: pd.Timestamp, step: Step) -> int:
    """How many steps a clock can go on for: there are no times after the year 9999."""
    left = datetime.max - last.tz_localize(None).to_pydatetime(warn=False)
    return int(left // step.duration.to_pytimedelta())
