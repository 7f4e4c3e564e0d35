"""neuralforecast's AutoLSTM on Ray, ten trials: what `benchmarks.time_to_quality` compares with.

    python neuralforecast_study.py TABLE OUTCOME FORECASTS --split 2012-01-01 --end 2013-01-01

Runs in a virtual environment of its own (neuralforecast-requirements.txt), so it imports nothing
of this project. TABLE is a CSV with a row an hour: `ds`, the target `y` without gaps,
`available_mask` (1 where y was observed: elsewhere it has no loss), the other features as numbers,
and `unique_id` where there are several series, of which all have the same hours. OUTCOME (JSON)
gets times, trials and settings, FORECASTS (CSV) those of one hour ahead.
"""

import argparse
import importlib.metadata
import json
import os
import time

# Before ray is imported: Ray asks the network whether it may send usage statistics.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")

import pandas as pd
from neuralforecast import NeuralForecast
from neuralforecast.auto import AutoLSTM
from neuralforecast.common._base_auto import RayOptions
from neuralforecast.losses.pytorch import MAE, MSE, HuberLoss
from ray import tune

LOSSES = {"mae": MAE, "mse": MSE, "huber": HuberLoss}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table")
    parser.add_argument("outcome")
    parser.add_argument("forecasts")
    parser.add_argument("--split", required=True, help="the first hour of validation")
    parser.add_argument("--end", required=True, help="the first hour after validation")
    parser.add_argument("--trials", type=int, default=10)
    parser.add_argument("--max-steps", type=int, help="instead of a choice of 500 and 1000")
    parser.add_argument("--context", type=int, default=24, help="hours in each window")
    parser.add_argument("--loss", choices=LOSSES, default="mae", help="mae is its own default")
    parser.add_argument(
        "--scaler",
        choices=("robust", "standard", "identity"),
        default="robust",
        help="of each window; robust is its own default. identity scales the whole series instead",
    )
    parser.add_argument(
        "--series",
        type=int,
        help="whose windows each step is drawn from, instead of a choice of 16 and 32: it lays out "
        "all windows of so many series in every step",
    )
    given = parser.parse_args()

    table = pd.read_csv(given.table, parse_dates=["ds"])
    if "unique_id" not in table:
        table["unique_id"] = "air"
    exogenous = [c for c in table if c not in ("unique_id", "ds", "y", "available_mask")]
    known = table[table["ds"] < given.end]
    validation = known.loc[known["ds"] >= given.split, "ds"].nunique()
    tested = table.loc[table["ds"] >= given.end, "ds"].nunique()

    space = AutoLSTM.get_default_config(h=1, backend="ray")
    # The default draws input_size from -1, 4, 16 and 64 horizons, made for longer ones.
    space |= {"input_size": given.context, "inference_input_size": given.context}
    space |= {"hist_exog_list": exogenous, "enable_progress_bar": False, "logger": False}
    space["scaler_type"] = given.scaler
    if given.max_steps:
        space["max_steps"] = given.max_steps
    if given.series:
        space["batch_size"] = given.series
    model = AutoLSTM(
        h=1,
        loss=LOSSES[given.loss](),
        config=space,
        num_samples=given.trials,
        backend="ray",
        # Ray's own files beside the outcome, not in the user's home.
        ray_options=RayOptions(
            cpus=1, gpus=0, run_config=tune.RunConfig(storage_path=os.getcwd(), verbose=0)
        ),
        # The best configuration is always trained again, by default on validation too: then it
        # would have learned from a year more than the others.
        refit_with_val=True,
    )
    whole = "standard" if given.scaler == "identity" else None
    study = NeuralForecast(models=[model], freq="h", local_scaler_type=whole)
    study.fit(known, val_size=validation)
    chosen = time.time()

    # The model is there: what follows is not timed.
    auto = study.models[0]
    found = study.cross_validation(
        table, n_windows=None, test_size=validation + tested, step_size=1, use_fitted=True
    )
    found = found.rename(columns={"AutoLSTM": "forecast"})
    found = found[["unique_id", "ds", "cutoff", "forecast"]]
    found.to_csv(given.forecasts, index=False)

    trials = []
    for result in auto.results:
        settings = {k: v for k, v in result.config.items() if isinstance(v, int | float | str)}
        trials.append(
            {
                "ended": result.metrics["timestamp"],
                "seconds": result.metrics["time_total_s"],
                "validation_loss": result.metrics["loss"],
                "config": settings,
            }
        )
    best = auto.results.get_best_result()
    outcome = {
        "chosen": chosen,  # time.time()
        "trials": trials,
        "best": next(each for each in trials if each["validation_loss"] == best.metrics["loss"]),
        "settings": {
            "space": "AutoLSTM's default but for input_size",
            "input_size": given.context,
            "max_steps": given.max_steps or "500 or 1000",
            "batch_size": given.series or "16 or 32",
            "loss": given.loss,
            "hist_exog_list": exogenous,
            "windows_batch_size": auto.model.windows_batch_size,
            "scaler_type": given.scaler,
            "local_scaler_type": whole,
            "cpus_per_trial": 1,
            "num_samples": given.trials,
            "search_alg": "random (its default, seed 1)",
            "refit_with_val": True,
        },
        "versions": {
            name: importlib.metadata.version(name)
            for name in ("neuralforecast", "ray", "torch", "pytorch-lightning", "numpy", "pandas")
        },
    }
    with open(given.outcome, "w") as out:
        json.dump(outcome, out, indent=1)


if __name__ == "__main__":
    main()
