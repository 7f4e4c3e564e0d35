"""What tuning costs on top of training, and where: start-up, trials, tail, end.

    LSTM_TUNING_DATA=DIR python -m benchmarks.overhead
    python -m benchmarks.overhead --only one-second --trials 20

Three studies, each the command in a process of its own, from its start to its end:

    real         trials of univariate.yaml, stopped early or not, as users run them
    one-second   trials of one epoch that is held for a second: what they cost does not vary
    plain        the same one-second trials under Ray Tune's own defaults, fewer of them

A slot is a trial at a time. Its time goes to training, to what there is between two trials ("cost a
trial"), and at the end to waiting for the other slots ("tail"). So

    wall = start-up + (training + cost + tail) / slots + end

holds exactly: training is what trials spent in epochs (training and evaluation), the tail is known
by the last ends of trials, and the cost is what is left.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks.reporting import parser, table, write
from tuning.ray_backend import environment

environment.set_environment()

from ray import tune  # noqa: E402 (Ray reads its settings when it is imported)

from lstm_model.command import exit_without_teardown, run_app  # noqa: E402
from tuning import run  # noqa: E402
from tuning.ray_backend.trainable import Trainable  # noqa: E402
from tuning.search.searcher import TrialResult  # noqa: E402
from tuning.study.study import Study  # noqa: E402
from tuning.study.trial import Trial  # noqa: E402
from tuning.study.view import Listener, StudyView  # noqa: E402
from tuning.workflows import run_study  # noqa: E402

SLOTS = 2
REAL_EPOCHS = 15  # at most, where the space has 30: 100 trials are to take a minute or two
KINDS = {"real": 100, "one-second": 100, "plain": 8}


class OneSecond(Trainable):
    """Trains an epoch, as short as it may be, and holds it until a second has passed."""

    def step(self) -> TrialResult:
        begun = time.monotonic()
        result = super().step()
        time.sleep(max(0.0, 1.0 - (time.monotonic() - begun)))
        for report in result["reports"]:
            report["seconds"] = 1.0
        return result


class PlainOneSecond(OneSecond):
    """The same for Tune itself: its configuration is the hyperparameters alone."""

    def begin_trial(self, suggestion: Any) -> None:
        super().begin_trial({"trial": 0, "hyperparameters": suggestion})


class Clock(Listener):
    """Writes down when trials report and end, with the seconds that they have trained by then."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.events: list[tuple[float, str, str, float]] = []

    def note(self, event: str, trial: str, seconds: float) -> None:
        self.events.append((time.time(), event, trial, seconds))

    def on_epoch(self, study: StudyView, trial: Trial) -> None:
        self.note("reported", str(trial.id), trial.seconds)

    def on_trial_end(self, study: StudyView, trial: Trial) -> None:
        self.note("ended", str(trial.id), trial.seconds)

    def on_study_end(self, study: StudyView) -> None:
        self.save()

    def save(self) -> None:
        self._file.write_text(json.dumps(self.events))


def the_command(kind: str, trials: int, folder: Path) -> int:
    """python -m tuning.run, with a clock among the study's listeners; its exit status."""
    attach_files = run_study.attach_files

    def attach_clock(study: Study) -> None:
        attach_files(study)
        study.attach(Clock(folder / "events.json"))

    epochs = REAL_EPOCHS if kind == "real" else 1
    arguments = ["--space", "univariate.yaml", "--trials", str(trials), "--max-epochs", str(epochs)]
    arguments += ["--concurrency", str(SLOTS), "--runs", str(folder), "--name", "study", "--quiet"]
    trainable = Trainable if kind == "real" else OneSecond
    with (
        mock.patch.object(run_study, "attach_files", attach_clock),
        mock.patch("tuning.ray_backend.runner.Trainable", trainable),
    ):
        return run_app(run.app, arguments)


