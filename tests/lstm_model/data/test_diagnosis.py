"""Tables of many kinds, made by hand: read, read with the key that the message names, or refused.

Tables as people have them are in tests/test_field_tables.py; here are more kinds.
"""

import gzip
import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from lstm_model.configuration import Reading
from lstm_model.data.series_index import SeriesIndex
from lstm_model.data.step import Step
from lstm_model.data.table import ParsedTable, parse_table
from lstm_model.errors import TableError

TIMES = pd.date_range("2021-03-01", periods=60, freq="h")


def frame(**columns: object) -> pd.DataFrame:
    return pd.DataFrame({"time": TIMES, "load": np.arange(60.0), "sky": "clear", **columns})


def csv(table: pd.DataFrame, **options: object) -> bytes:
    return str(table.to_csv(index=False, **options)).encode()  # type: ignore[call-overload]


def parquet(table: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    table.to_parquet(buffer)
    return buffer.getvalue()


def zipped(*names: str, content: bytes = b"") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, content)
    return buffer.getvalue()


def read(raw: bytes, file: str = "t.csv", **keys: Any) -> ParsedTable:
    reading = Reading.model_validate({"time": "time", **keys})
    features = ("load", "sky")
    return parse_table({file: raw}, reading, target="load", features=features, horizon=1)


def refused(raw: bytes, file: str = "t.csv", **keys: Any) -> str:
    with pytest.raises(TableError) as caught:
        read(raw, file, **keys)
    return str(caught.value)


def check_all_there(table: ParsedTable, first: str) -> None:
    """The 60 rows of frame(), in their order, from this time on."""
    assert table.frame.index[0] == pd.Timestamp(first)
    assert table.frame["load"].to_list() == list(range(60))
    assert table.step == Step(3600)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


LATER = TIMES + pd.Timedelta(days=12)  # the 13th: no month
MIDNIGHTS_BARE = [f"{t:%d.%m.%Y}" if t.hour == 0 else f"{t:%d.%m.%Y %H:%M}" for t in LATER]
NOON = [f"{t.month}/{t.day}/{t.year} {t:%I:%M:%S %p}" for t in LATER]
APART = frame(time=TIMES.strftime("%Y-%m-%d"))
SECONDS, MILLISECONDS = (TIMES.astype(f"datetime64[{u}]").astype(np.int64) for u in ("s", "ms"))


@pytest.mark.parametrize(
    ("raw", "first"),
    [
        pytest.param(parquet(frame()), "2021-03-01", id="Parquet"),
        pytest.param(parquet(frame().set_index("time")), "2021-03-01", id="Parquet with an index"),
        pytest.param(
            parquet(frame(time=TIMES.tz_localize("Asia/Tokyo"))),
            "2021-02-28 15:00Z",
            id="Parquet with a zone",
        ),
        pytest.param(gzip.compress(csv(frame())), "2021-03-01", id="gzip"),
        pytest.param(gzip.compress(parquet(frame())), "2021-03-01", id="gzip of Parquet"),
        pytest.param(zipped("t.csv", content=csv(frame())), "2021-03-01", id="zip"),
        pytest.param(zipped("a/", "a/t.csv", content=csv(frame())), "2021-03-01", id="zip, folder"),
        pytest.param(csv(frame()).decode().encode("utf-16"), "2021-03-01", id="UTF-16"),
        pytest.param(csv(frame(), sep="\t"), "2021-03-01", id="tabs"),
        pytest.param(csv(frame(), sep="|"), "2021-03-01", id="pipes"),
        pytest.param(csv(frame(), sep=";", quoting=1), "2021-03-01", id="R's write.csv2"),
        pytest.param(
            csv(frame(time=TIMES.strftime("%Y-%m-%dT%H:%MZ"))), "2021-03-01 00:00Z", id="Z"
        ),
        pytest.param(
            csv(frame(time=TIMES.strftime("%Y-%m-%d %H:%M:%S+05:30"))),
            "2021-02-28 18:30Z",
            id="an offset",
        ),
        pytest.param(csv(frame(time=SECONDS)), "2021-03-01 00:00Z", id="epoch seconds"),
        pytest.param(csv(frame(time=MILLISECONDS)), "2021-03-01 00:00Z", id="epoch milliseconds"),
        pytest.param(csv(frame()[::-1]), "2021-03-01", id="the newest first"),
    ],
)
def test_it_is_read_without_a_key(raw: bytes, first: str) -> None:
    check_all_there(read(raw), first)


