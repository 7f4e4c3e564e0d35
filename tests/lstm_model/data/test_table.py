"""A table: what is read, and what is refused in which words."""

import hashlib
import io
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from lstm_model.data import columns as cells
from lstm_model.data.sources import Dataset, load_dataset
from lstm_model.data.step import Step
from lstm_model.errors import TableError
from tests.lstm_model.data.day_table import DAYS, days, settings

# Tables that are read


def test_table(load: Callable[..., Dataset]) -> None:
    table = load(days(), features=["wind", "pm"])
    nan = np.nan
    expected = pd.DataFrame(
        {
            "wind": pd.Series(["NW", "NW", "SE", nan, "SE", "cv", *["NW"] * 4], dtype="str"),
            "pm": [10, 12, nan, 13.5, 11, 9, 8, 7, 6, 5],
        }
    ).set_axis(pd.date_range("2013-01-01", periods=10, unit="us", name="time"))
    pd.testing.assert_frame_equal(table.frame, expected, check_freq=False)
    assert table.step == Step(86400)
    assert (table.source, table.simulated, table.warning) == ("days.csv", False, None)
    assert table.sha256 == hashlib.sha256(days().encode()).hexdigest()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"\xef\xbb\xbf" + days().encode(), id="byte order mark"),
        pytest.param(days().encode("utf-16"), id="UTF-16"),
        pytest.param(days().replace(",", ";"), id="semicolons"),
        pytest.param(days().replace(",", "\t"), id="tabs"),
        pytest.param(days().replace("\n", "\r\n"), id="CRLF"),
        pytest.param(days().replace("\n", "\r"), id="CR"),
        pytest.param(days().removesuffix("\n"), id="no last line end"),
        pytest.param(days().replace(",", " , "), id="spaces"),
        pytest.param("\n" + days().replace("\n", "\n\n"), id="blank lines"),
        pytest.param("\r\n" + days().replace("\n", "\r\n\r\n"), id="blank lines with CRLF"),
        pytest.param(re.sub(r"([^,\n]+)", r'"\1"', days()), id="quotes"),
        pytest.param(re.sub(r"([^,\n]+)", r' "\1"', days()), id="spaces before quotes"),
        pytest.param(days().replace("-01-0", "/1/"), id="slashes, no leading zeros"),
        pytest.param(re.sub(r"(-\d\d),", r"\1 00:00:00.000,", days()), id="times of day"),
        pytest.param(re.sub(r"(-\d\d),", r"\1T00:00,", days()), id="ISO 8601's T"),
        pytest.param(days().replace("\n", ",x\n"), id="a column that nobody wants"),
        pytest.param(days().replace("\n", ',"x, ""y"\n'), id="quotes within a text"),
    ],
)
def test_spellings_of_the_same_table(load: Callable[..., Dataset], content: str | bytes) -> None:
    expected = load(days()).frame
    pd.testing.assert_frame_equal(load(content).frame, expected)


WEEKS = ["01-01", "01-08", "01-15", "01-22", "01-29", "02-05", "02-12", "02-19", "02-26", "03-05"]


@pytest.mark.parametrize(
    ("header", "rows", "time", "step"),
    [
        ("year,month,day,hour", [f"2013,1,1,{i}" for i in range(10)], None, "1h"),
        ("Year,Month,Day", [f"2013,01,{i + 1:02}" for i in range(10)], "Year Month Day", "1D"),
        (
            "year,month,day,hour,minute,second",
            [f"2013,1,1,0,{i // 2},{i % 2 * 30}" for i in range(10)],
            "year month day hour minute second",
            "30s",
        ),
        ("at", [f"2013-01-01 00:00:{i:02}" for i in range(10)], "at", "1s"),
        ("at", [f"2013-01-01 0:{5 * i:02}" for i in range(10)], "at", "5min"),
        ("at", [f"2013-{day}" for day in WEEKS], "at", "7D"),
        # The 24th hour of a day is the next midnight.
        (
            "year,month,day,hour",
            ["2013,1,1,0", *(f"2013,1,{1 + i // 2},{24 if i % 2 else 12}" for i in range(9))],
            None,
            "12h",
        ),
    ],
)
def test_clocks(
    load: Callable[..., Dataset], header: str, rows: list[str], time: str | None, step: str
) -> None:
    start, step_ = pd.Timestamp("2013-01-01"), pd.Timedelta(step)
    table = load(
        "\n".join([f"{header},pm", *(f"{row},{i}" for i, row in enumerate(rows))]),
        time=time.split() if time else None,
        features=["pm"],
        validation_from=(start + 5 * step_).isoformat(),
        test_from="2020-01-01",
    )
    assert table.step == Step.of(step_)
    assert list(table.frame.index) == [start + i * step_ for i in range(10)]


