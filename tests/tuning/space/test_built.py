"""Search spaces that are built in Python: by the rules of a file, and as one when they are kept."""

import re
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstm_model.configuration import HYPERPARAMETERS, DataSettings, Hyperparameter
from lstm_model.errors import InputError
from tests.tuning.space.spaces import CONTRACT, space_of
from tests.tuning.space.test_problems import cases, completed
from tests.tuning.space.test_template import TRAPS
from tuning.api import _space
from tuning.space.located_yaml import read_yaml
from tuning.space.schema import (
    Choices,
    FloatRange,
    IntRange,
    ParameterRange,
    Resources,
    SpaceFile,
    StudySettings,
    Value,
)
from tuning.space.search_space import (
    SearchSpace,
    SpaceError,
    parse_space,
    read_space,
    shipped_spaces,
)

DATA: dict[str, object] = {
    "target": "load",
    "features": ["load", "temp"],
    "validation_from": "2013-01-01",
    "test_from": "2014-01-01",
}


def read_back(space: SearchSpace) -> SearchSpace:
    return parse_space(space.to_yaml().encode(), space.name, "")


def test_built_as_the_file_says() -> None:
    built = SearchSpace(
        data={
            "source": "beijing",
            "fallback": "simulated",
            "target": "pm2.5",
            "features": ("pm2.5", "DEWP", "TEMP", "PRES", "cbwd", "Iws", "Is", "Ir"),
            "validation_from": date(2013, 1, 1),
            "test_from": pd.Timestamp("2014-01-01"),
        },
        search={
            "hidden_size": IntRange(16, 128, log=True),
            "num_layers": IntRange(1, 2),
            "dropout": FloatRange(0, 0.4, when={"num_layers": 2}),
            "learning_rate": FloatRange(1e-3, 2e-2, log=True),
            "loss": Choices(("mse", "huber", "mae")),
        },
        fixed={"context_length": 24},
        initial_trials=[
            {"hidden_size": 64, "num_layers": 1, "learning_rate": 5e-3, "loss": "huber"}
        ],
        name="s.yaml",
    )
    assert built == space_of(CONTRACT)
    assert built != replace(built, fixed={"context_length": 23})
    assert replace(built, fixed={"context_length": 24}) == built


def test_text_of_a_built_space() -> None:
    space = SearchSpace(
        data=DataSettings.model_validate(DATA),
        search={
            "num_layers": IntRange(1, 2),
            "dropout": FloatRange(0, 0.4, step=0.1, when={"num_layers": [2]}),
            "loss": Choices(("mse", "mae")),
        },
        study=StudySettings(trials=8),
        resources=Resources(gpu=0.5),
        name="mine",
    )
    assert str(space) == space.text == space.to_yaml()
    assert space.text == (
        "version: 1\n\n"
        "data:\n  target: load\n  features: [load, temp]\n"
        "  validation_from: 2013-01-01\n  test_from: 2014-01-01\n\n"
        "study:\n  trials: 8\n  max_epochs: 40\n  sampler: tpe\n  scheduler: asha\n  seed: 0\n\n"
        "resources:\n  cpu: 1\n  gpu: 0.5\n\n"
        "search:\n"
        "  num_layers: {type: int, low: 1, high: 2}\n"
        "  dropout: {type: float, low: 0, high: 0.4, step: 0.1, when: {num_layers: [2]}}\n"
        "  loss: {type: categorical, choices: [mse, mae]}\n"
    )


def test_what_is_left_out_has_a_files_defaults() -> None:
    space = SearchSpace(DATA, study={"trials": 1})
    assert (space.name, space.search, space.fixed, space.initial_trials) == ("space", {}, {}, ())
    assert (space.study, space.resources) == (StudySettings(trials=1), Resources())
    assert (space.data.source, space.data.validation_from) == ("beijing", datetime(2013, 1, 1))
    assert read_back(space) == space


