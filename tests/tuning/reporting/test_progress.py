"""What stands on the screen while a study runs, and what is left: without any Ray."""

import io
import os
import pty
import re
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.text import Text

from lstm_model.data.series import EncodedSeries
from lstm_model.data.sources import load_dataset
from lstm_model.evaluation.baselines import evaluate_baselines
from tests.tuning.study.test_study import checkpoint, report
from tuning.ray_backend.stopping import StopRequest
from tuning.reporting import progress as progress_module
from tuning.reporting.progress import Progress, Terminal, _Memory, _View
from tuning.run import conclude
from tuning.space.search_space import read_space
from tuning.study.study import Study
from tuning.study.trial import State
from tuning.study.view import StudyView

SCREEN = {"TERM": "xterm-256color"}


@pytest.fixture
def study(space: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    """Of twenty trials of thirty epochs. Ridge is better than persistence here."""
    settled = read_space(str(space(trials=20, max_epochs=30)))
    table = load_dataset(settled.data)
    series = EncodedSeries.from_table(table.frame, table.step, settled.data)
    made = Study(
        StudyView(
            tmp_path / "air",
            settled,
            table,
            series,
            evaluate_baselines(series),
            begun=time.monotonic() - 90,
        )
    )
    made.create([])
    assert made.view.baselines.scores["ridge"].rmse < made.view.baselines.persistence.rmse
    return made


def start(study: Study, id: int, epochs: int = 0, against_ridge: float = 1.0) -> None:
    """A trial under way, its error a share of ridge's."""
    study.on_trial_start(
        id,
        {
            "hidden_size": 4 + id % 12,
            "num_layers": 1,
            "learning_rate": 0.012345,
            "loss": "mae",
            "context_length": 12,
            "chunk_length": 48,
        },
    )
    for epoch in range(1, epochs + 1):
        study.on_epoch(id, report(epoch, against_ridge * study.view.baselines.scores["ridge"].rmse))


def end(
    study: Study,
    id: int,
    against_ridge: float = 1.0,
    state: State = "finished",
    reason: str | None = None,
) -> None:
    start(study, id, 30 if state == "finished" else 15, against_ridge)
    study.on_checkpoint(id, checkpoint(study, id))
    study.on_trial_end(id, state, reason)


def console(width: int, height: int = 24, **options: Any) -> Terminal:
    return Terminal(
        width=width,
        height=height,
        highlight=False,
        file=io.StringIO(),
        **{
            "force_terminal": True,
            "color_system": "standard",
            "_environ": SCREEN,
            **options,
        },
    )


def frame(progress: Progress, width: int, height: int = 24, *, last: bool = False) -> list[str]:
    """The view as it is drawn now."""
    assert progress._view is not None
    screen = console(width, height, record=True)
    screen.print(progress_module._Frame(progress._view, last=last), end="")
    lines = screen.export_text(styles=False).split("\n")
    assert lines.pop() == "", "the cursor is on a line of its own before it goes up"
    return lines


@pytest.fixture
def shown(study: Study) -> Any:
    """The progress of `study` in a terminal."""
    told = Progress(console(80))
    study.listeners.append(told)
    yield told
    told.close()


@pytest.mark.parametrize("width", [80, 160])
def test_everything_is_on_the_screen(
    study: Study, shown: Progress, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = study._begun + 90
    monkeypatch.setattr("tuning.study.study.time.monotonic", lambda: now)
    end(study, 0, 1.2)
    end(study, 1, 0.9)
    end(study, 2, 1.1, "stopped_early")
    end(study, 3, 0.5, "failed", "the loss is not finite")
    start(study, 4, 17, 0.95)
    start(study, 5)
    lines = frame(shown, width)
    text = "\n".join(lines)
    assert all(len(line) < width for line in lines)
    assert "air" in lines[1]
    assert "  4 of 20 trials done" in lines[2]
    assert lines[2].count("━") == 10, "of 50"
    assert lines[3] == "2 running, 2 finished, 1 stopped early, 1 failed"
    assert lines[4].startswith("1:30 gone, about ")
    assert re.search(r"; memory \d+\.\d GB, \d+\.\d GB free$", lines[4])
    assert "Best so far: trial 1, better than ridge: RMSE 10.0% lower" in lines
    # The lowest RMSE comes first.
    baselines, ridge = study.view.baselines, study.view.baselines.scores["ridge"].rmse
    rows = [line.split()[:2] for line in lines if line.startswith(("trial 1 ", "ridge", "pers"))]
    assert rows[0] == ["trial", "1"]
    assert rows[1] == ["ridge", f"{ridge:.3f}"]
    assert rows[2] == ["persistence", f"{baselines.persistence.rmse:.3f}"]
    under_way = lines[lines.index("under way") + 1 :]
    assert [line[:7] for line in under_way] == ["trial 4", "trial 5"]
    assert f"{0.95 * ridge:.3f}" in under_way[0]
    assert under_way[0].count("━") == 6, "17 of 30 epochs, of 10"
    assert "17 of 30" in under_way[0]
    assert " 0 of 30" in under_way[1]
    assert "hidden_size" in text
    names = ("hidden_size", "num_layers", "dropout", "learning_rate", "loss")
    there = [name for name in names if name in text]
    assert there == (list(names) if width == 160 else list(names[:2]))
    if width == 160:
        assert under_way[0].split()[-5:] == ["8", "1", "-", "0.0123", "mae"]


@pytest.mark.parametrize(
    ("against_ridge", "verdict"),
    [
        (0.5, "better than ridge: RMSE 50.0% lower"),
        (0.9999, "better than ridge: RMSE less than 0.1% lower"),
        (1.0, "not yet better than ridge"),
        (100.0, "not yet better than persistence nor ridge"),
    ],
)
def test_it_says_plainly_whether_ridge_is_better(
    study: Study, shown: Progress, against_ridge: float, verdict: str
) -> None:
    start(study, 0)
    assert "No result yet" in frame(shown, 80)
    start(study, 1, 1, against_ridge)
    lines = frame(shown, 80)
    assert f"Best so far: trial 1, {verdict}" in lines
    order = [line.split()[0] for line in lines[lines.index("under way") - 4 :][:3]]
    place = {0.5: 0, 0.9999: 0, 1.0: 1, 100.0: 2}[against_ridge]
    assert order.index("trial") == place
    study.finish("failed")
    # Its model was never saved.
    assert "No result" in frame(shown, 80, last=True)


def test_better_than_a_ridge_that_is_worse_than_persistence_is_not_good(
    study: Study, shown: Progress
) -> None:
    scores = study.view.baselines.scores
    swapped = {"persistence": scores["ridge"], "ridge": scores["persistence"]}
    study.view.baselines = replace(study.view.baselines, scores={**scores, **swapped})
    start(study, 0, 1, 0.99)
    assert "Best so far: trial 0, not yet better than persistence" in frame(shown, 80)


def test_errors_of_any_size_are_told_apart(study: Study, shown: Progress) -> None:
    """Of kg/m3, where persistence errs by some millionths of a thousandth."""
    scores = {
        name: replace(score, rmse_by_lead_time=1e-9 * score.rmse_by_lead_time)
        for name, score in study.view.baselines.scores.items()
    }
    study.view.baselines = replace(study.view.baselines, scores=scores)
    start(study, 0, 1, 0.99)
    start(study, 1, 1, 0.98)
    lines = frame(shown, 80)
    ridge = scores["ridge"].rmse
    figures = [line.split()[2] for line in lines if line.startswith("trial ")]
    assert sorted(set(figures)) == [f"{0.98 * ridge:.3e}", f"{0.99 * ridge:.3e}"]
    assert all(len(line) < 80 for line in lines)


def test_a_failed_trial_is_not_the_best(study: Study, shown: Progress) -> None:
    end(study, 0, 0.5, "failed", "out of memory")
    end(study, 1, 0.9)
    start(study, 2)
    assert any(line.startswith("Best so far: trial 1,") for line in frame(shown, 80))


@pytest.mark.parametrize("height", [6, 12, 16, 24, 50])
def test_no_more_trials_are_shown_than_fit(study: Study, shown: Progress, height: int) -> None:
    for id in range(20):
        start(study, id, 1)
    lines = frame(shown, 80, height)
    assert len(lines) < height
    assert "of 20 trials done" in lines[2]
    rows = [line for line in lines if line.endswith("1") and " of 30" in line]
    assert len(rows) == {6: 0, 12: 0, 16: 1, 24: 9, 50: 20}[height]
    if 0 < len(rows) < 20:
        assert lines[-1] == f"and {20 - len(rows)} more"


def test_nothing_jumps_between_two_trials(study: Study, shown: Progress) -> None:
    start(study, 0, 1)
    start(study, 1, 1)
    tall = len(frame(shown, 80))
    study.on_trial_end(0, "stopped_early")
    assert len(frame(shown, 80)) == tall
    study.on_trial_end(1, "stopped_early")
    assert len(frame(shown, 80)) == tall
    assert frame(shown, 80, last=True)[-1].startswith("persistence")


def test_narrow_or_plain_terminals_are_no_trouble(study: Study, shown: Progress) -> None:
    start(study, 0, 3)
    for width in (1, 20, 40, 60):
        assert all(len(line) < max(width, 2) for line in frame(shown, width))
    assert shown._view is not None
    ascii_only = shown._view.lines(79, 23, plain=True, last=False)
    assert all(line.plain.isascii() for line in ascii_only)
    assert any("#---" in line.plain for line in ascii_only)


def test_the_time_left_leaves_earlier_sessions_out(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("tuning.reporting.progress.time.monotonic", lambda: now)
    for id in range(10):
        end(study, id)
    study.listeners.append(told := Progress(console(80)))
    try:
        start(study, 10)
        assert "left" not in frame(told, 80)[4]
        now += 60
        for epoch in range(1, 31):
            study.on_epoch(10, report(epoch, 9.0))
        study.on_trial_end(10, "finished")
        start(study, 11, 15)
        # One and a half trials took a minute, eight and a half are to come.
        assert "about 5:40 left" in frame(told, 80)[4]
    finally:
        told.close()


def test_no_time_is_promised_while_a_study_is_being_stopped(study: Study) -> None:
    stop: list[str] = []
    study.listeners.append(told := Progress(console(80), stopping=lambda: bool(stop)))
    try:
        start(study, 0)
        end(study, 1)
        assert re.search(r"gone, about \S+ left;", frame(told, 80)[4])
        stop.append("Ctrl-C")
        assert re.search(r"gone, stopping;", frame(told, 80)[4])
        study.on_trial_end(0, "interrupted")
        assert re.search(r"gone;", frame(told, 80)[4])
    finally:
        told.close()


@pytest.mark.parametrize("state", ["finished", "stopped_early"])
def test_a_best_epoch_that_is_the_last_possible_is_told(study: Study, state: State) -> None:
    """Each epoch is the best so far, of 30 where the trial finished and of 15 where not."""
    end(study, 0, state=state)
    said = console(80, force_terminal=False)
    conclude(study, StopRequest(), said)
    assert isinstance(said.file, io.StringIO)
    line = (
        "The best trial's best epoch is its last, 30: longer ones may be better. Begin another "
        "study with --max-epochs 60\n"
    )
    assert (line in said.file.getvalue()) == (state == "finished")


def test_reports_draw_nothing_and_cost_next_to_nothing(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawing: set[int] = set()
    draw = _View.lines

    def lines(view: _View, *size: int, **how: bool) -> list[Text]:
        drawing.add(threading.get_ident())
        return draw(view, *size, **how)

    def seconds() -> float:
        reports = [report(epoch, 9.0) for epoch in range(1, 31)] * 334
        began = time.perf_counter()
        for each in reports:
            study.on_epoch(0, each)
        return time.perf_counter() - began

    monkeypatch.setattr(_View, "lines", lines)
    start(study, 0)
    alone, heard = [], []
    progress = Progress(console(80))
    try:
        for _ in range(5):
            alone.append(seconds())
            study.listeners.append(progress)
            heard.append(seconds())
            study.listeners.remove(progress)
        assert threading.get_ident() not in drawing, "only the thread of the display draws"
    finally:
        progress.close()
    assert threading.get_ident() in drawing, "what is left standing"
    # One drawing for each would cost some five hundred times as much.
    assert min(heard) < 5 * min(alone)


def lines_of(study: Study) -> tuple[Progress, io.StringIO]:
    plain = console(80, force_terminal=False, color_system=None)
    study.listeners.append(told := Progress(plain))
    assert isinstance(plain.file, io.StringIO)
    return told, plain.file


def test_plain_lines_are_one_line_each_at_most_every_five_seconds_plus_news(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = study._begun
    monkeypatch.setattr("tuning.reporting.progress.time.monotonic", lambda: now)
    _, out = lines_of(study)
    start(study, 0, 3, 1.1)
    now += 4.9
    study.on_epoch(0, report(4, 9.0))
    assert out.getvalue() == (
        "0 of 20 trials done (1 running, 0 finished, 0 stopped early). 0:00 gone\n"
    )
    now += 0.2
    ridge, persistence = (
        study.view.baselines.scores["ridge"].rmse,
        study.view.baselines.persistence.rmse,
    )
    study.on_epoch(0, report(5, 1.1 * ridge))
    beside = f"beside persistence {persistence:.3f} and ridge {ridge:.3f}, skill 10.0%"
    assert out.getvalue().splitlines()[1:] == [
        "0 of 20 trials done (1 running, 0 finished, 0 stopped early). Best so far: trial 0, "
        f"RMSE {1.1 * ridge:.3f} {beside}, not yet better than ridge. 0:05 gone"
    ]
    end(study, 1, 0.9)  # news
    end(study, 2, 1.0)  # none
    end(study, 3, 1.0, "failed", "the loss, [bold], is not finite")
    assert out.getvalue().splitlines()[2:] == [
        "1 of 20 trials done (1 running, 1 finished, 0 stopped early). Best so far: trial 1, "
        f"RMSE {0.9 * ridge:.3f} {beside}. 0:05 gone, about 1:22 left",
        "trial 3 failed: the loss, [bold], is not finite",
    ]
    study.finish("interrupted")
    assert out.getvalue().splitlines()[4:] == [
        "3 of 20 trials done (2 finished, 0 stopped early, 1 failed, 1 interrupted). "
        f"Best so far: trial 1, RMSE {0.9 * ridge:.3f} {beside}. 0:05 gone"
    ]
    assert "\x1b" not in out.getvalue()


@pytest.mark.parametrize("terminal", [True, False])
def test_quiet_says_nothing_but_warnings(
    study: Study, capsys: pytest.CaptureFixture[str], terminal: bool
) -> None:
    silent = console(80, quiet=True, force_terminal=terminal)
    study.listeners.append(Progress(silent))
    end(study, 0, 0.9)
    end(study, 1, 1.0, "failed", "out of memory")
    study.finish("finished")
    assert isinstance(silent.file, io.StringIO)
    assert silent.file.getvalue() == ""
    assert capsys.readouterr() == ("", "warning: trial 1 failed: out of memory\n")


def test_the_most_that_ran_at_once_are_counted(study: Study) -> None:
    progress = Progress(console(80, quiet=True))
    end(study, 0)  # before this command
    study.listeners.append(progress)
    assert progress.most_at_once == 0
    for id in (1, 2, 3):
        start(study, id)
    study.on_trial_end(2, "interrupted")
    study.on_trial_end(3, "failed", "by chance")
    start(study, 2)
    study.on_trial_end(1, "failed", "by chance")
    start(study, 4)
    assert progress.most_at_once == 3


def test_a_dumb_terminal_gets_plain_lines(study: Study) -> None:
    dumb = console(80, color_system=None, _environ={"TERM": "dumb"})
    study.listeners.append(Progress(dumb))
    end(study, 0, 0.9)
    study.finish("finished")
    assert isinstance(dumb.file, io.StringIO)
    assert "1 of 20 trials done (1 finished, 0 stopped early). Best" in dumb.file.getvalue()
    assert "\x1b" not in dumb.file.getvalue()


def test_memory_is_that_of_the_family_and_libraries_count_once(tmp_path: Path) -> None:
    page = os.sysconf("SC_PAGE_SIZE")
    for pid, parent, resident, shared in (
        (10, 1, 500, 200),
        (11, 10, 300, 250),
        (12, 11, 90, 40),
        (20, 1, 7000, 0),
    ):
        (tmp_path / str(pid)).mkdir()
        stat = f"{pid} (a name) 1 S (odd) S {parent} 1 1 0\n"
        (tmp_path / str(pid) / "stat").write_text(stat)
        (tmp_path / str(pid) / "statm").write_text(f"9999 {resident} {shared} 1 0 1 0\n")
    (tmp_path / "13").mkdir()  # one that ends while it is looked at
    (tmp_path / "meminfo").write_text("MemTotal: 4000 kB\nMemAvailable:  1500 kB\n")
    used, free, total = _Memory(tmp_path).measure(10)
    assert (used, free, total) == ((300 + 50 + 50 + 250) * page, 1500 * 1024, 4000 * 1024)


@pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="there is no /proc")
def test_memory_of_a_worker_is_found() -> None:
    command = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"
    worker = "held = bytearray(b'x') * 200_000_000; print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", command, worker], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        used, free, total = _Memory().measure(process.pid)
        process.communicate(b"\n")
    assert 200e6 < used < 260e6
    assert 0 < free < total


def test_memory_is_measured_seldom_and_left_out_where_it_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _Memory(tmp_path / "nowhere").told(last=False) == []
    now, asked = 0.0, []
    monkeypatch.setattr("tuning.reporting.progress.time.monotonic", lambda: now)
    memory = _Memory()

    def measure(root: int) -> tuple[int, int, int]:
        asked.append(now)
        return int(1e9 * (5 - len(asked))), int(1e9), int(20e9)

    monkeypatch.setattr(memory, "measure", measure)
    for seconds in (0.0, 1.0, 4.9, 5.0, 9.0):
        now = seconds
        told = memory.told(last=False)
    assert asked == [0.0, 5.0]
    assert told == [("; memory 3.0 GB, ", ""), ("1.0 GB free", "bold red")]
    assert memory.told(last=True) == [("; memory at most 4.0 GB", "")]


class Screen:
    """As much of a terminal as the view needs. Any other control sequence is an error."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.lines: list[str] = [""]  # with those that have scrolled away
        self.row = self.column = 0
        self.cursor = True

    def feed(self, data: str) -> None:
        pattern = r"\x1b\[(\??)([0-9;]*)([A-Za-z])|[\r\n]|[^\x1b\r\n]+"
        assert re.sub(pattern, "", data) == ""
        for match in re.finditer(pattern, data):
            private, number, code = match.groups()
            if code is None:
                self._text(match[0])
            elif code == "A":
                top = max(0, len(self.lines) - self.height)
                self.row = max(top, self.row - int(number or 1))
            elif code == "J":
                del self.lines[self.row + 1 :]
                self.lines[self.row] = self.lines[self.row][: self.column]
            elif code == "K":
                assert self.column < self.width, "it would erase the last column's character"
                self.lines[self.row] = self.lines[self.row][: self.column]
            elif private:
                assert number == "25"
                self.cursor = code == "h"
            else:
                assert code == "m"

    def _text(self, text: str) -> None:
        if text == "\r":
            self.column = 0
        elif text == "\n":
            self.row += 1
            if self.row == len(self.lines):
                self.lines.append("")
        else:
            for letter in text:
                if self.column == self.width:
                    self._text("\r")
                    self._text("\n")
                line = self.lines[self.row].ljust(self.column)
                self.lines[self.row] = line[: self.column] + letter + line[self.column + 1 :]
                self.column += 1


# A study that needs neither data nor torch, so that it starts in no time.
DRIVER = """\
import os, sys, time
from types import SimpleNamespace
from tuning.reporting.progress import Progress, Terminal
from tuning.study.trial import Trial

from lstm_model.evaluation.baselines import Baselines

score = lambda rmse: SimpleNamespace(rmse=rmse, skill=1 - rmse / 24.86)
study = SimpleNamespace(
    name="air",
    trials={},
    outcome="running",
    best=None,
    wall_seconds=75,
    table=SimpleNamespace(simulated=False),
    baselines=Baselines({"persistence": score(24.86), "ridge": score(23.64)}, {}),
    space=SimpleNamespace(
        search={"hidden_size": None, "loss": None},
        study=SimpleNamespace(trials=20, max_epochs=30),
    ),
)
console = Terminal(highlight=False)
console.print("Study air")
progress = Progress(console)
ending, outcome = sys.argv[1], "finished"
try:
    for id in range(20):
        trial = study.trials[id] = Trial(id, {"hidden_size": 8, "loss": "mae"})
        progress.on_trial_start(study.view, trial)
        for epoch in range(30):
            rmse = 25 - id / 10
            trial.best = {"epoch": 1, "rmse": rmse, "mae": rmse, "skill": 1 - rmse / 24.86}
            trial.history.append({"epoch": epoch + 1, "rmse": rmse})
            progress.on_epoch(study.view, trial)
        if id % 2 == 0:  # the one before it goes on beside this one
            continue
        for each in (study.trials[id - 1], trial):
            each.state, each.reason = "failed" if each.id == 5 else "finished", "out of memory"
            study.view.best = each
            progress.on_trial_end(study.view, each)
        time.sleep(0.15)
        if id == 9:
            print("warning: said on standard error", file=sys.stderr)
            print("said on standard output")
            console.print("said on the console\\nin three\\nlines")
        if id == 13:
            # As the terminal echoes ^C, and as what knows of no view writes.
            os.write(2, b"^CSIGINT: stopping\\n")
            time.sleep(0.6)
            if ending == "interrupt":
                raise KeyboardInterrupt
            if ending == "exit":
                sys.exit(3)
except KeyboardInterrupt:
    outcome = "interrupted"
study.view.outcome = outcome
progress.on_study_end(study.view)
console.print("after it")
"""


def on_a_terminal(
    folder: Path, ending: str, width: int, height: int, stderr: bool
) -> tuple[Screen, int]:
    """The screen that DRIVER leaves behind, and its status."""
    ours, theirs = pty.openpty()
    environment = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR")}
    size = {"COLUMNS": str(width), "LINES": str(height)}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", DRIVER, ending],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs if stderr else log,
            cwd=Path(__file__).parents[3],
            env={**environment, **SCREEN, **size, "PYTHONUTF8": "1"},
        )
    os.close(theirs)
    written = b""
    while select.select([ours], [], [], 60)[0]:
        try:
            got = os.read(ours, 65536)
        except OSError:  # its end, on Linux
            break
        if not got:
            break
        written += got
    os.close(ours)
    screen = Screen(width, height)
    screen.feed(written.decode())
    return screen, process.wait(60)


Left = tuple[Screen, int, str]


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Left]:
    """What is left of studies that ran side by side: screen, status, standard error's log."""
    terminals = {
        "done": ("finish", 80, 24, True),
        "wide": ("finish", 160, 50, False),
        "interrupted": ("interrupt", 80, 16, True),
        "exit": ("exit", 80, 24, True),
    }
    folders = {name: tmp_path_factory.mktemp(name) for name in terminals}
    with ThreadPoolExecutor() as pool:
        running = {
            name: pool.submit(on_a_terminal, folders[name], *how) for name, how in terminals.items()
        }
        return {
            name: (*each.result(), (folders[name] / "log").read_text())
            for name, each in running.items()
        }


def check_left_standing(screen: Screen, done: str, verdict: str) -> list[str]:
    """That one view stands there whole, and nothing of those before it; the lines above it."""
    lines = [line.rstrip() for line in screen.lines]
    assert screen.cursor, "the cursor is given back"
    for once in (done, verdict, "ridge  ", "persistence  ", " gone"):
        assert sum(once in line for line in lines) == 1, (once, lines)
    assert not any("under way" in line or " left" in line for line in lines)
    top = lines.index("air")
    assert done in lines[top + 1]
    assert lines[top + 5].startswith(verdict)
    assert lines[top + 9].startswith("persistence")
    assert lines[top - 1] == ""
    return lines[: top - 1]


def test_a_terminal_keeps_what_was_said_and_the_last_view(left: dict[str, Left]) -> None:
    screen, status, _ = left["done"]
    assert status == 0
    assert check_left_standing(
        screen, "20 of 20 trials done", "Best: trial 19, better than ridge: RMSE 2.3% lower"
    ) == [
        "Study air",
        "trial 5 failed: out of memory",
        "warning: said on standard error",
        "said on standard output",
        "said on the console",
        "in three",
        "lines",
        "^CSIGINT: stopping",
    ]
    assert screen.lines[-2:] == ["after it", ""]


def test_warnings_reach_the_log_that_standard_error_goes_to(left: dict[str, Left]) -> None:
    screen, status, log = left["wide"]
    assert status == 0
    assert log == "warning: said on standard error\n^CSIGINT: stopping\n"
    assert check_left_standing(screen, "20 of 20 trials done", "Best: trial 19, better") == [
        "Study air",
        "trial 5 failed: out of memory",
        "said on standard output",
        "said on the console",
        "in three",
        "lines",
    ]


def test_an_interrupt_gives_the_terminal_back(left: dict[str, Left]) -> None:
    screen, status, _ = left["interrupted"]
    assert status == 0
    above = check_left_standing(
        screen, "14 of 20 trials done", "Best: trial 13, not better than ridge"
    )
    assert above[-1] == "^CSIGINT: stopping"
    assert screen.lines[-2:] == ["after it", ""]


def test_so_does_an_exit_that_nobody_announced(left: dict[str, Left]) -> None:
    screen, status, _ = left["exit"]
    assert status == 3
    check_left_standing(screen, "14 of 20 trials done", "Best so far: trial 13, not yet better")
    assert screen.lines[-1] == ""