def test_a_row_that_spans_lines_is_named_by_its_first(load: Callable[..., Dataset]) -> None:
    text = days(line_3='2013-01-02,12,"N\nW"', line_5="2013-01-04,none,SE")
    message = "days.csv:6: pm must be numeric, as the target, but got 'none'" + stands_for("none")
    with pytest.raises(TableError, match=f"^{re.escape(message)}$"):
        load(text)


@pytest.mark.parametrize("word", sorted(cells.MISSING))
def test_missing_values_are_those_of_pandas(load: Callable[..., Dataset], word: str) -> None:
    assert pd.read_csv(io.StringIO(f"a,b\n{word},1\n"))["a"].isna().all()
    frame = load(days(line_3=f"2013-01-02,{word},{word}")).frame
    assert frame.iloc[1].isna().all()
    assert frame.iloc[0].notna().all()


def test_a_descending_clock_is_read_backwards(load: Callable[..., Dataset]) -> None:
    table = load("\n".join([DAYS[0], *DAYS[:0:-1]]))
    pd.testing.assert_frame_equal(table.frame, load(days()).frame)
    assert [str(each) for each in table.repairs] == [
        "10 rows, the last of which comes first: read backwards"
    ]


def test_months_are_a_step(load: Callable[..., Dataset]) -> None:
    months = [f"20{i // 12 + 12}-{i % 12 + 1:02}-01,{i}" for i in range(24)]
    splits = {"validation_from": "2013-01-01", "test_from": "2013-07-01"}
    table = load("\n".join(["date,pm", *months]), features=["pm"], **splits)
    assert table.step == Step(1, "month")
    assert [(time.year, time.month) for time in table.frame.index] == [
        (2012 + i // 12, i % 12 + 1) for i in range(24)
    ]


@pytest.mark.parametrize(("counts", "pm"), [("first", 12.0), ("last", 14.0), ("mean", 13.0)])
def test_rows_that_are_twice_or_missing(
    load: Callable[..., Dataset], counts: str, pm: float
) -> None:
    """The second of January is there twice, the fourth not at all; the later one comes late."""
    lines = [line for line in DAYS if not line.startswith("2013-01-04")]
    lines.insert(4, "2013-01-02,14,NW")
    table = load("\n".join(lines), duplicates=counts, gaps="fill")
    expected = load(days(line_3=f"2013-01-02,{pm},NW", line_5="2013-01-04,,")).frame
    pd.testing.assert_frame_equal(table.frame, expected)
    kept = "the mean" if counts == "mean" else f"the {counts}"
    assert [str(each) for each in table.repairs] == [
        f"1 row with the time of another, the first 2013-01-02 00:00:00: {kept} counts",
        "1 step without a row became rows without values, the first 2013-01-04 00:00:00",
    ]


def test_numbers_are_read_exactly(load: Callable[..., Dataset]) -> None:
    text = days(line_3="2013-01-02,0.1,NW", line_4="2013-01-03,-9.999999999999999e29,NW")
    values = load(text).frame["pm"]
    assert values.iloc[1] == 0.1
    assert values.iloc[2] == -9.999999999999999e29


def test_text_column_has_up_to_50_categories(load: Callable[..., Dataset]) -> None:
    def many(kinds: int) -> str:
        rows = (f"2013-01-01 00:{i:02},{i},k{i % kinds}" for i in range(60))
        return "\n".join(["date,pm,kind", *rows])

    changes = {"features": ["pm", "kind"], "validation_from": "2013-01-01T00:30"}
    assert load(many(50), **changes, test_from="2014-01-01").frame["kind"].nunique() == 50
    message = (
        "days.csv: kind must have numbers, or at most 50 different texts, but has 51, the first of "
        "them 'k0'"
    )
    with pytest.raises(TableError, match=f"^{message}$"):
        load(many(51), **changes, test_from="2014-01-01")


# Tables that are refused

COLUMNS = "days.csv: the columns are 'date', 'pm', 'wind'"
SPLITS = (
    "days.csv: training and validation must each have {needed} rows with pm, horizon + 2, but "
    "training, before validation_from ({validation} 00:00:00), has {training}, and validation, "
    "from then to before test_from ({test} 00:00:00), has {scored}; the table has 10 rows, from "
    "2013-01-01 00:00:00 to 2013-01-10 00:00:00"
)
TIME = "must be a time such as 2013-01-31 13:00, year first"
FORMS = "; for other forms the data block has dates: a format as strptime has it"
NAMES = (
    "time must name one column, or one with the date and one with the time of day, or year, month, "
    "day and then any of hour, minute, second, in this order, but got "
)
TWICE = "; in the data block, duplicates: first, last or mean says which of them counts"
GAPS = "; in the data block, gaps: fill makes the {steps} without a row rows without values"


def stands_for(cell: str, column: str = "pm") -> str:
    codes = f"; if these are codes, types: {{{column}: category}}" if column != "pm" else ""
    missing = f"missing: {{{column}: [{cell}]}}"
    return f"; if it stands for missing, say so in the data block: {missing}{codes}"


PLAIN = "; write it as a plain number, without a unit or another sign, or leave it empty"


BAD = {
    "empty": ("", {}, "days.csv: must have a header and rows, but is empty"),
    "blank": ("\n\n", {}, "days.csv: must have a header and rows, but is empty"),
    "only a header": (
        "date,pm,wind\n",
        {},
        "days.csv: must have 2 rows or more, but has 0 below its header",
    ),
    "one row": (
        "date,pm,wind\n2013-01-01,1,NW\n",
        {},
        "days.csv: must have 2 rows or more, but has 1 below its header",
    ),
    "UTF-16 without a mark": (
        days().encode("utf-16-le"),
        {},
        "days.csv:1: must be UTF-8 text, but isn't; it seems to be UTF-16: in the data block, "
        "encoding: utf-16-le",
    ),
    "Latin-1": (
        days(line_4="2013-01-03,1,Föhn").encode("latin-1"),
        {},
        "days.csv:4: must be UTF-8 text, but isn't; '2013-01-03,1,Föhn' may be of Windows: in the "
        "data block, encoding: cp1252, or latin-1, or what else it is",
    ),
    "short row": (
        days(line_5="2013-01-04,13"),
        {},
        "days.csv:5: must have 3 values, one a column, but has 2",
    ),
    "long row": (
        days(line_2="2013-01-01,10,NW,"),
        {},
        "days.csv:2: must have 3 values, one a column, but has 4",
    ),
    "open quote": (
        days(line_5='2013-01-04,13,"NW'),
        {},
        "days.csv:5: must be values with ',' between them: unexpected end of data",
    ),
    "two open quotes": (
        days(line_5='2013-01-04,13,"NW', line_7='2013-01-06,9,"cv'),
        {},
        "days.csv:5: must be values with ',' between them: ',' expected after '\"'",
    ),
    "text behind a closing quote": (
        days(line_5='2013-01-04,13,"N"W'),
        {},
        "days.csv:5: must be values with ',' between them: ',' expected after '\"'",
    ),
    "two columns of one name": (
        "date,pm,pm,wind\n2013-01-01,1,1,NW\n",
        {},
        "days.csv: two columns have the name 'pm'\n"
        "days.csv: the columns are 'date', 'pm', 'pm', 'wind'",
    ),
    "no such columns": (
        days(),
        {"time": "Date", "target": "pm25", "features": ["pm25", "WIND", "dew_point"]},
        "days.csv: no column 'Date'; did you mean 'date'?\n"
        "days.csv: no column 'pm25'; did you mean 'pm'?\n"
        "days.csv: no column 'WIND'; did you mean 'wind'?\n"
        f"days.csv: no column 'dew_point'\n{COLUMNS}",
    ),
    "a line end within a name": (
        days(line_1='date,"p\nm",wind'),
        {},
        "days.csv: no column 'pm'; did you mean 'p\\nm'?\n"
        r"days.csv: the columns are 'date', 'p\nm', 'wind'",
    ),
    "no clock": (
        days(),
        {"time": None},
        "".join(f"days.csv: no column {part!r}\n" for part in ("year", "month", "day", "hour"))
        + COLUMNS
        + "\ndays.csv: the clock must be the columns that `time` names, or year, month, day, hour",
    ),
    "parts of the clock in another order": (
        days(),
        {"time": ["day", "month", "year"]},
        f"{NAMES}[day, month, year]",
    ),
    "too many parts of the clock": (
        days(),
        {"time": ["year", "month", "day", "week"]},
        f"{NAMES}[year, month, day, week]",
    ),
    "day or month first": (
        days(line_3="01/02/2013,12,NW"),
        {},
        f"days.csv:3: date = '01/02/2013': {TIME}{FORMS}",
    ),
    "an offset in one row alone": (
        days(line_2="2013-01-01T00:00Z,10,NW"),
        {},
        "days.csv:3: date = '2013-01-02': must have an offset from UTC, as other rows have, such "
        "as +01:00 or Z",
    ),
    "missing time": (days(line_4=",1,NW"), {}, f"days.csv:4: date = '': {TIME}{FORMS}"),
    "month 13": (
        days(line_4="2013-13-01,1,NW"),
        {},
        "days.csv:4: date = '2013-13-01': the month must be from 1 to 12",
    ),
    "part of a clock that is no number": (
        "year,month,day,pm\n2013,1,1,1\n2013,Feb,2,3\n",
        {"time": ["year", "month", "day"], "features": ["pm"]},
        "days.csv:3: year, month, day = '2013', 'Feb', '2': "
        "must be whole numbers of up to 4 digits",
    ),
    "part of a clock out of range": (
        "year,month,day,hour,pm\n2013,1,1,24,1\n2013,1,2,25,3\n",
        {"time": None, "features": ["pm"]},
        "days.csv:3: year, month, day, hour = '2013', '1', '2', '25': the hour must be from 0 to "
        "23, or 24:00",
    ),
    "endless year": (
        f"year,month,day,pm\n2013,1,1,1\n{'9' * 70},1,2,3\n",
        {"time": ["year", "month", "day"], "features": ["pm"]},
        f"days.csv:3: year, month, day = '{'9' * 60}', '1', '2': "
        "must be whole numbers of up to 4 digits",
    ),
    "repeated time": (
        days(line_5="2013-01-03,1,NW"),
        {},
        "days.csv:5: the clock stands still from 2013-01-03 00:00:00 (line 4) to "
        "2013-01-03 00:00:00, but each time must have one row (rows that break this: 1)" + TWICE,
    ),
    "repeated time and a missing row": (
        days(line_5="2013-01-03,1,NW"),
        {"duplicates": "last"},
        "days.csv:6: the clock jumps from 2013-01-03 00:00:00 (line 5) to 2013-01-05 00:00:00, "
        "but rows must be 1 day apart (rows that break this: 1)" + GAPS.format(steps="1 step"),
    ),
    "clock that runs back": (
        days(line_5="2013-01-01,1,NW"),
        {},
        "days.csv:5: the clock runs back from 2013-01-03 00:00:00 (line 4) to "
        "2013-01-01 00:00:00, but rows must be in the order of time (rows that break this: 1)"
        "\ndays.csv: its rows that come late are there twice: in the data block, duplicates: "
        "first, last or mean says which of them counts",
    ),
    "clock that mostly descends": (
        "\n".join([DAYS[0], *DAYS[:2:-1], *DAYS[1:3]]),
        {},
        "days.csv:3: the clock runs back from 2013-01-10 00:00:00 (line 2) to "
        "2013-01-09 00:00:00, but rows must be in the order of time (rows that break this: 8)\n"
        "days.csv: its rows are out of order; sort them by date",
    ),
    "two missing rows": (
        "\n".join(line for line in DAYS if line[:10] not in ("2013-01-04", "2013-01-07")),
        {},
        "days.csv:5: the clock jumps from 2013-01-03 00:00:00 (line 4) to 2013-01-05 00:00:00, "
        "but rows must be 1 day apart (rows that break this: 2)" + GAPS.format(steps="2 steps"),
    ),
    "no time after the last row": (
        days().replace("2013-01-0", "9999-12-2").replace("2013-01-10", "9999-12-30")
        + "9999-12-31,5,NW\n",
        {},
        "days.csv:12: the clock must end 1 rows or more before the year 10000, as what is forecast "
        "has no time then, but ends at 9999-12-31 00:00:00 with rows 1 day apart; "
        "correct its years, or end the table earlier",
    ),
    "a time after all times": (
        days().replace("2013-01-10", "9999-12-31 24:00"),
        {},
        "days.csv:11: date = '9999-12-31 24:00': the clock must lie before 10000-01-01, as there "
        "are no times from then on",
    ),
    "a time after all times of a zone": (
        days().replace("2013-01-10", "9999-12-31"),
        {"zone": "America/Sao_Paulo"},
        "days.csv:11: date = '9999-12-31': the clock must lie before 9999-12-30, as there are no "
        "times of zones from then on",
    ),
    "a jump over centuries": (
        days().replace("2013-01-10", "2413-01-10"),
        {},
        "days.csv:11: date = '2413-01-10': the clock must go on by less than 292 years; correct "
        "the times",
    ),
    "days that follow no calendar": (
        "\n".join(["date,pm", *(f"2013-01-{day:02},{day}" for day in (1, 3, 4, 8, 9, 13, 20))]),
        {"features": ["pm"]},
        "days.csv:8: the clock jumps from 2013-01-13 00:00:00 (line 7) to 2013-01-20 00:00:00, "
        "but rows must be 1 day apart, and 13 steps of its 20 have no row; correct the times, or "
        "gather the rows in longer steps first",
    ),
    "times on no grid": (
        "\n".join(
            ["date,pm", *(f"2013-01-01 {t},1" for t in ("01:00", "01:10", "01:25", "01:42"))]
        ),
        {"features": ["pm"]},
        "days.csv:4: the clock jumps from 2013-01-01 01:10:00 (line 3) to 2013-01-01 01:25:00, "
        "but rows must be 10 min apart (rows that break this: 2); correct the times, or gather the "
        "rows in steps of one length first",
    ),
    "text among numbers": (
        days(line_3="2013-01-02,12,7", line_2="2013-01-01,10,7"),
        {},
        "days.csv:4: wind must be numeric, as line 2 is ('7'), but got 'SE'"
        + stands_for("SE", "wind"),
    ),
    "long text among numbers": (
        days(line_3=f"2013-01-02,{'x' * 99},NW"),
        {},
        f"days.csv:3: pm must be numeric, as the target, but got '{'x' * 60}'"
        + stands_for("x" * 60),
    ),
    "decimal comma": (
        days(line_3='2013-01-02,"1,5",NW'),  # among 13.5 and the like
        {},
        "days.csv:3: pm must be numeric, as the target, but got '1,5'" + PLAIN,
    ),
    "infinite": (
        days(line_4="2013-01-03,-inf,NW"),
        {},
        "days.csv:4: pm must be finite, but got '-inf'" + stands_for('"-inf"'),
    ),
    "overflow": (
        days(line_4="2013-01-03,1e999,NW"),
        {},
        "days.csv:4: pm must be finite, but got '1e999'" + PLAIN,
    ),
    "beyond what a model can hold": (
        days(line_4="2013-01-03,-2e30,NW"),
        {},
        "days.csv:4: pm must be at most 1e+30 in size, but got '-2e30'" + PLAIN,
    ),
    "categorical target": (
        days(),
        {"target": "wind"},
        "days.csv:2: wind must be numeric, as the target, but got 'NW'"
        + stands_for("NW", "wind").partition("; if these")[0],
    ),
    "feature without a value": (
        re.sub(r",[A-Zcv]*\n", ",NA\n", days().replace("wind", "gust")),
        {"features": ["pm", "gust"]},
        "days.csv: gust must have values, but has none in any row",
    ),
    "several problems": (
        days(line_3="2013-01-02,x,NW", line_4="2013-01-02,1,3"),
        {},
        "days.csv:4: the clock stands still from 2013-01-02 00:00:00 (line 3) to "
        "2013-01-02 00:00:00, but each time must have one row (rows that break this: 1)"
        + TWICE
        + f"\ndays.csv:3: pm must be numeric, as the target, but got 'x'{stands_for('x')}\n"
        "days.csv:2: wind must be numeric, as line 4 is ('3'), but got 'NW'"
        + stands_for("NW", "wind"),
    ),
    "target that is constant before the test": (
        re.sub(r"(-0[1-8]),[^,]+,", r"\1,7,", days()),
        {},
        "days.csv: pm must change, but before test_from (2013-01-09 00:00:00) it is always 7",
    ),
    "target that is missing before the test": (
        re.sub(r"(-0[1-8]),[^,]+,", r"\1,,", days()),
        {},
        SPLITS.format(needed=3, validation="2013-01-06", test="2013-01-09", training=0, scored=0),
    ),
    # 4 of the 5 days before 2013-01-06 are observed, and 3 from then to before 2013-01-09.
    "too few rows for validation": (
        days(),
        {"horizon": 2},
        SPLITS.format(needed=4, validation="2013-01-06", test="2013-01-09", training=4, scored=3),
    ),
    "too few rows for training": (
        days(),
        {"validation_from": "2013-01-04"},
        SPLITS.format(needed=3, validation="2013-01-04", test="2013-01-09", training=2, scored=5),
    ),
    "validation before the table": (
        days(),
        {"validation_from": "2012-01-01"},
        SPLITS.format(needed=3, validation="2012-01-01", test="2013-01-09", training=0, scored=7),
    ),
    "validation after the table": (
        days(),
        {"validation_from": "2014-01-01", "test_from": "2015-01-01"},
        SPLITS.format(needed=3, validation="2014-01-01", test="2015-01-01", training=9, scored=0),
    ),
}


@pytest.mark.parametrize(("content", "changes", "message"), BAD.values(), ids=BAD)
def test_bad_tables(
    load: Callable[..., Dataset], content: str | bytes, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(TableError, match=f"^{re.escape(message)}$"):
        load(content, **changes)


def test_smallest_split_and_late_test_are_read(load: Callable[..., Dataset]) -> None:
    assert len(load(days(), horizon=1).frame) == 10  # validation has exactly horizon + 2 days
    assert len(load(days(), test_from="2020-01-01").frame) == 10


CELLS = st.sampled_from(
    ["", "NA", "1", "-2.5", "1e999", "x", '"', '"a,b"', "2013-01-01", "2013-01-02", "\r", "\0", "é"]
)
TEXTS = st.lists(st.lists(CELLS, min_size=1, max_size=4).map(",".join), max_size=6).map("\n".join)


@hypothesis_settings(deadline=None)  # a busy machine is no mistake
@given(
    content=st.binary(max_size=60)
    | TEXTS.map(str.encode)
    | TEXTS.map(lambda text: f"date,pm,wind\n{text}".encode())
    | st.lists(CELLS, min_size=10, max_size=10).map(
        lambda cells: "\n".join(
            ["date,pm,wind", *(f"2013-01-{i + 1:02},{i},{cell}" for i, cell in enumerate(cells))]
        ).encode()
    )
)
def test_any_bytes_are_a_table_or_a_table_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    file = tmp_path_factory.getbasetemp() / "any.csv"
    file.write_bytes(content)
    problems = []
    try:
        table = load_dataset(settings(str(file)))
    except TableError as error:
        problems = str(error).splitlines()
    else:
        index = table.frame.index
        assert isinstance(index, pd.DatetimeIndex)
        assert index.equals(table.step.grid(index[0], index[-1]))
        assert list(table.frame) == ["pm", "wind"]
    # The lines of Python that may follow are indented.
    assert all(problem.startswith((f"{file}:", "    ")) for problem in problems)
