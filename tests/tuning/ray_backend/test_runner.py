"""Trials that fail, workers that die, requests to stop: on one real Ray, in this process."""

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import psutil
import pytest
import ray
from ray.tune.execution.tune_controller import TuneController

from lstm_model.configuration import Configuration
from lstm_model.data.series import EncodedSeries
from lstm_model.data.sources import load_dataset
from lstm_model.errors import TrainingFailed
from lstm_model.evaluation.baselines import evaluate_baselines
from lstm_model.inference.predictor import TrainedForecaster
from lstm_model.training.state import write_state
from lstm_model.training.trainer import Epoch, Trainer
from tuning.ray_backend import callback, environment, fork_server, runner
from tuning.ray_backend.callback import FAILURES_TO_GIVE_UP, StudyCallback
from tuning.ray_backend.fork_server import ForkServer
from tuning.ray_backend.patches import AGENTS, CONTROLLER, PLAIN, Changes, choose_changes
from tuning.ray_backend.runner import run_trials
from tuning.ray_backend.session import ray_session
from tuning.ray_backend.stopping import StopRequest
from tuning.ray_backend.trainable import Trainable
from tuning.space.search_space import read_space
from tuning.study.resume import read_trials
from tuning.study.study import Study
from tuning.study.trial import Trial
from tuning.study.view import StudyView

LINUX = sys.platform == "linux"
FAILS, DIES, DIES_ONCE, ASKS_TOO_MUCH = 5, 6, 7, 9

Transcript = tuple[StudyCallback, list[tuple[Any, ...]]]


class Fragile(Trainable):
    """Fails in its second epoch in a way that the number of hidden units says."""

    def step(self) -> dict[str, Any]:
        fate, second = self._fit.config.hidden_size, self._fit.epoch == 1
        marker = Path(os.environ["TMPDIR_OF_TEST"]) / "died"
        if second and fate == DIES:
            os.kill(os.getpid(), signal.SIGKILL)
        if second and fate == DIES_ONCE and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if second and fate in (FAILS, ASKS_TOO_MUCH):
            error = (
                MemoryError("no memory for it") if fate == ASKS_TOO_MUCH else TrainingFailed("NaN")
            )
            self._fit.run_epoch = lambda: (_ for _ in ()).throw(error)  # type: ignore[method-assign]
        return super().step()


class Reluctant(Trainable):
    """Can't take another trial on the first time: as where its disk is full for a moment."""

    def reset(self, *given: Any, **named: Any) -> bool:
        refused = Path(os.environ["TMPDIR_OF_TEST"], "refused")
        if not refused.exists():
            refused.touch()
            raise ValueError("not now")
        return bool(super().reset(*given, **named))


class Hopeless(Trainable):
    def step(self) -> dict[str, Any]:
        self._fit.run_epoch = self._fail  # type: ignore[method-assign]
        return super().step()

    def _fail(self) -> Epoch:
        raise TrainingFailed("NaN")


class HopelessButForTheFirst(Hopeless):
    def step(self) -> dict[str, Any]:
        return super().step() if self._suggested["trial"] else Trainable.step(self)


@pytest.fixture(autouse=True)
def epoch_by_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is reported by itself, so that tests can stop trials after any."""
    monkeypatch.setattr("tuning.ray_backend.runner.REPORT_SECONDS", 0.0)


@pytest.fixture(scope="module", autouse=True)
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    environment.set_environment()
    os.environ["TMPDIR_OF_TEST"] = str(tmp_path_factory.mktemp("markers"))
    # Workers can't import this module: send it along.
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    server = ForkServer() if LINUX else None
    with pytest.MonkeyPatch.context() as patch, ExitStack() as at_end:
        # Tune as it is gives workers an environment of their own, which takes Ray's agents.
        patch.setenv(PLAIN, AGENTS.name)
        at_end.enter_context(ray_session(None, verbose=False, server=server))
        patch.undo()
        yield
    if server:
        server.end()


@pytest.fixture(params=["changed", "plain"])
def changes(request: pytest.FixtureRequest) -> Changes:
    """Both ways to run trials: by a controller of ours, and by Tune's public interface."""
    if request.param == "plain":
        return Changes(frozenset())
    changes = choose_changes()
    assert CONTROLLER in changes
    return changes


