"""How soon a study is as good as neuralforecast's, and how good it is in the same time.

    LSTM_TUNING_DATA=DIR python -m benchmarks.time_to_quality
    python -m benchmarks.time_to_quality --simulated --trials 2 --max-steps 20 --window-seconds 5

The same rows, features and machine for all, one after the other: trained on what comes before
2012, chosen on 2012, scored on 2013 one hour ahead, on the hours that were observed. Nothing reads
2014.

(c) neuralforecast's AutoLSTM on Ray, ten random trials, a core each (neuralforecast_study.py), in a
    virtual environment of its own that is made when it is missing. Its time is that from the
    command's start until the best model has been chosen and trained; its error is that model's.
(a) `python -m tuning.run` with the shipped space and other dates, for as long as (c) took. While
    it runs, its best/ is copied whenever it changes; each copy is scored afterwards. (c)'s error
    has been reached when the first copy is there that is no worse: what best/ holds was chosen on
    2012 alone, and a user could have used it at that moment.
(b) one LSTM of 64 units that is trained on shuffled windows of 24 h, in this process, on one
    thread; beside it the same LSTM as this project trains it, on sequences, one after the other.
    Both are judged after each epoch by the weights that are best on 2012 so far; scoring 2013 is
    not timed.

Takes twice as long as (c), and two minutes.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pooch
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from benchmarks.reporting import parser, table, write
from lstm_model.configuration import Configuration, DataSettings
from lstm_model.data.encoded_table import EncodedTable
from lstm_model.data.series import EncodedSeries
from lstm_model.data.sources import load_dataset
from lstm_model.evaluation.metrics import rmse, score
from lstm_model.files import read_json
from lstm_model.inference.predictor import TrainedForecaster
from lstm_model.model.forecaster import LSTMForecaster
from lstm_model.seeds import mixed_seed
from lstm_model.training.losses import loss_function
from lstm_model.training.schedule import learning_rate_at
from lstm_model.training.trainer import Trainer
from tuning.space.search_space import read_space

HERE = Path(__file__).parent
SPACE = HERE.parent / "search_spaces" / "multivariate.yaml"
REQUIREMENTS = HERE / "neuralforecast-requirements.txt"

# The dates of the shipped space, each a year earlier: what it keeps for the test is not read here.
DATES = {"validation_from": ("2013-01-01", "2012-01-01"), "test_from": ("2014-01-01", "2013-01-01")}
VALIDATED, SCORED, RESERVED = "2012", "2013", "2014-01-01"
FASTER, BETTER = 15.0, 0.3  # the goals: times, ug/m3 of RMSE

WINDOW = 24  # h
# So many windows in a step and epochs in all that (b) makes about as many steps as (a): 10 epochs
# of 66, and 30 of 23.
WINDOW_BATCH, WINDOW_EPOCHS, EPOCHS = 256, 10, 30
SEEDS = (0, 1, 2)
POLL_SECONDS = 0.05


class Judge:
    """Scores one-hour forecasts of both years, on the hours that were observed."""

    def __init__(self, frame: pd.DataFrame, target: str) -> None:
        self.frame = frame
        self._observed = frame[target]
        self._last = frame[target].ffill().shift(1)

    def __call__(self, forecast: pd.Series) -> dict[str, dict[str, float]]:
        """By year; `forecast` is indexed by the hour that is forecast."""
        return {year: self._score(forecast, year) for year in (VALIDATED, SCORED)}

    def of_model(self, model: TrainedForecaster) -> dict[str, dict[str, float]]:
        found = model.forecast(self.frame)
        return self(pd.Series(found.point[:, 0], index=model.step.after(found.origins, 1)))

    def _score(self, forecast: pd.Series, year: str) -> dict[str, float]:
        observed = self._observed.loc[year].to_numpy()[:, None]
        scored = np.isfinite(observed)
        persistence = rmse(self._last.loc[year].to_numpy()[:, None] - observed, scored)
        errors = forecast.reindex(self._observed.loc[year].index).to_numpy()[:, None] - observed
        assert np.isfinite(errors[scored]).all(), "a forecast of an observed hour is missing"
        return {**score(errors, scored, persistence).to_json(), "rows": int(scored.sum())}


@dataclass(frozen=True)
class Copy:
    """What best/ held from a moment on."""

    seconds: float  # since the command's start
    folder: Path


# (c)


def environment(folder: Path | None) -> Path:
    """The Python of neuralforecast's virtual environment, which is made where it is missing."""
    wanted = REQUIREMENTS.read_text()
    name = f"neuralforecast-{sha256(wanted.encode()).hexdigest()[:8]}"
    folder = (folder or pooch.os_cache("lstm-tuning") / name).absolute()
    mark = folder / "installed.txt"
    if not mark.exists() or mark.read_text() != wanted:
        print(f"Installing neuralforecast into {folder}, once", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, "--requirement", str(REQUIREMENTS)], check=True)
        mark.write_text(wanted)
    return folder / "bin" / "python"


