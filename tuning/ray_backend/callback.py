"""What Tune says happens, told to the study in the study's words."""

import errno
import pickle
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple, TypeGuard

import ray
from ray import tune
from ray.tune.experiment import Trial as RayTrial

from tuning.ray_backend.stopping import StopRequest
from tuning.search.searcher import NotPickled, TrialResult
from tuning.study.study import Study
from tuning.study.trial import EpochReport, State

# How often a trial is tried again from its checkpoint where its worker or machine dies.
RETRIES = 3
# Where the first trials all fail, the next ones would too.
FAILURES_TO_GIVE_UP = 5


class _Event(NamedTuple):
    """Something that the study has yet to hear of: in which step it came up, and of which trial."""

    step: int
    trial: int
    deliver: Callable[[], None]


class StudyCallback(NotPickled, tune.Callback):  # type: ignore[misc]
    """Tells the study what Tune reports.

    Writing down what a trial reported, that it ended and that the next one starts takes as long as
    all else between two trials. The trial's slot does not wait for it: these events are deferred
    until Tune's next step has sent the slot's worker on.
    """

    def __init__(
        self, study: Study, stop: StopRequest, first_started: Callable[[], None] = lambda: None
    ) -> None:
        """first_started: called when a worker has a trial, or fails before it has one."""
        self._study, self._stop = study, stop
        self._first_started = first_started
        self._deferred: list[_Event] = []
        self._step = 0

    def _defer(self, trial: int, deliver: Callable[[], None]) -> None:
        self._deferred.append(_Event(self._step, trial, deliver))

    def flush(self, before: int | None = None) -> None:
        """Deliver deferred events, and let the study know that its trials run.

        before: only events of steps before this one.
        """
        while self._deferred and (before is None or self._deferred[0].step < before):
            event, *rest = self._deferred
            # Ctrl-C may cut it off half delivered. What follows of that trial would then make it
            # one that ended, and it is to go on later.
            self._deferred = [other for other in rest if other.trial != event.trial]
            with self._stop_study_on_error():
                event.deliver()
            self._deferred = rest
        with self._stop_study_on_error():
            self._study.heartbeat()

    def on_step_begin(self, **info: object) -> None:
        self._step += 1

    def on_step_end(self, **info: object) -> None:
        # After the last step Tune ends what it has begun, for seconds: nothing is to wait for that.
        is_last = self._stop or len(self._study.trials) >= self._study.space.study.trials
        self.flush(None if is_last else self._step)

    def on_trial_start(self, trial: RayTrial, **info: object) -> None:
        self._first_started()
        number, config = trial.config["trial"], trial.config["hyperparameters"]
        self._defer(number, partial(self._study.on_trial_start, number, config))

    def on_trial_result(self, trial: RayTrial, result: TrialResult, **info: object) -> None:
        number = trial.config["trial"]
        if any(number == event.trial for event in self._deferred):
            self.flush()
        self._defer(number, partial(self._report, number, result.get("reports", ())))
        # A checkpoint costs nearly as much as all else between two trials.
        if result.get("done") and not result.get("reason"):
            result["interrupted"] = bool(self._stop)
            if result["interrupted"] or self._study.needs_checkpoint(number, result["objective"]):
                result["should_checkpoint"] = True

    def on_checkpoint(self, trial: RayTrial, checkpoint: tune.Checkpoint, **info: object) -> None:
        self.flush()
        with self._stop_study_on_error():
            self._study.on_checkpoint(trial.config["trial"], checkpoint.path)

    def on_trial_complete(self, trial: RayTrial, **info: object) -> None:
        result: TrialResult = trial.last_result or TrialResult()
        number = trial.config["trial"]
        if reason := result.get("reason"):
            self._fail(number, reason)
            return
        state: State = "finished"
        if result.get("epoch", 0) < self._study.space.study.max_epochs:
            # As when it was asked for a checkpoint or not, whatever has been requested since.
            interrupted = result.get("interrupted", bool(self._stop))
            state = "interrupted" if interrupted else "stopped_early"
        self._defer(number, partial(self._study.on_trial_end, number, state))

    def on_trial_recover(self, trial: RayTrial, **info: object) -> None:
        self._first_started()
        # The storage's failure is not this trial's, and no better for the next one.
        if _is_storage_error(error := _trial_exception(trial)):
            self._stop.fail(error)

    def on_trial_error(self, trial: RayTrial, **info: object) -> None:
        self._first_started()
        error = _trial_exception(trial)
        if _is_storage_error(error):
            self._stop.fail(error)
        text = str(error).strip()
        reason = text.splitlines()[-1] if text else repr(error)
        if isinstance(error, ray.exceptions.RayActorError) and "creation task" not in text:
            reason = f"its worker died {RETRIES + 1} times"
        number = trial.config["trial"]
        self.flush()
        with self._stop_study_on_error():
            if number not in self._study.trials:  # its worker died before it had started
                self._study.on_trial_start(number, trial.config["hyperparameters"])
            if self._stop:
                # A worker that dies while the study is being stopped was stopped with it.
                self._study.on_trial_end(number, "interrupted", reason)
                return
        self._fail(number, reason)

    def _report(self, number: int, reports: Iterable[EpochReport]) -> None:
        for report in reports:
            with self._stop_study_on_error():  # each by itself: one that fails loses no other
                self._study.on_epoch(number, report)

    def _fail(self, number: int, reason: str) -> None:
        """A trial failed; where all that ended did, the next ones would too."""
        self.flush()
        with self._stop_study_on_error():
            self._study.on_trial_end(number, "failed", reason)
            trials = self._study.trials.values()
            states = [trial.state for trial in trials if not trial.under_way]
            if len(states) >= FAILURES_TO_GIVE_UP and set(states) == {"failed"}:
                self._stop.stop_all_failed()

    @contextmanager
    def _stop_study_on_error(self) -> Iterator[None]:
        """Tune would only log what goes wrong here; a full disk has to end the study instead."""
        try:
            yield
        except Exception as failure:
            self._stop.fail(failure)


def _is_storage_error(error: BaseException) -> TypeGuard[OSError]:
    return isinstance(error, OSError) and not isinstance(error, ConnectionError | TimeoutError)


def _trial_exception(trial: RayTrial) -> BaseException:
    """What a worker raised, out of what Ray wraps it in; a RayActorError where it died."""
    # Tune puts it there, in this process, just before it calls back: it is not in the study. Where
    # the error is one of Tune's own, or a later Tune puts it elsewhere, its text has to do.
    file = getattr(trial, "pickled_error_file", None)
    if file is None:
        return trial.get_error() or RuntimeError("Ray says no reason")
    try:
        with open(file, "rb") as opened:
            error = ray.cloudpickle.load(opened)
    except (EOFError, pickle.UnpicklingError) as cut:  # on a full disk
        return OSError(errno.EIO, f"Tune's own files are cut off ({cut})")
    cause = getattr(error, "cause", None) or error
    assert isinstance(cause, BaseException)
    return cause
