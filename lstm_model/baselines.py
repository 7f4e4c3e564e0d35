"""What an LSTM has to beat: persistence, the same hour yesterday, and ridge regression.

Each gives the change from the last observed value to every lead time, (T, L) in the target's unit,
from the same inputs, on the same rows and scored by the same functions as the model.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view

from lstm_model.metrics import Doubles, Score, mean_score, rmse, score
from lstm_model.series import Series

LAGS = 24
# Times the number of training rows, whose columns have unit variance. On 2013 penalties from 1e-6
# to 1e-2 differ by at most 0.1% in RMSE (docs/LOG.md): fixed rather than selected.
RIDGE_PENALTY = 1e-3


# Untuned, and the same for every table: common values for some tens of thousands of rows.
BOOSTING = {
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
BOOSTING_ROUNDS = 300


@dataclass(frozen=True)
class Baselines:
    """On validation; `same_hour_yesterday` is None where same_hour_yesterday() is."""

    persistence: Score
    same_hour_yesterday: Score | None
    ridge: Score
    ridge_form: str  # "levels" or "logarithms": whichever validated better


def evaluate(series: Series) -> Baselines:
    """Every baseline on the validation rows; the mean over folds where there are several."""

    def validated(forecast: Callable[[Series], Doubles | None]) -> Score | None:
        scores = []
        for fold in series.folds:
            changes, scored = fold.changes, fold.validation
            if (forecasts := forecast(fold)) is None:
                return None
            scores.append(score(forecasts - changes, scored, rmse(changes, scored)))
        return mean_score(scores)

    persistence = validated(lambda fold: np.zeros_like(fold.changes))
    ridges = {form: validated(partial(ridge, form=form)) for form in ("levels", "logarithms")}
    scored = {form: score for form, score in ridges.items() if score is not None}
    form = min(scored, key=lambda tried: scored[tried].rmse)
    assert persistence is not None
    return Baselines(
        persistence=persistence,
        same_hour_yesterday=validated(same_hour_yesterday),
        ridge=scored[form],
        ridge_form=form,
    )


def same_hour_yesterday(series: Series) -> Doubles | None:
    """The last observed value one or more whole days before the hour that is forecast.

    None where a day is not two or more rows, and a whole number of them. Where the target was
    missing at that hour, the last value observed before it; before the first observation, no
    change.
    """
    day, rest = divmod(pd.Timedelta(days=1), series.step)
    if day < 2 or rest != pd.Timedelta(0):
        return None
    rows = np.arange(len(series.last))[:, None]
    lead = np.arange(1, series.horizon + 1)
    source = rows + lead - day * -(-lead // day)
    value = np.where(source >= 0, series.last[np.maximum(source, 0)], np.nan)
    return np.nan_to_num(value - series.last[:, None], nan=0.0)


def ridge(series: Series, form: str) -> Doubles:
    """Ridge regression of the changes on the last LAGS rows of every input channel.

    (X'X + p n I) b = X'y on the training rows, one b for each lead time (Hoerl and Kennard
    1970, doi:10.1080/00401706.1970.10488634); the columns and y are centred, so that the intercept
    is not penalised.

    Args:
        form: "logarithms" for the channels as the model reads them, "levels" for the same without
            log(1 + x).
    """
    inputs = series.inputs[:, series.encoding.plain].astype(np.float64)
    if form == "levels":
        for column, channel in enumerate(series.encoding.numeric):
            if channel.logarithm:
                level = np.expm1(inputs[:, column] * channel.scale + channel.mean)
                scale = level[: series.split].std() or 1.0
                inputs[:, column] = (level - level[: series.split].mean()) / scale
    lagged = _lagged(inputs)
    changes = series.changes
    forecast = np.empty_like(changes)
    # Lead times whose targets are missing at different rows have normal equations of their own.
    for lead in range(series.horizon):
        rows = series.training[:, lead]
        x, y = lagged[rows], changes[rows, lead]
        centre, mean = x.mean(0), y.mean()
        x -= centre
        gram = x.T @ x
        gram[np.diag_indices_from(gram)] += RIDGE_PENALTY * len(x)
        weights = np.linalg.solve(gram, x.T @ (y - mean))
        forecast[:, lead] = lagged @ weights + (mean - centre @ weights)
    return forecast


def boosting_installed() -> bool:
    """Whether the extra `baselines` is there."""
    return find_spec("lightgbm") is not None


def boosted(series: Series, lead: int) -> Doubles:
    """LightGBM on the last LAGS rows of every input channel, with BOOSTING's fixed settings.

    It learns from the training rows alone (Ke et al. 2017, "LightGBM: a highly efficient gradient
    boosting decision tree").

    Args:
        lead: the lead time, from 1.

    Returns:
        (T,) changes at that lead time.
    """
    import lightgbm

    lagged = _lagged(series.inputs[:, series.encoding.plain])
    rows = series.training[:, lead - 1]
    data = lightgbm.Dataset(lagged[rows], series.changes[rows, lead - 1])
    model = lightgbm.train(BOOSTING, data, num_boost_round=BOOSTING_ROUNDS)
    return np.asarray(model.predict(lagged), np.float64)


def _lagged(inputs: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.floating[Any]]:
    """(T, F) -> (T, F * LAGS): each row with those before it; rows before the first are 0."""
    padded = np.pad(inputs, ((LAGS - 1, 0), (0, 0)))
    lagged = sliding_window_view(padded, LAGS, axis=0).reshape(len(inputs), -1)
    return np.ascontiguousarray(lagged)  # one channel is a view, of rows that overlap
