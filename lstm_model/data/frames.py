"""A DataFrame of the caller's, as the table that a CSV of it would be."""

from collections.abc import Sequence
from typing import TypedDict
from zoneinfo import available_timezones

import pandas as pd
from pandas.api.types import is_numeric_dtype

from lstm_model.configuration import Kind, Reading
from lstm_model.data.clock import clock_columns
from lstm_model.data.columns import spell_cells
from lstm_model.errors import TableError

FRAME = "frame"  # data.source where the table is a DataFrame
CLOCK = "time"  # the column that a DatetimeIndex becomes


class InferredReading(TypedDict, total=False):
    """Keys of Reading that a frame decides by itself."""

    time: str
    zone: str
    types: dict[str, Kind]


def infer_reading(
    frame: pd.DataFrame,
    features: Sequence[str] | None,
    reading: Reading,
    static: Sequence[str] = (),
) -> InferredReading:
    """What a frame says by itself of how it is read.

    A DatetimeIndex is the clock, with its zone if it has one. A column of pandas' dtype `category`
    is a category, whatever its values look like.

    Args:
        features: the columns that are read; None stands for all that list_features() has.
        reading: what was said of it, which comes first.
        static: columns that do not change within a series, and are read too.

    Raises:
        TableError: the index is a clock, and a column has the name that it would get.
    """
    inferred: InferredReading = {}
    if isinstance(frame.index, pd.DatetimeIndex):
        if CLOCK in frame.columns:
            raise TableError(
                f"a frame's clock must be its index or columns, but got a DatetimeIndex and a "
                f"column {CLOCK!r}; drop the column, or reset the index"
            )
        inferred["time"] = CLOCK
        if reading.time not in (None, CLOCK):
            raise TableError(
                f"a frame's clock must be its index or columns, but got a DatetimeIndex and time "
                f"{reading.time!r}; leave time out, or reset the index"
            )
        zone = frame.index.tz
        if zone is not None and reading.zone is None and str(zone) in available_timezones():
            inferred["zone"] = str(zone)  # an offset without a name is on UTC
    elif isinstance(frame.index, pd.MultiIndex) and any(
        isinstance(level, pd.DatetimeIndex) for level in frame.index.levels
    ):
        levels = ", ".join(map(str, frame.index.names))
        raise TableError(
            f"a frame's index must be one of times, or none, but has the levels {levels}; "
            "frame.reset_index() makes columns of them, which time and series can name"
        )
    elif isinstance(frame.index, pd.PeriodIndex):
        raise TableError(
            "a frame's index must be times, but is a PeriodIndex; frame.to_timestamp() has them"
        )
    apart = (*reading.series_columns, *reading.targets)
    if features is None:
        features = list_features(frame, inferred.get("time", reading.time), apart)
    categories = [
        str(name)
        for name, dtype in frame.dtypes.items()
        if isinstance(dtype, pd.CategoricalDtype) and name in (*features, *static)
    ]
    if categories:
        inferred["types"] = {**dict.fromkeys(categories, "category"), **reading.types}
    return inferred


def list_features(
    frame: pd.DataFrame, time: str | Sequence[str] | None, apart: Sequence[str] = ()
) -> list[str]:
    """Every column that is no part of the clock.

    Args:
        time: the clock's columns, as Reading.time has them.
        apart: columns that are no features either: those that say whose a row is, and static ones.
    """
    taken = (*clock_columns(time), *apart)
    return [name for name in map(str, frame.columns) if name not in taken]


def clock_cells(frame: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """The clock's columns of a DataFrame; raises TableError where it lacks one."""
    if lacking := [name for name in names if name not in frame.columns]:
        raise TableError(
            f"the table must be indexed by time, or have the clock's columns "
            f"({', '.join(names)}), but has a {type(frame.index).__name__} and no "
            f"{', '.join(lacking)}"
        )
    return frame[list(names)].reset_index(drop=True)


def encode_frame(
    frame: pd.DataFrame, series: Sequence[str] = (), static: Sequence[str] = ()
) -> bytes:
    """The bytes of a CSV with every digit of the frame's numbers: what is hashed and parsed.

    Args:
        series: columns that say whose a row is, whose names are to be those that parse_frame()
            has: a CSV writes whole numbers and dates in another way.
        static: columns that do not change within a series: the same holds of categories.
    """
    header = list(frame.columns)
    texts = [name for name in static if name in header and not is_numeric_dtype(frame.dtypes[name])]
    once = [name for name in (*series, *texts) if header.count(name) == 1]
    frame = frame.assign(**{name: spell_cells(frame[name], "category") for name in once})
    has_clock = isinstance(frame.index, pd.DatetimeIndex)
    return frame.to_csv(index=has_clock, index_label=CLOCK if has_clock else None).encode()
