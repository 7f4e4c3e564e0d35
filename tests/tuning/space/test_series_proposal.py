"""What is proposed for a table of many series: in long form, of several files, or wide."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from lstm_model.data.encoded_table import EncodedTable
from lstm_model.data.sources import Dataset, load_dataset
from lstm_model.errors import TableError
from tests.tuning.conftest import Ask
from tests.tuning.space.tables import of_series
from tuning.space.proposal import Proposal, propose
from tuning.space.search_space import SearchSpace, read_space
from tuning.space.series_proposal import match_columns, name_all


@pytest.fixture
def proposed(home: Path, ask: Ask) -> Callable[..., tuple[str, str, SearchSpace]]:
    """What is said, the file's text and the space, of a table that is written to shops.csv."""

    def give(frame: pd.DataFrame, *arguments: object) -> tuple[str, str, SearchSpace]:
        frame.to_csv("shops.csv", index=False)
        Path("shops.yaml").unlink(missing_ok=True)
        named = () if "--target" in arguments else ("--target", "sales")
        said = ask("shops.csv", *named, *arguments)
        return said, Path("shops.yaml").read_text(), read_space("shops.yaml")

    return give


START = pd.Timestamp("2021-01-01")

Proposed = Callable[..., tuple[str, str, SearchSpace]]


def loaded(space: SearchSpace) -> tuple[Dataset, EncodedTable]:
    table = load_dataset(space.data)
    return table, EncodedTable.from_table(table.frame, table.step, space.data, table.index)


def found(frame: pd.DataFrame, target: str = "sales", **options: Any) -> Proposal:
    return propose({"shops.csv": frame.to_csv(index=False).encode()}, target, **options)


# In long form


def test_a_key_column_is_the_series(proposed: Proposed, accepted: Callable[[str], str]) -> None:
    said, text, space = proposed(of_series({"A": 300, "B": 300, "C": 300}))
    assert "shops.yaml: sales of 3 series by sales\n" in said
    assert "proposed: series: shop: 3 series of 300 rows each\n" in said
    assert "# Proposed for 900 rows of 3 series, one every 1 h, from 2021-01-01 to " in text
    assert "  series: shop                 # 3 series of 300 rows each\n" in text
    assert space.data.series == "shop"
    table, encoded = loaded(space)
    assert table.index.names == encoded.index.names == ("A", "B", "C")
    assert "900 rows" in accepted("shops.yaml")


def test_series_of_other_lengths_are_counted(proposed: Proposed) -> None:
    said, _, _ = proposed(of_series({"A": 1100, "B": 300, "C": 40}))
    assert "proposed: series: shop: 3 series of 40 to 1,100 rows\n" in said


def test_rows_may_stand_in_the_order_of_time(proposed: Proposed) -> None:
    frame = of_series({"A": 300, "B": 300}).sort_values(["at", "shop"])
    _, _, space = proposed(frame)
    table, _ = loaded(space)
    assert table.index.bounds == (0, 300, 600)
    expected = frame[frame["shop"] == "B"]["sales"]
    np.testing.assert_array_equal(table.frame["sales"][300:], expected)


def test_two_columns_tell_series_apart(proposed: Proposed) -> None:
    frame = of_series({f"{shop}{item}": 150 for shop in "AB" for item in "xyz"})
    frame.insert(0, "item", frame["shop"].str[1])
    frame["shop"] = frame["shop"].str[0]
    said, text, space = proposed(frame)
    assert "proposed: series: item, shop: 6 series of 150 rows each\n" in said
    assert "  series: [item, shop]         # 6 series of 150 rows each\n" in text
    assert loaded(space)[0].index.names[:2] == ("x/A", "x/B")


