"""Simulated against real air: the table of `docs/simulation.md`.

    LSTM_TUNING_DATA=DIR python -m benchmarks.simulated_air

DIR holds the real file; without it only the simulated column is printed. Takes two minutes.
Hours from 2014 on are dropped as the file is read: they belong to the final test.
"""

import os
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd

from lstm_model.configuration import Configuration, DataSettings
from lstm_model.data.beijing import BEIJING_FILE
from lstm_model.data.encoded_table import EncodedTable
from lstm_model.data.simulation import simulate
from lstm_model.data.step import Step
from lstm_model.evaluation.metrics import rmse
from lstm_model.evaluation.ridge import forecast_ridge
from lstm_model.training.trainer import Trainer

SEEDS = (0, 1, 2, 3)
SCORED, RESERVED = 2013, 2014  # ridge learns before the first; nothing reads the second
LEAD_TIMES = (1, 6, 24)  # h
WEATHER = ("DEWP", "TEMP", "PRES")
DIRECTIONS = ("NE", "NW", "SE", "cv")
FEATURES = ["pm2.5", *WEATHER, "cbwd", "Iws", "Is", "Ir"]


def statistics(air: pd.DataFrame) -> dict[str, float]:
    """The table's figures from the hours before 2014."""
    air = air[air["year"] < RESERVED].reset_index(drop=True)
    pm25, logs = air["pm2.5"], np.log1p(air["pm2.5"])
    missing = pm25.isna()
    outcome = {
        "pm2.5: mean, ug/m3": pm25.mean(),
        "pm2.5: sd, ug/m3": pm25.std(),
        "pm2.5: median, ug/m3": pm25.median(),
        "pm2.5: 99th percentile, ug/m3": pm25.quantile(0.99),
        "pm2.5: skew": pm25.skew(),
        "log1p(pm2.5): sd": logs.std(),
        "log1p(pm2.5): hourly change, sd": logs.diff().std(),
        **{f"pm2.5: autocorrelation at {lag} h": pm25.autocorr(lag) for lag in (1, 6, 24, 48)},
        "pm2.5: mean November to February": pm25[air["month"].isin([11, 12, 1, 2])].mean(),
        "pm2.5: mean May to August": pm25[air["month"].isin([5, 6, 7, 8])].mean(),
        "pm2.5: mean at 03:00 less at 15:00": (
            pm25[air["hour"] == 3].mean() - pm25[air["hour"] == 15].mean()
        ),
        "missing, %": 100 * missing.mean(),
        "gaps a year": _spells(missing) / air["year"].nunique(),
    }
    for direction in DIRECTIONS:
        there = air["cbwd"] == direction
        outcome[f"{direction}: share of hours, %"] = 100 * there.mean()
        outcome[f"{direction}: mean pm2.5"] = pm25[there].mean()
    for name, column in (("rain", "Ir"), ("snow", "Is")):
        falling = air[column] > 0
        outcome[f"{name}: share of hours, %"] = 100 * falling.mean()
        outcome[f"{name}: mean length of a spell, h"] = falling.sum() / _spells(falling)
    outcome["Iws: mean, m/s"] = air["Iws"].mean()
    outcome["Iws: median, m/s"] = air["Iws"].median()
    outcome |= {f"{column}: sd, whole year": air[column].std() for column in WEATHER}
    univariate, multivariate = encode(air, ["pm2.5"]), encode(air, FEATURES)
    persistence, one, eight = (
        ridge_errors(univariate, persistence=True),
        ridge_errors(univariate),
        ridge_errors(multivariate),
    )
    for lead in LEAD_TIMES:
        outcome[f"{SCORED} persistence: RMSE at h={lead}"] = persistence[lead]
    for lead in LEAD_TIMES:
        gain = 100 * (1 - one[lead] / persistence[lead])
        outcome[f"{SCORED} ridge: univariate gain over persistence at h={lead}, %"] = gain
    for lead in LEAD_TIMES:
        gain = 100 * (1 - eight[lead] / one[lead])
        outcome[f"{SCORED} ridge: multivariate gain over univariate at h={lead}, %"] = gain
    gain = 100 * (1 - lstm_error(air, FEATURES) / lstm_error(air, ["pm2.5"]))
    outcome[f"{SCORED} LSTM: multivariate gain over univariate at h=1, %"] = gain
    return {name: float(value) for name, value in outcome.items()}


def encode(air: pd.DataFrame, features: list[str], horizon: int = LEAD_TIMES[-1]) -> EncodedTable:
    """Trained before 2013 and validated on it."""
    settings = DataSettings(
        features=tuple(features),
        horizon=horizon,
        validation_from=datetime(SCORED, 1, 1),
        test_from=datetime(RESERVED, 1, 1),
    )
    times = pd.to_datetime(air[["year", "month", "day", "hour"]])
    frame = air[features].set_index(pd.DatetimeIndex(times, name="time"))
    return EncodedTable.from_table(frame, Step(3600), settings)


def ridge_errors(data: EncodedTable, persistence: bool = False) -> dict[int, float]:
    """RMSE on 2013 by lead time (h) of ridge on 24 hours of logarithms, or of no change at all."""
    (series,) = data.series
    changes = series.changes
    forecast = np.zeros_like(changes) if persistence else forecast_ridge(series, "logarithms")
    errors = rmse(forecast - changes, series.valid_mask)
    return {lead: float(errors[lead - 1]) for lead in LEAD_TIMES}


def lstm_error(air: pd.DataFrame, features: list[str]) -> float:
    """Mean over three seeds of the RMSE on 2013 at h=1: 64 units, 20 epochs."""
    data, config = encode(air, features, horizon=1), Configuration(learning_rate=0.01)
    errors = []
    for seed in range(3):
        fit = Trainer(config, data, max_epochs=20, seed=seed)
        *_, last = fit
        errors.append(last.best.score.rmse)
    return float(np.mean(errors))


def _spells(flags: pd.Series) -> int:
    return int((flags & ~flags.shift(fill_value=False)).sum())


def _read_real() -> pd.DataFrame | None:
    folder = os.environ.get("LSTM_TUNING_DATA")
    if not folder:
        return None
    air = pd.read_csv(Path(folder) / BEIJING_FILE)
    return air[air["year"] < RESERVED]


def main() -> None:
    simulated = [statistics(simulate(seed)) for seed in SEEDS]
    real_air = _read_real()
    if real_air is None:
        print("LSTM_TUNING_DATA is not set: the simulated column alone.\n")
    real = None if real_air is None else statistics(real_air)
    titles = ["statistic", *(["real 2010-2013"] if real else []), "simulated", "seeds 1, 2, 3"]
    print(f"| {' | '.join(titles)} |\n|---{'|---:' * (len(titles) - 1)}|")
    for name, first in simulated[0].items():
        others = ", ".join(_figure(each[name]) for each in simulated[1:])
        cells = [name, *([_figure(real[name])] if real else []), _figure(first), others]
        print(f"| {' | '.join(cells)} |")


def _figure(value: float) -> str:
    return (
        f"{value:.1f}" if abs(value) >= 10 else f"{value:.3f}" if abs(value) < 1 else f"{value:.2f}"
    )


if __name__ == "__main__":
    main()
