"""The rows of a table in the order of time, one step apart: what is twice, and what is not there.

Nothing is put in or left out but by the keys `gaps` and `duplicates`, and what was done is counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd

from lstm_model.arrays import IntArray, Mask
from lstm_model.configuration import Reading
from lstm_model.data.places import Places
from lstm_model.data.row_rules import (
    Labels,
    RowNames,
    check_gaps,
    check_length,
    irregular,
)
from lstm_model.data.series_index import SeriesIndex
from lstm_model.data.step import (
    DAY,
    MOSTLY,
    NOTHING,
    Step,
    find_step,
    off_grid,
    to_ticks,
)
from lstm_model.data.time_forms import Clock
from lstm_model.data.zones import localize, on_zone
from lstm_model.errors import TableError

UTC = "UTC"


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
        index: which of the times are of which series: the clock goes on anew for each.
        repairs: what was done to the rows.
    """

    times: pd.DatetimeIndex
    step: Step
    taken: IntArray
    at: IntArray
    zone: str | None
    has_offsets: bool
    index: SeriesIndex
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
        if np.array_equal(self.at, np.arange(len(self.times))):  # none is missing, none twice
            return taken.set_axis(self.times)
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
    names = RowNames(places, labels)
    taken, backwards = order_rows(clock, reading, np.arange(len(clock.times)), first_rows)
    rows = lay_out(clock, taken, reading, names, step)
    if not backwards:
        return rows
    order = RowRepair("order", "backwards", len(taken), names.locate(taken[0]))
    return replace(rows, repairs=(order, *rows.repairs))


def order_rows(
    clock: Clock, reading: Reading, taken: IntArray, first_rows: Sequence[int]
) -> tuple[IntArray, bool]:
    """The rows of one series, those of files in the order of the files' first times, and the first
    one first; and whether they stand the other way round.

    Args:
        taken: their numbers, as the table has them.
        first_rows: where each of several files begins, in `taken`.
    """
    if len(first_rows) > 1:
        taken = _order_of_files(clock, taken, first_rows)
    steps = np.diff(clock.times[taken])
    on_the_wall = reading.zone is not None and not clock.is_utc
    # Backwards too, a wall clock goes forward once in autumn.
    most = MOSTLY * len(steps) if on_the_wall else len(steps) - (steps == NOTHING).sum()
    backwards = bool((steps < NOTHING).any() and (steps < NOTHING).sum() >= most)
    return (taken[::-1] if backwards else taken), backwards


def lay_out(
    clock: Clock,
    taken: IntArray,
    reading: Reading,
    names: RowNames,
    step: Step | None = None,
    *,
    like: str | None = None,
    most_lacking: int | None = None,
) -> Rows:
    """The rows of one series on a regular clock.

    Args:
        taken: their numbers, the first one first.
        step: between rows, where it is known.
        like: the series that has that step; None where it is known from training.
        most_lacking: how many steps may have no row; without it, as many as have one.

    Raises:
        TableError: rows are missing, twice, out of order or irregular, and no key says what then.
    """
    repairs: list[RowRepair] = []
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
        raise irregular(rising, rows, known, names, like)
    check_length(rising, rows, step, names, most_lacking)
    ticks, grid = to_ticks(rising), rising.rename("time")
    at = np.searchsorted(ticks, to_ticks(times))
    if step.is_even(rising) and ticks[-1] - ticks[0] == (len(ticks) - 1) * step.duration:
        whole = grid  # made anew it would take as long as all else
    else:
        whole = step.grid(rising[0], rising[-1])
    if len(whole) > len(rising):
        trained = known is not None and like is None
        check_gaps(rising, rows, whole, step, reading, names, trained=trained)
        if np.bincount(np.diff(whole.get_indexer(rising))).argmax() > 1 and known is None:
            # Some times lie between the steps of the others: no row is missing everywhere else.
            raise irregular(rising, rows, None, names)
        repairs.append(
            RowRepair("gaps", "fill", whole.size - len(rising), str(whole[~whole.isin(rising)][0]))
        )
        grid, at = whole, whole.get_indexer(times)
    index = SeriesIndex.of_one(len(grid))
    return Rows(grid, step, taken, at, zone, clock.is_utc, index, tuple(repairs))


def _order_of_files(clock: Clock, taken: IntArray, first_rows: Sequence[int]) -> IntArray:
    """The rows' numbers, those of files in the order of the files' first times."""
    files = np.split(taken, first_rows[1:])
    backwards = all(clock.times[file[0]] > clock.times[file[-1]] for file in files)
    files.sort(key=lambda file: clock.times[file[0]], reverse=backwards)
    return np.concatenate(files)


def _put_on_zone(
    clock: Clock, reading: Reading, taken: IntArray, names: RowNames
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
    times: pd.DatetimeIndex, taken: IntArray, reading: Reading, names: RowNames
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
    names: RowNames,
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


def count_steps_left(last: pd.Timestamp, step: Step) -> int:
    """How many steps a clock can go on for: there are no times after the year 9999."""
    left = datetime.max - last.tz_localize(None).to_pydatetime(warn=False)
    return int(left // step.duration.to_pytimedelta())