def test_series_can_be_said(proposed: Proposed, ask: Ask) -> None:
    """Where rows that are there twice hide them, and in another order."""
    frame = of_series({f"{shop}{item}": 150 for shop in "AB" for item in "xy"})
    frame["item"] = frame["shop"].str[1]
    frame["shop"] = frame["shop"].str[0]
    again = frame.iloc[:8].assign(sales=1.0)
    frame = pd.concat([frame.iloc[:8], again, frame.iloc[8:]])
    frame.to_csv("shops.csv", index=False)
    told = ask("shops.csv", "--target", "sales", status=2)
    assert told.startswith("shops.csv: 458 of its 608 rows have the time of another, and no column")
    assert "which columns name the series that a row is of with --series" in told
    told = ask("shops.csv", "--target", "sales", "--series", "shop", status=2)
    assert "308 of its 608 rows have the time of another of their series" in told
    for flags in (("--series", "item,shop"), ("--series", "item", "--series", "shop")):
        said, text, space = proposed(frame, *flags)
        assert space.data.series == ("item", "shop")
        assert space.data.duplicates == "last"
        assert "proposed: series: item, shop: 4 series of 150 to 158 rows\n" in said
        assert (
            "8 rows with the time of another, the first 2021-01-01 00:00:00 (x/A): the last counts"
            in text
        )
    told = ask("shops.csv", "--target", "sales", "--series", "Shop", status=2)
    assert told == "shops.csv: no column 'Shop'; did you mean 'shop'?\n"


def test_a_row_that_is_there_twice_hides_no_series(proposed: Proposed) -> None:
    frame = of_series({"A": 300, "B": 300})
    frame = pd.concat([frame.iloc[:8], frame.iloc[[7]].assign(sales=1.0), frame.iloc[8:]])
    _, text, space = proposed(frame)
    assert (space.data.series, space.data.duplicates) == ("shop", "last")
    assert "# 1 row with the time of another, the first 2021-01-01 07:00:00 (A): the last c" in text


def test_who_names_one_key_is_told_the_other(home: Path, ask: Ask) -> None:
    frame = of_series({f"{shop}{item}": 150 for shop in "AB" for item in "xy"})
    frame["item"] = frame["shop"].str[1]
    frame["shop"] = frame["shop"].str[0]
    frame.to_csv("shops.csv", index=False)
    told = ask("shops.csv", "--target", "sales", "--series", "shop", status=2)
    assert told == (
        "shops.csv: 300 of its 600 rows have the time of another of their series, and item tells "
        "them apart: ask for --series shop,item\n"
    )


def test_one_series_can_be_said(home: Path, ask: Ask) -> None:
    of_series({"A": 150, "B": 150}).to_csv("shops.csv", index=False)
    told = ask("shops.csv", "--target", "sales", "--series", "none", status=2)
    assert told.startswith("shops.csv: 150 of its 300 rows have the time of another, and no column")


def test_the_target_tells_no_series_apart(home: Path, ask: Ask) -> None:
    """Of each time there is a row with 0 and one with 1: the values are no names."""
    frame = of_series({"A": 150, "B": 150}).drop(columns="shop")
    frame.assign(sales=np.repeat([0, 1], 150)).to_csv("shops.csv", index=False)
    told = ask("shops.csv", "--target", "sales", status=2)
    assert "150 of its 300 rows have the time of another, and no column tells them apart" in told


def test_one_named_series_has_no_neighbours(proposed: Proposed) -> None:
    said, text, space = proposed(of_series({"A": 300}), "--series", "shop")
    assert "shops.yaml: sales by sales\nproposed: series: shop: 1 series of 300 rows\n" in said
    assert "neighbours" not in text
    assert loaded(space)[0].index.names == ("A",)


# What never changes within a series


def test_constant_columns_are_static(proposed: Proposed, accepted: Callable[[str], str]) -> None:
    frame = of_series({"A": 300, "B": 300, "C": 300})
    number = np.repeat([0, 1, 2], 300)
    frame["area"] = np.array(["north", "south", "south"])[number]
    frame["size"] = np.array([3.5, 8.0, np.nan])[number]
    frame["country"] = "DE"
    frame["number"] = number + 4
    frame["price"] = np.arange(900) % 7
    said, text, space = proposed(frame)
    assert space.data.static == ("area", "size")
    assert space.data.features == ("sales", "price")
    assert "proposed: static: area: it never changes within a series\n" in said
    for name in ("country", "number"):
        assert f"left out: {name} " in said
    assert (
        "  # left out: country never changes, and is the same in all series: nothing to learn from"
        in text
    )
    assert "  # left out: number numbers the series\n" in text
    assert (
        "  static:                      # what never changes within a series\n"
        "    - area                     # categories north, south\n"
        "    - size                     # 3.5 to 8; missing in 300 rows\n" in text
    )
    channels = loaded(space)[1].channels
    assert {"area=north", "area=south", "size"} <= set(channels)
    accepted("shops.yaml")


