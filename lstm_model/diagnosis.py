"""What a table is that can't be read, and the lines of Python that make one of it that can.

Asked once a table has been refused: its reader says which rule it breaks and where.
"""

import csv
import io
import re
import zipfile
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

import pandas as pd

STANDARD_INPUT = "standard input"
NOTHING, HOUR, DAY = pd.Timedelta(0), pd.Timedelta(hours=1), pd.Timedelta(days=1)
# Of the rows of each of several series, so many are one step after the one before.
MOSTLY = 0.9
SHOWN = 4  # series that are named

ZONED = re.compile(r"\d{4}-\d\d?-\d\d?[ T]\d\d?:\d\d.*(Z|[-+]\d\d(:?\d\d)?)")
DAY_OR_MONTH_FIRST = re.compile(r"(\d\d?)([./-])(\d\d?)\2\d{4}( \d\d?:\d\d(:\d\d)?)?")
MONTH = re.compile(r"\d{4}[-/]\d\d?")
TIME_OF_DAY = re.compile(r"\d\d?:\d\d(:\d\d)?|\d\d?")
SECONDS = {9: "s", 10: "s", 12: "ms", 13: "ms"}  # since 1970, by the number of digits


def no_csv(raw: bytes, file: str) -> str:
    """What bytes are that are no comma-separated UTF-8 text."""
    if raw.startswith(b"PAR1"):
        lines = ["index = isinstance(table.index, pd.DatetimeIndex)"]
        read = f"pd.read_parquet({file!r})"
        return _advice(file, "it is a Parquet file", read, lines, "index=index")
    if raw.startswith(b"PK") and zipfile.is_zipfile(io.BytesIO(raw)):
        if "[Content_Types].xml" in zipfile.ZipFile(io.BytesIO(raw)).namelist():
            return f"{file}: it is a workbook: save the sheet as CSV, in UTF-8, from the program"
        return _advice(file, "it is a zip archive", _read(file, raw, compression="zip"))
    if raw.startswith(b"\x1f\x8b"):
        return _advice(file, "it is packed with gzip", _read(file, raw, compression="gzip"))
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return _advice(file, "it is UTF-16 text", _read(file, raw, encoding="utf-16"))
    try:
        head = raw.decode("utf-8-sig").partition("\n")[0]
    except UnicodeDecodeError:
        if 0 in raw:
            return f"{file}: it is no text: save the table as CSV, in UTF-8"
        sentence = "it may be of Windows, whose letters have other bytes"
        return _advice(file, sentence, _read(file, raw, encoding="cp1252"))
    mark = separator(head)
    return _advice(file, f"its values have {mark!r} between them", _read(file, raw))


def separator(head: str) -> str:
    """What stands between the names of a header."""
    marks = {mark: head.count(mark) for mark in ",;\t|"}
    return max(marks, key=lambda mark: marks[mark])


def wrong_times(file: str, name: str, texts: Sequence[str]) -> str | None:
    """What a column's texts are that are no times; None where they are unlike any."""
    first = texts[0]
    to_datetime = f"table[{name!r}] = pd.to_datetime(table[{name!r}]"
    if ZONED.fullmatch(first):
        line = f"{to_datetime}, utc=True).dt.tz_localize(None)"
        return _advice(file, f"{name} has times of a zone; on UTC they can be read", lines=[line])
    if first.isdecimal() and (unit := SECONDS.get(len(first))):
        line = f"{to_datetime}.astype('int64'), unit={unit!r})"
        sentence = f"{name} seems to count the {unit} since 1970 on UTC"
        return _advice(file, sentence, lines=[line])
    if MONTH.fullmatch(first):
        return f"{file}: {name} has months, which are not of one length, and can't be steps"
    matches = [DAY_OR_MONTH_FIRST.fullmatch(text) for text in texts]
    if matches[0] is None or None in matches:
        return None
    dates = [match for match in matches if match]
    day_first = any(int(match[1]) > 12 for match in dates)
    month_first = any(int(match[3]) > 12 for match in dates)
    if day_first == month_first:
        return (
            f"{file}: of {first!r} in {name} nobody knows which is the month, as none of its rows "
            "tells; write the year first: 2013-01-31"
        )
    between, time = dates[0][2], dates[0][4]
    parts = ("%d", "%m", "%Y") if day_first else ("%m", "%d", "%Y")
    form = between.join(parts) + ("" if time is None else " %H:%M:%S" if dates[0][5] else " %H:%M")
    sentence = f"{name} has the {'day' if day_first else 'month'} first"
    return _advice(file, sentence, lines=[f"{to_datetime}, format={form!r})"])


