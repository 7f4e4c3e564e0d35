"""Random tables, spoiled and written in a random format: read as they were, or refused.

What a table says is known before it is written: its times, by the standard library, and its
values. Nothing that is read may differ from that without a word.
"""

import csv
import gzip
import io
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count, islice
from typing import Any, Literal
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st

from lstm_model.configuration import Reading
from lstm_model.data.table import ParsedTable, parse_table
from lstm_model.errors import TableError

TARGET, NUMBER, CATEGORY = "größe", "x", "wind"
FEATURES = (TARGET, NUMBER, CATEGORY)
CATEGORIES = ("NW", "Süd", "SE, calm")
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
SPANS = {"hours": HOUR, "quarters of an hour": 15 * MINUTE, "minutes": MINUTE}
CALENDAR = ("days", "weeks", "business days", "months", "month ends", "quarters")
ZONES = {  # each with times in UTC at which its clock changes, if it does
    "Europe/Berlin": (datetime(2021, 3, 28, 1), datetime(2021, 10, 31, 1)),
    "America/New_York": (datetime(2021, 3, 14, 7), datetime(2021, 11, 7, 6)),
    "America/Sao_Paulo": (datetime(2018, 11, 4, 3), datetime(2018, 2, 18, 2)),
    "Asia/Kolkata": (datetime(2021, 6, 1),),
}
FEWEST, MOST = 16, 40
Value = float | str | None


# Its clock


def days_of(step: str, first: datetime) -> Iterator[datetime]:
    """The days of a calendar's step."""
    days = (first.replace(hour=0, minute=0) + i * DAY for i in count())
    rules: dict[str, Callable[[datetime], bool]] = {
        "days": lambda day: True,
        "weeks": lambda day: day.weekday() == first.weekday(),
        "business days": lambda day: day.weekday() < 5,
        "months": lambda day: day.day == 1,
        "month ends": lambda day: (day + DAY).day == 1,
        "quarters": lambda day: day.day == 1 and day.month % 3 == 1,
    }
    return filter(rules[step], days)


def hours_to_24(time: datetime) -> tuple[str, int]:
    """A date and an hour; midnight is the end of the day before."""
    day = time - DAY if time.time() == datetime.min.time() else time
    return f"{day:%Y-%m-%d}", time.hour if day == time else 24


def until_24(time: datetime) -> tuple[str, ...]:
    day, hour = hours_to_24(time)
    return (f"{day} {hour:02}:{time:%M}",)


@dataclass(frozen=True)
class Form:
    """A way to write what a clock shows.

    Attributes:
        write: the cells of a time; or a form of strftime for one cell.
        time: the key with the names of these cells.
        dates: the key, where there must be one.
        shows: the shortest of a day, an hour and a minute that can be told from the cells.
    """

    write: str | Callable[[datetime], tuple[str, ...]]
    time: str | tuple[str, ...] = "at"
    dates: str | None = None
    shows: timedelta = MINUTE

    def cells(self, time: datetime) -> tuple[str, ...]:
        return (time.strftime(self.write),) if isinstance(self.write, str) else self.write(time)

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.time,) if isinstance(self.time, str) else self.time

    @property
    def keys(self) -> dict[str, Any]:
        keys = {"time": self.time, "dates": self.dates}
        return {key: value for key, value in keys.items() if value is not None}