def test_a_static_column_may_be_named(proposed: Proposed) -> None:
    frame = of_series({"A": 300, "B": 300})
    frame["area"] = np.repeat(["north", "south"], 300)
    frame["price"] = np.arange(600) % 7
    _, _, space = proposed(frame, "--features", "area")
    assert (space.data.features, space.data.static) == (("sales",), ("area",))


def test_many_kinds_are_left_out(proposed: Proposed) -> None:
    frame = of_series({f"s{number:02}": 40 for number in range(51)})
    frame["name"] = "Shop " + frame["shop"]
    said, _, space = proposed(frame)
    assert space.data.static == ()
    assert (
        "left out: name must have numbers, or at most 50 different texts, but has 51, the first of "
        "them 'Shop s00'\n" in said
    )


def test_a_flag_is_no_static_column(proposed: Proposed) -> None:
    """It has one value or none: nothing is what it is at all other times."""
    frame = of_series({"A": 400, "B": 400})
    promo = np.full(800, "", object)
    for start in np.random.default_rng(2).choice(790, 16, replace=False):
        promo[start : start + 3] = "yes"
    _, _, space = proposed(frame.assign(promo=promo))
    assert space.data.fill == {"promo": "none"}
    assert space.data.features == ("sales", "promo")


# The rules go over all series


def test_all_series_are_looked_at(proposed: Proposed) -> None:
    """Each column shows in the second series alone what it is."""
    frame = of_series({"A": 400, "B": 400})
    at, second = np.tile(np.arange(400), 2), np.repeat([False, True], 400)
    rng = np.random.default_rng(4)
    frame["No"] = at
    frame["price"] = np.where(second, at % 7, 5)
    frame["late"] = np.where(second & (at > 350), at, 5)
    frame["flow"] = np.where(second & (at % 50 == 9), -999, rng.normal(40, 3, 800).round(1))
    frame["wind"] = np.where(second & (at % 90 == 9), "?", (at % 11).astype(str))
    said, text, space = proposed(frame)
    assert space.data.features == ("sales", "price", "flow", "wind")
    assert space.data.missing == {"flow": (-999,), "wind": ("?",)}
    assert "    flow: [-999]               # in 8 rows\n" in text
    assert "left out: No counts the rows\n" in said
    late = "late never changes within a series before validation begins: nothing to learn from"
    assert f"left out: {late}\n" in said


def test_what_is_usual_in_one_series_stands_for_nothing_in_another() -> None:
    """-200 is far from all in A, and one of many numbers of B, which has it more often."""
    frame = of_series({"A": 400, "B": 400})
    rng = np.random.default_rng(5)
    flow = np.append(rng.normal(40, 3, 400).round(1), -rng.integers(180, 221, 400))
    flow[[7, 50, 90]] = -200
    assert (flow == -200).sum() > 6
    assert found(frame.assign(flow=flow)).reading.missing == {}
    flow[400:] = rng.normal(40, 3, 400).round(1)
    assert found(frame.assign(flow=flow)).reading.missing == {"flow": (-200,)}


def test_splits_go_by_the_rows_of_all_series() -> None:
    """A ends on 11 April, B begins with the year and ends with April: of 280 rows 60% are before
    10 March, and 80% before 7 April.
    """
    long = of_series({"A": 100, "B": 120, "C": 60}, "D", start="2021-01-01")
    proposal = found(long)
    times = np.sort(pd.to_datetime(long["at"]).to_numpy())
    borders = [proposal.validation_from, proposal.test_from]
    before = [int((times < np.datetime64(border)).sum()) for border in borders]
    assert before[0] >= 0.45 * 280
    assert before[1] - before[0] >= 0.12 * 280 <= 280 - before[1]
    assert proposal.training.sum() == before[0]


