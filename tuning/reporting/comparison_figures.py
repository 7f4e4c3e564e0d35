"""The figures of a comparison's report."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from lstm_model.arrays import Float64Array, Mask
from lstm_model.data.step import on_wall
from lstm_model.evaluation.baselines import PERSISTENCE, Style
from lstm_model.figures.errors import plot_error_by_lead_time, plot_error_by_level
from lstm_model.figures.forecasts import plot_episode, plot_weeks
from lstm_model.figures.search import plot_importances
from lstm_model.figures.series import pick_by_skill, plot_skill_by_series
from lstm_model.figures.style import REFERENCE_STYLES, assign_styles, label
from tuning.comparison.backtest import ForecastErrors
from tuning.comparison.result import Comparison
from tuning.reporting.comparison_series import ScoresBySeries
from tuning.reporting.render import ReportFigure
from tuning.reporting.series_words import RELATIVE_RMSE

# Of the test hours, a stretch around its highest value is drawn.
EPISODE, MIN_EPISODE_ROWS = pd.Timedelta(days=7), 24

Styles = Mapping[str, Style]


def draw_comparison(comparison: Comparison, errors: ForecastErrors) -> list[ReportFigure]:
    """All of them, in the report's order; `errors` are of the test hours."""
    styles = assign_styles(comparison.models)
    return [
        *_skill_by_series(comparison, styles),
        *(_episode(comparison, errors, lead, styles) for lead in comparison.outer_lead_times),
        _error_by_lead_time(comparison, styles),
        _error_by_level(comparison, styles),
        *_importances(comparison, styles),
    ]


def _skill_by_series(comparison: Comparison, styles: Styles) -> list[ReportFigure]:
    if not (by_series := ScoresBySeries.of(comparison)):
        return []
    skill = {model: by_series.skill(model) for model in by_series.shown}
    figure = plot_skill_by_series(skill, by_series.ranked, styles=styles)
    caption = (
        "Skill of each series on the test hours: 1 - RMSE / persistence's in that series, the mean "
        "over lead times."
    )
    return [ReportFigure("skill-by-series", caption, figure)]


def _episode(
    comparison: Comparison, errors: ForecastErrors, lead: int, styles: Styles
) -> ReportFigure:
    if by_series := ScoresBySeries.of(comparison):
        return _episodes_of_series(comparison, errors, by_series, lead, styles)
    near, span = pick_episode(errors.times, errors.observed)
    ahead = comparison.lead_name(lead)
    figure = plot_episode(
        on_wall(errors.times[near]).to_numpy(),
        errors.observed[near],
        {
            name: (errors.observed + errors.mean_errors(name)[:, lead - 1])[near]
            for name in comparison.finalists
        },
        lead_time=ahead,
        quantity=comparison.quantity,
        styles=styles,
    )
    caption = f"The {span} around the highest value of the test hours, forecast {ahead} ahead."
    return ReportFigure(f"episode-{lead}", caption, figure)


def _episodes_of_series(
    comparison: Comparison,
    errors: ForecastErrors,
    by_series: ScoresBySeries,
    lead: int,
    styles: Styles,
) -> ReportFigure:
    """Of the best, the median and the worst series of the first model."""
    first = by_series.shown[0]
    rows_of, episodes = dict(errors.index), {}
    for which, number in pick_by_skill(by_series.skill(first)).items():
        name = by_series.ranked[number]
        rows = rows_of[name]
        near, _ = pick_episode(errors.times[rows], errors.observed[rows])
        begin, end = np.flatnonzero(near)[[0, -1]]
        skill = by_series.mean("skill", first, name)
        episodes[f"{which}, {name} (skill {skill:.1%})"] = slice(
            rows.start + begin, rows.start + end + 1
        )
    ahead = comparison.lead_name(lead)
    figure = plot_weeks(
        on_wall(errors.times).to_numpy(),
        errors.observed,
        {
            name: errors.observed + errors.mean_errors(name)[:, lead - 1]
            for name in comparison.finalists
        },
        episodes,
        lead_time=ahead,
        quantity=f"{comparison.quantity} near its highest value",
        styles=styles,
    )
    caption = (
        f"Test hours of the series with the most, the median and the least skill of "
        f"{label(first)}, forecast {ahead} ahead."
    )
    return ReportFigure(f"episode-{lead}", caption, figure)


def pick_episode(times: pd.DatetimeIndex, observed: Float64Array) -> tuple[Mask, str]:
    """The rows around the highest value of (T,), and how long that is."""
    peak = int(np.nanargmax(observed))
    near = np.asarray(np.abs(times - times[peak]) <= EPISODE / 2)
    if near.sum() >= MIN_EPISODE_ROWS:
        return near, "week"
    # Of days or months a week would be a few rows, or one.
    near = np.abs(np.arange(len(near)) - peak) <= MIN_EPISODE_ROWS / 2
    return near, f"{near.sum()} rows"


def _error_by_lead_time(comparison: Comparison, styles: Styles) -> ReportFigure:
    # Of the baselines without features those that matter: the others are far off the scale.
    strongest = {
        baseline
        for name in comparison.finalists
        for baseline in (comparison.models[name].best_baseline or {}).values()
    }
    left_out = set(REFERENCE_STYLES) - strongest - {PERSISTENCE}
    tests = comparison.main_tests
    a, b = tests[0].a, tests[0].b
    several = comparison.by_series is not None
    measure = RELATIVE_RMSE if several else "RMSE"
    figure = plot_error_by_lead_time(
        {
            model: [
                1 - scores.skill[lead] if several else scores.rmse[lead]
                for lead in comparison.lead_times
            ]
            for model, scores in comparison.models.items()
            if model not in left_out
        },
        comparison.lead_times,
        quantity=comparison.quantity,
        measure=measure,
        difference=(
            f"{a} - {b}",
            [test.difference for test in tests],
            [test.ci95[0] for test in tests],
            [test.ci95[1] for test in tests],
        ),
        step=comparison.step,
        styles=styles,
    )
    caption = (
        f"{measure} on the test hours, and the difference between {a} and {b} with its "
        f"95% interval: below zero {a} is better."
    )
    return ReportFigure("error-by-lead-time", caption, figure)


def _error_by_level(comparison: Comparison, styles: Styles) -> ReportFigure:
    lead = comparison.lead_times[0]
    levels = [
        each for each in comparison.breakdowns if (each.by, each.lead_time) == ("level", lead)
    ]
    figure = plot_error_by_level(
        [level.group for level in levels],
        [level.rows for level in levels],
        {model: [level.rmse[model] for level in levels] for model in levels[0].rmse},
        quantity=comparison.quantity,
        step=comparison.step,
        styles=styles,
    )
    over = " (all rows)" if comparison.by_series else ""
    caption = f"RMSE{over} {comparison.lead_name(lead)} ahead by the last observed value."
    return ReportFigure("error-by-level", caption, figure)


def _importances(comparison: Comparison, styles: Styles) -> list[ReportFigure]:
    importances = {
        name: study.importances for name, study in comparison.studies.items() if study.importances
    }
    if not importances:
        return []
    figure = plot_importances(
        {name: each.shares for name, each in importances.items()},
        {name: each.trials for name, each in importances.items()},
        styles=styles,
    )
    caption = (
        "Which hyperparameters mattered for validation RMSE, by Optuna, of the trials that "
        "finished; with few trials this is a rough guide."
    )
    return [ReportFigure("importances", caption, figure)]
