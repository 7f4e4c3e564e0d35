"""Three kinds of tables, by the commands alone: a proposed space, a real study, a forecast."""

from collections.abc import Callable
from pathlib import Path

import pytest

from lstm_model.command import run_app
from tests import made_tables
from tests.from_file import Way
from tests.made_tables import MadeTable
from tuning import run

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "build",
    [
        made_tables.new_york,
        pytest.param(made_tables.german, marks=pytest.mark.nightly),
        pytest.param(made_tables.exchange, marks=pytest.mark.nightly),
    ],
    ids=lambda build: build.__name__,
)
def test_a_study_leads_to_a_forecast(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    build: Callable[[], MadeTable],
) -> None:
    monkeypatch.chdir(tmp_path)
    way, right = Way(capsys), build()
    right.write(right.files)
    way.propose(right.name, right.target, "--horizon", "2", *right.options)
    study = ["--space", "new.yaml", "--name", "made", "--trials", "2", "--max-epochs", "2"]
    assert run_app(run.app, [*study, "--quiet"]) == 0
    right.write(right.recent)
    forecasts = way.forecast(right.name, "runs/made/best")
    assert list(forecasts["valid_time"]) == list(right.ahead)