def test_saved_file_reads_back_under_another_name(tmp_path: Path) -> None:
    space = SearchSpace(DATA, study={"trials": 1}, name="air-0.1")
    (tmp_path / "mine.yaml").write_text(space.to_yaml())
    assert read_space(str(tmp_path / "mine.yaml")) == space
    assert (space.stem, read_space("univariate").stem) == ("air-0.1", "univariate")


def test_numbers_of_numpy_are_numbers() -> None:
    low, high = np.array([16, 64])
    least, most = np.linspace(0.001, 0.01, 2)
    space = SearchSpace(
        DATA,
        search={
            "hidden_size": IntRange(low, high, log=True),
            "learning_rate": FloatRange(least, most),
        },
        study={"trials": np.int64(2)},
    )
    assert space.search["hidden_size"] == IntRange(16, 64, log=True).named("hidden_size")
    assert "learning_rate: {type: float, low: 0.001, high: 0.01}" in space.to_yaml()


def test_every_problem_has_its_place() -> None:
    data = {**DATA, "test_from": 5, "tset": 1, "calendar": ["hour_of_day", "noon"]}
    with pytest.raises(InputError) as caught:
        SearchSpace(
            data=data,
            search={
                "num_layers": IntRange(3, 2),
                "hidden_size": IntRange(0, 4096, log="yes"),  # type: ignore[arg-type]
                "dropout": IntRange(0, 0, when={"num_layer": 2}),
                "loss": Choices(("mse", "mea")),
                "warm_up": {"type": "float", "low": 0.1},
                "hidden": IntRange(1, 2),
                "chunk_length": IntRange(24, 48),
            },
            fixed={"loss": "mse", "context_length": 1.5},
            study={"trials": 0},
            resources=StudySettings(),  # type: ignore[arg-type]
            initial_trials=[{"chunk_length": 25}, {"chunk_length": 99}, {"chunk_length": 25}],
            name="",
        )
    assert str(caught.value).split("\n") == [
        "data.calendar[1]: must be one of hour_of_day, day_of_week, day_of_year, but got 'noon'",
        "data.test_from: must be a date such as 2013-01-01, but got 5",
        "data.tset: no key 'tset' in data; did you mean 'target'?",
        "study.trials: must be at least 1, but got 0",
        *(
            f"resources.{key}: no key '{key}' in resources; its keys are cpu, gpu"
            for key in StudySettings.model_fields
        ),
        "search.hidden_size.low: must lie from 1 to 1024, but got 0",
        "search.hidden_size.high: must lie from 1 to 1024, but got 4096",
        "search.hidden_size.log: must be true or false, but got 'yes'",
        "search.num_layers.low: must be at most high, which is 2, but got 3",
        "search.dropout.type: must be float or categorical, but got 'int'",
        "search.loss.choices[1]: must be one of mse, huber, mae, but got 'mea'",
        "search.hidden: no hyperparameter 'hidden'; did you mean 'hidden_size'?",
        "fixed.context_length: must be a whole number, but got 1.5",
        "search.warm_up needs high, as its type is float",
        "search.dropout.when: no hyperparameter 'num_layer'; did you mean 'num_layers'?",
        "fixed.loss can't go with search.loss",
        "initial_trials[1].chunk_length: in an initial trial, chunk_length must lie from 24 to 48, "
        "but got 99",
        "initial_trials[2]: this initial trial is the same as the one at initial_trials[0]",
        "name: must be a text, but got ''",
    ]


def test_settings_are_changed_and_the_text_stays() -> None:
    """A study keeps the text, and its settings beside it."""
    space = SearchSpace(DATA, search={"num_layers": IntRange(1, 2)})
    changed = space.overridden({"study.trials": 3, "data.source": "frame"})
    assert (changed.text, changed.study.trials) == (space.text, 3)
    assert "source: frame" in changed.to_yaml()
    assert read_back(changed) == changed != space
    assert replace(changed, fixed={"loss": "mse"}).text == f"{changed}\nfixed:\n  loss: mse\n"


