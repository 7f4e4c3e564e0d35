"""Tables as people have them: each gives its right value, or a message that says what it is.

The right values are those of somebody who knows the table, worked out apart from this project.
"""

import csv
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
import yaml

from lstm_model.command import run_app
from lstm_model.configuration import Configuration, DataSettings
from lstm_model.data.encoded_table import EncodedTable
from lstm_model.data.series_index import SeriesIndex
from lstm_model.data.sources import Dataset, load_dataset
from lstm_model.data.step import format_times
from lstm_model.errors import TableError
from lstm_model.evaluation.baselines import Baselines, evaluate_baselines
from lstm_model.training.trainer import Trainer
from tests.field import field_table
from tests.from_file import Way
from tuning import new_space, run
from tuning.space.search_space import SearchSpace, read_space

Propose = Callable[..., SearchSpace]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def way(home: Path, capsys: pytest.CaptureFixture[str]) -> Way:
    return Way(capsys)


@pytest.fixture
def propose(home: Path, capsys: pytest.CaptureFixture[str]) -> Propose:
    """The space that is proposed for a table, with one more line in its data block where wanted."""

    def ask(table: str | Path, target: str, *, data: str = "", without: str = "") -> SearchSpace:
        path = table if isinstance(table, Path) else field_table(table)
        Path("new.yaml").unlink(missing_ok=True)
        status = run_app(new_space.app, [str(path), "--target", target, "--output", "new.yaml"])
        said = capsys.readouterr()
        assert (status, said.err) == (0, ""), said.err
        text = Path("new.yaml").read_text()
        if without:  # a key of the data block, with its lines
            text = re.sub(rf"^  {without}:.*\n(    [^-].*\n)*", "", text, flags=re.MULTILINE)
        Path("new.yaml").write_text(text.replace("  horizon:", f"{data}  horizon:", 1))
        return read_space("new.yaml")

    return ask


def loaded(space: SearchSpace) -> tuple[Dataset, EncodedTable]:
    table = load_dataset(space.data)
    return table, EncodedTable.from_table(table.frame, table.step, space.data, table.index)


def baselines(space: SearchSpace) -> Baselines:
    return evaluate_baselines(loaded(space)[1])


def skill(space: SearchSpace) -> float:
    """Of the default configuration after 25 epochs."""
    *_, last = Trainer(Configuration(), loaded(space)[1], max_epochs=25, seed=0)
    return last.best.score.skill


# What an empty cell means


def test_no_holiday_is_a_category(propose: Propose) -> None:
    space = propose("metro_none.csv", "traffic")
    table, series = loaded(space)
    before = table.frame.loc[table.frame.index < space.data.test_from]
    assert len(before) == len(series.times) == 13_872
    assert (before["holiday"] != "None").sum() == 288
    channel = series.series[0].encoder.channels.index("holiday=None")
    assert (series.inputs[:, channel] == 0).sum() == 288
    assert table.doubts == ()


def test_no_holiday_is_an_empty_cell(propose: Propose, tmp_path: Path) -> None:
    text = field_table("metro_none.csv").read_text().replace(",None,", ",,")
    (tmp_path / "metro.csv").write_text(text)
    space = propose(tmp_path / "metro.csv", "traffic")
    assert space.data.fill == {"holiday": "none"}
    table, _ = loaded(space)
    before = table.frame.loc[table.frame.index < space.data.test_from]
    assert (before["holiday"] != "none").sum() == 288
    (repair,) = table.repairs
    assert repair.to_json() == {"column": "holiday", "filled": "none", "rows": 17_136}
    repeated, _ = loaded(propose_without_fill(space))
    assert repeated.frame["holiday"].notna().sum() == 384
    (doubt,) = repeated.doubts
    assert doubt.startswith("holiday is empty in most rows, where the last value is repeated, for ")
    assert doubt.endswith("say so in the data block: fill: {holiday: none}")


def propose_without_fill(space: SearchSpace) -> SearchSpace:
    return space.overridden({"data.fill": {}})


