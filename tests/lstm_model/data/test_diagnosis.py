"""What a refused table is, and the Python in the message: it is run, and makes one that reads.

Tables as people have them are in tests/test_field_tables.py; here are more kinds, made by hand.
"""

import gzip
import io
import re
import textwrap
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lstm_model.configuration import Reading
from lstm_model.data.csv_table import parse_csv
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


def zipped(content: bytes, name: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


def read(raw: bytes, file: str, time: str | list[str] = "time") -> pd.DataFrame:
    reading = Reading.model_validate({"time": time})
    features = ("load", "sky")
    return parse_csv(raw, file, reading, target="load", features=features, horizon=1).frame


def refused(raw: bytes, file: str, time: str | list[str] = "time") -> str:
    with pytest.raises(TableError) as caught:
        read(raw, file, time)
    return str(caught.value)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


EAST = "+05:30"
DAY_FIRST = TIMES.strftime("%d.%m.%Y %H:%M")
LATER = TIMES + pd.Timedelta(days=20)
MONTH_FIRST = LATER.strftime("%m/%d/%Y %H:%M:%S")
SEVERAL = pd.concat([frame(site=site) for site in ("north", "south", "o'hara")])
IN_TURNS = SEVERAL.sort_values(["time", "site"])
TWO_KEYS = pd.concat(
    [
        frame(site=site, product=product)
        for site in ("north", "south")
        for product in ("tea", "rice", "salt")
    ]
).sort_values("time", kind="stable")
DAYS = pd.date_range("2021-03-01", periods=60)
STORES = pd.concat([frame(time=DAYS, store=at) for at in range(24)]).sort_values(["time", "store"])
APART = frame(time=TIMES.strftime("%Y-%m-%d"))
MONTH_FIRST_NOON = [f"{t.month}/{t.day}/{t.year} {t:%I:%M:%S %p}" for t in LATER]
NO_MIDNIGHT = [
    f"{t:%d.%m.%Y}" if t.hour == 0 else f"{t:%d.%m.%Y %H:%M}" for t in TIMES + pd.Timedelta(days=12)
]
PARTS = (
    frame()
    .assign(**{name: getattr(TIMES, name) for name in ("year", "month", "day", "hour")})
    .drop(columns="time")
)


@pytest.mark.parametrize(
    ("file", "raw", "sentence", "first"),
    [
        ("a b.parquet", parquet(frame()), "it is a Parquet file", "2021-03-01"),
        (
            "indexed.parquet",
            parquet(frame().set_index("time")),
            "it is a Parquet file",
            "2021-03-01",
        ),
        ("t.csv.gz", gzip.compress(csv(frame())), "it is packed with gzip", "2021-03-01"),
        ("t.zip", zipped(csv(frame()), "t.csv"), "it is a zip archive", "2021-03-01"),
        (
            "wide.csv",
            csv(frame()).decode().encode("utf-16"),
            "it is UTF-16 text",
            "2021-03-01",
        ),
        (
            "windows.csv",
            csv(frame(sky="wölkig"), sep=";").decode().encode("cp1252"),
            "it may be of Windows",
            "2021-03-01",
        ),
        ("tabs.tsv", csv(frame(), sep="\t"), r"its values have '\t' between", "2021-03-01"),
        ("pipes.txt", csv(frame(), sep="|"), "its values have '|' between", "2021-03-01"),
        ("zulu.csv", csv(frame(time=TIMES.strftime("%Y-%m-%dT%H:%MZ"))), "a zone", "2021-03-01"),
        (
            "india.csv",
            csv(frame(time=TIMES.strftime(f"%Y-%m-%d %H:%M:%S{EAST}"))),
            "time has times of a zone",
            "2021-02-28 18:30",
        ),
        (
            "epoch.csv",
            csv(frame(time=TIMES.astype("datetime64[s]").astype(np.int64))),
            "time seems to count the s since 1970",
            "2021-03-01",
        ),
        (
            "javascript.csv",
            csv(frame(time=TIMES.astype("datetime64[ms]").astype(np.int64))),
            "time seems to count the ms since 1970",
            "2021-03-01",
        ),
        (
            "european.csv",
            csv(frame(time=(TIMES + pd.Timedelta(days=12)).strftime("%d.%m.%Y %H:%M"))),
            "time has the day first",
            "2021-03-13",
        ),
        ("american.csv", csv(frame(time=MONTH_FIRST)), "time has the month first", "2021-03-21"),
        ("o'hara.csv", csv(SEVERAL), "3 series, one for each site", "2021-03-01"),
        ("turns.csv", csv(IN_TURNS), "3 series, one for each site", "2021-03-01"),
        ("newest.csv", csv(frame()[::-1]), "rows that are out of order", "2021-03-01"),
        ("drops.csv", csv(SEVERAL.sample(frac=0.8, random_state=1)), "3 series, one for", None),
        ("two.csv", csv(TWO_KEYS), "6 series, one for each site and product (", "2021-03-01"),
        ("stores.csv", csv(STORES), "24 series, one for each store", "2021-03-01"),
        ("dwd.csv", csv(frame(time=TIMES.strftime("%Y%m%d%H"))), "without anything", "2021-03-01"),
        (
            "minutes.csv",
            csv(frame(time=TIMES.strftime("%Y%m%d%H%M"))),
            "time has times without anything between their parts",
            "2021-03-01",
        ),
        ("clock.csv", csv(APART.assign(tod=TIMES.strftime("%I:%M %p"))), "time and tod", None),
        ("hhmm.csv", csv(APART.assign(hhmm=TIMES.strftime("%H%M"))), "time and hhmm", "2021-03-01"),
        ("ending.csv", csv(APART.assign(hour=TIMES.hour + 1)), "time and hour", "2021-03-01 01:00"),
        (
            "noon.csv",
            csv(frame(time=MONTH_FIRST_NOON)),
            "time has the month first",
            "2021-03-21",
        ),
        (
            "midnight.csv",
            csv(frame(time=NO_MIDNIGHT)),
            "time has the day first",
            "2021-03-13",
        ),
        (
            "little.csv",
            csv(frame()).decode().encode("utf-16-le"),
            "it is UTF-16 text",
            "2021-03-01",
        ),
        (
            "mixed.csv",
            csv(pd.concat([frame()[30:], frame()[:31]])),
            "1 row with the time of another, of which the last stays, and rows that are out of",
            "2021-03-01",
        ),
    ],
)
def test_advised_python_makes_a_readable_table(
    home: Path, file: str, raw: bytes, sentence: str, first: str | None
) -> None:
    Path(file).write_bytes(raw)
    message = refused(raw, file)
    assert sentence in message
    code = textwrap.dedent("\n".join(re.findall(r"^    .*$", message, re.MULTILINE)))
    exec(compile(code, file, "exec"), {})
    (written,) = home.glob("*-read.csv")
    if first is None:  # what it takes next, another message says
        return
    table = read(written.read_bytes(), written.name)
    assert len(table) == 60
    assert table.index[0] == pd.Timestamp(first)
    assert sorted(table["load"]) == list(range(60))


def test_a_clock_in_parts_is_written_back_in_parts(home: Path) -> None:
    time = ["year", "month", "day", "hour"]
    raw = csv(pd.concat([PARTS[:20], PARTS[23:]]))
    Path("parts.csv").write_bytes(raw)
    message = refused(raw, "parts.csv", time)
    assert "it has 3 steps without a row" in message
    code = textwrap.dedent("\n".join(re.findall(r"^    .*$", message, re.MULTILINE)))
    exec(compile(code, "parts.csv", "exec"), {})
    table = read(Path("parts-read.csv").read_bytes(), "parts-read.csv", time)
    assert len(table) == 60
    assert table["load"].isna().sum() == 3


def other(change: Callable[[pd.DataFrame], pd.DataFrame]) -> bytes:
    return csv(change(frame()))


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (
            csv(frame(time=DAY_FIRST)),
            "of '01.03.2021 00:00' in time nobody knows which is the month, as none of its rows",
        ),
        (csv(frame(time=TIMES.strftime("%Y-%m"))), "time has months, which are not of one length"),
        (
            csv(frame(time=pd.bdate_range("2021-03-01", periods=60))),
            "its rows are business days, without Saturdays and Sundays",
        ),
        (
            csv(frame(time=pd.date_range("2021-03-31", periods=60, freq="ME"))),
            "its rows are months, quarters or years, which are not of one length",
        ),
        (
            csv(frame(time=TIMES + pd.to_timedelta(np.arange(60) % 7, unit="s"))),
            "its times are irregular, or some are wrong: the longest jump is from",
        ),
        (csv(frame(time="2021-03-01 00:00")), "all of its rows have one time"),
        (zipped(b"", "[Content_Types].xml"), "it is a workbook: save the sheet as CSV, in UTF-8"),
        (b"\x00\x01\x02\xff", "it is no text: save the table as CSV, in UTF-8"),
    ],
)
def test_what_has_no_way_is_called_what_it_is(raw: bytes, sentence: str) -> None:
    message = refused(raw, "t.csv")
    assert sentence in message
    assert "in Python" not in message


