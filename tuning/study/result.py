"""How a study ended."""

import signal
from dataclasses import dataclass

from tuning.study.view import StudyView


@dataclass(frozen=True)
class StudyResult:
    """How a study ended.

    Attributes:
        signal: that stopped it, if one did.
        all_failed: it was ended because every one of its first trials failed.
        stopped: whether time or a signal ended it before its trials were done.
        asked_at_once, most_at_once: trials that were to run at once, and that ever did.
    """

    study: StudyView
    signal: signal.Signals | None
    all_failed: bool
    stopped: bool
    asked_at_once: int
    most_at_once: int

    @property
    def is_done(self) -> bool:
        """Whether it came to a best model, and nobody stopped it; its time may have."""
        return self.study.best_trial is not None and not self.all_failed and self.signal is None

    @property
    def is_cut_off(self) -> bool:
        """Whether trials are left to do. Time may be up while every trial is in its last step, and
        none is cut off.
        """
        interrupted = self.study.counts["interrupted"]
        return bool(self.signal or interrupted or (self.stopped and self.study.to_run))