def handed_over(frame: pd.DataFrame, series: EncodedSeries, target: str) -> pd.DataFrame:
    """The table for neuralforecast: filled and encoded as for this project's own models.

    Its numbers are scaled, and leaning ones logarithms, as the training rows say. The target stays
    in its unit, because what it is scaled by belongs to the rival.
    """
    encoder = series.encoder
    plain = encoder.without_means
    inputs = pd.DataFrame(encoder.transform(frame)[:, plain], frame.index, encoder.channels[plain])
    made = inputs.drop(columns=target).rename(columns=lambda name: name.replace("=", "_"))
    # Before the first observation there is nothing to repeat: those hours are never scored.
    made.insert(0, "y", frame[target].ffill().bfill())
    made.insert(1, "available_mask", frame[target].notna().astype(int))
    return made.rename_axis("ds").reset_index()


def run_neuralforecast(
    given: Any, handed: pd.DataFrame, folder: Path, split: str, end: str, *options: str
) -> tuple[dict[str, Any], pd.DataFrame, float]:
    """A study of neuralforecast's: what it says of itself, its forecasts, and when it began."""
    python = environment(given.environment)
    handed.to_csv(folder / "table.csv", index=False)
    command = [
        str(python),
        str(HERE / "neuralforecast_study.py"),
        *("table.csv", "study.json", "forecasts.csv"),
        *("--split", split, "--end", end, "--trials", str(given.trials)),
        *(("--max-steps", str(given.max_steps)) if given.max_steps else ()),
        *options,
    ]
    begun = time.time()
    with open(folder / "neuralforecast.log", "w") as log:
        done = subprocess.run(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
    if done.returncode:
        raise SystemExit((folder / "neuralforecast.log").read_text()[-3000:])
    forecasts = pd.read_csv(folder / "forecasts.csv", parse_dates=["ds"], index_col="ds")
    return read_json(folder / "study.json"), forecasts, begun


def rival(given: Any, judge: Judge, handed: pd.DataFrame, folder: Path) -> dict[str, Any]:
    """A study of neuralforecast's: its times, its errors and its settings."""
    dates = (DATES["validation_from"][1], DATES["test_from"][1])
    options = ("--loss", given.loss, "--scaler", given.scaler)
    study, forecasts, begun = run_neuralforecast(given, handed, folder, *dates, *options)
    for trial in study["trials"]:
        trial["ended"] -= begun  # to whole seconds, as Ray tells it
    return {
        **{key: study[key] for key in ("settings", "versions", "trials", "best")},
        "seconds": study["chosen"] - begun,
        "errors": judge(forecasts["forecast"]),
    }


# (a)


def ours(given: Any, judge: Judge, seconds: int, folder: Path) -> dict[str, Any]:
    """A study of this project's for so many seconds: what best/ held when, and how good it was."""
    text = SPACE.read_text()
    for key, (old, new) in DATES.items():
        assert f"{key}: {old}" in text
        text = text.replace(f"{key}: {old}", f"{key}: {new}")
    (folder / "space.yaml").write_text(text)
    study = folder / "runs" / "study"
    command = [
        *("python", "-m", "tuning.run", "--space", str(folder / "space.yaml")),
        *("--time-budget", f"{seconds}s", "--trials", "1000"),
        *("--runs", str(folder / "runs"), "--name", "study", "--quiet"),
        *(("--data", "simulated") if given.simulated else ()),
    ]
    begun, clock = time.monotonic(), time.time()
    with open(folder / "study.log", "w") as log:
        process = subprocess.Popen(
            [sys.executable, *command[1:]], cwd=HERE.parent, stdout=log, stderr=log
        )
        copies = list(copied(process, begun, study / "best", folder / "copies"))
    wall = time.monotonic() - begun
    if process.returncode or not copies:
        raise SystemExit((folder / "study.log").read_text()[-3000:])
    curve = []
    for copy in copies:
        kept = read_json(copy.folder / "trial.json")
        errors = judge.of_model(TrainedForecaster.load(copy.folder))
        curve.append({"seconds": copy.seconds, "trial": kept["trial"], "errors": errors})
    summary = read_json(study / "summary.json")
    return {
        "command": " ".join(command).replace(str(folder), "DIR"),
        "wall_seconds": wall,
        # Ray is up and the data are read: trials can begin.
        "begun_after_seconds": (study / "study.json").stat().st_mtime - clock,
        "trials": summary["trials"],
        "trial_seconds": summary["trial_seconds"],
        "best": summary["best"],
        "curve": curve,
    }


def copied(
    process: "subprocess.Popen[bytes]", begun: float, best: Path, into: Path
) -> Iterator[Copy]:
    """What a study's best/ holds, from each moment on at which it changes, until it ends.

    The moment is that at which the copy is complete, so at most POLL_SECONDS and a little late.
    """
    into.mkdir()
    last, number = None, 0
    while True:
        ended = process.poll() is not None
        try:
            folder = best.stat()
            mark = (folder.st_ino, folder.st_mtime_ns)
            if mark != last:
                copy = into / str(number)
                shutil.copytree(best, copy)
                seconds = time.monotonic() - begun
                # It is moved into place whole: of the same folder all files belong together.
                if best.stat().st_ino != folder.st_ino:
                    raise FileNotFoundError
                last, number = mark, number + 1
                yield Copy(seconds, copy)
        except (FileNotFoundError, shutil.Error):  # not there yet, or replaced just now
            shutil.rmtree(into / str(number), ignore_errors=True)
        if ended:
            return
        time.sleep(POLL_SECONDS)


# (b)


def trained_on_windows(
    config: Configuration, series: EncodedSeries, seed: int
) -> Iterator[dict[str, torch.Tensor] | None]:
    """Epochs over shuffled windows; the averaged weights where they are the best on validation.

    Everything but the windows is as in lstm_model.training.trainer: model, inputs, target, loss,
    optimiser, schedule, clipping, averaging.
    """
    inputs = torch.from_numpy(series.inputs)
    windows = inputs.unfold(0, WINDOW, 1).transpose(1, 2)  # (T - WINDOW + 1, WINDOW, F), a view
    changes = torch.from_numpy((series.changes / series.change_scale).astype(np.float32))
    model = LSTMForecaster.seeded(inputs.shape[1], config, series.horizon, mixed_seed(seed, 0))
    averaged = AveragedModel(
        model,
        multi_avg_fn=get_ema_multi_avg_fn(config.weight_averaging),
    )
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
    )
    loss_of = loss_function(config).value
    origins = np.flatnonzero(series.train_mask[:, 0])
    origins = origins[origins >= WINDOW - 1]
    judged = np.flatnonzero(series.valid_mask[:, 0])
    draw = np.random.default_rng(seed)
    torch.manual_seed(mixed_seed(seed, 1))
    steps = max(1, round(len(origins) / WINDOW_BATCH))
    lowest = np.inf
    for epoch in range(WINDOW_EPOCHS):
        model.train()
        for number, rows in enumerate(np.array_split(draw.permutation(origins), steps), start=1):
            progress = (epoch + number / steps) / WINDOW_EPOCHS
            for group in optimiser.param_groups:
                group["lr"] = learning_rate_at(progress, config)
            chosen = torch.from_numpy(rows)
            forecast = model(windows[chosen - (WINDOW - 1)], skip=WINDOW - 1)[:, 0]
            loss = loss_of(forecast - changes[chosen]).mean()
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), config.gradient_clip)
            optimiser.step()
            averaged.update_parameters(model)
        trained = averaged.module
        assert isinstance(trained, LSTMForecaster)
        found = window_forecasts(trained, windows, judged) * series.change_scale[0]
        error = float(np.sqrt(np.mean((found - series.changes[judged, 0]) ** 2)))
        if error < lowest:
            lowest = error
            yield {key: value.clone() for key, value in trained.state_dict().items()}
        else:
            yield None


