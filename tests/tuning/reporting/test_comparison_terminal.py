"""What a terminal shows of a comparison."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.tuning.comparison.builders import make_comparison
from tuning.reporting.comparison_tables import ComparisonTables
from tuning.reporting.comparison_terminal import print_comparison
from tuning.reporting.terminal import Terminal


@pytest.mark.parametrize("lead_times", [1, 2, 24])
def test_80_columns_show_names_and_numbers_whole(
    lead_times: int, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = make_comparison(lead_times)
    models = {**plain.models, "lightgbm_multivariate": plain.models["persistence"]}
    comparison = replace(plain, step="30 min", models=models)
    found = ComparisonTables(comparison, narrow=True).models()
    if lead_times > 1:
        last = f"{lead_times} steps of 30 min"
        assert found.headings[2:] == ("1 step of 30 min", last, f"mean of all {lead_times}")
    print_comparison(comparison, Path("air"), Terminal(width=80))
    lines = capsys.readouterr().out.splitlines()
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if "│" in line]
    # A measure may be broken into two lines.
    first = found.text_columns
    rows = [(row[0], *row[first:]) for row in cells if row[0]]
    assert rows == [(row[0], *row[first:]) for row in found.rows]
