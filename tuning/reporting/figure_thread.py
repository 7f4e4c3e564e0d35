"""When a study's figures are drawn: beside its trials, seldom enough not to hold them up."""

import ctypes
import importlib.util
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from lstm_model.command import print_stderr
from tuning.reporting.study_snapshot import PngByTag, StudySnapshot
from tuning.study.view import StudyView

# Drawing takes a second or so, beside trials that want the cores: it is not to have more than this
# share of the study's time, and does not come twice within a minute. At the end, which has to be
# waited for, there is less to be drawn: the model was drawn while the last trials trained.
DRAWING_SHARE = 0.01
REDRAW_SECONDS = 60.0
# The thread that gives out trials waits for files many times a trial. Each time this one may take
# over, and would have five milliseconds to itself.
SWITCH_SECONDS = 0.0005
# What is new is put in a bucket so often: the less is left for the end, which has to be waited for.
UPLOAD_SECONDS = 15.0


class FigureThread:
    """Draws while a study goes on, without holding up its trials: in a thread, now and then."""

    def __init__(
        self, show: Callable[[PngByTag, int], None], upload: Callable[[], None] | None = None
    ) -> None:
        """
        Args:
            show: takes PNGs by tag, and how many trials had ended; called in the thread.
            upload: called in the thread after that, also where no figure could be drawn, and
                between.
        """
        self._show, self._upload = show, upload
        self._thread: threading.Thread | None = None
        self._due = time.monotonic() + REDRAW_SECONDS
        self._upload_due = time.monotonic() + UPLOAD_SECONDS
        self._drawn_model: tuple[int, float] | None = None  # its trial and its RMSE
        self._drawn_trials = 0
        self._drawn_near_end = False
        self._warned = False

    def redraw_if_due(self, study: StudyView) -> bool:
        """Begin to draw what is new if it is time to; whether it is."""
        if self._thread and self._thread.is_alive():
            return False
        # The model that is known once the last trial is given out need not be drawn at the end.
        is_near_end = (
            not self._drawn_near_end
            and study.best_trial is not None
            and len(study.trials) >= study.space.study.trials
            and not study.counts["interrupted"]  # those wait for a slot
        )
        if time.monotonic() < self._due and not is_near_end:
            if not self._thread:
                self._begin(_import_drawing)
            elif self._upload and time.monotonic() >= self._upload_due:
                self._begin(self._upload_new, self._upload)
            return False
        self._drawn_near_end = self._drawn_near_end or is_near_end
        self._due = time.monotonic() + REDRAW_SECONDS
        snapshot = StudySnapshot.of(study)
        changes = self._find_changes(snapshot, with_search=not is_near_end)
        self._begin(self._draw_and_upload, snapshot, *changes)
        return True

    def finish(self, study: StudyView) -> None:
        """Draw what is new since; no thread is left."""
        self.close()
        snapshot = StudySnapshot.of(study)
        self._draw(snapshot, *self._find_changes(snapshot))

    def close(self) -> None:
        """Wait until what has begun is drawn."""
        if self._thread:
            self._thread.join()

    def _begin(self, work: Callable[..., None], *arguments: object) -> None:
        self._thread = threading.Thread(target=_give_way, args=(work, *arguments), name="figures")
        self._thread.start()

    def _find_changes(
        self, snapshot: StudySnapshot, *, with_search: bool = True
    ) -> tuple[bool, bool]:
        """Whether the model, and whether the trials, are others than those that were drawn."""
        # The model's own error: its trial may have come to a lower one since it was saved.
        best, score = snapshot.study.best_trial, snapshot.model and snapshot.model.validation_score
        model = best and score and (best.id, score.rmse)
        trials = len(snapshot.study.trials) if with_search else self._drawn_trials
        changes = bool(model) and model != self._drawn_model, trials != self._drawn_trials
        self._drawn_model, self._drawn_trials = model or self._drawn_model, trials
        return changes

    def _draw_and_upload(self, snapshot: StudySnapshot, model: bool, trials: bool) -> None:
        self._draw(snapshot, model, trials)
        if self._upload:
            self._upload_new(self._upload)

    def _upload_new(self, upload: Callable[[], None]) -> None:
        # It mostly waits for a bucket, and so has no part in the share of the time.
        with suppress(OSError):  # as in _draw()
            upload()
        self._upload_due = time.monotonic() + UPLOAD_SECONDS

    def _draw(self, snapshot: StudySnapshot, model: bool, trials: bool) -> None:
        begun = time.monotonic()
        try:
            from tuning.reporting.study_figures import draw_study

            pngs = draw_study(snapshot, model=model, trials=trials)
            self._show(pngs, len(snapshot.study.trials))
        except OSError:
            pass  # a full disk is told by whoever writes next
        except Exception as error:
            # No figure is worth a study.
            if not self._warned:
                print_stderr(f"warning: no figures for TensorBoard: {error!r}")
            self._warned = True
        spent = time.monotonic() - begun
        self._due = max(self._due, time.monotonic() + spent / DRAWING_SHARE)


def _give_way(work: Callable[..., None], *arguments: object) -> None:
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
        load_torch_library()
        # First what the study imports too, by the same door: of two threads that come to a ring of
        # modules from two sides, Python lets one see half of a module.
        import lstm_model.inference.predictor  # noqa: F401
        import tuning.reporting.study_figures  # noqa: F401


def load_torch_library() -> None:
    """Load torch's library, where Linux's wheels have it, while other threads go on: for a quarter
    of a second an import of torch would hold them all.
    """
    torch = importlib.util.find_spec("torch")
    assert torch and torch.origin
    library = Path(torch.origin).parent / "lib" / "libtorch_cpu.so"
    ctypes.CDLL(None).dlopen(os.fsencode(library), os.RTLD_LAZY)
