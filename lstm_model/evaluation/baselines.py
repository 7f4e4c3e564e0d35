"""What an LSTM has to beat: persistence, means, the seasons, and ridge regression.

Each forecasts the change from the last observed value to every lead time, (T, L) in the target's
unit, from the same inputs and on the same rows as the model, and is scored by the same functions.
To add one, add an entry to BASELINES: whatever shows or compares baselines goes through that tuple.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view

from lstm_model.arrays import Float64Array, IntArray
from lstm_model.data.series import EncodedSeries
from lstm_model.data.step import DAY, MONTH, SHORTEST_MONTH, WEEK, YEAR
from lstm_model.evaluation.metrics import Score, mean_score, rmse, score, skill

LAGS = 24
# Times the number of training rows, whose columns have unit variance. On 2013 penalties from 1e-6
# to 1e-2 differ by at most 0.1% in RMSE (docs/LOG.md): fixed rather than selected.
RIDGE_BLOCK = 1 << 16  # rows whose lagged columns stand in memory at a time
RIDGE_PENALTY = 1e-3
PERSISTENCE = "persistence"
LEVELS, LOGARITHMS = "levels", "logarithms"

# Untuned, and the same for every table: common values for some tens of thousands of rows.
LIGHTGBM_SETTINGS = {
    "objective": "regression",
    "learning_rate": 0.05,
    "num_leaves": 31,
    "min_data_in_leaf": 50,
    "feature_fraction": 0.5,
    "seed": 0,
    "deterministic": True,
    "num_threads": 1,  # several wait for each other by spinning: on busy cores, for minutes
    "verbosity": -1,
}
LIGHTGBM_ROUNDS = 300


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
        forecast: (series, form) -> (T, L) changes; None where the table does not allow it.
        style: how it is drawn. The colour of one per features is mixed with its model's.
        per_features: whether it reads the features that the model reads. Then a comparison has one
            for each model.
        forms: its variants, a word each. The one that validates best is used.
        leading: whether it is shown beside a model also where there is no room for all.
    """

    name: str
    label: str
    forecast: Callable[[EncodedSeries, str], Float64Array | None]
    style: Style
    per_features: bool = False
    forms: tuple[str, ...] = ("",)
    leading: bool = False

    def changes(self, series: EncodedSeries, form: str) -> Float64Array | None:
        """(T, L) changes, no lower than the target can be, as a model's forecasts are."""
        forecast = self.forecast(series, form)
        return None if forecast is None else np.maximum(forecast, series.min_changes[:, None])


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
        """The one with the lowest RMSE; the first of equals."""
        return min(self.scores, key=lambda name: self.scores[name].rmse)

    @property
    def leading(self) -> dict[str, Score]:
        """Those shown where there is no room for all: the `leading` ones, and the best."""
        leading = (name for name in self.scores if BY_NAME[name].leading)
        return {name: self.scores[name] for name in dict.fromkeys((*leading, self.best))}

    def best_at(self, lead: int, among: Callable[[str], bool]) -> str:
        """The one with the lowest RMSE at a lead time, from 1."""
        names = filter(among, self.scores)
        return min(names, key=lambda name: self.scores[name].rmse_by_lead_time[lead - 1])

    def skill_beyond(self, rmse_by_lead_time: Float64Array) -> float:
        """1 minus a model's RMSE by that of the best one, the mean over (L,) lead times."""
        best = self.scores[self.best].rmse_by_lead_time
        return float(skill(rmse_by_lead_time, best).mean())

    def title(self, name: str) -> str:
        """`ridge on levels`."""
        form = self.forms.get(name)
        return f"{name.replace('_', ' ')} on {form}" if form else name.replace("_", " ")

    def to_json(self) -> dict[str, Any]:
        """As summary.json has them: the RMSE of each, the forms, and the name of the best."""
        facts: dict[str, Any] = {f"{name}_rmse": s.rmse for name, s in self.scores.items()}
        facts |= {f"{name}_form": form for name, form in self.forms.items()}
        return {**facts, "best_baseline": self.best}


