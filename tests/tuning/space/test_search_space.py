"""What a search-space file means, and what is said of one that is wrong."""

import pickle
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lstm_model.errors import InputError
from tuning.space.located_yaml import read_yaml
from tuning.space.search_space import (
    ParameterRange,
    SearchSpace,
    SpaceError,
    read_space,
    shipped_spaces,
)

GOOD = """\
version: 1
data:
  features: [pm2.5, TEMP]
  validation_from: 2013-01-01
  test_from: 2014-01-01
study:
  trials: 5
resources: {cpu: 1}
search:
  num_layers: {type: int, low: 1, high: 3}
  dropout: {type: float, low: 0.0, high: 0.4, when: {num_layers: [2, 3]}}
  loss: {type: categorical, choices: [mse, huber]}
fixed:
  context_length: 24
initial_trials:
  - {num_layers: 2, dropout: 0.1}
"""

CONTRACT = """\
# Eight features -> the next hour's PM2.5
#   python -m tuning.run --space multivariate.yaml
version: 1

data:
  source: beijing              # beijing | simulated | path to a CSV
  fallback: simulated          # used, with a warning, where the source can't be reached
  target: pm2.5
  features: [pm2.5, DEWP, TEMP, PRES, cbwd, Iws, Is, Ir]
  calendar: []                 # known ahead: hour_of_day, day_of_week, day_of_year
  horizon: 1                   # lead times 1..horizon
  validation_from: 2013-01-01  # splits go by the hour that is forecast
  test_from: 2014-01-01

study:
  trials: 50
  max_epochs: 40
  sampler: tpe                 # tpe | gp | random
  scheduler: asha              # asha | median | none
  seed: 0

resources: {cpu: 1, gpu: 0}    # each trial's share

search:                        # bounds are inclusive
  hidden_size:   {type: int, low: 16, high: 128, log: true}
  num_layers:    {type: int, low: 1, high: 2}
  dropout:       {type: float, low: 0.0, high: 0.4, when: {num_layers: 2}}
  learning_rate: {type: float, low: 1e-3, high: 2e-2, log: true}
  loss:          {type: categorical, choices: [mse, huber, mae]}

fixed:
  context_length: 24

initial_trials:                # tried first; each must lie in the space
  - {hidden_size: 64, num_layers: 1, learning_rate: 5e-3, loss: huber}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def space_of(text: str | bytes) -> SearchSpace:
    Path("s.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_space("s.yaml")


def mistakes_of(text: str | bytes) -> list[str]:
    """The lines of the error, without the file's name."""
    with pytest.raises(SpaceError, match=r"^s\.yaml:") as caught:
        space_of(text)
    lines = str(caught.value).split("\n")
    assert all(line.startswith("s.yaml:") for line in lines)
    return [line.removeprefix("s.yaml:") for line in lines]


def changed(old: str, new: str) -> str:
    assert GOOD.count(old) == 1, old
    return GOOD.replace(old, new)


def searching(entries: str) -> str:
    """GOOD with other entries, the first of them on line 10, and no initial trials."""
    head, _, rest = GOOD.partition("  num_layers: {type")
    rest = rest[rest.index("fixed:") : rest.index("initial_trials")]
    return head + entries + "\n" + rest.replace("context_length: 24", "chunk_length: 96")


def test_the_contracts_example_reads_as_it_says() -> None:
    space = space_of(CONTRACT)
    assert space.name == "s.yaml"
    assert space.text == CONTRACT
    assert space.data.model_dump() == {
        "source": "beijing",
        "fallback": "simulated",
        "time": None,
        "missing": (),
        "fill": {},
        "types": {},
        "decimal": None,
        "target": "pm2.5",
        "features": ("pm2.5", "DEWP", "TEMP", "PRES", "cbwd", "Iws", "Is", "Ir"),
        "calendar": (),
        "horizon": 1,
        "validation_from": datetime(2013, 1, 1),
        "test_from": datetime(2014, 1, 1),
        "folds": 1,
    }
    assert space.study.model_dump() == {
        "trials": 50,
        "max_epochs": 40,
        "sampler": "tpe",
        "scheduler": "asha",
        "seed": 0,
    }
    assert space.resources.model_dump() == {"cpu": 1.0, "gpu": 0.0}
    assert list(space.search.items()) == [
        ("hidden_size", ParameterRange("hidden_size", "int", low=16, high=128, log=True)),
        ("num_layers", ParameterRange("num_layers", "int", low=1, high=2)),
        (
            "dropout",
            ParameterRange("dropout", "float", low=0.0, high=0.4, when={"num_layers": (2,)}),
        ),
        ("learning_rate", ParameterRange("learning_rate", "float", low=0.001, high=0.02, log=True)),
        ("loss", ParameterRange("loss", "categorical", choices=("mse", "huber", "mae"))),
    ]
    assert space.fixed == {"context_length": 24}
    assert space.initial_trials == (
        {"hidden_size": 64, "num_layers": 1, "learning_rate": 0.005, "loss": "huber"},
    )
    configuration = space.configuration(space.initial_trials[0])
    assert configuration.model_dump(exclude_defaults=True) == {}  # the defaults, all of them
    other = space.configuration({"hidden_size": 16, "num_layers": 2, "dropout": 0.3})
    assert (other.hidden_size, other.num_layers, other.dropout) == (16, 2, 0.3)
    assert other.context_length == 24
    assert read_space("day_ahead").configuration({}).context_length == 24


def test_a_space_survives_pickling() -> None:  # Ray carries it to other processes
    space = space_of(CONTRACT)
    assert pickle.loads(pickle.dumps(space)) == space


def test_what_may_be_left_out_is_as_in_the_contract() -> None:
    space = space_of(GOOD.replace("study:\n  trials: 5\nresources: {cpu: 1}\n", "study:\n"))
    assert (space.study.trials, space.study.max_epochs, space.study.seed) == (50, 40, 0)
    assert (space.study.sampler, space.study.scheduler) == ("tpe", "asha")
    assert (space.resources.cpu, space.resources.gpu) == (1.0, 0.0)
    assert (space.data.source, space.data.fallback) == ("beijing", None)


