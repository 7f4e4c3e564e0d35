"""Tables of many series: in long form, wide, a file each, or a DataFrame."""

import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lstm_model.configuration import DataSettings, Kind, Reading
from lstm_model.data.series_index import ONE_SERIES, SeriesIndex
from lstm_model.data.sources import load_dataset
from lstm_model.data.step import Step
from lstm_model.data.table import ParsedTable, parse_frame, parse_table
from lstm_model.errors import TableError

HOURS = pd.date_range("2021-03-01", periods=30, freq="h")
QUARTERS = pd.date_range("2021-03-01", periods=29, freq="15min")


def series(name: str, first: int = 0, rows: int = 30, start: float = 0.0, **more: Any) -> Any:
    """Rows of one series; its load counts up from `start`."""
    columns = {"site": name, "time": HOURS[first : first + rows], "load": start + np.arange(rows)}
    return pd.DataFrame({**columns, **more})


def csv(*frames: pd.DataFrame) -> bytes:
    return pd.concat(frames).to_csv(index=False).encode()


def read(
    files: bytes | dict[str, bytes],
    *more: str,
    static: tuple[str, ...] = (),
    neighbours: bool = False,
    step: Step | None = None,
    **keys: Any,
) -> ParsedTable:
    given = {"t.csv": files} if isinstance(files, bytes) else files
    reading = Reading.model_validate({"time": "time", "series": "site", **keys})
    target = "value" if reading.targets else "load"
    return parse_table(
        given,
        reading,
        target=target,
        features=(target, *more),
        horizon=1,
        static=static,
        neighbours=neighbours,
        step=step,
        kinds=None if step is None else dict.fromkeys((target, *more), "number"),
    )


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(TableError) as caught:
        call()
    return str(caught.value)


def by_name(table: ParsedTable) -> dict[str, "pd.Series[float]"]:
    target = "value" if "value" in table.frame else "load"
    return {name: table.frame[target].iloc[rows] for name, rows in table.index}


def test_series_stand_one_after_the_other_by_name() -> None:
    a, b = series("a", 5, 20, 100), series("b", 0, 30)
    together = pd.concat([b, a])
    expected = SeriesIndex(("a", "b"), (0, 20, 50))
    for table in (together, pd.concat([a, b]), together.sort_values("time", kind="stable")):
        parsed = read(csv(table))
        assert parsed.index == expected
        assert parsed.frame["load"].to_list() == [*range(100, 120), *range(30)]
        assert parsed.frame.index.equals(HOURS[5:25].append(HOURS).rename("time"))
        assert (parsed.step, parsed.repairs) == (Step(3600), ())


def test_one_series_is_the_same_with_and_without_its_column() -> None:
    random = np.random.default_rng(0)
    alone = series("a", load=random.normal(size=30), wind=random.choice(["N", "S"], 30))
    alone = alone.drop(index=[4, 5])
    plain = read(csv(alone), "wind", series=None, gaps="fill")
    named = read(csv(alone), "wind", gaps="fill")
    pd.testing.assert_frame_equal(plain.frame, named.frame, check_exact=True)
    assert (plain.index.names, named.index.names) == ((ONE_SERIES,), ("a",))
    assert plain.index.bounds == named.index.bounds == (0, 30)
    assert [repair.rows for repair in plain.repairs] == [repair.rows for repair in named.repairs]


def test_names_of_several_columns_are_joined() -> None:
    tables = [series(site, product=product) for site in "ba" for product in (2, 10)]
    assert read(csv(*tables), series=["site", "product"]).index.names == (
        "a/10",
        "a/2",
        "b/10",
        "b/2",
    )
    twice = csv(series("a/b", product="c"), series("a", product="b/c"))
    told = refusal(lambda: read(twice, series=["site", "product"]))
    assert "two are called a/b/c; leave '/' out of them" in told