@pytest.mark.parametrize(
    ("raw", "sentence", "key", "first"),
    [
        pytest.param(
            csv(frame(sky="wölkig"), sep=";").decode().encode("cp1252"),
            "t.csv:2: must be UTF-8 text, but isn't; '03-01 00:00:00;0.0;wölkig' may",
            "encoding: cp1252",
            "2021-03-01",
            id="letters of Windows",
        ),
        pytest.param(
            csv(frame()).decode().encode("utf-16-le"),
            "t.csv:1: must be UTF-8 text, but isn't; it seems to be UTF-16",
            "encoding: utf-16-le",
            "2021-03-01",
            id="UTF-16 without a mark",
        ),
        pytest.param(
            csv(frame(time=LATER.strftime("%d.%m.%Y %H:%M"))),
            "t.csv:2: time = '13.03.2021 00:00': must be a time such as 2013-01-31 13:00",
            "dates: day_first",
            "2021-03-13",
            id="the day first",
        ),
        pytest.param(
            csv(frame(time=MIDNIGHTS_BARE)),
            "t.csv:2: time = '13.03.2021': must be a time such as 2013-01-31 13:00",
            "dates: day_first",
            "2021-03-13",
            id="the day first, midnights bare",
        ),
        pytest.param(
            csv(frame(time=LATER.strftime("%m/%d/%Y %H:%M:%S"))),
            "t.csv:2: time = '03/13/2021 00:00:00': must be a time such as 2013-01-31 13:00",
            "dates: month_first",
            "2021-03-13",
            id="the month first",
        ),
        pytest.param(
            csv(frame(time=NOON)),
            "t.csv:2: time = '3/13/2021 12:00:00 AM': must be a time such as 2013-01-31 13:00",
            "dates: month_first",
            "2021-03-13",
            id="the month first, AM and PM",
        ),
        pytest.param(
            csv(frame(time=TIMES.strftime("%d.%m.%Y %H:%M"))),
            "'01.03.2021 00:00' can be read in two ways, 2021-03-01 with the day first, and "
            "2021-01-03 with the month first",
            "dates: day_first",
            "2021-03-01",
            id="day or month, the day",
        ),
        pytest.param(
            csv(frame(time=TIMES.strftime("%d.%m.%Y %H:%M"))[:24]),
            "'01.03.2021 00:00' can be read in two ways, 2021-03-01 with the day first, and "
            "2021-01-03 with the month first",
            "dates: month_first",
            "2021-01-03",
            id="day or month, the month",
        ),
        pytest.param(
            csv(frame(time=TIMES.strftime("%Y%m%d%H"))),
            "'2021030100' can be read in two ways, 2034-01-16 13:15 as seconds since 1970 and "
            "2021-03-01 00:00 as year, month, day and time without anything between",
            "dates: '%Y%m%d%H'",
            "2021-03-01",
            id="digits of hours",
        ),
        pytest.param(
            csv(frame(time=TIMES.strftime("%Y%m%d%H%M"))),
            "'202103010000' can be read in two ways, 1976-05-28 03:43 as milliseconds since 1970",
            "dates: '%Y%m%d%H%M'",
            "2021-03-01",
            id="digits of minutes",
        ),
        pytest.param(
            csv(APART.assign(tod=TIMES.strftime("%I:%M %p"))),
            "the time of day is in another column, tod",
            "time: [time, tod]",
            "2021-03-01",
            id="time of day apart",
        ),
        pytest.param(
            csv(APART.assign(hhmm=TIMES.strftime("%H%M").astype(int))),
            "the time of day is in another column, hhmm",
            "time: [time, hhmm]",
            "2021-03-01",
            id="hours and minutes apart",
        ),
        pytest.param(
            csv(APART.assign(hour=TIMES.hour + 1)),
            "the time of day is in another column, hour",
            "time: [time, hour]",
            "2021-03-01 01:00",
            id="hours 1 to 24",
        ),
        pytest.param(
            csv(pd.concat([frame(), frame()[:31]])),
            "its rows that come late are there twice: in the data block, duplicates: first, last",
            "duplicates: first",
            "2021-03-01",
            id="rows again",
        ),
    ],
)
def test_the_message_names_the_key(raw: bytes, sentence: str, key: str, first: str) -> None:
    message = refused(raw)
    assert sentence in message
    assert key in message
    table = read(raw, **yaml.safe_load(key))
    assert table.frame.index[0] == pd.Timestamp(first)
    loads = table.frame["load"].to_list()
    assert loads == list(range(len(loads)))
    assert len(loads) in (24, 60)
    assert table.step == Step(3600)


