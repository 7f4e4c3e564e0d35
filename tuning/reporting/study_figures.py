"""A study's figures: how its best model forecasts, and how the search went.

All of them are of validation rows, at the study's last fold: a study has no rows of the test.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from matplotlib.figure import Figure

from lstm_model.evaluation.baselines import BY_NAME, PERSISTENCE, Style
from lstm_model.figures.canvas import render_png
from lstm_model.figures.errors import plot_error_by_lead_time, plot_residuals_by_level
from lstm_model.figures.forecasts import pick_weeks, plot_weeks
from lstm_model.figures.gates import plot_gates
from lstm_model.figures.search import plot_importances, plot_optimisation_history
from lstm_model.figures.style import assign_styles
from lstm_model.training.evaluator import SETTLING_ROWS, HoldoutEvaluator
from tuning.comparison.backtest import ForecastErrors
from tuning.comparison.breakdowns import find_level_edges, group_by_level
from tuning.reporting.figure_thread import PngByTag, StudySnapshot
from tuning.search.optuna_trials import hyperparameter_importances
from tuning.wording import lead_name, step_name

# For a page that shows them side by side; a report's figures are finer.
DPI = 100


def draw(shown: StudySnapshot, *, model: bool, trials: bool) -> PngByTag:
    """PNGs by TensorBoard's tags: what is of the best model, of the search, or both."""
    found = _of_the_model(shown) if model else {}
    found |= _of_the_search(shown) if trials else {}
    return {tag: render_png(figure, DPI) for tag, figure in found.items()}


def _of_the_model(shown: StudySnapshot) -> dict[str, Figure]:
    """Forecasts, errors and gates of the best model, by TensorBoard's tags."""
    assert shown.best is not None and shown.model is not None
    study, model, name = shown.study, shown.model, f"trial {shown.best.id}"
    series = study.series.folds[-1]  # whose model was kept
    forecast = HoldoutEvaluator(series).forecast(model.model)
    period = ForecastErrors.of(series, {name: forecast[None]})
    looks = assign_styles([_name(shown)])
    looks[name] = looks[_name(shown)]
    times = period.times.to_numpy()
    chosen = pick_weeks(times, period.observed)
    found = {}
    for lead in sorted({1, series.horizon}):
        found[f"best model/forecasts, {_first_or_last(lead, series.horizon)} lead time"] = (
            plot_weeks(
                times,
                period.observed,
                {name: period.observed + period.mean_errors(name)[:, lead - 1]},
                chosen,
                lead_time=_ahead(shown, lead),
                quantity=_quantity(shown),
                styles=looks,
            )
        )
    found["best model/errors by lead time"] = _by_lead_time(shown, name, looks)
    levels = group_by_level(period.levels[:, 0], find_level_edges(series, study.target_is_pm25))
    found["best model/errors by level"] = plot_residuals_by_level(
        {each: period.mean_errors(each)[:, 0] for each in (name, PERSISTENCE)},
        levels,
        quantity=f"{_quantity(shown)}, {_ahead(shown, 1)} ahead,",
        step=step_name(study.table.step),
        styles=looks,
    )
    rows = list(chosen.values())[-1]
    first, last = series.validation_start + rows.start, series.validation_start + rows.stop
    before = min(first, SETTLING_ROWS)
    found["best model/gates in the highest week"] = plot_gates(
        series.times[first:last],
        series.target[first:last],
        model.model.gates(torch.from_numpy(series.inputs[first - before : last]), skip=before),
        quantity=_quantity(shown),
    )
    return found


def _of_the_search(shown: StudySnapshot) -> dict[str, Figure]:
    """What the trials came to and which hyperparameters mattered, by TensorBoard's tags."""
    study, name = shown.study, _name(shown)
    baselines = study.baselines
    scored = [trial for trial in shown.trials if trial.state != "failed" and trial.best]
    found = {}
    if scored:
        references = {
            _of_model(each, name): score.rmse for each, score in baselines.leading.items()
        }
        found["search/history"] = plot_optimisation_history(
            [trial.id for trial in scored],
            [trial.rmse for trial in scored],
            [trial.state == "stopped_early" for trial in scored],
            references,
            study=study.name,
            quantity=_quantity(shown),
            styles=assign_styles([name, *references]) | {study.name: assign_styles([name])[name]},
        )
    if shares := hyperparameter_importances(shown.trials, study.space):
        count = sum(trial.state == "finished" for trial in shown.trials)
        found["search/importances"] = plot_importances(
            {study.name: shares},
            {study.name: count},
            styles={study.name: assign_styles([name])[name]},
        )
    return found


def _name(shown: StudySnapshot) -> str:
    """What the model is called: after its space, whose colour it has in a comparison too."""
    return Path(shown.study.space.name).stem


def _of_model(baseline: str, model: str) -> str:
    """A baseline's name beside a model: that of one on its features has the model's in it."""
    return f"{baseline}_{model}" if BY_NAME[baseline].per_features else baseline


def _quantity(shown: StudySnapshot) -> str:
    target = shown.study.space.data.target
    return f"{target} (ug/m3)" if shown.study.target_is_pm25 else target


def _ahead(shown: StudySnapshot, lead: int) -> str:
    return lead_name(step_name(shown.study.table.step), lead)


def _first_or_last(lead: int, horizon: int) -> str:
    return "only" if horizon == 1 else "first" if lead == 1 else "last"


def _by_lead_time(shown: StudySnapshot, name: str, looks: Mapping[str, Style]) -> Figure:
    """The errors that the study itself has: over several folds their means, as the baselines'."""
    baselines = shown.study.baselines
    assert shown.model is not None and shown.model.validation_score is not None
    beside = {_of_model(each, _name(shown)): score for each, score in baselines.leading.items()}
    scores = {name: shown.model.validation_score, **beside}
    return plot_error_by_lead_time(
        {model: list(score.rmse_by_lead_time) for model, score in scores.items()},
        range(1, len(baselines.persistence.rmse_by_lead_time) + 1),
        quantity=_quantity(shown),
        step=step_name(shown.study.table.step),
        styles=dict(looks) | assign_styles([*beside, _name(shown)]),
    )
