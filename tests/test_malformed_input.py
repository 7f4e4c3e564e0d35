"""Whatever is malformed is refused in plain words, and leaves nothing behind.

Most cases are malformed, or sound, by construction, and the readers must agree; where a random cut
or edit decides, they may take either side. Malformed inputs are counted once each.
"""

import io
import json
import os
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lstm_model.command import run_app
from lstm_model.configuration import DataSettings
from lstm_model.data.sources import load_dataset
from lstm_model.errors import InputError
from tests.builders import epoch_report, study_view
from tuning import compare, run
from tuning.space.located_yaml import DEEPEST
from tuning.space.search_space import read_space
from tuning.study.study import Study

# How many different malformed inputs each kind must really have tried.
LEAST = {
    "space: keys": 160,
    "space: values": 530,
    "space: text": 220,
    "table: cells": 380,
    "table: lines": 250,
    "table: text": 320,
    "command: flags": 450,
    "command: studies": 300,
}


def fuzz(examples: int) -> settings:
    return settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


def test_two_thousand_are_asked_for() -> None:
    assert sum(LEAST.values()) >= 2000


class Tried:
    """The different malformed inputs of a kind that were refused."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.inputs: set[object] = set()

    def enough(self) -> None:
        assert len(self.inputs) >= LEAST[self.kind], f"{self.kind}: {len(self.inputs)}"

    def judge(self, content: object, message: str | None, malformed: bool | None) -> None:
        """Hold a verdict, None where nobody can know, against the message of a refusal, if any."""
        if malformed is not None:
            assert malformed == (message is not None), (message, content)
        if message is not None:
            plain(message)
            self.inputs.add(content)


def plain(message: str) -> None:
    assert message.strip()
    assert "Traceback" not in message


def listing(folder: Path) -> dict[str, tuple[int, int, int]]:
    """All that lies below, and whether it was touched."""
    found = {}
    for place, folders, files in os.walk(folder):
        for name in (".", *folders, *files):
            seen = os.lstat(os.path.join(place, name))
            found[os.path.join(place, name)] = (seen.st_mode, seen.st_size, seen.st_mtime_ns)
    return found


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, two below what is watched, without a network's data."""
    folder = tmp_path / "up" / "home"
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("LSTM_TUNING_DATA", str(tmp_path / "nowhere"))
    return folder


# Search spaces

SPACE: dict[str, Any] = {
    "version": 1,
    "data": {
        "source": "air.csv",
        "fallback": "simulated",
        "time": "time",
        "target": "pm",
        "features": ["pm", "temp", "wind"],
        "calendar": ["day_of_week"],
        "horizon": 2,
        "validation_from": "2020-01-03",
        "test_from": "2020-01-04",
        "folds": 1,
    },
    "study": {
        "trials": 4,
        "max_epochs": 3,
        "sampler": "tpe",
        "scheduler": "asha",
        "seed": 0,
    },
    "resources": {"cpu": 1.0, "gpu": 0.0},
    "search": {
        "hidden_size": {"type": "int", "low": 8, "high": 64, "step": 8},
        "num_layers": {"type": "int", "low": 1, "high": 2},
        "dropout": {"type": "float", "low": 0.0, "high": 0.4, "when": {"num_layers": [2]}},
        "learning_rate": {"type": "float", "low": 0.001, "high": 0.02, "log": True},
        "huber_delta": {"type": "categorical", "choices": [0.1, 0.5]},
    },
    "fixed": {"context_length": 12, "loss": "huber"},
    "initial_trials": [{"hidden_size": 16, "num_layers": 2, "dropout": 0.1}],
}

Place = tuple[str | int, ...]
Change = Mapping[tuple[str, Place], str]


def children(value: object) -> list[tuple[str | int, Any]]:
    if isinstance(value, dict):
        return list(value.items())
    return list(enumerate(value)) if isinstance(value, list) else []


def places(value: object, here: Place = ()) -> Iterator[tuple[Place, Any]]:
    for key, below in children(value):
        yield (*here, key), below
        yield from places(below, (*here, key))