def test_entries_of_a_space_make_another() -> None:
    first = read_space("multivariate")
    second = SearchSpace(first.data, search=dict(first.search), name=first.name)
    assert second.search == first.search
    assert second.fixed == {}


@pytest.mark.parametrize("name", shipped_spaces())
def test_shipped_space_reads_back(name: str) -> None:
    space = read_space(name)
    again = read_back(space)
    assert again == space
    assert list(again.search) == list(space.search)
    assert again.text == again.to_yaml() == space.to_yaml() != space.text


# Any space


NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
CELLS = st.sampled_from(TRAPS) | st.integers(-999, 999) | st.floats(-1e30, 1e30)


@st.composite
def data_settings(draw: st.DrawFn) -> dict[str, object]:
    columns = draw(st.lists(st.sampled_from(TRAPS) | NAMES, min_size=1, max_size=5, unique=True))
    others = columns[1:]
    blocks: dict[str, object] = {
        "source": draw(st.sampled_from(["simulated", "a b.csv", "./beijing", "1e-4", "é/*.csv"])),
        "target": columns[0],
        "features": columns,
        "horizon": draw(st.integers(1, 720)),
        "validation_from": draw(st.datetimes(datetime(1900, 1, 1), datetime(2000, 1, 1))),
        "test_from": draw(st.datetimes(datetime(2000, 1, 2), datetime(2090, 1, 1))),
        "missing": draw(st.dictionaries(st.sampled_from(columns), st.lists(CELLS, max_size=3))),
        "time": draw(st.none() | NAMES | st.lists(NAMES, min_size=1, max_size=3)),
        "decimal": draw(
            st.none() | st.just(",") | st.fixed_dictionaries({columns[0]: st.just(".")})
        ),
    }
    if others:
        blocks["fill"] = draw(st.dictionaries(st.sampled_from(others), CELLS))
        blocks["types"] = draw(st.dictionaries(st.sampled_from(others), st.just("category")))
    return blocks


@st.composite
def entries(draw: st.DrawFn, legal: Hyperparameter, when: dict[str, Any]) -> ParameterRange:
    if legal.kind == "categorical":
        chosen = draw(st.lists(st.sampled_from(legal.choices), min_size=1, unique=True))
        return Choices(tuple(chosen), when=when)
    assert legal.low is not None and legal.high is not None
    if draw(st.booleans()):  # on a grid
        unit = Decimal(1 if legal.kind == "int" else "0.001")
        first = Decimal(str(legal.low)).quantize(unit) + unit
        low = first + unit * draw(st.integers(0, 2))
        step = unit * draw(st.integers(1, 3))
        high = low + step * draw(st.integers(0, 3))
        while high > Decimal(str(legal.high)):
            high -= step
        if legal.kind == "int":
            return IntRange(int(low), int(high), step=int(step), when=when)
        return FloatRange(float(low), float(high), step=float(step), when=when)
    if legal.kind == "int":
        ends = st.integers(int(legal.low), int(legal.high))
        least, most = sorted([draw(ends), draw(ends)])
        return IntRange(least, most, log=least > 0 and draw(st.booleans()), when=when)
    bounds = st.floats(legal.low, legal.high)
    lowest, highest = sorted([draw(bounds), draw(bounds)])
    return FloatRange(lowest, highest, log=lowest > 0 and draw(st.booleans()), when=when)


def values(entry: ParameterRange) -> st.SearchStrategy[Value]:
    if isinstance(entry, Choices):
        return st.sampled_from(entry.choices)
    if entry.step is not None or entry.low == entry.high:
        return st.just(entry.low)
    if isinstance(entry, IntRange):
        return st.integers(int(entry.low), int(entry.high))
    return st.floats(entry.low, entry.high)


