"""Small tables and series, made by hand, that the tests of the model share."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lstm_model.configuration import DataSettings
from lstm_model.data.encoded_table import EncodedTable
from lstm_model.data.step import Step
from lstm_model.inference.predictor import TrainedForecaster
from tests.lstm_model.air import air, train_pair

HOUR = Step(3600)


@pytest.fixture
def table() -> pd.DataFrame:
    """400 hours: a noisy wave with gaps, a temperature, and a wind direction with a gap."""
    rng = np.random.default_rng(7)
    rows = 400
    hour = np.arange(rows)
    target = 60 + 40 * np.sin(hour / 9) + rng.normal(0, 8, rows)
    target[[0, 1, 50, 120, 121, 122, 302, 350]] = np.nan
    wind = np.array(["NW", "SE", "cv"])[(hour // 13) % 3].astype(object)
    wind[[26, 312]] = np.nan  # at a turn: the hour before and the hour after differ
    return pd.DataFrame(
        {"pm": target, "temp": 10 + 5 * np.cos(hour / 24) + rng.normal(0, 1, rows), "wind": wind},
        index=pd.date_range("2020-01-01", periods=rows, freq="h", name="time"),
    )


@pytest.fixture
def settings() -> Callable[..., DataSettings]:
    """Hours 0-299 train, 300-359 validate, 360-399 are the test's."""

    def make(**changes: Any) -> DataSettings:
        given: dict[str, Any] = {
            "target": "pm",
            "features": ["pm", "temp", "wind"],
            "horizon": 3,
            "validation_from": "2020-01-13T12:00",
            "test_from": "2020-01-16T00:00",
        }
        return DataSettings(**(given | changes))

    return make


@pytest.fixture
def series(table: pd.DataFrame, settings: Callable[..., DataSettings]) -> EncodedTable:
    return EncodedTable.from_table(table, HOUR, settings())


@pytest.fixture(scope="session")
def air_table() -> pd.DataFrame:
    return air()


@pytest.fixture(scope="session")
def air_model(air_table: pd.DataFrame) -> tuple[EncodedTable, TrainedForecaster]:
    return train_pair(air_table)


@pytest.fixture(scope="module")
def saved(
    air_model: tuple[EncodedTable, TrainedForecaster], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("study") / "best"
    air_model[1].save(folder)
    return folder


@pytest.fixture
def sine() -> EncodedTable:
    """A sine of a day: the next value follows from the last ones, and the change is never zero."""
    rows = 24 * 80
    frame = pd.DataFrame(
        {"pm": 50 + 10 * np.sin(2 * np.pi * np.arange(rows) / 24)},
        index=pd.date_range("2020-01-01", periods=rows, freq="h", name="time"),
    )
    settings = DataSettings(
        target="pm",
        features=("pm",),
        horizon=2,
        validation_from=datetime(2020, 3, 1),
        test_from=datetime(2021, 1, 1),
    )
    return EncodedTable.from_table(frame, HOUR, settings)
