"""What an earlier version wrote is read: its study goes on, its model forecasts the same.

`tests/formats` has a study of format 3 with a model of format 4 in it, the table of both, and what
that version forecast, to six digits.
"""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

import lstm_model
from lstm_model.command import run_app
from tuning import run

FORMATS = Path(__file__).parent / "formats"


def test_a_model_of_format_4_forecasts_the_same() -> None:
    model = lstm_model.load(FORMATS / "study-3" / "best")
    table = model.forecast(pd.read_csv(FORMATS / "old.csv")).every_nth_origin(10**9).table()
    before = pd.read_csv(FORMATS / "forecast.csv", parse_dates=["origin", "valid_time"])
    pd.testing.assert_frame_equal(table, before, check_dtype=False, rtol=1e-5)
    assert model.reading.time == "time"
    settings = json.loads((FORMATS / "study-3" / "best" / "model.json").read_text())
    assert settings["format"] == 4


def test_a_study_of_format_3_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(FORMATS / "study-3", tmp_path / "runs" / "old")
    shutil.copy(FORMATS / "old.csv", tmp_path)
    monkeypatch.chdir(tmp_path)
    folder = Path("runs") / "old"
    before = {file.name: file.read_bytes() for file in (folder / "trials").iterdir()}
    arguments = ["--resume", "old", "--trials", "3", "--concurrency", "1", "--quiet"]
    assert run_app(run.app, arguments) == 0
    assert {name: (folder / "trials" / name).read_bytes() for name in before} == before
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["trials"]["finished"] == 3
    settings = json.loads((folder / "study.json").read_text())
    assert settings["format"] == 4
    assert settings["data"]["settings"]["gaps"] == "refuse"
