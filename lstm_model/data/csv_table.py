"""A CSV's bytes as a table: its clock and columns, or what is wrong with them, at which line."""

import csv
import difflib
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from lstm_model.configuration import DataSettings, Kind, Reading
from lstm_model.data import diagnosis
from lstm_model.data.columns import Column, Repair, locate, read_column
from lstm_model.errors import TableError

CLOCK_PARTS = ("year", "month", "day", "hour", "minute", "second")
# Year first: of 01/02/2010 nobody knows which is the month.
CLOCK = re.compile(
    r"(\d{4})[-/.](\d\d?)[-/.](\d\d?)(?:[ T](\d\d?):(\d\d)(?::(\d\d)(?:\.0+)?)?)?", re.ASCII
)
CLOCK_PART = re.compile("[0-9]{1,4}")
MIN_YEAR = 1000  # a year before it has lost its century


@dataclass(frozen=True)
class ParsedTable:
    """What a table's text says.

    Attributes:
        frame: the features by time, in the order asked for: float64, or `str` of a category.
        step: time between rows.
        reading: as asked for, with what the texts themselves decided: the same texts have the same
            meaning in a later table.
        repairs: cells that were read as something else than stands in them.
        notes: what a reader should look at, a sentence each.
    """

    frame: pd.DataFrame
    step: pd.Timedelta
    reading: Reading
    repairs: tuple[Repair, ...]
    notes: tuple[str, ...]


def parse_csv(
    raw: bytes,
    file: str,
    reading: Reading,
    *,
    target: str,
    features: Sequence[str],
    horizon: int,
    kinds: Mapping[str, Kind] | None = None,
) -> ParsedTable:
    """The features of a CSV's bytes; a problem of each column, all at once.

    Args:
        file: what messages call it.
        horizon: rows after the last one that will be forecast, and must have a time.
        kinds: of the features, where they are known, as of a table to forecast from: a feature
            other than the target may have no values there.

    Raises:
        TableError: it breaks a rule, or can be read in two ways.
    """
    clock = clock_columns(reading.time)
    text = read_texts(raw, file, dict.fromkeys((*clock, *features)))
    problems: list[str] = []
    try:
        times, step = read_clock(text, clock, file, raw, horizon)
    except TableError as error:
        problems.append(str(error))
    columns = _read_columns(text, file, reading, target, features, kinds, problems)
    if problems:
        raise TableError("\n".join(problems))
    return _assemble(columns, times, step, reading)


def read_clock(
    text: pd.DataFrame, clock: Sequence[str], file: str, raw: bytes, horizon: int
) -> tuple[pd.DatetimeIndex, pd.Timedelta]:
    """The times of the rows, and the step between them.

    Args:
        text: what read_texts() gave, the clock's columns among it.
        raw: the bytes that it comes from, for what a refused table is.
        horizon: rows after the last one that will be forecast, and must have a time.

    Raises:
        TableError: the clock breaks a rule; with what the table is, where that can be seen.
    """
    times, step = None, None
    try:
        times = _parse_times(text[list(clock)], file)
        step = _find_step(times, file)
        _check_room(times, step, horizon, file)
    except TableError as error:
        advice = None
        if times is None and len(clock) == 1:
            advice = diagnosis.diagnose_times(file, clock[0], text[clock[0]].tolist())
        elif times is not None and step is None:
            advice = diagnosis.diagnose_steps(file, raw, clock, times)
        raise TableError("\n".join(filter(None, (str(error), advice)))) from error
    return pd.DatetimeIndex(times, name="time"), step