# The shipped files


@pytest.mark.parametrize(
    ("name", "features", "horizon", "calendar"),
    [
        ("univariate", 1, 1, ()),
        ("multivariate", 8, 1, ()),
        ("day_ahead", 8, 24, ("hour_of_day", "day_of_year", "day_of_week")),
    ],
)
def test_the_shipped_files_are_read(
    name: str, features: int, horizon: int, calendar: tuple[str, ...]
) -> None:
    space = read_space(name)
    assert space == read_space(f"{name}.yaml")
    assert space.name == f"{name}.yaml"
    assert space.text == shipped_spaces()[f"{name}.yaml"].read_text()
    assert len(space.data.features) == features
    assert (space.data.horizon, space.data.calendar) == (horizon, calendar)
    assert (space.data.source, space.data.fallback) == ("beijing", "simulated")
    assert (space.data.validation_from.year, space.data.test_from.year) == (2013, 2014)
    assert space.fixed == {"loss": "huber", "huber_delta": 0.3, "context_length": 24}
    assert list(space.search) == [
        "hidden_size",
        "num_layers",
        "dropout",
        "output_dropout",
        "learning_rate",
        "weight_decay",
    ]
    assert len(space.initial_trials) == 2
    for trial in space.initial_trials:  # complete: --debug runs the first as it stands
        assert set(trial) == {n for n, entry in space.search.items() if entry.active(trial)}


def test_a_file_here_comes_before_a_shipped_one() -> None:
    Path("multivariate.yaml").write_text(GOOD)
    assert read_space("multivariate.yaml").study.trials == 5
    assert read_space("multivariate").study.trials == 50


def test_a_folder_here_does_not_hide_a_shipped_one() -> None:
    Path("multivariate").mkdir()
    assert read_space("multivariate").name == "multivariate.yaml"


SHIPPED = "Give a file's path, or one of day_ahead.yaml, multivariate.yaml, univariate.yaml"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "multivarate",
            "no search space 'multivarate'; did you mean 'multivariate.yaml'? " + SHIPPED,
        ),
        (
            "spaces/day_ahead.yaml",
            "no search space 'spaces/day_ahead.yaml'; did you mean 'day_ahead.yaml'? " + SHIPPED,
        ),
        ("mine", "no search space 'mine'; did you mean 'mine.yaml'? " + SHIPPED),
        ("xyz", "no search space 'xyz'. " + SHIPPED),
        ("", "no search space ''. " + SHIPPED),
        ("a\0\n", "no search space 'a\\x00\\n'. " + SHIPPED),
        ("folder", "folder: must be a file, but got a folder"),
        ("big", "big: must be at most 1 MB, but got more; is it a search space?"),
    ],
)
def test_a_name_that_names_no_space(name: str, message: str) -> None:
    Path("mine.yaml").write_text(GOOD)
    Path("folder").mkdir()
    Path("big").write_bytes(b"#" * 1_000_001)
    with pytest.raises(SpaceError) as caught:
        read_space(name)
    assert str(caught.value) == message
    assert isinstance(caught.value, InputError)


def test_a_file_of_one_megabyte_is_read() -> None:
    assert space_of(GOOD + "#" * (1_000_000 - len(GOOD))).study.trials == 5


def test_a_file_that_may_not_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("s.yaml").write_text(GOOD)

    def denied(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", denied)  # root may read anything, so no chmod
    with pytest.raises(
        SpaceError, match=r"^s\.yaml: must be readable, but got: Permission denied$"
    ):
        read_space("s.yaml")


# YAML


@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        ("1e-4", 0.0001),
        ("5e-3", 0.005),
        ("1E5", 100000.0),
        (".5", 0.5),
        ("1.", 1.0),
        ("-1.5e+2", -150.0),
        ("+3", 3),
        ("-0", 0),
        ("017", 17),
        (".inf", float("inf")),
        ("-.INF", float("-inf")),
        ("true", True),
        ("False", False),
        ("~", None),
        ("null", None),
        ("", None),
        ("yes", "yes"),
        ("No", "No"),
        ("on", "on"),
        ("off", "off"),
        ("5:30", "5:30"),
        ("0o17", "0o17"),
        ("0x1F", "0x1F"),
        ("1_000", "1_000"),
        ("2013-01-01", "2013-01-01"),
        ("e5", "e5"),
        (".", "."),
        ("-", [None]),
        ("inf", "inf"),
        ("'1'", "1"),
        ('"true"', "true"),
        ("''", ""),
        ("'~'", "~"),
    ],
)
def test_scalars_are_those_of_yaml_1_2(scalar: str, value: object) -> None:
    read = read_yaml(f"\n  {scalar}\n")
    assert (read.data, read.mistakes) == (value, [])
    assert type(read.data) is type(value)


def test_nan_is_a_number() -> None:
    assert repr(read_yaml("[.nan, .NaN]").data) == "[nan, nan]"


def test_places_count_from_one_and_in_characters() -> None:
    read = read_yaml("é: {ab: 1,\r\n  'c': [x, é, y]}\n")
    assert read.keys == {("é",): (1, 1), ("é", "ab"): (1, 5), ("é", "c"): (2, 3)}
    assert read.values[("é", "c", 2)] == (2, 15)