def test_dry_hours_are_empty_cells(propose: Propose) -> None:
    space = propose("rain_empty.csv", "traffic")
    assert space.data.fill == {"rain": 0}
    table, _ = loaded(space)
    assert [str(each) for each in table.repairs] == ["rain: 16,992 cells without a value read as 0"]
    without = propose_without_fill(space)
    # With repeats the last shower lasts until the next one.
    repeated, dry = skill(without), skill(space)
    assert repeated == pytest.approx(0.26, abs=0.03)
    assert dry == pytest.approx(0.38, abs=0.03)


# Numbers that stand for missing, and texts that are numbers


def test_a_number_stands_for_missing(propose: Propose) -> None:
    space = propose("sentinel.csv", "load")
    assert space.data.missing == {"load": (-200,)}
    assert baselines(space).persistence.rmse == pytest.approx(29.0, abs=0.05)
    as_it_stands = space.overridden({"data.missing": []})
    assert baselines(as_it_stands).persistence.rmse == pytest.approx(307.9, abs=0.05)
    (doubt,) = loaded(as_it_stands)[0].doubts
    assert re.fullmatch(
        r"load is -200 in \d+ rows, far from all its other values: .* missing: \{load: \[-200\]\}",
        doubt,
    )


def test_texts_are_numbers(propose: Propose) -> None:
    space = propose("textnumbers.csv", "load")
    table, series = loaded(space)
    text = pd.read_csv(field_table("textnumbers.csv"), decimal=",", dtype={"temp": str})
    wind, humidity = text["wind"].astype(float), text["hum"].str.removesuffix("%").astype(float)
    np.testing.assert_array_equal(table.frame["wind"], wind)
    np.testing.assert_array_equal(table.frame["hum"], humidity)
    assert space.data.missing == {"temp": ("?",)}
    assert table.frame["temp"].isna().sum() == (text["temp"] == "?").sum() == 43
    assert len(series.series[0].encoder.numeric) == 6
    assert "36 different whole numbers: if they are codes, say types: {dir: category}" in (
        Path("new.yaml").read_text()
    )
    codes = propose("textnumbers.csv", "load", data="  types: {dir: category}\n")
    assert len(loaded(codes)[1].encoders.of_others.categorical[0].categories) == 36


# Baselines that are hard to beat


def test_nothing_to_learn(propose: Propose) -> None:
    """The mean beats the last value, which skill is told against."""
    space = propose("intermittent.csv", "sales")
    assert baselines(space).best == "training_mean"
    # As in a comparison, whose test comes after all that the mean is of.
    test = {"data.validation_from": space.data.test_from, "data.test_from": datetime(2030, 1, 1)}
    rmse = baselines(space.overridden(test)).scores["training_mean"].rmse
    assert rmse == pytest.approx(1.684, abs=0.0005)


def test_sales_are_never_negative(propose: Propose) -> None:
    _, series = loaded(propose("intermittent.csv", "sales"))
    fit = Trainer(Configuration(hidden_size=8), series, max_epochs=5, seed=0)
    [*_] = fit
    (changes,) = fit.forecasts()
    assert (series.last_observed[-len(changes) :, None] + changes >= 0).all()


def test_weeks_repeat(propose: Propose) -> None:
    scores = baselines(propose("plain.csv", "load")).scores
    assert scores["persistence"].rmse == pytest.approx(24.4, abs=0.06)
    assert scores["same_hour_yesterday"].rmse == pytest.approx(34.2, abs=0.06)
    assert scores["same_hour_last_week"].rmse == pytest.approx(14.15, abs=0.01)


# From the file to a forecast


class Right(NamedTuple):
    """What somebody who knows the table says of it.

    Attributes:
        keys: of the data block that are proposed for its clock and its rows.
        told: what new_space says that it proposes, besides what test functions here look at.
        step: between rows, in words.
        first, last: of the rows, as forecasts have times.
        ahead: the time that is forecast.
    """

    target: str
    keys: dict[str, Any]
    told: str
    step: str
    rows: int
    first: str
    last: str
    ahead: str


