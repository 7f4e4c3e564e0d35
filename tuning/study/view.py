"""What others see of a study: read-only, as it stands at one moment."""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from lstm_model.data.encoded_table import EncodedTable
from lstm_model.data.sources import Dataset
from lstm_model.evaluation.baselines import Baselines
from tuning.space.search_space import SearchSpace
from tuning.study.storage import StoragePath
from tuning.study.trial import BestScore, State, Trial

Outcome = Literal["running", "finished", "interrupted", "failed"]


@dataclass(frozen=True)
class StudyView:
    """A study as listeners, figures, tables and comparisons read it.

    Attributes:
        begun: time.monotonic() at the command's start.
        trials: by number; of a study that runs, the study's own, which go on changing.
        best_trial: the one whose forecaster is in best/; None before there is one.
        best_score: the validation errors of that forecaster. Its trial may have come to lower ones
            since it was saved.
        disk_bytes: of the whole folder, when it was last begun, taken up or finished.
    """

    folder: StoragePath
    space: SearchSpace
    dataset: Dataset
    table: EncodedTable
    baselines: Baselines
    begun: float
    trials: Mapping[int, Trial] = field(default_factory=dict)
    best_trial: Trial | None = None
    best_score: BestScore | None = None
    outcome: Outcome = "running"
    disk_bytes: int = 0

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def counts(self) -> Counter[State]:
        return Counter(trial.state for trial in self.trials.values())

    @property
    def done(self) -> int:
        """How many trials have ended."""
        return sum(not trial.under_way for trial in self.trials.values())

    @property
    def to_run(self) -> int:
        """How many trials have yet to end."""
        return self.space.study.trials - self.done

    @property
    def wall_seconds(self) -> float:
        return time.monotonic() - self.begun


class Listener:
    """Hears how a study goes. Events come in the study's thread, in the order in which things
    happen; a listener overrides those that it needs. One that raises OSError ends the study.
    """

    def on_study_start(self, study: StudyView) -> None:
        """The study's folder is there, with the trials that it has when a study goes on."""

    def on_trial_start(self, study: StudyView, trial: Trial) -> None:
        """A trial starts, or starts again from its last checkpoint."""

    def on_epoch(self, study: StudyView, trial: Trial) -> None:
        """A trial had one more epoch: the last of its history."""

    def on_trial_end(self, study: StudyView, trial: Trial) -> None:
        """A trial ended; its state says how."""

    def on_study_end(self, study: StudyView) -> None:
        """No trial is under way any more, and none will be; `outcome` says how it ended."""
