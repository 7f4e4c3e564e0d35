"""What a series' neighbours show: the mean of the other series' target at the same time."""

import numpy as np
import pandas as pd

from lstm_model.arrays import Float64Array
from lstm_model.data.series_index import SeriesIndex
from lstm_model.data.step import to_ticks


def mean_of_others(
    target: Float64Array, times: pd.DatetimeIndex, index: SeriesIndex
) -> Float64Array:
    """(R,) the mean of what the other series observed at each row's time; NaN where none did.

    A row's own value is never in it, not even by rounding: the others are added up before it and
    behind it, rather than taken from the sum of all.

    Args:
        target: (R,) NaN where missing.
        times: of the rows, which rise within each series.
    """
    moments, kinds = pd.factorize(to_ticks(times))
    values, observed = np.nan_to_num(target), np.isfinite(target)
    total, count = np.zeros(len(target)), np.zeros(len(target), np.int64)
    parts = [rows for _, rows in index]
    for direction in (parts, parts[::-1]):
        sums, seen = np.zeros(len(kinds)), np.zeros(len(kinds), np.int64)
        for rows in direction:
            at = moments[rows]
            total[rows] += sums[at]
            count[rows] += seen[at]
            sums[at] += values[rows]
            seen[at] += observed[rows]
    mean = np.full(len(target), np.nan)
    np.divide(total, count, out=mean, where=count > 0)
    return mean