def plain(trials: int, folder: Path) -> None:
    """Tune as its documentation begins, with Optuna and ASHA; no setting of this project's."""
    import ray
    from ray.tune.schedulers import ASHAScheduler
    from ray.tune.search.optuna import OptunaSearch

    from lstm_model.data.encoded_table import EncodedTable
    from lstm_model.data.sources import load_dataset
    from tuning.space.search_space import read_space

    space = read_space("univariate.yaml")
    data = load_dataset(space.data)
    table = EncodedTable.from_table(data.frame, data.step, space.data)
    clock = Clock(folder / "events.json")

    class Noting(tune.Callback):  # type: ignore[misc]
        def on_trial_result(
            self,
            iteration: int,
            trials: list[Any],
            trial: Any,
            result: dict[str, Any],
            **info: Any,
        ) -> None:
            clock.note("reported", trial.trial_id, 1.0)

        def on_trial_complete(
            self, iteration: int, trials: list[Any], trial: Any, **info: Any
        ) -> None:
            clock.note("ended", trial.trial_id, 1.0)

    ray.init(log_to_driver=False)
    trainable = tune.with_parameters(
        PlainOneSecond,
        table=table,
        folder=folder,
        target=space.data.target,
        max_epochs=1,
        seed=0,
        threads=1,
        gpu=False,
        decision_epochs=(),
        report_seconds=1.0,
        checkpoint_seconds=10.0,
    )
    tune.Tuner(
        tune.with_resources(trainable, {"cpu": 1}),
        param_space={
            **space.fixed,
            "hidden_size": tune.lograndint(16, 64),
            "num_layers": 1,
            "learning_rate": tune.loguniform(3e-3, 3e-2),
            "weight_decay": tune.loguniform(1e-2, 1e-1),
        },
        tune_config=tune.TuneConfig(
            num_samples=trials,
            search_alg=OptunaSearch(),
            scheduler=ASHAScheduler(),
            metric="objective",
            mode="min",
            max_concurrent_trials=SLOTS,
        ),
        run_config=tune.RunConfig(
            storage_path=str(folder),
            callbacks=[Noting()],
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=True),
            verbose=0,
        ),
    ).fit()
    clock.save()


def split(
    begun: float, ended: float, events: list[tuple[float, str, str, float]]
) -> dict[str, float]:
    """Where the time from the process's start to its end went, in seconds."""
    reports = [event for event in events if event[1] == "reported"]
    first, _, trial, _ = reports[0]
    # Of a trial's first reports, which came together, the last one has the time of all.
    together = [at for at in reports if at[2] == trial and at[0] - first < 0.1]
    start = first - max(seconds for *_, seconds in together)
    ends = sorted(at for at, event, *_ in events if event == "ended")
    training = sum(seconds for _, event, _, seconds in events if event == "ended")
    last = ends[-SLOTS:]
    busy = sum(at - start for at in last)
    startup, tail = start - begun, sum(ends[-1] - at for at in last) / SLOTS
    wall, ideal = ended - begun, training / SLOTS
    return {
        "trials": len(ends),
        "wall": wall,
        "ideal": ideal,
        "startup": startup,
        "cost_a_trial": (busy - training) / len(ends),
        "tail": tail,
        "end": ended - ends[-1],
        "over_ideal": (wall - startup - tail) / ideal - 1,
    }


def measured(kind: str, trials: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks.overhead", "--child", kind, folder]
        begun = time.time()
        child = subprocess.run(
            [*command, "--trials", str(trials)], capture_output=True, text=True, check=False
        )
        ended = time.time()
        if child.returncode:
            raise SystemExit(f"the study {kind} failed:\n{child.stderr}")
        events = json.loads((Path(folder) / "events.json").read_text())
    return split(begun, ended, [tuple(event) for event in events])


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--only", choices=KINDS, help="one of the three studies")
    options.add_argument("--trials", type=int, help="so many in each study")
    options.add_argument("--child", nargs=2, help="for the benchmark itself: a study, its folder")
    given = options.parse_args()
    if given.child:
        kind, folder = given.child[0], Path(given.child[1])
        if kind == "plain":
            plain(given.trials, folder)
            return
        exit_without_teardown(the_command(kind, given.trials, folder))
    found = {
        kind: measured(kind, given.trials or usual)
        for kind, usual in KINDS.items()
        if given.only in (None, kind)
    }
    rows = [
        [
            kind,
            each["trials"],
            *(f"{each[name]:.1f} s" for name in ("wall", "ideal", "startup")),
            f"{each['cost_a_trial'] * 1e3:.0f} ms",
            *(f"{each[name]:.1f} s" for name in ("tail", "end")),
            f"{each['over_ideal']:.1%}",
        ]
        for kind, each in found.items()
    ]
    titles = ["study", "trials", "wall", "ideal", "start-up", "cost a trial", "tail", "end"]
    print(table([*titles, "over ideal"], rows))
    print("over ideal: of wall time without start-up and tail")
    print(write("overhead", {"slots": SLOTS, "studies": found}, given.output))


if __name__ == "__main__":
    main()
