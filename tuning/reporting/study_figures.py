"""A study's figures: how its best model forecasts, and how the search went.

All of them are of validation rows, at the study's last fold: a study has no rows of the test.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral
from typing import Literal, Self

import numpy as np
import torch
from matplotlib.figure import Figure

from lstm_model.data.step import lead_name, on_wall
from lstm_model.errors import InputError
from lstm_model.evaluation.baselines import PERSISTENCE
from lstm_model.figures.canvas import Surface, render_png
from lstm_model.figures.errors import plot_error_by_lead_time, plot_residuals_by_level
from lstm_model.figures.forecasts import pick_weeks, plot_weeks
from lstm_model.figures.gates import plot_gates
from lstm_model.figures.search import plot_importances, plot_optimisation_history
from lstm_model.figures.series import pick_by_skill, plot_skill_by_series
from lstm_model.figures.style import assign_styles
from lstm_model.training.evaluator import SETTLING_ROWS, HoldoutEvaluator
from tuning.comparison.backtest import ForecastErrors
from tuning.comparison.breakdowns import find_level_edges, group_by_level
from tuning.comparison.paired_tests import baseline_beside
from tuning.reporting.series_words import RELATIVE_RMSE
from tuning.reporting.study_snapshot import PngByTag, StudySnapshot
from tuning.search.optuna_trials import (
    MIN_TRIALS_FOR_IMPORTANCES,
    hyperparameter_importances,
)
from tuning.space.search_space import SearchSpace
from tuning.study.trial import Trial
from tuning.study.view import StudyView

# For a page that shows them side by side; a report's figures are finer.
DPI = 100

SearchFigure = Literal["history", "importances"]
ModelFigure = Literal[
    "errors_by_lead_time", "errors_by_level", "forecasts", "gates", "skill_by_series"
]


def draw_study(snapshot: StudySnapshot, *, model: bool, trials: bool) -> PngByTag:
    """PNGs by TensorBoard's tags: those of the best model, of the search, or both."""
    drawings = draw_model(snapshot) if model else {}
    drawings |= draw_search(snapshot.study) if trials else {}
    return {tag: render_png(figure, DPI) for tag, figure in drawings.items()}


def draw_model(snapshot: StudySnapshot) -> dict[str, Figure]:
    """Forecasts, errors and gates of the best model, by TensorBoard's tags."""
    figures, horizon = ModelFigures(snapshot), snapshot.study.table.horizon
    drawings = {
        f"best model/forecasts, {_first_or_last(lead, horizon)} lead time": figures.forecasts(lead)
        for lead in sorted({1, horizon})
    }
    drawings |= {
        "best model/errors by lead time": figures.errors_by_lead_time(),
        "best model/errors by level": figures.errors_by_level(),
        "best model/gates in the highest week": figures.gates(),
    }
    if figures.skill:
        drawings["best model/skill by series"] = figures.skill_by_series()
    return drawings


def draw_search(study: StudyView) -> dict[str, Figure]:
    """What the trials came to and which hyperparameters mattered, by TensorBoard's tags."""
    outcome = SearchOutcome.of(study)
    drawings = {"search/history": plot_history(outcome), "search/importances": plot_shares(outcome)}
    return {tag: figure for tag, figure in drawings.items() if figure}


@dataclass(frozen=True)
class SearchOutcome:
    """What the figures of a search are drawn of: nothing that is not in a study's records.

    Attributes:
        baselines: validation RMSE of those that are shown, by name; with several series the
            objective.
    """

    study: str
    space: SearchSpace
    trials: Mapping[int, Trial]
    baselines: Mapping[str, float]
    unit: str | None

    @classmethod
    def of(cls, study: StudyView) -> Self:
        baselines = {name: score.objective for name, score in study.baselines.leading.items()}
        return cls(study.name, study.space, study.trials, baselines, study.dataset.unit)


def plot_search(outcome: SearchOutcome, name: SearchFigure, on: Surface) -> Figure:
    """One figure of the search, drawn where it is asked for.

    Raises:
        InputError: too few trials have finished.
    """
    draw, fewest = {
        "history": (plot_history, 1),
        "importances": (plot_shares, MIN_TRIALS_FOR_IMPORTANCES),
    }[name]
    if figure := draw(outcome, on):
        return figure
    finished = sum(trial.state == "finished" for trial in outcome.trials.values())
    raise InputError(
        f"{name} needs finished trials of a search, {fewest} at least, but study {outcome.study} "
        f"has {finished}"
    )


