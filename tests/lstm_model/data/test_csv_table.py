"""A CSV: what is read, and what is refused in which words."""

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
    assert table.step == pd.Timedelta(days=1)
    assert (table.source, table.simulated, table.warning) == ("days.csv", False, None)
    assert table.sha256 == hashlib.sha256(days().encode()).hexdigest()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"\xef\xbb\xbf" + days().encode(), id="byte order mark"),
        pytest.param(days().replace("\n", "\r\n"), id="CRLF"),
        pytest.param(days().replace("\n", "\r"), id="CR"),
        pytest.param(days().removesuffix("\n"), id="no last line end"),
        pytest.param(days().replace(",", " , "), id="spaces"),
        pytest.param("\n" + days().replace("\n", "\n\n"), id="blank lines"),
        pytest.param(re.sub(r"([^,\n]+)", r'"\1"', days()), id="quotes"),
        pytest.param(re.sub(r"([^,\n]+)", r' "\1"', days()), id="spaces before quotes"),
        pytest.param(days().replace("-01-0", "/1/"), id="slashes, no leading zeros"),
        pytest.param(re.sub(r"(-\d\d),", r"\1 00:00:00.000,", days()), id="times of day"),
        pytest.param(re.sub(r"(-\d\d),", r"\1T00:00,", days()), id="ISO 8601's T"),
        pytest.param(days().replace("\n", ",x\n"), id="a column that nobody wants"),
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
    assert table.step == step_
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
TIME = "must be a time such as 2013-01-31 13:00, year first, without a zone"


def advice(sentence: str, *lines: str, read: str = "'days.csv'") -> str:
    """What a message goes on with: what the table is, and the Python that mends it."""
    code = [
        "import pandas as pd",
        f"table = pd.read_csv({read}, dtype=str, keep_default_na=False)",
        *lines,
        "table.to_csv('days-read.csv', index=False)",
    ]
    return "\n".join([f"\ndays.csv: {sentence}; in Python:", *(f"    {line}" for line in code)])


def by_time(sentence: str, ways: str) -> str:
    """Advice that goes by the clock."""
    return advice(
        sentence,
        "table.index = pd.to_datetime(table['date'])",
        f"table = table{ways}",
        "table['date'] = table.index",
    )


def stands_for(cell: str, column: str = "pm") -> str:
    codes = f"; if these are codes, types: {{{column}: category}}" if column != "pm" else ""
    missing = f"missing: {{{column}: [{cell}]}}"
    return f"; if it stands for missing, say so in the data block: {missing}{codes}"


PLAIN = "; write it as a plain number, without a unit or another sign, or leave it empty"


