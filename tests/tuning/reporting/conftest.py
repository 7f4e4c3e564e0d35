"""Studies to be shown, and a comparison's report written and read back."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.builders import study_view
from tests.tuning.reporting.pages import Page
from tuning.comparison.result import Comparison
from tuning.reporting.comparison_folder import write_report
from tuning.reporting.render import ReportFigure
from tuning.reporting.tensorboard.study_events import TensorBoard
from tuning.study.study import Study

MakeStudy = Callable[..., Study]


@pytest.fixture
def study(space: Callable[..., Path], tmp_path: Path) -> Study:
    """Of twenty trials of thirty epochs. Ridge is better than persistence here."""
    facts = study_view(tmp_path / "air", space(trials=20, max_epochs=30), time.monotonic() - 90)
    assert facts.baselines.scores["ridge"].rmse < facts.baselines.persistence.rmse
    study = Study(facts)
    study.create([])
    return study


@pytest.fixture
def make_study(space: Callable[..., Path], tmp_path: Path) -> Iterator[MakeStudy]:
    """Makes studies whose events are written, by name."""
    listeners = []

    def make(name: str, **changes: Any) -> Study:
        study = Study(study_view(tmp_path / "runs" / name, space(**changes)))
        study.create([])
        listeners.append(TensorBoard())
        study.attach(listeners[-1])
        return study

    yield make
    for listener in listeners:
        listener.close()


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., tuple[str, Page]]:
    """report.md, and report.html parsed."""

    def write(
        comparison: Comparison, *figures: ReportFigure, name: str = "air"
    ) -> tuple[str, Page]:
        write_report(tmp_path / name, comparison, figures)
        markdown = (tmp_path / name / "report.md").read_text()
        return markdown, Page((tmp_path / name / "report.html").read_text())

    return write