def test_mondays_with_a_gap_are_no_business_days() -> None:
    weeks = pd.date_range("2021-03-01", periods=61, freq="7D").delete(30)
    assert "1 step without a row" in refused(csv(frame(time=weeks)), "t.csv")


def test_standard_input_gets_no_python() -> None:
    message = refused(csv(frame()[::-1]), "standard input")
    assert message.endswith("standard input: it has rows that are out of order")


def test_indistinct_duplicates_are_not_dropped() -> None:
    twice = pd.concat([frame(), frame(load=np.arange(60.0) + 0.5)]).sort_values("time")
    message = refused(csv(twice), "t.csv")
    assert "60 of its 120 rows have the time of another, and no column tells them apart" in message
    assert "in Python" not in message


def test_one_wrong_year_fills_no_million_rows() -> None:
    times = TIMES.to_series().reset_index(drop=True)
    times[50] = times[50].replace(year=2201)
    message = refused(csv(frame(time=times)), "t.csv")
    assert "the longest jump is from 2021-03-03 11:00:00 to 2201-03-03 02:00:00" in message
    assert "in Python" not in message


def test_missing_hour_elsewhere_is_no_clock_change() -> None:
    for day in ("2021-02-07 00:00", "2021-03-28 12:00"):
        times = pd.date_range(day, periods=61, freq="h").delete(5)
        assert "1 step without a row" in refused(csv(frame(time=times)), "t.csv")


def test_what_r_writes_for_europe_has_its_way(home: Path) -> None:
    """write.csv2 puts names in quotes, and semicolons between them."""
    raw = csv(frame(), sep=";", quoting=1)
    Path("r.csv").write_bytes(raw)
    message = refused(raw, "r.csv")
    assert "its values have ';' between them" in message
    named = csv(frame().rename(columns={"load": "load, kWh"}), sep=";")
    assert "its values have ';' between them" in refused(named, "r.csv")


def test_first_wrong_time_is_named() -> None:
    """A sum below a table of days that have the day first."""
    times = [*(TIMES + pd.Timedelta(days=12)).strftime("%d.%m.%Y %H:%M"), ""]
    table = pd.concat([frame(), frame()[-1:]]).assign(time=times)
    assert "time has the day first" in refused(csv(table), "t.csv")
