"""What a table holds: its clock, what its cells mean, what can help a forecast, and its splits."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import numpy as np
import pandas as pd

from lstm_model.cells import MISSING, NONE, Repair
from lstm_model.configuration import Cell, Reading
from lstm_model.diagnosis import wrong_times
from lstm_model.errors import InputError, TableError
from lstm_model.parsing import (
    CLOCK,
    CLOCK_PARTS,
    Parsed,
    parse_csv,
    read_header,
    read_texts,
)
from lstm_model.suspicion import meaning_of_empty, stand_ins
from tuning.located_yaml import near

# With fewer rows a search would choose by luck; and validation and test shall hold three horizons.
LEAST_ROWS, LEAST_HORIZONS = 100, 25
# Training, validation and test as shares of the rows: what is aimed at, and the least to be taken
# where they then begin with a year, a month, a day or an hour.
SHARES, LEAST_SHARES = (0.6, 0.2, 0.2), (0.45, 0.12, 0.12)
# Texts among numbers that stand for missing: there are no more different ones, and few rows.
MOST_MISSING_TEXTS, MOSTLY_NUMBERS = 3, 0.5

Read = Callable[[Sequence[str], Sequence[str]], Parsed]


@dataclass(frozen=True)
class Proposal:
    """What a table holds, and how it would be forecast.

    Attributes:
        clock: its column, or its parts.
        frame: the features by time, the target first, as load_table() has them.
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
    reader = _Reader(raw, file, target, horizon)
    reader.missing |= {name: words for name in header if (words := missing_texts(texts[name]))}
    clock = dated([clock] if clock else clocks(texts, file), reader.read)
    reader.interpret(clock, [])
    target_alone = reader.read(clock, ()).frame[target].dropna()
    least = max(LEAST_ROWS, LEAST_HORIZONS * horizon)
    if len(target_alone) < least:
        raise InputError(
            f"{file}: must have {least} rows or more with {target}, of which validation and test "
            f"take a fifth each, but has {len(target_alone)}; gather more"
            + (", or ask for a smaller --horizon" if least > LEAST_ROWS else "")
        )
    validation_from, test_from = splits(pd.DatetimeIndex(target_alone.index))
    left_out: dict[str, str] = {}
    if features is not None:
        chosen = [name for name in named if name in features and name != target]
    else:
        others = [name for name in header if name not in (target, *clock)]
        frame = sound(others, lambda names: reader.read(clock, names).frame, file, left_out)
        for name in frame.columns[1:]:
            if why := useless(frame[name], validation_from):
                left_out[name] = f"{name} {why}"
        chosen = [str(name) for name in frame.columns[1:] if name not in left_out]
    reader.interpret(clock, chosen)
    table = reader.read(clock, chosen)
    return Proposal(
        clock=tuple(clock),
        frame=table.frame,
        step=table.step,
        reading=table.reading,
        repairs=table.repairs,
        left_out=left_out,
        validation_from=validation_from,
        test_from=test_from,
    )


class _Reader:
    """Reads a table's columns by what their cells seem to mean, as far as that is known.

    Attributes:
        missing, fill: the keys of the data block, by column.
    """

    def __init__(self, raw: bytes, file: str, target: str, horizon: int) -> None:
        self._raw, self._file, self._target, self._horizon = raw, file, target, horizon
        self.missing: dict[str, tuple[Cell, ...]] = {}
        self.fill: dict[str, Cell] = {}

    def read(self, clock: Sequence[str], names: Sequence[str]) -> Parsed:
        """The target and these columns."""
        columns = (self._target, *names)
        reading = Reading(
            time=tuple(clock),
            missing={name: cells for name, cells in self.missing.items() if name in columns},
            fill={name: cell for name, cell in self.fill.items() if name in columns},
        )
        return parse_csv(
            self._raw,
            self._file,
            reading,
            target=self._target,
            features=columns,
            horizon=self._horizon,
        )

    def interpret(self, clock: Sequence[str], names: Sequence[str]) -> None:
        """Look what the cells of these columns, and of the target, seem to mean."""
        table = self.read(clock, names)
        for name, column in table.frame.items():
            key = str(name)
            # 0 may stand for missing where something is off, or be true: a study tells of it.
            cells = tuple(filter(None, _stand_ins(column)))
            if cells:
                self.missing[key] = (*self.missing.get(key, ()), *cells)
            elif key != self._target:
                empty = meaning_of_empty(column, table.step)
                self.fill |= {} if empty is None else {key: empty}


