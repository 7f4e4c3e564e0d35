"""Days of made-up shops of other sizes, and a small model that learned from two of them."""

from typing import Any

import numpy as np
import pandas as pd

import lstm_model
from lstm_model.inference.predictor import TrainedForecaster

LEVELS = {"big": 400.0, "small": 4.0}
FIT: dict[str, Any] = {
    "target": "sold",
    "series": "shop",
    "static": ["area", "town"],
    "horizon": 2,
    "validation_from": "2020-01-20",
    "test_from": "2020-01-31 16:00",
    "max_epochs": 2,
    "hidden_size": 6,
    "chunk_length": 24,
    "context_length": 6,
    "learning_rate": 0.03,
}


def shop(name: str, level: float, rows: int = 800, seed: int = 0) -> pd.DataFrame:
    """Hours of one shop: what it sold, in proportion to its level, its price and its sky."""
    rng = np.random.default_rng([seed, int(level)])
    wave = 1 + 0.4 * np.sin(np.arange(rows) / 4) + 0.1 * rng.normal(size=rows)
    sold = (level * wave).round(3)
    sold[rng.integers(1, rows, rows // 40)] = np.nan
    return pd.DataFrame(
        {
            "shop": name,
            "area": level / 2,
            "town": "north" if level > 50 else "south",
            "sold": sold,
            "price": rng.normal(10, 1, rows).round(2),
            "sky": np.array(["clear", "cloudy"])[(np.arange(rows) // 7) % 2],
        },
        index=pd.date_range("2020-01-01", periods=rows, freq="h", name="time"),
    )


def shops(**levels: float) -> pd.DataFrame:
    """A table of shops in long form."""
    return pd.concat([shop(name, level) for name, level in (levels or LEVELS).items()])


def train_shops(table: pd.DataFrame | None = None, **changes: Any) -> TrainedForecaster:
    """A small model of the table, or of the two shops."""
    return lstm_model.fit(shops() if table is None else table, **FIT | changes)
