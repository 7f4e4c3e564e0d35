"""A small study to try things on: a table of 1,500 hours and a space whose trials take a second."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

SPACE = """\
version: 1
data:
  source: {source}
  target: pm
  time: time
  features: [pm, temp, wind]
  horizon: {horizon}
  validation_from: 2020-02-10
  test_from: 2020-02-25
study: {{trials: {trials}, max_epochs: {max_epochs}, scheduler: {scheduler}}}
search:
  hidden_size:   {{type: int, low: 4, high: 16, log: true}}
  num_layers:    {{type: int, low: 1, high: 2}}
  dropout:       {{type: float, low: 0.0, high: 0.4, when: {{num_layers: 2}}}}
  learning_rate: {{type: float, low: 1e-3, high: 5e-2, log: true}}
  loss:          {{type: categorical, choices: [mse, mae]}}
fixed: {{context_length: 12, chunk_length: 48}}
initial_trials:
  - {{hidden_size: 8, num_layers: 1, learning_rate: 1e-2, loss: mse}}
"""


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CSV of 1,500 hours whose next value depends on the temperature."""
    rng = np.random.default_rng(3)
    rows = 1500
    temperature = 10 + 8 * np.sin(np.arange(rows) / 5) + rng.normal(0, 1, rows)
    target = 50 + np.convolve(temperature, [0, 3, 2, 1])[:rows] + rng.normal(0, 1, rows)
    target[[40, 41, 700, 1100]] = np.nan
    frame = pd.DataFrame(
        {
            "time": pd.date_range("2020-01-01", periods=rows, freq="h"),
            "pm": target.round(2),
            "temp": temperature.round(2),
            "wind": np.array(["NW", "SE"])[(np.arange(rows) // 17) % 2],
        }
    )
    path = tmp_path_factory.mktemp("data") / "air.csv"
    frame.to_csv(path, index=False)
    return path


@pytest.fixture
def space(tmp_path: Path, table: Path) -> Callable[..., Path]:
    """Writes tiny.yaml and gives its path; by default four trials of four epochs."""

    def write(
        trials: int = 4, max_epochs: int = 4, horizon: int = 1, scheduler: str = "asha"
    ) -> Path:
        path = tmp_path / "tiny.yaml"
        path.write_text(
            SPACE.format(
                source=table,
                trials=trials,
                max_epochs=max_epochs,
                horizon=horizon,
                scheduler=scheduler,
            )
        )
        return path

    return write


@pytest.fixture
def environment() -> dict[str, str]:
    """The environment of a command: no data to be found but what is given."""
    return {name: value for name, value in os.environ.items() if name != "LSTM_TUNING_DATA"}


@pytest.fixture
def run(
    tmp_path: Path, environment: dict[str, str]
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`python -m tuning.run` with these arguments, in an empty directory."""

    def command(*arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tuning.run", *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=environment,
            timeout=180,
            check=False,
        )

    return command
