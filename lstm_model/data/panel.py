"""A table of many series: which rows are of which, and all of them on one grid of time.

In long form columns say whose a row is, or each file is one series; a wide table, which has a
column for each series, is melted into long form first.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import PurePath
from typing import Any

import numpy as np
import pandas as pd

from lstm_model.arrays import IntArray
from lstm_model.configuration import Reading
from lstm_model.data.columns import spell_cells
from lstm_model.data.places import Places
from lstm_model.data.row_rules import RowNames
from lstm_model.data.rows import RowRepair, Rows, lay_out, order_rows
from lstm_model.data.series_index import SeriesIndex
from lstm_model.data.step import Step, off_grid
from lstm_model.data.table_file import Table, read_files
from lstm_model.data.time_forms import Clock
from lstm_model.errors import TableError
from lstm_model.series_rules import FILE
from lstm_model.wording import shorten

# Of a file's name that are no part of what its series is called.
ENDINGS = {".csv", ".tsv", ".txt", ".parquet", ".pq", ".gz", ".zip"}
# So many rows that all lie two steps apart, or three, are no accident.
REGULAR_ROWS = 10
WHOLE = r"^(-?\d+)\.0+$"  # a number that a float went by: what 1.0 names is called 1


@dataclass(frozen=True)
class SeriesRows:
    """Whose each row of a table is.

    Attributes:
        names: of the N series, in their order.
        numbers: (R,) of each row's series.
    """

    names: tuple[str, ...]
    numbers: IntArray

    @cached_property
    def order(self) -> IntArray:
        """The rows by number, one series after the other."""
        return np.argsort(self.numbers, kind="stable")

    @property
    def by_series(self) -> list[IntArray]:
        """Each series' rows by number, as they stand."""
        ends = np.bincount(self.numbers, minlength=len(self.names)).cumsum()
        return np.split(self.order, ends[:-1])

    def label(self, places: Places) -> Places:
        """Places that name a row's series too, whose labels are the rows' numbers."""

        def locate(row: int) -> str:
            return f"{places.locate(row)} ({self.names[self.numbers[row]]})"

        return Places(places.name, locate, bare=places.locate)


def read_cells(
    files: Mapping[str, bytes],
    reading: Reading,
    columns: Sequence[str],
    target: str,
    *,
    trained: bool,
) -> tuple[Table, SeriesRows | None]:
    """The cells of a table in long form, and whose its rows are; None where it is one series.

    Args:
        files: by the name that messages have.
        columns: to read, the clock's among them.
        trained: whether the table is one to forecast from, which may hold other series.

    Raises:
        TableError: a file is no table, lacks a column, or has rows of no series.
    """
    if reading.targets:
        shared = [name for name in columns if name != target]
        must, may = (shared, reading.targets) if trained else ((*shared, *reading.targets), ())
        table = read_files(files, must, reading.encoding, may)
        if target in table.header and not trained:
            raise TableError(
                f"{table.places.prefix}target must be a name that no column has, as targets are "
                f"the columns that hold it, but got {target!r}; give it another one"
            )
        targets = find_targets(reading, table.header, table.places.prefix)
        table, series = melt(table, targets, target)
        return replace(table, places=series.label(table.places)), series
    keys = tuple(name for name in reading.series_columns if name != FILE)
    optional = (FILE,) if keys != reading.series_columns else ()
    table = read_files(files, (*columns, *keys), reading.encoding, optional)
    if not reading.series_columns:
        return table, None
    series = read_series(table, reading, [*files])
    return replace(table, places=series.label(table.places)), series


def series_of_file(path: str) -> str:
    """What a file's series is called: its name without the folder and the ending.

    >>> series_of_file("stations/MT_001.csv.gz"), series_of_file("shop no. 3.csv")
    ('MT_001', 'shop no. 3')
    """
    name = PurePath(path)
    while name.suffix.casefold() in ENDINGS:
        name = name.with_suffix("")
    return name.name