PLACES = dict(places(SPACE))
KEYS = [place for place in PLACES if isinstance(place[-1], str)]
NUMBERS = [p for p, value in PLACES.items() if type(value) in (int, float)]
WHOLE = [place for place in NUMBERS if type(PLACES[place]) is int]
DATES: list[Place] = [("data", "validation_from"), ("data", "test_from")]
FREE: list[Place] = [
    *(("data", key) for key in ("source", "time")),
    *(("data", "features", index) for index in (1, 2)),
]
WORDS = [p for p, value in PLACES.items() if isinstance(value, str) and p not in [*DATES, *FREE]]
BLOCKS = [place for place, value in PLACES.items() if isinstance(value, dict)]
LISTS = [place for place, value in PLACES.items() if isinstance(value, list)]
# What may be missing: it has a default, or nothing depends on it. `when` is something else: it
# names a value or a list.
DEFAULTED: list[Place] = [
    *(("data", key) for key in ("source", "fallback", "time", "calendar", "horizon", "folds")),
    *(("study", key) for key in SPACE["study"]),
    *((block,) for block in ("study", "resources", "fixed", "initial_trials")),
    *(("resources", key) for key in ("cpu", "gpu")),
    *(("fixed", key) for key in ("context_length", "loss")),
    *(("initial_trials", 0, key) for key in ("hidden_size", "dropout")),
    *(("search", *keys) for keys in (("learning_rate", "log"), ("learning_rate",))),
    *(("search", *keys) for keys in (("huber_delta",), ("hidden_size", "step"))),
    ("search", "dropout", "when"),
]
MANDATORY = [
    place
    for place in KEYS
    if place not in [*DEFAULTED, ("data", "target")]
    and place[:1] in [("version",), ("data",), ("search",)]
    and place != ("search",)
] + [("initial_trials", 0, "num_layers")]


def flow(value: object, change: Change, here: Place = ()) -> str:
    """A value as YAML's flow style has it, with raw text where it was changed."""
    if ("value", here) in change:
        return change["value", here]
    if isinstance(value, dict):
        return "{" + ", ".join(entries(value, change, here)) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(flow(v, change, (*here, i)) for i, v in enumerate(value)) + "]"
    return json.dumps(value)


def entries(block: dict[str, Any], change: Change, here: Place) -> Iterator[str]:
    for key, value in block.items():
        place = (*here, key)
        if ("gone", place) in change:
            continue
        entry = f"{change.get(('key', place), key)}: {flow(value, change, place)}"
        yield entry
        if ("twice", place) in change:
            yield entry


def document(change: Change) -> bytes:
    return "\n".join(entries(SPACE, change, ())).encode() + b"\n"


def read(raw: bytes, home: Path) -> str | None:
    """Why these bytes are no search space; nothing may be written beside them."""
    file = home / "space.yaml"
    file.write_bytes(raw)
    before = listing(home.parents[1])
    try:
        read_space("space.yaml")
    except InputError as error:
        return str(error)
    finally:
        assert listing(home.parents[1]) == before
    return None


def test_the_space_itself_is_sound(home: Path) -> None:
    assert read(document({}), home) is None


@st.composite
def misspelt(draw: st.DrawFn) -> Change:
    place = draw(st.sampled_from(KEYS))
    key = str(place[-1])
    wrong = draw(
        st.sampled_from(
            [key + "x", key[1:] + "_", key.upper(), f"!!str {key}", f"&a {key}", f"? {key}", "<<"]
            + ["[a, b]", "{a: b}", "yes", "5:30", "null", "''", "*a", '"\\ud800"', "[" * 3000]
        )
    )
    return {("key", place): wrong}


def test_keys_of_a_space(home: Path) -> None:
    tried = Tried("space: keys")
    lost = st.sampled_from(MANDATORY).map(lambda place: {("gone", place): ""})
    twice = st.sampled_from(KEYS).map(lambda place: {("twice", place): ""})

    @fuzz(200)
    @given(misspelt() | lost | twice)
    def malformed(change: Change) -> None:
        # `? key` is YAML's long way to write a key.
        sound = any(kind == "key" and text.startswith("? ") for (kind, _), text in change.items())
        tried.judge(document(change), read(document(change), home), None if sound else True)

    for place in DEFAULTED:
        assert read(document({("gone", place): ""}), home) is None, place
    malformed()
    tried.enough()


def quoted(text: str) -> str:
    return json.dumps(text)


LETTERS = st.text("abcdefghijklmnopqrstuvwxyz -_.:#?'äµ½\u2028", min_size=1, max_size=12)
TRAPS = ["yes", "no", "on", "5:30", "0x10", "0o17", "1_000", "1e", "1.2.3", "--1", "2013-01-01"]
BEYOND = [".nan", ".inf", "-.inf", "1e999", "-1", "-0.5", "-" + "9" * 5000, "true", "null"]
NEVER = st.sampled_from(
    ["!!python/object:os.system x", "!!python/object/apply:os.system [x]", "!!binary aGk=", "!x 1"]
    + ["&a 1", "*a", "'", '"', "[", "{", "]", "}}", "@1", "`1`", "%1", "|", ">", "\t- 1", '"\\x"']
    + ['"\\ud800"', '"\\U00110000"', "{<<: {a: 1}}", "{a: 1, a: 1}", "{[a]: 1}", "{1: {2: 3}}"]
) | st.integers(DEEPEST, 300).map(lambda deep: "[" * deep + "]" * deep)
HUGE = st.integers(2**31, 10**60).map(str)


def value(where: list[Place], what: st.SearchStrategy[str]) -> st.SearchStrategy[Change]:
    return st.builds(lambda place, text: {("value", place): text}, st.sampled_from(where), what)


