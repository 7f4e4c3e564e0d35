"""Tables of other kinds than those of shared/field, made here, with what is right for each.

A builder writes its rows as a program would that has such tables, by plain Python: what a time is
called is never worked out by the code that reads it. What is forecast after the last row is worked
out by hand.
"""

import gzip
import io
import random
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NOTHING = float("nan")
Encode = Callable[[Sequence[datetime], Sequence[float]], bytes]


@dataclass(frozen=True)
class MadeTable:
    """A table's files, and what somebody who knows it says of it.

    Attributes:
        files: by name.
        recent: the last rows alone, in the same form.
        target: the column that is forecast.
        times, values: of the series, a row a step: NaN where nothing is known.
        step: between rows, in words.
        ahead: the two times that are forecast.
        keys: of the data block, besides source, target, features, calendar and splits.
        source: what the table is called; else its only file.
        options: what new_space is told.
        told: what it says that it proposes.
    """

    files: dict[str, bytes]
    recent: dict[str, bytes]
    target: str
    times: Sequence[datetime]
    values: Sequence[float]
    step: str
    ahead: tuple[str, str]
    keys: dict[str, Any]
    source: str = ""
    options: tuple[str, ...] = ()
    told: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.source or next(iter(self.files))

    def write(self, files: Mapping[str, bytes]) -> None:
        """Put files of the table, all or the recent ones, in the working directory."""
        for name in self.files:
            Path(name).unlink(missing_ok=True)
        for name, raw in files.items():
            Path(name).write_bytes(raw)


def numbers(count: int, digits: int = 1, base: float = 100.0) -> list[float]:
    """A series that goes up and down around `base`."""
    draw = random.Random(0)
    values = []
    change = 0.0
    for _ in range(count):
        change = 0.8 * change + draw.gauss(0, base / 20)
        values.append(round(base + change, digits))
    return values


def span(first: datetime, step: timedelta, count: int) -> list[datetime]:
    return [first + row * step for row in range(count)]


def csv_of(header: str, spell: Callable[[datetime, float], str]) -> Encode:
    """How rows become a CSV: a header, and a line for each."""

    def encode(times: Sequence[datetime], values: Sequence[float]) -> bytes:
        lines = [spell(time, value) for time, value in zip(times, values, strict=True)]
        return "\n".join([header, *lines, ""]).encode()

    return encode


def made(
    name: str,
    encode: Encode,
    times: Sequence[datetime],
    values: Sequence[float],
    *,
    left_out: Iterable[int] = (),
    recent: int = 200,
    **right: Any,
) -> MadeTable:
    """A table of one file.

    Args:
        left_out: rows that the file lacks, by number; of what was there nothing is known.
        recent: how many rows there are to forecast from.
    """
    there = [row for row in range(len(times)) if row not in set(left_out)]
    known = [value if row in there else NOTHING for row, value in enumerate(values)]
    files = [
        encode([times[row] for row in rows], [values[row] for row in rows])
        for rows in (there, there[-recent:])
    ]
    right = {"target": "load", **right}
    return MadeTable({name: files[0]}, {name: files[1]}, times=times, values=known, **right)


# Clocks


def epoch_milliseconds() -> MadeTable:
    """Milliseconds since 1970, as a monitor writes them, every five minutes."""
    first = datetime(2023, 11, 14, 22, 15, tzinfo=UTC)  # 1,700,000,100 seconds after 1970

    def spell(time: datetime, value: float) -> str:
        return f"{1_700_000_100_000 + (time - first) // timedelta(milliseconds=1)},{value}"

    return made(
        "metrics.csv",
        csv_of("timestamp,load", spell),
        span(first, 5 * timedelta(minutes=1), 600),
        numbers(600),
        step="5 min",
        # 600 times 5 minutes are 50 hours.
        ahead=("2023-11-17 00:15+00:00", "2023-11-17 00:20+00:00"),
        keys={"time": "timestamp"},
    )


def hours_1_to_24() -> MadeTable:
    """The day in one column, its hours from 1 to 24 in another: hour 24 is the next midnight."""

    def spell(time: datetime, value: float) -> str:
        hour = time.hour or 24
        date = time if time.hour else time - DAY
        return f"{date:%Y-%m-%d},{hour},{value}"

    return made(
        "settlement.csv",
        csv_of("date,hour,load", spell),
        span(datetime(2022, 2, 1, 1), HOUR, 480),
        numbers(480),
        step="1 h",
        ahead=("2022-02-21 01:00", "2022-02-21 02:00"),
        keys={"time": ("date", "hour")},
    )


