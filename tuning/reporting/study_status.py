"""How a study stands: what its plain lines and its live view both tell."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lstm_model.wording import number_format
from tuning.study.trial import State, Trial
from tuning.study.view import StudyView


@dataclass(frozen=True)
class StudyStatus:
    """A study at one moment.

    Attributes:
        trials: listed at once. A study adds to its own while another thread draws them.
    """

    study: StudyView
    trials: Sequence[Trial]

    @classmethod
    def of(cls, study: StudyView) -> "StudyStatus":
        return cls(study, list(study.trials.values()))

    @property
    def done(self) -> int:
        """How many trials have ended."""
        return sum(not trial.under_way for trial in self.trials)

    @property
    def running(self) -> list[Trial]:
        return [trial for trial in self.trials if trial.state == "running"]

    @property
    def best(self) -> Trial | None:
        """The trial with the lowest objective so far; in the end the one whose model was kept."""
        if self.study.outcome != "running":
            return self.study.best_trial
        scored = [trial for trial in self.trials if trial.best and trial.state != "failed"]
        return min(scored, key=lambda trial: (trial.objective, trial.id), default=None)

    @property
    def state_counts(self) -> list[tuple[str, str]]:
        """How many trials are in each state, with a style; rare states only where there are any."""
        counts: Counter[State] = Counter(trial.state for trial in self.trials)
        parts = [(f"{counts['running']} running", "")] if counts["running"] else []
        parts += [(f"{counts['finished']} finished", "")]
        parts += [(f"{counts['stopped_early']} stopped early", "")]
        styles: dict[State, str] = {"failed": "red", "interrupted": "magenta"}
        return parts + [
            (f"{counts[state]} {state}", style) for state, style in styles.items() if counts[state]
        ]

    @property
    def rmse_format(self) -> str:
        """A format in which errors of about the baselines' size are told apart."""
        return number_format(score.rmse for score in self.study.baselines.leading.values())

    def unbeaten_baselines(self, trial: Trial) -> list[str]:
        """The titles of the baselines that the trial is no better than."""
        scores = self.study.baselines.leading
        return [
            title(name) for name, score in scores.items() if not trial.objective < score.objective
        ]


class RemainingTime:
    """How long the trials to come will take, at the pace of those since the command began."""

    def __init__(self, stopping: Callable[[], bool]) -> None:
        """stopping: whether the study is being ended before its trials are done."""
        self._stopping = stopping
        self._begun: float | None = None
        self._done_before = 0

    def begin(self, study: StudyView) -> None:
        """The first trial starts. Those that are done are of a study that goes on."""
        if self._begun is None:
            self._begun = time.monotonic()
            self._done_before = study.done

    def describe(self, status: StudyStatus) -> str:
        """`, about 1:05 left`; empty before the first trial has ended, and at the end."""
        ended = [trial for trial in status.trials if not trial.under_way]
        done = len(ended) - self._done_before
        running = status.running
        if running and self._stopping():
            return ", stopping"
        if done < 1 or not running or self._begun is None:
            return ""
        # Trials that are stopped early are shorter, so those under way are held against the mean.
        mean_epochs = max(1.0, sum(trial.epochs for trial in ended) / len(ended))
        worked = done + sum(min(0.9, trial.epochs / mean_epochs) for trial in running)
        seconds_per_trial = (time.monotonic() - self._begun) / worked
        remaining = status.study.space.study.trials - self._done_before - worked
        return f", about {clock(max(0.0, remaining) * seconds_per_trial)} left"


def title(name: str) -> str:
    """A baseline's name where there is no room for its form."""
    return name.replace("_", " ")


def clock(seconds: float) -> str:
    """
    >>> clock(65), clock(7265)
    ('1:05', '2:01:05')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
