"""What an LSTM has to beat: persistence, means, the seasons, and ridge regression.

Each forecasts the change from the last observed value to every lead time, (T, L) of every series in
the target's unit, from the same inputs and on the same rows as the model, and is scored by the same
functions. To add one, add an entry to BASELINES: whatever shows or compares baselines goes through
that tuple.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from lstm_model.arrays import Float64Array
from lstm_model.data.encoded_table import EncodedTable
from lstm_model.data.series import EncodedSeries
from lstm_model.data.step import DAY, MONTH, SHORTEST_MONTH, WEEK, YEAR
from lstm_model.evaluation.holdout import Scorer, make_scorer
from lstm_model.evaluation.metrics import Score, mean_score, skill
from lstm_model.evaluation.ridge import FORMS, forecast_own_ridge, forecast_pooled_ridge

PERSISTENCE = "persistence"


@dataclass(frozen=True)
class Style:
    """How a model looks wherever it is drawn."""

    colour: str
    dash: str = "-"
    width: float = 2.0  # points
    marker: str = "o"


@dataclass(frozen=True)
class Baseline:
    """A forecast that needs no search.

    Attributes:
        name: in files, and with spaces for underscores in tables.
        label: in sentences.
        forecast: (table, form) -> (T, L) changes of each series; None where the table does not
            allow it.
        style: how it is drawn. The colour of one per features is mixed with its model's.
        per_features: whether it reads the features that the model reads. Then a comparison has one
            for each model.
        forms: its variants, a word each. The one that validates best is used.
        leading: whether it is shown beside a model also where there is no room for all.
    """

    name: str
    label: str
    forecast: Callable[[EncodedTable, str], Sequence[Float64Array] | None]
    style: Style
    per_features: bool = False
    forms: tuple[str, ...] = ("",)
    leading: bool = False

    def changes(self, table: EncodedTable, form: str) -> list[Float64Array] | None:
        """(T, L) changes of each series, no lower than the target can be, as a model's are."""
        forecasts = self.forecast(table, form)
        if forecasts is None:
            return None
        return [
            np.maximum(forecast, series.min_changes[:, None])
            for forecast, series in zip(forecasts, table.series, strict=True)
        ]


@dataclass(frozen=True)
class Baselines:
    """Scores on validation, of the baselines that a table allows.

    Attributes:
        scores: by name, in the order of BASELINES.
        forms: by name the form that validated best, of those that have several.
    """

    scores: Mapping[str, Score]
    forms: Mapping[str, str]

    @property
    def persistence(self) -> Score:
        return self.scores[PERSISTENCE]

    @property
    def best(self) -> str:
        """The one with the lowest objective, which is the RMSE of one series; the first of
        equals.
        """
        return min(self.scores, key=lambda name: self.scores[name].objective)

    @property
    def leading(self) -> dict[str, Score]:
        """Those shown where there is no room for all: the `leading` ones, and the best."""
        leading = (name for name in self.scores if BY_NAME[name].leading)
        return {name: self.scores[name] for name in dict.fromkeys((*leading, self.best))}

    def best_at(self, lead: int, among: Callable[[str], bool]) -> str:
        """The one with the lowest objective at a lead time, from 1."""
        names = filter(among, self.scores)
        return min(names, key=lambda name: self.scores[name].objective_by_lead_time[lead - 1])

    def skill_beyond(self, score: Mapping[str, Any]) -> float:
        """1 minus a model's RMSE by that of the best one, the mean over lead times; of several
        series 1 minus its objective by that one's.

        Args:
            score: the model's, as Score.to_json() has it.
        """
        best = self.scores[self.best]
        if "by_series" in score:
            return 1.0 - (1.0 - float(score["skill"])) / best.objective
        of_leads = score.get("by_lead_time", {"rmse": {"1": score["rmse"]}})
        errors = np.array(list(of_leads["rmse"].values()), np.float64)
        return float(skill(errors, best.rmse_by_lead_time).mean())

    def title(self, name: str) -> str:
        """`ridge on levels`."""
        form = self.forms.get(name)
        return f"{name.replace('_', ' ')} on {form}" if form else name.replace("_", " ")

    def to_json(self) -> dict[str, Any]:
        """As summary.json has them: the RMSE of each, of several series its skill too, the forms,
        and the name of the best.
        """
        facts: dict[str, Any] = {f"{name}_rmse": s.rmse for name, s in self.scores.items()}
        facts |= {f"{name}_skill": s.skill for name, s in self.scores.items() if s.by_series}
        facts |= {f"{name}_form": form for name, form in self.forms.items()}
        return {**facts, "best_baseline": self.best}


def evaluate_baselines(table: EncodedTable) -> Baselines:
    """Every baseline on the validation rows; the mean over folds where there are several."""
    scores: dict[str, Score] = {}
    forms: dict[str, str] = {}
    scorers = [make_scorer(fold) for fold in table.folds]
    for baseline in BASELINES:
        by_form = {
            form: score
            for form in baseline.forms
            if (score := _validate(baseline, form, table, scorers))
        }
        if by_form:
            form = min(by_form, key=lambda name: by_form[name].objective)
            scores[baseline.name] = by_form[form]
            forms |= {baseline.name: form} if len(baseline.forms) > 1 else {}
    return Baselines(scores, forms)


