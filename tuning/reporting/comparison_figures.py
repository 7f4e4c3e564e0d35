"""The figures of a comparison's report."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from lstm_model.evaluation.baselines import PERSISTENCE, Style
from lstm_model.figures.errors import plot_error_by_lead_time, plot_error_by_level
from lstm_model.figures.forecasts import plot_episode
from lstm_model.figures.search import plot_importances
from lstm_model.figures.style import REFERENCE_STYLES, assign_styles
from tuning.comparison import verdict as compared
from tuning.comparison.backtest import ForecastErrors
from tuning.reporting.comparison_report import ReportFigure

# Of the test hours, a stretch around its highest value is drawn.
EPISODE = pd.Timedelta(days=7)

Styles = Mapping[str, Style]


def draw_comparison(comparison: Mapping[str, Any], period: ForecastErrors) -> list[ReportFigure]:
    """All of them; `period` is the test's."""
    unit = f" ({comparison['unit']})" if comparison["unit"] else ""
    quantity = f"{comparison['target']}{unit}"
    looks = assign_styles(comparison["models"])
    leads = comparison["lead_times"]
    found = [
        _episode(comparison, period, lead, quantity, looks)
        for lead in sorted({leads[0], leads[-1]})
    ]
    found += [_by_lead_time(comparison, quantity, looks), _by_level(comparison, quantity, looks)]
    return found + _importances(comparison, looks)


def _episode(
    comparison: Mapping[str, Any], period: ForecastErrors, lead: int, quantity: str, looks: Styles
) -> ReportFigure:
    peak = period.times[int(np.nanargmax(period.observed))]
    near = np.abs(period.times - peak) <= EPISODE / 2
    ahead = compared.lead_name(comparison, lead)
    figure = plot_episode(
        period.times[near].to_numpy(),
        period.observed[near],
        {
            name: (period.observed + period.mean_errors(name)[:, lead - 1])[near]
            for name in comparison["finalists"]
        },
        lead_time=ahead,
        quantity=quantity,
        styles=looks,
    )
    caption = f"The week around the highest value of the test hours, forecast {ahead} ahead."
    return ReportFigure(f"episode-{lead}", caption, figure)


def _by_lead_time(comparison: Mapping[str, Any], quantity: str, looks: Styles) -> ReportFigure:
    models, leads = comparison["models"], comparison["lead_times"]
    # Of the baselines without features those that matter: the others are far off the scale.
    strongest = {
        name for one in comparison["finalists"] for name in models[one]["best_baseline"].values()
    }
    left_out = set(REFERENCE_STYLES) - strongest - {PERSISTENCE}
    main = comparison["tests"][0]
    of_main = [
        test
        for test in comparison["tests"]
        if (test["a"], test["b"], test["metric"]) == (main["a"], main["b"], "rmse")
    ]
    figure = plot_error_by_lead_time(
        {
            model: [found["rmse"][str(lead)] for lead in leads]
            for model, found in models.items()
            if model not in left_out
        },
        leads,
        quantity=quantity,
        difference=(
            f"{main['a']} - {main['b']}",
            [test["difference"] for test in of_main],
            [test["ci95"][0] for test in of_main],
            [test["ci95"][1] for test in of_main],
        ),
        step=comparison["step"],
        styles=looks,
    )
    caption = (
        f"RMSE on the test hours, and the difference between {main['a']} and {main['b']} with its "
        f"95% interval: below zero {main['a']} is better."
    )
    return ReportFigure("error-by-lead-time", caption, figure)


def _by_level(comparison: Mapping[str, Any], quantity: str, looks: Styles) -> ReportFigure:
    lead = comparison["lead_times"][0]
    levels = [
        one for one in comparison["breakdowns"] if one["by"] == "level" and one["lead_time"] == lead
    ]
    figure = plot_error_by_level(
        [one["group"] for one in levels],
        [one["rows"] for one in levels],
        {model: [one["rmse"][model] for one in levels] for model in levels[0]["rmse"]},
        quantity=quantity,
        step=comparison["step"],
        styles=looks,
    )
    caption = f"RMSE {compared.lead_name(comparison, lead)} ahead by the last observed value."
    return ReportFigure("error-by-level", caption, figure)


def _importances(comparison: Mapping[str, Any], looks: Styles) -> list[ReportFigure]:
    mattered = {
        name: one["importances"]
        for name, one in comparison["studies"].items()
        if one["importances"]
    }
    if not mattered:
        return []
    figure = plot_importances(
        {name: one["shares"] for name, one in mattered.items()},
        {name: one["trials"] for name, one in mattered.items()},
        styles=looks,
    )
    caption = (
        "Which hyperparameters mattered for validation RMSE, by Optuna, of the trials that "
        "finished; with few trials this is a rough guide."
    )
    return [ReportFigure("importances", caption, figure)]
