"""A comparison's report, written and read back."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tuning.reporting.pages import Page
from tuning.comparison.result import Comparison
from tuning.reporting.comparison_folder import write_report
from tuning.reporting.render import ReportFigure


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