@pytest.mark.parametrize(
    ("text", "mistakes"),
    [
        ("", ["1:1: must hold blocks such as data: and search:, but got an empty file"]),
        ("# nothing\n", ["1:1: must hold blocks such as data: and search:, but got an empty file"]),
        ("- 1\n", ["1:1: must hold blocks such as data: and search:, but got a list"]),
        ("a word", ["1:1: must hold blocks such as data: and search:, but got 'a word'"]),
        (
            changed("  trials: 5", "\ttrials: 5"),
            ["7:1: a tab can't stand here: use spaces"],
        ),
        (
            changed("trials: 5", "trials: 5: 6"),
            ["7:12: no ':' can stand here: check the indentation, or put the value in quotes"],
        ),
        (
            changed("  trials: 5", " trials: 5\n  seed: 1"),
            ["8:7: no ':' can stand here: check the indentation, or put the value in quotes"],
        ),
        (
            changed("  trials: 5", "  trials: 5\n seed: 1"),
            ["8:2: this doesn't fit the lines above: check the indentation and the quotes"],
        ),
        (
            changed("TEMP]", "TEMP"),
            ["4:18: the list that opens on line 3 isn't closed: expected ',' or ']', but got ':'"],
        ),
        (
            changed("dropout: 0.1}", "dropout: 0.1"),
            [
                "17:1: the block that opens on line 16 isn't closed: "
                "expected ',' or '}', but got the end of the file"
            ],
        ),
        (
            changed("{cpu: 1}", "{cpu: 1}}"),
            ["8:20: this doesn't fit the lines above: check the indentation and the quotes"],
        ),
        (changed("cpu: 1", "cpu: 'x"), ["17:1: the quote that opens on line 8 isn't closed"]),
        (changed("cpu: 1", "cpu: @x"), ["8:18: a value can't begin with '@': put it in quotes"]),
        (changed("trials: 5", "trials: 5\n  seed"), ["8:3: a key needs a ':' after it"]),
        (changed("[mse, huber]", "[mse,, huber]"), ["12:43: a value is missing before ','"]),
        (
            changed("cpu: 1", r'cpu: "\q"'),
            ["8:20: not readable as YAML: found unknown escape character 'q'"],
        ),
        (
            changed("cpu: 1", r'cpu: "\UFFFFFFFF"'),
            ["8:21: an escape or a version number that can't be read"],
        ),
        (
            changed("trials: 5", "trials: &n 5").replace("24", "*n"),
            [
                "7:11: anchors aren't read: remove '&n'",
                "14:19: aliases aren't read: write out what '*n' stands for",
            ],
        ),
        (
            changed("cpu: 1", "cpu: !!float 1"),
            ["8:18: tags aren't read: remove the word that begins with '!'"],
        ),
        (  # what isn't readable is told once, and taken for nothing else
            changed("high: 0.4", r'high: "\ud800"'),
            ["11:42: half a character: \\ud800 to \\udfff stand for nothing alone"],
        ),
        (
            changed("resources: {cpu: 1}", "resources:\n  <<: {cpu: 1}"),
            ["9:3: merge keys aren't read: write out the keys that '<<' stands for"],
        ),
        (changed("cpu: 1", "[cpu]: 1"), ["8:13: a key must be a plain name"]),
        (
            changed("trials: 5", "trials: 5\n  trials: 6"),
            ["8:3: 'trials' is given twice, first on line 7"],
        ),
        (
            GOOD + "study: {trials: x, frobnicate: 1}\n",
            ["17:1: 'study' is given twice, first on line 6"],
        ),
        (
            GOOD + "---\nversion: 1\n",
            ["17:1: a second document; a search space is one: remove the '---'"],
        ),
        (GOOD + "x: " + "[" * 30_000, ["17:23: nested deeper than 20 levels"]),
        (
            GOOD + "study: " + "[" * 30_000,
            [
                "17:1: 'study' is given twice, first on line 6",
                "17:27: nested deeper than 20 levels",
            ],
        ),
        (GOOD + "x\0y: 1", ["17:2: character U+0000 can't stand in YAML"]),
        (
            GOOD.encode() + "ü".encode("latin-1"),
            ["17:1: must be UTF-8 text, but got the byte 0xfc"],
        ),
        (GOOD.encode("utf-16"), ["1:1: must be UTF-8 text, but got the byte 0xff"]),
    ],
)
def test_what_is_not_the_yaml_of_a_search_space(text: str | bytes, mistakes: list[str]) -> None:
    assert mistakes_of(text) == mistakes


def test_a_byte_order_mark_and_other_line_ends_are_kept_and_not_counted() -> None:
    text = "\ufeff" + GOOD.replace("\n", "\r\n")
    assert space_of(text).text == text
    assert mistakes_of(text.replace("version: 1", "versio: 1")) == [
        "1:1: no block 'versio'; did you mean 'version'?"
    ]


# Rules