PARTS = ("year", "month", "day", "hour", "minute")
TWO, PLUS_HOUR = ("date", "tod"), ("date", "hour")
FORMS = (
    Form("%Y-%m-%d %H:%M"),
    Form("%Y-%m-%dT%H:%M:%S.000"),
    Form("%Y/%m/%d %H:%M"),
    Form("%Y-%m-%d", shows=DAY),
    Form("%Y%m%d", shows=DAY),
    Form("%Y%m%d%H%M", dates="%Y%m%d%H%M"),
    Form("%d.%m.%Y %H:%M", dates="day_first"),
    Form("%d/%m/%y", dates="day_first", shows=DAY),
    Form("%m/%d/%Y %I:%M %p", dates="month_first"),
    Form("%d %b %Y, %H.%M", dates="%d %b %Y, %H.%M"),
    Form(until_24),
    Form(lambda time: (f"{time:%Y-%m-%d}", f"{time:%H:%M}"), TWO),
    Form(lambda time: (f"{time:%d/%m/%Y}", f"{time:%H:%M:%S}"), TWO, "day_first"),
    Form(lambda time: (f"{time:%Y-%m-%d}", f"{time:%H%M}"), TWO),
    Form(lambda time: (f"{time:%Y-%m-%d}", str(time.hour)), PLUS_HOUR, shows=HOUR),
    Form(lambda time: tuple(map(str, hours_to_24(time))), PLUS_HOUR, shows=HOUR),
    Form(lambda time: tuple(map(str, time.timetuple()[:3])), PARTS[:3], shows=DAY),
    Form(lambda time: tuple(map(str, time.timetuple()[:4])), PARTS[:4], shows=HOUR),
    Form(lambda time: tuple(map(str, time.timetuple()[:5])), PARTS),
)
MONTH = Form("%Y-%m", shows=28 * DAY)
QUARTER = Form(lambda time: (f"{time.year}Q{(time.month + 2) // 3}",), shows=28 * DAY)
ISO = (Form("%Y-%m-%dT%H:%M:%SZ"), Form(lambda time: (time.isoformat(" "),)))
EPOCH = (
    Form(lambda time: (str(round(time.timestamp())),)),
    Form(lambda time: (str(1000 * round(time.timestamp())),)),
)


@dataclass(frozen=True)
class Clock:
    """The clock of a table's rows.

    Attributes:
        step: what it goes by.
        times: of its rows: in UTC where it has a zone, else as it shows them.
        shown: what is written of them in `form`.
        form: how it is written.
        zone: of the times that are to be read, or None.
        zone_key: whether `zone` must say so.
    """

    step: str
    times: Sequence[datetime]
    shown: Sequence[datetime]
    form: Form
    zone: str | None
    zone_key: bool = False

    @property
    def keys(self) -> dict[str, Any]:
        return {**self.form.keys, **({"zone": self.zone} if self.zone_key else {})}


@st.composite
def clocks(draw: st.DrawFn) -> Clock:
    step = draw(st.sampled_from((*SPANS, *SPANS, *CALENDAR)))
    kind = draw(st.sampled_from(("naive", "zone", "offset", "epoch") if step in SPANS else KINDS))
    zone = draw(st.sampled_from(tuple(ZONES)))
    change = draw(st.sampled_from(ZONES[zone]))
    rows = draw(st.integers(FEWEST, MOST))
    back = draw(st.integers(1, rows - 2))  # a change lies among the rows
    if step not in SPANS:
        days = list(islice(days_of(step, change - back * DAY), rows))
        forms = [*FORMS, *5 * [MONTH] * (step == "months"), *5 * [QUARTER] * (step == "quarters")]
        if kind == "naive":
            return Clock(step, days, days, draw(st.sampled_from(forms)), None)
        times = [in_utc(day.replace(tzinfo=ZoneInfo(zone))) for day in days]
        return Clock(step, times, days, draw(st.sampled_from(forms)), zone, True)
    times = [change.replace(tzinfo=UTC) + (i - back) * SPANS[step] for i in range(rows)]
    there = [time.astimezone(ZoneInfo(zone)) for time in times]
    wall = [time.replace(tzinfo=None, fold=0) for time in there]
    longest = SPANS[step] if all(time.minute == 0 for time in wall) else MINUTE
    fine = [form for form in FORMS if form.shows <= longest]
    match kind:
        case "naive":
            naive = [time.replace(tzinfo=None) for time in times]
            return Clock(step, naive, naive, draw(st.sampled_from(fine)), None)
        case "zone":
            return Clock(step, times, wall, draw(st.sampled_from(fine)), zone, True)
        case "offset":
            form, shown = draw(st.sampled_from([(ISO[0], times), (ISO[1], there)]))
            says = draw(st.booleans())
            return Clock(step, times, shown, form, zone if says else "UTC", says)
    return Clock(step, times, times, draw(st.sampled_from(EPOCH)), "UTC")