@pytest.mark.parametrize(
    ("lengths", "horizon", "told"),
    [
        (
            {"A": 30, "B": 20},
            1,
            "shops.csv: must have 100 rows or more with sales, and 25 of one series, of which "
            "validation and test take a fifth each, but has 50, and 30 of A, which has most; "
            "gather more",
        ),
        (
            dict.fromkeys("ABCDEF", 24),
            1,
            "25 of one series, of which validation and test take a fifth each, but has 144, and 24 "
            "of A, which has most; gather more",
        ),
        (
            dict.fromkeys("ABC", 299),
            12,
            "300 of one series, of which validation and test take a fifth each, but has 897, and "
            "299 of A, which has most; gather more, or ask for a smaller --horizon",
        ),
    ],
)
def test_too_few_rows_are_refused(
    home: Path, ask: Ask, lengths: dict[str, int], horizon: int, told: str
) -> None:
    of_series(lengths).to_csv("shops.csv", index=False)
    said = ask("shops.csv", "--target", "sales", "--horizon", horizon, status=2)
    assert said.endswith(f"{told}\n")


def test_short_series_have_chunks_as_short(proposed: Proposed) -> None:
    """Of 60 series with 40 hours each, 24 are before validation."""
    _, _, space = proposed(of_series({f"s{number:02}": 40 for number in range(60)}))
    assert space.fixed["chunk_length"] == 24
    assert loaded(space)[1].left_out == ()


def test_gaps_are_proposed_of_any_series(proposed: Proposed) -> None:
    frame = of_series({"A": 300, "B": 300}).drop(index=[450, 451])
    said, _, space = proposed(frame)
    assert space.data.gaps == "fill"
    assert "proposed: gaps: fill: 2 steps without a row became rows without values, the first" in (
        said
    )
    assert "2021-01-07 06:00:00 (B)\n" in said


def test_the_zone_is_seen_in_several_series(proposed: Proposed) -> None:
    wall = pd.date_range("2021-03-20", periods=6000, freq="h", tz="Europe/Berlin")
    at = wall.tz_localize(None)
    one = pd.DataFrame({"at": at, "sales": np.random.default_rng(0).normal(9, 1, 6000).round(2)})
    _, _, space = proposed(pd.concat([one.assign(shop="A"), one[200:].assign(shop="B")]))
    assert (space.data.zone, space.data.series) == ("Europe/Berlin", "shop")
    assert loaded(space)[0].index.bounds == (0, 6000, 11800)


def test_neighbours_are_for_series_of_one_time(proposed: Proposed) -> None:
    _, text, space = proposed(of_series({"A": 300, "B": 300}))
    assert space.data.neighbours is False
    (line,) = [line for line in text.splitlines() if "neighbours" in line]
    assert line == (
        "  neighbours: false            # true reads, as one more column, the mean of the others' "
        "target at the same time"
    )
    frame = of_series({"A": 300, "B": 300})
    frame.loc[300:, "at"] += pd.Timedelta(days=10)  # 60 of 300 hours in common
    _, text, _ = proposed(frame, "--series", "shop")
    assert "neighbours" not in text


# Several files


def test_files_are_series(home: Path, ask: Ask, accepted: Callable[[str], str]) -> None:
    (home / "shops").mkdir()
    for name, rows in of_series({"A": 300, "B": 300}).groupby("shop"):
        rows.drop(columns="shop").to_csv(f"shops/{name}.csv", index=False)
    said = ask("shops/*.csv", "--target", "sales")
    assert "shops.yaml: sales of 2 series by sales\n" in said
    assert "proposed: series: file: 2 series of 300 rows each\n" in said
    space = read_space("shops.yaml")
    assert space.data.series == "file"
    assert loaded(space)[0].index.names == ("A", "B")
    accepted("shops.yaml")