def evaluate_baselines(series: EncodedSeries) -> Baselines:
    """Every baseline on the validation rows; the mean over folds where there are several."""
    scores: dict[str, Score] = {}
    forms: dict[str, str] = {}
    for baseline in BASELINES:
        by_form = {
            form: score for form in baseline.forms if (score := _validate(baseline, form, series))
        }
        if by_form:
            form = min(by_form, key=lambda name: by_form[name].rmse)
            scores[baseline.name] = by_form[form]
            forms |= {baseline.name: form} if len(baseline.forms) > 1 else {}
    return Baselines(scores, forms)


def _validate(baseline: Baseline, form: str, series: EncodedSeries) -> Score | None:
    scores = []
    for fold in series.folds:
        if (forecast := baseline.changes(fold, form)) is None:
            return None
        reference = rmse(fold.changes, fold.valid_mask)
        scores.append(score(forecast - fold.changes, fold.valid_mask, reference))
    return mean_score(scores)


def forecast_persistence(series: EncodedSeries, form: str = "") -> Float64Array:
    """The last observed value: no change."""
    return np.zeros_like(series.changes)


def forecast_training_mean(series: EncodedSeries, form: str = "") -> Float64Array:
    """The mean of the training rows' observed targets, whatever came last."""
    mean = np.nanmean(series.target[: series.validation_start])
    change = np.nan_to_num(mean - series.last_observed, nan=0.0)
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
        two, or a validated row lies less than a season after the first one.
    """
    rows = series.step.rows_per(season)
    if not steps[0] <= series.step.duration < steps[1] or rows is None or rows < 2:
        return None
    origins = np.arange(len(series.last_observed))[:, None]
    lead = np.arange(1, series.horizon + 1)
    source = origins + lead - rows * -(-lead // rows)
    value = np.where(source >= 0, series.last_observed[np.maximum(source, 0)], np.nan)
    if np.isnan(value[series.valid_mask]).any():
        return None
    return np.nan_to_num(value - series.last_observed[:, None], nan=0.0)


def forecast_ridge(series: EncodedSeries, form: str) -> Float64Array:
    """Ridge regression of the changes on the last LAGS rows of every input channel.

    (X'X + p n I) b = X'y on the training rows, one b for each lead time (Hoerl and Kennard
    1970, doi:10.1080/00401706.1970.10488634); the columns and y are centred, so that the intercept
    is not penalised. Where columns outnumber rows the same b is X'(XX' + p n I)^-1 y, which has
    as many equations as there are rows.

    Args:
        form: "logarithms" reads the channels as the model does, "levels" without log(1 + x).
    """
    inputs = series.inputs[:, series.encoder.without_means].astype(np.float64)
    if form == LEVELS:
        for column, channel in enumerate(series.encoder.numeric):
            if channel.log1p:
                level = np.expm1(inputs[:, column] * channel.scale + channel.mean)
                scale = level[: series.validation_start].std() or 1.0
                inputs[:, column] = (level - level[: series.validation_start].mean()) / scale
    windows = _windows(inputs)
    changes = series.changes
    forecast = np.empty_like(changes)
    # Lead times whose targets are missing at different rows have normal equations of their own.
    fits = [
        _fit_ridge(windows, changes[:, lead], np.flatnonzero(series.train_mask[:, lead]))
        for lead in range(series.horizon)
    ]
    for rows in _blocks(np.arange(len(changes))):
        x = _flat(windows[rows])
        for lead, (weights, intercept) in enumerate(fits):
            forecast[rows, lead] = x @ weights + intercept
    return forecast


def _fit_ridge(
    windows: Float64Array, change: Float64Array, training: IntArray
) -> tuple[Float64Array, float]:
    """The weights and the intercept, from these rows of (T, F, LAGS) windows and (T,) changes.

    The normal equations are summed up by blocks of rows: all lagged columns of a large table would
    take gigabytes.
    """
    columns, count = windows.shape[1] * LAGS, len(training)
    mean = change[training].mean()
    if columns > count:
        x, y = _flat(windows[training]), change[training] - mean
        centre = x.mean(0)
        x -= centre
        gram = x @ x.T
        gram[np.diag_indices_from(gram)] += RIDGE_PENALTY * count
        weights = x.T @ np.linalg.solve(gram, y)
        return weights, float(mean - centre @ weights)
    blocks = _blocks(training)
    centre = sum(_flat(windows[rows]).sum(0) for rows in blocks) / count
    gram, products = np.zeros((columns, columns)), np.zeros(columns)
    for rows in blocks:
        x = _flat(windows[rows])
        x -= centre
        gram += x.T @ x
        products += x.T @ (change[rows] - mean)
    gram[np.diag_indices_from(gram)] += RIDGE_PENALTY * count
    weights = np.linalg.solve(gram, products)
    return weights, float(mean - centre @ weights)


def _blocks(rows: IntArray) -> list[IntArray]:
    return [rows[start : start + RIDGE_BLOCK] for start in range(0, len(rows), RIDGE_BLOCK)]


def count_ridge_columns(series: EncodedSeries) -> int:
    """How many columns forecast_ridge() has: thousands take it a while."""
    return LAGS * len(series.encoder.channels[series.encoder.without_means])


def _ridge(series: EncodedSeries, form: str) -> Float64Array | None:
    """None for the second form where no channel is a logarithm, and both are the same."""
    has_logarithms = any(channel.log1p for channel in series.encoder.numeric)
    return forecast_ridge(series, form) if has_logarithms or form == LEVELS else None


def is_lightgbm_installed() -> bool:
    """Whether the extra `baselines` is there."""
    return find_spec("lightgbm") is not None


def forecast_lightgbm(series: EncodedSeries, lead: int) -> Float64Array:
    """LightGBM on the last LAGS rows of every input channel, with fixed settings.

    It learns from the training rows alone (Ke et al. 2017, "LightGBM: a highly efficient gradient
    boosting decision tree").

    Args:
        lead: the lead time, from 1.

    Returns:
        (T,) changes at that lead time.
    """
    import lightgbm

    lagged = _flat(_windows(series.inputs[:, series.encoder.without_means]))
    rows = series.train_mask[:, lead - 1]
    data = lightgbm.Dataset(lagged[rows], series.changes[rows, lead - 1])
    model = lightgbm.train(LIGHTGBM_SETTINGS, data, num_boost_round=LIGHTGBM_ROUNDS)
    return np.asarray(model.predict(lagged), np.float64)


def _windows(inputs: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """(T, F) -> (T, F, LAGS): each row with those before it, a view; before the first are zeros."""
    padded = np.pad(inputs, ((LAGS - 1, 0), (0, 0)))
    return sliding_window_view(padded, LAGS, axis=0)


def _flat(windows: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """(T, F, LAGS) -> (T, F * LAGS), in memory of its own."""
    return np.ascontiguousarray(windows).reshape(len(windows), -1)


def _seasonal(
    name: str, season: pd.Timedelta, style: Style, steps: tuple[pd.Timedelta, pd.Timedelta]
) -> Baseline:
    """Such as same_hour_last_week: one week before, of rows whose step is one of an hour's."""
    forecast = partial(forecast_season_ago, season=season, steps=steps)
    return Baseline(name, f"the {name.replace('_', ' ')}", forecast, style)


# From which step between rows on, and below which, a baseline's name holds.
HOURLY, DAILY, WEEKLY = (pd.Timedelta(0), DAY), (DAY, WEEK), (WEEK, SHORTEST_MONTH)
MONTHLY, QUARTERLY = (SHORTEST_MONTH, 2 * MONTH), (3 * MONTH, 4 * MONTH)
BASELINES = (
    Baseline(
        PERSISTENCE,
        "repeating the last value",
        forecast_persistence,
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
        "training_mean", "the mean of training", forecast_training_mean, Style("#4d4d4d", "-.", 1.2)
    ),
    Baseline(
        "ridge",
        "ridge regression on the same features",
        _ridge,
        Style("white", "--", 1.2, "s"),
        per_features=True,
        forms=(LEVELS, LOGARITHMS),
        leading=True,
    ),
)
BY_NAME = {baseline.name: baseline for baseline in BASELINES}
