"""What a column's cells seem to mean, over all series of a table."""

import re
from collections import Counter
from typing import Any

import numpy as np
import pandas as pd

from lstm_model.configuration import Cell, Reading
from lstm_model.data.columns import (
    MISSING,
    NONE,
    NUMBER_LIKE,
    Column,
    Repair,
    plain_numbers,
    read_column,
)
from lstm_model.data.panel import repeat_static
from lstm_model.data.rows import Rows
from lstm_model.data.suspicion import find_sentinels, is_sentinel, meaning_of_empty
from lstm_model.data.table_file import Table
from tuning.space.series_proposal import SeriesProposal, never_changes_within

# Texts among numbers that stand for missing: there are no more different ones, and few rows.
MOST_MISSING_TEXTS, MOSTLY_NUMBERS = 3, 0.5
MISSING_TEXT = re.compile(
    r"[^\w\s]+|#.*|n\.?\s?[ad]\.?|missing|unknown|error|invalid|no data|[-+]?inf(inity)?", re.I
)


class ColumnReader:
    """Reads a table's columns by what their cells seem to mean.

    Attributes:
        missing, fill: keys of the data block, by column.
        columns, repairs: by column, once it was read.
        static: the columns that never change within a series, where there are several.
    """

    def __init__(self, table: Table, rows: Rows, series: SeriesProposal | None = None) -> None:
        self._table, self._rows = table, rows
        self._series = None if series is None else series.rows
        # The columns of a wide table that are no series are all series' own.
        self._takes_static = series is not None and series.key == "series"
        self.missing: dict[str, tuple[Cell, ...]] = {}
        self.fill: dict[str, Cell] = {}
        self.columns: dict[str, pd.Series[Any]] = {}
        self.repairs: dict[str, tuple[Repair, ...]] = {}
        self.static: set[str] = set()

    def read(self, name: str, *, target: bool = False) -> "pd.Series[Any]":
        """The column by time; raises TableError where it can't be read."""
        if words := missing_texts(self._table.cells[name]):
            self.missing[name] = words
        column = self._read(name, target)
        empty = None if target else self._meaning_of_empty(column.values)
        if self._is_static(column.values, empty) and not target:
            self.static.add(name)
            empty = None
        if cells := self._sentinels(column.values):
            self.missing[name] = (*self.missing.get(name, ()), *cells)
            column = self._read(name, target)
        elif empty is not None:
            self.fill[name] = empty
            column = self._read(name, target)
        series = self._series
        if series is not None and name in self.static:
            values = repeat_static(column.values, series, self._rows, self._table.places)
            self.columns[name] = values
        else:
            self.columns[name] = self._rows.arrange(column.values, self._table.places)
        self.repairs[name] = column.repairs
        return self.columns[name]

    def dropped(self, name: str) -> str:
        """What of a column was read as missing, to stand behind why it is of no use."""
        cells = [repr(repair.value) for repair in self.repairs[name] if repair.kind == "missing"]
        return f" (with {', '.join(cells)} read as missing)" if cells else ""

    def _read(self, name: str, target: bool) -> Column:
        reading = Reading(
            missing={name: self.missing[name]} if name in self.missing else {},
            fill={name: self.fill[name]} if name in self.fill else {},
        )
        return read_column(self._table.cells[name], reading, self._table.places, target=target)

    def _is_static(self, values: "pd.Series[Any]", empty: float | str | None) -> bool:
        """Whether a column never changes within a series.

        A flag that has one value or none, as of a promotion, does, where none means something.
        """
        if self._series is None or not self._takes_static:
            return False
        is_flag = empty is not None and int(values.count()) > len(self._series.names)
        return not is_flag and never_changes_within(values, self._series.numbers)

    def _parts(self, values: "pd.Series[Any]") -> "list[pd.Series[Any]]":
        """A column's values of each series; of a static one, one of each."""
        if self._series is None:
            return [values]
        if values.name in self.static:
            return [values.groupby(self._series.numbers).first()]
        ends = np.bincount(self._series.numbers).cumsum()
        ordered = values.iloc[self._series.order]
        return [
            ordered.iloc[end - rows : end]
            for end, rows in zip(ends, np.diff(ends, prepend=0), strict=True)
        ]

    def _sentinels(self, values: "pd.Series[Any]") -> tuple[float, ...]:
        """Numbers that stand for missing, in most rows that have them.

        Each is held against the others of its series. Of other numbers that stand apart nobody
        knows, and a study tells of them.
        """
        if values.dtype != np.float64:
            return ()
        rows: Counter[float] = Counter()
        for part in self._parts(values):
            rows.update(find_sentinels(part.to_numpy(np.float64)))
        return tuple(
            number
            for number, count in rows.items()
            if is_sentinel(number)
            and (values.name in self.static or 2 * count > int((values == number).sum()))
        )

    def _meaning_of_empty(self, values: "pd.Series[Any]") -> float | str | None:
        """What an empty cell seems to mean in most series that have a value at all."""
        if values.notna().all():
            return None
        parts = [part for part in self._parts(values) if part.notna().any()]
        meanings = Counter(meaning_of_empty(part, self._rows.step) for part in parts)
        meaning, count = meanings.most_common(1)[0] if meanings else (None, 0)
        return meaning if 2 * count > len(parts) else None


def missing_texts(cells: "pd.Series[Any]") -> tuple[str, ...]:
    """Texts that stand for missing in a column of numbers, such as ?; of others nobody knows."""
    if not isinstance(cells.dtype, pd.StringDtype):
        return ()
    known = ~cells.isin(MISSING | {NONE})
    numbers = plain_numbers(cells, known)
    others = cells[numbers.isna() & known]
    kinds = [str(kind) for kind in others.unique() if not re.fullmatch(NUMBER_LIKE, str(kind))]
    if len(kinds) > MOST_MISSING_TEXTS or others.isin(kinds).sum() > MOSTLY_NUMBERS * len(cells):
        return ()
    return tuple(kinds) if all(map(MISSING_TEXT.fullmatch, kinds)) else ()
