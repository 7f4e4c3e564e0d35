"""What a table holds: its clock, what its cells mean, what can help a forecast, and its splits."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
from lstm_model.data.rows import Rows, count_steps_left
from lstm_model.data.step import DAY, WEEK, YEAR, Step, on_wall, rows_before
from lstm_model.data.suspicion import find_sentinels, is_sentinel, meaning_of_empty
from lstm_model.data.table import read_rows
from lstm_model.data.table_file import Table, guess_encoding, read_files
from lstm_model.data.time_forms import CLOCK_PARTS, FORMS, YEAR_FIRST
from lstm_model.errors import InputError, TableError
from tuning.space.clock_proposal import ClockProposal, propose_clock
from tuning.wording import closest_match

# With fewer rows a search would choose by luck; and validation and test shall hold three horizons.
LEAST_ROWS, LEAST_HORIZONS = 100, 25
# Training, validation and test as shares of the rows: what is aimed at, and the least to be taken
# where they then begin with a year, a month, a day or an hour.
SHARES, LEAST_SHARES = (0.6, 0.2, 0.2), (0.45, 0.12, 0.12)
# Texts among numbers that stand for missing: there are no more different ones, and few rows.
MOST_MISSING_TEXTS, MOSTLY_NUMBERS = 3, 0.5
MISSING_TEXT = re.compile(
    r"[^\w\s]+|#.*|n\.?\s?[ad]\.?|missing|unknown|error|invalid|no data|[-+]?inf(inity)?", re.I
)


@dataclass(frozen=True)
class Proposal:
    """What a table holds, and how it would be forecast.

    Attributes:
        clock: its columns, the keys that read it, and why.
        frame: the features by time, the target first, as load_dataset() has them.
        reading: what its clock and its cells mean.
        repairs: how many cells that concerns.
        left_out: the other columns, and in a sentence why they are none of the features.
        validation_from, test_from: where the splits meet, on the wall clock.
    """

    clock: ClockProposal
    frame: pd.DataFrame
    reading: Reading
    repairs: Sequence[Repair]
    left_out: Mapping[str, str]
    validation_from: pd.Timestamp
    test_from: pd.Timestamp

    @property
    def step(self) -> Step:
        """The time between rows."""
        return self.clock.rows.step

    @property
    def training_rows(self) -> int:
        """How many rows lie before validation."""
        times = self.frame.index
        assert isinstance(times, pd.DatetimeIndex)
        return rows_before(times, self.validation_from)


def propose(
    files: Mapping[str, bytes],
    target: str,
    clock: tuple[str, ...] | None = None,
    features: tuple[str, ...] | None = None,
    *,
    horizon: int = 1,
    zone: str | None = None,
) -> Proposal:
    """What a table's bytes hold, by the rules of the reader that studies have.

    Args:
        files: one file, or several that are one table, by the names that messages have.
        clock, features: the clock's columns and the columns to read; None to look for them.
        zone: of its wall clock, where the table can't tell it.

    Raises:
        InputError: it can't be forecast as it is.
    """
    encoding = next(filter(None, map(guess_encoding, files.values())), None)
    table = read_files(files, None, encoding)
    file = table.places.name
    named = dict.fromkeys((target, *(clock or ()), *(features or ())))
    if unknown := [name for name in named if name not in table.header]:
        raise InputError("\n".join(_no_column(file, name, table.header) for name in unknown))
    proposal = propose_clock(table, clock, zone, encoding)
    rows, parts = proposal.rows, proposal.names
    if count_steps_left(rows.times[-1], rows.step) < horizon:
        read_rows(table, files, proposal.reading, horizon)  # which says so
    reader = _Reader(table, rows)
    observed = reader.read(target, target=True).dropna()
    least = max(LEAST_ROWS, LEAST_HORIZONS * horizon)
    if len(observed) < least:
        raise InputError(
            f"{file}: must have {least} rows or more with {target}, of which validation and test "
            f"take a fifth each, but has {len(observed)}; gather more"
            + (", or ask for a smaller --horizon" if least > LEAST_ROWS else "")
        )
    validation_from, test_from = propose_splits(on_wall(pd.DatetimeIndex(observed.index)))
    training_rows = rows_before(rows.times, validation_from)
    left_out: dict[str, str] = {}
    chosen = []
    for name in table.header if features is None else features:
        if name in (target, *parts):
            continue
        try:
            column = reader.read(name)
        except TableError as error:
            if features is not None:
                raise
            left_out[name] = str(error).removeprefix(f"{file}: ")
            continue
        why = None if features is not None else reason_to_leave_out(column, training_rows)
        if why is None:
            chosen.append(name)
        else:
            left_out[name] = f"{name} {why}{reader.dropped(name)}"
    names = dict.fromkeys((target, *chosen))
    reading = proposal.reading.model_copy(
        update={
            "missing": {name: reader.missing[name] for name in names if name in reader.missing},
            "fill": {name: reader.fill[name] for name in names if name in reader.fill},
        }
    )
    return Proposal(
        clock=proposal,
        frame=pd.DataFrame({name: reader.columns[name] for name in names}),
        reading=reading,
        repairs=[repair for name in names for repair in reader.repairs[name]],
        left_out=left_out,
        validation_from=validation_from,
        test_from=test_from,
    )


class _Reader:
    """Reads a table's columns by what their cells seem to mean.

    Attributes:
        missing, fill: keys of the data block, by column.
        columns, repairs: by column, once it was read.
    """

    def __init__(self, table: Table, rows: Rows) -> None:
        self._table, self._rows = table, rows
        self.missing: dict[str, tuple[Cell, ...]] = {}
        self.fill: dict[str, Cell] = {}
        self.columns: dict[str, pd.Series[Any]] = {}
        self.repairs: dict[str, tuple[Repair, ...]] = {}

    def read(self, name: str, *, target: bool = False) -> "pd.Series[Any]":
        """The column by time; raises TableError where it can't be read."""
        if words := missing_texts(self._table.cells[name]):
            self.missing[name] = words
        column = self._read(name, target)
        # Of other numbers that stand apart nobody knows, and a study tells of them.
        numbers = (
            find_sentinels(column.values.to_numpy(np.float64)) if _numeric(column.values) else {}
        )
        if cells := tuple(number for number in numbers if is_sentinel(number)):
            self.missing[name] = (*self.missing.get(name, ()), *cells)
            column = self._read(name, target)
        elif not target and (empty := meaning_of_empty(column.values, self._rows.step)) is not None:
            self.fill[name] = empty
            column = self._read(name, target)
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