@pytest.mark.parametrize("keys", [{}, {"missing": ["?"]}])
def test_a_row_of_no_series_is_refused(keys: dict[str, Any]) -> None:
    raw = csv(series("a"), series("" if not keys else "?", rows=3))
    told = refusal(lambda: read(raw, **keys))
    assert told.startswith("t.csv:32: site must say which series the row is of, but is missing")
    assert "(rows that break this: 3)" in told


def test_na_is_a_name() -> None:
    assert read(csv(series("NA"), series("b"))).index.names == ("NA", "b")


def test_numbers_of_a_parquet_file_are_names() -> None:
    buffer = io.BytesIO()
    pd.concat([series("").assign(site=float(name)) for name in (10, 9)]).to_parquet(buffer)
    assert read(buffer.getvalue()).index.names == ("10", "9")


def test_files_are_series() -> None:
    files = {f"in/{name}.csv.gz": csv(series(name, start=at)) for at, name in enumerate("ba")}
    table = read(files, series="file")
    assert table.index == SeriesIndex(("a", "b"), (0, 30, 60))
    assert table.frame["load"].iloc[[0, 30]].to_list() == [1, 0]
    same = {"x/a.csv": csv(series("a")), "y/a.csv": csv(series("a"))}
    assert "two are called a" in refusal(lambda: read(same, series="file"))


def test_a_column_of_that_name_comes_first() -> None:
    table = series("").assign(file="one")
    assert read({"x.csv": csv(table)}, series="file").index.names == ("one",)


def test_series_of_files_by_month() -> None:
    """Whatever the files' names say, each series' rows are taken in the order of time."""
    early = csv(series("a", 0, 15), series("b", 0, 15, 50))
    late = csv(series("b", 15, 15, 65), series("a", 15, 15, 15))
    table = read({"1-late.csv": late, "2-early.csv": early})
    assert table.frame["load"].to_list() == [*range(30), *range(50, 80)]


def test_two_files_of_one_number_are_refused() -> None:
    """1.0 is the number 1, here as in a column of names."""
    files = {"1.csv": csv(series("a")), "1.0.csv": csv(series("b"))}
    assert "but two are called 1;" in refusal(lambda: read(files, series="file"))


def test_neighbours_of_a_table_that_holds_one_series() -> None:
    message = refusal(lambda: read(csv(series("a")), neighbours=True))
    assert message.startswith("t.csv: neighbours must be false for one series, but there is no")
    assert message.endswith("other than a; set it so, or give more series")


def test_a_wide_tables_own_column_is_not_shadowed() -> None:
    wide = pd.DataFrame({"time": HOURS, "A": 1.0, "B": np.arange(30.0), "value": 7.0})
    message = refusal(lambda: read(csv(wide), series=None, targets=["A", "B"]))
    assert "target must be a name that no column has" in message
    assert "but got 'value'; give it another one" in message


def test_wide() -> None:
    wide = pd.DataFrame({"time": HOURS, "z": np.arange(30.0), "a": 100 + np.arange(30.0)})
    wide["temp"] = np.arange(30.0) / 2
    keys: dict[str, Any] = {"series": None, "targets": ["z", "a"], "gaps": "fill"}
    table = read(csv(wide.drop(index=3)), "temp", **keys)
    assert table.index == SeriesIndex(("z", "a"), (0, 30, 60)), "in the order asked for"
    values = table.frame["value"].to_numpy()
    assert np.flatnonzero(np.isnan(values)).tolist() == [3, 33]
    assert values[[0, 29, 30, 59]].tolist() == [0, 29, 100, 129]
    assert table.frame["temp"].iloc[[2, 32]].to_list() == [1, 1]
    (gaps,) = table.repairs
    assert (gaps.to_json()["gaps"], gaps.rows) == ("fill", 2), "of both series"

    wrong = wide.astype({"a": object}).replace({"a": {105: "x"}})
    told = refusal(lambda: read(csv(wrong), **keys))
    assert told.startswith("t.csv:7 (a): value must be numeric, as the target, but got 'x'")
    assert "no column 'b'" in refusal(lambda: read(csv(wide), series=None, targets=["z", "b"]))
    known = read(csv(wide), series=None, targets=["b", "a"], step=Step(3600))
    assert known.index.names == ("a",), "to forecast from, some of them will do"
    told = refusal(lambda: read(csv(wide), series=None, targets=["b"], step=Step(3600)))
    assert told == (
        "t.csv: the table must have a column of b, whose values are forecast, but has time, z, a, "
        "temp"
    )