TIME: dict[str, Any] = {"time": "time"}
# Of dst_local.csv the clock in Berlin begins an hour after UTC's.
RIGHT = {
    "metro_none.csv": Right(
        "traffic",
        TIME,
        "",
        "1 h",
        17_520,
        "2016-01-01 00:00",
        "2017-12-30 23:00",
        "2017-12-31 00:00",
    ),
    "rain_empty.csv": Right(
        "traffic",
        TIME,
        "rain: 16,992 cells without a value read as 0",
        "1 h",
        17_520,
        "2016-01-01 00:00",
        "2017-12-30 23:00",
        "2017-12-31 00:00",
    ),
    "sentinel.csv": Right(
        "load",
        TIME,
        "load: 321 cells with -200 read as missing",
        "1 h",
        3000,
        "2021-01-01 00:00",
        "2021-05-05 23:00",
        "2021-05-06 00:00",
    ),
    "intermittent.csv": Right(
        "sales",
        {"time": "date"},
        "",
        "1 day",
        1800,
        "2018-01-01 00:00",
        "2022-12-05 00:00",
        "2022-12-06 00:00",
    ),
    "plain.csv": Right(
        "load", TIME, "", "1 h", 6000, "2021-01-01 00:00", "2021-09-07 23:00", "2021-09-08 00:00"
    ),
    "fx.csv": Right(
        "eurusd", TIME, "", "1 h", 4000, "2023-01-01 00:00", "2023-06-16 15:00", "2023-06-16 16:00"
    ),
    "textnumbers.csv": Right(
        "load",
        TIME,
        "temp: 43 cells with '?' read as missing",
        "1 h",
        4000,
        "2023-01-01 00:00",
        "2023-06-16 15:00",
        "2023-06-16 16:00",
    ),
    "dst_local.csv": Right(
        "load",
        {**TIME, "zone": "Europe/Berlin"},
        "zone: Europe/Berlin: it leaves out and repeats",
        "1 h",
        9000,
        "2021-01-01 01:00+01:00",
        "2022-01-11 00:00+01:00",
        "2022-01-11 01:00+01:00",
    ),
    "iso_offset.csv": Right(
        "load",
        TIME,
        "",
        "1 h",
        9000,
        "2021-01-01 00:00+00:00",
        "2022-01-10 23:00+00:00",
        "2022-01-11 00:00+00:00",
    ),
    "ld2011.txt": Right(
        "MT_001",
        {"time": ""},
        "MT_001: 8,000 cells with texts such as '363,0' read as numbers, 363",
        "15 min",
        8000,
        "2011-01-01 00:15",
        "2011-03-25 08:00",
        "2011-03-25 08:15",
    ),
    "household.txt": Right(
        "Voltage",
        {"time": ("Date", "Time"), "dates": "day_first"},
        "Voltage: 61 cells with '?' read as missing",
        "1 min",
        5000,
        "2006-12-16 17:24",
        "2006-12-20 04:43",
        "2006-12-20 04:44",
    ),
    "date_and_time.csv": Right(
        "load",
        {"time": ("Date", "Time")},
        "",
        "1 h",
        3000,
        "2021-01-01 00:00",
        "2021-05-05 23:00",
        "2021-05-06 00:00",
    ),
    "gaps.csv": Right(
        "load",
        {**TIME, "gaps": "fill"},
        "gaps: fill: 53 steps without a row",
        "1 h",
        6000,
        "2021-01-01 00:00",
        "2021-09-07 23:00",
        "2021-09-08 00:00",
    ),
    "dup.csv": Right(
        "load",
        {**TIME, "duplicates": "last"},
        "duplicates: last: 1 row with the time of another",
        "1 h",
        6000,
        "2021-01-01 00:00",
        "2021-09-07 23:00",
        "2021-09-08 00:00",
    ),
    "bdays.csv": Right(
        "Close",
        {"time": "Date"},
        "",
        "1 business day",
        1500,
        "2015-01-01 00:00",
        "2020-09-30 00:00",
        "2020-10-01 00:00",
    ),
    "monthly_ym.csv": Right(
        "traffic",
        {"time": "Month"},
        "",
        "1 month",
        180,
        "1949-01-01 00:00",
        "1963-12-01 00:00",
        "1964-01-01 00:00",
    ),
    "promo.csv": Right(
        "sales",
        TIME,
        "",
        "1 day",
        3000,
        "2020-01-01 00:00",
        "2028-03-18 00:00",
        "2028-03-19 00:00",
    ),
}
# Of the target: its first two values, and in how many rows it is missing.
VALUES = {
    "ld2011.txt": ([363.0, 355.74], 0),
    "household.txt": ([233.29, 233.1], 61),
    "dst_local.csv": ([414.02, 387.18], 0),
    "gaps.csv": ([407.99, 381.03], 53),
    "dup.csv": ([407.99, 381.03], 0),
    "sentinel.csv": ([397.57, 395.69], 321),
    "bdays.csv": ([101.221, 100.4041], 0),
    "monthly_ym.csv": ([110.0, 124.0], 0),
}
RECENT = 400  # rows to forecast from


