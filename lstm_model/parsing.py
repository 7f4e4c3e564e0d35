"""A CSV's bytes as a table: its clock and columns, or what is wrong with them, at which line."""

import csv
import difflib
import io
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from functools import cache

import numpy as np
import pandas as pd

from lstm_model.configuration import DataSettings
from lstm_model.errors import TableError

CLOCK_PARTS = ("year", "month", "day", "hour", "minute", "second")
# Year first: of 01/02/2010 nobody knows which is the month.
CLOCK = re.compile(
    r"(\d{4})[-/](\d\d?)[-/](\d\d?)(?:[ T](\d\d?):(\d\d)(?::(\d\d)(?:\.0+)?)?)?", re.ASCII
)
PART = re.compile("[0-9]{1,4}")
LARGEST = 1e30  # float32 holds it, and its square is still a float64
MOST_CATEGORIES = 50
CONVERT = "docs/your-own-data.md has the lines that convert it"
# What pandas.read_csv takes for a missing value.
MISSING = {"", "NA", "N/A", "n/a", "<NA>", "#NA", "#N/A", "#N/A N/A", "NULL", "null", "None"}
MISSING |= {"NaN", "nan", "-NaN", "-nan", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN"}


def parsed(
    raw: bytes, file: str, settings: DataSettings, categories: Collection[str] | None = None
) -> tuple[pd.DataFrame, pd.Timedelta]:
    """The features by time and the step between rows; a problem of each column, all at once.

    categories: which features are categorical, where that is known, as of a table to forecast
        from: a feature other than the target may have no values there.
    """
    clock = _clock_columns(settings.time)
    text = _read(raw, file, dict.fromkeys((*clock, *settings.features)))
    problems: list[str] = []
    features: dict[str, pd.Series] = {}
    try:
        times = _times(text[list(clock)], file)
        step = _step(times, file)
        _check_room(times, step, settings.horizon, file)
    except TableError as error:
        problems.append(str(error))
    for name in settings.features:
        try:
            target = name == settings.target
            category = None if categories is None else name in categories
            features[name] = _values(text[name], file, target=target, category=category)
        except TableError as error:
            problems.append(str(error))
    if problems:
        raise TableError("\n".join(problems))
    return pd.DataFrame(features).set_axis(pd.DatetimeIndex(times, name="time")), step


def _clock_columns(time: str | Sequence[str] | None) -> Sequence[str]:
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


def _rows(raw: bytes, file: str) -> Iterator[tuple[int, list[str]]]:
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
        raise TableError(f"{file}:{line}: must be UTF-8 text, but isn't; {CONVERT}") from error
    except csv.Error as error:
        raise TableError(f"{file}:{line}: must be comma-separated values: {error}") from error


def _read(raw: bytes, file: str, wanted: Iterable[str]) -> pd.DataFrame:
    """The wanted columns as stripped text, indexed by the line at which each row begins."""
    rows = _rows(raw, file)
    header = next(rows, (0, []))[1]
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
        for place, column in places:
            column.append(row[place])
    if len(lines) < 2:
        raise TableError(f"{file}: must have 2 rows or more, but has {len(lines)} below its header")
    return pd.DataFrame(columns, index=lines, dtype=pd.StringDtype(na_value=np.nan))


def _check_header(header: Sequence[str], file: str, wanted: Iterable[str]) -> None:
    if not header:
        raise TableError(f"{file}: must have a header and rows, but is empty")
    if len(header) == 1 and (mark := re.search(r"[;\t|]", header[0])):
        raise TableError(f"{file}: must have commas between values, but has {mark[0]!r}; {CONVERT}")
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


def _times(clock: pd.DataFrame, file: str) -> pd.Series:
    times = []
    # Lists first: text columns are slow to walk through.
    for line, *values in zip(clock.index, *(clock[name].tolist() for name in clock), strict=True):
        try:
            times.append(_time(values))
        except ValueError as error:
            got = ", ".join(f"{value[:60]!r}" for value in values)
            raise TableError(
                f"{file}:{line}: {', '.join(clock.columns)} = {got}: {error}"
            ) from error
    return pd.Series(np.array(times, dtype="datetime64[us]"), index=clock.index)


def _time(values: Sequence[str]) -> datetime:
    if len(values) == 1:
        match = CLOCK.fullmatch(values[0])
        if match is None:
            raise ValueError("must be a time such as 2013-01-31 13:00, year first, without a zone")
        values = match.groups(default="0")
    year, month, day, hour, minute, second = [*map(_part, values), 0, 0, 0][:6]
    return datetime(year, month, day, hour, minute, second)


@cache  # there are few, and each stands in many rows
def _part(value: str) -> int:
    if not PART.fullmatch(value):
        raise ValueError("must be whole numbers of up to 4 digits")
    return int(value)


def room(last: pd.Timestamp, step: pd.Timedelta) -> int:
    """How many steps a clock can go on for: there are no times after the year 9999."""
    left = datetime.max - last.tz_localize(None).to_pydatetime(warn=False)
    return left // step.to_pytimedelta()


def _check_room(times: pd.Series, step: pd.Timedelta, horizon: int, file: str) -> None:
    """Each hour that is forecast must have a time, and so must the row after the last."""
    last = times.iloc[-1]
    if room(last, step) < horizon:
        raise TableError(
            f"{file}:{times.index[-1]}: the clock must end {horizon} rows or more before the year "
            f"10000, as what is forecast has no time then, but ends at {last} with rows {step} "
            "apart; correct its years, or end the table earlier"
        )


def _step(times: pd.Series, file: str) -> pd.Timedelta:
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
        rule = f"rows must be {usual} apart, as most are; leave empty what is not known"
        if shortest.days >= 28 and longest.days - shortest.days <= 3:
            rule = "rows must be the same time apart, as months, quarters and years are not"
    row = int(wrong.argmax()) + 1
    raise TableError(
        f"{file}:{times.index[row]}: the clock {goes} from {times.iloc[row - 1]} (line "
        f"{times.index[row - 1]}) to {times.iloc[row]}, but {rule} (rows that break this: "
        f"{wrong.sum()})"
    )


def _values(
    words: pd.Series, file: str, *, target: bool, category: bool | None = None
) -> pd.Series:
    """A column in which any value is a number is numeric, and must be so throughout.

    category: whether it is one, where that is known: then it may be empty and hold any text.
    """
    name, missing = words.name, words.isin(MISSING)
    if category:
        return words.mask(missing)
    if missing.all() and category is None:
        raise TableError(f"{file}: {name} must have values, but has none in any row")
    numbers = pd.to_numeric(words, errors="coerce").astype(np.float64)
    if category is None and not target and numbers.isna().all():
        words = words.mask(missing)
        if words.nunique() <= MOST_CATEGORIES:
            return words
        raise TableError(
            f"{file}: {name} must have numbers, or at most {MOST_CATEGORIES} different texts, "
            f"but has {words.nunique()}"
        )
    if target:
        alike = "the target"
    elif category is None:
        line = words.index[int(numbers.notna().argmax())]
        alike = f"line {line} is ({words[line]!r})"
    else:
        alike = "it was in training"
    for wrong, rule in (
        (numbers.isna() & ~missing, f"be numeric, as {alike}"),
        (numbers.abs() == np.inf, "be finite"),
        (numbers.abs() > LARGEST, f"be at most {LARGEST:g} in size"),
    ):
        if wrong.any():
            row = int(wrong.argmax())
            got = f"{words.iloc[row][:60]!r}"
            raise TableError(f"{file}:{words.index[row]}: {name} must {rule}, but got {got}")
    return numbers


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