DAILY = ".asfreq('86400s')"
LAST = "[~table.index.duplicated(keep='last')]"
TWICE = "it has 1 row with the time of another, of which the last stays, and "
MONTHS = [f"20{i // 12 + 12}-{i % 12 + 1:02}-01,{i}" for i in range(24)]

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
    "UTF-16": (
        days().encode("utf-16"),
        {},
        "days.csv:1: must be UTF-8 text, but isn't"
        + advice("it is UTF-16 text", read="'days.csv', sep=',', encoding='utf-16'"),
    ),
    "Latin-1": (
        days(line_4="2013-01-03,1,Föhn").encode("latin-1"),
        {},
        "days.csv:4: must be UTF-8 text, but isn't"
        + advice(
            "it may be of Windows, whose letters have other bytes",
            read="'days.csv', sep=',', encoding='cp1252'",
        ),
    ),
    "semicolons": (
        days().replace(",", ";"),
        {},
        "days.csv: must have commas between values, but has ';'"
        + advice("its values have ';' between them", read="'days.csv', sep=';'"),
    ),
    "tabs": (
        days().replace(",", "\t"),
        {},
        r"days.csv: must have commas between values, but has '\t'"
        + advice(r"its values have '\t' between them", read=r"'days.csv', sep='\t'"),
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
        "days.csv:5: must be comma-separated values: unexpected end of data",
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
        + "days.csv: the clock must be the columns that `time` names, or year, month, day, hour\n"
        + COLUMNS,
    ),
    "parts of the clock in another order": (
        days(),
        {"time": ["day", "month", "year"]},
        "time must name one column, or year, month, day and then any of hour, minute, second, in "
        "this order, but got [day, month, year]",
    ),
    "too few parts of the clock": (
        days(),
        {"time": ["year", "month"]},
        "time must name one column, or year, month, day and then any of hour, minute, second, in "
        "this order, but got [year, month]",
    ),
    "day or month first": (
        days(line_3="01/02/2013,12,NW"),
        {},
        f"days.csv:3: date = '01/02/2013': {TIME}",
    ),
    "time zone": (
        days(line_2="2013-01-01T00:00Z,10,NW"),
        {},
        f"days.csv:2: date = '2013-01-01T00:00Z': {TIME}"
        + advice(
            "date has times of a zone; on UTC they can be read",
            "table['date'] = pd.to_datetime(table['date'], utc=True).dt.tz_localize(None)",
        ),
    ),
    "missing time": (days(line_4=",1,NW"), {}, f"days.csv:4: date = '': {TIME}"),
    "month 13": (
        days(line_4="2013-13-01,1,NW"),
        {},
        "days.csv:4: date = '2013-13-01': month must be in 1..12",
    ),
    "part of a clock that is no number": (
        "year,month,day,pm\n2013,1,1,1\n2013,Feb,2,3\n",
        {"time": ["year", "month", "day"], "features": ["pm"]},
        "days.csv:3: year, month, day = '2013', 'Feb', '2': "
        "must be whole numbers of up to 4 digits",
    ),
    "part of a clock out of range": (
        "year,month,day,hour,pm\n2013,1,1,23,1\n2013,1,1,24,3\n",
        {"time": None, "features": ["pm"]},
        "days.csv:3: year, month, day, hour = '2013', '1', '1', '24': hour must be in 0..23",
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
        "2013-01-03 00:00:00, but each time must have one row (rows that break this: 1)"
        + by_time(TWICE + "1 step without a row, each to get an empty one", LAST + DAILY),
    ),
    "clock that runs back": (
        days(line_5="2013-01-01,1,NW"),
        {},
        "days.csv:5: the clock runs back from 2013-01-03 00:00:00 (line 4) to "
        "2013-01-01 00:00:00, but rows must be in the order of time (rows that break this: 1)"
        + by_time(
            TWICE
            + "rows that are out of order, and 1 step without a row, each to get an empty one",
            LAST + ".sort_index()" + DAILY,
        ),
    ),
    "clock in descending order": (
        "\n".join([DAYS[0], *DAYS[:0:-1]]),
        {},
        "days.csv:3: the clock runs back from 2013-01-10 00:00:00 (line 2) to "
        "2013-01-09 00:00:00, but rows must be in the order of time (rows that break this: 9)"
        + by_time("it has rows that are out of order", ".sort_index()"),
    ),
    "two missing rows": (
        "\n".join(line for line in DAYS if line[:10] not in ("2013-01-04", "2013-01-07")),
        {},
        "days.csv:5: the clock jumps from 2013-01-03 00:00:00 (line 4) to 2013-01-05 00:00:00, "
        "but rows must be 1 days 00:00:00 apart, as most are; leave empty what is not known "
        "(rows that break this: 2)"
        + by_time("it has 2 steps without a row, each to get an empty one", DAILY),
    ),
    "no time after the last row": (
        days().replace("2013-01-0", "9999-12-2").replace("2013-01-10", "9999-12-30")
        + "9999-12-31,5,NW\n",
        {},
        "days.csv:12: the clock must end 1 rows or more before the year 10000, as what is forecast "
        "has no time then, but ends at 9999-12-31 00:00:00 with rows 1 days 00:00:00 apart; "
        "correct its years, or end the table earlier",
    ),
    "months": (
        "\n".join(["date,pm", *MONTHS]),
        {"features": ["pm"]},
        "days.csv:4: the clock jumps from 2012-02-01 00:00:00 (line 3) to 2012-03-01 00:00:00, "
        "but rows must be the same time apart, as months, quarters and years are not "
        "(rows that break this: 10)\n"
        "days.csv: its rows are months, quarters or years, which are not of one length, and can't "
        "be steps",
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
        + by_time(TWICE + "1 step without a row, each to get an empty one", LAST + DAILY)
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
        assert set(table.frame.index.to_series().diff().dropna()) == {table.step}
        assert list(table.frame) == ["pm", "wind"]
    # The lines of Python that may follow are indented.
    assert all(problem.startswith((f"{file}:", "    ")) for problem in problems)