@pytest.mark.parametrize(
    ("old", "new", "mistake"),
    [
        # Blocks
        ("version: 1", "version: 2", "1:10: version must be 1, but got 2"),
        ("version: 1", "version: '1'", "1:10: version must be 1, but got '1'"),
        ("version: 1", "version: true", "1:10: version must be 1, but got true"),
        ("version: 1", "", "1:1: the file needs version: the format of this file, which is 1"),
        (
            GOOD[GOOD.index("data:") : GOOD.index("study:")],
            "",
            "1:1: the file needs data: which table, what is forecast from which columns, "
            "and where the splits meet",
        ),
        ("fixed:", "fix:", "13:1: no block 'fix'; did you mean 'fixed'?"),
        (
            "fixed:",
            "frobnicate:",
            "13:1: no block 'frobnicate'; the blocks are version, data, study, resources, search, "
            "fixed, initial_trials",
        ),
        (
            "resources: {cpu: 1}",
            "resources: 3",
            "8:12: resources must be a block of keys, but got 3",
        ),
        # data
        (
            "  test_from: 2014-01-01\n",
            "",
            "2:1: data needs test_from: the first hour of the test, which no study reads",
        ),
        (
            "  features: [pm2.5, TEMP]\n",
            "",
            "2:1: data needs features: the columns that are read",
        ),
        ("test_from", "test_form", "5:3: no key 'test_form' in data; did you mean 'test_from'?"),
        (
            "features:",
            "xyz: 1\n  features:",
            "3:3: no key 'xyz' in data; its keys are time, missing, fill, types, decimal, source, "
            "fallback, target, features, calendar, horizon, validation_from, test_from, folds",
        ),
        (
            "features:",
            "horizon: '3'\n  features:",
            "3:12: data.horizon must be a whole number, but got '3'",
        ),
        (
            "features:",
            "horizon: 3.0\n  features:",
            "3:12: data.horizon must be a whole number, but got 3.0",
        ),
        (
            "features:",
            "horizon:\n  features:",
            "3:11: data.horizon must be a whole number, but got nothing",
        ),
        (
            "features:",
            "horizon: 0\n  features:",
            "3:12: data.horizon must be at least 1, but got 0",
        ),
        (
            "features:",
            f"horizon: {'9' * 9999}\n  features:",
            f"3:12: data.horizon must be at most 720, but got {'9' * 40}…{'9' * 10}",
        ),
        (
            "features:",
            "source: ''\n  features:",
            "3:11: data.source must not be empty, but got ''",
        ),
        (
            "features:",
            "target: 5\n  features:",
            "3:11: data.target must be text, but got 5; quotes make it text",
        ),
        (
            "features:",
            "fallback: simulate\n  features:",
            "3:13: data.fallback must be simulated, but got 'simulate'; did you mean 'simulated'?",
        ),
        (
            "features:",
            "calendar: [hour]\n  features:",
            "3:14: each of data.calendar must be one of hour_of_day, day_of_week, day_of_year, "
            "but got 'hour'",
        ),
        (
            "features:",
            "calendar: [day_of_week, day_of_week]\n  features:",
            "3:13: data.calendar must name each column once, but got day_of_week twice",
        ),
        (
            "features:",
            "time: {a: 1}\n  features:",
            "3:9: data.time must be a column or a list of columns, but got a block of keys",
        ),
        (
            "features:",
            "time: [year, 5]\n  features:",
            "3:9: data.time must be a column or a list of columns, but got a list",
        ),
        (
            "features: [pm2.5, TEMP]",
            "features: pm2.5",
            "3:13: data.features must be a list, but got 'pm2.5'",
        ),
        (
            "features: [pm2.5, TEMP]",
            "features: []",
            "3:13: data.features must name at least one, but got an empty list",
        ),
        (
            "TEMP]",
            "true]",
            "3:21: each of data.features must be text, but got true; quotes make it text",
        ),
        (
            "TEMP]",
            "TEMP, TEMP]",
            "3:13: data.features must name each column once, but got TEMP twice",
        ),
        (
            "[pm2.5, TEMP]",
            "[TEMP]",
            "3:13: data.features must include the target 'pm2.5': the model forecasts the change "
            "from its last value",
        ),
        (
            "2013-01-01",
            "01.01.2013",
            "4:20: data.validation_from must be a date such as 2013-01-01, but got '01.01.2013'",
        ),
        (
            "2013-01-01",
            "20130101",
            "4:20: data.validation_from must be a date such as 2013-01-01, but got 20130101",
        ),
        (
            "2013-01-01",
            "2015-01-01",
            "4:20: data.validation_from must come before test_from, "
            "but got 2015-01-01 00:00 and 2014-01-01 00:00",
        ),
        # study and resources
        ("trials: 5", "trails: 5", "7:3: no key 'trails' in study; did you mean 'trials'?"),
        (
            "trials: 5",
            "trials:5",
            "7:3: study must be a block of keys, but got 'trials:5'; "
            "a colon needs a space after it",
        ),
        ("trials: 5", "trials: 0", "7:11: study.trials must be at least 1, but got 0"),
        ("trials: 5", "trials: 1e2", "7:11: study.trials must be a whole number, but got 100.0"),
        ("trials: 5", "trials: yes", "7:11: study.trials must be a whole number, but got 'yes'"),
        (
            "trials: 5",
            "seed: 2147483648",
            "7:9: study.seed must be at most 2147483647, but got 2147483648",
        ),
        (
            "trials: 5",
            "sampler: TPE",
            "7:12: study.sampler must be one of tpe, gp, random, but got 'TPE'; "
            "did you mean 'tpe'?",
        ),
        (
            "trials: 5",
            "scheduler: null",
            "7:14: study.scheduler must be one of asha, median, none, but got nothing",
        ),
        ("cpu: 1", "cpu: 0", "8:18: resources.cpu must be above 0, but got 0"),
        ("cpu: 1", "cpu: one", "8:18: resources.cpu must be a number, but got 'one'"),
        ("cpu: 1", "cpu: true", "8:18: resources.cpu must be a number, but got true"),
        ("cpu: 1", "cpu: .inf", "8:18: resources.cpu must be a finite number, but got inf"),
        ("cpu: 1", "gpu: -1", "8:18: resources.gpu must be at least 0, but got -1"),
        (
            "cpu: 1",
            "gpu: 1.5",
            "8:18: resources.gpu must be a share of one GPU or a whole number of them, but got 1.5",
        ),
        # fixed
        (
            "context_length: 24",
            "context: 24",
            "14:3: no hyperparameter 'context'; did you mean 'context_length'?",
        ),
        (
            "context_length: 24",
            "context_length: -1",
            "14:19: fixed.context_length must lie from 0 to 8760, but got -1",
        ),
        (
            "context_length: 24",
            "warm_up: .nan",
            "14:12: fixed.warm_up must lie from 0 to 0.9, but got nan",
        ),
        (
            "context_length: 24",
            "loss: mae",
            "14:3: fixed.loss can't go with search.loss on line 12",
        ),
        ("context_length: 24", "xyz", "14:3: fixed must be a block of keys, but got 'xyz'"),
        # initial_trials
        (
            "  - {num_layers: 2, dropout: 0.1}",
            "  num_layers: 2",
            "16:3: initial_trials must be a list of points, but got a block of keys",
        ),
        (
            "{num_layers: 2, dropout: 0.1}",
            "3",
            "16:5: each of initial_trials must give hyperparameters, as in {hidden_size: 64}, "
            "but got 3",
        ),
        (
            "{num_layers: 2, dropout: 0.1}",
            "{}",
            "16:5: each of initial_trials must give hyperparameters, as in {hidden_size: 64}, "
            "but got an empty block",
        ),
        (
            "dropout: 0.1}",
            "drop_out: 0.1}",
            "16:21: in an initial trial, no hyperparameter 'drop_out'; did you mean 'dropout'?",
        ),
        (
            "dropout: 0.1}",
            "dropout: 0.5}",
            "16:30: in an initial trial, dropout must lie from 0 to 0.4, but got 0.5",
        ),
        (
            "dropout: 0.1}",
            "loss: mae}",
            "16:27: in an initial trial, loss must be one of mse, huber, but got 'mae'",
        ),
        (
            "{num_layers: 2,",
            "{num_layers: 1,",
            "16:21: in an initial trial, dropout exists only where num_layers is 2 or 3, "
            "but it is 1",
        ),
        (
            "{num_layers: 2,",
            "{loss: mse,",
            "16:17: in an initial trial, dropout exists only where num_layers is 2 or 3, "
            "but it isn't given",
        ),
        (
            "dropout: 0.1}",
            "context_length: 24}",
            "16:21: in an initial trial, context_length can't be given: it is fixed",
        ),
        (
            "dropout: 0.1}",
            "warm_up: 0.1}",
            "16:21: in an initial trial, warm_up can't be given: it isn't searched",
        ),
        (
            "dropout: 0.1}",
            "dropout: 0.1}\n  - {dropout: 1e-1, num_layers: 2}",
            "17:5: this initial trial is the same as the one on line 16",
        ),
    ],
)
def test_one_mistake_is_one_line(old: str, new: str, mistake: str) -> None:
    assert mistakes_of(changed(old, new)) == [mistake]


