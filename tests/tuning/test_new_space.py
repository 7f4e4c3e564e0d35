"""Search spaces that are proposed for tables: what is found in them, and what is refused."""

import io
import json
import re
import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from lstm_model.command import run_app
from lstm_model.configuration import DataSettings
from lstm_model.data.simulation import simulate
from lstm_model.data.sources import load_dataset
from lstm_model.training.trainer import MIN_STEPS_PER_EPOCH
from lstm_model.wording import yaml_text
from tests.tuning.conftest import command
from tuning import new_space, run
from tuning.space.located_yaml import read_yaml
from tuning.space.proposal import splits
from tuning.space.schema import IntRange
from tuning.space.search_space import read_space

Ask = Callable[..., str]

GUIDE = Path(__file__).parents[2] / "docs" / "your-own-data.md"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working directory; the command's handler of SIGTERM goes with it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    handler = signal.getsignal(signal.SIGTERM)
    yield tmp_path
    signal.signal(signal.SIGTERM, handler)


@pytest.fixture
def ask(home: Path, capsys: pytest.CaptureFixture[str]) -> Ask:
    """What the command says to these arguments, asked in this process, to be quick."""

    def ask(*arguments: object, status: int = 0) -> str:
        got = run_app(new_space.app, [str(each) for each in arguments])
        said = capsys.readouterr()
        assert got == status, said.err
        assert (said.err == "") == (status == 0)
        return said.err or said.out

    return ask


@pytest.fixture
def accepted(home: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[str], str]:
    """What `python -m tuning.run --check` says of a file that it accepts."""

    def check(space: str) -> str:
        status = run_app(run.app, ["--space", space, "--check"])
        said = capsys.readouterr()
        assert (status, said.err) == (0, "")
        return said.out

    return check


def table(rows: int, step: str = "30min", start: str = "2021-03-01", **columns: Any) -> str:
    """A CSV with the clock `at`, a noisy `load` and these columns."""
    rng = np.random.default_rng(0)
    frame = {
        "at": pd.date_range(start, periods=rows, freq=step),
        "load": rng.normal(400, 30, rows).round(1),
        **columns,
    }
    return str(pd.DataFrame(frame).to_csv(index=False))


# What is found


def test_of_a_table_like_beijing_s_it_makes_the_shipped_space(home: Path, ask: Ask) -> None:
    simulate(seed=0).to_csv("air.csv", index=False)
    ask("air.csv", "--target", "pm2.5")
    found, shipped = read_space("air.yaml"), read_space("multivariate.yaml")
    same = ("target", "features", "horizon", "validation_from", "test_from", "folds")
    for key in same:
        assert getattr(found.data, key) == getattr(shipped.data, key), key
    assert found.data.time == ("year", "month", "day", "hour")
    assert found.data.calendar == ("hour_of_day", "day_of_week", "day_of_year")
    assert (found.search, found.study) == (shipped.search, shipped.study)
    assert found.initial_trials == shipped.initial_trials
    assert found.fixed == {**shipped.fixed, "chunk_length": 96}


def test_features_are_explained_and_what_is_left_out_too(home: Path, ask: Ask) -> None:
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


def test_flags_surveys_and_codes_are_called_what_they_are(home: Path, ask: Ask) -> None:
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
    assert splits(times) == (pd.Timestamp(validation_from), pd.Timestamp(test_from))


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
def test_the_clock_s_inputs_are_periods_that_training_sees_twice(
    home: Path, ask: Ask, step: str, rows: int, calendar: tuple[str, ...]
) -> None:
    (home / "load.csv").write_text(table(rows, step, "2010-01-01"))
    ask("load.csv", "--target", "load")
    assert read_space("load.yaml").data.calendar == calendar