def parse_frame(
    frame: pd.DataFrame, reading: Reading, *, target: str, kinds: Mapping[str, Kind]
) -> pd.DataFrame:
    """The features of a DataFrame as parse_csv() has them, whose clock need not be regular.

    Args:
        frame: the features as columns: numbers, texts or booleans. Its clock is its index, where
            that is a DatetimeIndex, else the columns that a CSV would have it in.
        kinds: of the features, in the order asked for.

    Raises:
        TableError: it breaks a rule; every problem at once.
    """
    times = frame.index
    if not isinstance(times, pd.DatetimeIndex):
        times = _clock_from_columns(frame, clock_columns(reading.time))
    text = pd.DataFrame(index=times)
    problems: list[str] = []
    for name, kind in kinds.items():
        text[name] = _to_texts(frame[name].set_axis(times), kind)
    columns = _read_columns(text, "", reading, target, tuple(kinds), kinds, problems)
    if problems:
        raise TableError("\n".join(problems))
    return pd.DataFrame({name: column.values for name, column in columns.items()}, index=times)


def _read_columns(
    text: pd.DataFrame,
    file: str,
    reading: Reading,
    target: str,
    features: Sequence[str],
    kinds: Mapping[str, Kind] | None,
    problems: list[str],
) -> dict[str, Column]:
    """Each feature; what is wrong with one goes to `problems`."""
    columns = {}
    for name in features:
        try:
            kind = None if kinds is None else kinds[name]
            columns[name] = read_column(text[name], reading, file, target=name == target, kind=kind)
        except TableError as error:
            problems.append(str(error))
    return columns


def _assemble(
    columns: Mapping[str, Column], times: pd.DatetimeIndex, step: pd.Timedelta, reading: Reading
) -> ParsedTable:
    numbers = [name for name, column in columns.items() if column.decimal]
    marks = {name: column.decimal or reading.decimal_of(name) for name, column in columns.items()}
    settled = Reading(
        time=reading.time,
        missing=reading.missing,
        fill=reading.fill,
        types={**reading.types, **dict.fromkeys(numbers, "number")},
        decimal={name: mark for name, mark in marks.items() if mark} or None,
    )
    return ParsedTable(
        pd.DataFrame({name: column.values for name, column in columns.items()}).set_axis(times),
        step,
        settled,
        tuple(repair for column in columns.values() for repair in column.repairs),
        tuple(column.note for column in columns.values() if column.note),
    )


def _to_texts(column: "pd.Series[Any]", kind: Kind) -> "pd.Series[Any]":
    """A DataFrame's column as read_column() takes it: numbers as they are, all else as texts."""
    dtype = column.dtype
    if pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_bool_dtype(dtype):
        if kind == "number":
            return column.astype(np.float64)
        column = column.map(_format_code, na_action="ignore")
    texts = column.map(lambda value: str(value).strip(), na_action="ignore")
    return texts.astype(pd.StringDtype(na_value=np.nan))


def _format_code(number: float) -> str:
    """A category that is a number, as a CSV would have it, whether or not a float went by."""
    return str(int(number)) if float(number).is_integer() else repr(float(number))


def _clock_from_columns(frame: pd.DataFrame, clock: Sequence[str]) -> pd.DatetimeIndex:
    """The clock in a DataFrame's columns."""
    if lacking := [name for name in clock if name not in frame.columns]:
        raise TableError(
            f"the table must be indexed by time, or have the clock's columns "
            f"({', '.join(clock)}), but has a {type(frame.index).__name__} and no "
            f"{', '.join(lacking)}"
        )
    if len(clock) == 1 and pd.api.types.is_datetime64_any_dtype(frame[clock[0]].dtype):
        return pd.DatetimeIndex(frame[clock[0]], name="time")
    texts = {name: _to_texts(frame[name], "category").fillna("") for name in clock}
    return pd.DatetimeIndex(_parse_times(pd.DataFrame(texts), ""), name="time")


def clock_columns(time: str | Sequence[str] | None) -> Sequence[str]:
    """The clock's columns, of what a space says of it."""
    if time is None:
        return CLOCK_PARTS[:4]
    names = (time,) if isinstance(time, str) else time
    parts = tuple(name.casefold() for name in names)
    if len(names) == 1 or (len(names) >= 3 and parts == CLOCK_PARTS[: len(names)]):
        return names
    raise TableError(
        "time must name one column, or year, month, day and then any of hour, minute, second, in "
        f"this order, but got [{', '.join(names)}]"
    )


