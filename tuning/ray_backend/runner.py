"""Trials on the Ray that is there: what Tune says happens, the study is told."""

import errno
import math
import os
import pickle
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, TypeGuard
from unittest import mock

import ray
from ray import tune
from ray.air.execution._internal import RayActorManager
from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial as RayTrial
from ray.tune.result import DONE, SHOULD_CHECKPOINT

from tuning.ray_backend.schedulers import judged_at, scheduler
from tuning.ray_backend.trainable import Trainable
from tuning.record import State
from tuning.search import OptunaSearcher, Unsaved
from tuning.storage import Place
from tuning.study import Study

# How often a trial is tried again from its checkpoint where its worker or machine dies.
RETRIES = 3
# A trial that is killed loses no more than this much work; an epoch that takes longer is saved by
# itself. A trial that is the best one, or goes on later, is saved at its end besides.
CHECKPOINT_SECONDS = 10.0
# Epochs are reported together until they have taken this long: each report costs the command some
# milliseconds, and a trial that waits for the answer to it trains nothing.
REPORT_SECONDS = 2.0
# Where the first trials all fail, the next ones would too.
FAILURES_TO_GIVE_UP = 5
# After a request to stop, trials may end their epoch for this long before they are cut off.
STOP_SECONDS = 15.0