def american() -> MadeTable:
    """The month first, and AM and PM: 12 AM is midnight. 12/31 is no 31st month."""

    def spell(time: datetime, value: float) -> str:
        hour, half = time.hour % 12 or 12, "PM" if time.hour >= 12 else "AM"
        return (
            f"{time.month:02}/{time.day:02}/{time.year} {hour:02}:{time.minute:02} {half},{value}"
        )

    return made(
        "meter.csv",
        csv_of("Date/Time,load", spell),
        span(datetime(2021, 12, 20), timedelta(minutes=30), 720),
        numbers(720),
        step="30 min",
        ahead=("2022-01-04 00:00", "2022-01-04 00:30"),
        keys={"time": "Date/Time", "dates": "month_first"},
        told=("dates: month_first: the first row, 12/20/2021 12:00 AM, is 2021-12-20",),
    )


def midnight_is_24() -> MadeTable:
    """The last hour of a day ends at 24:00 of it."""

    def spell(time: datetime, value: float) -> str:
        if time.hour == 0:
            return f"{time - DAY:%Y-%m-%d} 24:00,{value}"
        return f"{time:%Y-%m-%d %H:%M},{value}"

    return made(
        "station.csv",
        csv_of("time,load", spell),
        span(datetime(2020, 2, 20, 1), HOUR, 480),  # over the 29th of February
        numbers(480),
        step="1 h",
        ahead=("2020-03-11 01:00", "2020-03-11 02:00"),
        keys={"time": "time"},
    )


def compact_hours() -> MadeTable:
    """2021123123: digits that could be seconds since 1970, by which rows would be irregular."""
    return made(
        "model.csv",
        csv_of("yyyymmddhh,load", lambda time, value: f"{time:%Y%m%d%H},{value}"),
        span(datetime(2021, 12, 20), HOUR, 480),
        numbers(480),
        step="1 h",
        ahead=("2022-01-09 00:00", "2022-01-09 01:00"),
        keys={"time": "yyyymmddhh", "dates": "%Y%m%d%H"},
    )


def web_log() -> MadeTable:
    """As a web server's log has times, with their offset."""
    zone = ZoneInfo("Asia/Kolkata")  # half an hour off, all year

    def spell(time: datetime, value: float) -> str:
        return f"{time.astimezone(zone):%d/%b/%Y:%H:%M:%S} +0530,{value:.0f}"

    return made(
        "requests.csv",
        csv_of("when,load", spell),
        span(datetime(2023, 5, 31, 18, 30, tzinfo=UTC), HOUR, 480),  # midnight there
        numbers(480, digits=0),
        step="1 h",
        ahead=("2023-06-20 18:30+00:00", "2023-06-20 19:30+00:00"),
        keys={"time": "when", "dates": "%d/%b/%Y:%H:%M:%S %z"},
    )


def new_york() -> MadeTable:
    """A wall clock of New York's, which alone can't be told from Chicago's."""
    zone = ZoneInfo("America/New_York")
    return made(
        "nyiso.csv",
        csv_of("time,load", lambda time, value: f"{time.astimezone(zone):%Y-%m-%d %H:%M},{value}"),
        span(datetime(2021, 10, 20, 4, tzinfo=UTC), HOUR, 600),  # to winter time on 7 November
        numbers(600),
        step="1 h",
        # 600 hours are 25 days, and the clock was put back: 2021-11-14 04:00 on UTC.
        ahead=("2021-11-13 23:00-05:00", "2021-11-14 00:00-05:00"),
        keys={"time": "time", "zone": "America/New_York"},
        options=("--zone", "America/New_York"),
    )


def changing_offset() -> MadeTable:
    """The clock of Berlin with its offset: it changes in autumn, and says so itself."""
    zone = ZoneInfo("Europe/Berlin")
    return made(
        "grid.csv",
        csv_of("time,load", lambda time, value: f"{time.astimezone(zone).isoformat()},{value}"),
        span(datetime(2022, 10, 20, tzinfo=UTC), HOUR, 480),  # to winter time on 30 October
        numbers(480),
        step="1 h",
        ahead=("2022-11-09 00:00+00:00", "2022-11-09 01:00+00:00"),
        keys={"time": "time"},
    )


