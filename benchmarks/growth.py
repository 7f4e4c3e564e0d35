"""What a study costs as it grows: asking the sampler, capacity, memory, disk, resuming.

    python -m benchmarks.growth
    python -m benchmarks.growth --past 100 1000 --trials 60

Asking: the time of OptunaSearcher.suggest() for multivariate.yaml after so many past trials, which
are made up. Capacity: trials that train nothing report as fast as they can to a real study on a
real Ray, whose searcher, scheduler, records and events they pass through; counted from the first
report to the last. A long study: the same records, events and folder, written by the study itself
without Ray and without waiting for the disk, then taken up again as --resume does.
"""

import math
import os
import random
import resource
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any
from unittest import mock

from benchmarks.reporting import parser, table, write
from tuning.ray_backend import environment

environment.set_environment()

import optuna  # noqa: E402 (Ray reads its settings when it is imported)
from optuna.samplers import RandomSampler  # noqa: E402

from lstm_model.data.encoded_table import EncodedTable  # noqa: E402
from lstm_model.data.sources import load_dataset  # noqa: E402
from lstm_model.evaluation.baselines import evaluate_baselines  # noqa: E402
from tuning.ray_backend import runner  # noqa: E402
from tuning.ray_backend.runner import run_trials  # noqa: E402
from tuning.ray_backend.schedulers import create_scheduler  # noqa: E402
from tuning.ray_backend.session import ray_session  # noqa: E402
from tuning.ray_backend.stopping import StopRequest  # noqa: E402
from tuning.ray_backend.trainable import Trainable  # noqa: E402
from tuning.reporting.tensorboard.study_events import TensorBoard  # noqa: E402
from tuning.search.optuna_trials import Journal, suggest_value, to_distribution  # noqa: E402
from tuning.search.searcher import OptunaSearcher, Suggestion, TrialResult  # noqa: E402
from tuning.space.search_space import SearchSpace, read_space  # noqa: E402
from tuning.study.best_model import BestModel  # noqa: E402
from tuning.study.records import read_trials  # noqa: E402
from tuning.study.storage import StoragePath  # noqa: E402
from tuning.study.study import Study  # noqa: E402
from tuning.study.trial import EpochReport, Trial  # noqa: E402
from tuning.study.view import Listener, StudyView  # noqa: E402

WORKERS = 2
# A univariate epoch of 64 units over three years of hours takes a core about this long.
EPOCH_SECONDS = 0.15
ASKED = 20  # times, after each past


def made_up_error(config: Mapping[str, Any]) -> float:
    return 20 + abs(math.log10(config["learning_rate"] / 0.01))


def made_up_report(epoch: int, rmse: float) -> EpochReport:
    return {
        "epoch": epoch,
        "loss": 1.0,
        "rmse": rmse,
        "mae": rmse,
        "skill": 0.1,
        "learning_rate": 0.01,
        "gradient_norm": 1.0,
        "best": {"epoch": epoch, "rmse": rmse, "mae": rmse, "skill": 0.1},
        "seconds": EPOCH_SECONDS,
    }


class Trivial(Trainable):
    """Reports every epoch, without training."""

    _fresh = True

    def begin_trial(self, suggestion: Suggestion) -> None:
        super().begin_trial(suggestion)
        self._epoch = 0

    def step(self) -> TrialResult:
        if self._fresh:
            # The first worker would be free again before the others are up, and take every trial:
            # it waits for them. The clock begins with the first report.
            self._fresh = False
            (self._folder / f"up-{os.getpid()}").write_bytes(b"")
            while len(list(self._folder.glob("up-*"))) < WORKERS:
                time.sleep(0.01)
        self._epoch += 1
        rmse = made_up_error(self.suggestion["hyperparameters"])
        return {
            "epoch": self._epoch,
            "objective": rmse,
            "reports": [made_up_report(self._epoch, rmse)],
            "done": self._epoch >= self._max_epochs,
        }

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        Path(checkpoint_dir, "nothing").touch()