def test_a_column_has_one_kind_in_all_series() -> None:
    """A series whose codes are all numbers is of categories, as the others."""
    raw = csv(series("a", kind="7"), series("b", kind="x"))
    assert "kind must be numeric" in refusal(lambda: read(raw, "kind"))
    table = read(raw, "kind", types={"kind": "category"})
    assert table.frame["kind"].iloc[[0, 30]].to_list() == ["7", "x"]


def test_repairs_are_summed() -> None:
    a, b = series("a").drop(index=[3, 4, 9]), series("b").drop(index=[7])
    table = read(csv(a[::-1], b[::-1]), gaps="fill")
    assert [str(repair) for repair in table.repairs] == [
        "56 rows, the last of which comes first: read backwards",
        "4 steps without a row became rows without values, the first 2021-03-01 03:00:00 (a)",
    ]
    twice = pd.concat([series("a"), series("a", 2, 1, 9), series("b"), series("b", 0, 1, 5)])
    table = read(csv(twice), duplicates="last")
    (repair,) = table.repairs
    assert (repair.rows, by_name(table)["a"].iloc[2], by_name(table)["b"].iloc[0]) == (2, 9, 5)
    mean = by_name(read(csv(twice), duplicates="mean"))
    assert (mean["a"].iloc[2], mean["b"].iloc[0]) == (5.5, 2.5)


@pytest.mark.parametrize(
    ("tables", "sentence"),
    [
        (
            [series("a"), series("b").drop(index=[3])],
            "t.csv:35 (b): the clock jumps from 2021-03-01 02:00:00 (line 34) to 2021-03-01 "
            "04:00:00, but rows must be 1 h apart (rows that break this: 1); in the data block, "
            "gaps: fill makes the 1 step without a row rows without values",
        ),
        (
            [series("a"), series("b").iloc[[0, 2, 1, *range(3, 30)]]],
            "t.csv:34 (b): the clock runs back from 2021-03-01 02:00:00 (line 33)",
        ),
        (
            [series("a"), series("b").assign(time=HOURS + pd.Timedelta(minutes=30))],
            "t.csv:32 (b): rows of all series must lie on one grid, 1 h apart, but those of b "
            "begin at 2021-03-01 00:30:00 and those of a at 2021-03-01 00:00:00",
        ),
        (
            [
                series("a"),
                series("b", rows=29, time=QUARTERS),
            ],
            "t.csv:33 (b): the clock jumps from 2021-03-01 00:00:00 (line 32) to 2021-03-01 "
            "00:15:00, but rows must be 1 h apart, as those of a",
        ),
    ],
    ids=["gap", "order", "grid", "step"],
)
def test_what_is_refused_names_the_series(tables: list[pd.DataFrame], sentence: str) -> None:
    assert refusal(lambda: read(csv(*tables))).startswith(sentence)


def test_a_longer_step_is_none_of_gaps() -> None:
    every_other = series("b").iloc[::2]
    told = refusal(lambda: read(csv(series("a"), every_other), gaps="fill"))
    assert "but those of b are 2 such steps apart" in told


def test_a_series_may_hold_little() -> None:
    """Few rows, of which most steps have none; one; or none of the target."""
    short, empty = series("a").iloc[[2, 9]], series("d", load=np.nan)
    table = read(csv(short, series("b"), series("c", 4, 1), empty), gaps="fill")
    assert table.index == SeriesIndex(("a", "b", "c", "d"), (0, 8, 38, 39, 69))
    assert table.step == Step(3600), "of the longest one"
    assert table.frame["load"].iloc[:8].notna().to_list() == [True, *[False] * 6, True]