KINDS = ("naive", "zone")


def in_utc(time: datetime) -> datetime:
    """A time that has a zone in UTC; one without as it is."""
    return time.astimezone(UTC) if time.tzinfo else time


# Its rows


@dataclass(frozen=True)
class Row:
    """A row as it stands.

    Attributes:
        at: the number of its time among the clock's.
        cells: what is written in each column, or a number as it is in Parquet.
        values: what each feature is, with every key.
    """

    at: int
    cells: Mapping[str, str]
    values: Mapping[str, Value]
    is_short: bool = False


@dataclass(frozen=True)
class Texts:
    """How numbers are written, and what stands for missing."""

    digits: int
    mark: str
    marker: str

    def write(self, value: float) -> str:
        return f"{value:.{self.digits}f}".replace(".", self.mark)

    @property
    def keys(self) -> dict[str, Any]:
        keys: dict[str, Any] = {}
        if self.marker in ("?", "-999"):
            keys["missing"] = ["?", -999]
        if self.mark == ",":
            keys["decimal"] = ","
            keys["types"] = {TARGET: "number", NUMBER: "number"}
        return keys


TEXTS = st.builds(
    Texts, st.integers(0, 3), st.sampled_from(".,"), st.sampled_from(["", "NA", "?", "-999"])
)


def make_rows(clock: Clock, texts: Texts, seed: int) -> list[Row]:
    random = np.random.default_rng(seed)
    rows = []
    for at, time in enumerate(clock.shown):
        cells = dict(zip(clock.form.columns, clock.form.cells(time), strict=True))
        values: dict[str, Value] = {}
        for name in (TARGET, NUMBER):
            number = round(float(random.uniform(-20, 2000)), texts.digits)
            is_missing = at > 1 and random.random() < 0.1
            values[name] = None if is_missing else number
            cells[name] = texts.marker if is_missing else texts.write(number)
        values[CATEGORY] = cells[CATEGORY] = CATEGORIES[random.integers(len(CATEGORIES))]
        rows.append(Row(at, cells, values))
    return rows


@dataclass(frozen=True)
class Spoiled:
    """Rows with something done to them.

    Attributes:
        how: what was done.
        rows: as they stand.
        keys: that have to do with it.
        fault: the rows of which a refusal names one; None where it isn't to be refused.
        expected: what each time's values are, if it isn't.
        repairs: what is told of it.
    """

    how: str
    rows: Sequence[Row]
    keys: Mapping[str, Any]
    fault: Sequence[int] | None
    expected: Mapping[int, Mapping[str, Value]]
    repairs: frozenset[str] = frozenset()


def values_of(rows: Sequence[Row]) -> dict[int, Mapping[str, Value]]:
    return {row.at: row.values for row in rows}


def leave(draw: st.DrawFn, clock: Clock, rows: list[Row]) -> Spoiled:
    return Spoiled("left", rows, {}, None, values_of(rows))


def take_out(draw: st.DrawFn, clock: Clock, rows: list[Row]) -> Spoiled:
    inner = st.integers(1, len(rows) - 2)
    out = draw(st.sets(inner, min_size=1, max_size=3))
    kept = [row for row in rows if row.at not in out]
    if draw(st.booleans()):
        return Spoiled("taken out", kept, {}, [min(out)], {})
    filled = frozenset({"gaps"})
    return Spoiled("taken out, filled", kept, {"gaps": "fill"}, None, values_of(kept), filled)


