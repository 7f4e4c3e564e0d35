"""What a table holds: its clock, what its cells mean, what can help a forecast, and its splits."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import numpy as np
import pandas as pd

from lstm_model.configuration import Cell, Reading
from lstm_model.data.columns import MISSING, NONE, Column, Repair, read_column
from lstm_model.data.csv_table import (
    CLOCK,
    CLOCK_PARTS,
    clock_columns,
    read_clock,
    read_header,
    read_texts,
)
from lstm_model.data.diagnosis import diagnose_times
from lstm_model.data.suspicion import find_sentinels, is_sentinel, meaning_of_empty
from lstm_model.errors import InputError, TableError
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
        clock: its column, or its parts.
        frame: the features by time, the target first, as load_dataset() has them.
        step: time between rows.
        reading: what its cells mean.
        repairs: how many cells that concerns.
        left_out: the other columns, and in a sentence why they are none of the features.
        validation_from, test_from: where the splits meet.
    """

    clock: tuple[str, ...]
    frame: pd.DataFrame
    step: pd.Timedelta
    reading: Reading
    repairs: Sequence[Repair]
    left_out: Mapping[str, str]
    validation_from: pd.Timestamp
    test_from: pd.Timestamp


def propose(
    raw: bytes,
    file: str,
    target: str,
    clock: tuple[str, ...] | None = None,
    features: tuple[str, ...] | None = None,
    *,
    horizon: int = 1,
) -> Proposal:
    """What a table's bytes hold, by the rules of the reader that studies have.

    Args:
        file: what messages call it.
        clock, features: the clock's columns and the columns to read; None to look for them.

    Raises:
        InputError: it can't be forecast as it is.
    """
    header = read_header(raw, file)
    named = dict.fromkeys((target, *(clock or ()), *(features or ())))
    if unknown := [name for name in named if not name or name not in header]:
        if len(header) < 2 and target:  # no table, or not with commas: the reader says why
            read_texts(raw, file, [target])
        raise InputError("\n".join(_no_column(file, name, header) for name in unknown))
    texts = read_texts(raw, file, header)
    reader = _Reader(texts, file)
    candidates = [clock] if clock else find_clocks(texts, file)
    parts, times, step = read_first_clock(candidates, texts, file, raw, horizon)
    observed = reader.read(target, times, step, target=True).dropna()
    least = max(LEAST_ROWS, LEAST_HORIZONS * horizon)
    if len(observed) < least:
        raise InputError(
            f"{file}: must have {least} rows or more with {target}, of which validation and test "
            f"take a fifth each, but has {len(observed)}; gather more"
            + (", or ask for a smaller --horizon" if least > LEAST_ROWS else "")
        )
    validation_from, test_from = propose_splits(pd.DatetimeIndex(observed.index))
    left_out: dict[str, str] = {}
    chosen = []
    for name in header if features is None else features:
        if name in (target, *parts):
            continue
        try:
            column = reader.read(name, times, step)
        except TableError as error:
            if features is not None:
                raise
            left_out[name] = str(error).removeprefix(f"{file}: ")
            continue
        why = None if features is not None else reason_to_leave_out(column, validation_from)
        if why is None:
            chosen.append(name)
        else:
            left_out[name] = f"{name} {why}{reader.dropped(name)}"
    names = dict.fromkeys((target, *chosen))
    reading = Reading(
        time=tuple(parts),
        missing={name: reader.missing[name] for name in names if name in reader.missing},
        fill={name: reader.fill[name] for name in names if name in reader.fill},
    )
    return Proposal(
        clock=tuple(parts),
        frame=pd.DataFrame({name: reader.columns[name] for name in names}),
        step=step,
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

    def __init__(self, texts: pd.DataFrame, file: str) -> None:
        self._texts, self._file = texts, file
        self.missing: dict[str, tuple[Cell, ...]] = {}
        self.fill: dict[str, Cell] = {}
        self.columns: dict[str, pd.Series[Any]] = {}
        self.repairs: dict[str, tuple[Repair, ...]] = {}

    def read(
        self, name: str, times: pd.DatetimeIndex, step: pd.Timedelta, *, target: bool = False
    ) -> "pd.Series[Any]":
        """The column by time; raises TableError where it can't be read."""
        if words := missing_texts(self._texts[name]):
            self.missing[name] = words
        column = self._read(name, target)
        # Of other numbers that stand apart nobody knows, and a study tells of them.
        numbers = (
            find_sentinels(column.values.to_numpy(np.float64)) if _numeric(column.values) else {}
        )
        if cells := tuple(number for number in numbers if is_sentinel(number)):
            self.missing[name] = (*self.missing.get(name, ()), *cells)
            column = self._read(name, target)
        elif not target and (empty := meaning_of_empty(column.values, step)) is not None:
            self.fill[name] = empty
            column = self._read(name, target)
        self.columns[name], self.repairs[name] = column.values.set_axis(times), column.repairs
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
        return read_column(self._texts[name], reading, self._file, target=target)


def _numeric(column: "pd.Series[Any]") -> bool:
    return bool(column.dtype == np.float64)


def _no_column(file: str, name: str, header: Sequence[str]) -> str:
    guess = closest_match(name, header)
    also = f"did you mean {guess!r}?" if guess else f"there are {', '.join(header)}"
    return f"{file}: no column {name!r}; {also}"


def missing_texts(cells: "pd.Series[Any]") -> tuple[str, ...]:
    """Texts that stand for missing in a column of numbers, such as ?; of others nobody knows."""
    numbers = pd.to_numeric(cells, errors="coerce")
    others = cells[numbers.isna() & ~cells.isin(MISSING | {NONE})]
    kinds = [str(kind) for kind in others.unique()[: MOST_MISSING_TEXTS + 1]]
    if len(kinds) > MOST_MISSING_TEXTS or numbers.notna().mean() < MOSTLY_NUMBERS:
        return ()
    return tuple(kinds) if all(map(MISSING_TEXT.fullmatch, kinds)) else ()


def find_clocks(texts: pd.DataFrame, file: str) -> list[tuple[str, ...]]:
    """What may be the clock: each column of times, and one in parts; raises where nothing may."""
    row = {str(name): str(value) for name, value in texts.iloc[0].items()}
    candidates: list[tuple[str, ...]] = [(name,) for name in row if CLOCK.fullmatch(row[name])]
    spelled = {name.casefold(): name for name in row}
    parts = tuple(spelled[part] for part in takewhile(spelled.__contains__, CLOCK_PARTS))
    if len(parts) >= 3:
        candidates.append(parts)
    if not candidates:
        cells = ", ".join(f"{name} = {value[:60]!r}" for name, value in row.items())
        advice = (diagnose_times(file, name, texts[name].tolist()) for name in row)
        raise InputError(
            f"{file}: the clock must be a column of times such as 2013-01-31 13:00, year first, or "
            f"the columns year, month, day and then any of hour, minute, second, but the first row "
            f"has {cells}" + "".join(f"\n{text}" for text in list(filter(None, advice))[:1])
        )
    return candidates


def read_first_clock(
    clocks: Sequence[Sequence[str]], texts: pd.DataFrame, file: str, raw: bytes, horizon: int
) -> tuple[Sequence[str], pd.DatetimeIndex, pd.Timedelta]:
    """The first clock that is one, its times, and the step between them.

    Raises:
        TableError: none is: what is wrong with the first.
    """
    errors: list[TableError] = []
    for clock in clocks:
        try:
            return clock, *read_clock(texts, clock_columns(clock), file, raw, horizon)
        except TableError as error:
            errors.append(error)
    raise errors[0]


def reason_to_leave_out(column: "pd.Series[Any]", validation_from: pd.Timestamp) -> str | None:
    """Why a column can't help a forecast, or None."""
    times, values = pd.DatetimeIndex(column.index), column.dropna()
    part, rows = str(column.name).casefold(), len(values)
    if not (values.index < validation_from).any():
        return "has no value before validation begins: nothing to learn from"
    if values[values.index < validation_from].nunique() < 2:
        return "never changes before validation begins: nothing to learn from"
    if values.dtype != np.float64:
        if CLOCK.fullmatch(values.iloc[0]):
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
    day, span = pd.Timedelta(days=1), proposal.validation_from - proposal.frame.index[0]
    periods = {"hour_of_day": day, "day_of_week": 7 * day, "day_of_year": 365 * day}
    return [
        name for name, long in periods.items() if 2 * proposal.step <= long and 2 * long <= span
    ]