@pytest.mark.parametrize(
    ("rows", "hidden", "layers", "chunk", "context", "epochs"),
    [
        (100, (8, 64), 1, 12, 3, 100),
        (1000, (8, 64), 1, 30, 7, 100),
        (2000, (8, 64), 1, 60, 15, 100),
        (9600, (8, 64), 1, 96, 24, 100),
        (19200, (16, 64), 2, 96, 24, 100),
        (30720, (16, 64), 2, 96, 24, 67),  # 23.5 steps an epoch: 18,000 training rows
        (43200, (16, 64), 2, 96, 24, 30),
    ],
)
def test_a_short_table_gets_small_models_and_short_chunks(
    home: Path,
    ask: Ask,
    rows: int,
    hidden: tuple[int, int],
    layers: int,
    chunk: int,
    context: int,
    epochs: int,
) -> None:
    """Of these rows 60% are for training, to within half an hour or row by row."""
    (home / "load.csv").write_text(table(rows, "s"))
    ask("load.csv", "--target", "load")
    space = read_space("load.yaml")
    size = space.search["hidden_size"]
    assert isinstance(size, IntRange)
    assert (size.low, size.high) == hidden
    assert ("num_layers" in space.search) == ("dropout" in space.search) == (layers == 2)
    assert [point.get("num_layers", 1) for point in space.initial_trials] == [1, layers]
    assert space.fixed["chunk_length"] == pytest.approx(chunk, abs=1 if rows < 9000 else 0)
    assert space.fixed["context_length"] == pytest.approx(context, abs=1)
    assert space.study.max_epochs == pytest.approx(epochs, abs=1)


def test_most_epochs_are_for_as_few_steps_as_training_makes() -> None:
    assert new_space.STEPS[0] == MIN_STEPS_PER_EPOCH


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


def test_features_that_are_named_are_taken_as_they_are(home: Path, ask: Ask) -> None:
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


# What is written

TRAPS = ["yes", "null", "~", "1e-4", ".5e3", "5:30", "2013-01-01", "a: b", "a #b", "- a", "[a", "é"]
TRAPS += ["'", '"', "\\", "a\nb", "\u2028", "\x7f", "\x00", "😀", "\ufeff", "{x}", "*a", "&a", "!a"]


@hypothesis_settings(max_examples=200, derandomize=True, database=None, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(TRAPS))
def test_any_name_is_read_as_it_was(name: str) -> None:
    text = yaml_text(name)
    assert "\n" not in text
    assert read_yaml(f"a: [{text}, x]\nb:\n  - {text}  # x").data == {"a": [name, "x"], "b": [name]}


def test_names_that_yaml_would_take_for_something_else(
    home: Path, ask: Ask, accepted: Callable[[str], str]
) -> None:
    names = ["yes", "1e-4", 'a: b # "c"\nd', "null", "\x1b[31m", "Größe €"]
    rng = np.random.default_rng(0)
    columns = {name: rng.normal(0, 1, 200).round(3) for name in names}
    columns["é"] = np.array(["x: y", "# z", "\x07"])[rng.integers(0, 3, 200)]
    file = "the load's.csv"
    text = table(200, "30min", "2021-03-01", **columns)
    (home / file).write_text(text.replace("load", "true", 1))
    said = ask(file, "--target", "true")
    assert "python -m tuning.run --space 'the load'\"'\"'s.yaml'" in said
    assert "\x1b" not in said
    data = read_space("the load's.yaml").data
    assert (data.target, data.features) == ("true", ("true", *names, "é"))
    accepted("the load's.yaml")


def test_it_goes_to_standard_output_where_asked(home: Path, ask: Ask) -> None:
    (home / "load.csv").write_text(table(300))
    said = ask("load.csv", "--target", "load", "--output", "-")
    assert [each.name for each in home.iterdir()] == ["load.csv"]
    ask("load.csv", "--target", "load")
    assert (home / "load.yaml").read_text() == said


def test_the_table_is_found_from_wherever_the_space_lies(
    home: Path, ask: Ask, accepted: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "spaces").mkdir()
    for file in ("load.csv", "beijing"):  # which means something else to a study
        (home / file).write_text(table(300))
        ask(file, "--target", "load", "--output", f"spaces/{file}.yaml")
        ask(home / file, "--target", "load", "--output", f"absolute {file}.yaml")
        ask(file, "--target", "load", "--output", f"{file}.yaml")
        for space in (f"{file}.yaml", f"absolute {file}.yaml", f"spaces/{file}.yaml"):
            assert "300 rows, one every 30 min" in accepted(space)
    monkeypatch.chdir(home / "spaces")
    assert "300 rows" in accepted("load.csv.yaml")


