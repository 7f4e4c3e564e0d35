"""What a table that was refused seems to be, and the lines of Python that mend it.

The reader has said which rule the table breaks, and where: this may be slow, and guess.
"""

import csv
import io
import re
import zipfile
from collections.abc import Sequence
from itertools import combinations
from pathlib import PurePath
from typing import Any

import pandas as pd

STANDARD_INPUT = "standard input"
NOTHING, HOUR, DAY = pd.Timedelta(0), pd.Timedelta(hours=1), pd.Timedelta(days=1)
# In a table of several series, this share of each one's rows is one step after the row before.
MOSTLY = 0.9
MAX_NAMED = 4  # series that are named

ZONED = re.compile(r"\d{4}-\d\d?-\d\d?[ T]\d\d?:\d\d.*(Z|UTC|[-+]\d\d(:?\d\d)?)")
DAY_OR_MONTH_FIRST = re.compile(
    r"(\d\d?)([./-])(\d\d?)\2(\d{4}|\d\d)( \d\d?:\d\d(:\d\d)?( ?[AaPp][Mm])?)?"
)
COMPACT = re.compile(
    r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:(?:[01]\d|2[0-3])(?:[0-5]\d){0,2})?"
)
MONTH = re.compile(r"\d{4}[-/]\d\d?")
TIME_OF_DAY = re.compile(r"\d\d?:\d\d(:\d\d)?( ?[AaPp][Mm])?")
# Numbers of a column are hours, or hours and minutes, where its name says so: else they may be ids.
HOURS = re.compile(r"\d\d?"), re.compile(r"\d{3,4}")
NAMES_A_TIME = re.compile(r"time|hour|hh|stunde|zeit|uhr|tod|^h$|^hr$", re.IGNORECASE)
# Share of a clock's texts that have one form where the table is in order.
ALIKE = 0.9
# A wall clock is changed in these months and before this hour.
MONTHS_OF_CHANGE, HOUR_OF_CHANGE = (3, 4, 9, 10, 11), 4
# Up to this share of duplicate times, or this many, is an accident; more is something else.
FEW_TWICE, FEWEST_TWICE = 0.05, 3
SECONDS = {9: "s", 10: "s", 12: "ms", 13: "ms"}  # since 1970, by the number of digits


def diagnose_bytes(raw: bytes, file: str) -> str:
    """What bytes seem to be that are no comma-separated UTF-8 text."""
    if raw.startswith(b"PAR1"):
        lines = ["index = isinstance(table.index, pd.DatetimeIndex)"]
        read = f"pd.read_parquet({file!r})"
        return _advice(file, "it is a Parquet file", read, lines, "index=index")
    if raw.startswith(b"PK") and zipfile.is_zipfile(io.BytesIO(raw)):
        names = zipfile.ZipFile(io.BytesIO(raw)).namelist()
        if "[Content_Types].xml" in names:
            return f"{file}: it is a workbook: save the sheet as CSV, in UTF-8, from the program"
        if len(names) != 1:
            return f"{file}: it is a zip archive of {len(names)} files: unpack it, and take one"
        return _advice(file, "it is a zip archive", _read(file, raw, compression="zip"))
    if raw.startswith(b"\x1f\x8b"):
        return _advice(file, "it is packed with gzip", _read(file, raw, compression="gzip"))
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return _advice(file, "it is UTF-16 text", _read(file, raw, encoding="utf-16"))
    if 0 in raw:
        if raw[1::2].count(0) > len(raw) // 4:
            return _advice(file, "it is UTF-16 text", _read(file, raw, encoding="utf-16-le"))
        return f"{file}: it is no text: save the table as CSV, in UTF-8"
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        sentence = "it may be of Windows, whose letters have other bytes"
        return _advice(file, sentence, _read(file, raw, encoding="cp1252"))
    mark = find_separator(text)
    return _advice(file, f"its values have {mark!r} between them", _read(file, raw))


def find_separator(text: str) -> str:
    """What stands between the values of a table's first lines: as often in each of them."""
    lines = [line for line in text[:100_000].splitlines()[:6] if line.strip()]
    for mark in ";\t|,":
        counts = {line.count(mark) for line in lines}
        if len(counts) == 1 and 0 not in counts:
            return mark
    head = lines[0] if lines else ""
    return max(",;\t|", key=head.count)


