"""What Tune says happens, told to the study in the study's words."""

import errno
import pickle
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple, TypeGuard

import ray
from ray import tune
from ray.tune.experiment import Trial as RayTrial
from ray.tune.result import DONE, SHOULD_CHECKPOINT

from tuning.ray_backend.stopping import StopRequest
from tuning.search.searcher import NotPickled
from tuning.study.study import Study
from tuning.study.trial import EpochReport, State

# How often a trial is tried again from its checkpoint where its worker or machine dies.
RETRIES = 3
# Where the first trials all fail, the next ones would too.
FAILURES_TO_GIVE_UP = 5


class _Message(NamedTuple):
    """Something that the study has yet to be told, of a trial, and in which step it came up."""

    step: int
    trial: int
    tell: Callable[[], None]


class StudyCallback(NotPickled, tune.Callback):  # type: ignore[misc]
    """Tells the study what Tune reports.

    To write down what a trial reported, and that one ended and the next one starts, takes as long
    as all else between two trials. A slot is not to wait for it. So it is put off until Tune's next
    step has sent the slot's worker on.
    """

    def __init__(
        self, study: Study, stop: StopRequest, first_started: Callable[[], None] = lambda: None
    ) -> None:
        """first_started: called when a worker has a trial, or fails before it has one."""
        self._study, self._stop = study, stop
        self._first_started = first_started
        self._messages: list[_Message] = []
        self._step = 0

    def _put_off(self, tell: Callable[..., None], trial: int, *arguments: Any) -> None:
        self._messages.append(_Message(self._step, trial, partial(tell, trial, *arguments)))

    def catch_up(self, before: int | None = None) -> None:
        """Tell what was put off, and that the study is alive.

        before: only what was put off in steps before this one.
        """
        while self._messages and (before is None or self._messages[0].step < before):
            message, *after = self._messages
            # Cut off by Ctrl-C it may be told in part: what follows of that trial would make it
            # one that ended, and it is to go on later.
            self._messages = [each for each in after if each.trial != message.trial]
            with self._guarded():
                message.tell()
            self._messages = after
        with self._guarded():
            self._study.heartbeat()

    def on_step_begin(self, iteration: int, trials: list[RayTrial], **info: Any) -> None:
        self._step += 1

    def on_step_end(self, iteration: int, trials: list[RayTrial], **info: Any) -> None:
        # After the last step Tune ends what it has begun, for seconds: nothing is to wait for that.
        last = self._stop or len(self._study.trials) >= self._study.space.study.trials
        self.catch_up(None if last else self._step)

    def on_trial_start(
        self, iteration: int, trials: list[RayTrial], trial: RayTrial, **info: Any
    ) -> None:
        self._first_started()
        self._put_off(self._study.on_trial_start, trial.config["trial"], trial.config["config"])

    def on_trial_result(
        self,
        iteration: int,
        trials: list[RayTrial],
        trial: RayTrial,
        result: dict[str, Any],
        **info: Any,
    ) -> None:
        number = trial.config["trial"]
        if any(number == message.trial for message in self._messages):
            self.catch_up()
        self._put_off(self._reported, number, result.get("reports", ()))
        # A checkpoint costs nearly as much as all else between two trials.
        if result.get(DONE) and not result.get("reason"):
            result["interrupted"] = bool(self._stop)
            if result["interrupted"] or self._study.needs_checkpoint(number, result["rmse"]):
                result[SHOULD_CHECKPOINT] = True

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
            self._study.on_checkpoint(trial.config["trial"], checkpoint.path)

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
        self._put_off(self._study.on_trial_end, number, state)

    def on_trial_recover(
        self, iteration: int, trials: list[RayTrial], trial: RayTrial, **info: Any
    ) -> None:
        self._first_started()
        # The storage's failure is not this trial's, and no better for the next one.
        if _is_of_storage(cause := _cause(trial)):
            self._stop.fail(cause)

    def on_trial_error(
        self, iteration: int, trials: list[RayTrial], trial: RayTrial, **info: Any
    ) -> None:
        self._first_started()
        cause = _cause(trial)
        if _is_of_storage(cause):
            self._stop.fail(cause)
        text = str(cause).strip()
        reason = text.splitlines()[-1] if text else repr(cause)
        if isinstance(cause, ray.exceptions.RayActorError) and "creation task" not in text:
            reason = f"its worker died {RETRIES + 1} times"
        number = trial.config["trial"]
        self.catch_up()
        with self._guarded():
            if number not in self._study.trials:  # its worker died before it had started
                self._study.on_trial_start(number, trial.config["config"])
            if self._stop:
                # A worker that dies while the study is being stopped was stopped with it.
                self._study.on_trial_end(number, "interrupted", reason)
                return
        self._failed(number, reason)

    def _reported(self, number: int, reports: Iterable[EpochReport]) -> None:
        for report in reports:
            with self._guarded():  # each by itself: what went wrong with one loses no other
                self._study.on_epoch(number, report)

    def _failed(self, number: int, reason: str) -> None:
        """A trial failed; where all that ended did, the next ones would too."""
        self.catch_up()
        with self._guarded():
            self._study.on_trial_end(number, "failed", reason)
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


def _is_of_storage(cause: BaseException) -> TypeGuard[OSError]:
    return isinstance(cause, OSError) and not isinstance(cause, ConnectionError | TimeoutError)


def _cause(trial: RayTrial) -> BaseException:
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