def double(draw: st.DrawFn, clock: Clock, rows: list[Row]) -> Spoiled:
    at = draw(st.integers(0, len(rows) - 1))
    rule = draw(st.sampled_from(["refuse", "first", "last", "mean"]))
    again, old = rows[at], rows[at].values[TARGET]
    if draw(st.booleans()):
        number = 7.0
        values = {**again.values, TARGET: number}
        again = replace(again, cells={**again.cells, TARGET: "7"}, values=values)
    new = again.values[TARGET]
    both = [value for value in (old, new) if isinstance(value, float)]
    mean = sum(both) / len(both) if both else None
    kept = {"refuse": old, "first": old, "last": new, "mean": mean}[rule]
    expected = values_of(rows)
    expected[at] = {**expected[at], TARGET: kept}
    return Spoiled(
        f"doubled, {rule}",
        [*rows[: at + 1], again, *rows[at + 1 :]],
        {"duplicates": rule},
        [at + 1] if rule == "refuse" else None,
        expected,
        frozenset({"duplicates"}),
    )


def reverse(draw: st.DrawFn, clock: Clock, rows: list[Row]) -> Spoiled:
    return Spoiled("reversed", rows[::-1], {}, None, values_of(rows), frozenset({"order"}))


def swap(draw: st.DrawFn, clock: Clock, rows: list[Row]) -> Spoiled:
    number = st.integers(0, len(rows) - 1)
    one, other = sorted(draw(st.lists(number, min_size=2, max_size=2, unique=True)))
    swapped = [*rows]
    swapped[one], swapped[other] = rows[other], rows[one]
    keys = draw(st.sampled_from([{}, {"duplicates": "last"}, {"gaps": "fill"}]))
    return Spoiled("swapped", swapped, keys, range(len(rows)), {})


def garble(draw: st.DrawFn, clock: Clock, rows: list[Row]) -> Spoiled:
    at = draw(st.integers(0, len(rows) - 1))
    name = draw(st.sampled_from([TARGET, NUMBER, *clock.form.columns]))
    text = draw(st.sampled_from(["abc", "1.2.3", "12 kg", "2021-13-45", "--"]))
    spoiled = [*rows]
    spoiled[at] = replace(rows[at], cells={**rows[at].cells, name: text})
    return Spoiled("garbled", spoiled, {}, [at], {})


def cut(draw: st.DrawFn, clock: Clock, rows: list[Row]) -> Spoiled:
    at = draw(st.integers(0, len(rows) - 1))
    spoiled = [*rows]
    spoiled[at] = replace(rows[at], is_short=True)
    return Spoiled("cut", spoiled, {}, [at], {})


def move(draw: st.DrawFn, clock: Clock, rows: list[Row]) -> Spoiled:
    """A time that is not on the step, where such a one can be written."""
    shifts = {"hours": (7 * MINUTE, 30 * MINUTE), "quarters of an hour": (4 * MINUTE,)}
    shifts |= dict.fromkeys(("weeks", "months", "quarters"), (2 * DAY,))
    seen = [shift for shift in shifts.get(clock.step, ()) if clock.form.shows <= shift]
    if not seen:
        return leave(draw, clock, rows)
    at = draw(st.integers(1, len(rows) - 2))
    moved = clock.form.cells(clock.shown[at] + draw(st.sampled_from(seen)))
    cells = {**rows[at].cells, **dict(zip(clock.form.columns, moved, strict=True))}
    spoiled = [*rows]
    spoiled[at] = replace(rows[at], cells=cells)
    keys = draw(st.sampled_from([{}, {"gaps": "fill"}]))
    return Spoiled("moved", spoiled, keys, [at, at + 1], {})


SPOIL = (leave, take_out, take_out, double, double, reverse, swap, garble, cut, move)


# Its files