INT = "  hidden_size: {type: int, "  # 28 characters: the next key stands in column 29
FLOAT = "  dropout: {type: float, "


@pytest.mark.parametrize(
    ("entries", "mistake"),
    [
        (
            "  hiden_size: {type: int, low: 1, high: 2}",
            "10:3: no hyperparameter 'hiden_size'; did you mean 'hidden_size'?",
        ),
        (
            "  xyz: {type: int, low: 1, high: 2}",
            "10:3: no hyperparameter 'xyz'; there are hidden_size, num_layers, dropout, "
            "output_dropout, learning_rate, warm_up, weight_decay, loss, huber_delta, "
            "gradient_clip, weight_averaging, context_length, chunk_length, batch_size",
        ),
        ("  hidden_size: 5", "10:16: search.hidden_size must be a block of keys, but got 5"),
        (
            "  hidden_size:",
            "10:15: search.hidden_size must be a block of keys, but got nothing",
        ),
        (
            "  hidden_size: {low: 1, high: 2}",
            "10:3: search.hidden_size needs type: int or categorical",
        ),
        (
            "  hidden_size: {type: float, low: 1, high: 2}",
            "10:23: search.hidden_size.type must be int or categorical, but got 'float'",
        ),
        (
            "  dropout: {type: int, low: 0, high: 0}",
            "10:19: search.dropout.type must be float or categorical, but got 'int'",
        ),
        (
            "  loss: {type: int, low: 1, high: 2}",
            "10:16: search.loss.type must be categorical, but got 'int'",
        ),
        (
            "  hidden_size: {typ: int, low: 1, high: 2}",
            "10:17: no key 'typ' in search.hidden_size; did you mean 'type'?",
        ),
        (
            INT + "low:1, high: 2}",
            "10:28: no key 'low:1' in search.hidden_size; did you mean 'low'?",
        ),
        (INT + "low: 1}", "10:3: search.hidden_size needs high, as its type is int"),
        (
            INT + "low: 1, high: 2, choices: [1]}",
            "10:45: search.hidden_size.choices can't go with type int",
        ),
        (
            "  loss: {type: categorical}",
            "10:3: search.loss needs choices, as its type is categorical",
        ),
        (
            "  loss: {type: categorical, choices: [mse], log: true}",
            "10:45: search.loss.log can't go with type categorical",
        ),
        (
            INT + "low: 0, high: 2}",
            "10:33: search.hidden_size.low must lie from 1 to 1024, but got 0",
        ),
        (
            INT + "low: 1, high: 9999}",
            "10:42: search.hidden_size.high must lie from 1 to 1024, but got 9999",
        ),
        (
            INT + "low: 16.0, high: 32}",
            "10:33: search.hidden_size.low must be a whole number, but got 16.0",
        ),
        (
            FLOAT + "low: .nan, high: 0.2}",
            "10:31: search.dropout.low must lie from 0 to 0.9, but got nan",
        ),
        (
            FLOAT + "low: 0, high: .inf}",
            "10:40: search.dropout.high must lie from 0 to 0.9, but got inf",
        ),
        (
            INT + "low: 5, high: 3}",
            "10:33: search.hidden_size.low must be at most high, which is 3, but got 5",
        ),
        (
            INT + "low: 1, high: 3, log: yes}",
            "10:50: search.hidden_size.log must be true or false, but got 'yes'",
        ),
        (
            FLOAT + "low: 0, high: 0.2, log: true}",
            "10:31: search.dropout.low must be above 0 with log: true, but got 0",
        ),
        (
            "  context_length: {type: int, low: 0, high: 8, log: true}",
            "10:36: search.context_length.low must be at least 1 with log: true, but got 0",
        ),
        (
            INT + "low: 1, high: 3, log: true, step: 1}",
            "10:56: search.hidden_size.step can't go with log: true",
        ),
        (
            INT + "low: 1, high: 3, step: 0}",
            "10:51: search.hidden_size.step must be a whole number of at least 1, but got 0",
        ),
        (
            INT + "low: 1, high: 3, step: 1.0}",
            "10:51: search.hidden_size.step must be a whole number of at least 1, but got 1.0",
        ),
        (
            FLOAT + "low: 0, high: 0.3, step: 1e-310}",
            "10:51: search.dropout.step must be at least 1e-09, but got 1e-310",
        ),
        (
            FLOAT + "low: 0, high: 0.3, step: .inf}",
            "10:51: search.dropout.step must be at least 1e-09, but got inf",
        ),
        (
            INT + "low: 1, high: 8, step: 2}",
            "10:51: search.hidden_size.step must divide high - low into whole steps, but got 2",
        ),
        (
            FLOAT + "low: 0.1, high: 0.4, step: 0.2}",
            "10:53: search.dropout.step must divide high - low into whole steps, but got 0.2",
        ),
        (
            "  loss: {type: categorical, choices: []}",
            "10:38: search.loss.choices must be a list of values, but got an empty list",
        ),
        (
            "  loss: {type: categorical, choices: mse}",
            "10:38: search.loss.choices must be a list of values, but got 'mse'",
        ),
        (
            "  loss: {type: categorical, choices: [mse, rmse]}",
            "10:44: each of search.loss.choices must be one of mse, huber, mae, but got 'rmse'",
        ),
        (
            "  loss: {type: categorical, choices: [mse, mse]}",
            "10:44: each of search.loss.choices must differ from the others, but got 'mse'",
        ),
        (
            "  dropout: {type: categorical, choices: [0, 0.0]}",
            "10:45: each of search.dropout.choices must differ from the others, but got 0.0",
        ),
        (
            "  hidden_size: {type: categorical, choices: [32, 64.0]}",
            "10:50: each of search.hidden_size.choices must be a whole number, but got 64.0",
        ),
    ],
)
def test_one_mistake_in_an_entry_is_one_line(entries: str, mistake: str) -> None:
    assert mistakes_of(searching(entries)) == [mistake]