class WithoutModel(BestModel):
    """There is no model to keep of trials that train nothing: but it is known whose it would be."""

    def _keep_if_best(self, trial: Trial) -> None:
        if trial.saved and self._is_best(trial.id, trial.saved["rmse"]):
            self._manifest = {
                "study": "",
                "data": {},
                "trial": trial.id,
                "config": trial.config,
                "saved": trial.saved,
            }


class Clock(Listener):
    """When the first report came, and the last trial ended."""

    def __init__(self) -> None:
        self.first = self.last = 0.0
        self.reports = 0

    def on_epoch(self, study: StudyView, trial: Trial) -> None:
        self.first = self.first or time.monotonic()
        self.reports += 1

    def on_trial_end(self, study: StudyView, trial: Trial) -> None:
        self.last = time.monotonic()


def past(space: SearchSpace, count: int) -> Iterator[Trial]:
    """So many made-up trials, of which every third finished and the others stopped at the rung."""
    asked = optuna.create_study(sampler=RandomSampler(seed=0))
    random.seed(0)
    for number in range(count):
        trial, config = asked.ask(), dict(space.fixed)
        for name, entry in space.search.items():
            if entry.active(config):
                config[name] = suggest_value(trial, name, to_distribution(entry))
        rmse = made_up_error(config) + random.gauss(0.0, 0.1)
        longest = space.study.max_epochs
        epochs = longest if number % 3 == 0 else longest // 2
        made = Trial(number, config)
        for epoch in range(1, epochs + 1):
            made.report(made_up_report(epoch, rmse))
        made.state = "finished" if epochs == longest else "stopped_early"
        yield made


def asking(space: SearchSpace, counts: list[int]) -> dict[int, float]:
    """Seconds to ask the sampler, by the number of past trials."""
    found = {}
    longest = list(past(space, max(counts)))
    for count in counts:
        budget = replace_trials(space, count + ASKED)
        searcher = OptunaSearcher(
            budget, concurrency=lambda: 2, stopping=lambda: False, past=longest[:count]
        )
        times = []
        for number in range(ASKED):
            begun = time.perf_counter()
            asked = searcher.suggest(str(number))
            times.append(time.perf_counter() - begun)
            assert isinstance(asked, dict)
            error = made_up_error(asked["hyperparameters"])
            result: TrialResult = {"objective": error, "epoch": space.study.max_epochs}
            searcher.on_trial_complete(str(number), result)
        found[count] = median(times)
    return found


def replace_trials(space: SearchSpace, trials: int) -> SearchSpace:
    return replace(space, study=space.study.model_copy(update={"trials": trials}))


class Data:
    """What every study of this benchmark reads."""

    def __init__(self) -> None:
        self.space = read_space("univariate.yaml").overridden({"data.source": "simulated"})
        self.table = load_dataset(self.space.data)
        self.encoded = EncodedTable.from_table(self.table.frame, self.table.step, self.space.data)
        self.baselines = evaluate_baselines(self.encoded)

    def study(self, folder: StoragePath, trials: int, max_epochs: int) -> Study:
        space = self.space.overridden({"study.max_epochs": max_epochs})
        space = replace_trials(space, trials)
        begun = time.monotonic()
        facts = StudyView(folder, space, self.table, self.encoded, self.baselines, begun)
        with mock.patch("tuning.study.study.BestModel", WithoutModel):
            return Study(facts)


def capacity(data: Data, folder: Path, trials: int, max_epochs: int) -> dict[str, float]:
    """Trials and reports a second, on the Ray that is there."""
    study, clock = data.study(folder, trials, max_epochs), Clock()
    study.create([])
    for listener in (Journal("growth", study.space), TensorBoard(), clock):
        study.attach(listener)
    with mock.patch.object(runner, "Trainable", Trivial):
        run_trials(study, StopRequest(), concurrency=lambda: WORKERS, verbose=False)
    study.finish("failed")  # without a model there are no figures to draw
    seconds = clock.last - clock.first
    return {
        "trials": trials,
        "max_epochs": max_epochs,
        "seconds": seconds,
        "trials_a_second": trials / seconds,
        "reports_a_second": clock.reports / seconds,
    }