def _numeric(column: "pd.Series[Any]") -> bool:
    return bool(column.dtype == np.float64)


def _no_column(file: str, name: str, header: Sequence[str]) -> str:
    guess = closest_match(name, header)
    also = f"did you mean {guess!r}?" if guess else f"there are {', '.join(header)}"
    return f"{file}: no column {name!r}; {also}"


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


def reason_to_leave_out(column: "pd.Series[Any]", training_rows: int) -> str | None:
    """Why a column can't help a forecast, or None."""
    times, values = on_wall(pd.DatetimeIndex(column.index)), column.dropna()
    part, rows, training = str(column.name).casefold(), len(values), column.iloc[:training_rows]
    if training.isna().all():
        return "has no value before validation begins: nothing to learn from"
    if training.nunique() < 2:
        return "never changes before validation begins: nothing to learn from"
    if values.dtype != np.float64:
        if re.fullmatch(FORMS[YEAR_FIRST], values.iloc[0]):
            return "holds times, but is not the clock"
        return "names its rows: most texts come once" if 2 * values.nunique() > rows else None
    if column.notna().all() and column.diff().iloc[1:].nunique() == 1:
        return "counts the rows"
    if part in CLOCK_PARTS and (column == getattr(times, part)).all():
        return "is a part of the clock: calendar has what can be learned from it"
    return None


def propose_splits(observed: pd.DatetimeIndex) -> tuple[pd.Timestamp, pd.Timestamp]:
    """Where validation and test begin, from the times with a target.

    With a year, else a month, a day or an hour, where that leaves each part long enough.
    """
    times = observed.to_numpy().astype("datetime64[s]")
    borders = ideal = times[[round(share * len(times)) for share in np.cumsum(SHARES)[:2]]]
    for unit in ("Y", "M", "D", "h"):
        before = ideal.astype(f"datetime64[{unit}]")
        start, end = before.astype(ideal.dtype), (before + 1).astype(ideal.dtype)
        nearest = np.where(ideal - start <= end - ideal, start, end)
        rows = np.diff([0, *np.searchsorted(times, nearest), len(times)])
        if (rows >= np.array(LEAST_SHARES) * len(times)).all():
            borders = nearest
            break
    validation_from, test_from = map(pd.Timestamp, borders)
    return validation_from, test_from


def propose_calendar(proposal: Proposal) -> list[str]:
    """The periods of two rows or more that training sees twice."""
    span = proposal.validation_from - on_wall(proposal.clock.rows.times)[0]
    periods = {"hour_of_day": DAY, "day_of_week": WEEK, "day_of_year": YEAR}
    step = proposal.step.duration
    return [name for name, long in periods.items() if 2 * step <= long and 2 * long <= span]
