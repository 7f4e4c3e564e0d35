"""Whether training and validation hold enough of a table to learn from, and to judge by."""

import numpy as np
import pandas as pd

from lstm_model.configuration import DataSettings
from lstm_model.data.series_index import SeriesIndex
from lstm_model.data.step import rows_before, rows_until
from lstm_model.errors import TableError


def check_splits(
    frame: pd.DataFrame, settings: DataSettings, file: str, index: SeriesIndex | None = None
) -> None:
    """Training and validation must each have enough of a target that changes; of many series those
    of one at least.

    Args:
        index: of the frame's rows, where they are of many series.
    """
    if index is not None and len(index) > 1:
        _check_panel(frame, settings, file, index)
        return
    target, validation, test = settings.target, settings.validation_from, settings.test_from
    times = frame.index
    before_test = rows_until(frame, test)[target]
    observed = before_test.dropna()
    if observed.nunique() == 1:
        raise TableError(
            f"{file}: {target} must change, but before test_from ({test}) it is always "
            f"{observed.iloc[0]:g}"
        )
    needed = settings.horizon + 2  # an origin, the hours it forecasts, and one to spare
    training = int(rows_until(frame, validation)[target].count())
    if min(training, len(observed) - training) < needed:
        raise TableError(
            f"{file}: training and validation must each have {needed} rows with {target}, "
            f"horizon + 2, but training, before validation_from ({validation}), has {training}, "
            f"and validation, from then to before test_from ({test}), has "
            f"{len(observed) - training}; the table has {len(frame)} rows, from {times[0]} "
            f"to {times[-1]}"
        )


def _check_panel(
    frame: pd.DataFrame, settings: DataSettings, file: str, index: SeriesIndex
) -> None:
    """Raises TableError where no series can be learned from and judged by."""
    target, validation, test = settings.target, settings.validation_from, settings.test_from
    needed = settings.horizon + 2
    times, values = pd.DatetimeIndex(frame.index), frame[target].to_numpy(np.float64)
    best, counts, changes = "", (0, 0), False
    for name, rows in index:
        before_test = values[rows][: rows_before(times[rows], test)]
        observed = np.isfinite(before_test)
        training = int(observed[: rows_before(times[rows], validation)].sum())
        split = (training, int(observed.sum()) - training)
        varies = len(np.unique(before_test[observed])) > 1
        if min(split) >= needed and varies:
            return
        if (min(split), sum(split)) >= (min(counts), sum(counts)):
            best, counts = name, split
        changes |= varies
    if not changes:
        raise TableError(
            f"{file}: {target} must change in one series or more, but before test_from ({test}) "
            f"it is always the same in each of the {len(index)}"
        )
    raise TableError(
        f"{file}: training and validation of one series or more must each have {needed} rows with "
        f"{target}, horizon + 2, and {target} must change in it, but none of the {len(index)} has "
        f"them: that of {best}, which has most, has {counts[0]} in training, before "
        f"validation_from ({validation}), and {counts[1]} in validation, from then to before "
        f"test_from ({test}); the table goes from {times.min()} to {times.max()}"
    )
