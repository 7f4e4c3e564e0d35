"""A study as it stands in a terminal, below all that is printed, until it ends."""

import atexit
import math
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from operator import itemgetter

import psutil
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tuning.reporting.memory import MemoryUse, measure_memory
from tuning.reporting.notebook import CellLive, is_notebook
from tuning.reporting.series_words import has_several
from tuning.reporting.study_status import RemainingTime, StudyStatus, clock, title
from tuning.space.search_space import Value
from tuning.study.trial import Trial
from tuning.study.view import StudyView
from tuning.wording import format_setting

# The view is drawn this often, however many reports come. A frame takes a core 10 ms.
FRAMES_PER_SECOND = 1.0
# All processes of the machine are looked through to measure memory.
MEMORY_SECONDS = 5.0
# Below this fraction of the machine's memory, what is left of it is shown as a warning.
MEMORY_SCARCE = 0.1
# Widths in columns of the terminal.
STUDY_BAR, TRIAL_BAR, LABEL, RMSE, SKILL, VALUE, GAP = 50, 10, 12, 9, 6, 8, 2
RMSE_OF_ALL = "RMSE (all rows)"  # of several series, whose skill is what counts


class LiveView:
    """Draws a study now and then, in a thread of its own: events only say what there is.

    Attributes:
        study: what is drawn next.
    """

    def __init__(self, console: Console, study: StudyView, remaining: RemainingTime) -> None:
        self.study = study
        self._console = console
        self._remaining = remaining
        self._memory = _MemoryLine()
        self._is_final = False
        live = CellLive if is_notebook() else Live
        self._live = live(
            console=console,
            get_renderable=self.render,
            refresh_per_second=FRAMES_PER_SECOND,
            # What is written to a log must not turn up here.
            redirect_stdout=sys.stdout.isatty(),
            redirect_stderr=sys.stderr.isatty(),
        )
        # A hidden cursor must come back however the command ends.
        atexit.register(self.close)
        self._live.start(refresh=True)

    def close(self) -> None:
        """Leave the last frame standing and give the terminal back."""
        atexit.unregister(self.close)
        self._is_final = True
        self._live.stop()

    def render(self) -> RenderableType:
        """A frame: the study's state, the best trial among the baselines, those under way."""
        status, console = StudyStatus.of(self.study), self._console
        lines = [*self._head(status, console.width), _line(_verdict(status))]
        rows = _Rows(status, console.width)
        rows.add_best()
        if self._is_final:
            return Group(*lines, rows.table)
        # Where lines are short, the trials under way are the first to go. Four are kept: for the
        # table's heading, for that of these trials with an empty line above, and for the cursor.
        room = console.height - len(lines) - rows.table.row_count - 4
        if status.running and room > 0:
            rows.add_running(status.running, room)
        # What others write to the terminal, as the echo of ^C, stands in the last line until the
        # next frame: where that is empty, no more than the empty line at the top is left behind.
        return Group(*lines, rows.table, "")

    def _head(self, status: StudyStatus, width: int) -> list[RenderableType]:
        """What is done, the time and the memory."""
        study = status.study
        total = study.space.study.trials
        share = f"{status.done} of {total} trials done"
        bar_width = max(1, min(STUDY_BAR, width - len(share) - GAP))
        progress = Table.grid(padding=(0, GAP, 0, 0))
        progress.add_row(ProgressBar(total, status.done, width=bar_width), _line(share))
        states = Text(", ").join(Text(text, style) for text, style in status.state_counts)
        left = "" if self._is_final else self._remaining.describe(status)
        return [
            _line(),
            _line((study.name, "bold"), ", simulated data" if study.dataset.simulated else ""),
            progress,
            _line(states),
            _line(f"{clock(study.wall_seconds)} gone{left}", *self._memory.parts(self._is_final)),
            _line(),
        ]


