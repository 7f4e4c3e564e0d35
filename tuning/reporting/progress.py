"""How a study goes, in the terminal: a live view, or plain lines where there is no terminal."""

import atexit
import math
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.console import Console, ConsoleOptions, ConsoleRenderable
from rich.control import Control
from rich.live import Live
from rich.segment import ControlType, Segment, Segments
from rich.text import Text

from lstm_model.command import print_stderr, redirect_to_devnull
from lstm_model.wording import number_format
from tuning.study.trial import State, Trial
from tuning.study.view import Listener, StudyView
from tuning.wording import format_setting

# Plain lines come at most this often, but a better trial is always told.
LINE_SECONDS = 5.0
# The live view is drawn this often, however many reports come.
FRAMES_PER_SECOND = 2.0
# All processes of the machine are looked through to measure memory.
MEMORY_SECONDS = 5.0
# Below this share of the machine's memory, what is left of it is shown as a warning.
MEMORY_SCARCE = 0.1

# Widths of the view's parts, in columns.
STUDY_BAR, TRIAL_BAR, LABEL, FIGURE, VALUE = 50, 10, 11, 9, 8
# Without bars for trials where the terminal is narrower.
NARROW = 72


class Terminal(Console):
    """A console that falls silent where nobody reads any more: a study goes on without one.

    What it prints has names of the user's in it, so a `[` is a `[`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, **options)

    def print(self, *objects: Any, **options: Any) -> None:
        try:
            super().print(*objects, **options)
        except OSError:
            self.on_broken_pipe()

    def on_broken_pipe(self) -> None:
        self.quiet = True
        redirect_to_devnull(sys.stdout)


class Progress(Listener):
    """Tells how many trials are done, the best so far beside the baselines, and the time left."""

    def __init__(self, console: Console, stopping: Callable[[], bool] = bool) -> None:
        """stopping: whether the study is being ended before its trials are done."""
        self._console = console
        self._told = -math.inf
        self._best: int | None = None
        self._last: list[str] = []
        self._pace = _Pace(stopping)
        self._running: set[int] = set()
        self.most_at_once = 0
        # What is drawn, by another thread: events only say that there is a study.
        self._view: _View | None = None
        self._live: _Standing | None = None
        if console.is_terminal and not console.is_dumb_terminal and not console.quiet:
            self._view = _View(self._pace)
            self._live = _Standing(self._view, console)
            # A hidden cursor must come back however the command ends.
            atexit.register(self.close)
            self._live.start()

    def on_trial_start(self, study: StudyView, trial: Trial) -> None:
        self._pace.begin(study)
        self._running.add(trial.id)
        self.most_at_once = max(self.most_at_once, len(self._running))
        self._show(study)

    def on_epoch(self, study: StudyView, trial: Trial) -> None:
        self._show(study)

    def on_trial_end(self, study: StudyView, trial: Trial) -> None:
        self._running.discard(trial.id)
        if trial.state == "failed":
            told = f"trial {trial.id} failed: {trial.reason}"
            if self._console.quiet:
                print_stderr(f"warning: {told}")
            else:
                self._print(Text(told, style="red"))
        news = study.best is trial and trial.id != self._best
        if news:
            self._best = trial.id
        self._show(study, news)

    def on_study_end(self, study: StudyView) -> None:
        if self._live or self._lines(study)[:-1] != self._last:
            self._show(study, news=True)
        self.close()

    def close(self) -> None:
        """Leave the last view standing and give the terminal back."""
        if self._live:
            live, self._live = self._live, None
            atexit.unregister(self.close)
            try:
                live.stop()
            except OSError:  # the terminal is gone
                self._console.on_broken_pipe()

    def _show(self, study: StudyView, news: bool = False) -> None:
        if self._view:
            self._view.study = study
        elif not self._console.quiet and (news or time.monotonic() - self._told >= LINE_SECONDS):
            self._told, lines = time.monotonic(), self._lines(study)
            self._last = lines[:-1]
            self._print(Text(". ".join(lines)))

    def _print(self, line: Text) -> None:
        self._console.print(line, soft_wrap=True, highlight=False)

    def _lines(self, study: StudyView) -> list[str]:
        trials = list(study.trials.values())
        done = f"{_done(trials)} of {study.space.study.trials} trials done"
        lines = [f"{done} ({', '.join(text for text, _ in _counted(trials))})"]
        best, baselines = _best(study, trials), study.baselines
        if best and best.best:
            form = _format(study)
            ahead = _ahead(study, best)
            verdict = f", not yet better than {' nor '.join(ahead)}" if ahead else ""
            beside = [
                f"{_title(name)} {score.rmse:{form}}" for name, score in baselines.leading.items()
            ]
            lines.append(
                f"Best so far: trial {best.id}, RMSE {best.rmse:{form}} beside "
                f"{', '.join(beside[:-1])} and {beside[-1]}, "
                f"skill {best.best['skill']:.1%}{verdict}"
            )
        lines.append(f"{clock(study.wall_seconds)} gone{self._pace.left(study, trials)}")
        return lines


class _Pace:
    """How long the trials to come will take, at the pace of those since the command began."""

    def __init__(self, stopping: Callable[[], bool]) -> None:
        self._stopping = stopping
        self._begun: float | None = None
        self._before = 0

    def begin(self, study: StudyView) -> None:
        if self._begun is None:
            self._begun = time.monotonic()
            self._before = _done(study.trials.values())  # of a study that goes on

    def left(self, study: StudyView, trials: Sequence[Trial]) -> str:
        """Empty as long as no trial has ended, and at the end."""
        ended = [trial for trial in trials if not trial.under_way]
        done = len(ended) - self._before
        running = [trial for trial in trials if trial.state == "running"]
        if running and self._stopping():
            return ", stopping"
        if done < 1 or not running or self._begun is None:
            return ""
        # Trials that are stopped early are shorter, so those under way are held against the mean.
        usual = max(1.0, sum(trial.epochs for trial in ended) / len(ended))
        worked = done + sum(min(0.9, trial.epochs / usual) for trial in running)
        share = (time.monotonic() - self._begun) / worked
        remaining = study.space.study.trials - self._before - worked
        return f", about {clock(max(0.0, remaining) * share)} left"


class _Standing(Live):
    """A live display whose cursor waits at its top, and that overwrites without erasing first.

    What others write to the terminal (the echo of ^C, the word of a signal, a library's complaint)
    stands above the next frame, where it would cut one in two whose cursor waits at its end. A
    terminal that becomes narrower is in order with the next frame as well.
    """

    def __init__(self, view: "_View", console: Console) -> None:
        self._view = view
        super().__init__(
            console=console,
            refresh_per_second=FRAMES_PER_SECOND,
            # What is written to a log must not turn up here.
            redirect_stdout=sys.stdout.isatty(),
            redirect_stderr=sys.stderr.isatty(),
        )

    def refresh(self) -> None:
        try:
            super().refresh()
        except OSError:  # the terminal is gone
            self.console.on_broken_pipe()

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        above = [each for each in renderables if not isinstance(each, Control)]
        clear = [Segments([_control("\r\x1b[J")])] if above else []
        return [*clear, *renderables, _Frame(self._view, last=not self.is_started)]


class _Frame:
    """The view as it is when it is drawn, from the cursor's line down."""

    def __init__(self, view: "_View", last: bool) -> None:
        self._view, self._last = view, last

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        # Neither the last column nor the last line, where terminals differ in what they do next.
        width, height = options.max_width - 1, console.height - 1
        lines = self._view.lines(width, height, plain=options.ascii_only, last=self._last)
        yield _control("\r")
        for line in lines:
            line.truncate(width)
            line.end = ""
            yield from line.render(console)
            yield _control("\x1b[K")
            yield Segment.line()
        up = f"\x1b[{len(lines)}A" if lines and not self._last else ""
        yield _control(f"\x1b[J{up}")


def _control(code: str) -> Segment:
    """What moves the cursor or erases, in the terminal's own code: rich has no name for each."""
    return Segment(code, None, [(ControlType.CARRIAGE_RETURN,)])


class _View:
    """A study in lines. Asked by the thread that draws, while the trials change."""

    def __init__(self, pace: _Pace) -> None:
        self.study: StudyView | None = None
        self._pace = pace
        self._memory = _Memory()
        self._tallest = 0

    def lines(self, width: int, height: int, *, plain: bool, last: bool) -> list[Text]:
        """At most `height`. plain: in ASCII alone. last: what is left standing."""
        study = self.study
        if study is None:
            return []
        trials = list(study.trials.values())  # at once: it must not change while it is read
        running = [] if last else [trial for trial in trials if trial.state == "running"]
        columns = _Columns(study, width, plain)
        lines = [Text(), *self._head(study, trials, width, plain, last), Text()]
        lines += [_verdict(study, trials), columns.heading()]
        lines += columns.best(trials)
        # Where rows are short, the trials under way are the first to go.
        room = max(0, height - len(lines) - 2)
        if running and room:
            lines += [Text(), Text.styled("under way", "dim")]
            # The oldest: they keep their place until they end.
            shown = running if len(running) <= room else running[: room - 1]
            lines += [columns.row(trial) for trial in shown]
            if len(running) > len(shown):
                lines.append(Text.styled(f"and {len(running) - len(shown)} more", "dim"))
        if not last:
            # Between two trials a row is empty: what stands below would jump otherwise.
            self._tallest = min(max(self._tallest, len(lines)), height)
            lines += [Text() for _ in range(self._tallest - len(lines))]
        return lines[:height]

    def _head(
        self, study: StudyView, trials: Sequence[Trial], width: int, plain: bool, last: bool
    ) -> list[Text]:
        """What is done, the time and the memory."""
        done, total = _done(trials), study.space.study.trials
        share = f"  {done} of {total} trials done"
        left = "" if last else self._pace.left(study, trials)
        return [
            Text.assemble(
                (study.name, "bold"), ", simulated data" if study.table.simulated else ""
            ),
            _bar(done / total, min(STUDY_BAR, width - len(share)), plain).append(share),
            Text(", ").join(Text(text, style=style) for text, style in _counted(trials)),
            Text.assemble(f"{clock(study.wall_seconds)} gone{left}", *self._memory.told(last)),
        ]


class _Columns:
    """Trials and baselines in rows, with as many hyperparameters as there is room for."""

    def __init__(self, study: StudyView, width: int, plain: bool) -> None:
        self._study, self._plain = study, plain
        self._format = _format(study)
        self._most = study.space.study.max_epochs
        self._bar = TRIAL_BAR if width >= NARROW else 0
        self._epochs = (self._bar + 1 if self._bar else 0) + len(f"{self._most} of {self._most}")
        self._label = max(LABEL, *(len(name) for name in study.baselines.leading))
        baselines = study.baselines.leading.values()
        self._figure = max(
            FIGURE, *(len(f"{score.rmse:{self._format}}") + 2 for score in baselines)
        )
        used = self._label + self._figure + FIGURE + 3 + self._epochs
        self._names: list[tuple[str, int]] = []
        for name in study.space.search:
            space = max(len(name), VALUE)
            used += 2 + space
            if used > width:
                break
            self._names.append((name, space))

    def heading(self) -> Text:
        names = "".join(f"  {name:>{space}}" for name, space in self._names)
        figures = f"{'RMSE':>{self._figure}}{'skill':>{FIGURE}}"
        line = f"{'':{self._label}}{figures}   {'epochs':{self._epochs}}{names}"
        return Text.styled(line, "dim")

    def best(self, trials: Sequence[Trial]) -> list[Text]:
        """The best so far among the baselines, the lowest RMSE first."""
        study, best = self._study, _best(self._study, trials)
        rows = [
            (score.rmse, self._figures(_title(name), score.rmse, score.skill))
            for name, score in study.baselines.leading.items()
        ]
        if best and best.best:
            line = self._figures(f"trial {best.id}", best.rmse, best.best["skill"])
            epoch = f"best at {best.best['epoch']}"
            line.append(f"   {epoch:{self._epochs}}")
            line.append(self._values(best))
            line.stylize("bold")
            rows.append((best.rmse, line))
        return [line for _, line in sorted(rows, key=lambda row: row[0])]

    def row(self, trial: Trial) -> Text:
        """A trial under way."""
        best, epochs = trial.best, trial.epochs
        label = f"trial {trial.id}"
        line = (
            self._figures(label, best["rmse"], best["skill"])
            if best
            else Text(f"{label:{self._label + self._figure + FIGURE}}")
        )
        line.append("   ")
        if self._bar:
            line.append(_bar(epochs / self._most, self._bar, self._plain)).append(" ")
        digits = len(str(self._most))
        return line.append(f"{epochs:>{digits}} of {self._most}").append(self._values(trial))

    def _figures(self, label: str, rmse: float, skill: float) -> Text:
        figure = f"{rmse:{self._format}}"
        if len(figure) >= self._figure:  # of a trial that diverges
            figure = f"{rmse:.1e}"
        share = f"{skill:.1%}" if abs(skill) < 100 else ""
        return Text(f"{label:{self._label}}{figure:>{self._figure}}{share:>{FIGURE}}")

    def _values(self, trial: Trial) -> str:
        return "".join(
            f"  {format_setting(trial.config[name]) if name in trial.config else '-':>{space}}"
            for name, space in self._names
        )


class _Memory:
    """Memory in use by this process and all that it started, Ray's workers among them.

    Linux tells it in /proc; elsewhere nothing is told.
    """

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = proc
        self._page = os.sysconf("SC_PAGE_SIZE")
        self._measured = -math.inf
        self._known: tuple[int, int, int] | None = None
        self._most = 0

    def told(self, last: bool) -> list[tuple[str, str]]:
        """Pieces of text with their styles."""
        now = time.monotonic()
        if now - self._measured >= MEMORY_SECONDS and not last:
            self._measured = now
            with suppress(OSError, ValueError, KeyError):
                self._known = self.measure(os.getpid())
                self._most = max(self._most, self._known[0])
        if self._known is None:
            return []
        used, free, total = self._known
        if last:
            return [(f"; memory at most {self._most / 1e9:.1f} GB", "")]
        scarce = "bold red" if free < MEMORY_SCARCE * total else ""
        return [
            (f"; memory {used / 1e9:.1f} GB, ", ""),
            (f"{free / 1e9:.1f} GB free", scarce),
        ]

    def measure(self, root: int) -> tuple[int, int, int]:
        """Bytes: in use by `root` and its descendants, free in the machine, there in all."""
        children: dict[int, list[int]] = {}
        for name in os.listdir(self._proc):
            if name.isdecimal():
                with suppress(OSError):  # it has ended meanwhile
                    # pid (a name that may have spaces and brackets in it) state parent ...
                    stat = (self._proc / name / "stat").read_bytes()
                    parent = int(stat.rpartition(b")")[2].split()[1])
                    children.setdefault(parent, []).append(int(name))
        private, shared, family = 0, 0, [root]
        while family:
            process = family.pop()
            family += children.get(process, [])
            with suppress(OSError):
                pages = (self._proc / str(process) / "statm").read_bytes().split()
                private += int(pages[1]) - int(pages[2])
                # Libraries and Ray's object store lie in memory once, whoever maps them.
                shared = max(shared, int(pages[2]))
        machine = dict(
            line.split(":", 1) for line in (self._proc / "meminfo").read_text().splitlines()
        )
        free, total = (1024 * int(machine[key].split()[0]) for key in ("MemAvailable", "MemTotal"))
        return (private + shared) * self._page, free, total


def _verdict(study: StudyView, trials: Sequence[Trial]) -> Text:
    """Whether the best so far is better than what needs no search."""
    best, baselines = _best(study, trials), study.baselines
    running = study.outcome == "running"
    if best is None or best.best is None:
        return Text("No result yet" if running else "No result")
    line = Text(f"{'Best so far' if running else 'Best'}: trial {best.id}, ")
    ahead = _ahead(study, best)
    if ahead:
        told = f"{'not yet' if running else 'not'} better than {' nor '.join(ahead)}"
        return line.append(told, style="magenta")
    gain = 1 - best.rmse / baselines.scores[baselines.best].rmse
    share = f"{gain:.1%}" if gain >= 0.001 else "less than 0.1%"
    strongest = _title(baselines.best)
    return line.append(f"better than {strongest}: RMSE {share} lower", style="green")


def _ahead(study: StudyView, best: Trial) -> list[str]:
    """The baselines that the trial is no better than."""
    scores = study.baselines.leading
    return [_title(name) for name, score in scores.items() if not best.rmse < score.rmse]


def _best(study: StudyView, trials: Iterable[Trial]) -> Trial | None:
    """The trial with the lowest RMSE so far; in the end the one whose model was kept."""
    if study.outcome != "running":
        return study.best
    scored = [trial for trial in trials if trial.best and trial.state != "failed"]
    return min(scored, key=lambda trial: (trial.rmse, trial.id), default=None)


def _done(trials: Iterable[Trial]) -> int:
    return sum(not trial.under_way for trial in trials)


def _counted(trials: Iterable[Trial]) -> list[tuple[str, str]]:
    """How many trials are in each state, with a style; states that are no news only where any."""
    counts: Counter[State] = Counter(trial.state for trial in trials)
    parts = [(f"{counts['running']} running", "")] if counts["running"] else []
    parts += [(f"{counts['finished']} finished", "")]
    parts += [(f"{counts['stopped_early']} stopped early", "")]
    styles: dict[State, str] = {"failed": "red", "interrupted": "magenta"}
    return parts + [
        (f"{counts[state]} {state}", style) for state, style in styles.items() if counts[state]
    ]


def _bar(share: float, width: int, plain: bool) -> Text:
    """Told by its characters as well: not every terminal has colours, or shows them to all."""
    full, empty = ("#", "-") if plain else ("━", "─")
    done = round(min(1.0, share) * max(0, width))
    return Text.assemble((full * done, "cyan"), (empty * (width - done), "dim"))


def _format(study: StudyView) -> str:
    """In which errors of about the baselines' size are told apart."""
    return number_format(score.rmse for score in study.baselines.leading.values())


def _title(name: str) -> str:
    return name.replace("_", " ")


def clock(seconds: float) -> str:
    """1:05 or 2:01:05."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
