"""Gradient boosting: LightGBM, where it is installed."""

from importlib.util import find_spec

import numpy as np

from lstm_model.arrays import Float64Array
from lstm_model.data.encoded_table import EncodedTable
from lstm_model.evaluation.lags import flatten, lag

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


def is_lightgbm_installed() -> bool:
    """Whether the extra `baselines` is there."""
    return find_spec("lightgbm") is not None


def forecast_lightgbm(table: EncodedTable, lead: int) -> Float64Array:
    """LightGBM on the last LAGS rows of every input channel, with fixed settings.

    It learns from the training rows alone (Ke et al. 2017, "LightGBM: a highly efficient gradient
    boosting decision tree"). Of several series it learns from all of them, with the series as a
    category, in units of their `change_scale`.

    Args:
        lead: the lead time, from 1.

    Returns:
        (R,) changes at that lead time, from the rows of all series.
    """
    import lightgbm

    several = len(table.index) > 1
    lagged, targets, rows = [], [], []
    for series in table.each_series():
        lagged.append(flatten(lag(series.inputs[:, series.encoder.without_means])))
        changes = series.changes[:, lead - 1]
        learns_scaled = several and series.learned
        targets.append(changes / series.change_scale[lead - 1] if learns_scaled else changes)
        rows.append(series.train_mask[:, lead - 1] & series.learned)
    inputs, known = np.concatenate(lagged), np.concatenate(rows)
    category: list[int] = []
    if several:
        # One that is not learned from is no category that training knows.
        numbers = np.where(np.array(table.learned), np.arange(len(table.index)), -1)
        inputs = np.column_stack([inputs, numbers[table.index.numbers].astype(np.float32)])
        category = [inputs.shape[1] - 1]
    data = lightgbm.Dataset(
        inputs[known], np.concatenate(targets)[known], categorical_feature=category
    )
    model = lightgbm.train(LIGHTGBM_SETTINGS, data, num_boost_round=LIGHTGBM_ROUNDS)
    forecast = np.asarray(model.predict(inputs), np.float64)
    if several:
        scales = [series.scales[:, lead - 1] for series in table.each_series()]
        forecast *= np.concatenate(scales)
    return forecast
