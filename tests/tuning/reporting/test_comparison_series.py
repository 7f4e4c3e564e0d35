"""What a comparison of several series shows of each of them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest

from lstm_model.evaluation.holdout import Holdout
from lstm_model.figures.forecasts import plot_weeks
from tests.tuning.comparison.builders import make_comparison, make_table
from tests.tuning.reporting.pages import Page, read, table
from tests.tuning.reporting.several import compare_series, coverage_of, waves
from tuning.comparison.backtest import ForecastErrors
from tuning.reporting import comparison_figures
from tuning.reporting.comparison_figures import draw_comparison
from tuning.reporting.comparison_report import report_blocks, summary_markdown
from tuning.reporting.comparison_series import ScoresBySeries, SeriesTables
from tuning.reporting.comparison_tables import ComparisonTables
from tuning.reporting.comparison_terminal import print_comparison
from tuning.reporting.terminal import Terminal

SKILL = {
    "multivariate": {"a": 0.1, "b": 0.4, "c": -0.1},
    "univariate": {"a": 0.2, "b": 0.3, "c": -0.2},
    "each_on_its_own_multivariate": {"a": 0.15, "b": 0.5, "c": 0.05},
}
NOTE = "The test 2014 can't score d: none of it is observed then."


def test_models_are_shown_by_their_skill_first() -> None:
    tables = ComparisonTables(compare_series(SKILL))
    models = tables.models()
    assert models.headings == (
        "model",
        "skill",
        "RMSE (all rows) (ug/m3)",
        "MAE (all rows) (ug/m3)",
    )
    assert models.rows[0] == ("multivariate (LSTM, mean of 2 seeds)", "13.3%", "20.90", "10.45")
    assert models.rows[2][0] == "each on its own multivariate"
    tests = tables.tests("Test hours", tables.comparison.tests)
    assert tests.headings[3] == "difference", "which has no unit"
    own = next(row for row in tests.rows if "each on its own" in row[0])
    assert own[:5] == (
        "multivariate minus each on its own multivariate",
        "RMSE / persistence's",
        "1 h",
        "-0.0123",
        "-0.0200 to -0.0040",
    )
    seeds = tables.test_by_seed()
    assert seeds.title == "Test hours: skill by seed"
    assert seeds.rows[0] == ("multivariate", "1 h", "13.3%", "15.0%", "10.0%", "20.0%")


def test_validation_has_the_skill_of_every_seed() -> None:
    rows = ComparisonTables(compare_series(SKILL)).validation().rows
    assert [row[-1] for row in rows[:6]] == ["0.0%"] * 5 + ["8.1%"]
    assert [row[-1] for row in ComparisonTables(make_comparison()).validation().rows[:5]] == [
        ""
    ] * 5


def test_rmse_over_all_rows_is_called_so() -> None:
    comparison = compare_series(SKILL)
    years = {
        "2012": replace(comparison.years["2012"], skill={"multivariate": {1: 0.25}}),
    }
    tables = ComparisonTables(replace(comparison, years=years))
    assert next(tables.breakdowns()).title == "RMSE (all rows) (ug/m3) by month, 1 h ahead"
    year = tables.years()
    assert year.title == "Skill, and RMSE (all rows) (ug/m3)"
    assert year.rows == [
        ("2012", "rows scored", "8,001"),
        ("2012", "multivariate: skill", "25.0%"),
        ("2012", "multivariate: RMSE", "25.11"),
    ]


def test_series_are_listed_by_the_skill_of_the_first_model() -> None:
    better, by_series = SeriesTables(ComparisonTables(compare_series(SKILL))).all()
    assert by_series.title == "The series by skill"
    assert by_series.headings == (
        *("series", "rank", "skill of multivariate", "skill of univariate"),
        "skill of each on its own multivariate",
        *("RMSE (ug/m3) of multivariate", "RMSE (ug/m3) of persistence"),
    )
    assert by_series.rows == [
        ("b", "1", "40.0%", "30.0%", "50.0%", "12.00", "20.00"),
        ("a", "2", "10.0%", "20.0%", "15.0%", "18.00", "20.00"),
        ("c", "3", "-10.0%", "-20.0%", "5.0%", "22.00", "20.00"),
    ]
    interval = ("-0.0123", "-0.0200 to -0.0040")
    assert better.rows == [
        ("multivariate against univariate", "1 h", "a", "2 of 3", *interval),
        (
            *("multivariate against each on its own multivariate", "1 h"),
            *("c, b and a", "0 of 3", *interval),  # by 15, 10 and 5 points
        ),
        ("multivariate against persistence", "1 h", "c", "2 of 3", *interval),
    ]


@pytest.mark.parametrize("count", [30, 31])
def test_of_many_series_the_best_and_the_worst_are_listed(count: int) -> None:
    skill = {f"s{n}": 0.5 - n / 100 for n in range(count)}
    models = {"multivariate": skill, "univariate": dict.fromkeys(skill, 0.1)}
    coverage = {name: coverage_of("multivariate", 0.8) for name in skill}
    _, by_series, covered = SeriesTables(
        ComparisonTables(compare_series(models, coverage_by_series=coverage))
    ).all()
    for shown in (by_series, covered):
        assert len(shown.rows) == (30 if count == 30 else 21)
        assert [row[0] for row in shown.rows[:10]] == [f"s{n}" for n in range(10)]
        assert shown.rows[-1][0] == f"s{count - 1}"
        assert len({len(row) for row in [*shown.rows, shown.headings]}) == 1
    if count == 31:
        assert by_series.title == "The series by skill: the best and the worst 10 of 31"
        assert by_series.rows[10][0] == "..."
        assert by_series.rows[11][:2] == ("s21", "22")


def test_intervals_are_shown_by_series() -> None:
    coverage = {name: coverage_of("multivariate", held) for name, held in (("a", 0.7), ("b", 0.9))}
    *_, covered = SeriesTables(
        ComparisonTables(compare_series(SKILL, coverage_by_series=coverage))
    ).all()
    assert covered.headings == ("series", "rows", "in 80%", "in 95%")
    assert covered.rows == [("b", "1,000", "90.0%", "90.0%"), ("a", "1,000", "70.0%", "70.0%")]


def test_report_has_the_series_and_what_was_left_out(
    written: Callable[..., tuple[str, Page]],
) -> None:
    misses = [replace(make_comparison().worst[0], series="b")]
    markdown, page = written(compare_series(SKILL, left_out=[NOTE], worst=misses))
    assert NOTE in "".join(page.text)
    assert "## The series" in markdown
    tables = read(markdown).tables
    assert table(tables, "series", "rank")[0][0] == "b"
    assert table(tables, "series", "time")[0][:2] == ["b", "2014-02-01 05:00"]
    assert dict(table(tables, "what", "value"))["series scored"] == "3"
    assert "no better in" in summary_markdown(compare_series(SKILL, left_out=[NOTE]))


def test_report_of_one_series_has_nothing_of_series() -> None:
    comparison = make_comparison()
    texts = [str(getattr(block, "text", "")) for block in report_blocks("air", comparison, [])]
    assert "The series" not in texts
    assert ScoresBySeries.of(comparison) is None
    assert list(SeriesTables(ComparisonTables(comparison)).all()) == []


def test_terminal_tells_what_was_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    print_comparison(compare_series(SKILL, left_out=[NOTE]), Path("air"), Terminal(width=80))
    assert NOTE in capsys.readouterr().out


def test_notebook_shows_skill() -> None:
    page = compare_series(SKILL, left_out=["<d> is left out."])._repr_html_()
    assert "Mean skill of 3 series on the test hours" in page
    assert "&lt;d&gt; is left out." in page
    means = {name: f"{100 * fmean(of_model.values()):.1f}%" for name, of_model in SKILL.items()}
    places = [
        page.index(means[name]) for name in sorted(SKILL, key=lambda n: -fmean(SKILL[n].values()))
    ]
    assert places == sorted(places)


def test_a_series_is_scored_at_some_lead_times_only() -> None:
    comparison = compare_series(SKILL)
    assert comparison.by_series is not None
    own = {model: dict(of_model) for model, of_model in comparison.by_series.items()}
    for of_model in own.values():
        one = of_model["a"]
        of_model["a"] = replace(
            one, rmse={2: one.rmse[1]}, mae={2: one.mae[1]}, skill={2: one.skill[1]}
        )
    at_some = replace(comparison, by_series=own)
    scores = ScoresBySeries.of(at_some)
    assert scores is not None
    assert scores.ranked == ["b", "a", "c"]
    assert at_some.lost_series("multivariate", "univariate", 1) == []
    assert at_some.lost_series("multivariate", "univariate", 2) == ["a"]
    assert list(at_some.series_skill("multivariate", "univariate", 2)) == ["a"]


def test_figures_show_the_best_the_median_and_the_worst(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Any] = []

    def spy(times: Any, observed: Any, forecasts: Any, episodes: Any, **options: Any) -> Any:
        drawn.append((observed, forecasts, episodes))
        return plot_weeks(times, observed, forecasts, episodes, **options)

    monkeypatch.setattr(comparison_figures, "plot_weeks", spy)
    # Their levels are about 60, 120 and 180.
    encoded = make_table(waves(["a", "b", "c"]), 500)
    forecasts = {
        model: np.zeros((1, len(Holdout(encoded).changes), 1))
        for model in ("multivariate", "univariate")
    }
    comparison = compare_series(SKILL)
    levels = [replace(each, by="level") for each in comparison.breakdowns[:1]]
    figures = draw_comparison(
        replace(comparison, breakdowns=levels), ForecastErrors.of(encoded, forecasts)
    )
    assert [each.name for each in figures] == [
        *("skill-by-series", "episode-1", "error-by-lead-time", "error-by-level")
    ]
    [(observed, shown, episodes)] = drawn
    assert list(episodes) == [
        *("best, b (skill 40.0%)", "median, a (skill 10.0%)", "worst, c (skill -10.0%)")
    ]
    for rows, start in zip(episodes.values(), (244, 0, 488), strict=True):
        assert start <= rows.start < rows.stop <= start + 244
        assert observed[start : start + 244].max() in observed[rows]
        repeated = shown["multivariate"][rows][1:]
        assert repeated == pytest.approx(observed[rows][:-1], rel=1e-5), "no change is forecast"
    left = figures[2].figure.axes[0]
    values = [float(np.asarray(line.get_xdata())[0]) for line in left.lines]
    assert values[:2] == pytest.approx([1 - 0.4 / 3, 0.9]), "1 - skill"
