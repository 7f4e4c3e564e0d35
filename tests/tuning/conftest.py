"""A small study to try things on: a table of 1,500 hours and a space whose trials take a second."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lstm_model.command import run_app

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


PAIR = """\
version: 1
data:
  source: {source}
  target: pm
  time: time
  features: [{features}]
  validation_from: 2020-02-15
  test_from: 2020-03-10
study: {{trials: 2, max_epochs: 10, scheduler: none}}
search:
  learning_rate: {{type: float, low: 1e-2, high: 5e-2, log: true}}
fixed: {{hidden_size: 12, chunk_length: 48}}
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
    """The environment of a command: no data to be found but what is given, `python` on the PATH."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    kept = {name: value for name, value in os.environ.items() if name != "LSTM_TUNING_DATA"}
    return {**kept, "PATH": path}


@pytest.fixture
def run(
    tmp_path: Path, environment: dict[str, str]
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`python -m tuning.run` with these arguments, in an empty directory."""
    return partial(command, "tuning.run", tmp_path, environment)


@pytest.fixture
def compare(
    tmp_path: Path, environment: dict[str, str]
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`python -m tuning.compare` with these arguments, in an empty directory."""
    return partial(command, "tuning.compare", tmp_path, environment)


def command(
    module: str, folder: Path, environment: dict[str, str], *arguments: object
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment,
        timeout=300,
        check=False,
    )


def weather(path: Path, effect: str) -> None:
    """2,184 hours of a target that the wind moves in the next hour, or does not.

    "turning": it does until the test begins, and then moves it the other way.
    """
    rng = np.random.default_rng(11)
    times = pd.date_range("2020-01-01", "2020-03-31 23:00", freq="h")
    rows = len(times)
    wind = rng.normal(0, 1, rows)
    strength = {
        "none": np.zeros(rows),
        "some": np.full(rows, 6.0),
        "turning": np.where(times < pd.Timestamp("2020-03-10"), 6.0, -6.0),
    }[effect]
    target = np.empty(rows)
    target[0] = 60.0
    for row in range(1, rows):
        pull = 0.9 * (target[row - 1] - 60) + strength[row] * wind[row - 1]
        target[row] = 60 + pull + rng.normal(0, 4)
    target[500] = np.nan
    frame = pd.DataFrame({"time": times, "pm": target.round(2), "wind": wind.round(3)})
    frame.to_csv(path, index=False)


@pytest.fixture
def pair(tmp_path: Path) -> Callable[..., None]:
    """Writes alone.yaml and both.yaml, which reads the wind too, for weather() of an effect."""

    def write(effect: str) -> None:
        weather(tmp_path / "air.csv", effect)
        for name, features in (("alone", "pm"), ("both", "pm, wind")):
            text = PAIR.format(source=tmp_path / "air.csv", features=features)
            (tmp_path / f"{name}.yaml").write_text(text)

    return write


Ask = Callable[..., str]


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
    """What the command new_space says to these arguments, asked in this process, to be quick."""

    from tuning.new_space import app

    def ask(*arguments: object, status: int = 0) -> str:
        got = run_app(app, [str(each) for each in arguments])
        said = capsys.readouterr()
        assert got == status, said.err
        assert (said.err == "") == (status == 0)
        return said.err or said.out

    return ask


@pytest.fixture
def accepted(home: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[str], str]:
    """What `python -m tuning.run --check` says of a file that it accepts."""

    from tuning.run import app

    def check(space: str) -> str:
        status = run_app(app, ["--space", space, "--check"])
        said = capsys.readouterr()
        assert (status, said.err) == (0, "")
        return said.out

    return check