@hypothesis_settings(
    max_examples=25,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(
    rows=st.integers(100, 900),
    step=st.sampled_from(["7s", "5min", "15min", "3h", "5h", "D", "36h", "7D"]),
    start=st.datetimes(pd.Timestamp("1900-01-01"), pd.Timestamp("2090-01-01")),
    missing=st.floats(0, 0.7),
    horizon=st.sampled_from([1, 2, 12]),
    seed=st.integers(0, 99),
)
def test_what_is_proposed_is_accepted(
    home: Path,
    ask: Ask,
    accepted: Callable[[str], str],
    rows: int,
    step: str,
    start: Any,
    missing: float,
    horizon: int,
    seed: int,
) -> None:
    """And each part of the table has three horizons, or it is said that it is too short."""
    rng = np.random.default_rng(seed)
    begin = pd.Timestamp(start).floor("s")
    columns = {
        "load": np.where(rng.random(rows) < missing, np.nan, rng.normal(400, 30, rows).round(1)),
        "sky": np.where(rng.random(rows) < missing, "", rng.choice(["x", "y"], rows)),
    }
    (home / "load.csv").write_text(table(rows, step, str(begin), **columns))
    (home / "load.yaml").unlink(missing_ok=True)
    known = int(np.isfinite(columns["load"]).sum())
    least = max(100, 25 * horizon)
    enough = known >= least
    said = ask("load.csv", "--target", "load", "--horizon", horizon, status=0 if enough else 2)
    if not enough:
        assert said.startswith(f"load.csv: must have {least} rows or more with load, ")
        assert f"but has {known}; gather more" in said
        return
    assert f"{rows} rows" in accepted("load.yaml")
    data = read_space("load.yaml").data
    times = pd.date_range(begin, periods=rows, freq=step)[np.isfinite(columns["load"])]
    borders = [pd.Timestamp(each) for each in (data.validation_from, data.test_from)]
    parts = np.diff([0, *(int((times < each).sum()) for each in borders), known])
    assert parts[0] >= 0.45 * known
    assert min(parts[1:]) >= max(0.12 * known, 3 * horizon) - 1


# What is refused


def text_of(rows: int, **changes: str) -> str:
    """table() with some lines replaced, line_2 being the first row."""
    lines = table(rows).splitlines()
    for key, line in changes.items():
        lines[int(key.removeprefix("line_")) - 1] = line
    return "\n".join(lines)


def test_a_file_behind_a_link_is_the_one_that_was_read(home: Path, ask: Ask) -> None:
    """`..` leads out of the folder that a link names, not to where the link lies."""
    (home / "deep" / "a" / "b").mkdir(parents=True)
    (home / "link").symlink_to(home / "deep" / "a" / "b")
    (home / "load.csv").write_text(table(200))
    ask("load.csv", "--target", "load", "--output", "link/x.yaml")
    assert "source: ../../../load.csv" in (home / "link" / "x.yaml").read_text()


@pytest.mark.parametrize(
    ("content", "arguments", "told"),
    [
        pytest.param(
            table(99),
            (),
            "load.csv: must have 100 rows or more with load, of which validation and test take a "
            "fifth each, but has 99; gather more\n",
            id="too short",
        ),
        pytest.param(
            table(599),
            ("--horizon", 24),
            "load.csv: must have 600 rows or more with load, of which validation and test take a "
            "fifth each, but has 599; gather more, or ask for a smaller --horizon\n",
            id="too short for the horizon",
        ),
        pytest.param(
            table(200),
            ("--target", "laod"),
            "load.csv: no column 'laod'; did you mean 'load'?\n",
            id="unknown target",
        ),
        pytest.param(
            table(200),
            ("--target", "", "--features", "x,load", "--time", "At"),
            "load.csv: no column ''; there are at, load\n"
            "load.csv: no column 'At'; did you mean 'at'?\n"
            "load.csv: no column 'x'; there are at, load\n",
            id="several unknown columns",
        ),
        pytest.param(
            text_of(200, line_9="2021-03-01 03:30:00,4x"),
            (),
            "load.csv:9: load must be numeric, as the target, but got '4x'; write it as a "
            "plain number, without a unit or another sign, or leave it empty\n",
            id="a target with a text in it",
        ),
        pytest.param(
            table(200, load=["low", "high"] * 100),
            (),
            "load.csv:2: load must be numeric, as the target, but got 'low'; if it stands for "
            "missing, say so in the data block: missing: {load: [low]}\n",
            id="a target of texts",
        ),
        pytest.param(
            table(200, load=""),
            (),
            "load.csv: load must have values, but has none in any row\n",
            id="a target without values",
        ),
        pytest.param(
            table(200, load=5),
            (),
            "load.csv: load must change, but before test_from (2021-03-04 00:00:00) it is always "
            "5\n",
            id="a target that never changes",
        ),
        pytest.param(
            table(200, load=[5, 6] * 47 + [0] * 106),
            (),
            "load must change in validation, but never does, and no skill can be told; move "
            "validation_from or test_from (which were to be 2021-03-03 and 2021-03-04): write a "
            "space by hand, from one in search_spaces/\n",
            id="a target that changes in training alone",
        ),
        pytest.param(
            text_of(200, line_9="2021-03-01 03:31:00,5"),
            (),
            "load.csv:9: the clock jumps from 2021-03-01 03:00:00 (line 8) to 2021-03-01 03:31:00, "
            "but rows must be 0 days 00:30:00 apart, as most are; leave empty what is not known "
            "(rows that break this: 2)\n"
            "load.csv: its times are irregular, or some are wrong: the longest jump is from "
            "2021-03-01 03:00:00 to 2021-03-01 03:31:00; correct them, or gather them in steps of "
            "one length first\n",
            id="uneven clock",
        ),
        pytest.param(
            table(200, "h", "9999-12-23 14:00"),
            ("--horizon", "3"),
            "load.csv:201: the clock must end 3 rows or more before the year 10000, as what is "
            "forecast has no time then, but ends at 9999-12-31 21:00:00 with rows 0 days 01:00:00 "
            "apart; correct its years, or end the table earlier\n",
            id="no room for what is forecast",
        ),
        pytest.param(
            "when,load\n31/01/2021 00:00,5\n31/01/2021 01:00,6\n",
            (),
            "load.csv: the clock must be a column of times such as 2013-01-31 13:00, year first, "
            "or the columns year, month, day and then any of hour, minute, second, but the first "
            "row has when = '31/01/2021 00:00', load = '5'\n"
            "load.csv: when has the day first; in Python:\n"
            "    import pandas as pd\n"
            "    table = pd.read_csv('load.csv', dtype=str, keep_default_na=False)\n"
            "    table['when'] = pd.to_datetime(table['when'], format='%d/%m/%Y %H:%M')\n"
            "    table.to_csv('load-read.csv', index=False)\n",
            id="no clock",
        ),
        pytest.param(
            table(200),
            ("--time", "load"),
            "load.csv:2: load = '403.8': must be a time such as 2013-01-31 13:00, year first, "
            "without a zone\n",
            id="no such clock",
        ),
        pytest.param(
            table(200),
            ("--time", "load,at"),
            "time must name one column, or year, month, day and then any of hour, minute, second, "
            "in this order, but got [load, at]\n",
            id="no parts of a clock",
        ),
        pytest.param(
            table(200, names=[f"x{row}" for row in range(200)]),
            ("--features", "names"),
            "load.csv: names must have numbers, or at most 50 different texts, but has 200, the "
            "first of them 'x0'\n",
            id="a feature that can't be read",
        ),
        pytest.param(
            "at,load\n",
            (),
            "load.csv: must have 2 rows or more, but has 0 below its header\n",
            id="a header alone",
        ),
        pytest.param("", (), "load.csv: must have a header and rows, but is empty\n", id="empty"),
        pytest.param(
            table(200).replace(",", ";"),
            (),
            "load.csv: must have commas between values, but has ';'\n"
            "load.csv: its values have ';' between them; in Python:\n"
            "    import pandas as pd\n"
            "    table = pd.read_csv('load.csv', sep=';', dtype=str, keep_default_na=False)\n"
            "    table.to_csv('load-read.csv', index=False)\n",
            id="semicolons",
        ),
        pytest.param(
            b"\x89PNG\r\n\x1a\n\0",
            (),
            "load.csv:3: must be UTF-8 text, but isn't\n"
            "load.csv: it is no text: save the table as CSV, in UTF-8\n",
            id="no CSV",
        ),
        pytest.param(
            text_of(200, line_9="2021-03-01 03:30:00,5,6"),
            (),
            "load.csv:9: must have 2 values, one a column, but has 3\n",
            id="ragged",
        ),
        pytest.param(
            "at,load,load\n2021-03-01,5,5\n2021-03-02,6,6\n",
            (),
            "load.csv: two columns have the name 'load'\n"
            "load.csv: the columns are 'at', 'load', 'load'\n",
            id="a name twice",
        ),
        pytest.param(
            None,
            (),
            "load.csv: can't be read: No such file or directory; give the path of a CSV\n",
            id="no file",
        ),
        pytest.param(
            table(200),
            ("--output", "gone/x.yaml"),
            "--output must lie in a folder that is there, but gone is none\n",
            id="no folder",
        ),
        pytest.param(
            table(200),
            ("--output", "x" * 300),
            f"--output must be a file that can be written, but got '{'x' * 300}': File name too "
            "long; choose another name\n",
            id="a name that no file can have",
        ),
        pytest.param(
            table(200),
            ("--output", "load.csv"),
            "load.csv exists; choose another --output, or remove it first\n",
            id="a file that exists",
        ),
        pytest.param(table(200), ("--horizon", 0), "'--horizon'", id="no horizon"),
    ],
)
def test_what_is_refused(
    home: Path, ask: Ask, content: str | bytes | None, arguments: tuple[object, ...], told: str
) -> None:
    if content is not None:
        (home / "load.csv").write_bytes(content.encode() if isinstance(content, str) else content)
    before = {file: file.read_bytes() for file in home.iterdir()}
    said = ask("load.csv", "--target", "load", *arguments, status=2)
    assert said == told if told.endswith("\n") else told in said, said
    assert {file: file.read_bytes() for file in home.iterdir()} == before


def test_a_file_that_is_there_is_left_alone(home: Path, ask: Ask) -> None:
    (home / "load.csv").write_text(table(200))
    (home / "load.yaml").write_text("mine")
    said = ask("load.csv", "--target", "load", status=2)
    assert said == "load.yaml exists; choose another --output, or remove it first\n"
    said = ask("load.csv", "--target", "laod", status=2)
    assert said == "load.csv: no column 'laod'; did you mean 'load'?\n", "that comes first"
    assert (home / "load.yaml").read_text() == "mine"


# From a table to forecasts


def test_the_guide_s_keys_are_keys() -> None:
    (block,) = re.findall(r"^```yaml\n(.*?)^```$", GUIDE.read_text(), re.M | re.S)
    located = read_yaml(block)
    assert isinstance(located.data, dict)
    data = located.data["data"]
    columns = {name for value in data.values() if isinstance(value, dict) for name in value}
    settings = {"target": "load", "features": ["load", *sorted(columns - {"load"})]}
    dates = {"validation_from": "2021-01-01", "test_from": "2022-01-01"}
    read = DataSettings.model_validate({**data, **settings, **dates})
    assert read.missing == {"load": (-200,), "temp": ("?",)}
    assert (read.fill, read.decimal) == ({"rain": 0, "holiday": "none"}, ",")
    assert read.types == {"direction": "category"}


def test_the_guide_s_lines_make_a_table_of_what_excel_wrote(
    home: Path, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = pd.date_range("2021-01-01", periods=200).delete(17)
    sold = np.random.default_rng(0).normal(1400, 90, len(days)).round(1)
    sales = pd.DataFrame(
        {"Datum": days.strftime("%d.%m.%Y"), "Erlös": sold, "promotion": np.arange(199) % 9 // 8}
    )
    sales.to_csv("sales.csv", sep=";", decimal=",", encoding="latin-1", index=False)
    assert "must be UTF-8 text" in ask("sales.csv", "--target", "Erlös", status=2)
    convert, ahead = re.findall(r"^```python\n(.*?)^```$", GUIDE.read_text(), re.M | re.S)
    variables: dict[str, Any] = {}
    exec(convert + ahead, variables)
    variables["table"].to_csv("ahead.csv")
    for file in ("daily", "ahead"):
        ask(f"{file}.csv", "--target", "Erlös")
    daily, ahead = (
        load_dataset(read_space(f"{each}.yaml").data).frame for each in ("daily", "ahead")
    )
    assert list(daily.columns) == ["Erlös", "promotion"]
    assert list(ahead.columns) == ["Erlös", "promotion", "promotion+1", "promotion+2"]
    assert (len(daily), daily["Erlös"].isna().sum()) == (200, 1)
    np.testing.assert_allclose(daily["Erlös"].dropna(), sold)
    row = ahead.iloc[100]
    assert [row["promotion+1"], row["promotion+2"]] == list(ahead["promotion"].iloc[101:103])


def half_hours(file: Path) -> pd.DataFrame:
    """50 days of a load that a gust moves by 8 a unit, and clouds by 5, in the next half hour.

    What no model can know has a standard deviation of 4. Of the sky a tenth is missing.
    """
    rng = np.random.default_rng(7)
    at = pd.date_range("2021-03-01", periods=2400, freq="30min")
    rows = len(at)
    gust = rng.normal(0, 1, rows).round(3)
    cloudy = np.cumsum(rng.random(rows) < 0.1) % 2
    load = np.full(rows, 400.0)
    for row in range(1, rows):
        pull = 0.9 * (load[row - 1] - 400) + 8 * gust[row - 1] + 10 * cloudy[row - 1] - 5
        load[row] = 400 + pull + rng.normal(0, 4)
    load[[50, 51, 900, 2000]] = np.nan
    frame = pd.DataFrame(
        {
            "No": range(1, rows + 1),
            **{part: getattr(at, part.lower()) for part in ("Year", "Month", "Day", "Hour")},
            "Minute": at.minute,
            "load": load.round(1),
            "gust: m/s": gust,
            "sky": np.where(rng.random(rows) < 0.1, None, np.array(["clear", "cloudy"])[cloudy]),
            "site": "north",
        }
    )
    frame.to_csv(file, index=False)
    return frame


@pytest.mark.slow
def test_from_a_csv_to_forecasts(tmp_path: Path, environment: dict[str, str]) -> None:
    """Every command of the guide, with fewer epochs, on the table that it tells of."""
    frame = half_hours(tmp_path / "load.csv")
    frame.tail(400).to_csv(tmp_path / "recent.csv", index=False)

    def python(module: str, *arguments: object) -> str:
        done = command(module, tmp_path, environment, *arguments)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    said = []
    for line in re.findall(r"^\$ python -m (.*)", GUIDE.read_text(), re.MULTILINE):
        module, *arguments = shlex.split(line)
        if "--trials" in arguments:
            arguments += ["--trials", "2", "--max-epochs", "20"]
        if "--seeds" in arguments:
            arguments += ["--seeds", "2"]
        said.append((module, python(module, *arguments)))
    assert [module.rpartition(".")[2] for module, _ in said] == [
        *("new_space", "run", "run", "new_space", "compare", "forecast")
    ]
    texts = [text for _, text in said]
    assert "load.yaml: load by load, gust: m/s, sky\nleft out: No counts the rows\n" in texts[0]
    assert "2,400 rows, one every 30 min" in texts[1]
    assert "load, gust: m/s, sky=clear, sky=cloudy, hour_of_day:sin," in texts[1]
    assert "Study power-load: 2 trials are there" in texts[4]

    found = json.loads((tmp_path / "runs" / "power" / "comparison.json").read_text())
    assert found["verdict"].startswith(
        "load (3 features) forecasts load better than alone (1 feature) at 1 to 2 of 2 lead times: "
    )
    rmse = {name: model["rmse"]["1"] for name, model in found["models"].items()}
    assert 3.8 < rmse["load"] < 6.0
    # To who can't see them, gusts and clouds are noise: sqrt(4**2 + 8**2 + 5**2) = 10.2.
    assert 9.0 < rmse["alone"] < 12.0

    calm = pd.read_csv(io.StringIO(texts[5]))
    assert list(calm["valid_time"]) == ["2021-04-20 00:00", "2021-04-20 00:30"]
    recent = frame.tail(400)
    recent.loc[recent.index[-1:], "gust: m/s"] += 2  # which is 16 in the next half hour
    recent.to_csv(tmp_path / "recent.csv", index=False)
    model = tmp_path / "runs" / "power" / "models" / "load"
    text = python("lstm_model.forecast", "--model", model, "--data", "recent.csv")
    gusty = pd.read_csv(io.StringIO(text))
    assert 8 < gusty["forecast"][0] - calm["forecast"][0] < 20
