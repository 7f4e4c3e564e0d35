"""On Windows itself, as far as that can be had elsewhere: without fcntl, and with its name."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lstm_model.configuration import Configuration, DataSettings
from lstm_model.data.encoded_table import EncodedTable
from lstm_model.data.step import Step
from lstm_model.inference.predictor import TrainedForecaster
from lstm_model.training.trainer import Trainer

# What is installed is imported as it is here; then Windows' name, and the command.
WINDOWS = """\
import sys, runpy
import typer, rich.console, rich.live, rich.progress, pandas, pydantic, yaml, pyarrow.fs
import torch, safetensors.torch, matplotlib.figure, matplotlib.backends.backend_agg, psutil
sys.platform = "win32"
sys.modules["fcntl"] = None
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""
Windows = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def windows(tmp_path: Path) -> Windows:
    """`python -m` with these arguments, beside load.csv and its space."""
    times = pd.date_range("2020-01-01", periods=400, freq="h", name="at")
    rng = np.random.default_rng(0)
    pd.DataFrame({"load": rng.normal(400, 30, 400).round(1)}, times).to_csv(tmp_path / "load.csv")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", WINDOWS, *arguments],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            timeout=120,
            check=False,
        )

    return run


@pytest.mark.parametrize(
    "arguments",
    [
        ("tuning.run", "--space", "univariate.yaml", "--data", "simulated"),
        ("tuning.run", "--space", "univariate.yaml", "--data", "simulated", "--check"),
        ("tuning.run", "--resume", "air"),
        ("tuning.compare", "--space", "univariate.yaml", "--name", "air"),
    ],
)
def test_studies_are_refused_in_a_line(
    windows: Windows, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    done = windows(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "studies and comparisons run on Linux, on macOS, and on Windows in WSL, but this is "
        "Windows itself; type the same in WSL (https://learn.microsoft.com/windows/wsl)\n"
    )
    assert [each.name for each in tmp_path.iterdir()] == ["load.csv"]


def test_their_help_is_there(windows: Windows) -> None:
    done = windows("tuning.run", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "--space" in done.stdout


def test_a_space_is_proposed(windows: Windows, tmp_path: Path) -> None:
    done = windows("tuning.new_space", "load.csv", "--target", "load")
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "load.yaml").exists()


def test_a_saved_model_forecasts(windows: Windows, tmp_path: Path) -> None:
    frame = pd.read_csv(tmp_path / "load.csv", index_col="at", parse_dates=True)
    settings = DataSettings.model_validate(
        {
            "time": "at",
            "target": "load",
            "features": ["load"],
            "validation_from": str(frame.index[300]),
            "test_from": str(frame.index[380]),
        }
    )
    series = EncodedTable.from_table(frame, Step(3600), settings)
    config = Configuration(hidden_size=4, chunk_length=24, context_length=6)
    epoch = Trainer(config, series, max_epochs=1, seed=0).run_epoch()
    best = epoch.best
    trained = TrainedForecaster.from_weights(series, "load", config, best.weights, best.score)
    replace(trained, reading=settings.reading).save(tmp_path / "model")
    asked = ("--model", "model", "--data", "load.csv", "--out", "out.csv", "--plot", "a.png")
    done = windows("lstm_model.forecast", *asked)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out.csv").read_text().startswith("origin,lead_time,")
    assert (tmp_path / "a.png").exists()