def read_series(table: Table, reading: Reading, files: Sequence[str] = ()) -> SeriesRows:
    """Whose each row of a table in long form is, the series sorted by their names.

    Args:
        files: the names of those that the table is from.

    Raises:
        TableError: a row names none, or two series would have one name.
    """
    cells, places = table.cells, table.places
    if files and FILE in reading.series_columns and FILE not in cells:
        cells = cells.assign(**{FILE: _series_of_files(table, files)})
    if lacking := [name for name in reading.series_columns if name not in cells]:
        raise TableError(
            f"{places.prefix}the table must have {', '.join(lacking)}, which series says whose "
            f"rows they are by; its columns are {', '.join(map(str, cells.columns))}"
        )
    numbers: IntArray | None = None
    names: list[str] = []
    for column in reading.series_columns:
        codes, kinds = _read_names(cells[column], reading, places)
        if numbers is None:
            numbers, names = codes, kinds
            continue
        codes, pairs = pd.factorize(numbers * len(kinds) + codes)
        names = [f"{names[pair // len(kinds)]}/{kinds[pair % len(kinds)]}" for pair in pairs]
        numbers = codes.astype(np.int64)
    assert numbers is not None
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise TableError(
            f"{places.prefix}the values of {', '.join(reading.series_columns)}, joined by '/', "
            f"must name one series each, but two are called {twice}; leave '/' out of them, or "
            "write them into one column"
        )
    order = sorted(range(len(names)), key=names.__getitem__)
    place = np.empty(len(names), np.int64)
    place[order] = np.arange(len(names))
    return SeriesRows(tuple(names[at] for at in order), place[numbers])


def _series_of_files(table: Table, files: Sequence[str]) -> "pd.Index[str]":
    """Each row's file, by the name of its series."""
    names = [re.sub(WHOLE, r"\1", series_of_file(file)) for file in files]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise TableError(
            f"{table.places.prefix}with series: {FILE} each file must have a name of its own, "
            f"but two are called {twice[0]}; give the rows of each a column, or rename one"
        )
    lengths = np.diff((*table.first_rows, len(table.cells)))
    return pd.Index(names).take(np.repeat(np.arange(len(names)), lengths))


def _read_names(
    column: "pd.Series[Any]", reading: Reading, places: Places
) -> tuple[IntArray, list[str]]:
    """The number of each row's name, and the names."""
    codes, kinds = pd.factorize(column)
    spelled = spell_cells(pd.Series(kinds), "category").str.strip()
    texts = spelled.str.replace(WHOLE, r"\1", regex=True).to_list()
    missing = ["", *(cell for cell in reading.missing_in(str(column.name)) if cell in texts)]
    empty = np.array([*(text in missing for text in texts), True])[codes]  # the last is -1's
    if empty.any():
        row = int(empty.argmax())
        raise TableError(
            f"{places.locate(row)}: {column.name} must say which series the row is of, but is "
            f"missing (rows that break this: {empty.sum()}); write it, or leave these rows out"
        )
    again, names = pd.factorize(np.array(texts, dtype=object))  # 1 and '1' are one name
    return again[codes].astype(np.int64), list(map(str, names))


def find_targets(reading: Reading, header: Iterable[str], prefix: str = "") -> list[str]:
    """Those of a wide table's series that are there; raises TableError where none is."""
    columns = list(header)
    if targets := [name for name in reading.targets if name in columns]:
        return targets
    raise TableError(
        f"{prefix}the table must have a column of {shorten(reading.targets)}, whose values are "
        f"forecast, but has {shorten(columns)}"
    )


def melt(table: Table, targets: Sequence[str], target: str) -> tuple[Table, SeriesRows]:
    """A wide table in long form, one series after the other, and whose its rows are.

    Args:
        targets: a column for each series.
        target: what the column of their values is called.
    """
    cells, rows = table.cells, len(table.cells)
    shared = [name for name in cells if name not in targets]
    columns = {name: pd.concat([cells[name]] * len(targets), ignore_index=True) for name in shared}
    values = pd.concat([cells[name] for name in targets], ignore_index=True)
    numbers = np.repeat(np.arange(len(targets)), rows)
    starts = (np.arange(len(targets))[:, None] * rows + table.first_rows).ravel()
    long = Table(
        pd.DataFrame({**columns, target: values}, copy=False),
        Places(table.places.name, lambda row: table.places.locate(row % rows)),
        table.header,
        tuple(map(int, starts)),
    )
    return long, SeriesRows(tuple(targets), numbers)


