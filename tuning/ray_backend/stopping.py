"""Requests to end a study before its trials are done: a signal, a time budget, a failure."""

import math
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from ray import tune

from tuning.search.searcher import NotPickled, TrialResult

# After a request to stop, trials may end their epoch for this long before they are cut off. With
# what the study still has to write, a command ends within 15 s of a Ctrl-C.
STOP_SECONDS = 10.0


class StopRequest:
    """Whether the study is to end before its trials are done, and why.

    Attributes:
        signal: that was received, if one was.
        failure: why the study can't be kept any more, if it can't.
        all_failed: whether it ends because every trial fails.
    """

    def __init__(self, time_budget: float | None = None) -> None:
        """time_budget: seconds from now."""
        self._deadline = math.inf if time_budget is None else time.monotonic() + time_budget
        self._requested = math.inf
        self.signal: signal.Signals | None = None
        self.failure: BaseException | None = None
        self.all_failed = False

    @property
    def since(self) -> float:
        """time.monotonic() of the request; infinite where there is none."""
        return min(self._deadline, self._requested)

    @property
    def overdue(self) -> bool:
        """Whether trials have had their time to end in order."""
        return time.monotonic() >= self.since + STOP_SECONDS

    def __bool__(self) -> bool:
        return time.monotonic() >= self.since

    def fail(self, failure: BaseException) -> None:
        """The study can't be kept any more: end it in order."""
        self.failure = self.failure or failure
        self._requested = min(self._requested, time.monotonic())

    def stop_all_failed(self) -> None:
        """Every trial fails: end the study."""
        self.all_failed = True
        self._requested = min(self._requested, time.monotonic())

    def on_signal(self, number: int, frame: FrameType | None = None) -> None:
        """Ctrl-C or SIGTERM: end the study in order; the second Ctrl-C ends it at once."""
        if self.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = signal.Signals(number)
        self._requested = min(self._requested, time.monotonic())
        # Not print(), which the signal may have come in the middle of. Of `... | tee log` the same
        # Ctrl-C ends tee.
        with suppress(OSError):
            os.write(2, f"{self.signal.name}: stopping after the running epochs\n".encode())

    @contextmanager
    def signals(self) -> Iterator[None]:
        """Take Ctrl-C and SIGTERM as requests to stop, and put the old handlers back after."""
        numbers = (signal.SIGINT, signal.SIGTERM)
        handlers = [signal.signal(number, self.on_signal) for number in numbers]
        try:
            yield
        finally:
            for number, handler in zip(numbers, handlers, strict=True):
                signal.signal(number, handler)


class CutOff(BaseException):
    """Ends Tune's loop on the spot, where a signal is not to wait for trials any longer.

    It is no Exception: for one, Tune would first wait for the workers to end their epochs.
    """


class Stopper(NotPickled, tune.Stopper):  # type: ignore[misc]
    """Ends every trial after its epoch once a stop is requested, and at once after a while."""

    def __init__(self, stop: StopRequest) -> None:
        self._stop = stop

    def __call__(self, trial_id: str, result: TrialResult) -> bool:
        return bool(self._stop)

    def stop_all(self) -> bool:
        if self._stop.signal and self._stop.overdue:
            raise CutOff
        return self._stop.overdue
