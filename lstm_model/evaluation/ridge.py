"""Ridge regression of the changes on the last rows of every input channel."""

import numpy as np

from lstm_model.arrays import Float64Array, IntArray
from lstm_model.data.encoded_table import EncodedTable
from lstm_model.data.encoding import FeatureEncoder
from lstm_model.data.series import EncodedSeries
from lstm_model.evaluation.lags import LAGS, flatten, lag

RIDGE_BLOCK = 1 << 16  # rows whose lagged columns stand in memory at a time
# Times the number of training rows, whose columns have unit variance. On 2013 penalties from 1e-6
# to 1e-2 differ by at most 0.1% in RMSE (docs/LOG.md): fixed rather than selected.
RIDGE_PENALTY = 1e-3
FORMS = LEVELS, LOGARITHMS = "levels", "logarithms"


def forecast_ridge(series: EncodedSeries, form: str) -> Float64Array:
    """Ridge regression of the changes on the last LAGS rows of every input channel.

    (X'X + p n I) b = X'y on the training rows, one b for each lead time (Hoerl and Kennard
    1970, doi:10.1080/00401706.1970.10488634); the columns and y are centred, so that the intercept
    is not penalised. Where columns outnumber rows the same b is X'(XX' + p n I)^-1 y, which has
    as many equations as there are rows.

    Args:
        form: "logarithms" reads the channels as the model does, "levels" without log(1 + x).
    """
    windows = lag(_read(series, form))
    changes = series.changes
    forecast = np.empty_like(changes)
    # Lead times whose targets are missing at different rows have normal equations of their own.
    fits = [
        _fit_ridge(windows, changes[:, lead], np.flatnonzero(series.train_mask[:, lead]))
        for lead in range(series.horizon)
    ]
    for rows in _blocks(np.arange(len(changes))):
        x = flatten(windows[rows])
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
        x, y = flatten(windows[training]), change[training] - mean
        centre = x.mean(0)
        x -= centre
        gram = x @ x.T
        gram[np.diag_indices_from(gram)] += RIDGE_PENALTY * count
        weights = x.T @ np.linalg.solve(gram, y)
        return weights, float(mean - centre @ weights)
    blocks = _blocks(training)
    centre = sum(flatten(windows[rows]).sum(0) for rows in blocks) / count
    gram, products = np.zeros((columns, columns)), np.zeros(columns)
    for rows in blocks:
        x = flatten(windows[rows])
        x -= centre
        gram += x.T @ x
        products += x.T @ (change[rows] - mean)
    gram[np.diag_indices_from(gram)] += RIDGE_PENALTY * count
    weights = np.linalg.solve(gram, products)
    return weights, float(mean - centre @ weights)


def _blocks(rows: IntArray) -> list[IntArray]:
    return [rows[start : start + RIDGE_BLOCK] for start in range(0, len(rows), RIDGE_BLOCK)]


def forecast_own_ridge(series: EncodedSeries, form: str) -> Float64Array | None:
    """forecast_ridge(); None where both forms are the same, but for the first one, and where
    nothing is learned from the series.
    """
    if not has_form(series.encoder, form) or not series.learned:
        return None
    return forecast_ridge(series, form)


def forecast_pooled_ridge(table: EncodedTable, form: str) -> list[Float64Array] | None:
    """One ridge regression of all series that are learned from, each on its own scales.

    It learns the changes in units of the series' `change_scale`, from the training rows at which
    those to all lead times are known.

    Args:
        form: as of forecast_ridge().

    Returns:
        None of one series, which has a ridge regression of its own, and as forecast_own_ridge().
    """
    if len(table.index) == 1 or not has_form(table.encoders.of_others, form):
        return None
    columns = LAGS * len(table.channels[table.encoders.of_others.without_means])
    count, sums, gram = 0, np.zeros(columns), np.zeros((columns, columns))
    products, mean = np.zeros((columns, table.horizon)), np.zeros(table.horizon)
    for series in (each for each in table.series if each.learned):
        windows = lag(_read(series, form))
        for rows in _blocks(np.flatnonzero(series.train_mask.all(axis=1))):
            x, y = flatten(windows[rows]), series.changes[rows] / series.change_scale
            count += len(rows)
            sums, mean = sums + x.sum(axis=0), mean + y.sum(axis=0)
            gram += x.T @ x
            products += x.T @ y
    if not count:
        return None
    centre, mean = sums / count, mean / count
    gram -= count * np.outer(centre, centre)
    products -= count * np.outer(centre, mean)
    gram[np.diag_indices_from(gram)] += RIDGE_PENALTY * count
    weights = np.asarray(np.linalg.solve(gram, products), np.float64)
    intercept = np.asarray(mean - centre @ weights, np.float64)
    return [_apply(series, form, weights, intercept) for series in table.series]


def _apply(
    series: EncodedSeries, form: str, weights: Float64Array, intercept: Float64Array
) -> Float64Array:
    """(T, L) changes by the pooled weights (columns, L) and intercepts (L,)."""
    windows, forecast = lag(_read(series, form)), np.zeros_like(series.changes)
    if form == LEVELS and not series.learned and has_form(series.encoder, LOGARITHMS):
        return forecast  # the levels of one that has no scale of its own are not known
    for rows in _blocks(np.arange(len(forecast))):
        forecast[rows] = flatten(windows[rows]) @ weights + intercept
    return forecast * series.scales


def has_form(encoder: FeatureEncoder, form: str) -> bool:
    """Whether a form differs from the first one, as a channel is a logarithm."""
    return form == LEVELS or any(channel.log1p for channel in encoder.numeric)


def _read(series: EncodedSeries, form: str) -> Float64Array:
    """(T, F) the channels but the means of the past, as the form has them."""
    inputs = series.inputs[:, series.encoder.without_means].astype(np.float64)
    if form == LOGARITHMS:
        return inputs
    for column, channel in enumerate(series.encoder.numeric):
        if channel.log1p and channel.scale is not None:
            level = np.expm1(inputs[:, column] * channel.scale + channel.mean)
            scale = level[: series.validation_start].std() or 1.0
            inputs[:, column] = (level - level[: series.validation_start].mean()) / scale
    return inputs


def count_ridge_columns(table: EncodedTable) -> int:
    """How many columns forecast_ridge() has: thousands take it a while."""
    return LAGS * len(table.channels[table.encoders.of_others.without_means])