def test_a_column_of_the_files_comes_before_their_names(home: Path, ask: Ask) -> None:
    for name, rows in of_series({"A": 300, "B": 300}).groupby("shop"):
        rows.to_csv(f"{name}.csv", index=False)
    ask("*.csv", "--target", "sales")
    space = read_space("table.yaml")
    assert space.data.series == "shop"
    ask("*.csv", "--target", "sales", "--series", "file", "--output", "files.yaml")
    assert read_space("files.yaml").data.series == "file"


def test_files_of_one_name_are_refused() -> None:
    rows = of_series({"A": 300}).drop(columns="shop").to_csv(index=False).encode()
    with pytest.raises(TableError, match="must have a name of its own, but two are called A;"):
        propose({"x/A.csv": rows, "y/A.csv": rows}, "sales", series=("file",))


def test_copies_of_a_file_are_no_series(home: Path, ask: Ask) -> None:
    for name in "AB":
        of_series({"A": 300}).drop(columns="shop").to_csv(f"{name}.csv", index=False)
    ask("*.csv", "--target", "sales")
    data = read_space("table.yaml").data
    assert (data.series, data.duplicates) == (None, "last")


# Wide tables


def wide(**more: Any) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    meters = {f"MT_00{number}": rng.normal(9, 1, 400).round(3) for number in (1, 2, 3)}
    at = pd.date_range("2021-01-01", periods=400, freq="h")
    return pd.DataFrame({"at": at, **meters, "temp": rng.normal(9, 1, 400).round(2), **more})


def test_like_columns_are_told_of(proposed: Proposed) -> None:
    said, text, space = proposed(wide(), "--target", "MT_001")
    assert space.data.targets == ()
    assert space.data.features == ("MT_001", "MT_002", "MT_003", "temp")
    told = "2 columns are like it (MT_002, MT_003): --target 'MT_*' makes each of them a series of "
    assert f"MT_001: {told}one model\n" in said
    assert f"  target: MT_001               # {told}one model\n" in text
    _, text, _ = proposed(wide(), "--target", "temp")
    assert "  target: temp\n" in text


@pytest.mark.parametrize("target", ["MT_*", "MT_001,MT_002, MT_003", "MT_001,MT_*"])
def test_several_targets_are_a_series_each(
    proposed: Proposed, accepted: Callable[[str], str], target: str
) -> None:
    said, text, space = proposed(wide(), "--target", target)
    assert space.data.targets == ("MT_001", "MT_002", "MT_003")
    assert (space.data.target, space.data.features) == ("value", ("value", "temp"))
    assert "shops.yaml: value of 3 series by value, temp\n" in said
    assert "  targets: [MT_001, MT_002, MT_003] # 3 series of 400 rows each\n" in text
    table, _ = loaded(space)
    assert table.index.names == space.data.targets
    np.testing.assert_array_equal(table.frame["value"][400:800], wide()["MT_002"])
    assert "1,200 rows" in accepted("shops.yaml")


def test_some_of_the_like_columns_are_targets(proposed: Proposed) -> None:
    said, _, space = proposed(wide(), "--target", "MT_001,MT_003")
    assert space.data.targets == ("MT_001", "MT_003")
    assert space.data.features == ("value", "temp"), "the third one is another's target"
    assert "left out: MT_002 is like the targets, but not among them\n" in said
    _, _, space = proposed(wide(), "--target", "MT_001,MT_003", "--features", "MT_002")
    assert space.data.features == ("value", "MT_002")


def test_values_have_a_name_of_their_own(proposed: Proposed) -> None:
    _, _, space = proposed(wide(value=np.arange(400) % 9), "--target", "MT_*")
    assert (space.data.target, space.data.features) == ("value_2", ("value_2", "temp", "value"))


def test_many_targets_stand_in_several_lines(proposed: Proposed) -> None:
    names = [f"meter no. {number}" for number in range(60)]
    rng = np.random.default_rng(6)
    frame = pd.DataFrame(rng.normal(9, 1, (120, 60)).round(2), columns=names)
    frame.insert(0, "at", pd.date_range("2021-01-01", periods=120, freq="h"))
    _, text, space = proposed(frame, "--target", "meter*")
    assert space.data.targets == tuple(names)
    assert max(map(len, text.split("  target: ")[0].splitlines())) <= 100