def days_without_midnight() -> MadeTable:
    """Days of São Paulo, of which one in 2018 began at one o'clock, by their dates alone."""
    zone = ZoneInfo("America/Sao_Paulo")
    days = span(datetime(2018, 6, 1), DAY, 300)
    # Midnight there on UTC: 03:00, in summer time 02:00; 03:00 too where the clock is put forward.
    times = [datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC) for day in days]
    assert times[156] == datetime(2018, 11, 4, 3, tzinfo=UTC)
    names = dict(zip(times, days, strict=True))
    return made(
        "sao-paulo.csv",
        csv_of("date,load", lambda time, value: f"{names[time]:%Y-%m-%d},{value}"),
        times,
        numbers(300),
        step="1 day",
        ahead=("2019-03-28 00:00-03:00", "2019-03-29 00:00-03:00"),
        keys={"time": "date", "zone": "America/Sao_Paulo"},
        options=("--zone", "America/Sao_Paulo"),
    )


# Formats


def german() -> MadeTable:
    """As Excel writes CSV in Germany: semicolons, decimal commas, points before thousands."""
    name = "Stromverbrauch für Köln"

    def encode(times: Sequence[datetime], values: Sequence[float]) -> bytes:
        lines = [f"Zeit;{name};Außentemperatur"]
        for time, value in zip(times, values, strict=True):
            load = f"{value:,.2f}".replace(",", "'").replace(".", ",").replace("'", ".")
            outside = f"{value / 100:.1f}".replace(".", ",")
            lines.append(f"{time:%d.%m.%Y %H:%M};{load};{outside}")
        return "\r\n".join([*lines, ""]).encode("cp1252")

    values = numbers(480, digits=2, base=1500.0)
    return made(
        "verbrauch.csv",
        encode,
        span(datetime(2022, 1, 25), HOUR, 480),
        values,
        target=name,
        step="1 h",
        ahead=("2022-02-14 00:00", "2022-02-14 01:00"),
        keys={"time": "Zeit", "dates": "day_first", "encoding": "cp1252"},
        told=(
            "encoding: cp1252: its bytes are no UTF-8",
            f"{name}: 480 cells with texts such as",
        ),
    )


def unicode_text() -> MadeTable:
    """Excel's 'Unicode Text': UTF-16 with its mark, and tabs."""
    encode = csv_of("时间\tload", lambda time, value: f"{time:%Y-%m-%d %H:%M}\t{value}")
    return made(
        "book.txt",
        lambda times, values: encode(times, values).decode().encode("utf-16"),
        span(datetime(2022, 7, 1), HOUR, 480),
        numbers(480),
        step="1 h",
        ahead=("2022-07-21 00:00", "2022-07-21 01:00"),
        keys={"time": "时间"},
    )


def quoted() -> MadeTable:
    """Excel's 'CSV UTF-8', with its mark, each cell in quotes, a comma and a break within some."""

    def spell(time: datetime, value: float) -> str:
        note = 'so, "it\r\nis"' if time.hour == 3 else "fine"
        return f'"{time:%Y-%m-%d %H:%M:%S}","{value}","' + note.replace('"', '""') + '"\r'

    encode = csv_of('"time","load","note, of the day"\r', spell)
    return made(
        "quoted.csv",
        lambda times, values: b"\xef\xbb\xbf" + encode(times, values),
        span(datetime(2022, 7, 1), HOUR, 480),
        numbers(480),
        step="1 h",
        ahead=("2022-07-21 00:00", "2022-07-21 01:00"),
        keys={"time": "time"},
    )


def gzipped() -> MadeTable:
    """A CSV that is packed with gzip, to the second."""
    encode = csv_of("time,load", lambda time, value: f"{time:%Y-%m-%dT%H:%M:%S.000Z},{value}")
    return made(
        "sensor.csv.gz",
        lambda times, values: gzip.compress(encode(times, values)),
        span(datetime(2024, 2, 29, 23, 50, tzinfo=UTC), timedelta(seconds=10), 600),
        numbers(600),
        step="10 s",
        # 600 times 10 seconds are 100 minutes.
        ahead=("2024-03-01 01:30:00+00:00", "2024-03-01 01:30:10+00:00"),
        keys={"time": "time"},
    )


def zipped() -> MadeTable:
    """A CSV alone in an archive, with a bar between cells and the newest row first."""
    encode = csv_of("time|load", lambda time, value: f"{time:%Y/%m/%d}|{value}")

    def pack(times: Sequence[datetime], values: Sequence[float]) -> bytes:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("export/daily.csv", encode(times[::-1], values[::-1]))
        return file.getvalue()

    return made(
        "daily.zip",
        pack,
        span(datetime(2020, 1, 1), DAY, 400),
        numbers(400),
        step="1 day",
        ahead=("2021-02-04 00:00", "2021-02-05 00:00"),
        keys={"time": "time"},
    )