def irregular(
    file: str, raw: bytes, clock: Sequence[str], times: "pd.Series[pd.Timestamp]"
) -> str | None:
    """What a table is whose rows are not one step apart in the order of time.

    Args:
        clock: its columns.
        times: of its rows, by line.
    """
    table = _texts(raw).set_axis(times.index)
    others = table.drop(columns=list(clock))
    steps = times.diff().iloc[1:]
    if len(clock) == 1 and (part := _time_of_day(others, times)) is not None:
        whole = "" if ":" in table[part].iloc[0] else " + ':00'"
        return _advice(
            file,
            f"the clock is in two columns, {clock[0]} and {part}",
            lines=[f"table[{clock[0]!r}] += ' ' + table[{part!r}]{whole}"],
        )
    column = _series_column(others, times)
    if column is not None:
        kinds = list(dict.fromkeys(table[column]))
        more = ", ..." if len(kinds) > SHOWN else ""
        return _advice(
            file,
            f"it holds {len(kinds)} series, one for each {column} "
            f"({', '.join(kinds[:SHOWN])}{more}), and one can be read: this takes the first",
            lines=[f"table = table[table[{column!r}] == {kinds[0]!r}]"],
        )
    if (steps < NOTHING).all():
        steps, times = -steps, times[::-1]
    usual = steps.mode()[0]
    odd = steps[steps != usual]
    sundays = times[odd.index].dt.day_of_week == 6
    shifted = len(odd) > 0 and odd.isin([usual - HOUR, usual + HOUR]).all() and sundays.all()
    if usual < DAY and shifted:
        return _advice(
            file,
            "it seems to have a wall clock, which leaves out an hour of a Sunday in spring and "
            "repeats one in autumn, and can be read on UTC: this takes it for Berlin's, whose name "
            "you replace by your own",
            lines=[
                f"times = {_times_of(clock)}",
                "times = times.dt.tz_localize('Europe/Berlin', ambiguous='infer')",
                "times = times.dt.tz_convert(None)",
                *_written_back(clock, "times.dt"),
            ],
        )
    ordered = times.sort_values(kind="stable")
    gaps: pd.Series[Any] = ordered.diff().iloc[1:]
    step = gaps[gaps > NOTHING].min()
    if step == DAY and (ordered.dt.day_of_week < 5).all():
        return (
            f"{file}: its rows are business days, without Saturdays and Sundays, and such steps "
            "can't be read: with these days put in, the row after a Friday would be a Saturday"
        )
    if step >= 28 * DAY and step % DAY == NOTHING and (gaps <= 366 * DAY).all():
        return (
            f"{file}: its rows are months, quarters or years, which are not of one length, and "
            "can't be steps"
        )
    if (gaps % step != NOTHING).any():
        return f"{file}: its times are irregular: gather them in steps of one length first"
    problems, ways = [], ""
    if twice := int((gaps == NOTHING).sum()):
        problems.append(f"{_count(twice, 'row')} with the time of another, of which the last stays")
        ways += "[~table.index.duplicated(keep='last')]"
    if (steps < NOTHING).any() or times.index[0] > times.index[-1]:
        problems.append("rows that are out of order")
        ways += ".sort_index()"
    if lacking := int((gaps / step).sum()) - int((gaps > NOTHING).sum()):
        problems.append(f"{_count(lacking, 'step')} without a row, each to get an empty one")
        ways += f".asfreq('{step.total_seconds():g}s')"
    return _advice(
        file,
        f"it has {', and '.join(problems)}",
        lines=[
            f"table.index = {_times_of(clock)}",
            f"table = table{ways}",
            *_written_back(clock, "table.index"),
        ],
    )