@pytest.mark.parametrize("name", RIGHT)
def test_a_file_leads_to_a_forecast(way: Way, home: Path, name: str) -> None:
    right, path = RIGHT[name], field_table(name)
    space = way.propose(path, right.target)
    told = way.said.out
    assert right.told in told
    keys = ("time", "zone", "dates", "gaps", "duplicates", "encoding")
    stated = space.data.model_dump(include=set(keys), exclude_defaults=True)
    assert stated == right.keys
    table = way.train(space)
    times = pd.DatetimeIndex(table.frame.index)
    assert (table.step.name, len(times)) == (right.step, right.rows)
    assert format_times(times[[0, -1]]) == [right.first, right.last]
    if name in VALUES:
        values = table.frame[right.target]
        assert (values.iloc[:2].to_list(), values.isna().sum()) == VALUES[name]
    head, *lines = path.read_text().splitlines(keepends=True)
    (home / "recent.csv").write_text(head + "".join(lines[-RECENT:]))
    for data in (path, home / "recent.csv"):
        (row,) = way.forecast(data).itertuples()
        assert (row.origin, row.lead_time, row.valid_time) == (right.last, 1, right.ahead)


def test_the_wall_clock_and_utc_are_one_series(way: Way) -> None:
    """dst_local.csv holds what iso_offset.csv does."""
    wall = load_dataset(way.propose(field_table("dst_local.csv"), "load").data).frame
    utc = load_dataset(way.propose(field_table("iso_offset.csv"), "load").data).frame
    assert str(pd.DatetimeIndex(wall.index).tz) == "Europe/Berlin"
    pd.testing.assert_frame_equal(wall.tz_convert("UTC"), utc, check_freq=False)
    with field_table("iso_offset.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(utc.index) == [datetime.fromisoformat(row["time"]) for row in rows]
    assert list(utc["load"]) == [float(row["load"]) for row in rows]


def test_the_day_after_friday_is_monday(way: Way) -> None:
    space = way.propose(field_table("bdays.csv"), "Close")
    table = way.train(space)
    times = pd.DatetimeIndex(table.frame.index)
    assert set(times[1:][times[:-1].day_name() == "Friday"].day_name()) == {"Monday"}
    lines = field_table("bdays.csv").read_text().splitlines(keepends=True)
    assert lines[-4].startswith("2020-09-25")  # a Friday
    Path("recent.csv").write_text(lines[0] + "".join(lines[-203:-3]))
    (row,) = way.forecast("recent.csv").itertuples()
    assert (row.origin, row.valid_time) == ("2020-09-25 00:00", "2020-09-28 00:00")


@pytest.mark.parametrize(
    ("name", "refused", "repaired"),
    [
        (
            "gaps.csv",
            "gaps: fill makes the 53 steps without a row rows without values",
            "53 steps without a row became rows without values, the first 2021-01-05 04:00:00",
        ),
        (
            "dup.csv",
            "duplicates: first, last or mean says which of them counts",
            "1 row with the time of another, the first 2021-01-13 11:00:00: the last counts",
        ),
    ],
)
def test_rows_are_refused_until_a_key_decides(
    way: Way, name: str, refused: str, repaired: str
) -> None:
    space = way.propose(field_table(name), "load")
    assert repaired in way.said.out
    assert [str(repair) for repair in load_dataset(space.data).repairs] == [repaired]
    without = space.overridden({"data.gaps": "refuse", "data.duplicates": "refuse"})
    with pytest.raises(TableError, match=re.escape(refused)):
        load_dataset(without.data)


def test_of_rows_that_are_twice_the_said_one_counts(way: Way) -> None:
    space = way.propose(field_table("dup.csv"), "load")
    with field_table("dup.csv").open() as file:
        loads = [float(row["load"]) for row in csv.DictReader(file) if row["time"] == TWICE]
    first, last = loads
    for value, right in (("first", first), ("last", last), ("mean", (first + last) / 2)):
        table = load_dataset(space.overridden({"data.duplicates": value}).data)
        assert table.frame.loc[TWICE, "load"] == pytest.approx(right)
        assert len(table.frame) == 6000


TWICE = "2021-01-13 11:00:00"


def test_several_series_are_called_so(home: Path) -> None:
    """The table is refused with the key that reads it."""
    data: dict[str, Any] = {
        "source": str(field_table("long.csv")),
        "time": "ds",
        "target": "y",
        "features": ["y", "x"],
        "validation_from": "2021-02-20",
        "test_from": "2021-03-10",
    }
    with pytest.raises(TableError) as refused:
        load_dataset(DataSettings(**data))
    message = str(refused.value)
    assert "it holds 4 series, one for each unique_id (S0, S1, S2, S3): in the" in message
    (key,) = re.findall(r"in the data block, (series: \w+)$", message)
    table = load_dataset(DataSettings(**data, **yaml.safe_load(key)))
    assert table.index == SeriesIndex(("S0", "S1", "S2", "S3"), (0, 2000, 4000, 6000, 8000))
    assert table.frame["y"].iloc[0] == 388.11


def test_several_series_are_proposed(propose: Propose) -> None:
    """Four of 2,000 hours, the first row of each as the file has it."""
    space = propose("long.csv", "y")
    assert (space.data.series, space.data.features) == ("unique_id", ("y", "x"))
    assert "  series: unique_id            # 4 series of 2,000 rows each\n" in (
        Path("new.yaml").read_text()
    )
    table, encoded = loaded(space)
    assert table.index == SeriesIndex(("S0", "S1", "S2", "S3"), (0, 2000, 4000, 6000, 8000))
    text = pd.read_csv(field_table("long.csv")).groupby("unique_id")
    assert list(table.frame["y"].iloc[[0, 2000, 4000, 6000]]) == list(text["y"].first())
    assert encoded.index.names == table.index.names
    assert all(encoded.learned)
    assert encoded.left_out == ()


def test_the_columns_of_a_wide_table_are_series_where_asked(propose: Propose) -> None:
    assert propose("ld2011.txt", "MT_001").data.targets == ()
    space = propose("ld2011.txt", "MT_*")
    assert space.data.targets == ("MT_001", "MT_002")
    table, encoded = loaded(space)
    assert table.index == SeriesIndex(("MT_001", "MT_002"), (0, 8000, 16000))
    assert list(table.frame["value"].iloc[[0, 8000]]) == [363.0, 121.0]
    assert encoded.index.names == ("MT_001", "MT_002")


def test_a_study_says_what_it_doubts(propose: Propose, capsys: pytest.CaptureFixture[str]) -> None:
    propose("sentinel.csv", "load", without="missing")
    assert run_app(run.app, ["--space", "new.yaml", "--check"]) == 0
    assert "warning: load is -200 in " in capsys.readouterr().err
    propose("textnumbers.csv", "load")
    assert run_app(run.app, ["--space", "new.yaml", "--check"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    assert "wind: 4,000 cells with texts such as '1,0' read as numbers, 1\n" in said.out


def test_numbers_that_can_be_read_in_two_ways(home: Path) -> None:
    rows = "\n".join(f'2021-01-01 {hour:02}:00,{hour},"1,{hour:03}"' for hour in range(24))
    (home / "two.csv").write_text(f"time,load,power\n{rows}\n")
    text = """\
version: 1
data:
  source: two.csv
  time: time
  target: load
  features: [load, power]
{0}  validation_from: 2021-01-01T12:00
  test_from: 2021-01-01T18:00
study: {{trials: 1}}
"""
    for keys, expected in (
        ("", None),
        ("  types: {power: number}\n", None),
        ("  types: {power: number}\n  decimal: '.'\n", 1001.0),
        ("  types: {power: number}\n  decimal: ','\n", 1.001),
    ):
        (home / "two.yaml").write_text(text.format(keys))
        data = read_space("two.yaml").data
        if expected is None:
            with pytest.raises(TableError, match="'1,000' is 1000 with a decimal point, and 1 wit"):
                load_dataset(data)
        else:
            assert load_dataset(data).frame["power"].iloc[1] == expected