class _Rows:
    """Trials and baselines as rows of a table, with as many columns as there is room for.

    The last columns are hyperparameters, in the order of the search space.
    """

    def __init__(self, status: StudyStatus, width: int) -> None:
        study = status.study
        self._status, self._format = status, status.rmse_format
        self._max_epochs = study.space.study.max_epochs
        self._names = list(study.space.search)
        baselines = study.baselines.leading
        self._rmse_width = max(RMSE, *(len(f"{s.rmse:{self._format}}") for s in baselines.values()))
        # Widths have room for a gap on the left. A table's own padding would take as long as all
        # the rest of a frame.
        self.table = Table(box=None, padding=0, pad_edge=False, header_style="dim")
        self.table.add_column(width=max(LABEL, *map(len, baselines)), no_wrap=True)
        self._several = has_several(study)
        metrics = {"RMSE": self._rmse_width, "skill": SKILL}
        if self._several:  # ranked by their skill
            self._rmse_width = max(self._rmse_width, len(RMSE_OF_ALL))
            metrics = {"skill": SKILL, RMSE_OF_ALL: self._rmse_width}
        columns = {
            **metrics,
            "epochs": len(f"best at {self._max_epochs}"),
            "": TRIAL_BAR,
            **{name: max(len(name), VALUE) for name in self._names},
        }
        used = self.table.columns[0].width or 0
        for heading, column_width in columns.items():
            used += GAP + column_width
            if used > width:
                break
            self.table.add_column(heading, width=GAP + column_width, no_wrap=True, justify="right")

    def add_best(self) -> None:
        """The best trial so far among the baselines, the lowest objective first."""
        rows: list[tuple[float, float, float, Trial | None, str]] = [
            (score.objective, score.rmse, score.skill, None, title(name))
            for name, score in self._status.study.baselines.leading.items()
        ]
        best = self._status.best
        if best and best.best:
            rows.append((best.objective, best.rmse, best.best["skill"], best, f"trial {best.id}"))
        for _, rmse, skill, trial, label in sorted(rows, key=itemgetter(0)):
            epochs = f"best at {trial.best['epoch']}" if trial and trial.best else ""
            self._add(
                label,
                *self._figures(rmse, skill),
                epochs,
                "",
                trial=trial,
                style="bold" if trial else None,
            )

    def add_running(self, trials: Sequence[Trial], room: int) -> None:
        """Trials under way in at most `room` rows."""
        self._add()
        self._add("under way", style="dim")
        # The oldest: they keep their place until they end.
        listed = trials if len(trials) <= room else trials[: room - 1]
        for trial in listed:
            best, bar = trial.best, ProgressBar(self._max_epochs, trial.epochs, width=TRIAL_BAR)
            figures = self._figures(best["rmse"], best["skill"]) if best else ("", "")
            epochs = f"{trial.epochs} of {self._max_epochs}"
            self._add(
                f"trial {trial.id}", *figures, epochs, Padding(bar, (0, 0, 0, GAP)), trial=trial
            )
        if len(trials) > len(listed):
            self._add(f"and {len(trials) - len(listed)} more", style="dim")

    def _add(
        self, *cells: RenderableType, trial: Trial | None = None, style: str | None = None
    ) -> None:
        """Add a row; after the cells those of the trial's hyperparameters."""
        config: Mapping[str, Value] = trial.config if trial else {}
        values = [format_setting(config[name]) if name in config else "-" for name in self._names]
        row = [*cells, *values] if trial else cells
        self.table.add_row(*row[: len(self.table.columns)], style=style)

    def _figures(self, rmse: float, skill: float) -> tuple[str, str]:
        """Cells of RMSE and skill, short also for a trial that diverges; of several series the
        skill comes first.
        """
        text = f"{rmse:{self._format}}"
        cells = (
            text if len(text) <= self._rmse_width else f"{rmse:.1e}",
            f"{skill:.1%}" if abs(skill) < 100 else "",
        )
        return (cells[1], cells[0]) if self._several else cells


class _MemoryLine:
    """Memory in use by this process and all that it started, measured now and then."""

    def __init__(self) -> None:
        self._measured = -math.inf
        self._last: MemoryUse | None = None
        self._highest = 0

    def parts(self, is_final: bool) -> list[tuple[str, str]]:
        """Pieces of text with their styles; none where memory can't be measured."""
        now = time.monotonic()
        if now - self._measured >= MEMORY_SECONDS and not is_final:
            self._measured = now
            with suppress(psutil.Error, OSError):
                self._last = measure_memory(psutil.Process())
                self._highest = max(self._highest, self._last.used)
        if self._last is None:
            return []
        if is_final:
            return [(f"; memory at most {self._highest / 1e9:.1f} GB", "")]
        scarce = "bold red" if self._last.free < MEMORY_SCARCE * self._last.total else ""
        return [
            (f"; memory {self._last.used / 1e9:.1f} GB, ", ""),
            (f"{self._last.free / 1e9:.1f} GB free", scarce),
        ]


def _verdict(status: StudyStatus) -> tuple[str, str]:
    """Whether the best so far is better than what needs no search, and the style of that."""
    best, baselines = status.best, status.study.baselines
    running = status.study.outcome == "running"
    if best is None or best.best is None:
        return ("No result yet" if running else "No result"), ""
    subject = f"{'Best so far' if running else 'Best'}: trial {best.id}, "
    if unbeaten := status.unbeaten_baselines(best):
        not_better = f"{'not yet' if running else 'not'} better than {' nor '.join(unbeaten)}"
        return subject + not_better, "magenta"
    strongest = baselines.scores[baselines.best]
    if has_several(status.study):
        points = 100 * (best.best["skill"] - strongest.skill)
        higher = f"{points:.1f}" if points >= 0.1 else "less than 0.1"
        text = f"{subject}better than {title(baselines.best)}: skill {higher} points higher"
        return text, "green"
    gain = 1 - best.rmse / strongest.rmse
    percent = f"{gain:.1%}" if gain >= 0.001 else "less than 0.1%"
    return f"{subject}better than {title(baselines.best)}: RMSE {percent} lower", "green"


def _line(*parts: str | Text | tuple[str, str]) -> Text:
    """One line of text with styles, cut off where the terminal ends."""
    return Text.assemble(*parts, no_wrap=True, overflow="crop")