@st.composite
def spaces(draw: st.DrawFn) -> tuple[SearchSpace, dict[str, ParameterRange]]:
    """A space, and the entries that it was built of."""
    names = draw(st.permutations(list(HYPERPARAMETERS)))[: draw(st.integers(1, 8))]
    search: dict[str, ParameterRange] = {}
    for name in names[: draw(st.integers(1, len(names)))]:
        when = {}
        parents = [each for each, entry in search.items() if not entry.when]
        if draw(st.booleans()) and parents:
            parent = draw(st.sampled_from(parents))
            when[parent] = (draw(values(search[parent])),)
        search[name] = draw(entries(HYPERPARAMETERS[name], when))
    points: list[dict[str, Value]] = []
    for _ in range(draw(st.integers(0, 3))):
        point: dict[str, Value] = {}
        for name, entry in search.items():
            if entry.active(point):
                point[name] = draw(values(entry))
        if point not in points:
            points.append(point)
    fixed = {name: HYPERPARAMETERS[name].default for name in names if name not in search}
    space = SearchSpace(
        draw(data_settings()),
        search=search,
        fixed=fixed,
        study={"trials": draw(st.integers(1, 99)), "scheduler": "none"},
        resources={"cpu": draw(st.floats(1e-3, 1024))},
        initial_trials=points,
    )
    assert list(space.initial_trials) == points
    assert space.fixed == fixed
    return space, search


@settings(max_examples=200, derandomize=True, database=None, deadline=None)
@given(spaces())
def test_any_space_reads_back(built: tuple[SearchSpace, dict[str, ParameterRange]]) -> None:
    space, search = built
    again = read_back(space)
    assert again == space
    assert again.text == space.text
    assert list(again.search.items()) == [
        (name, entry.named(name)) for name, entry in search.items()
    ]
    blocks = read_yaml(space.text).data
    assert isinstance(blocks, dict) and blocks.pop("version") == 1
    assert SearchSpace(**blocks) == space


# The same mistakes as a file's


@pytest.mark.parametrize(("case", "whole", "lines"), list(cases()))
def test_a_files_mistakes_are_pythons(case: str, whole: bool, lines: list[str]) -> None:
    """Every rule of the blocks that a file can break, told with a place of another kind."""
    located = read_yaml(case if whole else completed(case))
    blocks = located.data
    if located.problems or not isinstance(blocks, dict):
        return  # no blocks
    version, legal = blocks.pop("version", None), set(SpaceFile.model_fields)
    if repr(version) != "1" or not {"data"} <= set(blocks) <= legal:
        return  # Python has no version, and says itself which arguments there are
    with pytest.raises(SpaceError) as caught:
        SearchSpace(**blocks)
    said = str(caught.value).split("\n")
    left = [re.sub(r" on line \d+$", "", line.split(": ", 1)[1]) for line in lines]
    for line in said:
        text = re.sub(r" at \S+\]$", "", line)
        rule = text if text in left else text.split(": ", 1)[1]
        same = [each for each in left if each.endswith(rule)]
        assert same, (line, left)
        left.remove(same[0])
    assert not left


def test_space_for_a_frame_needs_no_source(table: Path) -> None:
    """The frame is the table, whatever a space says; its clock and categories are its own."""
    frame = pd.read_csv(table, parse_dates=["time"], index_col="time")
    frame["wind"] = frame["wind"].astype("category")
    space = SearchSpace(
        data={
            "target": "pm",
            "features": list(frame.columns),
            "validation_from": "2020-02-10",
            "test_from": "2020-02-25",
        },
        search={"hidden_size": IntRange(4, 16)},
    )
    assert "  source:" not in space.text
    read = _space(space, frame)
    assert (read.data.source, read.data.time, read.data.types) == (
        "frame",
        "time",
        {"wind": "category"},
    )
    assert read.text == space.text
    assert read_back(read) == read == _space(read, frame)