def _read_rows(raw: bytes, file: str) -> Iterator[tuple[int, list[str]]]:
    """Each row that isn't blank, with the line at which it begins."""
    line = 1
    try:
        if (nul := raw.find(0)) >= 0:  # as in UTF-16, or where a disk has lost a block
            raise UnicodeDecodeError("utf-8", raw, nul, nul + 1, "NUL is no text")
        lines = io.StringIO(raw.decode("utf-8-sig"), newline="")
        for row in (reader := csv.reader(lines, strict=True, skipinitialspace=True)):
            if row:
                yield line, [value.strip() for value in row]
            line = reader.line_num + 1
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        advice = diagnosis.diagnose_bytes(raw, file)
        raise TableError(f"{file}:{line}: must be UTF-8 text, but isn't\n{advice}") from error
    except csv.Error as error:
        text = raw.decode("utf-8-sig")
        advice = (
            ""
            if diagnosis.find_separator(text) == ","
            else f"\n{diagnosis.diagnose_bytes(raw, file)}"
        )
        rule = "must be comma-separated values"
        raise TableError(f"{file}:{line}: {rule}: {error}{advice}") from error


def read_header(raw: bytes, file: str) -> list[str]:
    """The names of a CSV's columns; raises TableError where the bytes are no text."""
    return next(_read_rows(raw, file), (0, []))[1]


def read_texts(raw: bytes, file: str, wanted: Iterable[str]) -> pd.DataFrame:
    """The wanted columns as stripped text, indexed by the line at which each row begins."""
    rows = _read_rows(raw, file)
    header = next(rows, (0, []))[1]
    mark = diagnosis.find_separator(raw[:100_000].decode(errors="replace"))
    if mark != "," and not set(wanted) <= set(header):
        raise TableError(
            f"{file}: must have commas between values, but has {mark!r}\n"
            f"{diagnosis.diagnose_bytes(raw, file)}"
        )
    _check_header(header, file, wanted)
    columns: dict[str, list[str]] = {name: [] for name in wanted}
    places = [(header.index(name), column) for name, column in columns.items()]
    lines = []
    for line, row in rows:
        if len(row) != len(header):
            raise TableError(
                f"{file}:{line}: must have {len(header)} values, one a column, but has {len(row)}"
            )
        lines.append(line)
        for at, column in places:
            column.append(row[at])
    if len(lines) < 2:
        raise TableError(f"{file}: must have 2 rows or more, but has {len(lines)} below its header")
    return pd.DataFrame(columns, index=lines, dtype=pd.StringDtype(na_value=np.nan))


def _check_header(header: Sequence[str], file: str, wanted: Iterable[str]) -> None:
    if not header:
        raise TableError(f"{file}: must have a header and rows, but is empty")
    twice = sorted({name for name in header if header.count(name) > 1})
    problems = [f"two columns have the name {name!r}" for name in twice]
    missing = [name for name in wanted if name not in header]
    spelled = {name.casefold(): name for name in header}
    for name in missing:
        near = difflib.get_close_matches(name.casefold(), spelled, n=1)
        guess = f"; did you mean {spelled[near[0]]!r}?" if near else ""
        problems.append(f"no column {name!r}{guess}")
    if not set(missing).isdisjoint(CLOCK_PARTS):
        problems.append(
            "the clock must be the columns that `time` names, or year, month, day, hour"
        )
    if problems:
        problems.append(f"the columns are {', '.join(map(repr, header))}")
        raise TableError("\n".join(f"{file}: {problem}" for problem in problems))


def _parse_times(clock: pd.DataFrame, file: str) -> pd.Series:
    times = []
    # Lists first: text columns are slow to walk through.
    for line, *values in zip(clock.index, *(clock[name].tolist() for name in clock), strict=True):
        try:
            times.append(_parse_time(values))
        except ValueError as error:
            got = ", ".join(f"{value[:60]!r}" for value in values)
            where = locate(file, line)
            raise TableError(f"{where}: {', '.join(clock.columns)} = {got}: {error}") from error
    return pd.Series(np.array(times, dtype="datetime64[us]"), index=clock.index)