@torch.inference_mode()
def window_forecasts(
    model: LSTMForecaster, windows: torch.Tensor, origins: "np.ndarray[Any, Any]"
) -> "np.ndarray[Any, Any]":
    """Scaled changes one hour ahead of each origin, from the window that ends there."""
    model.eval()
    parts = np.array_split(origins, max(1, len(origins) // 1024))
    starts = [torch.from_numpy(part) - (WINDOW - 1) for part in parts]
    found = [model(windows[each], skip=WINDOW - 1)[:, 0, 0] for each in starts]
    return np.asarray(torch.cat(found).numpy(), np.float64)


def trained_on_sequences(
    config: Configuration, table: EncodedTable, seed: int
) -> Iterator[dict[str, torch.Tensor] | None]:
    """The same as this project trains."""
    for epoch in Trainer(config, table, max_epochs=EPOCHS, seed=seed):
        yield epoch.best.weights if epoch.best.epoch == epoch.number else None


def raced(
    epochs: Iterator[dict[str, torch.Tensor] | None],
    errors_of: Callable[[dict[str, torch.Tensor]], dict[str, dict[str, float]]],
    most_seconds: float,
) -> list[dict[str, Any]]:
    """A training's curve: at each epoch's end the seconds so far, and the best model's errors."""
    curve: list[dict[str, Any]] = []
    seconds, begun = 0.0, time.perf_counter()
    for weights in epochs:
        seconds += time.perf_counter() - begun
        errors = errors_of(weights) if weights is not None else curve[-1]["errors"]
        curve.append({"seconds": seconds, "errors": errors})
        if seconds > most_seconds:
            break
        begun = time.perf_counter()
    return curve


def one_training(
    judge: Judge, table: EncodedTable, target: str, most_seconds: float
) -> dict[str, list[list[dict[str, Any]]]]:
    """The curves of trainings of 64 units on windows and on sequences, taking turns."""
    torch.set_num_threads(1)
    config = Configuration(hidden_size=64, learning_rate=0.01)
    (series,) = table.series
    known = series.encoder.transform(judge.frame)
    windows = torch.from_numpy(known).unfold(0, WINDOW, 1).transpose(1, 2)
    last = judge.frame[target].ffill()
    first = int(np.searchsorted(judge.frame.index, np.datetime64(VALIDATED))) - 1
    origins = np.arange(first, len(known) - 1)

    def in_windows(weights: dict[str, torch.Tensor]) -> dict[str, dict[str, float]]:
        model = LSTMForecaster(known.shape[1], config, series.horizon)
        model.load_state_dict(weights)
        changes = window_forecasts(model, windows, origins) * series.change_scale[0]
        values = last.to_numpy()[origins] + changes
        return judge(pd.Series(values, index=judge.frame.index[origins + 1]))

    def in_sequences(weights: dict[str, torch.Tensor]) -> dict[str, dict[str, float]]:
        return judge.of_model(TrainedForecaster.from_weights(table, target, config, weights))

    found: dict[str, list[list[dict[str, Any]]]] = {"windows": [], "sequences": []}
    for seed in SEEDS:
        for name, epochs, errors_of in (
            ("windows", trained_on_windows(config, series, seed), in_windows),
            ("sequences", trained_on_sequences(config, table, seed), in_sequences),
        ):
            found[name].append(raced(epochs, errors_of, most_seconds))
    return found


# What comes of it


def reached(curve: list[dict[str, Any]], goal: float, year: str = SCORED) -> float | None:
    """The first moment at which the best model's error is no higher than `goal`."""
    there = (at["seconds"] for at in curve if at["errors"][year]["rmse"] <= goal)
    return next(there, None)


def at_time(curve: list[dict[str, Any]], seconds: float) -> dict[str, dict[str, float]] | None:
    """The errors of what was there at a moment."""
    there = [at["errors"] for at in curve if at["seconds"] <= seconds]
    return there[-1] if there else None


def row(
    name: str,
    seconds: float | None,
    whole: float | None,
    errors: dict[str, dict[str, float]] | None,
) -> list[str]:
    sooner = "" if whole is None else "-" if seconds is None else f"{whole / seconds:.1f}"
    figures = (
        [
            f"{errors[VALIDATED]['rmse']:.2f}",
            f"{errors[SCORED]['rmse']:.2f}",
            f"{errors[SCORED]['mae']:.2f}",
            f"{errors[SCORED]['skill']:.1%}",
        ]
        if errors
        else ["-"] * 4
    )
    return [name, "never" if seconds is None else f"{seconds:.1f}", sooner, *figures]


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--simulated", action="store_true", help="on simulated air")
    options.add_argument("--trials", type=int, default=10, help="of neuralforecast (10)")
    options.add_argument("--max-steps", type=int, help="of its trials, instead of 500 or 1000")
    options.add_argument("--loss", default="mae", help="of its trials: mae (its own), mse, huber")
    options.add_argument(
        "--scaler", default="robust", help="of its windows: robust (its own), standard, identity"
    )
    options.add_argument(
        "--window-seconds", type=float, default=40.0, help="most for a training in (b) (40)"
    )
    options.add_argument(
        "--environment", type=Path, metavar="DIR", help="neuralforecast's (in the user's cache)"
    )
    options.add_argument(
        "--rival",
        type=Path,
        metavar="FILE",
        help="take (c) from the figures of an earlier run on this machine",
    )
    options.add_argument("--keep", type=Path, metavar="DIR", help="leave studies and logs there")
    given = options.parse_args()
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

    settings = read_space(str(SPACE)).data
    changes: dict[str, Any] = {key: pd.Timestamp(new) for key, (_, new) in DATES.items()}
    if given.simulated:
        changes["source"] = "simulated"
    settings = DataSettings.model_validate(settings.model_dump() | changes)
    loaded = load_dataset(settings)
    if loaded.warning:
        print(f"warning: {loaded.warning}", file=sys.stderr)
        given.simulated = True
    frame = loaded.frame.loc[loaded.frame.index < RESERVED]
    encoded = EncodedTable.from_table(frame, loaded.step, settings)
    judge = Judge(frame, settings.target)

    with tempfile.TemporaryDirectory() as temporary:
        folder = given.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if given.rival:
            theirs = read_json(given.rival)["c_neuralforecast"]
        else:
            handed = handed_over(frame, encoded.series[0], settings.target)
            theirs = rival(given, judge, handed, folder)
        whole, goal = theirs["seconds"], theirs["errors"][SCORED]["rmse"]
        mine = ours(given, judge, max(1, round(whole)), folder)
    trainings = one_training(judge, encoded, settings.target, given.window_seconds)

    soon = reached(mine["curve"], goal)
    then = at_time(mine["curve"], whole)
    print(
        f"Data: {loaded.source}, trained before {VALIDATED}, chosen on {VALIDATED}, scored on "
        f"{SCORED}, 1 h ahead. (c)'s error is {goal:.3f} there, after {whole:.0f} s.\n"
    )
    titles = (
        "",
        "until (c)'s error, s",
        "times sooner",
        f"RMSE {VALIDATED}",
        f"RMSE {SCORED}",
        f"MAE {SCORED}",
        f"skill {SCORED}",
    )
    rows = [
        row(f"(a) tuning.run, at {whole:.0f} s", soon, whole, then),
        row("(c) AutoLSTM, 10 trials", whole, whole, theirs["errors"]),
    ]
    for name, curves in trainings.items():
        for seed, curve in zip(SEEDS, curves, strict=True):
            label = f"(b) one training on windows, seed {seed}, {curve[-1]['seconds']:.0f} s"
            if name == "sequences":
                label = f"... on sequences, seed {seed}, {curve[-1]['seconds']:.0f} s"
            rows.append(row(label, reached(curve, goal), None, curve[-1]["errors"]))
    print(table(titles, rows))
    validated = reached(mine["curve"], theirs["errors"][VALIDATED]["rmse"], VALIDATED)
    better = goal - then[SCORED]["rmse"] if then else None
    goals = {
        "times_sooner": whole / soon if soon else None,
        "times_sooner_asked": FASTER,
        "better_in_the_same_time": better,
        "better_asked": BETTER,
        "seconds_until_its_validation_error": validated,
    }
    print(f"\n{json.dumps(goals, indent=1)}")
    file = write(
        "time_to_quality",
        {
            "data": {"source": loaded.source, "simulated": loaded.simulated},
            "trained_before": DATES["validation_from"][1],
            "validated": VALIDATED,
            "scored": SCORED,
            "goals": goals,
            "a_study": mine,
            "b_windows": {
                "hidden_size": 64,
                "window": WINDOW,
                "batch": WINDOW_BATCH,
                "epochs": WINDOW_EPOCHS,
                "threads": 1,
                "curves": trainings["windows"],
            },
            "b_sequences": {"hidden_size": 64, "epochs": EPOCHS, "curves": trainings["sequences"]},
            "c_neuralforecast": theirs,
        },
        given.output,
    )
    print(f"Figures: {file}")


if __name__ == "__main__":
    main()