@pytest.fixture
def study(space: Callable[..., Path], tmp_path: Path) -> Callable[..., Study]:
    def make(
        points: list[int],
        max_epochs: int = 3,
        trials: int | None = None,
        scheduler: str = "none",
        folder: str = "air",
    ) -> Study:
        path = space(trials=trials or len(points), max_epochs=max_epochs, scheduler=scheduler)
        first = "  - {hidden_size: 8, num_layers: 1, learning_rate: 1e-2, loss: mse}\n"
        points_given = "".join(first.replace("8", str(units), 1) for units in points)
        path.write_text(path.read_text().replace(first, points_given))
        settled = read_space(str(path))
        table = load_dataset(settled.data)
        series = EncodedSeries.from_table(table.frame, table.step, settled.data)
        begun = time.monotonic()
        made = Study(
            StudyView(tmp_path / folder, settled, table, series, evaluate_baselines(series), begun)
        )
        made.create([])
        return made

    return make


def test_a_trial_that_fails_says_why_and_the_study_goes_on(
    study: Callable[..., Study],
    monkeypatch: pytest.MonkeyPatch,
    changes: Changes,
) -> None:
    monkeypatch.setattr(runner, "Trainable", Fragile)
    made = study([4, FAILS, ASKS_TOO_MUCH, 8])
    run_trials(made, StopRequest(), concurrency=lambda: 2, verbose=False, changes=changes)
    states = [(trial.state, trial.reason) for _, trial in sorted(made.trials.items())]
    assert states == [
        ("finished", None),
        ("failed", "NaN"),
        ("failed", "no memory for it"),
        ("finished", None),
    ]
    assert [trial.epochs for _, trial in sorted(made.trials.items())] == [3, 1, 1, 3]


def test_a_worker_that_dies_is_replaced_and_one_that_always_dies_is_given_up(
    study: Callable[..., Study],
    monkeypatch: pytest.MonkeyPatch,
    changes: Changes,
) -> None:
    monkeypatch.setattr(runner, "Trainable", Fragile)
    monkeypatch.setattr(callback, "RETRIES", 1)
    made = study([DIES_ONCE, DIES, 8])
    run_trials(made, StopRequest(), concurrency=lambda: 1, verbose=False, changes=changes)
    assert [made.trials[number].state for number in range(3)] == ["finished", "failed", "finished"]
    assert [epoch["epoch"] for epoch in made.trials[0].history] == [1, 2, 3], "none counted twice"
    assert made.trials[1].reason == "its worker died 2 times"


def test_a_study_in_which_every_trial_fails_is_given_up(
    study: Callable[..., Study],
    monkeypatch: pytest.MonkeyPatch,
    changes: Changes,
) -> None:
    monkeypatch.setattr(runner, "Trainable", Hopeless)
    made, stop = study([8], trials=9), StopRequest()
    run_trials(made, stop, concurrency=lambda: 1, verbose=False, changes=changes)
    assert stop.hopeless
    assert [trial.state for trial in made.trials.values()] == ["failed"] * FAILURES_TO_GIVE_UP

    monkeypatch.setattr(runner, "Trainable", HopelessButForTheFirst)
    made, stop = study([8], trials=7, folder="one-good"), StopRequest()
    run_trials(made, stop, concurrency=lambda: 1, verbose=False, changes=changes)
    assert not stop.hopeless
    assert made.view.counts == {"finished": 1, "failed": 6}


def assert_own_epochs(made: Study) -> None:
    for trial in made.trials.values():
        settings = made.space.study
        config = Configuration(**trial.config)
        alone = Trainer(
            config, made.view.series, max_epochs=settings.max_epochs, seed=settings.seed
        )
        assert [each["loss"] for each in trial.history] == [epoch.loss for epoch in alone]