@dataclass(frozen=True)
class Format:
    """How a table is written: as CSV, or as Parquet with or without types."""

    mark: str
    end: str
    quoting: Literal[0, 1]
    encoding: str
    packed: Literal["", ".gz", ".zip"]
    is_parquet: bool
    is_typed: bool

    @property
    def suffix(self) -> str:
        return ".parquet" if self.is_parquet else f".csv{self.packed}"

    @property
    def keys(self) -> dict[str, Any]:
        said = not self.is_parquet and self.encoding in ("utf-16-le", "latin-1")
        return {"encoding": self.encoding} if said else {}

    def label(self, file: str, row: int) -> str:
        return f"{file}, row {row + 1}" if self.is_parquet else f"{file}:{row + 2}"

    def write(
        self, rows: Sequence[Row], names: Sequence[str], clock: Clock, pieces: Sequence[slice]
    ) -> list[bytes]:
        """The bytes of each piece."""
        if not self.is_parquet:
            return [self._csv(rows[piece], names) for piece in pieces]
        table = self._typed(rows, names, clock)
        written = [io.BytesIO() for _ in pieces]
        for piece, raw in zip(pieces, written, strict=True):
            table.iloc[piece].to_parquet(raw, index=False)
        return [raw.getvalue() for raw in written]

    def _csv(self, rows: Sequence[Row], names: Sequence[str]) -> bytes:
        sheet = io.StringIO()
        writer = csv.writer(
            sheet, delimiter=self.mark, lineterminator=self.end, quoting=self.quoting
        )
        writer.writerow(names)
        for row in rows:
            cells = [row.cells[name] for name in names]
            writer.writerow(cells[:-1] if row.is_short else cells)
        raw = sheet.getvalue().encode(self.encoding)
        if self.packed == ".gz":
            return gzip.compress(raw, mtime=0)
        if self.packed == ".zip":
            packed = io.BytesIO()
            with zipfile.ZipFile(packed, "w") as archive:
                archive.writestr("inner.csv", raw)
            return packed.getvalue()
        return raw

    def _typed(self, rows: Sequence[Row], names: Sequence[str], clock: Clock) -> pd.DataFrame:
        columns: dict[str, Any] = {name: [row.cells[name] for row in rows] for name in names}
        for name in (TARGET, NUMBER) if self.is_typed else ():
            try:
                columns[name] = np.array([cell or "nan" for cell in columns[name]], np.float64)
            except ValueError:  # not a number each
                continue
        times = [clock.shown[row.at] for row in rows]
        if self.is_typed and columns.get("at") == [clock.form.cells(time)[0] for time in times]:
            columns["at"] = pd.to_datetime(times, utc=times[0].tzinfo is not None)
        return pd.DataFrame(columns)


