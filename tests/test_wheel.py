"""The wheel alone, in an empty environment away from the checkout: the commands, and its types.

test_package.py looks into the wheel without installing it, which takes seconds and no index. Here
it brings its own dependencies, so what is imported and not declared is missing. They are the newest
that there are, as a user gets them, but for torch, which is the pinned one for its size.
"""

import csv
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.versions.environment import constraints

ROOT = Path(__file__).parents[1]
# Of several values of an option the last one holds.
TINY = "--trials 1 --max-epochs 1 --finalists 1 --seeds 2"

USERS_SCRIPT = """\
from typing import assert_type

import numpy as np
import numpy.typing as npt
import pandas as pd

import lstm_model
from lstm_model.inference.predictor import TrainedForecaster
from lstm_model.inference.forecasts import Forecasts
from tuning.space.search_space import SearchSpace, read_space


def ahead(table: pd.DataFrame) -> npt.NDArray[np.float64]:
    model = lstm_model.load("runs/demo/models/univariate")
    assert_type(model, TrainedForecaster)
    found = model.forecast(table)
    assert_type(found, Forecasts)
    assert_type(found.table(), pd.DataFrame)
    low, high = found.bounds[0.95]
    return np.stack([low, found.point, high])


space = read_space("multivariate.yaml").overridden({"study.trials": 3})
assert_type(space, SearchSpace)
assert_type(space.study.trials, int)
"""
USERS_MISTAKES = """\
import lstm_model
from tuning.space.search_space import read_space

model = lstm_model.load(3)
model.forecast("table")
read_space("multivariate.yaml").study.trails
"""

pytestmark = pytest.mark.slow


@dataclass
class Installed:
    """The environment, and an empty directory to be in."""

    bin: Path
    here: Path

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """A command of the environment, by somebody whose home is empty as well."""
        return subprocess.run(
            [str(self.bin / command[0]), *command[1:]],
            capture_output=True,
            text=True,
            cwd=self.here,
            env={"PATH": os.defpath, "HOME": str(self.here / "home")},
            timeout=300,
            check=False,
        )


def pip(*arguments: object) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pip", *map(str, arguments)],
        capture_output=True,
        text=True,
        # With a path to this checkout it would count what is to be installed as installed.
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    checkout = folder / "checkout"  # a copy, since building leaves folders behind
    left = shutil.ignore_patterns(".*", "*.egg-info", "__pycache__", "build", "dist", "runs")
    shutil.copytree(ROOT, checkout, ignore=left)
    pip("wheel", "--quiet", "--no-deps", "--wheel-dir", folder, checkout)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path) -> Iterator[Installed]:
    # Not among pytest's own folders, of which it keeps the last three: it has over a gigabyte.
    with tempfile.TemporaryDirectory(prefix="lstm-tuning-") as folder:
        environment, here = Path(folder) / "environment", Path(folder) / "here"
        here.mkdir()
        (here / "home").mkdir()
        subprocess.run(
            [sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True
        )
        python = environment / "bin" / "python"
        # Compiling all files takes as long as installing them, and few of them are imported. The
        # type checker and pandas' types are what a user brings who wants types.
        pins = Path(folder) / "pins.txt"
        pins.write_text("\n".join(constraints("latest")))
        pip(
            *("--python", python, "install", "--quiet", "--no-compile"),
            *("--constraint", pins, wheel, "mypy", "pandas-stubs"),
        )
        yield Installed(environment / "bin", here)


def test_it_holds_both_packages_with_their_spaces_and_nothing_else(wheel: Path) -> None:
    files = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    packages = [ROOT / "lstm_model", ROOT / "tuning"]
    expected = {f"{each.name}/py.typed" for each in packages}
    expected |= {str(file.relative_to(ROOT)) for each in packages for file in each.rglob("*.py")}
    expected.add("tuning/reporting/report.html.j2")
    spaces = {f"tuning/search_spaces/{file.name}" for file in ROOT.glob("search_spaces/*.yaml")}
    assert len(spaces) >= 3
    assert files == expected | spaces


def test_the_commands_run_from_the_demo_to_a_forecast(installed: Installed) -> None:
    where = installed.run("python", "-c", "import lstm_model; print(lstm_model.__file__)")
    assert where.stdout.startswith(str(installed.bin.parent)), "not the checkout's"

    helped = installed.run("python", "-m", "tuning.run", "--help")
    assert (helped.returncode, helped.stderr) == (0, "")
    assert "--space" in helped.stdout

    checked = installed.run(
        *("python", "-m", "tuning.run"),
        *("--space", "multivariate.yaml", "--check", "--data", "simulated"),
    )
    assert (checked.returncode, checked.stderr) == (0, "")
    assert "channels        20: pm2.5, DEWP, TEMP, PRES" in checked.stdout

    shown = subprocess.run(
        ["make", "--dry-run", "demo"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    (demo,) = (line for line in shown.stdout.splitlines() if "-m tuning.compare" in line)
    python, *arguments = shlex.split(demo)
    assert python == ".venv/bin/python"
    compared = installed.run("python", *arguments, *TINY.split())
    assert (compared.returncode, compared.stderr) == (0, "")
    folder = installed.here / "runs" / "demo"
    found = json.loads((folder / "comparison.json").read_text())
    assert found["data"]["simulated"]
    assert set(found["finalists"]) == {"univariate", "multivariate"}
    assert (folder / "report.html").stat().st_size > 0

    # The rows that the model has not seen, written by the simulation that it learned from.
    made = installed.run(
        *("python", "-c"),
        "from lstm_model.data.simulation import simulate\n"
        "simulate().iloc[-2000:].to_csv('latest.csv', index=False)",
    )
    assert (made.returncode, made.stderr) == (0, "")
    forecast = installed.run(
        *("python", "-m", "lstm_model.forecast", "--model", "runs/demo/models/multivariate"),
        *("--data", "latest.csv", "--plot", "ahead.png"),
    )
    assert forecast.returncode == 0, forecast.stderr
    (row,) = csv.DictReader(forecast.stdout.splitlines())
    assert float(row["lower_95"]) < float(row["forecast"]) < float(row["upper_95"])
    assert (installed.here / "ahead.png").read_bytes().startswith(b"\x89PNG")

    # TensorBoard reads what was written, without opening a port.
    looked = installed.run("tensorboard", "--inspect", "--logdir", "runs/demo/tensorboard")
    assert looked.returncode == 0, looked.stderr
    assert "answer" in looked.stdout


def test_a_users_type_checker_finds_its_types(installed: Installed) -> None:
    (installed.here / "script.py").write_text(USERS_SCRIPT)
    (installed.here / "mistakes.py").write_text(USERS_MISTAKES)
    right = installed.run("mypy", "--strict", "script.py")
    assert (right.returncode, right.stderr) == (0, ""), right.stdout
    wrong = installed.run("mypy", "--strict", "mistakes.py")
    assert wrong.returncode == 1
    told = [line.rsplit("  ", 1) for line in wrong.stdout.splitlines() if ": error:" in line]
    assert [(line.split(":")[1], kind) for line, kind in told] == [
        ("4", "[arg-type]"),
        ("5", "[arg-type]"),
        ("6", "[attr-defined]"),
    ]