def test_a_pattern_leaves_the_clock_out(proposed: Proposed) -> None:
    _, _, space = proposed(wide(), "--target", "*")
    assert space.data.targets == ("MT_001", "MT_002", "MT_003", "temp")
    _, _, space = proposed(wide()[["at", "temp"]], "--target", "*")
    assert (space.data.targets, space.data.target) == ((), "temp")


def test_targets_that_are_none_are_refused(home: Path, ask: Ask) -> None:
    wide().to_csv("shops.csv", index=False)
    for arguments, told in (
        (("MT_*", "--series", "temp"), "--series must stay away where --target names several col"),
        (("XY_*",), "no column is like 'XY_*'; there are at, MT_001, MT_002, MT_003, temp\n"),
        (
            ("MT_001,MT_004",),
            "shops.csv: no column 'MT_004'; there are at, MT_001, MT_002, MT_003, temp\n",
        ),
    ):
        assert told in ask("shops.csv", "--target", *arguments, status=2)


def test_names_come_before_patterns() -> None:
    header = ["a,b", "x*", "x1", "x2", "[z]"]
    assert match_columns("a,b", header, "f") == ("a,b",)
    assert match_columns("x*", header, "f") == ("x*",)
    assert match_columns("x[12]", header, "f") == ("x1", "x2")
    assert match_columns("[z],x1", header, "f") == ("[z]", "x1")
    assert match_columns("y", header, "f") == ("y",)


def test_all_like_columns_have_a_short_name() -> None:
    for name, like, header in (
        ("MT_001", "MT_002", ["at", "MT_001", "MT_002", "load"]),
        ("load [1]", "load [2]", ["at", "load [1]", "load [2]", "load 1"]),
    ):
        assert match_columns(name_all(name, [like]), header, "f") == (name, like)


@hypothesis_settings(
    max_examples=25,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(
    first=st.integers(2, 300),  # one row alone has no step
    others=st.lists(st.tuples(st.integers(1, 300), st.integers(0, 99)), min_size=1, max_size=5),
    step=st.sampled_from(["7s", "15min", "h", "D", "7D"]),
    missing=st.floats(0, 0.45),  # of a column that is mostly empty a study has its doubts
    horizon=st.sampled_from([1, 3]),
    seed=st.integers(0, 99),
)
def test_what_is_proposed_is_accepted(
    home: Path,
    ask: Ask,
    accepted: Callable[[str], str],
    first: int,
    others: list[tuple[int, int]],
    step: str,
    missing: float,
    horizon: int,
    seed: int,
) -> None:
    """Whatever lengths and starts series have, or it is said that they are too short."""
    rng, series = np.random.default_rng(seed), [(first, 0), *others]
    frame = of_series({f"s{number}": rows for number, (rows, _) in enumerate(series)}, step)
    late = np.repeat([start for _, start in series], [rows for rows, _ in series])
    frame["at"] += late * (pd.date_range("2021-01-01", periods=2, freq=step)[1] - START)
    frame.loc[rng.random(len(frame)) < missing, "sales"] = np.nan
    frame["sky"] = np.where(
        rng.random(len(frame)) < missing, "", rng.choice(["x", "y"], len(frame))
    )
    frame.to_csv("shops.csv", index=False)
    Path("shops.yaml").unlink(missing_ok=True)
    known = frame.groupby("shop")["sales"].count()
    enough = known.max() >= 25 * horizon and known.sum() >= 100
    arguments = ("shops.csv", "--target", "sales", "--series", "shop", "--horizon", horizon)
    said = ask(*arguments, status=0 if enough else 2)
    if not enough:
        assert "gather more" in said or "sales must have values, but has none" in said
        return
    assert f"{len(frame):,} rows" in accepted("shops.yaml")
    assert loaded(read_space("shops.yaml"))[0].index.names == tuple(sorted(known.index))
