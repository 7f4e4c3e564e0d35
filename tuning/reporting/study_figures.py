"""A study's figures: how its best model forecasts, and how the search went.

All of them are of validation rows, at the study's last fold: a study has no rows of the test.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from matplotlib.figure import Figure

from lstm_model.evaluation.baselines import PERSISTENCE, Style
from lstm_model.figures.canvas import render_png
from lstm_model.figures.errors import plot_error_by_lead_time, plot_residuals_by_level
from lstm_model.figures.forecasts import pick_weeks, plot_weeks
from lstm_model.figures.gates import plot_gates
from lstm_model.figures.search import plot_importances, plot_optimisation_history
from lstm_model.figures.style import assign_styles
from lstm_model.training.evaluator import SETTLING_ROWS, HoldoutEvaluator
from tuning.comparison.backtest import ForecastErrors
from tuning.comparison.breakdowns import find_level_edges, group_by_level
from tuning.comparison.paired_tests import baseline_beside
from tuning.reporting.study_snapshot import PngByTag, StudySnapshot
from tuning.search.optuna_trials import hyperparameter_importances
from tuning.study.view import StudyView
from tuning.wording import lead_name, step_name

# For a page that shows them side by side; a report's figures are finer.
DPI = 100


def draw_study(snapshot: StudySnapshot, *, model: bool, trials: bool) -> PngByTag:
    """PNGs by TensorBoard's tags: those of the best model, of the search, or both."""
    drawings = draw_model(snapshot) if model else {}
    drawings |= draw_search(snapshot.study) if trials else {}
    return {tag: render_png(figure, DPI) for tag, figure in drawings.items()}


def draw_model(snapshot: StudySnapshot) -> dict[str, Figure]:
    """Forecasts, errors and gates of the best model, by TensorBoard's tags."""
    study, model = snapshot.study, snapshot.model
    assert study.best_trial is not None and model is not None
    name = f"trial {study.best_trial.id}"
    series = study.series.folds[-1]  # whose model was kept
    forecast = HoldoutEvaluator(series).forecast(model.model)
    period = ForecastErrors.of(series, {name: forecast[None]})
    looks = assign_styles([_model_name(study)])
    looks[name] = looks[_model_name(study)]
    times = period.times.to_numpy()
    chosen = pick_weeks(times, period.observed)
    drawings = {}
    for lead in sorted({1, series.horizon}):
        drawings[f"best model/forecasts, {_first_or_last(lead, series.horizon)} lead time"] = (
            plot_weeks(
                times,
                period.observed,
                {name: period.observed + period.mean_errors(name)[:, lead - 1]},
                chosen,
                lead_time=_ahead(study, lead),
                quantity=_quantity(study),
                styles=looks,
            )
        )
    drawings["best model/errors by lead time"] = _by_lead_time(snapshot, name, looks)
    levels = group_by_level(
        period.levels[:, 0], find_level_edges(series, study.dataset.level_edges)
    )
    drawings["best model/errors by level"] = plot_residuals_by_level(
        {model_name: period.mean_errors(model_name)[:, 0] for model_name in (name, PERSISTENCE)},
        levels,
        quantity=f"{_quantity(study)}, {_ahead(study, 1)} ahead,",
        step=step_name(study.dataset.step),
        styles=looks,
    )
    rows = list(chosen.values())[-1]
    first, last = series.validation_start + rows.start, series.validation_start + rows.stop
    before = min(first, SETTLING_ROWS)
    drawings["best model/gates in the highest week"] = plot_gates(
        series.times[first:last],
        series.target[first:last],
        model.model.gates(torch.from_numpy(series.inputs[first - before : last]), skip=before),
        quantity=_quantity(study),
    )
    return drawings


def draw_search(study: StudyView) -> dict[str, Figure]:
    """What the trials came to and which hyperparameters mattered, by TensorBoard's tags."""
    name, trials = _model_name(study), list(study.trials.values())
    scored = [trial for trial in trials if trial.state != "failed" and trial.best]
    study_look = {study.name: assign_styles([name])[name]}
    drawings = {}
    if scored:
        references = {
            baseline_beside(baseline, name): score.rmse
            for baseline, score in study.baselines.leading.items()
        }
        drawings["search/history"] = plot_optimisation_history(
            [trial.id for trial in scored],
            [trial.rmse for trial in scored],
            [trial.state == "stopped_early" for trial in scored],
            references,
            study=study.name,
            quantity=_quantity(study),
            styles=assign_styles([name, *references]) | study_look,
        )
    if shares := hyperparameter_importances(trials, study.space):
        count = sum(trial.state == "finished" for trial in trials)
        drawings["search/importances"] = plot_importances(
            {study.name: shares}, {study.name: count}, styles=study_look
        )
    return drawings


def _model_name(study: StudyView) -> str:
    """What the model is called: after its space, whose colour it has in a comparison too."""
    return Path(study.space.name).stem


def _quantity(study: StudyView) -> str:
    target, unit = study.space.data.target, study.dataset.unit
    return f"{target} ({unit})" if unit else target


def _ahead(study: StudyView, lead: int) -> str:
    return lead_name(step_name(study.dataset.step), lead)


def _first_or_last(lead: int, horizon: int) -> str:
    return "only" if horizon == 1 else "first" if lead == 1 else "last"


def _by_lead_time(snapshot: StudySnapshot, name: str, looks: Mapping[str, Style]) -> Figure:
    """The errors that the study itself has: over several folds their means, as the baselines'."""
    study, model = snapshot.study, snapshot.model
    assert model is not None and model.validation_score is not None
    beside = {
        baseline_beside(baseline, _model_name(study)): score
        for baseline, score in study.baselines.leading.items()
    }
    scores = {name: model.validation_score, **beside}
    return plot_error_by_lead_time(
        {label: list(score.rmse_by_lead_time) for label, score in scores.items()},
        range(1, study.series.horizon + 1),
        quantity=_quantity(study),
        step=step_name(study.dataset.step),
        styles=dict(looks) | assign_styles([*beside, _model_name(study)]),
    )
