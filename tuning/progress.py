"""How a study goes, in the terminal: a live view, or plain lines where there is no terminal."""

import math
import os
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tuning.record import Trial

if TYPE_CHECKING:
    from tuning.study import Study

# Plain lines come at most this often, but a better trial is always told.
LINE_SECONDS = 5.0


class Terminal(Console):
    """A console that falls silent where nobody reads any more: a study goes on without one."""

    def print(self, *objects: Any, **options: Any) -> None:
        try:
            super().print(*objects, **options)
        except OSError:
            self.on_broken_pipe()

    def on_broken_pipe(self) -> None:
        self.quiet = True
        # What Python would flush at its end goes nowhere as well.
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Progress:
    """Tells how many trials are done, the best so far beside persistence, and the time left."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=4) if console.is_terminal else None
        self._told = -math.inf
        self._best: int | None = None
        self._last: list[str] = []
        self._begun = time.monotonic()
        if self._live:
            self._live.start()

    def started(self, study: "Study", trial: Trial) -> None:
        self._show(study)

    def reported(self, study: "Study", trial: Trial) -> None:
        self._show(study)

    def ended(self, study: "Study", trial: Trial) -> None:
        if trial.state == "failed":
            self._print(Text(f"trial {trial.id} failed: {trial.reason}", style="red"))
        news = study.best is trial and trial.id != self._best
        if news:
            self._best = trial.id
        self._show(study, news)

    def finished(self, study: "Study") -> None:
        if self._lines(study)[:-1] != self._last:
            self._show(study, news=True)
        self.close()

    def close(self) -> None:
        """Leave the last view standing and give the terminal back."""
        if self._live:
            self._live.stop()
            self._live = None

    def _show(self, study: "Study", news: bool = False) -> None:
        if self._live:
            self._live.update(self._view(study))
        elif news or time.monotonic() - self._told >= LINE_SECONDS:
            self._told, lines = time.monotonic(), self._lines(study)
            self._last = lines[:-1]
            self._print(Text(". ".join(lines)))

    def _print(self, line: Text) -> None:
        self._console.print(line, soft_wrap=True, highlight=False)

    def _view(self, study: "Study") -> RenderableType:
        done, total = self._done(study), study.space.study.trials
        bar = Table.grid(padding=(0, 1))
        bar.add_row(
            ProgressBar(total=total, completed=done, width=40),
            f"{clock(study.wall_seconds)}{self._left(study)}",
        )
        return Group(*(Text(line) for line in self._lines(study)[:2]), bar)

    def _lines(self, study: "Study") -> list[str]:
        counts, total = study.counts, study.space.study.trials
        parts = [f"{counts['running']} running"] if counts["running"] else []
        parts += [f"{counts['finished']} finished", f"{counts['stopped_early']} stopped early"]
        parts += [
            f"{counts[state]} {state}" for state in ("failed", "interrupted") if counts[state]
        ]
        lines = [f"{self._done(study)} of {total} trials done ({', '.join(parts)})"]
        best, persistence = study.leader, study.baselines.persistence.rmse
        if best and best.best:
            lines.append(
                f"Best so far: trial {best.id}, RMSE {best.rmse:.2f} beside persistence "
                f"{persistence:.2f}, skill {best.best['skill']:.1%}"
            )
        lines.append(f"{clock(study.wall_seconds)} gone{self._left(study)}")
        return lines

    @staticmethod
    def _done(study: "Study") -> int:
        counts = study.counts
        return counts["finished"] + counts["stopped_early"] + counts["failed"]

    def _left(self, study: "Study") -> str:
        """Trials to come at the pace so far, counting those under way as half done."""
        done, counts = self._done(study), study.counts
        if not done or not counts["running"]:
            return ""
        half = counts["running"] / 2
        remaining = study.space.study.trials - done - half
        pace = (time.monotonic() - self._begun) / (done + half)
        return f", about {clock(max(0.0, remaining) * pace)} left"


def clock(seconds: float) -> str:
    """1:05 or 2:01:05."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