PARENT = "  num_layers: {type: int, low: 1, high: 3}\n"
CHILD = "  dropout: {type: float, low: 0, high: 0.4, when: "


@pytest.mark.parametrize(
    ("entries", "mistake"),
    [
        (
            CHILD + "2}",
            "10:51: search.dropout.when must name a parent and its value, "
            "as in {num_layers: 2}, but got 2",
        ),
        (
            CHILD + "{}}",
            "10:51: search.dropout.when must name a parent and its value, "
            "as in {num_layers: 2}, but got an empty block",
        ),
        (
            PARENT + CHILD + "{num_layer: 2}}",
            "11:52: search.dropout.when: no hyperparameter 'num_layer'; did you mean 'num_layers'?",
        ),
        (
            PARENT + CHILD + "{hidden_size: 2}}",
            "11:52: search.dropout.when names hidden_size, which isn't searched",
        ),
        (CHILD + "{dropout: 0}}", "10:52: search.dropout.when can't name dropout itself"),
        (
            CHILD + "{num_layers: 2}}\n" + PARENT,
            "10:52: search.dropout.when needs num_layers to be declared above dropout",
        ),
        (
            PARENT + CHILD + "{num_layers: 4}}",
            "11:64: search.dropout.when.num_layers must lie from 1 to 3, but got 4",
        ),
        (
            PARENT + CHILD + "{num_layers: [2, '3']}}",
            "11:68: each of search.dropout.when.num_layers must be a whole number, but got '3'",
        ),
        (
            PARENT + CHILD + "{num_layers: []}}",
            "11:64: search.dropout.when.num_layers must be a value or a list of values, "
            "but got an empty list",
        ),
        (  # the parent's own mistake is the only one
            PARENT.replace("num_layers", "num_layer") + CHILD + "{num_layers: 2}}",
            "10:3: no hyperparameter 'num_layer'; did you mean 'num_layers'?",
        ),
        (
            PARENT.replace("high: 3", "high: 9") + CHILD + "{num_layers: 2}}",
            "10:41: search.num_layers.high must lie from 1 to 4, but got 9",
        ),
        (  # dropout exists only where num_layers is 2 or 3
            PARENT
            + CHILD
            + "{num_layers: [2, 3]}}\n"
            + "  warm_up: {type: float, low: 0, high: 0.4, when: {num_layers: 1, dropout: 0.1}}",
            "12:45: search.warm_up.when can never hold: dropout exists only where "
            "num_layers is 2 or 3",
        ),
    ],
)
def test_one_mistake_in_a_condition_is_one_line(entries: str, mistake: str) -> None:
    assert mistakes_of(searching(entries)) == [mistake]


def test_all_mistakes_at_once_in_the_files_order() -> None:
    text = """\
version: 1
data:
  sorce: beijing
  features: [TEMP, TEMP, 3]
  calendar: [hour]
  horizon: 0
  validation_from: 2015-01-01
  test_from: 2014-01-01
study:
  seed: -1
  seed: *x
resources: {cpu: 0, gpu: 1.5}
search:
  hiden_size: {type: int, low: 1, high: 2}
  num_layers: {type: int, low: 0, high: x, log: 1}
  dropout: {type: float, low: 0.5, high: 0.4, when: {num_layers: 2}}
  loss: {type: categorical, choices: [mse]}
fixed:
  loss: mae
  dropuot: 0.1
initial_trials:
  - {hidden_size: 5, loss: mae}
  - {loss: mse}
  - {loss: mse}
"""
    assert [line.split(": ")[0] for line in mistakes_of(text)] == [
        "3:3",  # sorce
        "4:26",  # 3 is no column
        "5:14",
        "6:12",
        "7:20",  # after test_from
        "10:9",
        "11:3",  # seed twice
        "11:9",  # an alias
        "12:18",
        "12:26",
        "14:3",  # hiden_size
        "15:32",
        "15:41",
        "15:49",
        "16:31",  # low above high
        "19:3",  # searched too
        "20:3",
        "22:28",  # mae isn't among the choices; hidden_size is excused by hiden_size
        "24:5",
    ]