def arrange_series(
    clock: Clock,
    series: SeriesRows,
    reading: Reading,
    places: Places,
    step: Step | None = None,
    first_rows: Sequence[int] = (0,),
    advise: Callable[[IntArray], str | None] = lambda rows: None,
) -> Rows:
    """The rows of many series on a regular clock each, all of one step and on one grid.

    Args:
        places: labels are the rows' numbers.
        step: between rows, where it is known, as of a table to forecast from.
        first_rows: where each of several files begins.
        advise: what a series' rows seem to be, which were refused.

    Raises:
        TableError: rows of a series break a rule that those of a table of one series would break,
            or are not on the grid of the others.
    """
    by_time, backwards = [], []
    for rows in series.by_series:
        starts = np.unique(np.searchsorted(rows, first_rows)) if len(first_rows) > 1 else (0,)
        ordered, turned = order_rows(clock, reading, rows, [at for at in starts if at < len(rows)])
        by_time.append(ordered)
        backwards += [ordered] if turned else []
    names = RowNames(places, range(len(clock.times)))
    room = len(clock.times)  # for rows that `gaps` puts in, in all of them
    parts: dict[int, Rows] = {}
    # The longest one first: it shows the step best.
    first, *others = sorted(range(len(by_time)), key=lambda number: -len(by_time[number]))
    like = None if step is not None else series.names[first]
    for number in (first, *others):
        try:
            if number == first:
                part = lay_out(clock, by_time[number], reading, names, step, most_lacking=room)
                step = part.step
            else:
                part = lay_out(
                    clock, by_time[number], reading, names, step, like=like, most_lacking=room
                )
                _check_grid(part, parts[first], series.names[number], series.names[first], names)
        except TableError as error:
            advice = advise(np.sort(by_time[number]))
            raise TableError("\n".join(filter(None, (str(error), advice)))) from error
        parts[number] = part
        room -= sum(repair.rows for repair in part.repairs if repair.kind == "gaps")
    return _join([parts[number] for number in range(len(by_time))], series.names, backwards, names)


def _check_grid(part: Rows, first: Rows, name: str, like: str, names: RowNames) -> None:
    """Raises TableError where a series has not the step of another, or lies between its rows."""
    apart = 1
    if len(part.times) > len(part.taken) >= REGULAR_ROWS:
        apart = int(np.gcd.reduce(np.diff(part.at)))
    if apart > 1:
        raise TableError(
            f"{names.locate(part.taken[0])}: rows must be {part.step.name} apart, as those of "
            f"{like}, but those of {name} are {apart} such steps apart; gather the rows of all "
            "series in steps of one length first"
        )
    ends = first.times[:1].append(part.times[:1])
    if ends[0] != ends[1] and off_grid(pd.DatetimeIndex(ends.sort_values()), part.step) is not None:
        raise TableError(
            f"{names.locate(part.taken[0])}: rows of all series must lie on one grid, "
            f"{part.step.name} apart, but those of {name} begin at {part.times[0]} and those of "
            f"{like} at {first.times[0]}, which is no whole number of steps; correct the times, "
            "or gather the rows of all series in the same steps first"
        )


def _join(
    parts: Sequence[Rows], series: Sequence[str], backwards: Sequence[IntArray], names: RowNames
) -> Rows:
    """The rows of all series, one after the other."""
    index = SeriesIndex.of_lengths(series, (len(part.times) for part in parts))
    repairs = []
    if backwards:
        rows = sum(map(len, backwards))
        repairs.append(RowRepair("order", "backwards", rows, names.locate(backwards[0][0])))
    merged: dict[str, RowRepair] = {}
    for part, name in zip(parts, series, strict=True):
        for repair in part.repairs:
            first = merged.get(repair.kind)
            rows = repair.rows + (first.rows if first else 0)
            where = first.first if first else f"{repair.first} ({name})"
            merged[repair.kind] = RowRepair(repair.kind, repair.value, rows, where)
    times = pd.DatetimeIndex(parts[0].times.append([part.times for part in parts[1:]]))
    return Rows(
        times.rename("time"),
        parts[0].step,
        np.concatenate([part.taken for part in parts]),
        np.concatenate([part.at + start for part, start in zip(parts, index.bounds, strict=False)]),
        parts[0].zone,
        parts[0].has_offsets,
        index,
        (*repairs, *merged.values()),
    )


def repeat_static(
    values: "pd.Series[Any]", series: SeriesRows, rows: Rows, places: Places
) -> "pd.Series[Any]":
    """A column that does not change within a series, in each of its rows on the regular clock.

    Args:
        values: of the table's rows. A series that has one in some rows has it in all.

    Raises:
        TableError: a series has two values.
    """
    codes, _ = pd.factorize(values)
    known = np.flatnonzero(codes >= 0)
    owners = series.numbers[known]
    first = np.full(len(series.names), -1)  # row of each series that has a value
    first[owners[::-1]] = known[::-1]
    if (wrong := codes[known] != codes[first[owners]]).any():
        row = int(known[int(wrong.argmax())])
        owner = series.numbers[row]
        raise TableError(
            f"{places.locate(row)}: {values.name} must not change within a series, as it is "
            f"static, but is {values.iloc[row]} here, and {values.iloc[first[owner]]} in earlier "
            f"rows of {series.names[owner]}; make it one of the features, or correct it"
        )
    by_row = np.repeat(first, np.diff(rows.index.bounds))
    return values.take(by_row.clip(0)).set_axis(rows.times).mask(by_row < 0)
