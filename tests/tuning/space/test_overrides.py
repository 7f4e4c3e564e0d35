"""Settings of a space that are changed: by flags, or from Python."""

import re
from datetime import datetime

import pytest

from lstm_model.errors import InputError
from tests.tuning.space.spaces import searching, space_of
from tuning.cli import FLAGS, naming_flags
from tuning.space.search_space import OverrideError, read_space


def test_overrides_win_over_the_file() -> None:
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


def test_overriding_source_has_no_fallback() -> None:
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
def test_overrides_obey_the_rules(changes: dict[str, object], lines: list[str]) -> None:
    """The same lines, which speak of fields to Python and of flags on the command line."""
    space = read_space("multivariate")
    with pytest.raises(InputError) as shown, naming_flags():
        space.overridden(changes)
    assert str(shown.value).split("\n") == lines
    fields = {flag: field for field, flag in FLAGS.items()}
    with pytest.raises(OverrideError) as caught:
        space.overridden(changes)
    assert str(caught.value).split("\n") == [
        re.sub(r"^--[a-z-]+", lambda flag: fields[flag[0]], line) for line in lines
    ]


def test_fixed_configuration_is_tried_once() -> None:
    space = space_of(searching("").replace("trials: 5", "trials: 1"))
    assert space.overridden({"data.horizon": 3}).data.horizon == 3
    with pytest.raises(
        OverrideError, match=r"^study\.trials: must be 1 where nothing is searched, but got 2$"
    ):
        space.overridden({"study.trials": 2})


def test_all_changes_of_a_block_are_named() -> None:
    """Where the field at fault is none of them."""
    changes = {"data.target": "TEMP", "data.horizon": 2, "data.calendar": ["day_of_week"]}
    with pytest.raises(InputError) as caught, naming_flags():
        read_space("univariate").overridden(changes)
    assert str(caught.value) == (
        "data.target, --horizon, --calendar: data.features must include the target 'TEMP': the "
        "model forecasts the change from its last value"
    )