def parquet() -> MadeTable:
    """Parquet as pandas writes it: an index of times of a zone, whole numbers, a categorical."""
    zone = ZoneInfo("Australia/Sydney")
    skies = ("clear", "cloudy", "rain")

    def encode(times: Sequence[datetime], values: Sequence[float]) -> bytes:
        frame = pd.DataFrame(
            {
                "load": pd.array([int(value) for value in values], dtype="int32"),
                "sky": pd.Categorical([skies[time.day % 3] for time in times], categories=skies),
            },
            index=pd.DatetimeIndex(list(times)).tz_convert(zone),
        )
        return frame.to_parquet()

    return made(
        "warehouse.parquet",
        encode,
        span(datetime(2021, 3, 20, 13, tzinfo=UTC), HOUR, 480),  # to winter time on 4 April
        numbers(480, digits=0),
        step="1 h",
        # 20 days after 13:00 on UTC.
        ahead=("2021-04-09 13:00+00:00", "2021-04-09 14:00+00:00"),
        keys={"time": "time"},
    )


def yearly_files() -> MadeTable:
    """A file for each year, which are one table, each with its header."""
    times, values = span(datetime(2019, 12, 25), HOUR, 480), numbers(480)
    encode = csv_of("time,load", lambda time, value: f"{time:%Y-%m-%d %H:%M},{value}")

    def by_year(first: int) -> dict[str, bytes]:
        rows = [(time, value) for time, value in zip(times, values, strict=True)][first:]
        files = {}
        for year in (2019, 2020):
            of_it = [row for row in rows if row[0].year == year]
            if of_it:
                files[f"load-{year}.csv"] = encode(*map(list, zip(*of_it, strict=True)))
        return files

    return MadeTable(
        by_year(0),
        by_year(150),  # a few rows of 2019 among them
        target="load",
        times=times,
        values=values,
        step="1 h",
        ahead=("2020-01-14 00:00", "2020-01-14 01:00"),
        keys={"time": "time"},
        source="load-*.csv",
    )


# Calendars


