"""A study to be shown."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.builders import study_view
from tuning.study.study import Study


@pytest.fixture
def study(space: Callable[..., Path], tmp_path: Path) -> Study:
    """Of twenty trials of thirty epochs. Ridge is better than persistence here."""
    facts = study_view(tmp_path / "air", space(trials=20, max_epochs=30), time.monotonic() - 90)
    assert facts.baselines.scores["ridge"].rmse < facts.baselines.persistence.rmse
    study = Study(facts)
    study.create([])
    return study
