"""The hours of several series side by side: which of them are of one time."""

from dataclasses import dataclass

import numpy as np

from lstm_model.arrays import Float64Array, IntArray, Mask


@dataclass(frozen=True)
class HoursBySeries:
    """The hours of several series at one lead time, and what persistence errs in them.

    Attributes:
        rows: (K,) which of the R hours of all series count.
        series, times: (K,) the number of each one's series, from 0 to N - 1, and of its time, from
            0 to T - 1.
        persistence: (K,) its errors, of which those of each series are not all 0.
        length: T.
    """

    rows: IntArray
    series: IntArray
    times: IntArray
    persistence: Float64Array
    length: int

    @property
    def observed(self) -> Mask:
        """(T,) at which times any series counts."""
        return np.bincount(self.times, minlength=self.length) > 0

    def by_series(self, values: Float64Array) -> Float64Array:
        """(K,) -> (N,) sums."""
        return np.asarray(np.bincount(self.series, values), np.float64)

    def by_time(self, values: Float64Array) -> Float64Array:
        """(K,) -> (T,) sums, over all series."""
        return np.asarray(np.bincount(self.times, values, self.length), np.float64)

    def known(self, errors: Float64Array) -> Float64Array:
        """(S, R) errors -> (S, K); raises ValueError where one is missing or infinite."""
        known = np.asarray(errors[:, self.rows], np.float64)
        if wrong := int((~np.isfinite(known)).sum()):
            raise ValueError(f"errors of hours that count must be finite, but {wrong} are not")
        return known