def long_study(folder: Path, count: int) -> dict[str, float]:
    """A study of so many trials: its records' cost, the process's memory, its folder, resuming.

    To be run in a process of its own, whose memory it is that counts.
    """
    data = Data()
    study = data.study(folder, count, data.space.study.max_epochs)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with mock.patch("os.fsync"):  # the disk's part is in the trials a second
        study.create([])
        study.attach(Journal("growth", study.space))
        study.attach(TensorBoard())
        begun = time.perf_counter()
        for trial in past(study.space, count):
            study.on_trial_start(trial.id, trial.config)
            for epoch in trial.history:
                study.on_epoch(trial.id, made_up_report(int(epoch["epoch"]), epoch["rmse"]))
            study.on_trial_end(trial.id, trial.state)
        written = time.perf_counter() - begun
        study.finish("failed")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    sizes = [file.stat().st_size for file in folder.rglob("*") if file.is_file()]
    begun = time.perf_counter()
    again = data.study(folder, count + 1, data.space.study.max_epochs)
    again.trials = read_trials(folder)
    again.resume([])
    read = time.perf_counter() - begun
    known = list(again.trials.values())
    stop = StopRequest()
    searcher = OptunaSearcher(
        again.space, concurrency=lambda: 1, stopping=lambda: bool(stop), past=known
    )
    create_scheduler(again.space.study, known)
    events = TensorBoard()
    events.on_study_start(again.view)
    searcher.suggest("next")
    resumed = time.perf_counter() - begun
    events.close()
    again.release()
    return {
        "trials": count,
        "milliseconds_a_trial": written / count * 1e3,
        "memory_mb": memory / 1e3,
        "disk_mb": sum(sizes) / 1e6,
        "files": len(sizes),
        "seconds_to_read": read,
        "seconds_to_resume": resumed,
    }


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--past", type=int, nargs="+", default=[100, 1000, 10_000])
    options.add_argument("--trials", type=int, default=300, help="through the command")
    given = options.parse_args()
    asked = asking(read_space("multivariate.yaml"), given.past)
    print(table(["past trials", "asking"], [[n, f"{s * 1e3:.0f} ms"] for n, s in asked.items()]))
    data = Data()
    with tempfile.TemporaryDirectory() as folder:
        with ray_session(None, verbose=False):
            through = [
                capacity(data, Path(folder) / str(epochs), trials, epochs)
                for trials, epochs in ((given.trials, 1), (given.trials // 5, 30))
            ]
        titles = ["trials", "epochs at most", "trials/s", "reports/s"]
        rows = [
            [each["trials"], each["max_epochs"]]
            + [f"{each[name]:.1f}" for name in ("trials_a_second", "reports_a_second")]
            for each in through
        ]
        print(table(titles, rows))
        cores = through[1]["reports_a_second"] * EPOCH_SECONDS
        print(f"reported one by one, that is the work of {cores:.0f} cores at {EPOCH_SECONDS} s")
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as apart:
            asked_for = apart.submit(long_study, Path(folder) / "long", max(given.past))
            long = asked_for.result()
    titles = ["trials", "recording", "memory", "folder", "files", "reading", "resuming"]
    row = [
        long["trials"],
        f"{long['milliseconds_a_trial']:.1f} ms a trial",
        f"{long['memory_mb']:.0f} MB",
        f"{long['disk_mb']:.0f} MB",
        long["files"],
        f"{long['seconds_to_read']:.1f} s",
        f"{long['seconds_to_resume']:.1f} s",
    ]
    print(table(titles, [row]))
    results = {"asking_seconds": asked, "through_the_command": through, "long_study": long}
    print(write("growth", {"workers": WORKERS, "cores": os.cpu_count(), **results}, given.output))


if __name__ == "__main__":
    main()
