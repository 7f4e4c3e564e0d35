"""Hours of made-up air, and a small model trained on them."""

import math
from typing import Any

import numpy as np
import pandas as pd

from lstm_model.configuration import Configuration, DataSettings, Reading
from lstm_model.data.encoded_table import EncodedTable
from lstm_model.data.step import Step, on_wall
from lstm_model.data.table import parse_table
from lstm_model.inference.predictor import TrainedForecaster
from lstm_model.inference.warm_start import WarmUpProbe
from lstm_model.training.evaluator import HoldoutEvaluator
from lstm_model.training.trainer import Trainer

HOUR = Step(3600)


SMALL = Configuration(hidden_size=6, chunk_length=40, context_length=12, learning_rate=0.03)


SETTINGS = DataSettings(
    source="air.csv",
    time="when",
    target="pm",
    features=("wind", "pm", "temp"),
    horizon=3,
    validation_from=pd.Timestamp("2020-04-01").to_pydatetime(),
    test_from=pd.Timestamp("2021-01-01").to_pydatetime(),
)


def air(rows: int = 35000) -> pd.DataFrame:
    """Hours of a level that returns to its mean, moved by the wind, and is seen with an error."""
    rng = np.random.default_rng(12)
    wind = np.array(["NW", "SE"])[(np.cumsum(rng.random(rows) < 0.1) % 2)].astype(object)
    level, logarithm = np.empty(rows), 0.0
    for row, noise in enumerate(rng.normal(size=rows)):
        pull = -0.03 if wind[row] == "NW" else 0.03
        logarithm = 0.97 * logarithm + pull + 0.1 * noise
        level[row] = 60 * math.exp(logarithm + 0.2 * rng.normal())
    level[rng.integers(0, rows, rows // 200)] = np.nan
    frame = pd.DataFrame({"wind": wind, "pm": level.round(2), "temp": rng.normal(10, 5, rows)})
    return frame.set_index(pd.date_range("2020-01-01", periods=rows, freq="h", name="time"))


def train_pair(table: pd.DataFrame) -> tuple[EncodedTable, TrainedForecaster]:
    """A series, and two members with the intervals of their mean."""
    series = EncodedTable.from_table(table, HOUR, SETTINGS)
    members, forecasts = [], []
    for seed in range(2):
        fit = Trainer(SMALL, series, max_epochs=10, seed=seed)
        *_, last = fit
        best = last.best
        members.append(
            TrainedForecaster.from_weights(series, "pm", SMALL, best.weights, best.score)
        )
        forecasts.append(HoldoutEvaluator(series).forecast(members[-1].model))
    both = TrainedForecaster.ensemble(members)
    starts = WarmUpProbe(table[table.index < SETTINGS.test_from], series.series[0].encoder, "pm")
    mean = np.mean(forecasts, axis=0)
    return series, both.with_intervals([(series, mean)], starts, SETTINGS.reading, simulated=False)


FEATURES = ("load", "open", "kind", "wind", "holiday")


def trained_on(text: str, target: str, split: tuple[int, int], **keys: Any) -> TrainedForecaster:
    """A small model of a CSV, with how its table is read."""
    table = parse_table(
        {"t.csv": text.encode()},
        Reading.model_validate(keys),
        target=target,
        features=[name for name in text.splitlines()[0].split(",") if name in FEATURES],
        horizon=1,
    )
    times = on_wall(pd.DatetimeIndex(table.frame.index))
    settings = DataSettings(
        target=target,
        features=tuple(map(str, table.frame.columns)),
        validation_from=times[split[0]].to_pydatetime(),
        test_from=times[split[1]].to_pydatetime(),
    )
    series = EncodedTable.from_table(table.frame, table.step, settings)
    fit = Trainer(SMALL, series, max_epochs=2, seed=0)
    *_, last = fit
    model = TrainedForecaster.from_weights(series, target, SMALL, last.best.weights)
    starts = WarmUpProbe(table.frame, series.series[0].encoder, target)
    return model.with_intervals(
        [(series, HoldoutEvaluator(series).forecast(model.model))],
        starts,
        table.reading,
        simulated=False,
    )
