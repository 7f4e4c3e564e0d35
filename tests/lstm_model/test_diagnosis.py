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
from lstm_model.errors import TableError
from lstm_model.parsing import parse_csv

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
        (
            "mixed.csv",
            csv(pd.concat([frame()[30:], frame()[:31]])),
            "1 row with the time of another, of which the last stays, and rows that are out of",
            "2021-03-01",
        ),
    ],
)
def test_the_python_of_a_message_makes_a_table_that_reads(
    home: Path, file: str, raw: bytes, sentence: str, first: str
) -> None:
    Path(file).write_bytes(raw)
    message = refused(raw, file)
    assert sentence in message
    code = textwrap.dedent("\n".join(re.findall(r"^    .*$", message, re.MULTILINE)))
    exec(compile(code, file, "exec"), {})
    (written,) = home.glob("*-read.csv")
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
            "its times are irregular: gather them in steps of one length first",
        ),
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


def test_a_table_from_standard_input_has_no_file_to_read_again() -> None:
    message = refused(csv(frame()[::-1]), "standard input")
    assert message.endswith("standard input: it has rows that are out of order")