def test_series_may_be_centuries_apart() -> None:
    early = series("a", time=HOURS - pd.Timedelta(days=320 * 365))
    assert read(csv(early, series("b"))).index.bounds == (0, 30, 60)


def test_too_many_gaps_are_refused() -> None:
    far = series("b", rows=2)
    far["time"] = [HOURS[0], HOURS[0] + pd.Timedelta(days=5000)]
    told = refusal(lambda: read(csv(series("a"), far), gaps="fill"))
    assert told.startswith("t.csv:33 (b): the clock jumps from 2021-03-01 00:00:00 (line 32)")
    assert "119,999 steps of its 120,001 have no row" in told
    few = [series(name).iloc[[0, 8]] for name in "bcd"]
    assert len(read(csv(series("a", rows=10), *few[:2]), gaps="fill").frame) == 28
    told = refusal(lambda: read(csv(series("a", rows=10), *few), gaps="fill"))
    assert told.startswith("t.csv:17 (d): the clock jumps"), "in all series there is no more room"


def test_zones_are_of_each_series() -> None:
    """The hour that autumn repeats is there twice in each of them."""
    hours = pd.date_range("2021-10-30", periods=60, freq="h", tz="Europe/Berlin")
    wall = hours.tz_localize(None)
    tables = [
        pd.DataFrame({"site": name, "time": wall, "load": np.arange(60.0)}) for name in ("a", "b")
    ]
    table = read(csv(*tables), zone="Europe/Berlin")
    assert table.frame.index.equals(hours.append(hours).rename("time"))


def test_months() -> None:
    months = pd.date_range("2020-01-31", periods=20, freq="ME")
    a = pd.DataFrame({"site": "a", "time": months, "load": 1.0})
    b = pd.DataFrame({"site": "b", "time": months[3:9], "load": 2.0})
    table = read(csv(a, b))
    assert (table.step, table.index.bounds) == (Step(1, "month end"), (0, 20, 26))
    other = b.assign(time=b["time"].dt.to_period("M").dt.start_time)
    assert "as those of a" in refusal(lambda: read(csv(a, other)))


def test_static() -> None:
    a = series("a", size=7.5, kind="hut").astype({"size": object})
    a.loc[4:, ["size", "kind"]] = ""
    b = series("b", size="", kind="tower").drop(index=[3])
    raw = csv(a, b)
    table = read(raw, static=("kind", "size"), gaps="fill")
    assert list(table.frame) == ["load", "kind", "size"]
    assert table.frame["kind"].to_list() == ["hut"] * 30 + ["tower"] * 30
    assert table.frame["size"].iloc[:30].to_list() == [7.5] * 30
    assert table.frame["size"].iloc[30:].isna().all()

    moved = csv(a, pd.concat([b.iloc[:20], b.iloc[20:].assign(kind="hut")]))
    told = refusal(lambda: read(moved, static=("kind",), gaps="fill"))
    assert told == (
        "t.csv:52 (b): kind must not change within a series, as it is static, but is hut here, "
        "and tower in earlier rows of b; make it one of the features, or correct it"
    )


def test_a_key_may_be_static() -> None:
    tables = [series(site, product=product) for site in "ab" for product in ("x", "y")]
    table = read(csv(*tables), series=["site", "product"], static=("product",))
    assert table.frame["product"].iloc[::30].to_list() == ["x", "y", "x", "y"]


def test_the_clock_of_a_table_to_forecast_from() -> None:
    """A series of one row, and others than in training, are no mistake."""
    table = read(csv(series("new", 3, 1), series("b")), step=Step(3600))
    assert table.index == SeriesIndex(("b", "new"), (0, 30, 31))
    told = refusal(lambda: read(csv(series("new").iloc[::2], series("b")), step=Step(3600)))
    assert told.startswith("t.csv:3 (new): the clock jumps")
    assert "put a row without values in for each of the 14 steps" in told