class StopRequest:
    """Whether the study is to end before its trials are done, and why."""

    def __init__(self, time_budget: float | None = None) -> None:
        """time_budget: seconds from now."""
        self._deadline = math.inf if time_budget is None else time.monotonic() + time_budget
        self._requested = math.inf
        self.signal: signal.Signals | None = None
        self.failure: BaseException | None = None
        self.hopeless = False

    @property
    def since(self) -> float:
        """time.monotonic() of the request; infinite where there is none."""
        return min(self._deadline, self._requested)

    def __bool__(self) -> bool:
        return time.monotonic() >= self.since

    def fail(self, failure: BaseException) -> None:
        """The study can't be kept any more: end it in order."""
        self.failure = self.failure or failure
        self._requested = min(self._requested, time.monotonic())

    def give_up(self) -> None:
        """Every trial fails: end the study."""
        self.hopeless = True
        self._requested = min(self._requested, time.monotonic())

    def _take(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt  # a second Ctrl-C means at once
        self.signal = signal.Signals(number)
        self._requested = min(self._requested, time.monotonic())
        # Not print(), which the signal may have come in the middle of. Of `... | tee log` the same
        # Ctrl-C ends tee.
        with suppress(OSError):
            os.write(2, f"{self.signal.name}: stopping after the running epochs\n".encode())

    @contextmanager
    def signals(self) -> Iterator[None]:
        """Take Ctrl-C and SIGTERM as requests to stop, and put the old handlers back after."""
        taken = (signal.SIGINT, signal.SIGTERM)
        old = [signal.signal(number, self._take) for number in taken]
        try:
            yield
        finally:
            for number, handler in zip(taken, old, strict=True):
                signal.signal(number, handler)


class _Stopper(Unsaved, tune.Stopper):  # type: ignore[misc]
    """Ends every trial after its epoch once a stop is requested, and at once after a while."""

    def __init__(self, stop: StopRequest) -> None:
        self._stop = stop

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return bool(self._stop)

    def stop_all(self) -> bool:
        return time.monotonic() >= self._stop.since + STOP_SECONDS


class _Messenger(Unsaved, tune.Callback):  # type: ignore[misc]
    """Tells the study what Tune reports, in the study's words.

    What trials report, and that one ended and the next one starts, is put off until there is
    nothing else to do: to write it down takes as long as all else between two trials, and no slot
    has to wait for it.
    """

    def __init__(self, study: Study, stop: StopRequest) -> None:
        self._study, self._stop = study, stop
        self._put_off: list[tuple[int, Callable[[], None]]] = []

    def _later(self, tell: Callable[..., None], number: int, *given: Any) -> None:
        self._put_off.append((number, partial(tell, number, *given)))

    @property
    def behind(self) -> bool:
        """Whether something is put off."""
        return bool(self._put_off)

    def catch_up(self) -> None:
        """Tell what was put off, and that the study is alive."""
        while self._put_off:
            (number, tell), *after = self._put_off
            # Cut off by Ctrl-C it may be told in part: what follows of that trial would make it
            # one that ended, and it is to go on later.
            self._put_off = [each for each in after if each[0] != number]
            with self._guarded():
                tell()
            self._put_off = after
        with self._guarded():
            self._study.alive()

    def on_trial_start(
        self, iteration: int, trials: list[RayTrial], trial: RayTrial, **info: Any
    ) -> None:
        self._later(self._study.started, trial.config["trial"], trial.config["config"])

    def on_trial_result(
        self,
        iteration: int,
        trials: list[RayTrial],
        trial: RayTrial,
        result: dict[str, Any],
        **info: Any,
    ) -> None:
        number = trial.config["trial"]
        if any(number == other for other, _ in self._put_off):
            self.catch_up()
        self._later(self._reported, number, result.get("reports", ()))
        # A checkpoint costs nearly as much as all else between two trials.
        if result.get(DONE) and not result.get("reason"):
            result["interrupted"] = bool(self._stop)
            if result["interrupted"] or self._study.wants(number, result["rmse"]):
                result[SHOULD_CHECKPOINT] = True

    def on_step_end(self, iteration: int, trials: list[RayTrial], **info: Any) -> None:
        # After the last step Tune ends what it has begun, for seconds: nothing is to wait for that.
        if self._stop or len(self._study.trials) >= self._study.space.study.trials:
            self.catch_up()

    def on_checkpoint(
        self,
        iteration: int,
        trials: list[RayTrial],
        trial: RayTrial,
        checkpoint: tune.Checkpoint,
        **info: Any,
    ) -> None:
        self.catch_up()
        with self._guarded():
            self._study.checkpointed(trial.config["trial"], checkpoint.path)

    def on_trial_complete(
        self, iteration: int, trials: list[RayTrial], trial: RayTrial, **info: Any
    ) -> None:
        result = trial.last_result or {}
        number = trial.config["trial"]
        if reason := result.get("reason"):
            self._failed(number, reason)
            return
        state: State = "finished"
        if result.get("epoch", 0) < self._study.space.study.max_epochs:
            # As when it was asked for a checkpoint or not, whatever has been requested since.
            interrupted = result.get("interrupted", bool(self._stop))
            state = "interrupted" if interrupted else "stopped_early"
        self._later(self._study.ended, number, state)

    def on_trial_recover(
        self, iteration: int, trials: list[RayTrial], trial: RayTrial, **info: Any
    ) -> None:
        # The storage's failure is not this trial's, and no better for the next one.
        if _of_storage(cause := _cause(trial)):
            self._stop.fail(cause)

    def on_trial_error(
        self, iteration: int, trials: list[RayTrial], trial: RayTrial, **info: Any
    ) -> None:
        cause = _cause(trial)
        if _of_storage(cause):
            self._stop.fail(cause)
        text = str(cause).strip()
        reason = text.splitlines()[-1] if text else repr(cause)
        if isinstance(cause, ray.exceptions.RayActorError) and "creation task" not in text:
            reason = f"its worker died {RETRIES + 1} times"
        number = trial.config["trial"]
        self.catch_up()
        with self._guarded():
            if number not in self._study.trials:  # its worker died before it had started
                self._study.started(number, trial.config["config"])
            if self._stop:
                # A worker that dies while the study is being stopped was stopped with it.
                self._study.ended(number, "interrupted", reason)
                return
        self._failed(number, reason)

    def _reported(self, number: int, reports: Iterable[dict[str, Any]]) -> None:
        for report in reports:
            with self._guarded():  # each by itself: what went wrong with one loses no other
                self._study.reported(number, report)

    def _failed(self, number: int, reason: str) -> None:
        """A trial failed; where all that ended did, the next ones would too."""
        self.catch_up()
        with self._guarded():
            self._study.ended(number, "failed", reason)
            states = [each.state for each in self._study.trials.values() if not each.under_way]
            if len(states) >= FAILURES_TO_GIVE_UP and set(states) == {"failed"}:
                self._stop.give_up()

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Tune would only log what goes wrong here; a full disk has to end the study instead."""
        try:
            yield
        except Exception as failure:
            self._stop.fail(failure)


def run_trials(
    study: Study, stop: StopRequest, *, concurrency: Callable[[], int], verbose: bool
) -> None:
    """Run the study's trials on the Ray that is there until all have ended or `stop` says so.

    Args:
        concurrency: how many trials may be under way now.

    Raises:
        OSError: the study's folder could not be written any more.
    """
    space = study.space
    resources = space.resources
    past = list(study.trials.values())
    attempt = study.attempt()
    messenger = _Messenger(study, stop)
    trials = tune.with_parameters(
        Trainable,
        series=study.series,
        folder=study.folder.resolve(),
        target=space.data.target,
        reading=study.table.reading,
        max_epochs=space.study.max_epochs,
        seed=space.study.seed,
        threads=max(1, int(resources.cpu)),
        gpu=resources.gpu > 0,
        judged_at=judged_at(space.study),
        report_seconds=REPORT_SECONDS,
        checkpoint_seconds=CHECKPOINT_SECONDS,
    )
    tuner = tune.Tuner(
        tune.with_resources(trials, {"cpu": resources.cpu, "gpu": resources.gpu}),
        tune_config=tune.TuneConfig(
            num_samples=space.study.trials,
            search_alg=OptunaSearcher(
                space,
                concurrency=concurrency,
                stopping=lambda: bool(stop),
                past=past,
            ),
            scheduler=scheduler(space.study, past),
            reuse_actors=True,
            trial_name_creator=_name,
            trial_dirname_creator=_name,
        ),
        run_config=tune.RunConfig(
            name=attempt.name,
            **_storage(attempt.parent),
            stop=_Stopper(stop),
            callbacks=[messenger],
            checkpoint_config=tune.CheckpointConfig(num_to_keep=2, checkpoint_at_end=False),
            failure_config=tune.FailureConfig(max_failures=RETRIES),
            verbose=2 if verbose else 0,
        ),
    )
    try:
        with _spared(), _unwaited(messenger):
            tuner.fit()
    finally:
        messenger.catch_up()
        if stop.failure:  # of which what Tune raises, if it does, is a consequence
            raise stop.failure


@contextmanager
def _spared() -> Iterator[None]:
    """Without what Tune does for each trial, and nobody needs.

    It asks its cluster five times for the trainable, which stays the same, and the worker twice
    where it is. Again and again, and at its end, it writes down all trials, which are in their
    records: where the storage is an object store that takes six requests for each trial so far. At
    its end it also looks for files of its own loggers', and reads what went wrong, which was told
    before.
    """
    registry = tune.registry._global_registry

    def remembering(ask: Callable[[str, str], Any]) -> Callable[[str, str], Any]:
        known: dict[tuple[str, str], Any] = {}

        def answer(category: str, key: str) -> Any:
            # What is not there may come.
            known[category, key] = known.get((category, key)) or ask(category, key)
            return known[category, key]

        return answer

    def give(trial: RayTrial, worker: ray.actor.ActorHandle | None) -> None:
        trial.temporary_state.ray_actor = worker

    write_down, written = TuneController.checkpoint, False

    def once(controller: TuneController, force: bool = False, wait: bool = False) -> None:
        nonlocal written
        if not written:  # Tune looks for it in the end
            written = True
            write_down(controller, force=True, wait=True)

    def none(*_: object) -> dict[str, Any]:
        return {}

    with (
        mock.patch.multiple(
            registry, contains=remembering(registry.contains), get=remembering(registry.get)
        ),
        mock.patch.object(RayTrial, "set_ray_actor", give),
        mock.patch.object(TuneController, "checkpoint", once),
        mock.patch.object(tune.ExperimentAnalysis, "_fetch_trial_dataframes", none),
        mock.patch.object(tune.ResultGrid, "_trial_to_result", none),
    ):
        yield


@contextmanager
def _unwaited(messenger: _Messenger) -> Iterator[None]:
    """Without what a slot waits for between two trials in Tune, and needn't.

    A worker takes a new trial on with the call to train, or to go on from a checkpoint: Tune makes
    a call of its own for that, and waits for the answer. And what the messenger has put off is told
    while Tune would wait for the workers.
    """
    schedule, add_actors = TuneController._schedule_trial_task, TuneController._maybe_add_actors
    event = RayActorManager.next
    new: dict[RayTrial, tuple[Any, ...]] = {}

    def send(
        controller: TuneController,
        trial: RayTrial,
        method_name: str,
        args: tuple[Any, ...] = (),
        **others: Any,
    ) -> Any:
        if method_name == "reset":
            new[trial] = (*args, *others["kwargs"].values())
            return None
        return schedule(controller, trial, method_name, (*args, *new.pop(trial, ())), **others)

    def add(controller: TuneController) -> None:
        add_actors(controller)
        # Not earlier: Tune has yet to count them among the trials that it prepares.
        for trial in list(new):
            controller._on_trial_reset(trial, success=True)

    def wait(manager: RayActorManager, timeout: float | None = None) -> bool:
        if messenger.behind and event(manager, timeout=0):
            return True
        messenger.catch_up()
        return bool(event(manager, timeout))

    with (
        mock.patch.multiple(TuneController, _schedule_trial_task=send, _maybe_add_actors=add),
        mock.patch.object(RayActorManager, "next", wait),
    ):
        yield


def _storage(folder: Place) -> dict[str, Any]:
    """Where Tune puts checkpoints, in its terms."""
    if isinstance(folder, Path):
        return {"storage_path": str(folder.resolve())}
    return {"storage_path": folder.path, "storage_filesystem": folder.system}


def _of_storage(cause: BaseException) -> TypeGuard[OSError]:
    return isinstance(cause, OSError) and not isinstance(cause, ConnectionError | TimeoutError)


def _cause(trial: RayTrial) -> BaseException:
    """What a worker raised, out of what Ray wraps it in; a RayActorError where it died."""
    # Tune puts it there, in this process, just before it calls back: it is not in the study.
    try:
        with open(trial.pickled_error_file, "rb") as file:
            error = ray.cloudpickle.load(file)
    except (EOFError, pickle.UnpicklingError) as cut:  # on a full disk
        return OSError(errno.EIO, f"Tune's own files are cut off ({cut})")
    cause = getattr(error, "cause", None) or error
    assert isinstance(cause, BaseException)
    return cause


def _name(trial: RayTrial) -> str:
    return str(trial.config["trial"])