def plot_model(snapshot: StudySnapshot, name: ModelFigure, lead_time: int, on: Surface) -> Figure:
    """One figure of the best model, drawn where it is asked for; lead_time: of `forecasts`."""
    figures = ModelFigures(snapshot)
    draw: Mapping[str, Callable[[Surface], Figure]] = {
        "forecasts": lambda on: figures.forecasts(lead_time, on),
        "errors_by_lead_time": figures.errors_by_lead_time,
        "errors_by_level": figures.errors_by_level,
        "gates": figures.gates,
        "skill_by_series": figures.skill_by_series,
    }
    return draw[name](on)


class ModelFigures:
    """The figures of a study's best model, which forecasts all validation rows once for them.

    Of several series those of single weeks show the best, the median and the worst one by skill.
    """

    def __init__(self, snapshot: StudySnapshot) -> None:
        """
        Raises:
            InputError: the study has no best model yet.
        """
        study, model = snapshot.study, snapshot.model
        if study.best_trial is None or model is None:
            raise InputError(
                f"{study.folder} has no best model to draw: no trial has come to a result yet"
            )
        self._study, self._forecaster = study, model
        self._name = f"trial {study.best_trial.id}"
        self._table = study.table.folds[-1]  # whose model was kept
        forecast = HoldoutEvaluator(self._table).forecast(model.model)
        self._period = ForecastErrors.of(self._table, {self._name: forecast[None]})
        self._looks = assign_styles([study.space.stem])
        self._looks[self._name] = self._looks[study.space.stem]
        self._saved = study.best_score or study.best_trial.saved

    @cached_property
    def skill(self) -> Mapping[str, float]:
        """By series, as the study's record has it; empty where the table is one."""
        of_series = self._saved.get("by_series", {}) if self._saved else {}
        return {name: each["skill"] for name, each in of_series.items()}

    @cached_property
    def _picked(self) -> dict[str, str]:
        """The series that stand for all, by which one each is; of one series this one."""
        index, known = self._period.index, self._period.known
        if not self.skill:
            return {"": index.names[0]}
        skill = [
            self.skill.get(name, np.nan) if known[rows].any() else np.nan for name, rows in index
        ]
        return {
            which: index.names[number] for which, number in pick_by_skill(np.array(skill)).items()
        }

    def _weeks_of(self, series: str) -> dict[str, slice]:
        """A low, a middle and the highest week of a series: rows of the period."""
        period = self._period
        rows = dict(period.index)[series]
        weeks = pick_weeks(on_wall(period.times[rows]).to_numpy(), period.observed[rows])
        return {
            name: slice(rows.start + week.start, rows.start + week.stop)
            for name, week in weeks.items()
        }

    def forecasts(self, lead: int = 1, on: Surface = None) -> Figure:
        """A low, a middle and the highest week, as forecast `lead` rows before; fewer panels where
        validation is short. Of several series the highest week of the best, the median and the
        worst one."""
        period = self._period
        if not isinstance(lead, Integral) or not 1 <= lead <= self._table.horizon:
            rule = f"must be a whole number from 1 to {self._table.horizon}"
            raise InputError(f"lead_time {rule}, but got {lead!r}")
        quantity = _quantity(self._study)
        if self.skill:
            weeks = {
                f"{which}, {series} (skill {self.skill[series]:.1%})": (
                    list(self._weeks_of(series).values())[-1]
                )
                for which, series in self._picked.items()
            }
            quantity += " in its highest week"
        else:
            weeks = self._weeks_of(self._picked[""])
        return plot_weeks(
            on_wall(period.times).to_numpy(),
            period.observed,
            {self._name: period.observed + period.mean_errors(self._name)[:, lead - 1]},
            weeks,
            lead_time=_ahead(self._study, lead),
            quantity=quantity,
            styles=self._looks,
            on=on,
        )

    def errors_by_lead_time(self, on: Surface = None) -> Figure:
        """The errors that the study itself has: over several folds their means, as the
        baselines'."""
        study, score = self._study, self._forecaster.validation_score
        assert score is not None
        beside = {
            baseline_beside(baseline, study.space.stem): each
            for baseline, each in study.baselines.leading.items()
        }
        scores = {self._name: score, **beside}
        errors = {label: list(each.rmse_by_lead_time) for label, each in scores.items()}
        if self.skill:
            errors = {label: list(1 - each.skill_by_lead_time) for label, each in scores.items()}
        return plot_error_by_lead_time(
            errors,
            range(1, study.table.horizon + 1),
            quantity=_quantity(study),
            measure=RELATIVE_RMSE if self.skill else "RMSE",
            step=study.dataset.step.name,
            styles=self._looks | assign_styles([*beside, study.space.stem]),
            on=on,
        )

    def errors_by_level(self, on: Surface = None) -> Figure:
        """How errors one row ahead are distributed by the last observed value."""
        study, period = self._study, self._period
        levels = group_by_level(
            period.levels[:, 0], find_level_edges(self._table, study.dataset.level_edges)
        )
        errors = {model: period.mean_errors(model)[:, 0] for model in (self._name, PERSISTENCE)}
        return plot_residuals_by_level(
            {
                model: np.where(period.known[:, 0], values, np.nan)
                for model, values in errors.items()
            },
            levels,
            quantity=f"{_quantity(study)}, {_ahead(study, 1)} ahead,",
            step=study.dataset.step.name,
            styles=self._looks,
            on=on,
        )

    def skill_by_series(self, on: Surface = None) -> Figure:
        """Each series' skill beside the leading baselines', the best series first."""
        study, names = self._study, list(self.skill)
        if not names:
            raise InputError("skill_by_series is of several series, but the study has one")
        skill = {self._name: np.array(list(self.skill.values()))}
        for baseline, score in study.baselines.leading.items():
            if baseline != PERSISTENCE and score.by_series:  # whose skill is 0 in all
                of_series = score.by_series.to_json()
                skill[baseline_beside(baseline, study.space.stem)] = np.array(
                    [of_series[name]["skill"] if name in of_series else np.nan for name in names]
                )
        looks = self._looks | assign_styles([*list(skill)[1:], study.space.stem])
        return plot_skill_by_series(skill, names, styles=looks, on=on)

    def gates(self, on: Surface = None) -> Figure:
        """What the first layer's gates let through in the highest week, of several series of the
        median one: four panels."""
        name = self._picked.get("median", next(iter(self._picked.values())))
        number = self._table.index.names.index(name)
        series, of_period = self._table.series[number], dict(self._period.index)[name]
        rows = list(self._weeks_of(name).values())[-1]
        begin = series.validation_start - of_period.start
        first, last = begin + rows.start, begin + rows.stop
        before = min(first, SETTLING_ROWS)
        inputs = torch.from_numpy(series.inputs[first - before : last])
        quantity = _quantity(self._study)
        return plot_gates(
            on_wall(series.times[first:last]).to_numpy(),
            series.target[first:last],
            self._forecaster.model.gates(inputs, skip=before),
            quantity=f"{quantity} of the median series, {name}" if self.skill else quantity,
            on=on,
        )


