"""The last rows of every input channel, side by side: what regressions read."""

from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

LAGS = 24


def lag(inputs: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """(T, F) -> (T, F, LAGS): each row with those before it, a view; before the first are zeros."""
    padded = np.pad(inputs, ((LAGS - 1, 0), (0, 0)))
    return sliding_window_view(padded, LAGS, axis=0)


def flatten(windows: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """(T, F, LAGS) -> (T, F * LAGS), in memory of its own."""
    return np.ascontiguousarray(windows).reshape(len(windows), -1)