def test_rules_across_keys_are_checked_beside_other_mistakes() -> None:
    text = changed("[pm2.5, TEMP]", "[TEMP, TEMP]\n  horizon: 0").replace("2013", "2015")
    assert mistakes_of(text) == [
        "3:13: data.features must name each column once, but got TEMP twice",
        "3:13: data.features must include the target 'pm2.5': the model forecasts the change "
        "from its last value",
        "4:12: data.horizon must be at least 1, but got 0",
        "5:20: data.validation_from must come before test_from, "
        "but got 2015-01-01 00:00 and 2014-01-01 00:00",
    ]


def test_one_fixed_configuration_is_a_study_of_one_trial() -> None:
    for search in ("search: {}", "search:", ""):
        text = searching("").replace("search:\n", search)
        assert space_of(text.replace("trials: 5", "trials: 1")).search == {}
        assert mistakes_of(text)[0].endswith(
            "search must name a hyperparameter, or study.trials be 1, but got 5 trials of nothing"
        )


# What entries do


@pytest.mark.parametrize(
    ("written", "low", "high"),
    [
        ("hidden_size: {type: int, low: 1, high: 1024, log: true}", 1, 1024),
        ("hidden_size: {type: int, low: 8, high: 8}", 8, 8),
        ("hidden_size: {type: int, low: 16, high: 48, step: 16, log: false}", 16, 48),
        ("learning_rate: {type: float, low: 1e-6, high: 1, log: true}", 0.000001, 1.0),
        ("dropout: {type: float, low: 0.1, high: 0.7, step: 0.2}", 0.1, 0.7),  # 2.9999999999999996
    ],
)
def test_the_edges_of_the_rules_belong_to_the_space(written: str, low: float, high: float) -> None:
    (entry,) = space_of(searching("  " + written)).search.values()
    assert (entry.low, entry.high) == (low, high)


def test_entries_keep_their_hyperparameters_type() -> None:
    space = space_of(
        searching(
            "  dropout: {type: float, low: 0, high: 0.9, step: 0.3}\n"
            "  warm_up: {type: categorical, choices: [0, 0.5]}\n"
            "  hidden_size: {type: categorical, choices: [32, 64], when: {warm_up: 0}}"
        ).replace("chunk_length: 96", "weight_decay: 0")
    )
    entries = [repr(entry) for entry in space.search.values()]
    assert "low=0.0, high=0.9, log=False, step=0.3" in entries[0]
    assert "choices=(0.0, 0.5)" in entries[1]
    assert "choices=(32, 64), when={'warm_up': (0.0,)}" in entries[2]
    assert repr(space.fixed) == "{'weight_decay': 0.0}"


@pytest.mark.parametrize(
    ("entry", "value", "rule"),
    [
        (ParameterRange("hidden_size", "int", low=16, high=32), 16, None),
        (ParameterRange("hidden_size", "int", low=16, high=32), 33, "must lie from 16 to 32"),
        (ParameterRange("hidden_size", "int", low=16, high=32), 16.0, "must be a whole number"),
        (ParameterRange("num_layers", "int", low=1, high=2), True, "must be a whole number"),
        (ParameterRange("hidden_size", "int", low=16, high=32, step=8), 24, None),
        (
            ParameterRange("hidden_size", "int", low=16, high=32, step=8),
            20,
            "must be 16 plus whole steps of 8",
        ),
        (ParameterRange("dropout", "float", low=0.0, high=0.4), 0, None),
        (ParameterRange("dropout", "float", low=0.0, high=0.4), "0.1", "must be a number"),
        (
            ParameterRange("dropout", "float", low=0.0, high=0.4),
            float("nan"),
            "must lie from 0 to 0.4",
        ),
        (ParameterRange("dropout", "float", low=0.0, high=0.9, step=0.1), 0.1 + 0.2, None),
        (
            ParameterRange("dropout", "float", low=0.0, high=0.9, step=0.1),
            0.3001,
            "must be 0 plus whole steps of 0.1",
        ),
        (ParameterRange("loss", "categorical", choices=("mse", "mae")), "mae", None),
        (
            ParameterRange("loss", "categorical", choices=("mse", "mae")),
            "huber",
            "must be one of mse, mae",
        ),
        (ParameterRange("num_layers", "categorical", choices=(1, 2)), True, "must be one of 1, 2"),
        (ParameterRange("num_layers", "categorical", choices=(1, 2)), 2.0, "must be one of 1, 2"),
        (ParameterRange("num_layers", "categorical", choices=(1, 2)), [1], "must be one of 1, 2"),
        (ParameterRange("dropout", "categorical", choices=(0.0, 0.5)), 0, None),
    ],
)
def test_an_entry_says_which_rule_a_value_breaks(
    entry: ParameterRange, value: object, rule: str | None
) -> None:
    assert entry.problem(value) == rule


def test_an_entry_exists_where_all_its_parents_took_a_named_value() -> None:
    entry = ParameterRange(
        "dropout", "float", low=0, high=0.4, when={"num_layers": (2, 3), "loss": ("mse",)}
    )
    assert entry.active({"num_layers": 3, "loss": "mse"})
    assert not entry.active({"num_layers": 1, "loss": "mse"})
    assert not entry.active({"num_layers": 2, "loss": "mae"})
    assert not entry.active({"num_layers": 2})  # loss doesn't exist in this trial
    assert ParameterRange("loss", "categorical", choices=("mse",)).active({})


# Where a CSV is looked for


def test_a_csv_is_looked_for_beside_the_file_then_here(folder: Path) -> None:
    (folder / "spaces").mkdir()
    (folder / "here.csv").touch()
    (folder / "spaces" / "beside.csv").touch()
    (folder / "spaces" / "simulated").touch()

    def source(written: str) -> str:
        text = changed("features:", f"source: {written}\n  features:")
        Path("spaces/s.yaml").write_text(text)
        return read_space("spaces/s.yaml").data.source

    assert source("beside.csv") == "spaces/beside.csv"
    assert source("here.csv") == "here.csv"
    assert source("nowhere.csv") == "nowhere.csv"
    assert source("simulated") == "simulated"
    assert source(f"{folder}/here.csv") == f"{folder}/here.csv"