def _validate(
    baseline: Baseline, form: str, table: EncodedTable, scorers: Sequence[Scorer]
) -> Score | None:
    scores = []
    for fold, scorer in zip(table.folds, scorers, strict=True):
        if (forecast := baseline.changes(fold, form)) is None:
            return None
        scores.append(scorer(forecast))
    return mean_score(scores)


def of_each_series(
    forecast: Callable[[EncodedSeries, str], Float64Array | None], table: EncodedTable, form: str
) -> list[Float64Array] | None:
    """What `forecast` has for each series; its last value where a series does not allow it.

    Returns:
        None where no series does.
    """
    forecasts = [forecast(series, form) for series in table.series]
    if all(changes is None for changes in forecasts):
        return None
    return [
        forecast_persistence(series) if changes is None else changes
        for series, changes in zip(table.series, forecasts, strict=True)
    ]


def forecast_persistence(series: EncodedSeries, form: str = "") -> Float64Array:
    """The last observed value: no change."""
    return np.zeros_like(series.changes)


def forecast_training_mean(series: EncodedSeries, form: str = "") -> Float64Array | None:
    """The mean of the training rows' observed targets, whatever came last; None without any."""
    training = series.target[: series.validation_start]
    if np.isnan(training).all():
        return None
    change = np.nan_to_num(np.nanmean(training) - series.last_observed, nan=0.0)
    return np.repeat(change[:, None], series.horizon, axis=1)


def forecast_season_ago(
    series: EncodedSeries,
    form: str = "",
    *,
    season: pd.Timedelta,
    steps: tuple[pd.Timedelta, pd.Timedelta],
) -> Float64Array | None:
    """The value one season before the hour that is forecast, or as many as it takes.

    Where the target was missing then, the last value observed before it.

    Args:
        steps: the shortest step between rows that has this baseline, and the shortest that is too
            long for it.

    Returns:
        None where the step is outside `steps`, a season is no whole number of rows or fewer than
        two, no row is validated, or one lies less than a season after the first one.
    """
    rows = series.step.rows_per(season)
    if not series.valid_mask.any():
        return None  # nothing says whether it reaches so far back
    if not steps[0] <= series.step.duration < steps[1] or rows is None or rows < 2:
        return None
    origins = np.arange(len(series.last_observed))[:, None]
    lead = np.arange(1, series.horizon + 1)
    source = origins + lead - rows * -(-lead // rows)
    value = np.where(source >= 0, series.last_observed[np.maximum(source, 0)], np.nan)
    if np.isnan(value[series.valid_mask]).any():
        return None
    return np.nan_to_num(value - series.last_observed[:, None], nan=0.0)


def _seasonal(
    name: str, season: pd.Timedelta, style: Style, steps: tuple[pd.Timedelta, pd.Timedelta]
) -> Baseline:
    """Such as same_hour_last_week: one week before, of rows whose step is one of an hour's."""
    forecast = partial(forecast_season_ago, season=season, steps=steps)
    return Baseline(name, f"the {name.replace('_', ' ')}", partial(of_each_series, forecast), style)


# From which step between rows on, and below which, a baseline's name holds.
HOURLY, DAILY, WEEKLY = (pd.Timedelta(0), DAY), (DAY, WEEK), (WEEK, SHORTEST_MONTH)
MONTHLY, QUARTERLY = (SHORTEST_MONTH, 2 * MONTH), (3 * MONTH, 4 * MONTH)
BASELINES = (
    Baseline(
        PERSISTENCE,
        "repeating the last value",
        partial(of_each_series, forecast_persistence),
        Style("#707070", "--", 1.2, "D"),
        leading=True,
    ),
    _seasonal("same_hour_yesterday", DAY, Style("#b3b3b3", ":", 1.2, "v"), HOURLY),
    _seasonal("same_hour_last_week", WEEK, Style("#a0895b", ":", 1.2, "<"), HOURLY),
    _seasonal("same_hour_last_year", YEAR, Style("#c9b18c", ":", 1.2, ">"), HOURLY),
    _seasonal("same_day_last_week", WEEK, Style("#a0895b", ":", 1.2, "<"), DAILY),
    _seasonal("same_day_last_year", YEAR, Style("#c9b18c", ":", 1.2, ">"), DAILY),
    _seasonal("same_week_last_year", 52 * WEEK, Style("#c9b18c", ":", 1.2, ">"), WEEKLY),
    _seasonal("same_month_last_year", YEAR, Style("#c9b18c", ":", 1.2, ">"), MONTHLY),
    _seasonal("same_quarter_last_year", YEAR, Style("#c9b18c", ":", 1.2, ">"), QUARTERLY),
    Baseline(
        "training_mean",
        "the mean of training",
        partial(of_each_series, forecast_training_mean),
        Style("#4d4d4d", "-.", 1.2),
    ),
    Baseline(
        "ridge",
        "ridge regression on the same features",
        partial(of_each_series, forecast_own_ridge),
        Style("white", "--", 1.2, "s"),
        per_features=True,
        forms=FORMS,
        leading=True,
    ),
    Baseline(
        "pooled_ridge",
        "one ridge regression of all series",
        forecast_pooled_ridge,
        Style("white", "-.", 1.2, "p"),
        per_features=True,
        forms=FORMS,
        leading=True,
    ),
)
BY_NAME = {baseline.name: baseline for baseline in BASELINES}
