"""Which tables and sentences a report has, and that its numbers are the comparison's."""

from collections.abc import Callable
from dataclasses import replace
from typing import cast

import numpy as np
import pandas as pd
import pytest

from lstm_model.arrays import Float64Array
from lstm_model.evaluation.baselines import PERSISTENCE
from lstm_model.inference.predictor import TrainedForecaster
from tests.tuning.comparison.builders import make_comparison
from tests.tuning.reporting.pages import Page, read, table
from tuning.comparison.backtest import ForecastErrors
from tuning.comparison.breakdowns import measure_coverage
from tuning.comparison.result import ModelScores
from tuning.reporting.comparison_tables import ComparisonTables

Written = Callable[..., tuple[str, Page]]


def test_the_models_beside_the_baselines() -> None:
    shown = ComparisonTables(make_comparison()).models()
    assert shown.title == "Test hours, 1 h ahead"
    assert shown.headings == ("model", "RMSE (ug/m3)", "MAE (ug/m3)", "skill")
    assert shown.rows == [
        ("multivariate (LSTM, mean of 2 seeds)", "20.90", "10.45", "5.5%"),
        ("univariate (LSTM, mean of 2 seeds)", "21.62", "10.81", "2.3%"),
        ("persistence", "22.13", "11.06", "0.0%"),
        ("same hour yesterday", "71.20", "35.60", "-221.8%"),
        ("ridge univariate", "21.80", "10.90", "-"),
    ]
    assert shown.text_columns == 1


@pytest.mark.parametrize(
    ("lead_times", "shown"),
    [(2, [1, 2]), (4, [1, 2, 3, 4]), (7, [1, 3, 6, 7]), (24, [1, 3, 6, 12, 24]), (30, [24, 30])],
)
def test_many_lead_times_are_shown_in_part(lead_times: int, shown: list[int]) -> None:
    found = ComparisonTables(make_comparison(lead_times)).models()
    named = [f"{lead} h" for lead in shown]
    assert found.headings[:2] == ("model", "measure")
    assert [*found.headings[2:-1]][-len(named) :] == named
    assert found.headings[-1] == f"mean of all {lead_times}"
    assert found.text_columns == 2
    first = dict(zip(found.headings, found.rows[0], strict=True))
    assert first["measure"] == "RMSE (ug/m3)"
    assert first[named[-1]] == f"{20.904 + lead_times - 1:.2f}"
    assert first[found.headings[-1]] == f"{20.904 + (lead_times - 1) / 2:.2f}"


@pytest.mark.parametrize(
    ("rmse", "text"), [(0.0123449, "0.01234"), (9.8761, "9.876"), (12345.6, "12,346")]
)
def test_errors_have_four_digits_at_any_scale(rmse: float, text: str) -> None:
    scores = ModelScores(rmse={1: rmse}, mae={1: rmse}, skill={1: 0.0})
    comparison = replace(make_comparison(), models={"persistence": scores})
    assert ComparisonTables(comparison).models().rows == [("persistence", text, text, "0.0%")]


def test_tables_have_the_comparisons_numbers(written: Written) -> None:
    markdown, _ = written(make_comparison())
    tables = read(markdown).tables
    tests = [each for each in tables if each[0][0] == "models"]
    row = ["multivariate minus univariate", "RMSE", "1 h", "-0.713", "-1.000 to 0.000"]
    assert tests[0][1] == [*row, "0.0005", "0.0025", "-4.26", "< 0.0001", "0.5000"]
    assert tests[0][2][1] == "MAE"
    assert tests[1][1][-1] == "1.0000"
    assert table(tables, "", "multivariate") == [
        ["trial", "19", "7"],
        ["epochs", "16", "16"],
        ["hidden_size", "64", "64"],
        ["learning_rate", "0.0123", "0.0123"],
        ["dropout", "0.2", "-"],
        ["features", "pm2.5, TEMP", "pm2.5"],
        ["calendar", "none", "none"],
    ]
    assert table(tables, "model", "trained with")[:6] == [
        ["multivariate", "seed 1", "17", "23.03", "12.40", ""],
        ["multivariate", "seed 2", "15", "23.43", "12.80", ""],
        ["multivariate", "mean of the seeds", "", "23.23", "12.60", ""],
        ["multivariate", "lowest of the seeds", "", "23.03", "12.40", ""],
        ["multivariate", "highest of the seeds", "", "23.43", "12.80", ""],
        ["multivariate", "their mean forecast", "", "22.93", "12.30", "8.1%"],
    ]
    seeds = ["multivariate", "1 h", "20.90", "22.40", "20.90", "23.90"]
    assert table(tables, "model", "ahead", "mean forecast")[0] == seeds
    assert table(tables, "month") == [[n, "1,700", "31.25", "-"] for n in "12"]
    assert table(tables, "cbwd") == [["NW", "1,700", "31.25", "-"]]
    misses = table(tables, "time")
    assert misses[9] == ["2014-02-10 05:00", "1,600.00", "250.50", "-1,349.50"]
    assert table(tables, "year") == [
        ["2012", "rows scored", "8,001"],
        ["2012", "multivariate", "25.11"],
    ]
    facts = dict(table(tables, "what", "value"))
    assert facts["data"] == "beijing, SHA-256 ab12"
    assert facts["rows scored"] == "8,661 at 1 h"
    assert facts["trials of multivariate"] == (
        "finished 8, stopped early 12, failed 0, in runs/air-multivariate"
    )
    assert "\n    python -m tuning.compare --name 'two words'\n" in markdown