def _no_column(file: str, name: str, header: Sequence[str]) -> str:
    guess = near(name, header)
    also = f"did you mean {guess!r}?" if guess else f"there are {', '.join(header)}"
    return f"{file}: no column {name!r}; {also}"


def _stand_ins(column: "pd.Series[Any]") -> list[float]:
    numeric = column.dtype == np.float64
    return list(stand_ins(column.to_numpy(np.float64))) if numeric else []


def missing_texts(cells: "pd.Series[Any]") -> tuple[str, ...]:
    """Texts that stand for missing in a column of numbers, such as ?: few, and without a digit."""
    numbers = pd.to_numeric(cells, errors="coerce")
    others = cells[numbers.isna() & ~cells.isin(MISSING | {NONE})]
    kinds = others.unique()
    if not 0 < len(kinds) <= MOST_MISSING_TEXTS or numbers.notna().mean() < MOSTLY_NUMBERS:
        return ()
    return () if any(re.search(r"\d", each) for each in kinds) else tuple(map(str, kinds))


def clocks(texts: pd.DataFrame, file: str) -> list[tuple[str, ...]]:
    """What may be the clock: each column of times, and one in parts; raises where nothing may."""
    row = {str(name): str(value) for name, value in texts.iloc[0].items()}
    candidates: list[tuple[str, ...]] = [(name,) for name in row if CLOCK.fullmatch(row[name])]
    spelled = {name.casefold(): name for name in row}
    parts = tuple(spelled[part] for part in takewhile(spelled.__contains__, CLOCK_PARTS))
    if len(parts) >= 3:
        candidates.append(parts)
    if not candidates:
        shown = ", ".join(f"{name} = {value[:60]!r}" for name, value in row.items())
        advice = (wrong_times(file, name, texts[name].tolist()) for name in row)
        raise InputError(
            f"{file}: the clock must be a column of times such as 2013-01-31 13:00, year first, or "
            f"the columns year, month, day and then any of hour, minute, second, but the first row "
            f"has {shown}" + "".join(f"\n{text}" for text in list(filter(None, advice))[:1])
        )
    return candidates


def dated(clocks: Sequence[tuple[str, ...]], table: Read) -> tuple[str, ...]:
    """The first clock that is one.

    Raises:
        TableError: none is, or the target is none: what is wrong with the first.
    """
    broken: list[TableError] = []
    for clock in clocks:
        try:
            table(clock, ())
        except TableError as error:
            broken.append(error)
        else:
            return clock
    raise broken[0]


def sound(
    names: Sequence[str],
    table: Callable[[Sequence[str]], pd.DataFrame],
    file: str,
    left_out: dict[str, str],
) -> pd.DataFrame:
    """The target and the columns that can be read; why the others can't goes to `left_out`."""
    try:
        return table(names)
    except TableError as error:
        if len(names) == 1:
            left_out[names[0]] = str(error).removeprefix(f"{file}: ")
            return table(())
    # Every attempt reads the whole file, and halves find a few bad columns among many soonest.
    half = len(names) // 2
    some, others = (sound(part, table, file, left_out) for part in (names[:half], names[half:]))
    return some.join(others.iloc[:, 1:])


def useless(column: "pd.Series[Any]", validation_from: pd.Timestamp) -> str | None:
    """Why a column can't help a forecast, or None."""
    times, values = pd.DatetimeIndex(column.index), column.dropna()
    part, rows = str(column.name).casefold(), len(values)
    if values[values.index < validation_from].nunique() < 2:
        return "never changes before validation begins: nothing to learn from"
    if values.dtype != np.float64:
        if CLOCK.fullmatch(values.iloc[0]):
            return "holds times, but is not the clock"
        return "names its rows: most texts come once" if 2 * values.nunique() > rows else None
    if column.diff().iloc[1:].nunique(dropna=False) == 1:
        return "counts the rows"
    if part in CLOCK_PARTS and (column == getattr(times, part)).all():
        return "is a part of the clock: calendar has what can be learned from it"
    return None


def splits(observed: pd.DatetimeIndex) -> tuple[pd.Timestamp, pd.Timestamp]:
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


def calendar(found: Proposal) -> list[str]:
    """The periods of two rows or more that training sees twice."""
    day, span = pd.Timedelta(days=1), found.validation_from - found.frame.index[0]
    periods = {"hour_of_day": day, "day_of_week": 7 * day, "day_of_year": 365 * day}
    return [name for name, long in periods.items() if 2 * found.step <= long and 2 * long <= span]