NOT_NUMBERS = st.sampled_from([*TRAPS, *BEYOND, "[1]", "{}"]) | LETTERS.map(quoted)
MALFORMED_VALUES = (
    value(list(PLACES), NEVER)
    | value(NUMBERS, NOT_NUMBERS)
    | value([place for place in NUMBERS if place[0] != "resources"], HUGE)
    | value(WHOLE, st.floats(1, 1e6).map(lambda number: f"{int(number)}.5"))
    | value(WORDS, NOT_NUMBERS.filter(lambda text: text != "null"))
    | value(FREE, st.sampled_from(["5", "1e3", "true", ".nan", "{}", "[[1]]", "{a: 1}"]))
    | value(DATES, NOT_NUMBERS.filter(lambda text: text != "2013-01-01"))
    | value(DATES, st.sampled_from(["20200103", "2020-02-30", "2020-01-03T25:00", "0000-01-01"]))
    | value(DATES, st.sampled_from(["2020-01-03 05:00+01:00", "2020-01-03Z", "03/01/2020"]))
    | value(BLOCKS, st.sampled_from([*TRAPS, "5", "[]", "[a]", ".nan"]) | LETTERS.map(quoted))
    | value([p for p in LISTS if "when" not in p], st.sampled_from(["5", "yes", "{}", "{a: 1}"]))
)


def test_values_in_a_space(home: Path) -> None:
    tried = Tried("space: values")

    @fuzz(650)
    @given(st.lists(MALFORMED_VALUES, min_size=1, max_size=2))
    def malformed(changes: list[Change]) -> None:
        raw = document({key: text for change in changes for key, text in change.items()})
        tried.judge(raw, read(raw, home), True)

    @fuzz(30)
    @given(value(FREE, st.sampled_from([*TRAPS, "null_", "~x"]) | LETTERS.map(quoted)))
    def sound(change: Change) -> None:
        assert read(document(change), home) is None

    malformed()
    sound()
    tried.enough()


def test_folds_that_go_back_beyond_all_years_are_refused(home: Path) -> None:
    for folds, malformed in ((1, False), (2, True), (20, True)):
        change: Change = {
            ("value", ("data", "test_from")): "9999-12-31",
            ("value", ("data", "folds")): f"{folds}",
        }
        message = read(document(change), home)
        assert (message is not None) == malformed
        assert message is None or "data.folds must not go back beyond the year 1" in message


PIECES = st.sampled_from(
    [b"\0", b"\xff", b"\xc3", b"\xef\xbb\xbf", b"\r", b"\t", b'"', b"'", b"{", b"[", b"]", b": "]
    + [b",", b"#", b"- ", b"\n---\n", b"%YAML 9.9\n", b"&a ", b"*a ", b"!!x ", b"<<: ", b"9" * 5000]
)


def edited(raw: bytes) -> st.SearchStrategy[bytes]:
    """With a piece put in, or in place of what was there."""
    return st.builds(
        lambda start, length, piece: raw[:start] + piece + raw[start + length :],
        st.integers(0, len(raw)),
        st.sampled_from([0, 0, 1, 3, 20]),
        PIECES | st.binary(min_size=1, max_size=3),
    )


def cut(raw: bytes) -> st.SearchStrategy[bytes]:
    return st.integers(0, len(raw) - 2).map(lambda length: raw[:length])


def test_a_space_cut_or_garbled(home: Path) -> None:
    tried = Tried("space: text")
    raw = document({})

    @fuzz(250)
    @given(edited(raw) | cut(raw) | st.binary(max_size=40).map(lambda tail: raw + tail))
    def unknown(raw: bytes) -> None:
        tried.judge(raw, read(raw, home), None)

    @fuzz(30)
    @given(st.binary(max_size=200) | st.sampled_from([raw.decode().encode("utf-16"), b"x" * 10**7]))
    def malformed(raw: bytes) -> None:
        tried.judge(raw, read(raw, home), True)

    unknown()
    malformed()
    tried.enough()


# Tables

HEADER = "time,pm,temp,wind"
ROWS = [
    f"2020-01-{1 + hour // 24:02} {hour % 24:02}:00,{50 + hour * 7 % 11},{hour % 5}.5,"
    f"{('NW', 'SE')[hour % 2]}"
    for hour in range(4 * 24 + 6)
]
SETTINGS = DataSettings.model_validate(
    {**SPACE["data"], "fallback": None, "calendar": [], "horizon": 1}
)


def lines(header: str, rows: list[str]) -> bytes:
    return "\n".join([header, *rows, ""]).encode()


def load(raw: bytes, home: Path) -> str | None:
    """Why these bytes are no table; nothing may be written beside them."""
    (home / "air.csv").write_bytes(raw)
    before = listing(home.parents[1])
    try:
        load_dataset(SETTINGS)
    except InputError as error:
        return str(error)
    finally:
        assert listing(home.parents[1]) == before
    return None


