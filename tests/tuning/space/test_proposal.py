"""What is found in a table: its clock, its features, its splits."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.tuning.conftest import Ask
from tests.tuning.space.tables import table
from tuning.space.proposal import propose_splits
from tuning.space.search_space import read_space


def test_features_and_left_out_columns_are_explained(home: Path, ask: Ask) -> None:
    rows, rng = 200, np.random.default_rng(1)
    some = np.arange(rows)
    file = table(
        rows,
        No=some + 7,
        load=np.linspace(300, 500, rows)[rng.permutation(rows)].round(1),
        temp=np.where(some % 10 == 3, np.nan, some % 20 - 10),
        sky=np.where(some % 4 == 0, "", rng.choice(["clear", "cloudy", "rain"], rows)),
        station=some % 3,
        site="north",
        late=np.where(some < 150, 1.0, some),
        serial=[f"x{each}" for each in some],
        remark=[f"seen {each}" if each % 10 == 0 else "" for each in some],
        spare="",
        mixed=np.where(some == 50, "off", some % 7),
        month=3,
        Hour=some // 2 % 24,
    )
    (home / "load.csv").write_text(file)
    said = ask("load.csv", "--target", "load")
    left_out = [
        "No counts the rows",
        "site never changes before validation begins: nothing to learn from",
        "late never changes before validation begins: nothing to learn from",
        "serial must have numbers, or at most 50 different texts, but has 200, the first of them "
        "'x0'",
        "remark names its rows: most texts come once",
        "spare must have values, but has none in any row",
        "load.csv:52: mixed must be numeric, as line 2 is ('0'), but got 'off'; if it stands for "
        'missing, say so in the data block: missing: {mixed: ["off"]}; if these are codes, types: '
        "{mixed: category}",
        "month never changes before validation begins: nothing to learn from",
        "Hour is a part of the clock: calendar has what can be learned from it",
    ]
    assert said == "\n".join(
        [
            "load.yaml: load by load, temp, sky, station",
            *(f"left out: {why}" for why in left_out),
            "Read it, and change what you know better. What it would do, and how to do it:",
            "  python -m tuning.run --space load.yaml --check",
            "  python -m tuning.run --space load.yaml",
            "",
        ]
    )
    text = (home / "load.yaml").read_text()
    for why in left_out:
        assert f"  # left out: {why}\n" in text
    for line in (
        "    - load                     # 300 to 500\n",
        "    - temp                     # -10 to 9, 18 different whole numbers: if they are codes, "
        "say types: {temp: category}; missing in 20 rows\n",
        "    - sky                      # categories clear, cloudy, rain; missing in 50 rows\n",
        "    - station                  # 0 to 2, 3 different whole numbers: if they are codes, "
        "say types: {station: category}\n",
    ):
        assert line in text


def test_flags_surveys_and_codes_are_recognised(home: Path, ask: Ask) -> None:
    rows = 600
    at, rng = np.arange(rows), np.random.default_rng(2)
    events = rng.choice(rows - 9, 12, replace=False)
    promo = np.full(rows, "", object)
    for start in events:
        promo[start : start + 3] = "yes"
    file = table(
        rows,
        promo=promo,
        survey=np.where(at % 30 == 0, (at // 30 * 7 % 11).astype(str), ""),
        holiday=np.where(at % 2, "0", np.array(["a", "b", "c"])[at // 2 % 3]),
        late=np.where(at < 500, "", at.astype(str)),
        price=np.where(at % 50 == 7, 3000.0, rng.normal(40, 5, rows).round(1)),
        flow=np.where(at % 50 == 9, -999.0, rng.normal(40, 5, rows).round(1)),
    )
    (home / "load.csv").write_text(file)
    said = ask("load.csv", "--target", "load")
    assert "load.yaml: load by load, promo, survey, price, flow\n" in said
    assert "left out: late has no value before validation begins: nothing to learn from\n" in said
    assert "holiday must be numeric, as line 3 is ('0'), but got 'a'" in said
    assert "types: {holiday: category}" in said
    found = read_space("load.yaml").data
    assert found.fill == {"promo": "none"}
    assert found.missing == {"flow": (-999,)}, "a price may be at its cap"


@pytest.mark.parametrize(
    ("start", "rows", "step", "validation_from", "test_from"),
    [
        pytest.param("2010-01-01", 43824, "h", "2013-01-01", "2014-01-01", id="five years"),
        # 60% is 2012-05-27 and 80% is 2013-03-15: the years' beginnings are nearest.
        pytest.param("2010-01-01", 1461, "D", "2012-01-01", "2013-01-01", id="four years"),
        pytest.param("2010-01-01", 520, "7D", "2016-01-01", "2018-01-01", id="ten years of weeks"),
        # 8 August and 20 October.
        pytest.param("2021-01-01", 365, "D", "2021-08-01", "2021-11-01", id="a year"),
        # After 60 and 80 of 100 days. With 1 June, the test would have 8 days.
        pytest.param("2021-03-01", 4800, "30min", "2021-04-30", "2021-05-20", id="100 days"),
        # 14:25 and 19:10.
        pytest.param("2021-03-01", 288, "5min", "2021-03-01 14:00", "2021-03-01 19:00", id="a day"),
        pytest.param("2021-03-01", 100, "s", "2021-03-01 00:01", "2021-03-01 00:01:20", id="short"),
        pytest.param("9999-12-31", 288, "5min", "9999-12-31 14:00", "9999-12-31 19:00", id="last"),
    ],
)
def test_splits(start: str, rows: int, step: str, validation_from: str, test_from: str) -> None:
    times = pd.date_range(pd.Timestamp(start).as_unit("s"), periods=rows, freq=step)
    assert propose_splits(times) == (pd.Timestamp(validation_from), pd.Timestamp(test_from))


def test_splits_go_by_the_hours_with_a_target(home: Path, ask: Ask) -> None:
    """Of 400 days the target is known in the last 100 alone."""
    text = table(400, "D", "2021-01-01")
    lines = text.splitlines()
    lines[1:301] = [line.split(",")[0] + "," for line in lines[1:301]]
    (home / "load.csv").write_text("\n".join(lines))
    ask("load.csv", "--target", "load")
    data = read_space("load.yaml").data
    # From 28 October on; after 60 and 80 of these days.
    assert (str(data.validation_from), str(data.test_from)) == (
        "2021-12-27 00:00:00",
        "2022-01-16 00:00:00",
    )


@pytest.mark.parametrize(
    ("step", "rows", "calendar"),
    [
        ("5min", 288, ()),  # training is not two days long
        ("h", 400, ("hour_of_day",)),  # ten days, and no second week
        ("30min", 4800, ("hour_of_day", "day_of_week")),
        ("12h", 1000, ("hour_of_day", "day_of_week")),
        ("18h", 300, ("day_of_week",)),
        ("D", 1461, ("day_of_week", "day_of_year")),
        ("7D", 520, ("day_of_year",)),
        ("14D", 260, ("day_of_year",)),
    ],
)
def test_calendar_has_periods_seen_twice(
    home: Path, ask: Ask, step: str, rows: int, calendar: tuple[str, ...]
) -> None:
    (home / "load.csv").write_text(table(rows, step, "2010-01-01"))
    ask("load.csv", "--target", "load")
    assert read_space("load.yaml").data.calendar == calendar


@pytest.mark.parametrize(
    ("columns", "clock"),
    [
        (["Year", "Month", "Day", "Hour", "Minute"], ("Year", "Month", "Day", "Hour", "Minute")),
        (["minute", "hour", "day", "month", "year"], ("year", "month", "day", "hour", "minute")),
        (["sunrise", "at"], "at"),  # the first stands still for a day
        (["day", "month", "at"], "at"),
    ],
)
def test_the_clock_is_found(
    home: Path, ask: Ask, columns: list[str], clock: str | tuple[str, ...]
) -> None:
    at = pd.date_range("2021-03-01 00:00", periods=500, freq="30min")
    known = {"at": at, "sunrise": at.floor("D") + pd.Timedelta("6h")}
    found = {name: known[name] if name in known else getattr(at, name.lower()) for name in columns}
    frame = pd.DataFrame({**found, "load": np.random.default_rng(0).normal(400, 30, 500).round(1)})
    frame.to_csv("load.csv", index=False)
    ask("load.csv", "--target", "load")
    data = read_space("load.yaml").data
    assert (data.time, data.features) == (clock, ("load",))
    parts = clock if isinstance(clock, str) else ",".join(clock)
    ask("load.csv", "--target", "load", "--time", parts, "--output", "named.yaml")
    assert read_space("named.yaml").data == data


def test_named_features_are_taken(home: Path, ask: Ask) -> None:
    (home / "load.csv").write_text(table(300, No=range(300), wind=np.sin(np.arange(300))))
    for named, features in (
        ("No,load", ("load", "No")),
        ("wind,No,wind", ("load", "wind", "No")),
        ("load", ("load",)),
        ("none", ("load",)),
    ):
        said = ask("load.csv", "--target", "load", "--features", named, "--output", f"{named}.yaml")
        assert read_space(f"{named}.yaml").data.features == features
        assert "left out" not in said
