"""When a study's figures are drawn: beside its trials, seldom enough not to hold them up."""

import ctypes
import importlib.util
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lstm_model.command import print_stderr
from lstm_model.errors import InputError
from tuning.study.trial import Trial

if TYPE_CHECKING:
    from lstm_model.inference.predictor import TrainedForecaster
    from tuning.study.view import StudyView

# Drawing takes a second or so, beside trials that want the cores: it is not to have more than this
# share of the study's time, and does not come twice within a minute. At the end, which has to be
# waited for, there is less to be drawn: the model was drawn while the last trials trained.
SHARE = 0.01
LEAST_SECONDS = 60.0
# The thread that gives out trials waits for files many times a trial. Each time this one may take
# over, and would have five milliseconds to itself.
SWITCH_SECONDS = 0.0005
# What is new is put in a bucket so often: the less is left for the end, which has to be waited for.
PUT_SECONDS = 15.0

PngByTag = Mapping[str, bytes]


@dataclass(frozen=True)
class StudySnapshot:
    """What the figures are of: read at one moment, so that the study can go on meanwhile.

    `best` is the trial whose `model` was kept; both are None before there is one.
    """

    study: "StudyView"
    trials: Sequence[Trial]
    best: Trial | None
    model: "TrainedForecaster | None"

    @classmethod
    def now(cls, study: "StudyView") -> "StudySnapshot":
        ended = [trial for trial in study.trials.values() if not trial.under_way]
        model = None
        if study.best:
            from lstm_model.inference.predictor import TrainedForecaster

            with suppress(InputError):  # it can't be read: what it forecasts is not shown
                model = TrainedForecaster.load(study.folder / "best")
        return cls(study, ended, study.best, model)


class FigureThread:
    """Draws while a study goes on, without holding up its trials: in a thread, now and then."""

    def __init__(
        self, show: Callable[[PngByTag, int], None], put: Callable[[], None] | None = None
    ) -> None:
        """
        Args:
            show: takes PNGs by tag, and how many trials had ended; called in the thread.
            put: called in the thread after that, also where no figure could be drawn, and between.
        """
        self._show, self._put = show, put
        self._thread: threading.Thread | None = None
        self._due = time.monotonic() + LEAST_SECONDS
        self._put_due = time.monotonic() + PUT_SECONDS
        self._model: tuple[int, float] | None = None  # the best trial and its RMSE when drawn
        self._count = 0
        self._last = False  # whether the last trial had been given out when something was drawn
        self._told = False

    def look(self, study: "StudyView") -> bool:
        """Draw what is new if it is time to; whether it is."""
        if self._thread and self._thread.is_alive():
            return False
        # What is known of the model once the last trial is given out need not be drawn at the end.
        last = (
            not self._last
            and study.best is not None
            and len(study.trials) >= study.space.study.trials
            and not study.counts["interrupted"]  # those wait for a slot
        )
        if time.monotonic() < self._due and not last:
            if not self._thread:
                self._begin(_import_drawing)
            elif self._put and time.monotonic() >= self._put_due:
                self._begin(self._put_new, self._put)
            return False
        self._last = self._last or last
        self._due = time.monotonic() + LEAST_SECONDS
        self._begin(self._draw_and_put, *self._new(StudySnapshot.now(study), search=not last))
        return True

    def _begin(self, work: Callable[..., None], *given: Any) -> None:
        self._thread = threading.Thread(target=_give_way, args=(work, *given), name="figures")
        self._thread.start()

    def finish(self, study: "StudyView") -> None:
        """Draw what is new since; no thread is left."""
        self.close()
        self._draw(*self._new(StudySnapshot.now(study)))

    def close(self) -> None:
        if self._thread:
            self._thread.join()

    def _new(self, shown: StudySnapshot, search: bool = True) -> tuple[StudySnapshot, bool, bool]:
        """What there is, and whether the model and the trials are others than were drawn."""
        # The model's own error: its trial may have come to a lower one since it was saved.
        known = shown.best and shown.model and shown.model.validation
        model = shown.best and known and (shown.best.id, known.rmse)
        count = len(shown.trials) if search else self._count
        new = bool(model) and model != self._model, count != self._count
        self._model, self._count = model or self._model, count
        return shown, *new

    def _draw_and_put(self, shown: StudySnapshot, model: bool, trials: bool) -> None:
        self._draw(shown, model, trials)
        if self._put:
            self._put_new(self._put)

    def _put_new(self, put: Callable[[], None]) -> None:
        # It mostly waits for a bucket, and so has no part in the share of the time.
        with suppress(OSError):  # as in _draw()
            put()
        self._put_due = time.monotonic() + PUT_SECONDS

    def _draw(self, shown: StudySnapshot, model: bool, trials: bool) -> None:
        begun = time.monotonic()
        try:
            from tuning.reporting.study_figures import draw

            self._show(draw(shown, model=model, trials=trials), len(shown.trials))
        except OSError:
            pass  # a full disk is told by whoever writes next
        except Exception as error:
            # No figure is worth a study.
            if not self._told:
                print_stderr(f"warning: no figures for TensorBoard: {error!r}")
            self._told = True
        spent = time.monotonic() - begun
        self._due = max(self._due, time.monotonic() + spent / SHARE)


def _give_way(work: Callable[..., None], *arguments: Any) -> None:
    """Call it, with other threads' turns as soon as they can be; and as before afterwards."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        work(*arguments)
    finally:
        sys.setswitchinterval(before)


def _import_drawing() -> None:
    """torch and matplotlib take seconds: neither before the first trials nor at the end."""
    with suppress(Exception):  # it is told when something is to be drawn
        _load_library()
        # First what the study imports too, by the same door: of two threads that come to a ring of
        # modules from two sides, Python lets one see half of a module.
        import lstm_model.inference.predictor  # noqa: F401
        import tuning.reporting.study_figures  # noqa: F401


def _load_library() -> None:
    """Load torch's library, where Linux's wheels have it, while other threads go on: for a quarter
    of a second an import of torch would hold them all.
    """
    torch = importlib.util.find_spec("torch")
    assert torch and torch.origin
    library = Path(torch.origin).parent / "lib" / "libtorch_cpu.so"
    ctypes.CDLL(None).dlopen(os.fsencode(library), os.RTLD_LAZY)