SITES = pd.concat([frame(site=site) for site in ("north", "south", "o'hara")])
IN_TURNS = SITES.sort_values(["time", "site"])
TWO_KEYS = pd.concat(
    [
        frame(site=site, product=product)
        for site in ("north", "south")
        for product in ("tea", "rice", "salt")
    ]
).sort_values("time", kind="stable")
STORES = pd.concat([frame(store=at) for at in range(24)]).sort_values(["time", "store"])


@pytest.mark.parametrize(
    ("raw", "sentence", "key"),
    [
        (csv(SITES), "3 series, one for each site (north, south, o'hara)", "series: site"),
        (csv(IN_TURNS), "3 series, one for each site", "series: site"),
        (csv(TWO_KEYS), "6 series, one for each site and product (", "series: [site, product]"),
        (csv(STORES), "24 series, one for each store (0, 1, 2, 3, ...)", "series: store"),
        (csv(IN_TURNS, sep=";"), "3 series, one for each site", "series: site"),
        (parquet(STORES), "24 series, one for each store", "series: store"),
        (csv(SITES).decode().encode("utf-16"), "3 series, one for each site", "series: site"),
    ],
)
def test_several_series_are_called_so(raw: bytes, sentence: str, key: str) -> None:
    """And the key in the message reads them."""
    message = refused(raw)
    assert sentence in message
    assert message.endswith(f": in the data block, {key}")
    table = read(raw, **yaml.safe_load(key))
    assert len(table.index) == int(sentence.split()[0])
    for _, rows in table.index:
        assert table.frame["load"].iloc[rows].to_list() == list(range(60))


def test_another_column_tells_series_apart() -> None:
    message = refused(csv(TWO_KEYS), series="site")
    assert message.startswith("t.csv:3 (north): the clock stands still from")
    assert "3 series, one for each product (tea, rice, salt): in the data block" in message
    assert message.endswith("series: [site, product]")


def test_files_of_the_same_times_are_series() -> None:
    files = {f"{name}.csv": csv(frame()) for name in ("b", "a")}
    asked: dict[str, Any] = {"target": "load", "features": ("load", "sky"), "horizon": 1}
    with pytest.raises(TableError, match=r"its files seem to be 2 series.*block, series: file$"):
        parse_table(files, Reading(time="time"), **asked)
    table = parse_table(files, Reading(time="time", series="file"), **asked)
    assert table.index == SeriesIndex(("a", "b"), (0, 60, 120))


def test_series_with_gaps_are_called_series() -> None:
    message = refused(csv(SITES.sample(frac=0.8, random_state=1)))
    assert "3 series, one for each site" in message