# Flags


def test_flags_win_over_the_file() -> None:
    space = read_space("multivariate")
    other = space.overridden(
        {
            "study.trials": 5,
            "study.seed": None,
            "data.horizon": 24,
            "data.calendar": ("hour_of_day",),
            "resources.cpu": 2,
        }
    )
    assert (other.study.trials, other.study.max_epochs, other.study.seed) == (5, 30, 0)
    assert (other.data.horizon, other.data.calendar) == (24, ("hour_of_day",))
    assert (other.data.source, other.data.fallback) == ("beijing", "simulated")
    assert repr(other.resources) == "Resources(cpu=2.0, gpu=0.0)"
    assert (other.search, other.text, other.name) == (space.search, space.text, space.name)
    assert space.study.trials == 50


def test_a_source_from_a_flag_has_no_fallback() -> None:
    space = read_space("multivariate").overridden({"data.source": "beijing"})
    assert (space.data.source, space.data.fallback) == ("beijing", None)


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        ({"study.trials": 0}, ["--trials: must be at least 1, but got 0"]),
        ({"study.max_epochs": 10_001}, ["--max-epochs: must be at most 10000, but got 10001"]),
        ({"study.seed": -1}, ["--seed: must be at least 0, but got -1"]),
        ({"data.source": ""}, ["--data: must not be empty, but got ''"]),
        ({"data.source": "\udcff"}, ["--data: must be text, but got '\\udcff'"]),
        (
            {"data.calendar": ("hour_of_day", "weekday")},
            ["--calendar: must be one of hour_of_day, day_of_week, day_of_year, but got 'weekday'"],
        ),
        (
            {"data.calendar": ("hour_of_day", "hour_of_day")},
            ["--calendar: must name each column once, but got hour_of_day twice"],
        ),
        (
            {"resources.cpu": float("nan")},
            ["--cpus-per-trial: must be a finite number, but got nan"],
        ),
        (
            {"resources.gpu": 2.5},
            ["--gpus-per-trial: must be a share of one GPU or a whole number of them, but got 2.5"],
        ),
        (
            {"study.trials": 0, "data.horizon": 721, "resources.cpu": 0.0},
            [
                "--horizon: must be at most 720, but got 721",
                "--trials: must be at least 1, but got 0",
                "--cpus-per-trial: must be above 0, but got 0.0",
            ],
        ),
        (  # no flag names the key at fault
            {"data.target": "TEMP", "data.features": ["pm2.5"]},
            [
                "data.features: must include the target 'TEMP': the model forecasts the change "
                "from its last value"
            ],
        ),
        (
            {"data.test_from": datetime(2012, 1, 1)},
            [
                "data.test_from: data.validation_from must come before test_from, "
                "but got 2013-01-01 00:00 and 2012-01-01 00:00"
            ],
        ),
        ({"study.trails": 5}, ["study.trails: no key 'trails' in study; did you mean 'trials'?"]),
    ],
)
def test_flags_obey_the_same_rules(changes: dict[str, object], lines: list[str]) -> None:
    with pytest.raises(SpaceError) as caught:
        read_space("multivariate").overridden(changes)
    assert str(caught.value).split("\n") == lines


def test_one_fixed_configuration_is_not_tried_more_often_by_a_flag() -> None:
    space = space_of(searching("").replace("trials: 5", "trials: 1"))
    assert space.overridden({"data.horizon": 3}).data.horizon == 3
    with pytest.raises(
        SpaceError, match=r"^--trials: must be 1 where nothing is searched, but got 2$"
    ):
        space.overridden({"study.trials": 2})


# Whatever comes


def reads_or_explains(raw: bytes) -> bool:
    """Read a file of these bytes; anything but a space or a SpaceError fails the test."""
    try:
        space_of(raw)
    except SpaceError as error:
        lines = str(error).split("\n")
        assert all(line.startswith("s.yaml:") for line in lines)
        str(error).encode()  # can be printed
        return False
    return True


FUZZ = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
PIECES = st.one_of(
    st.sampled_from([*"{}[],'#?>%\\\"\n\t\x85\0", "  ", ": ", "- ", "\n---\n", "|\n", "&a ", "*a"]),
    st.sampled_from(["!!x ", "<<", "null", "true", "-1", "0", "1e999", ".nan", "9" * 5000, "{}"]),
    st.sampled_from(["[]", "[[1]]", "num_layers", "2", '"\\ud800"', '"\\U00110000"', "%YAML 1.9"]),
)


@FUZZ
@given(st.binary(max_size=200))
def test_random_bytes_are_refused(raw: bytes) -> None:
    assert not reads_or_explains(raw)


@FUZZ
@given(st.lists(st.tuples(st.integers(0, len(CONTRACT)), st.integers(0, 20), PIECES), max_size=4))
def test_random_edits_are_read_or_refused(edits: list[tuple[int, int, str]]) -> None:
    text = CONTRACT
    for start, length, piece in edits:
        text = text[:start] + piece + text[start + length :]
    reads_or_explains(text.encode())


@FUZZ
@given(st.data())
def test_any_value_may_stand_anywhere(data: st.DataObject) -> None:
    words = GOOD.split(" ")
    place = data.draw(st.integers(0, len(words) - 1))
    words[place] = data.draw(PIECES) + ("\n" if words[place].endswith("\n") else "")
    reads_or_explains(" ".join(words).encode())


def test_reading_needs_neither_ray_nor_optuna_nor_torch() -> None:
    code = (
        "import sys; from tuning.space.search_space import read_space; read_space('multivariate'); "
        "print(sorted({'ray', 'optuna', 'torch'} & set(sys.modules)))"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
