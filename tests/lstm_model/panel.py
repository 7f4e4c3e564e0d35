"""Tables of several series, for tests."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from lstm_model.configuration import DataSettings
from lstm_model.data.encoded_table import EncodedTable
from lstm_model.data.series_index import SeriesIndex
from lstm_model.data.step import Step

HOUR = Step(3600)
START = pd.Timestamp("2020-01-01")


def wave(rows: int, level: float, seed: int) -> npt.NDArray[np.float64]:
    """A noisy day's wave around a level, as high as half of it."""
    noise = np.random.default_rng(seed).normal(0, 0.1 * level, rows)
    return level + 0.5 * level * np.sin(np.arange(rows) * 2 * np.pi / 24) + noise


def panel(
    series: Mapping[str, npt.NDArray[np.float64]], first_hours: Mapping[str, int] | None = None
) -> tuple[pd.DataFrame, SeriesIndex]:
    """The series' values by the hour, each from an hour of its own on."""
    frames = []
    for name, values in series.items():
        start = START + pd.Timedelta(hours=(first_hours or {}).get(name, 0))
        times = pd.date_range(start, periods=len(values), freq="h", name="time")
        frames.append(pd.DataFrame({"load": values}, index=times))
    bounds = np.cumsum([0, *map(len, frames)]).tolist()
    return pd.concat(frames), SeriesIndex(tuple(series), tuple(bounds))


def panel_settings(**changes: Any) -> DataSettings:
    """Hours 0-299 train, 300-359 validate."""
    asked: dict[str, Any] = {
        "target": "load",
        "features": ["load"],
        "series": "site",
        "horizon": 2,
        "validation_from": "2020-01-13T12:00",
        "test_from": "2020-01-16T00:00",
    }
    return DataSettings(**(asked | changes))


def encoded_panel(
    series: Mapping[str, npt.NDArray[np.float64]],
    first_hours: Mapping[str, int] | None = None,
    **changes: Any,
) -> EncodedTable:
    frame, index = panel(series, first_hours)
    return EncodedTable.from_table(frame, HOUR, panel_settings(**changes), index)


def three_series() -> EncodedTable:
    """A large one, a small one, and one that begins late: 360, 360 and 200 rows."""
    return encoded_panel(
        {"A": wave(400, 1000, 1), "B": wave(400, 2, 2), "C": wave(240, 50, 3)}, {"C": 160}
    )