def test_a_clock_in_parts_is_filled(home: Path) -> None:
    time = ["year", "month", "day", "hour"]
    parts = frame().assign(**{name: getattr(TIMES, name) for name in time}).drop(columns="time")
    raw = csv(pd.concat([parts[:20], parts[23:]]))
    message = refused(raw, time=time)
    assert message == (
        "t.csv:22: the clock jumps from 2021-03-01 19:00:00 (line 21) to 2021-03-01 23:00:00, but "
        "rows must be 1 h apart (rows that break this: 1); in the data block, gaps: fill makes the "
        "3 steps without a row rows without values"
    )
    table = read(raw, time=time, gaps="fill")
    assert len(table.frame) == 60
    assert list(np.flatnonzero(table.frame["load"].isna())) == [20, 21, 22]


@pytest.mark.parametrize(
    ("times", "step", "second"),
    [
        (pd.bdate_range("2021-03-05", periods=60), Step(1, "business day"), "2021-03-08"),
        (pd.date_range("2021-03-31", periods=60, freq="ME"), Step(1, "month end"), "2021-04-30"),
        (pd.date_range("2021-03-01", periods=60, freq="MS").strftime("%Y-%m"), None, "2021-04-01"),
        (pd.date_range("2021-01-01", periods=60, freq="QS"), Step(3, "month"), "2021-04-01"),
        (pd.date_range("1961-01-01", periods=60, freq="YS").year, Step(12, "month"), "1962-01-01"),
    ],
)
def test_calendars_are_steps(times: pd.Index, step: Step | None, second: str) -> None:
    table = read(csv(frame(time=times)))
    assert table.step == (step or Step(1, "month"))
    assert table.frame.index[1] == pd.Timestamp(second)
    assert table.frame["load"].to_list() == list(range(60))


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        pytest.param(
            csv(frame(time=TIMES + pd.to_timedelta(np.arange(60) % 7, unit="s"))),
            "t.csv:9: the clock jumps from 2021-03-01 06:00:06 (line 8) to 2021-03-01 07:00:00, "
            "but rows must be 3601 s apart, as most are (rows that break this: 8); correct the "
            "times, or gather the rows in steps of one length first",
            id="seconds that drift",
        ),
        pytest.param(
            csv(frame(time="2021-03-01 00:00")),
            "t.csv:3: the clock stands still from 2021-03-01 00:00:00 (line 2) to "
            "2021-03-01 00:00:00",
            id="one time",
        ),
        pytest.param(
            csv(pd.concat([frame()[30:], frame()[:30]])),
            "t.csv: its rows are out of order; sort them by time",
            id="out of order",
        ),
        pytest.param(
            zipped("[Content_Types].xml"),
            "t.csv: must be a CSV or Parquet file, but is a workbook; save its sheet as CSV, in "
            "UTF-8, from the program",
            id="a workbook",
        ),
        pytest.param(
            zipped(*"abcdefg"),
            "t.csv: an archive must hold one file, but holds 7 (a, b, c, d, e, ...); unpack it, "
            "and name one, or a pattern such as 'FOLDER/*.csv'",
            id="many files",
        ),
        pytest.param(
            gzip.compress(csv(frame()))[:-20], "t.csv: can't be unpacked: ", id="half a gzip"
        ),
        pytest.param(
            gzip.compress(csv(frame()))[:20] + b"\xff" * 90,
            "t.csv: can't be unpacked: ",
            id="a spoilt gzip",
        ),
        pytest.param(
            zipped("t.csv", content=csv(frame()))[50:],
            ": must be UTF-8 text, but isn't; it is no text: save the table as CSV",
            id="half a zip",
        ),
        pytest.param(
            parquet(frame())[:-20], "t.csv: can't be read as Parquet: ", id="half a Parquet"
        ),
        pytest.param(
            b"\x00\x01\x02\xff",
            "t.csv:1: must be UTF-8 text, but isn't; it is no text: save the table as CSV, in "
            "UTF-8",
            id="no text",
        ),
        pytest.param(
            parquet(frame(load=[[1.0]] * 60)),
            "t.csv: load must have one value in each row, but has list<",
            id="lists in cells",
        ),
        pytest.param(
            parquet(frame(sky=[b"\xff"] * 60)),
            "t.csv: sky must have one value in each row, but has binary",
            id="bytes in cells",
        ),
        pytest.param(
            parquet(frame().assign(time=TIMES.where(TIMES[0] < TIMES))),
            "t.csv, row 1: time must be a time, but is empty",
            id="Parquet without a time",
        ),
        pytest.param(
            csv(frame().rename(columns={"load": "load, kWh"}), sep=";"),
            "t.csv: no column 'load'; did you mean 'load, kWh'?",
            id="a comma in a name",
        ),
    ],
)
def test_what_is_refused_is_called_what_it_is(raw: bytes, sentence: str) -> None:
    message = refused(raw)
    assert sentence in message
    assert "in Python" not in message
    assert all(line.startswith("t.csv") for line in message.splitlines())