def test_coverage_by_lead_time_and_by_level(written: Written) -> None:
    markdown, _ = written(make_comparison(24))
    tables = read(markdown).tables
    rows = table(tables, "model", "ahead", "rows")
    # Every lead time of both models, the claims side by side.
    assert [row[:2] for row in rows] == [
        [model, f"{lead} h"] for model in ("multivariate", "univariate") for lead in range(1, 25)
    ]
    assert rows[2] == ["multivariate", "3 h", "8,659", "80.7%", "83.00", "95.7%", "98.00"]
    assert rows[47] == ["univariate", "24 h", "8,638", "75.6%", "104.00", "90.6%", "119.00"]
    of_level = [each for each in tables if each[0][:3] == ["model", "level", "rows"]]
    width = "mean width (ug/m3)"
    for one, shares, widths in zip(
        of_level,
        [("80.9%", "95.9%"), ("78.6%", "93.6%")],
        [("81.00", "96.00"), ("104.00", "119.00")],
        strict=True,
    ):
        assert one[0][3:] == ["in 80%", width, "in 95%", width]
        cells = [cell for pair in zip(shares, widths, strict=True) for cell in pair]
        assert one[1:3] == [
            ["multivariate", "below 35", "3,000", *cells],
            ["multivariate", "250 and more", "8", *cells],
        ]
        assert [row[0] for row in one[3:]] == ["univariate"] * 2
    for ahead in ("1 h", "24 h"):
        assert f"By the forecast's level (ug/m3), {ahead} ahead" in markdown


def test_coverage_is_counted_from_the_test_hours(written: Written) -> None:
    """From errors to the report, with numbers that can be counted by hand."""
    # 20 hours, the last not observed. Ten forecasts of 10 and ten of 100.
    forecast = np.repeat([10.0, 100.0], 10)
    errors = np.array([*range(10), *range(0, 100, 10)], dtype=np.float64)
    errors[-1] = np.nan
    period = ForecastErrors(
        times=pd.date_range("2020-01-01", periods=20, freq="h"),
        observed=forecast - errors,
        errors=dict.fromkeys(("multivariate", PERSISTENCE), errors[None, :, None]),
        origins=np.arange(20)[:, None],
        levels=np.zeros((20, 1)),
        floors=np.full((20, 1), -np.inf),
    )

    class Known:
        """A model whose bounds are 5.5 and 15.5 from its forecast, to either side."""

        def prediction_intervals(
            self, forecasts: Float64Array, floor: Float64Array, **of_series: object
        ) -> dict[float, tuple[Float64Array, Float64Array]]:
            return {c: (forecasts - w, forecasts + w) for c, w in ((0.8, 5.5), (0.95, 15.5))}

    model = cast(TrainedForecaster, Known())
    coverage = measure_coverage(period, "multivariate", model, [50.0])
    _, page = written(replace(make_comparison(), coverage=coverage))
    # Low: errors 0 to 5 of 0 to 9 lie within 5.5, all within 15.5. High: 0 of 0, 10, ... 80 and the
    # one not observed; 0 and 10. So 7 and 12 of 19.
    assert table(page.tables, "model", "ahead", "rows") == [
        ["multivariate", "1 h", "19", "36.8%", "11.00", "63.2%", "31.00"]
    ]
    assert table(page.tables, "model", "level") == [
        ["multivariate", "below 50", "10", "60.0%", "11.00", "100.0%", "31.00"],
        ["multivariate", "50 and more", "9", "11.1%", "11.00", "22.2%", "31.00"],
    ]


def test_it_opens_with_the_verdict(written: Written) -> None:
    markdown, page = written(make_comparison(simulated=True))
    assert markdown.startswith("# air\n\nEight features forecast better than one.\n\n> **SIMULATED")
    body = "".join(page.text).split("</style>")[-1]
    order = [body.index(each) for each in ("Eight features", "SIMULATED", "persistence")]
    assert order == sorted(order)


@pytest.mark.parametrize("simulated", [True, False])
def test_simulated_data_alone_are_labelled(written: Written, simulated: bool) -> None:
    markdown, page = written(make_comparison(simulated=simulated, warning="no network"))
    assert ("SIMULATED" in markdown) is simulated
    assert ("SIMULATED" in "".join(page.text)) is simulated
    assert page.tags.count("aside") == 1 + simulated
    assert "> **Warning: no network**" in markdown


def test_doubts_stand_before_the_figures(written: Written) -> None:
    doubt, repair = "load is -200 in 321 rows", "rain: 16,992 cells without a value read as 0"
    markdown, page = written(make_comparison(doubts=[doubt], repairs=[repair]))
    assert f"> **Look at the table: {doubt}**" in markdown.split("## ")[0]
    assert page.tags.count("aside") == 1
    assert f"| cells | {repair} |" in markdown


def test_missing_parts_have_no_heading(written: Written) -> None:
    bare = replace(make_comparison(), breakdowns=[], worst=[], years={}, coverage=[], unit="")
    markdown, page = written(bare)
    for heading in ("## Figures", "## Did", "## Where", "## The worst", "## Other test years"):
        assert heading not in markdown
    assert "img" not in page.tags
    assert page.tables[0][0] == ["model", "RMSE", "MAE", "skill"]