def test_values_of_one_series_never_reach_another() -> None:
    """But through neighbours, and never from the future."""
    random = np.random.default_rng(1)
    tables = {name: series(name, load=random.normal(size=30)) for name in "abc"}
    before = read(csv(*tables.values()), neighbours=True).frame
    tables["b"].loc[20:, "load"] += 100
    after = read(csv(*tables.values()), neighbours=True).frame
    changed = (before != after).to_numpy()
    expected = np.zeros((90, 2), bool)
    expected[50:60, 0] = True  # b's own load
    expected[[*range(20, 30), *range(80, 90)], 1] = True  # of a and c, at those hours alone
    np.testing.assert_array_equal(changed, expected)


def settings(file: str, **keys: Any) -> DataSettings:
    splits = {"validation_from": HOURS[10].isoformat(), "test_from": HOURS[20].isoformat()}
    return DataSettings(
        **{"source": file, "time": "time", "target": "load", "features": ["load"], **splits, **keys}
    )


def test_splits_need_one_series(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    late, constant = series("late", 12, 18), series("constant", load=1.0)
    Path("t.csv").write_bytes(csv(late, constant))
    told = refusal(lambda: load_dataset(settings("t.csv", series="site")))
    assert "none of the 2 has them: that of constant, which has most, has 10 in training" in told
    Path("t.csv").write_bytes(csv(constant, constant.assign(site="too")))
    told = refusal(lambda: load_dataset(settings("t.csv", series="site")))
    assert "load must change in one series or more" in told
    Path("t.csv").write_bytes(csv(late, constant, series("good")))
    dataset = load_dataset(settings("t.csv", series="site", static=["site"], neighbours=True))
    assert dataset.index == SeriesIndex(("constant", "good", "late"), (0, 30, 60, 78))
    assert list(dataset.frame) == ["load", "site", "neighbours"]


def test_doubts_hold_a_series_against_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large series is no doubt beside small ones, and -999 is one in each."""
    monkeypatch.chdir(tmp_path)
    values = np.arange(30.0)
    tables = [series("small"), series("large", load=1e6 + 1e5 * values)]
    Path("t.csv").write_bytes(csv(*tables))
    assert load_dataset(settings("t.csv", series="site")).doubts == ()
    for table in tables:
        table.loc[[3, 5, 6], "load"] = -999
    Path("t.csv").write_bytes(csv(*tables))
    (doubt,) = load_dataset(settings("t.csv", series="site")).doubts
    assert doubt.startswith("load is -999 in 6 rows")


def panel(frame: pd.DataFrame, *more: str, **keys: Any) -> Any:
    asked = {name: keys.pop(name) for name in ("static", "neighbours") if name in keys}
    reading = Reading.model_validate({"series": "site", **keys})
    target = "value" if reading.targets else "load"
    kinds: dict[str, Kind] = dict.fromkeys((target, *more), "number")
    return parse_frame(frame, reading, target=target, kinds=kinds, step=Step(3600), **asked)


def test_frames_are_read_as_their_csv() -> None:
    long = pd.concat([series("b", size=3), series("a", 5, 20, 100, size=4)])
    parsed = read(csv(long), static=("size",), neighbours=True)
    asked: dict[str, Any] = {"static": ("size",), "neighbours": True}
    by_clock = panel(long.set_index("time"), "size", time="time", **asked)
    by_column = panel(long, "size", time="time", **asked)
    for each in (by_clock, by_column):
        pd.testing.assert_frame_equal(each.frame, parsed.frame, check_exact=True)
        assert each.index == parsed.index


@pytest.mark.parametrize(
    ("ids", "names"),
    [
        ([1.0, 2.5], ("1", "2.5")),
        (pd.Categorical([3.0, 4.0]), ("3", "4")),
        ([1e17, 2.0], ("100000000000000000", "2")),
        (pd.to_datetime(["2024-01-01", "2024-01-02"]), ("2024-01-01", "2024-01-02")),
        (
            pd.to_datetime(["2024-01-01 00:00", "2024-01-01 06:00"]),
            ("2024-01-01 00:00:00", "2024-01-01 06:00:00"),
        ),
        ([" a ", "b"], ("a", "b")),
        (np.array([" a ", 7.0], object), ("7", "a")),
        ([False, True], ("False", "True")),
    ],
)
def test_a_frame_has_the_names_of_training(ids: Any, names: tuple[str, ...]) -> None:
    """Training goes through a CSV of it, a forecast does not; static columns tell the same."""
    site = pd.Series(ids).repeat(30).reset_index(drop=True)
    long = pd.concat([series(""), series("")], ignore_index=True).assign(site=site, kind=site)
    long["kind"] = long["kind"].astype("category") if site.dtype == np.float64 else site
    kinds: dict[str, Kind] = {"load": "number", "kind": "category"}
    asked: dict[str, Any] = {"series": "site", "static": ["kind"], "types": {"kind": "category"}}
    trained = load_dataset(settings("frame", **asked), long)
    later = parse_frame(
        long, trained.reading, target="load", kinds=kinds, step=Step(3600), static=("kind",)
    )
    assert trained.index.names == later.index.names == names
    pd.testing.assert_frame_equal(trained.frame, later.frame)


def test_whole_numbers_of_a_csv_are_named_without_a_point() -> None:
    raw = csv(series("1.0"), series("2.50"), series("v3.0"))
    assert read(raw).index.names == ("1", "2.50", "v3.0")


def test_names_leave_other_columns_their_bytes() -> None:
    """A frame is known by the hash of its CSV."""
    frame = series("a", size=1.5, day=HOURS[0].normalize())
    plain = frame.to_csv(index=False).encode()
    one = load_dataset(settings("frame"), frame)
    many = load_dataset(settings("frame", series="site", static=["size"]), frame)
    assert one.sha256 == many.sha256 == hashlib.sha256(plain).hexdigest()


def test_a_static_column_may_be_empty() -> None:
    long = pd.concat([series("b", size=np.nan), series("a", size=np.nan)])
    assert panel(long, "size", time="time", static=("size",)).frame["size"].isna().all()


def test_wide_frames() -> None:
    wide = pd.DataFrame({"z": np.arange(30.0), "a": 1.0, "temp": 5}, HOURS)
    given = panel(wide, "temp", series=None, targets=["z", "a"])
    assert given.index == SeriesIndex(("z", "a"), (0, 30, 60))
    assert given.frame["value"].to_list() == [*range(30), *[1] * 30]
    assert (given.frame["temp"] == 5).all()
    told = refusal(lambda: panel(wide, series=None, targets=["b"]))
    assert told.startswith("the table must have a column of b")


def test_what_is_refused_of_a_frame_names_the_series() -> None:
    long = pd.concat([series("b"), series("a").drop(index=[7])]).set_index("time")
    told = refusal(lambda: panel(long, time="time"))
    assert told.startswith("at 2021-03-01 08:00:00 (a): the clock jumps from 2021-03-01 06:00:00")
    told = refusal(lambda: panel(long.drop(columns="site"), time="time"))
    assert told.startswith("the table must have site, which series says")
    long = pd.concat([series("b"), series("a")]).astype({"load": object}).set_index("time")
    long.iloc[40, 1] = "x"
    told = refusal(lambda: panel(long, time="time"))
    assert told.startswith("at 2021-03-01 10:00:00 (a): load must be numeric")


def test_a_thousand_short_series() -> None:
    days = np.tile(pd.date_range("2021-01-01", periods=50).strftime("%Y-%m-%d"), 1000)
    names = np.repeat([f"s{number:03}" for number in range(1000)], 50)
    table = pd.DataFrame({"site": names, "time": days, "load": np.arange(50_000.0)})
    shuffled = table.sample(frac=1, random_state=0).sort_values("time", kind="stable")
    parsed = read(csv(shuffled))
    assert len(parsed.index) == 1000
    np.testing.assert_array_equal(parsed.frame["load"], table["load"])
