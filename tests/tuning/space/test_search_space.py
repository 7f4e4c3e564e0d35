"""A search space read: what it holds, and where its file and its table are looked for."""

import pickle
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from lstm_model.errors import InputError
from tests.tuning.space.spaces import CONTRACT, GOOD, changed, space_of
from tuning.space.schema import Choices, FloatRange, IntRange
from tuning.space.search_space import SpaceError, read_space, shipped_spaces


def test_contracts_example() -> None:
    space = space_of(CONTRACT)
    assert space.name == "s.yaml"
    assert space.text == CONTRACT
    assert space.data.model_dump() == {
        "source": "beijing",
        "fallback": "simulated",
        "time": None,
        "zone": None,
        "dates": None,
        "gaps": "refuse",
        "duplicates": "refuse",
        "encoding": None,
        "missing": (),
        "fill": {},
        "types": {},
        "decimal": None,
        "series": None,
        "targets": (),
        "target": "pm2.5",
        "features": ("pm2.5", "DEWP", "TEMP", "PRES", "cbwd", "Iws", "Is", "Ir"),
        "static": (),
        "neighbours": False,
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
        ("hidden_size", IntRange(16, 128, log=True).named("hidden_size")),
        ("num_layers", IntRange(1, 2).named("num_layers")),
        (
            "dropout",
            FloatRange(0.0, 0.4, when={"num_layers": (2,)}).named("dropout"),
        ),
        ("learning_rate", FloatRange(0.001, 0.02, log=True).named("learning_rate")),
        ("loss", Choices(("mse", "huber", "mae")).named("loss")),
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


def test_space_is_pickled() -> None:  # Ray carries it to other processes
    space = space_of(CONTRACT)
    assert pickle.loads(pickle.dumps(space)) == space


def test_defaults_are_the_contracts() -> None:
    space = space_of(GOOD.replace("study:\n  trials: 5\nresources: {cpu: 1}\n", "study:\n"))
    assert (space.study.trials, space.study.max_epochs, space.study.seed) == (50, 40, 0)
    assert (space.study.sampler, space.study.scheduler) == ("tpe", "asha")
    assert (space.resources.cpu, space.resources.gpu) == (1.0, 0.0)
    assert (space.data.source, space.data.fallback) == ("beijing", None)


# The shipped files


@pytest.mark.parametrize(
    ("name", "source", "features", "horizon", "calendar", "years"),
    [
        ("univariate", "beijing", 1, 1, (), (2013, 2014)),
        ("multivariate", "beijing", 8, 1, (), (2013, 2014)),
        (
            *("day_ahead", "beijing", 8, 24),
            *(("hour_of_day", "day_of_year", "day_of_week"), (2013, 2014)),
        ),
        ("stations", "beijing_stations", 12, 1, (), (2015, 2016)),
    ],
)
def test_the_shipped_files_are_read(
    name: str,
    source: str,
    features: int,
    horizon: int,
    calendar: tuple[str, ...],
    years: tuple[int, int],
) -> None:
    space = read_space(name)
    assert space == read_space(f"{name}.yaml")
    assert space.name == f"{name}.yaml"
    assert space.text == shipped_spaces()[f"{name}.yaml"].read_text()
    assert len(space.data.features) == features
    assert (space.data.horizon, space.data.calendar) == (horizon, calendar)
    assert (space.data.source, space.data.fallback) == (source, "simulated")
    assert (space.data.validation_from.year, space.data.test_from.year) == years
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


def test_every_file_that_ships_is_tested() -> None:
    assert list(shipped_spaces()) == [
        *("day_ahead.yaml", "multivariate.yaml", "stations.yaml", "univariate.yaml")
    ]


def test_the_stations_are_series_with_neighbours() -> None:
    data = read_space("stations").data
    assert (data.series, data.target, data.neighbours) == ("station", "PM2.5", True)
    assert data.features[0] == "PM2.5"
    assert "station" not in data.features


def test_local_file_before_shipped_one() -> None:
    Path("multivariate.yaml").write_text(GOOD)
    assert read_space("multivariate.yaml").study.trials == 5
    assert read_space("multivariate").study.trials == 50


def test_folder_does_not_hide_shipped_file() -> None:
    Path("multivariate").mkdir()
    assert read_space("multivariate").name == "multivariate.yaml"


SHIPPED = (
    "Give a file's path, or one of day_ahead.yaml, multivariate.yaml, stations.yaml, "
    "univariate.yaml"
)


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
def test_unknown_name_is_refused(name: str, message: str) -> None:
    Path("mine.yaml").write_text(GOOD)
    Path("folder").mkdir()
    Path("big").write_bytes(b"#" * 1_000_001)
    with pytest.raises(SpaceError) as caught:
        read_space(name)
    assert str(caught.value) == message
    assert isinstance(caught.value, InputError)


def test_file_of_one_megabyte_is_read() -> None:
    assert space_of(GOOD + "#" * (1_000_000 - len(GOOD))).study.trials == 5


def test_unreadable_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("s.yaml").write_text(GOOD)

    def denied(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", denied)  # root may read anything, so no chmod
    with pytest.raises(
        SpaceError, match=r"^s\.yaml: must be readable, but got: Permission denied$"
    ):
        read_space("s.yaml")


def test_csv_is_looked_for_beside_the_file_first(folder: Path) -> None:
    (folder / "spaces").mkdir()
    (folder / "here.csv").touch()
    (folder / "spaces" / "beside.csv").touch()
    for name in ("simulated", "beijing_stations"):
        (folder / "spaces" / name).touch()

    def source(written: str) -> str:
        text = changed("features:", f"source: {written}\n  features:")
        Path("spaces/s.yaml").write_text(text)
        return read_space("spaces/s.yaml").data.source

    assert source("beside.csv") == "spaces/beside.csv"
    assert source("here.csv") == "here.csv"
    assert source("nowhere.csv") == "nowhere.csv"
    assert source("simulated") == "simulated"
    assert source("beijing_stations") == "beijing_stations"
    assert source(f"{folder}/here.csv") == f"{folder}/here.csv"


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
