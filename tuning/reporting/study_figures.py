"""A study's figures: how its best model forecasts, and how the search went.

All of them are of validation rows, at the study's last fold: a study has no rows of the test.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from matplotlib.figure import Figure

from lstm_model.evaluation.baselines import BY_NAME, PERSISTENCE, Style
from lstm_model.figures import forecasts as figures
from lstm_model.training.trainer import SETTLING_ROWS, HoldoutEvaluator
from tuning.comparison.backtest import ForecastErrors
from tuning.comparison.verdict import by_level, level_edges
from tuning.reporting.study_snapshot import PngByTag, StudySnapshot
from tuning.reporting.tables import step_name
from tuning.search.searcher import hyperparameter_importances
from tuning.wording import lead_name

# For a page that shows them side by side; a report's figures are finer.
DPI = 100


def draw_study(snapshot: StudySnapshot, *, model: bool, trials: bool) -> PngByTag:
    """PNGs by TensorBoard's tags: those of the best model, of the search, or both."""
    drawings = draw_model(snapshot) if model else {}
    drawings |= draw_search(snapshot) if trials else {}
    return {tag: figures.png(figure, DPI) for tag, figure in drawings.items()}


def draw_model(snapshot: StudySnapshot) -> dict[str, Figure]:
    """Forecasts, errors and gates of the best model, by TensorBoard's tags."""
    assert snapshot.best is not None and snapshot.model is not None
    model, name = snapshot.model, f"trial {snapshot.best.id}"
    series = snapshot.series.folds[-1]  # whose model was kept
    forecast = HoldoutEvaluator(series).forecast(model.model)
    period = ForecastErrors.of(series, {name: forecast[None]})
    looks = figures.styles([_model_name(snapshot)])
    looks[name] = looks[_model_name(snapshot)]
    times = period.times.to_numpy()
    chosen = figures.three_weeks(times, period.observed)
    drawings = {}
    for lead in sorted({1, series.horizon}):
        drawings[f"best model/forecasts, {_first_or_last(lead, series.horizon)} lead time"] = (
            figures.weeks(
                times,
                period.observed,
                {name: period.observed + period.mean_errors(name)[:, lead - 1]},
                chosen,
                lead_time=_ahead(snapshot, lead),
                quantity=_quantity(snapshot),
                looks=looks,
            )
        )
    drawings["best model/errors by lead time"] = _by_lead_time(snapshot, name, looks)
    levels = by_level(period.levels[:, 0], level_edges(series, snapshot.target_is_pm25))
    drawings["best model/errors by level"] = figures.residuals_by_level(
        {model_name: period.mean_errors(model_name)[:, 0] for model_name in (name, PERSISTENCE)},
        levels,
        quantity=f"{_quantity(snapshot)}, {_ahead(snapshot, 1)} ahead,",
        step=step_name(snapshot.step),
        looks=looks,
    )
    rows = list(chosen.values())[-1]
    first, last = series.split + rows.start, series.split + rows.stop
    before = min(first, SETTLING_ROWS)
    drawings["best model/gates in the highest week"] = figures.gates(
        series.times[first:last],
        series.target[first:last],
        model.model.gates(torch.from_numpy(series.inputs[first - before : last]), skip=before),
        quantity=_quantity(snapshot),
    )
    return drawings


def draw_search(snapshot: StudySnapshot) -> dict[str, Figure]:
    """What the trials came to and which hyperparameters mattered, by TensorBoard's tags."""
    study_name, name = snapshot.name, _model_name(snapshot)
    scored = [trial for trial in snapshot.trials if trial.state != "failed" and trial.best]
    study_look = {study_name: figures.styles([name])[name]}
    drawings = {}
    if scored:
        references = {
            _with_model(baseline, name): score.rmse
            for baseline, score in snapshot.baselines.leading.items()
        }
        drawings["search/history"] = figures.optimisation_history(
            [trial.id for trial in scored],
            [trial.rmse for trial in scored],
            [trial.state == "stopped_early" for trial in scored],
            references,
            study=study_name,
            quantity=_quantity(snapshot),
            looks=figures.styles([name, *references]) | study_look,
        )
    if shares := hyperparameter_importances(snapshot.trials, snapshot.space):
        count = sum(trial.state == "finished" for trial in snapshot.trials)
        drawings["search/importances"] = figures.importances(
            {study_name: shares}, {study_name: count}, looks=study_look
        )
    return drawings


def _model_name(snapshot: StudySnapshot) -> str:
    """What the model is called: after its space, whose colour it has in a comparison too."""
    return Path(snapshot.space.name).stem


def _with_model(baseline: str, model: str) -> str:
    """A baseline's name beside a model: that of one on its features has the model's in it."""
    return f"{baseline}_{model}" if BY_NAME[baseline].per_features else baseline


def _quantity(snapshot: StudySnapshot) -> str:
    target = snapshot.space.data.target
    return f"{target} (ug/m3)" if snapshot.target_is_pm25 else target


def _ahead(snapshot: StudySnapshot, lead: int) -> str:
    return lead_name(step_name(snapshot.step), lead)


def _first_or_last(lead: int, horizon: int) -> str:
    return "only" if horizon == 1 else "first" if lead == 1 else "last"


def _by_lead_time(snapshot: StudySnapshot, name: str, looks: Mapping[str, Style]) -> Figure:
    """The errors that the study itself has: over several folds their means, as the baselines'."""
    baselines = snapshot.baselines
    assert snapshot.model is not None and snapshot.model.validation is not None
    beside = {
        _with_model(baseline, _model_name(snapshot)): score
        for baseline, score in baselines.leading.items()
    }
    scores = {name: snapshot.model.validation, **beside}
    return figures.error_by_lead_time(
        {model: list(score.rmse_by_lead_time) for model, score in scores.items()},
        range(1, snapshot.series.horizon + 1),
        quantity=_quantity(snapshot),
        step=step_name(snapshot.step),
        looks=dict(looks) | figures.styles([*beside, _model_name(snapshot)]),
    )