def _parse_time(values: Sequence[str]) -> datetime:
    if len(values) == 1:
        match = CLOCK.fullmatch(values[0])
        if match is None:
            raise ValueError("must be a time such as 2013-01-31 13:00, year first, without a zone")
        values = match.groups(default="0")
    year, month, day, hour, minute, second = [*map(_parse_part, values), 0, 0, 0][:6]
    if year < MIN_YEAR:
        raise ValueError(f"the year must have four digits, but is {year}")
    return datetime(year, month, day, hour, minute, second)


@cache  # there are few, and each stands in many rows
def _parse_part(value: str) -> int:
    if not CLOCK_PART.fullmatch(value):
        raise ValueError("must be whole numbers of up to 4 digits")
    return int(value)


def count_steps_left(last: pd.Timestamp, step: pd.Timedelta) -> int:
    """How many steps a clock can go on for: there are no times after the year 9999."""
    left = datetime.max - last.tz_localize(None).to_pydatetime(warn=False)
    return left // step.to_pytimedelta()


def _check_room(times: pd.Series, step: pd.Timedelta, horizon: int, file: str) -> None:
    """Each hour that is forecast must have a time, and so must the row after the last."""
    last = times.iloc[-1]
    if count_steps_left(last, step) < horizon:
        raise TableError(
            f"{file}:{times.index[-1]}: the clock must end {horizon} rows or more before the year "
            f"10000, as what is forecast has no time then, but ends at {last} with rows {step} "
            "apart; correct its years, or end the table earlier"
        )


def _find_step(times: pd.Series, file: str) -> pd.Timedelta:
    """The time between rows, the same between all of them."""
    zero, gaps = pd.Timedelta(0), times.diff().iloc[1:]
    shortest, longest, usual = map(pd.Timedelta, (gaps.min(), gaps.max(), gaps.mode()[0]))
    if zero < shortest == longest:
        return usual
    if shortest < zero:
        wrong, goes, rule = gaps < zero, "runs back", "rows must be in the order of time"
    elif shortest == zero:
        wrong, goes, rule = gaps == zero, "stands still", "each time must have one row"
    else:
        wrong, goes = gaps != usual, "jumps"
        most = ", as most are" if (gaps == usual).mean() > 0.5 else ""
        rule = f"rows must be {usual} apart{most}; leave empty what is not known"
        if shortest.days >= 28 and longest.days - shortest.days <= 3:
            rule = "rows must be the same time apart, as months, quarters and years are not"
    row = int(wrong.argmax()) + 1
    raise TableError(
        f"{file}:{times.index[row]}: the clock {goes} from {times.iloc[row - 1]} (line "
        f"{times.index[row - 1]}) to {times.iloc[row]}, but {rule} (rows that break this: "
        f"{wrong.sum()})"
    )


def check_splits(frame: pd.DataFrame, settings: DataSettings, file: str) -> None:
    """Training and validation must each have enough of a target that changes."""
    target, validation, test = settings.target, settings.validation_from, settings.test_from
    observed = frame.loc[frame.index < test, target].dropna()
    if observed.nunique() == 1:
        raise TableError(
            f"{file}: {target} must change, but before test_from ({test}) it is always "
            f"{observed.iloc[0]:g}"
        )
    needed = settings.horizon + 2  # an origin, the hours it forecasts, and one to spare
    training = int((observed.index < validation).sum())
    if min(training, len(observed) - training) < needed:
        raise TableError(
            f"{file}: training and validation must each have {needed} rows with {target}, "
            f"horizon + 2, but training, before validation_from ({validation}), has {training}, "
            f"and validation, from then to before test_from ({test}), has "
            f"{len(observed) - training}; the table has {len(frame)} rows, from {frame.index[0]} "
            f"to {frame.index[-1]}"
        )