def diagnose_times(file: str, name: str, texts: Sequence[str]) -> str | None:
    """What a column's texts are that are no times; None where they are unlike any."""
    known = [text for text in texts if text] or [""]
    first = known[0]
    to_datetime = f"table[{name!r}] = pd.to_datetime(table[{name!r}]"
    if ZONED.fullmatch(first):
        line = f"{to_datetime}, utc=True).dt.tz_localize(None)"
        return _advice(file, f"{name} has times of a zone; on UTC they can be read", lines=[line])
    if all(map(COMPACT.fullmatch, known)):
        form = "%Y%m%d%H%M%S"[: {8: 6, 10: 8, 12: 10, 14: 12}[len(first)]]
        sentence = f"{name} has times without anything between their parts"
        return _advice(file, sentence, lines=[f"{to_datetime}, format={form!r})"])
    if first.isdecimal() and (unit := SECONDS.get(len(first))):
        line = f"{to_datetime}.astype('int64'), unit={unit!r})"
        sentence = f"{name} seems to count the {unit} since 1970 on UTC"
        return _advice(file, sentence, lines=[line])
    if MONTH.fullmatch(first):
        return f"{file}: {name} has months, which are not of one length, and can't be steps"
    dates = [match for match in map(DAY_OR_MONTH_FIRST.fullmatch, known) if match]
    if len(dates) < ALIKE * len(known):
        return None
    day_first = any(int(match[1]) > 12 for match in dates)
    month_first = any(int(match[3]) > 12 for match in dates)
    if day_first == month_first:
        return (
            f"{file}: of {first!r} in {name} nobody knows which is the month, as none of its rows "
            "tells; write the year first: 2013-01-31"
        )
    forms = {_form(match, day_first) for match in dates}
    how = f"format={forms.pop()!r}" if len(forms) == 1 else f"format='mixed', dayfirst={day_first}"
    sentence = f"{name} has the {'day' if day_first else 'month'} first"
    return _advice(file, sentence, lines=[f"{to_datetime}, {how})"])


def _form(date: re.Match[str], day_first: bool) -> str:
    """The form of a date, as strptime has it."""
    year = "%Y" if len(date[4]) == 4 else "%y"
    form = date[2].join(("%d", "%m", year) if day_first else ("%m", "%d", year))
    if date[5] is None:
        return form
    time = ("%I" if date[7] else "%H") + ":%M" + (":%S" if date[6] else "")
    half = date[7] and (" %p" if date[7].startswith(" ") else "%p")
    return f"{form} {time}{half or ''}"