def test_the_table_itself_is_sound(home: Path) -> None:
    assert load(lines(HEADER, ROWS), home) is None


def with_cell(row: int, column: int, text: str) -> bytes:
    cells = ROWS[row].split(",")
    cells[column] = text
    return lines(HEADER, [*ROWS[:row], ",".join(cells), *ROWS[row + 1 :]])


LATER = st.integers(1, len(ROWS) - 1)  # the first row may be another kind of first
NO_TIMES = st.sampled_from(
    ["", "NA", "NaT", "now", "5:30", "2020-13-01 00:00", "2020-02-30 00:00", "0000-01-01 00:00"]
    + [
        "2020-01-01 24:00",
        "2020-01-01 05:60",
        "01/02/2020 05:00",
        "2020-01-01T05:00Z",
        "1577836800",
    ]
    + ["2020-01-01 05:00+01:00", "20200101T05", "2020-W01-1", "9999-12-31 23:00", "1e999", "nan"]
    + ["20\u0662\u0660-01-01 05:00", "-2020-01-01 05:00", "2020-01-01 05:00:00.5", "9" * 400]
)
NO_NUMBERS = st.sampled_from(
    ["yes", "true", "ten", "1_000", "0x1A", "1 00", "1.2.3", "--1", "1e", "$5", "5%", "1j", "½"]
    + ["inf", "-Infinity", "1e999", "1e31", "-9" + "9" * 400, "2020-01-01", "5:30", "'5'", "\u0661"]
    + ['"1,5,5"', '"5"x"', "=1+1", "NAN(0)", ".", "5\u00a05", "\ufffd"]
)


def test_cells_of_a_table(home: Path) -> None:
    tried = Tried("table: cells")
    numeric = st.sampled_from([1, 2])
    words = st.text("abcxyz äé=:/", min_size=1, max_size=8).filter(lambda text: text.strip(" :/="))

    @fuzz(450)
    @given(
        st.builds(with_cell, LATER, st.just(0), NO_TIMES)
        | st.builds(with_cell, LATER, numeric, NO_NUMBERS | words)
        | st.builds(
            lambda row, column, text: with_cell(row, column, f'"{text}'),
            *(LATER, st.integers(0, 3), words),  # a quote that is never closed
        )
    )
    def malformed(raw: bytes) -> None:
        tried.judge(raw, load(raw, home), True)

    @fuzz(30)
    @given(
        st.builds(
            with_cell, LATER, numeric, st.sampled_from(["", "NA", "nan", "7", " 1e3 ", '"5"'])
        )
        | st.builds(
            with_cell, LATER, st.just(3), st.sampled_from(["", "yes", "5:30", '"a,b"', "é"])
        )
    )
    def sound(raw: bytes) -> None:
        assert load(raw, home) is None

    malformed()
    sound()
    tried.enough()


def swapped(first: int, second: int) -> list[str]:
    rows = list(ROWS)
    rows[first], rows[second] = rows[second], rows[first]
    return rows


def test_lines_of_a_table(home: Path) -> None:
    tried = Tried("table: lines")
    inner = st.integers(1, len(ROWS) - 2)
    anywhere = st.integers(0, len(ROWS) - 1)
    names = HEADER.split(",")

    @fuzz(300)
    @given(
        st.one_of(
            inner.map(lambda row: lines(HEADER, [*ROWS[:row], *ROWS[row + 1 :]])),  # a gap
            anywhere.map(lambda row: lines(HEADER, [*ROWS[:row], ROWS[row], *ROWS[row:]])),
            st.tuples(anywhere, anywhere)
            .filter(lambda pair: pair[0] != pair[1])
            .map(lambda pair: lines(HEADER, swapped(*pair))),
            st.builds(  # ragged
                lambda row, tail: lines(HEADER, [*ROWS[:row], ROWS[row] + tail, *ROWS[row + 1 :]]),
                *(anywhere, st.sampled_from([",", ",5", ",,", ",x,y"])),
            ),
            st.builds(
                lambda row, kept: lines(
                    HEADER,
                    [*ROWS[:row], ",".join(ROWS[row].split(",")[:kept]), *ROWS[row + 1 :]],
                ),
                *(anywhere, st.integers(1, 3)),
            ),
            st.builds(  # a column that is missing, misspelt or there twice
                lambda name, other: lines(HEADER.replace(name, other), ROWS),
                *(st.sampled_from(names), st.sampled_from(["", "x", "time,pm", "Pm", "wind,wind"])),
            ),
            st.sampled_from([" ", ":", "\0", ".", "\x1f"]).map(
                lambda mark: lines(HEADER, ROWS).replace(b",", mark.encode())
            ),
            st.integers(0, 48).map(lambda row: lines(HEADER, ROWS[:row])),  # no validation is left
            inner.map(lambda row: lines(HEADER, [*ROWS[:row], HEADER, *ROWS[row:]])),
            st.just(lines("", ROWS)),
        )
    )
    def malformed(raw: bytes) -> None:
        tried.judge(raw, load(raw, home), True)

    malformed()
    for row in (0, 50, len(ROWS)):
        assert load(lines(HEADER, [*ROWS[:row], "", "", *ROWS[row:]]), home) is None, "blank lines"
    for mark in (b";", b"\t", b"|"):
        assert load(lines(HEADER, ROWS).replace(b",", mark), home) is None, mark
    assert load(b"\xef\xbb\xbf" + lines(HEADER, ROWS).replace(b"\n", b"\r\n"), home) is None
    tried.enough()