ENCODINGS = ("utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1")
FORMATS = st.builds(
    Format,
    mark=st.sampled_from(",;\t"),
    end=st.sampled_from(["\n", "\r\n"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    encoding=st.sampled_from(ENCODINGS),
    packed=st.sampled_from(["", "", ".gz", ".zip"]),
    is_parquet=st.sampled_from([False, False, True]),
    is_typed=st.booleans(),
)


@dataclass(frozen=True)
class Case:
    """A table in files, with what is right.

    Attributes:
        labels: what messages call the rows.
        keys: of the data block.
        dropped: a key that was left out of them, or None.
    """

    clock: Clock
    texts: Texts
    spoiled: Spoiled
    files: Mapping[str, bytes]
    labels: Sequence[str]
    keys: Mapping[str, Any]
    dropped: str | None


@st.composite
def cases(draw: st.DrawFn) -> Case:
    clock, texts = draw(clocks()), draw(TEXTS)
    rows = make_rows(clock, texts, draw(st.integers(0, 2**32 - 1)))
    spoiled = draw(st.sampled_from(SPOIL))(draw, clock, rows)
    form = draw(FORMATS)
    if any(row.is_short for row in spoiled.rows):
        form = replace(form, is_parquet=False)
    names = draw(st.permutations([*clock.form.columns, *FEATURES]))
    half = draw(st.sampled_from([None, None, None, 3, len(rows) // 2, len(rows) - 6]))
    pieces = [slice(None)] if half is None else [slice(half), slice(half, None)]
    written = form.write(spoiled.rows, names, clock, pieces)
    files, labels = {}, []
    for name, piece, raw in zip(draw(st.permutations("ab")), pieces, written, strict=False):
        file = f"{name}{form.suffix}"
        files[file] = raw
        labels += [form.label(file, row) for row in range(len(spoiled.rows[piece]))]
    keys = {**clock.keys, **texts.keys, **spoiled.keys, **form.keys}
    dropped = draw(st.sampled_from([None, None, *sorted({*keys} - {"time", "types"})]))
    keys = {key: value for key, value in keys.items() if key != dropped}
    return Case(clock, texts, spoiled, dict(sorted(files.items())), labels, keys, dropped)


# What is read of it


def read(case: Case) -> ParsedTable:
    reading = Reading.model_validate(case.keys)
    return parse_table(case.files, reading, target=TARGET, features=FEATURES, horizon=3)


def is_right(case: Case, table: ParsedTable) -> bool:
    """Whether each time has the values that it should have, and none where no row is."""
    clock, frame = case.clock, table.frame
    assert isinstance(frame.index, pd.DatetimeIndex)
    zone, times = clock.zone, clock.times
    if case.dropped == "zone":  # a clock without one, or one on UTC
        zone = "UTC" if clock.form in ISO else None
        times = clock.times if zone else clock.shown
    ticks = [round(time.replace(tzinfo=UTC).timestamp()) for time in map(in_utc, times)]
    if table.reading.zone != zone or frame.index.as_unit("s").asi8.tolist() != ticks:
        return False
    as_it_stands = -999.0 if case.dropped == "missing" and case.texts.marker == "-999" else None
    for name in FEATURES:
        kind = object if name == CATEGORY else np.float64
        values = pd.Series(
            [
                as_it_stands if (value := row[name]) is None else value
                for row in (case.spoiled.expected.get(at) for at in range(len(times)))
                if row is not None
            ],
            dtype=kind,
        )
        there = [at in case.spoiled.expected for at in range(len(times))]
        found = frame[name].reset_index(drop=True)
        if found[np.logical_not(there)].notna().any():
            return False
        found = found[there].reset_index(drop=True)
        known = values.notna()
        if not known.equals(found.notna()) or not (values[known] == found[known]).all():
            return False
    return True


def is_unclear(case: Case) -> bool:
    """Whether an hour that comes twice may leave open which row, or which file, is the first."""
    on_the_wall = case.clock.zone_key and case.clock.form not in ISO and case.clock.step in SPANS
    return on_the_wall and ("doubled" in case.spoiled.how or len(case.files) > 1)


def what_is_done(case: Case) -> set[str]:
    """The kinds of repairs that are to be told of."""
    markers = any(None in row.values.values() for row in case.spoiled.rows)
    return {*case.spoiled.repairs, *(["missing"] if markers and "missing" in case.keys else [])}


def check(case: Case) -> str | None:
    """What is wrong with what is read, or None."""
    fault = case.spoiled.fault
    try:
        table = read(case)
    except TableError as error:
        event(f"{case.spoiled.how}: refused")
        message = str(error)
        if case.dropped is not None:
            return None
        if fault is None:
            return None if is_unclear(case) else f"refused: {message}"
        named = is_unclear(case) or any(f"{case.labels[row]}:" in message for row in fault)
        return None if named else f"names another row: {message}"
    event(f"{case.spoiled.how}: read")
    if case.dropped is None and fault is not None:
        return "was read"
    untold = what_is_done(case) - {repair.kind for repair in table.repairs}
    if case.dropped is None and untold:
        return f"does not tell of {untold}"
    if is_right(case, table):
        return None
    if case.dropped is not None and table.repairs:
        return None
    return f"is not the same: {table}"


@settings(
    max_examples=200,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],  # what is found is small enough
    suppress_health_check=list(HealthCheck),
)
@given(cases())
def test_random_table(case: Case) -> None:
    """Each is read as it was, or refused at the row that is at fault."""
    if problem := check(case):
        raise AssertionError(problem)


# What it has found


def refused(files: Mapping[str, bytes], **keys: Any) -> str:
    reading = Reading.model_validate(keys)
    with pytest.raises(TableError) as error:
        parse_table(files, reading, target="y", features=["y"], horizon=1)
    return str(error.value)


def lines(*clock: str, header: str = "at") -> bytes:
    rows = (f"{time},{i}" for i, time in enumerate(clock))
    return "\n".join([f"{header},y", *rows]).encode()


def test_row_between_two_steps_makes_no_shorter_step() -> None:
    times = [f"2021-01-01 {hour:02}:00" for hour in range(24)]
    times[7] = "2021-01-01 07:30"
    message = refused({"t.csv": lines(*times)}, time="at", gaps="fill")
    assert message.startswith("t.csv:9: the clock jumps from 2021-01-01 06:00:00 (line 8)")
    assert "rows must be 1 h apart, as most are (rows that break this: 2)" in message


def test_row_between_two_quarters_is_named() -> None:
    times = [
        f"{year}-{month}-01" for year in range(2010, 2020) for month in ("01", "04", "07", "10")
    ]
    times[20] = "2015-01-03"
    message = refused({"t.csv": lines(*times)}, time="at")
    assert message.startswith("t.csv:22: the clock jumps from 2014-10-01 00:00:00 (line 21)")
    assert "rows must be 1 quarter apart, as most are (rows that break this: 1)" in message


@pytest.mark.parametrize("wrong", [0, 5, 9])
def test_text_that_is_no_time_is_named_wherever_it_stands(wrong: int) -> None:
    columns = {
        "at": [f"2021Q{i % 4 + 1}" for i in range(10)],
        "date,hour": [f"2021-01-01,{i}" for i in range(10)],
        "date,tod": [f"2021-01-01,{i}00" for i in range(10)],
    }
    for header, times in columns.items():
        times[wrong] = "2021-13-45" if header == "at" else "2021-01-01,noon"
        time = header.split(",") if "," in header else header
        message = refused({"t.csv": lines(*times, header=header)}, time=time)
        assert message.startswith(f"t.csv:{wrong + 2}: "), message


def test_texts_that_are_not_as_dates_says() -> None:
    message = refused({"t.csv": lines("2021-01-01", "2021-01-02")}, time="at", dates="day_first")
    assert message.endswith("'2021-01-01': must be a time as dates: day_first has it")


def test_files_with_the_last_row_first() -> None:
    days = [f"2021-01-{day:02}" for day in range(20, 0, -1)]
    files = {"a.csv": lines(*days[10:]), "b.csv": lines(*days[:10])}
    reading = Reading.model_validate({"time": "at"})
    table = parse_table(files, reading, target="y", features=["y"], horizon=1)
    assert [str(time.date()) for time in table.frame.index] == days[::-1]
    assert table.frame["y"].tolist() == 2 * list(range(9, -1, -1))
    assert [repair.kind for repair in table.repairs] == ["order"]


def test_files_with_a_column_in_two_types_are_refused() -> None:
    files = {}
    for name, cells in (("a", [1.0, 2.0]), ("b", ["3", "4"])):
        raw = io.BytesIO()
        days = [f"2021-01-0{day + (name == 'b') * 2}" for day in (1, 2)]
        pd.DataFrame({"at": days, "y": cells}).to_parquet(raw)
        files[f"{name}.parquet"] = raw.getvalue()
    assert refused(files, time="at").startswith("b.parquet: y must have one type in all files")