def test_mondays_with_a_gap_are_no_business_days() -> None:
    weeks = pd.date_range("2021-03-01", periods=61, freq="7D").delete(30)
    raw = csv(frame(time=weeks))
    assert "gaps: fill makes the 1 step without a row" in refused(raw)
    assert read(raw, gaps="fill").step == Step(7 * 86400)


def test_one_time_is_no_clock() -> None:
    message = refused(csv(frame(time="2021-03-01 00:00")), duplicates="mean")
    assert message == "t.csv:2: the clock must go on, but all rows have 2021-03-01 00:00:00"


def test_indistinct_duplicates_are_not_dropped() -> None:
    twice = csv(pd.concat([frame(), frame(load=np.arange(60.0) + 0.5)]).sort_values("time"))
    message = refused(twice)
    assert "each time must have one row (rows that break this: 60)" in message
    assert "duplicates: first, last or mean" in message
    means = read(twice, duplicates="mean").frame["load"]
    assert means.to_list() == [at + 0.25 for at in range(60)]


def test_one_wrong_year_fills_no_million_rows() -> None:
    times = TIMES.to_series().reset_index(drop=True)
    times[59] = times[59].replace(year=2201)
    for gaps in ("refuse", "fill"):
        message = refused(csv(frame(time=times)), gaps=gaps)
        assert message == (
            "t.csv:61: the clock jumps from 2021-03-03 10:00:00 (line 60) to 2201-03-03 11:00:00, "
            "but rows must be 1 h apart, and 1,577,832 steps of its 1,577,892 have no row; correct "
            "the times, or gather the rows in longer steps first"
        )


@pytest.mark.parametrize("day", ["2021-02-07 00:00", "2021-03-28 12:00"])
def test_missing_hour_elsewhere_is_no_clock_change(day: str) -> None:
    times = pd.date_range(day, periods=61, freq="h").delete(5)
    message = refused(csv(frame(time=times)))
    assert "gaps: fill makes the 1 step without a row" in message
    assert "zone" not in message


def test_the_form_of_most_times_is_named() -> None:
    """A sum below a table of days that have the day first."""
    times = [*LATER.strftime("%d.%m.%Y %H:%M"), ""]
    raw = csv(pd.concat([frame(), frame()[-1:]]).assign(time=times))
    message = refused(raw)
    assert "t.csv:2: time = '13.03.2021 00:00'" in message
    assert "dates: day_first" in message
    assert "t.csv:62: time = ''" in refused(raw, dates="day_first")


def test_dates_of_neither_order_are_at_a_line() -> None:
    message = refused(csv(frame(time=["13/01/2021", "01/13/2021"] * 30)))
    assert message.startswith("t.csv:2: time = '13/01/2021': must be a time such as 2013-01-31")