def put(raw: bytes, place: int, piece: bytes) -> bytes:
    return raw[:place] + piece + raw[place:]


def test_a_table_cut_or_garbled(home: Path) -> None:
    tried = Tried("table: text")
    raw = lines(HEADER, ROWS)
    encoded = [raw.decode().encode(name) for name in ("utf-16-le", "utf-32", "utf-16-be")]

    @fuzz(250)
    @given(
        st.builds(
            put,
            st.just(raw),
            st.integers(0, len(raw)),
            st.sampled_from([b"\0", b"\0\0\0", b"\xff", b"\xc3", b"\xe9t\xe9", b"\xed\xa0\x80"]),
        )
        | st.binary(max_size=60)
        | st.sampled_from([b"", b"\n", b"\n\n\r\n", b"\xef\xbb\xbf", b"\x1f\x8b\x08", b'"' * 99])
        | st.sampled_from(encoded)
        | st.integers(0, len(raw) // 2).map(lambda length: raw[:length])
    )
    def malformed(raw: bytes) -> None:
        tried.judge(raw, load(raw, home), True)

    @fuzz(150)
    @given(edited(raw) | cut(raw))
    def unknown(raw: bytes) -> None:
        tried.judge(raw, load(raw, home), None)

    malformed()
    unknown()
    assert load(raw.decode().encode("utf-16"), home) is None, "which its mark tells"
    tried.enough()


# Commands

App = typer.Typer


class RayAsked(BaseException):
    """A command came as far as Ray."""


def no_ray(**_: object) -> None:
    raise RayAsked


@pytest.fixture
def alarm() -> Iterator[None]:
    """A command that waits without end fails."""

    def over(number: int, frame: object) -> None:
        raise AssertionError("still waiting")

    before = signal.signal(signal.SIGALRM, over)
    signal.alarm(120)  # a busy machine is no mistake
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def ready(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory with a space, its table, an empty folder and a file; Ray is not to be had."""
    monkeypatch.setattr("ray.init", no_ray)
    (home / "space.yaml").write_bytes(document({}))
    (home / "air.csv").write_bytes(lines(HEADER, ROWS))
    (home / "empty").mkdir()
    (home / "file").write_text("x")
    before = signal.getsignal(signal.SIGTERM)
    yield home
    signal.signal(signal.SIGTERM, before)


def complaint(app: App, arguments: list[str], home: Path) -> str | None:
    """What a command says of its arguments on standard error; None where it accepts them."""
    before = listing(home.parents[1])
    out, err = (
        io.TextIOWrapper(io.BytesIO(), "utf-8", errors=errors, write_through=True)
        for errors in ("strict", "backslashreplace")  # as Python opens them
    )
    try:
        with redirect_stdout(out), redirect_stderr(err):
            status = run_app(app, arguments)
    except RayAsked:
        return None
    finally:
        assert listing(home.parents[1]) == before, arguments
    told = err.buffer.getvalue().decode()
    assert status in (0, 2), (arguments, told)
    return told if status else None


def test_the_commands_accept_what_is_sound(ready: Path) -> None:
    for app in (run.app, compare.app):
        assert complaint(app, ["--space", "space.yaml", "--name", "x", "--check"], ready) is None
    assert complaint(run.app, ["--space", "space.yaml", "--name", "x"], ready) is None
    names = ["--test-years", "2020", "--runs", "not/there/yet", "--time-budget", "999999999s"]
    with pytest.raises(AssertionError, match="--test-years must lie in the table"):
        assert complaint(compare.app, [*SOUND, *names], ready) is None
    assert complaint(compare.app, [*SOUND, *names[2:]], ready) is None


@pytest.mark.parametrize("left", [0, 1, 2])
def test_a_clock_that_leaves_no_room_for_what_is_forecast_is_refused(
    ready: Path, left: int
) -> None:
    """Two hours, of which the year 9999 has to have as many after the last row."""
    last = datetime(9999, 12, 31, 23) - left * timedelta(hours=1)
    times = [last - back * timedelta(hours=1) for back in reversed(range(len(ROWS)))]
    rows = [f"{time},{row.partition(',')[2]}" for time, row in zip(times, ROWS, strict=True)]
    (ready / "air.csv").write_bytes(lines(HEADER, rows))
    text = (ready / "space.yaml").read_text()
    for day, row in (("2020-01-03", 48), ("2020-01-04", 72)):
        text = text.replace(day, f"{times[row]}")
    (ready / "space.yaml").write_text(text)
    rule = f"air.csv:{len(ROWS) + 1}: the clock must end 2 rows or more before the year 10000, "
    for app, arguments in (
        (run.app, SOUND),
        (run.app, SOUND[:-1]),
        (compare.app, SOUND),
        (compare.app, SOUND[:-1]),
    ):
        message = complaint(app, arguments, ready)
        assert (message or "").startswith(rule) if left < 2 else message is None


def test_odd_names_are_no_mistakes(ready: Path) -> None:
    text = (ready / "space.yaml").read_text()
    for name in (
        "[b].yaml",
        "yes.yaml",
        "5:30",
        "\udcff.yaml",
        "it's.yaml",
        "\n.yaml",
        "s" * 249 + ".yaml",
    ):
        (ready / name).write_text(text)
        arguments = [f"--space={name}", f"--runs=r{name}", "--check"]
        assert complaint(run.app, arguments, ready) is None, name
        for title in ("x", "x" * 60, "x" * 98):
            assert complaint(compare.app, [*arguments, "--name", title], ready) is None, name
    table = (ready / "air.csv").read_text().replace("temp", "t[/C]")
    (ready / "[").mkdir()
    (ready / "[" / "air].csv").write_text(table)
    (ready / "space.yaml").write_text(text.replace('"temp"', '"t[/C]"'))
    assert complaint(run.app, [*SOUND, "--data", "[/air].csv"], ready) is None


def test_names_that_no_file_can_have_are_refused(ready: Path) -> None:
    for name in (LONG, f"{LONG}.yaml", f"empty/{LONG}", f"{LONG}/x", "é" * 200):
        for app, arguments in (
            (run.app, ["--space", name]),
            (run.app, ["--resume", name]),
            (run.app, [*SOUND, "--name", name]),
            (run.app, [*SOUND, "--data", name]),
            (run.app, [*SOUND, "--runs", name]),
            (compare.app, [name, "--name", "x"]),
            (compare.app, ["space.yaml", name, "--name", "x"]),
            (compare.app, ["--space", name, "--name", "x"]),
            (compare.app, [*SOUND, "--name", name]),
        ):
            assert complaint(app, arguments, ready), (name, arguments)


SOUND = ["--space", "space.yaml", "--name", "x", "--check"]
LONG = "x" * 300
PATHS = ["\0", "a\0b", "file", "file/below", LONG, "empty/" + LONG, "x/" * 3000]
BAD_NAMES = st.sampled_from(
    ["../x", "/abs", "..", ".", "", "-x", "a/b", "a\\b", "a\0b", "x" * 101, LONG, "x" * 9999, "é"]
    + [
        "x y",
        "x\n",
        "\n",
        "~",
        "~root",
        "$HOME",
        "x*",
        "a:b",
        "../../up",
        "CON ",
        ".hidden",
        "\udcff",
    ]
) | st.text(min_size=1, max_size=20).map(lambda text: f"{text}/..")
BAD_WHOLE = st.sampled_from(
    ["", " ", "ten", "1.5", "1e3", "0x10", "1_0_", "nan", "inf", "-", "--", "9" * 5000, "½", "\0"]
) | LETTERS.filter(lambda text: text.strip())
NEGATIVE = st.integers(-(10**30), -1).map(str)
BIG = st.integers(2**31, 10**60).map(str)
BAD_SHARE = st.sampled_from(["nan", "inf", "-inf", "1e999", "ten", "", "-0.5", "1,5", "0x1"])
BAD_TIMES = st.sampled_from(
    [
        "",
        "0",
        "5",
        "0s",
        "m",
        "-5m",
        "5d",
        "1.5h",
        "10m 5x",
        "½h",
        "soon",
        "9" * 10,
        "9" * 5000 + "h",
    ]
) | LETTERS.map(lambda text: text + "!")
BAD_CALENDARS = st.sampled_from(["moon", "hour_of_day,moon", "day_of_week,day_of_week", "none,x"])
NO_SOURCES = st.sampled_from(
    ["", "gone.csv", "bejing", "empty", "http://x/y.csv", "~nobody/x", "/"]
)
NO_SPACES = st.sampled_from(["", "gone", "empty", "file", "air.csv", "/", "/dev/null", "/dev/zero"])


def flag(name: str, *values: st.SearchStrategy[str]) -> st.SearchStrategy[list[str]]:
    return st.one_of(*values).map(lambda value: [name, value])


# Wrong in both commands, whatever else is right; the later of two values counts.
BAD_FLAGS = st.one_of(
    flag("--name", BAD_NAMES),
    *(flag(name, BAD_WHOLE, NEGATIVE, BIG) for name in ("--trials", "--max-epochs", "--horizon")),
    flag("--seed", BAD_WHOLE, NEGATIVE, BIG),
    flag("--concurrency", BAD_WHOLE, NEGATIVE, st.just("0")),
    flag("--cpus-per-trial", BAD_SHARE, NEGATIVE, st.just("0")),
    flag("--gpus-per-trial", BAD_SHARE, NEGATIVE, st.just("1.5")),
    flag("--time-budget", BAD_TIMES),
    flag("--calendar", BAD_CALENDARS, LETTERS.map(lambda text: f"x{text}")),
    flag("--data", NO_SOURCES, st.sampled_from(PATHS), LETTERS.map(lambda text: f"x{text}")),
    flag("--runs", st.sampled_from(PATHS)),
    flag("--storage", st.sampled_from([*PATHS, "ftp://b/x", "://"])),
    LETTERS.filter(lambda text: text.strip("-")).map(lambda text: [f"--x{text}"]),
    st.sampled_from([["--tri"], ["--check=1"], ["--trials"], ["-x"], ["--data"], ["--Check"]]),
)


def test_flags_of_the_commands(ready: Path) -> None:
    tried = Tried("command: flags")

    def malformed(app: App, arguments: list[str]) -> None:
        tried.judge((id(app), *arguments), complaint(app, arguments, ready), True)

    @fuzz(350)
    @given(st.sampled_from([run.app, compare.app]), BAD_FLAGS)
    def shared(app: App, wrong: list[str]) -> None:
        malformed(app, [*SOUND, *wrong])

    @fuzz(60)
    @given(
        flag("--finalists", BAD_WHOLE, NEGATIVE, st.just("0"))
        | flag("--seeds", BAD_WHOLE, NEGATIVE, st.sampled_from(["0", "1"]))
        | flag("--test-years", LETTERS, st.sampled_from(["", ",", "12", "9999", "1000,x", "-2012"]))
        | flag("--test-years", st.integers(1000, 9999).map(str), st.just("٢٠١٢"))
        | st.sampled_from([["study"], ["--space", "space.yaml"], ["--resume", "x"], ["--debug"]])
    )
    def of_compare(wrong: list[str]) -> None:
        malformed(compare.app, [*SOUND, *wrong])

    @fuzz(60)
    @given(NO_SPACES | st.sampled_from(PATHS) | LETTERS.map(lambda text: f"x{text}"))
    def spaces(name: str) -> None:
        malformed(run.app, ["--space", name, "--check"])
        malformed(compare.app, ["--space", name, "--name", "x", "--check"])

    shared()
    of_compare()
    spaces()
    for contradiction in (
        [],
        ["--check"],
        ["--space", "space.yaml", "--resume", "x"],
        ["--resume", "x", "--seed", "1"],
        ["--resume", "x", "--name", "y"],
        ["--resume", "x", "--data", "air.csv", "--trials", "3"],
        ["extra", *SOUND],
        ["--space", "space.yaml", "extra"],
        ["--finalists", "3", *SOUND],
    ):
        malformed(run.app, contradiction)
    for contradiction in (
        [],
        ["--name", "x"],
        ["--space", "space.yaml"],
        ["--name", "x", "a", "b", "c"],
        ["--name", "x", "empty"],
        ["--name", "x", *["--space", "space.yaml"] * 3],
    ):
        malformed(compare.app, contradiction)
    tried.enough()


@pytest.mark.usefixtures("alarm")
@pytest.mark.parametrize("app", [run.app, compare.app])
@pytest.mark.parametrize("special", ["pipe", "socket", "empty", "/dev/null", "/dev/tty"])
def test_what_is_no_regular_file_is_not_waited_for(ready: Path, app: App, special: str) -> None:
    os.mkfifo("pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        for flag in ("--space", "--data"):
            message = complaint(app, [*SOUND[2:], "--space", "space.yaml", flag, special], ready)
            assert message is not None
            assert "regular file" in message or "folder" in message or "directory" in message
    text = (ready / "space.yaml").read_text().replace("air.csv", special)
    (ready / "space.yaml").write_text(text)
    assert "can't be read" in (complaint(app, SOUND, ready) or "")


# Studies


@pytest.fixture
def study(ready: Path) -> Path:
    """A finished study of two trials, made without Ray."""
    finished = Study(study_view(ready / "runs" / "air", Path("space.yaml")))
    finished.create(["python", "-m", "tuning.run"])
    for number in range(2):
        config = {"hidden_size": 16, "num_layers": 1, "learning_rate": 0.01}
        finished.on_trial_start(number, config)
        finished.on_epoch(number, epoch_report(1, 5.0))
        finished.on_trial_end(number, "finished")
    finished.finish("finished")
    assert isinstance(finished.folder, Path)
    return finished.folder


GOES_ON = ["--resume", "air", "--trials", "9"]
COMPARED = ["air", "--name", "x", "--check"]


def test_the_study_itself_is_sound(study: Path) -> None:
    home = study.parents[1]
    for name in ("air", "runs/air", str(study)):
        assert complaint(run.app, ["--resume", name, "--trials", "9"], home) is None
    assert complaint(compare.app, COMPARED, home) is None


def jsons(file: Path, keep: Callable[[Place], bool]) -> st.SearchStrategy[bytes]:
    """The file's object with something of another type, or nothing, at a place to `keep`."""
    content = json.loads(file.read_text())
    where = [place for place, _ in places(content) if keep(place)]

    def changed(place: Place, value: Any) -> bytes:
        copy = json.loads(file.read_text())
        inner = copy
        for key in place[:-1]:
            inner = inner[key]
        if value is None:
            del inner[place[-1]]
        else:
            inner[place[-1]] = value
        return json.dumps(copy).encode()

    wrong: st.SearchStrategy[Any] = st.sampled_from([None, "x", [["x"]], {"x": {"y": []}}, [None]])
    return st.builds(changed, st.sampled_from(where), wrong)


def garbled(raw: bytes) -> st.SearchStrategy[bytes]:
    """What is JSON no more, or no object."""
    return (
        cut(raw.strip())
        | st.sampled_from([b"", b"null", b"[]", b"5", b'"x"', b"{}", b"\xff\xfe{}", b"\0" * 99])
        | st.integers(5000, 99999).map(lambda deep: b"[" * deep)
        | st.integers(5000, 9999).map(lambda long: b'{"format": ' + b"9" * long + b"}")
        | st.builds(
            put, st.just(raw), st.integers(0, len(raw) - 2), st.sampled_from([b"\0", b"\xff"])
        )
    )


def test_studies_that_are_damaged(study: Path) -> None:
    tried = Tried("command: studies")
    home = study.parents[1]

    def malformed(app: App, arguments: list[str], name: str, raw: bytes) -> None:
        file = study / name
        before = file.read_bytes()
        file.write_bytes(raw)
        try:
            tried.judge((id(app), name, raw), complaint(app, arguments, home), True)
        finally:
            file.write_bytes(before)

    settled = study / "study.json"
    needed = [("format",), ("data",), ("settings",), ("resources",)]
    settled_by = [("data", "settings", key) for key in ("target", "features", "test_from")]

    def typed(place: Place) -> bool:
        return place in [*needed, *settled_by]

    @fuzz(150)
    @given(
        st.sampled_from([(run.app, [*GOES_ON, "--check"]), (compare.app, COMPARED)]),
        garbled(settled.read_bytes()) | jsons(settled, typed),
    )
    def settings_damaged(command: tuple[App, list[str]], raw: bytes) -> None:
        malformed(*command, "study.json", raw)

    @fuzz(60)
    @given(garbled((study / "summary.json").read_bytes()))
    def summary_damaged(raw: bytes) -> None:
        malformed(compare.app, COMPARED, "summary.json", raw)

    @fuzz(60)
    @given(MALFORMED_VALUES.map(document) | st.binary(max_size=60))
    def space_damaged(raw: bytes) -> None:
        malformed(run.app, [*GOES_ON, "--check"], "space.yaml", raw)

    record = study / "trials" / "1.json"

    @fuzz(100)
    @given(
        garbled(record.read_bytes())
        | jsons(record, lambda place: place in [("id",), ("state",), ("history",)])
    )
    def record_damaged(raw: bytes) -> None:
        malformed(run.app, GOES_ON, "trials/1.json", raw)

    settings_damaged()
    summary_damaged()
    space_damaged()
    record_damaged()
    tried.enough()


@pytest.mark.usefixtures("alarm")
@pytest.mark.parametrize("name", ["study.json", "space.yaml", "summary.json", "trials/1.json"])
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_a_pipe_or_a_folder_in_a_study_is_not_read(
    study: Path, name: str, make: Callable[[str], None]
) -> None:
    os.unlink(study / name)
    make(str(study / name))
    app, arguments = (compare.app, COMPARED) if name == "summary.json" else (run.app, GOES_ON)
    message = complaint(app, arguments, study.parents[1])
    assert message is not None
    assert "study.json" in message or name in message


@pytest.mark.parametrize("target", ["", ".", "..", "gone", "/", "../x", "a\0b", "file", "empty"])
def test_what_is_no_study_is_not_gone_on_with(ready: Path, target: str) -> None:
    for app, arguments in (
        (run.app, ["--resume", target]),
        (compare.app, [target, "--name", "x"]),
    ):
        assert "holds no study.json" in (complaint(app, arguments, ready) or "")