def quarters() -> MadeTable:
    """Quarters, as statistical offices write them."""
    times = [datetime(1990 + row // 4, 3 * (row % 4) + 1, 1) for row in range(124)]
    return made(
        "gdp.csv",
        csv_of("quarter,gdp", lambda time, value: f"{time.year}-Q{time.month // 3 + 1},{value}"),
        times,
        numbers(124, digits=2),
        target="gdp",
        step="1 quarter",
        ahead=("2021-01-01 00:00", "2021-04-01 00:00"),
        keys={"time": "quarter"},
    )


def years() -> MadeTable:
    """A number a year: 1871 is no count."""
    return made(
        "nile.csv",
        csv_of("Year,flow", lambda time, value: f"{time.year},{value}"),
        [datetime(1871 + row, 1, 1) for row in range(130)],
        numbers(130),
        target="flow",
        step="1 year",
        ahead=("2001-01-01 00:00", "2002-01-01 00:00"),
        keys={"time": "Year"},
    )


def month_ends() -> MadeTable:
    """The last day of each month, which has 28 to 31."""
    firsts = [datetime(2001 + row // 12, row % 12 + 1, 1) for row in range(1, 241)]
    return made(
        "fund.csv",
        csv_of("date,value", lambda time, value: f"{time:%Y-%m-%d},{value}"),
        [first - DAY for first in firsts],
        numbers(240),
        target="value",
        step="1 month (month end)",
        ahead=("2021-01-31 00:00", "2021-02-28 00:00"),
        keys={"time": "date"},
    )


def month_names() -> MadeTable:
    """Months in words."""
    names = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
    return made(
        "passengers.csv",
        csv_of("Month,load", lambda time, value: f"{names[time.month - 1]} {time.year},{value}"),
        [datetime(2001 + row // 12, row % 12 + 1, 1) for row in range(150)],
        numbers(150),
        step="1 month",
        ahead=("2013-07-01 00:00", "2013-08-01 00:00"),
        keys={"time": "Month", "dates": "%b %Y"},
        told=("dates: %b %Y: the first row, Jan 2001, is 2001-01-01",),
    )


def year_and_month() -> MadeTable:
    """A column with the year, and one with the number of the month."""
    return made(
        "rain.csv",
        csv_of("YEAR,MONTH,load", lambda time, value: f"{time.year},{time.month},{value}"),
        [datetime(1990 + row // 12, row % 12 + 1, 1) for row in range(150)],
        numbers(150),
        step="1 month",
        ahead=("2002-07-01 00:00", "2002-08-01 00:00"),
        keys={"time": ("YEAR", "MONTH")},
    )


def year_and_quarter() -> MadeTable:
    """A column with the year, and one with Q1 to Q4."""

    def spell(time: datetime, value: float) -> str:
        return f"{time.year},Q{time.month // 3 + 1},{value}"

    return made(
        "beer.csv",
        csv_of("Year,Quarter,load", spell),
        [datetime(1960 + row // 4, 3 * (row % 4) + 1, 1) for row in range(130)],
        numbers(130),
        step="1 quarter",
        ahead=("1992-07-01 00:00", "1992-10-01 00:00"),
        keys={"time": ("Year", "Quarter")},
    )


def compact_months() -> MadeTable:
    """Months as six digits."""
    return made(
        "index.csv",
        csv_of("date,load", lambda time, value: f"{time:%Y%m},{value}"),
        [datetime(2001 + row // 12, row % 12 + 1, 1) for row in range(150)],
        numbers(150),
        step="1 month",
        ahead=("2013-07-01 00:00", "2013-08-01 00:00"),
        keys={"time": "date", "dates": "%Y%m"},
    )


def weeks() -> MadeTable:
    """Weeks of ISO 8601, over a year of 53 of them."""

    def spell(time: datetime, value: float) -> str:
        year, week, _ = time.isocalendar()
        return f"{year}-W{week:02},{value}"

    return made(
        "flu.csv",
        csv_of("week,cases", spell),
        span(datetime(2018, 12, 31), 7 * DAY, 150),  # the Monday of 2019-W01
        numbers(150, digits=0),
        target="cases",
        step="7 days",
        # 150 weeks: 52 of 2019, 53 of 2020 and 45 of 2021, whose week 1 begins on 4 January.
        ahead=("2021-11-15 00:00", "2021-11-22 00:00"),
        keys={"time": "week"},
    )


def exchange() -> MadeTable:
    """Business days, of which the exchange's holidays have no rows."""
    days = [day for day in span(datetime(2019, 1, 1), DAY, 730) if day.weekday() < 5]
    closed = {
        datetime(year, month, day)
        for year in (2019, 2020)
        for month, day in ((1, 1), (5, 1), (12, 24), (12, 25), (12, 26), (12, 31))
    }
    closed |= {datetime(2019, 4, 19), datetime(2019, 4, 22)}  # Good Friday, Easter Monday
    closed |= {datetime(2020, 4, 10), datetime(2020, 4, 13)}
    # The first and the last day of all are rows, so that the span is one that the file has.
    days = [day for day in days if datetime(2019, 1, 1) < day < datetime(2020, 12, 31)]
    left_out = [row for row, day in enumerate(days) if day in closed]
    return made(
        "close.csv",
        csv_of("Date,Close", lambda time, value: f"{time:%Y-%m-%d},{value}"),
        days,
        numbers(len(days), digits=2),
        left_out=left_out,
        target="Close",
        step="1 business day",
        ahead=("2020-12-31 00:00", "2021-01-01 00:00"),
        keys={"time": "Date", "gaps": "fill"},
        told=(
            f"gaps: fill: {len(left_out)} steps without a row became rows without values, the "
            "first 2019-04-19",
        ),
    )


def first_working_days() -> MadeTable:
    """The first business day of each month: a Monday where the month begins on a weekend."""
    times = []
    for row in range(150):
        first = datetime(2005 + row // 12, row % 12 + 1, 1)
        times.append(first + {5: 2, 6: 1}.get(first.weekday(), 0) * DAY)
    return made(
        "rates.csv",
        csv_of("Datum;Zins", lambda time, value: f"{time:%d.%m.%y};{value:.2f}"),
        times,
        numbers(150, digits=2, base=4.0),
        target="Zins",
        step="1 month (first business day of the month)",
        # July 2017 began on a Saturday.
        ahead=("2017-07-03 00:00", "2017-08-01 00:00"),
        keys={"time": "Datum", "dates": "day_first"},
    )


KINDS: tuple[Callable[[], MadeTable], ...] = (
    epoch_milliseconds,
    hours_1_to_24,
    american,
    midnight_is_24,
    compact_hours,
    web_log,
    new_york,
    changing_offset,
    days_without_midnight,
    german,
    unicode_text,
    quoted,
    gzipped,
    zipped,
    parquet,
    yearly_files,
    quarters,
    years,
    month_ends,
    month_names,
    year_and_month,
    year_and_quarter,
    compact_months,
    weeks,
    exchange,
    first_working_days,
)
