"""The lines of the contract "From Python", as they stand: in a process, in a notebook's kernel, and
beside a Ray that is somebody else's.
"""

import doctest
import shutil
import subprocess
import sys
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import pandas as pd
import pytest
from matplotlib.figure import Figure

import lstm_model
import tuning
from lstm_model.command import run_app
from tests.tuning.conftest import PAIR
from tests.tuning.kernel import run_cells
from tuning.run import app

pytestmark = pytest.mark.slow

BEFORE = """
import pandas as pd
frame = pd.read_csv("load.csv", index_col="time", parse_dates=True)
recent = frame.tail(400)
"""
LINES = """
import lstm_model, tuning

model = lstm_model.fit(frame, target="load", horizon=24, validation_from="2013-01-01")
model.save("best"); lstm_model.load("best").forecast(recent).table()

study = tuning.run_study("multivariate.yaml", trials=20)
study.best.config; study.best.rmse; study.trials_dataframe(); study.best_model().forecast(recent)
study = tuning.load_study("runs/air-multivariate")
answer = tuning.compare_studies([study, "runs/air-univariate"], name="air")
answer.verdict; answer.tests; answer.models
"""
AFTER = """
import json, pathlib
table = lstm_model.load("best").forecast(recent).table()
assert list(table["lead_time"].tail(24)) == list(range(1, 25))
[tried] = [each for each in pathlib.Path("runs").glob("multivariate-*") if each.is_dir()]
assert len(list(tried.glob("trials/*.json"))) == 20
assert answer.to_json() == json.loads(pathlib.Path("runs/air/comparison.json").read_text())
print("as it should be")
"""
OWN_RAY = """
import ray
ray.init(num_cpus=2, include_dashboard=False, logging_level="ERROR")
"""
RAY_STAYS = """
assert ray.get(ray.put(3)) == 3
ray.shutdown()
"""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, table: Path) -> Path:
    """A folder with a table, the space that the lines name, and the two studies that they read."""
    folder = tmp_path_factory.mktemp("prepared")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        prepare(table)
    return folder


@pytest.fixture
def home(tmp_path: Path, prepared: Path) -> Path:
    shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)
    return tmp_path


def prepare(table: Path) -> None:
    load = pd.read_csv(table).drop(columns="wind").rename(columns={"pm": "load"})
    load["time"] = pd.date_range("2012-12-01", periods=len(load), freq="h")
    load.to_csv("load.csv", index=False)
    space = PAIR.replace("target: pm", "target: load").replace("max_epochs: 10", "max_epochs: 1")
    space = space.replace("2020-02-15", "2013-01-01").replace("2020-03-10", "2013-01-20")
    for name, features in (("multivariate", "load, temp"), ("univariate", "load")):
        text = space.format(source="load.csv", features=features)
        Path(f"{name}.yaml").write_text(text)
        assert run_app(app, ["--space", f"{name}.yaml", "--name", f"air-{name}", "--quiet"]) == 0


@pytest.mark.parametrize(
    "script",
    [
        BEFORE + LINES + AFTER,
        pytest.param(
            OWN_RAY + BEFORE + LINES + AFTER + RAY_STAYS, marks=pytest.mark.nightly, id="own Ray"
        ),
    ],
)
def test_in_a_process(script: str, home: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=home, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("as it should be\n")


@pytest.mark.parametrize(
    "described",
    [
        tuning.run_study,
        tuning.load_study,
        tuning.compare_studies,
        tuning.SavedStudy,
        tuning.SavedStudy.plot,
        lstm_model.plot_latest_forecast,
    ],
    ids=lambda described: described.__qualname__,
)
def test_docstrings(described: object, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    names = {
        "tuning": tuning,
        "lstm_model": lstm_model,
        "recent": pd.read_csv("load.csv").tail(400),
        "study": tuning.load_study("runs/air-univariate"),
        "model": lstm_model.load("runs/air-univariate/best"),
        "ax": Figure().subplots(),
    }
    finder = doctest.DocTestFinder(recurse=False)
    [examples] = finder.find(described, "example", globs=names)
    assert examples.examples
    with matplotlib.rc_context({"backend": "agg"}):
        assert doctest.DocTestRunner().run(examples).failed == 0
        plt.close("all")


def test_in_a_kernel(home: Path) -> None:
    *_, last = run_cells([BEFORE, *LINES.strip().split("\n\n"), AFTER], home)
    assert last.outputs[-1].text == "as it should be\n"
