"""Which series a table holds: by columns, by files, or by the like columns of a wide one."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from glob import has_magic
from typing import Any, Literal

import numpy as np
import pandas as pd

from lstm_model.arrays import IntArray
from lstm_model.configuration import Reading
from lstm_model.data.diagnosis import SHARED, are_files_series, is_time_of_day, series_keys
from lstm_model.data.panel import SeriesRows, melt, read_series
from lstm_model.data.table_file import Table
from lstm_model.data.time_forms import Clock
from lstm_model.errors import InputError
from lstm_model.series_rules import FILE, MELTED
from lstm_model.wording import shorten

# Columns are like each other where their names differ in digits alone.
DIGITS = re.compile(r"\d+")
# Of the rows of a series as many may be there twice, as those of an hour that a wall clock repeats.
FEW_TWICE = 0.01


@dataclass(frozen=True)
class SeriesProposal:
    """The series of a table.

    Attributes:
        key: of the data block, that says which they are.
        columns: what it names.
        rows: whose each row is.
    """

    key: Literal["series", "targets"]
    columns: tuple[str, ...]
    rows: SeriesRows

    @property
    def value(self) -> str | tuple[str, ...]:
        """Of the key."""
        alone = self.key == "series" and len(self.columns) == 1
        return self.columns[0] if alone else self.columns

    @property
    def description(self) -> str:
        """How many series there are, and of how many rows: `8 series of 35,064 rows each`."""
        rows = np.bincount(self.rows.numbers, minlength=len(self.rows.names))
        low, high = int(rows.min()), int(rows.max())
        if len(rows) == 1:
            return f"1 series of {high:,} rows"
        each = f"{high:,} rows each" if low == high else f"{low:,} to {high:,} rows"
        return f"{len(rows):,} series of {each}"

    @property
    def longest(self) -> IntArray:
        """The rows, by number, of the series that has most."""
        return max(self.rows.by_series, key=len)


def match_columns(text: str, header: Sequence[str], file: str) -> tuple[str, ...]:
    """The columns that `--target` names: one, or `MT_001,MT_002` or `MT_*`.

    A name that no column has stays, for who says so.

    Raises:
        InputError: no column is like a pattern.
    """
    if text in header:
        return (text,)
    names: dict[str, None] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        matches = [part]
        if part not in header and has_magic(part):
            matches = [name for name in header if fnmatchcase(name, part)]
            if not matches:
                raise InputError(
                    f"{file}: no column is like {part!r}; there are {shorten(list(header))}"
                )
        names |= dict.fromkeys(matches)
    return tuple(names) or (text,)


def find_likes(names: Sequence[str], header: Sequence[str]) -> list[str]:
    """The other columns whose names differ from one of these in digits alone: MT_002 of MT_001."""
    forms = {DIGITS.sub("0", name) for name in names if DIGITS.search(name)}
    return [name for name in header if name not in names and DIGITS.sub("0", name) in forms]


def name_all(name: str, likes: Sequence[str]) -> str:
    """What `--target` takes for a column and those like it.

    >>> name_all("MT_001", ["MT_002"]), name_all("load [1]", ["load [2]"])
    ('MT_*', 'load [1],load [2]')
    """
    return ",".join((name, *likes)) if has_magic(name) else DIGITS.sub("*", name)


def melt_columns(
    table: Table, targets: Sequence[str], shared: Sequence[str]
) -> tuple[Table, SeriesProposal, str]:
    """A wide table in long form, its series, and what the column of their values is called.

    Args:
        shared: the columns that all series have.
    """
    target, number = MELTED, 2
    while target in table.header:
        target, number = f"{MELTED}_{number}", number + 1
    wide = replace(table, cells=table.cells[[*shared, *targets]])
    long, rows = melt(wide, targets, target)
    return long, SeriesProposal("targets", tuple(targets), rows), target


def read_named_series(table: Table, files: Sequence[str], columns: Sequence[str]) -> SeriesProposal:
    """The series that somebody named the columns of.

    Args:
        files: the names of those that the table is from.

    Raises:
        TableError: a row is of none, or two files are called alike.
    """
    rows = read_series(table, Reading(series=tuple(columns)), files)
    return SeriesProposal("series", tuple(columns), rows)


def find_series(
    table: Table, files: Sequence[str], apart: Sequence[str], names: Sequence[str], clock: Clock
) -> SeriesProposal | None:
    """The series that a table of these times seems to hold; None where it is one.

    Args:
        apart: columns that tell no series apart: what is forecast, and from what.
        names: the clock's columns.
    """
    times = pd.Series(clock.times, index=table.cells.index)
    if times.duplicated(keep=False).mean() < SHARED:
        return None
    others = table.cells.drop(columns=list({*names, *apart} & set(table.cells)))
    others = others.drop(columns=[name for name in others if is_time_of_day(others[name])])
    if keys := series_keys(others, times) or series_keys(others, times, FEW_TWICE):
        return read_named_series(table, files, keys)
    are_copies = table.cells.duplicated().sum() >= times.duplicated().sum()
    if not are_copies and are_files_series(times, table.first_rows):
        return read_named_series(table, files, [FILE])
    return None


def never_changes_within(values: "pd.Series[Any]", numbers: IntArray) -> bool:
    """Whether a column's known values are the same in all rows of each series.

    Args:
        numbers: of each row's series.
    """
    codes, kinds = pd.factorize(values)
    known = codes >= 0
    owners = numbers[known]
    pairs = owners * len(kinds) + codes[known]
    return bool(len(pd.unique(pairs)) == len(pd.unique(owners)))


def reason_static_is_useless(values: "pd.Series[Any]") -> str | None:
    """Why a column that never changes within a series can't help a forecast, or None.

    Args:
        values: (N,) of the series, NaN where one has none.
    """
    known = values.dropna()
    if known.nunique() < 2:
        return "never changes, and is the same in all series: nothing to learn from"
    if known.dtype == np.float64 and len(known) > 2:
        numbers = np.sort(known.to_numpy())
        if numbers[0].is_integer() and (np.diff(numbers) == 1).all():
            return "numbers the series"
    return None