def plot_history(outcome: SearchOutcome, on: Surface = None) -> Figure | None:
    """Every trial's validation RMSE beside the baselines', with several series the mean of theirs
    by persistence's; None before a trial has one.
    """
    name, trials = outcome.space.stem, outcome.trials.values()
    scored = [trial for trial in trials if trial.state != "failed" and trial.best]
    if not scored:
        return None
    references = {baseline_beside(each, name): value for each, value in outcome.baselines.items()}
    several = any("by_series" in trial.best for trial in scored if trial.best)
    return plot_optimisation_history(
        [trial.id for trial in scored],
        [trial.objective for trial in scored],
        [trial.state == "stopped_early" for trial in scored],
        references,
        study=outcome.study,
        quantity=name_quantity(outcome.space.data.target, outcome.unit),
        measure=RELATIVE_RMSE if several else "RMSE",
        styles=assign_styles([name, *references]) | {outcome.study: assign_styles([name])[name]},
        on=on,
    )


def plot_shares(outcome: SearchOutcome, on: Surface = None) -> Figure | None:
    """Which hyperparameters mattered; None where too few trials have finished to say."""
    name, trials = outcome.space.stem, list(outcome.trials.values())
    if not (shares := hyperparameter_importances(trials, outcome.space)):
        return None
    return plot_importances(
        {outcome.study: shares},
        {outcome.study: sum(trial.state == "finished" for trial in trials)},
        styles={outcome.study: assign_styles([name])[name]},
        on=on,
    )


def name_quantity(target: str, unit: str | None) -> str:
    """`pm2.5 (ug/m3)`."""
    return f"{target} ({unit})" if unit else target


def _quantity(study: StudyView) -> str:
    return name_quantity(study.space.data.target, study.dataset.unit)


def _ahead(study: StudyView, lead: int) -> str:
    return lead_name(study.dataset.step.name, lead)


def _first_or_last(lead: int, horizon: int) -> str:
    return "only" if horizon == 1 else "first" if lead == 1 else "last"