def _advice(
    file: str,
    sentence: str,
    read: str | None = None,
    lines: Sequence[str] = (),
    index: str = "index=False",
) -> str:
    """A sentence, and the Python that mends what it says."""
    if file == STANDARD_INPUT:
        return f"{file}: {sentence}"
    read = read or f"pd.read_csv({file!r}, dtype=str, keep_default_na=False)"
    out = f"{PurePath(file).name.partition('.')[0]}-read.csv"
    code = ["import pandas as pd", f"table = {read}", *lines, f"table.to_csv({out!r}, {index})"]
    return "\n".join([f"{file}: {sentence}; in Python:", *(f"    {line}" for line in code)])


def _read(file: str, raw: bytes, **options: str) -> str:
    """How pandas reads a file of texts; it looks itself for what is between its values."""
    if "compression" not in options:
        text = raw.decode(options.get("encoding", "utf-8-sig"), errors="replace")
        options = {"sep": separator(text.partition("\n")[0]), **options}
    chosen = "".join(f", {key}={value!r}" for key, value in options.items())
    return f"pd.read_csv({file!r}{chosen}, dtype=str, keep_default_na=False)"


def _texts(raw: bytes) -> pd.DataFrame:
    """Every column of a CSV that could be read."""
    lines = csv.reader(io.StringIO(raw.decode("utf-8-sig"), newline=""), skipinitialspace=True)
    header, *rows = ([cell.strip() for cell in row] for row in lines if row)
    return pd.DataFrame(rows, columns=header)


def _series_column(others: pd.DataFrame, times: "pd.Series[pd.Timestamp]") -> str | None:
    """The column that tells several series apart, of which each has a clock of its own."""
    columns: dict[str, int] = {}
    for name in others:
        steps: pd.Series[Any] = times.groupby(others[name]).diff().dropna()
        kinds = others[name].nunique()
        if kinds < 2 or len(steps) < len(times) / 2 or (steps <= NOTHING).any():
            continue
        if (steps == steps.mode()[0]).mean() >= MOSTLY:
            columns[str(name)] = kinds
    return min(columns, key=lambda name: columns[name], default=None)


def _time_of_day(others: pd.DataFrame, times: "pd.Series[pd.Timestamp]") -> str | None:
    """The column with the time of the day, where the clock has dates alone."""
    stands_still = (times.diff() == NOTHING).mean() > 1 / 3
    if (times != times.dt.normalize()).any() or not stands_still:
        return None
    for name in others:
        texts = others[name]
        if not texts.str.fullmatch(TIME_OF_DAY.pattern).all():
            continue
        short = texts + {0: ":00:00", 1: ":00", 2: ""}[texts.iloc[0].count(":")]
        whole = times + pd.to_timedelta(short, errors="coerce")
        if (whole.diff().iloc[1:] > NOTHING).mean() >= MOSTLY:
            return str(name)
    return None


def _times_of(clock: Sequence[str]) -> str:
    """Python for the times of a table of texts."""
    if len(clock) == 1:
        return f"pd.to_datetime(table[{clock[0]!r}])"
    names = [name.casefold() for name in clock]
    return f"pd.to_datetime(table[{list(clock)!r}].astype(int).set_axis({names!r}, axis=1))"


def _written_back(clock: Sequence[str], times: str) -> list[str]:
    """Python that puts new times into the clock's columns."""
    if len(clock) == 1:
        return [f"table[{clock[0]!r}] = {times.removesuffix('.dt')}"]
    return [f"table[{name!r}] = {times}.{name.casefold()}" for name in clock]


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