def diagnose_steps(
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
    if (part := _time_of_day(others, times)) is not None:
        column, of_day = part
        clocks = ", ".join((*clock[:-1], f"{clock[-1]} and {column}"))
        into = clock[0] if len(clock) == 1 else "clock"
        return _advice(
            file,
            f"the clock is in {len(clock) + 1} columns, {clocks}; {into} is to hold all of it",
            lines=[f"table[{into!r}] = {_times_of(clock)} + pd.to_timedelta({of_day})"],
        )
    keys = _series_keys(others, times)
    if keys:
        kinds = table[keys].drop_duplicates()
        names = [" ".join(row) for row in kinds[:MAX_NAMED].to_numpy()]
        more = ", ..." if len(kinds) > MAX_NAMED else ""
        chosen = " & ".join(f"(table[{key!r}] == {kinds[key].iloc[0]!r})" for key in keys)
        return _advice(
            file,
            f"it holds {len(kinds)} series, one for each {' and '.join(keys)} "
            f"({', '.join(names)}{more}), and one can be read: this takes the first",
            lines=[f"table = table[{chosen}]"],
        )
    if (steps < NOTHING).all():
        steps, times = -steps, times[::-1]
    usual = steps.mode()[0]
    odd = steps[steps != usual]
    changes = times[odd.index]
    in_season = changes.dt.month.isin(MONTHS_OF_CHANGE) & (changes.dt.hour <= HOUR_OF_CHANGE)
    shifted = len(odd) > 0 and odd.isin([usual - HOUR, usual + HOUR]).all() and in_season.all()
    if usual < DAY and shifted:
        repeated = "'infer'" if (odd < usual).any() else "[True] * len(times)"
        return _advice(
            file,
            "it seems to have a wall clock, which leaves out an hour in spring and repeats one in "
            "autumn, and can be read on UTC: this takes it for Berlin's, whose name "
            "you replace by your own",
            lines=[
                f"times = {_times_of(clock)}",
                f"times = times.dt.tz_localize('Europe/Berlin', ambiguous={repeated})",
                "times = times.dt.tz_convert(None)",
                *_written_back(clock, "times.dt"),
            ],
        )
    ordered = times.sort_values(kind="stable")
    gaps: pd.Series[Any] = ordered.diff().iloc[1:]
    if (gaps == NOTHING).all():
        return f"{file}: all of its rows have one time"
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
    lacking = int((gaps // step).sum()) - int((gaps > NOTHING).sum())
    if (gaps % step != NOTHING).any() or lacking > len(times):
        jump = int(gaps.argmax())
        return (
            f"{file}: its times are irregular, or some are wrong: the longest jump is from "
            f"{ordered.iloc[jump]} to {ordered.iloc[jump + 1]}; correct them, or gather them in "
            "steps of one length first"
        )
    twice = int((gaps == NOTHING).sum())
    alike = int(table.duplicated().sum())
    if twice > max(FEW_TWICE * len(times), FEWEST_TWICE) and twice > alike:
        return (
            f"{file}: {twice:,} of its {len(times):,} rows have the time of another, and no column "
            "tells them apart: leave one row of each time"
        )
    problems, ways = [], ""
    if twice:
        problems.append(f"{_count(twice, 'row')} with the time of another, of which the last stays")
        ways += "[~table.index.duplicated(keep='last')]"
    if (steps < NOTHING).any() or times.index[0] > times.index[-1]:
        problems.append("rows that are out of order")
        ways += ".sort_index()"
    if lacking:
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
        options = {"sep": find_separator(text), **options}
    chosen = "".join(f", {key}={value!r}" for key, value in options.items())
    return f"pd.read_csv({file!r}{chosen}, dtype=str, keep_default_na=False)"


def _texts(raw: bytes) -> pd.DataFrame:
    """Every column of a CSV that could be read."""
    lines = csv.reader(io.StringIO(raw.decode("utf-8-sig"), newline=""), skipinitialspace=True)
    header, *rows = ([cell.strip() for cell in row] for row in lines if row)
    return pd.DataFrame(rows, columns=header)


def _series_keys(others: pd.DataFrame, times: "pd.Series[pd.Timestamp]") -> list[str]:
    """The column, or the two, that tell several series apart; none where there is one series.

    Of each there is one row a time at most, and there are few more of them than rows of a time.
    """
    most = int(times.value_counts().iloc[0])
    if times.duplicated(keep=False).mean() < 1 / 3:
        return []
    highest = min(2 * most, len(times) // 2)  # two rows or more of each
    few = {str(name): n for name in others if 1 < (n := others[name].nunique()) <= highest}
    single = sorted(([name] for name in few), key=lambda keys: few[keys[0]])
    for keys in (*single, *map(list, combinations(few, 2))):
        if not others[keys].assign(time=times).duplicated().any():
            return keys
    return []


def _time_of_day(others: pd.DataFrame, times: "pd.Series[pd.Timestamp]") -> tuple[str, str] | None:
    """The column with the time of the day, where the clock has dates alone, and Python for it."""
    stands_still = (times.diff() == NOTHING).mean() > 1 / 3
    if (times != times.dt.normalize()).any() or not stands_still:
        return None
    for name in map(str, others):
        texts, column = others[name], f"table[{name!r}]"
        if texts.str.fullmatch(TIME_OF_DAY.pattern).all():
            halves = texts.str.contains("m", case=False).any()
            seconds = texts.str.count(":").max() > 1
            code = f"{column}" if seconds else f"{column} + ':00'"
            of_day = pd.to_timedelta(texts if seconds else texts + ":00", errors="coerce")
            if halves:
                code = f"pd.to_datetime('2000-01-01 ' + {column}, format='mixed')"
                code += " - pd.Timestamp('2000-01-01')"
                noon = pd.to_datetime("2000-01-01 " + texts, errors="coerce", format="mixed")
                of_day = noon - pd.Timestamp("2000-01-01").to_pydatetime()
        elif not NAMES_A_TIME.search(name):
            continue
        elif texts.str.fullmatch(HOURS[0].pattern).all():
            code, of_day = f"{column} + ' h'", pd.to_timedelta(texts + " h")
        elif texts.str.fullmatch(HOURS[1].pattern).all():
            code = f"{column}.str.zfill(4).str.replace(r'(..)(..)', r'\\1:\\2:00', regex=True)"
            parts = texts.str.zfill(4)
            of_day = pd.to_timedelta(parts.str[:2] + ":" + parts.str[2:] + ":00", errors="coerce")
        else:
            continue
        whole = times + of_day
        if (whole.diff().iloc[1:] > NOTHING).mean() >= MOSTLY:
            return name, code
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
