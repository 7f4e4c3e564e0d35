"""How a study goes, in the terminal: a live view, or plain lines where there is no terminal."""

import math
import time
from collections.abc import Callable

from rich.console import Console
from rich.text import Text

from lstm_model.command import print_stderr
from tuning.reporting.live_view import LiveView
from tuning.reporting.notebook import is_notebook
from tuning.reporting.series_words import has_several
from tuning.reporting.study_status import RemainingTime, StudyStatus, clock, title
from tuning.study.trial import Trial
from tuning.study.view import Listener, StudyView

# Plain lines come at most this often, but a better trial is always told.
LINE_SECONDS = 5.0


class Progress(Listener):
    """Tells how many trials are done, the best so far beside the baselines, and the time left.

    Attributes:
        most_at_once: the most trials that ran at the same time.
    """

    def __init__(self, console: Console, stopping: Callable[[], bool] = bool) -> None:
        """stopping: whether the study is being ended before its trials are done."""
        self._console = console
        self._remaining = RemainingTime(stopping)
        self._running: set[int] = set()
        self.most_at_once = 0
        self._view: LiveView | None = None
        self._last_printed = -math.inf
        self._last_sentences: list[str] = []
        self._best: int | None = None

    def on_study_start(self, study: StudyView) -> None:
        console = self._console
        draws = (console.is_terminal and not console.is_dumb_terminal) or is_notebook()
        if draws and not console.quiet:
            self._view = LiveView(console, study, self._remaining)

    def on_trial_start(self, study: StudyView, trial: Trial) -> None:
        self._remaining.begin(study)
        self._running.add(trial.id)
        self.most_at_once = max(self.most_at_once, len(self._running))
        self._update(study)

    def on_epoch(self, study: StudyView, trial: Trial) -> None:
        self._update(study)

    def on_trial_end(self, study: StudyView, trial: Trial) -> None:
        self._running.discard(trial.id)
        if trial.state == "failed":
            message = f"trial {trial.id} failed: {trial.reason}"
            if self._console.quiet:
                print_stderr(f"warning: {message}")
            else:
                self._print(Text(message, style="red"))
        is_new_best = study.best_trial is trial and trial.id != self._best
        if is_new_best:
            self._best = trial.id
        self._update(study, is_news=is_new_best)

    def on_study_end(self, study: StudyView) -> None:
        sentences = self._sentences(study)[:-1]
        if self._view or sentences != self._last_sentences:
            self._update(study, is_news=True)
        self._last_sentences = sentences
        self.close()

    def close(self) -> None:
        """Leave the last view standing and give the terminal back."""
        if self._view:
            view, self._view = self._view, None
            view.close()

    def _update(self, study: StudyView, is_news: bool = False) -> None:
        now = time.monotonic()
        if self._view:
            self._view.study = study
        elif not self._console.quiet and (is_news or now - self._last_printed >= LINE_SECONDS):
            sentences = self._sentences(study)
            self._last_printed, self._last_sentences = now, sentences[:-1]
            self._print(Text(". ".join(sentences)))

    def _print(self, line: Text) -> None:
        self._console.print(line, soft_wrap=True, highlight=False)

    def _sentences(self, study: StudyView) -> list[str]:
        """Of one line; the last is the time."""
        status = StudyStatus.of(study)
        states = ", ".join(text for text, _ in status.state_counts)
        sentences = [f"{status.done} of {study.space.study.trials} trials done ({states})"]
        best = status.best
        if best and best.best:
            form = status.rmse_format
            unbeaten = status.unbeaten_baselines(best)
            verdict = f", not yet better than {' nor '.join(unbeaten)}" if unbeaten else ""
            several, leading = has_several(study), study.baselines.leading
            *others, last = [
                f"{title(name)} {f'{score.skill:.1%}' if several else format(score.rmse, form)}"
                for name, score in leading.items()
            ]
            rmse, skill = f"RMSE {best.rmse:{form}}", f"skill {best.best['skill']:.1%}"
            first, second = (skill, f"{rmse} over all rows") if several else (rmse, skill)
            sentences.append(
                f"Best so far: trial {best.id}, {first} beside {', '.join(others)} and {last}, "
                f"{second}{verdict}"
            )
        sentences.append(f"{clock(study.wall_seconds)} gone{self._remaining.describe(status)}")
        return sentences