def test_a_trial_that_cannot_be_begun_is_tried_again(
    study: Callable[..., Study],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its own error counts, and no other trial's epochs are taken for its own."""
    monkeypatch.setattr(runner, "Trainable", Reluctant)
    made = study([8, 4, 6], max_epochs=1)
    run_trials(made, StopRequest(), concurrency=lambda: 1, verbose=False)
    assert made.view.counts == {"finished": 3}
    assert Path(os.environ["TMPDIR_OF_TEST"], "refused").exists()
    assert_own_epochs(made)


def test_tune_does_not_write_its_trials_down(
    study: Callable[..., Study], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not with every second checkpoint: to a bucket it would be hundreds of requests."""
    monkeypatch.setattr(runner, "CHECKPOINT_SECONDS", 0.0)
    written = Mock(side_effect=TuneController.save_to_dir)
    monkeypatch.setattr(TuneController, "save_to_dir", lambda *given: written(*given))
    made = study([8, 4], max_epochs=5)
    run_trials(made, StopRequest(), concurrency=lambda: 2, verbose=False)
    assert made.view.counts == {"finished": 2}
    assert written.call_count == 0


def test_a_trial_that_is_not_the_best_leaves_no_checkpoint(
    study: Callable[..., Study],
    changes: Changes,
) -> None:
    """It would be two thirds as much work as the rest of its end."""
    made = study([8, 4, 6, 16, 5], max_epochs=2)
    run_trials(made, StopRequest(), concurrency=lambda: 1, verbose=False, changes=changes)
    lowest, better = math.inf, []
    for _, trial in sorted(made.trials.items()):
        if trial.rmse < lowest:
            lowest = trial.rmse
            better.append(trial.id)
    assert 0 < len(better) < 5
    assert [trial.id for trial in made.trials.values() if trial.saved] == better
    assert made.view.best is made.trials[better[-1]]
    kept = TrainedForecaster.load(made.folder / "best").validation
    assert kept is not None
    assert kept.rmse == lowest


def test_a_trial_that_was_stopped_early_stays_so_where_time_is_up_right_after(
    study: Callable[..., Study],
) -> None:
    """It was asked for no checkpoint, so it could not go on."""
    made, stop = study([8, 4]), StopRequest()
    messenger = StudyCallback(made, stop)
    trials = [SimpleNamespace(config={"trial": n, "config": {}}, last_result={}) for n in (0, 1)]
    for trial in trials:
        messenger.on_trial_start(0, [], trial)
    for trial in trials:
        trial.last_result = {"epoch": 1, "rmse": math.inf, "done": True}
        messenger.on_trial_result(0, [], trial, trial.last_result)
        stop.give_up()
        messenger.on_trial_complete(0, [], trial)
    messenger.catch_up()
    assert stop.failure is None
    assert [made.trials[n].state for n in (0, 1)] == ["stopped_early", "interrupted"]


@pytest.fixture
def told(study: Callable[..., Study], monkeypatch: pytest.MonkeyPatch) -> Transcript:
    """A messenger, and what it tells its study of three trials."""
    made = study([8, 4, 6])
    told: list[tuple[Any, ...]] = []
    for name in ("started", "reported", "ended", "alive"):
        monkeypatch.setattr(made, name, lambda *of, name=name: told.append((name, *of[:1])))
    return StudyCallback(made, StopRequest()), told


def ray_trial(number: int) -> Any:
    return SimpleNamespace(config={"trial": number, "config": {}}, last_result={"epoch": 1})


def test_a_trial_is_written_down_once_its_slot_has_another(told: Transcript) -> None:
    messenger, what = told
    messenger.on_step_begin(0, [])
    messenger.on_trial_result(0, [], ray_trial(0), {"epoch": 1, "reports": [{}, {}]})
    messenger.on_trial_complete(0, [], ray_trial(0))
    messenger.on_step_end(1, [])
    assert what == [("alive",)], "the slot has no trial yet"
    messenger.on_step_begin(1, [])
    messenger.on_trial_start(1, [], ray_trial(1))
    messenger.on_step_end(2, [])
    assert what[1:] == [("reported", 0), ("reported", 0), ("ended", 0), ("alive",)]
    messenger.on_step_begin(2, [])
    messenger.on_step_end(3, [])
    assert what[5:] == [("started", 1), ("alive",)]


def test_what_is_put_off_does_not_pile_up(told: Transcript) -> None:
    """Where Tune never has to wait: a trial's next result brings what was put off of it."""
    messenger, what = told
    messenger.on_trial_start(0, [], ray_trial(0))
    messenger.on_trial_start(0, [], ray_trial(1))
    messenger.on_trial_result(0, [], ray_trial(2), {"epoch": 1, "reports": [{}]})
    assert not what
    messenger.on_trial_result(0, [], ray_trial(1), {"epoch": 1, "reports": [{}]})
    assert what[:3] == [("started", 0), ("started", 1), ("reported", 2)]
    assert ("reported", 1) not in what


def test_no_report_is_lost_where_writing_one_fails(study: Callable[..., Study]) -> None:
    made, stop = study([8]), StopRequest()
    made.listeners.append(Mock(reported=Mock(side_effect=OSError("no space left"))))
    messenger = StudyCallback(made, stop)
    reports = [
        {"epoch": epoch, "seconds": 1.0, "best": {"epoch": 1, "rmse": 9.0}} for epoch in (1, 2, 3)
    ]
    messenger.on_trial_start(0, [], ray_trial(0))
    messenger.on_trial_result(0, [], ray_trial(0), {"epoch": 3, "rmse": 9.0, "reports": reports})
    messenger.catch_up()
    assert made.trials[0].epochs == 3
    assert "no space" in str(stop.failure)


def test_nothing_is_put_off_past_tunes_last_step(study: Callable[..., Study]) -> None:
    made = study([8, 4])
    messenger = StudyCallback(made, StopRequest())

    def last_step(number: int) -> list[str]:
        messenger.on_trial_start(0, [], ray_trial(number))
        messenger.catch_up()
        messenger.on_trial_complete(0, [], ray_trial(number))
        messenger.on_step_end(0, [])
        return [trial.state for trial in made.trials.values()]

    assert last_step(0) == ["running"], "another trial follows"
    assert last_step(1) == ["stopped_early", "stopped_early"]


@pytest.mark.parametrize("kept", [0, 10, 40])
def test_an_error_that_tune_could_not_write_whole_is_the_storages(
    study: Callable[..., Study], tmp_path: Path, kept: int
) -> None:
    written = ray.cloudpickle.dumps(TrainingFailed("its loss is not finite, for some reason"))
    (tmp_path / "error.pkl").write_bytes(written[:kept])
    stop = StopRequest()
    messenger = StudyCallback(study([8]), stop)
    trial = SimpleNamespace(
        config={"trial": 0, "config": {}}, pickled_error_file=str(tmp_path / "error.pkl")
    )
    messenger.on_trial_error(0, [], trial)
    assert isinstance(stop.failure, OSError)
    assert "cut off" in str(stop.failure)


def test_an_interruption_leaves_what_was_put_off_to_be_told(study: Callable[..., Study]) -> None:
    made = study([8, 4])
    told: list[int] = []
    messenger = StudyCallback(made, StopRequest())

    def interrupted(number: int) -> None:
        raise KeyboardInterrupt

    messenger._put_off(interrupted, 0)
    messenger._put_off(told.append, 1)
    messenger._put_off(told.append, 0)  # the end of the one that was told of in part
    messenger._put_off(told.append, 1)
    with pytest.raises(KeyboardInterrupt):
        messenger.catch_up()
    messenger.catch_up()
    assert told == [1, 1]


def test_a_request_to_stop_interrupts_trials_with_their_checkpoints(
    study: Callable[..., Study],
    changes: Changes,
) -> None:
    made = study([4, 8, 12], max_epochs=5000)
    stop = StopRequest()

    made.listeners.append(StopsAt(stop, 1, 3))
    run_trials(made, stop, concurrency=lambda: 2, verbose=False, changes=changes)
    assert [trial.state for trial in made.trials.values()] == ["interrupted", "interrupted"]
    for trial in made.trials.values():
        assert trial.checkpoint is not None
        assert (made.folder / trial.checkpoint / "training.safetensors").exists()


def test_a_folder_that_can_not_be_written_ends_the_study(
    study: Callable[..., Study],
    monkeypatch: pytest.MonkeyPatch,
    changes: Changes,
) -> None:
    made = study([4] * 1 + [8] * 1, max_epochs=500)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(made, "reported", full)
    with pytest.raises(OSError, match="No space left"):
        run_trials(made, StopRequest(), concurrency=lambda: 1, verbose=False, changes=changes)


class Unborn(Trainable):
    """Dies before its first step."""

    def setup(self, *_: Any, **named: Any) -> None:
        raise RuntimeError("no such device")


def test_a_worker_that_can_not_start_is_a_failed_trial(
    study: Callable[..., Study],
    monkeypatch: pytest.MonkeyPatch,
    changes: Changes,
) -> None:
    monkeypatch.setattr(runner, "Trainable", Unborn)
    monkeypatch.setattr(callback, "RETRIES", 0)
    made, answers = study([8]), list[bool]()
    run_trials(
        made,
        StopRequest(),
        concurrency=lambda: 1,
        verbose=False,
        changes=changes,
        first_started=lambda: answers.append(True),
    )
    assert answers, "nobody has to wait for a worker any longer"
    assert made.trials[0].state == "failed"
    assert made.trials[0].reason is not None
    assert "no such device" in made.trials[0].reason


class StopsAt:
    """Asks for a stop when a trial has had so many epochs."""

    def __init__(self, stop: StopRequest, trial: int, epochs: int) -> None:
        self._stop, self._moment = stop, (trial, epochs)

    def started(self, *_: Any) -> None: ...
    def ended(self, *_: Any) -> None: ...
    def finished(self, *_: Any) -> None: ...
    def reported(self, study: Study, trial: Trial) -> None:
        if (trial.id, trial.epochs) == self._moment:
            self._stop._take(signal.SIGINT, None)


def test_a_study_that_was_stopped_ends_as_one_that_was_not(
    study: Callable[..., Study],
    tmp_path: Path,
    changes: Changes,
) -> None:
    """One worker, stopped at three moments and resumed each time: the same to the last bit."""
    whole = study([8, 12], max_epochs=6, trials=5, scheduler="asha", folder="whole")
    run_trials(whole, StopRequest(), concurrency=lambda: 1, verbose=False, changes=changes)
    whole.finish("finished")

    parts = study([8, 12], max_epochs=6, trials=5, scheduler="asha", folder="parts")
    states = []
    for moment in ((0, 2), (1, 3), (2, 1), None):  # told when the next epoch has ended
        stop = StopRequest()
        if moment:
            parts.listeners.append(StopsAt(stop, *moment))
        run_trials(parts, stop, concurrency=lambda: 1, verbose=False, changes=changes)
        states.append([trial.state for trial in parts.trials.values()])
        parts.finish("interrupted" if moment else "finished")
        if moment:
            again = read_trials(parts.folder)
            parts = Study(
                StudyView(
                    *(parts.folder, parts.space, parts.table, parts.series, parts.baselines),
                    begun=0.0,
                    trials=again,
                )
            )
            parts.resume([])

    assert [found[-1] for found in states[:3]] == ["interrupted"] * 3
    assert [len(found) for found in states] == [1, 2, 3, 5]
    for one, other in zip(whole.trials.values(), parts.trials.values(), strict=True):
        assert (one.config, one.state, one.history, one.best) == (
            *(other.config, other.state, other.history, other.view.best),
        )
    assert whole.best is not None
    assert parts.best is not None
    assert whole.best.id == parts.best.id
    weights = [each.folder / "best" / "model.safetensors" for each in (whole, parts)]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    assert not (parts.folder / "checkpoints").exists()


@pytest.mark.parametrize(
    ("early", "saved_after"), [(True, [1, 3, 7, 15, 25, 35]), (False, [10, 20, 30, 40])]
)
def test_while_no_trial_has_ended_the_first_checkpoints_come_soon(
    early: bool, saved_after: list[int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    now = 0
    monkeypatch.setattr(time, "monotonic", lambda: float(now))
    trial = object.__new__(Trainable)
    trial._checkpoint_seconds = 10.0
    trial._begin({"early": True} if early else {})
    found = []
    for now in range(1, 45):
        if trial._due:
            found.append(now)
            trial.save_checkpoint(str(tmp_path))
    assert found[: len(saved_after)] == saved_after


def test_a_trial_that_was_resumed_at_its_very_end_is_finished(
    study: Callable[..., Study],
    changes: Changes,
) -> None:
    """Saved after its last epoch, but the study ended before it heard of that."""
    made = study([8], max_epochs=3)
    run_trials(made, StopRequest(), concurrency=lambda: 1, verbose=False, changes=changes)
    made.finish("finished")
    best = made.trials[0].best

    fit = Trainer(
        made.space.configuration(made.space.initial_trials[0]),
        made.view.series,
        max_epochs=3,
        seed=0,
    )
    for _ in fit:
        pass
    assert isinstance(made.folder, Path)
    folder = made.folder / "checkpoints" / "0" / "0" / "checkpoint_000000"
    folder.mkdir(parents=True)
    write_state(folder, *fit.state())
    record = made.trials[0]
    record.state, record.checkpoint = "running", "checkpoints/0/0/checkpoint_000000"
    made._write(record)
    again = Study(
        StudyView(
            *(made.folder, made.space, made.view.table, made.view.series, made.view.baselines),
            begun=0.0,
            trials=read_trials(made.folder),
        )
    )
    again.resume([])
    run_trials(again, StopRequest(), concurrency=lambda: 1, verbose=False, changes=changes)
    assert (again.trials[0].state, again.trials[0].epochs) == ("finished", 3)
    assert again.trials[0].best == best


@pytest.mark.skipif(not LINUX, reason="workers are forked on Linux alone")
def test_workers_are_forked_and_nothing_runs_that_nobody_needs() -> None:
    """Each takes a second of a command's start, or of its end."""
    parent = ray.get(ray.remote(lambda: os.getppid()).remote())
    assert psutil.Process(parent).cmdline()[-1] == fork_server.__file__
    ours = psutil.Process().children(recursive=True)
    assert {"gcs_server", "raylet"} < {process.name() for process in ours}
    commands = " ".join(part for process in ours for part in process.cmdline()[:4])
    assert not [name for name in ("monitor.py", "dashboard.py") if name in commands]


def test_ray_listens_on_loopback_alone() -> None:
    ours = psutil.Process().children(recursive=True)
    listening = {
        connection.laddr.ip
        for process in ours
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening, "Ray listens somewhere"
    assert listening <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


def test_ray_turns_away_who_has_no_token() -> None:
    """Anybody on this machine can reach the port, and nobody else can use it."""
    address = ray.get_runtime_context().gcs_address
    code = (
        "from ray._raylet import GcsClient;"
        f"print(GcsClient(address={address!r}).internal_kv_keys(b'', None, timeout=5))"
    )

    def asked(mode: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            env={**os.environ, "RAY_AUTH_MODE": mode},
            timeout=60,
            check=False,
        )

    assert asked("token").returncode == 0
    refused = asked("disabled")
    assert refused.returncode != 0
    assert "Unauthenticated" in refused.stderr or "token" in refused.stderr


def test_signals_are_given_back() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    stop = StopRequest()
    with stop.signals():
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.signal == signal.SIGINT
        assert stop
        with pytest.raises(KeyboardInterrupt):  # the second one means at once
            os.kill(os.getpid(), signal.SIGINT)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_signal_stops_a_study_that_nobody_listens_to() -> None:
    """As in `... 2>&1 | tee log`, where the same Ctrl-C has ended tee."""
    read, nobody = os.pipe()
    os.close(read)
    before = os.dup(2)
    os.dup2(nobody, 2)
    try:
        stop = StopRequest()
        stop._take(signal.SIGINT, None)
    finally:
        os.dup2(before, 2)
        os.close(before)
        os.close(nobody)
    assert stop


def test_what_the_study_met_is_told_instead_of_what_tune_made_of_it(
    study: Callable[..., Study], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, stop = study([8]), StopRequest()

    def fit(_: Any) -> None:
        stop.fail(OSError(28, "No space left on device"))
        raise RuntimeError("TuneError: a long story")

    monkeypatch.setattr("tuning.ray_backend.runner.tune.Tuner.fit", fit)
    plain = Changes(frozenset())
    with pytest.raises(OSError, match="No space left"):
        run_trials(made, stop, concurrency=lambda: 1, verbose=False, changes=plain)


def test_a_time_budget_is_a_request_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("tuning.ray_backend.stopping.time.monotonic", lambda: now)
    stop = StopRequest(10.0)
    assert not stop
    now = 110.0
    assert stop
    assert stop.signal is None
