"""What stands on the screen while a study runs, and what is left."""

import os
import pty
import re
import select
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import RenderableType

from tests.builders import epoch_report
from tests.tuning.reporting.screens import (
    ENVIRONMENT,
    Screen,
    console,
    end,
    start,
    written,
)
from tuning.reporting import live_view
from tuning.reporting.live_view import LiveView
from tuning.reporting.memory import MemoryUse
from tuning.reporting.progress import Progress
from tuning.reporting.study_status import RemainingTime
from tuning.study.study import Study
from tuning.study.view import Listener, StudyView


def frame(
    study: StudyView,
    width: int,
    height: int = 24,
    remaining: RemainingTime | None = None,
    *,
    final: bool = False,
) -> list[str]:
    """The view as it is drawn now, or as it is left."""
    view = LiveView(console(width, height), study, remaining or RemainingTime(bool))
    try:
        if final:
            view.close()
        # Without colours, where a bar has only what is done.
        paper = console(width, height, record=True, color_system=None)
        paper.print(view.render())
    finally:
        view.close()
    lines = [line.rstrip() for line in paper.export_text(styles=False).split("\n")]
    assert lines.pop() == ""
    assert final or lines.pop() == "", "the cursor is on a line of its own"
    return lines


@pytest.mark.parametrize("width", [80, 160])
def test_everything_is_on_the_screen(
    study: Study, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = study.view.begun + 90
    monkeypatch.setattr("tuning.study.view.time.monotonic", lambda: now)
    remaining = RemainingTime(bool)
    remaining.begin(study.view)
    end(study, 0, 1.2)
    end(study, 1, 0.9)
    end(study, 2, 1.1, "stopped_early")
    end(study, 3, 0.5, "failed", "the loss is not finite")
    start(study, 4, 17, 0.95)
    start(study, 5)
    lines = frame(study.view, width, remaining=remaining)
    text = "\n".join(lines)
    assert all(len(line) <= width for line in lines)
    assert lines[:2] == ["", "air"]
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
    assert "━━━━━╸  " in under_way[0], "17 of 30 epochs, of 10"
    assert "17 of 30" in under_way[0]
    assert " 0 of 30" in under_way[1]
    assert "hidden_size" in text
    names = ("hidden_size", "num_layers", "dropout", "learning_rate", "loss")
    there = [name for name in names if name in text]
    assert there == (list(names) if width == 160 else list(names[:2]))
    if width == 160:
        assert under_way[0].split()[-5:] == ["8", "1", "-", "0.0123", "mae"]


@pytest.mark.parametrize(
    ("against_ridge", "verdict", "place"),
    [
        (0.5, "better than ridge: RMSE 50.0% lower", 0),
        (0.9999, "better than ridge: RMSE less than 0.1% lower", 0),
        (1.0, "not yet better than ridge", 1),
        (100.0, "not yet better than persistence nor ridge", 2),
    ],
)
def test_verdict_names_unbeaten_baselines(
    study: Study, against_ridge: float, verdict: str, place: int
) -> None:
    start(study, 0)
    assert "No result yet" in frame(study.view, 80)
    start(study, 1, 1, against_ridge)
    lines = frame(study.view, 80)
    assert f"Best so far: trial 1, {verdict}" in lines
    order = [line.split()[0] for line in lines[lines.index("under way") - 4 :][:3]]
    assert sorted(order) == ["persistence", "ridge", "trial"]
    if against_ridge != 1.0:
        assert order.index("trial") == place
    study.finish("failed")
    # Its model was never saved.
    assert "No result" in frame(study.view, 80, final=True)


def test_beating_a_weak_ridge_is_not_enough(study: Study) -> None:
    view = study.view
    scores = view.baselines.scores
    swapped = {"persistence": scores["ridge"], "ridge": scores["persistence"]}
    start(study, 0)
    study.on_epoch(0, epoch_report(1, 0.99 * scores["persistence"].rmse))
    weak = replace(view, baselines=replace(view.baselines, scores={**scores, **swapped}))
    assert "Best so far: trial 0, not yet better than persistence" in frame(weak, 80)


def test_errors_of_any_size_are_told_apart(study: Study) -> None:
    """Of kg/m3, where persistence errs by some millionths of a thousandth."""
    view = study.view
    scores = {
        name: replace(score, rmse_by_lead_time=1e-9 * score.rmse_by_lead_time)
        for name, score in view.baselines.scores.items()
    }
    ridge = scores["ridge"].rmse
    for id, against_ridge in ((0, 0.99), (1, 0.98)):
        start(study, id)
        study.on_epoch(id, epoch_report(1, against_ridge * ridge))
    lines = frame(replace(view, baselines=replace(view.baselines, scores=scores)), 80)
    figures = [line.split()[2] for line in lines if line.startswith("trial ")]
    assert sorted(set(figures)) == [f"{0.98 * ridge:.3e}", f"{0.99 * ridge:.3e}"]
    assert all(len(line) <= 80 for line in lines)


def test_figures_of_a_diverging_trial_fit_their_columns(study: Study) -> None:
    start(study, 0)
    study.on_epoch(0, {**epoch_report(1, 1e15), "best": epoch_report(1, 1e15)["best"]})
    [row] = [line for line in frame(study.view, 80) if line.startswith("trial 0 ")][1:]
    assert row.split()[2] == "1.0e+15"


def test_failed_trial_is_not_the_best(study: Study) -> None:
    end(study, 0, 0.5, "failed", "out of memory")
    end(study, 1, 0.9)
    start(study, 2)
    assert any(line.startswith("Best so far: trial 1,") for line in frame(study.view, 80))


@pytest.mark.parametrize(("height", "rows"), [(6, 0), (12, 0), (16, 1), (24, 9), (50, 20)])
def test_no_more_trials_are_shown_than_fit(study: Study, height: int, rows: int) -> None:
    for id in range(20):
        start(study, id, 1)
    lines = frame(study.view, 80, height)
    assert height < 13 or len(lines) < height, "rich cuts off lower ones"
    assert "of 20 trials done" in lines[2]
    assert sum(" 1 of 30" in line for line in lines) == rows
    if 0 < rows < 20:
        assert lines[-1] == f"and {20 - rows} more"


@pytest.mark.parametrize("width", [1, 5, 20, 40, 60])
def test_narrow_terminals_keep_the_first_columns(study: Study, width: int) -> None:
    start(study, 0, 3)
    lines = frame(study.view, width)
    assert all(len(line) <= width for line in lines)
    assert len(lines) == 14, "none is wrapped"
    text = "\n".join(lines)
    assert ("persistence" in text) == (width >= 12)
    assert ("skill" in text) == (width >= 40)
    assert ("3 of 30" in text) == (width >= 50)


def test_plain_terminals_are_no_trouble(study: Study) -> None:
    start(study, 0, 3)
    with open(os.devnull, "w", encoding="ascii") as ascii_only:
        terminal = console(79, color_system=None)
        terminal.file = ascii_only
        view = LiveView(terminal, study.view, RemainingTime(bool))
        view.close()
        with terminal.capture() as drawn:
            terminal.print(view.render())
    assert drawn.get().isascii()


def test_time_left_leaves_earlier_sessions_out(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("tuning.reporting.study_status.time.monotonic", lambda: now)
    for id in range(10):
        end(study, id)
    start(study, 10)
    remaining = RemainingTime(bool)
    remaining.begin(study.view)
    assert "left" not in frame(study.view, 80, remaining=remaining)[4]
    now += 60
    for epoch in range(1, 31):
        study.on_epoch(10, epoch_report(epoch, 9.0))
    study.on_trial_end(10, "finished")
    start(study, 11, 15)
    # One and a half trials took a minute, eight and a half are to come.
    assert "about 5:40 left" in frame(study.view, 80, remaining=remaining)[4]


def test_no_time_is_promised_to_a_stopping_study(study: Study) -> None:
    stop: list[str] = []
    remaining = RemainingTime(lambda: bool(stop))
    start(study, 0)
    remaining.begin(study.view)
    end(study, 1)
    assert re.search(r"gone, about \S+ left;", frame(study.view, 80, remaining=remaining)[4])
    stop.append("Ctrl-C")
    assert re.search(r"gone, stopping;", frame(study.view, 80, remaining=remaining)[4])
    study.on_trial_end(0, "interrupted")
    assert re.search(r"gone;", frame(study.view, 80, remaining=remaining)[4])


def test_memory_is_measured_seldom_and_the_most_is_left(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, measured = 0.0, []
    monkeypatch.setattr("tuning.reporting.live_view.time.monotonic", lambda: now)

    def measure(process: object) -> MemoryUse:
        measured.append(now)
        return MemoryUse(int(1e9 * (5 - len(measured))), int(1e9), int(20e9))

    monkeypatch.setattr(live_view, "measure_memory", measure)
    view = LiveView(console(80), study.view, RemainingTime(bool))

    def memory() -> str:
        paper = console(80)
        paper.print(view.render())
        return written(paper).splitlines()[4].partition("; ")[2]

    try:
        for seconds in (0.0, 1.0, 4.9, 5.0, 9.0):
            now = seconds
            drawn = memory()
        assert sorted(set(measured)) == [0.0, 5.0]
        assert drawn == "memory 3.0 GB, \x1b[1;31m1.0 GB free\x1b[0m", "it is scarce"
    finally:
        view.close()
    assert memory() == "memory at most 4.0 GB"


def test_memory_is_left_out_where_it_is_unknown(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measure(process: object) -> MemoryUse:
        raise FileNotFoundError("/proc/meminfo")

    monkeypatch.setattr(live_view, "measure_memory", measure)
    assert re.fullmatch(r"\d+:\d+ gone", frame(study.view, 80)[4])


def test_reports_draw_nothing_and_cost_next_to_nothing(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawing: set[int] = set()
    render = LiveView.render

    def spy(view: LiveView) -> RenderableType:
        drawing.add(threading.get_ident())
        return render(view)

    def seconds() -> float:
        reports = [epoch_report(epoch, 9.0) for epoch in range(1, 31)] * 334
        began = time.perf_counter()
        for report in reports:
            study.on_epoch(0, report)
        return time.perf_counter() - began

    start(study, 0)
    alone, heard = [], []
    monkeypatch.setattr(LiveView, "render", spy)
    progress = Progress(console(80))
    study.attach(progress)
    drawing.clear()
    try:
        for _ in range(5):
            heard.append(seconds())
            study.listeners[:] = [Listener()]  # does nothing
            alone.append(seconds())
            study.listeners[:] = [progress]
        assert threading.get_ident() not in drawing, "only the thread of the display draws"
    finally:
        progress.close()
    assert threading.get_ident() in drawing, "what is left standing"
    # One drawing for each would cost some thousand times as much.
    assert min(heard) < 5 * min(alone)


# A study that needs neither data nor torch, so that it starts in no time.
DRIVER = """\
import os, sys, time
from types import SimpleNamespace
from tuning.reporting.progress import Progress
from tuning.reporting.terminal import Terminal
from tuning.study.trial import Trial

from lstm_model.evaluation.baselines import Baselines

score = lambda rmse: SimpleNamespace(rmse=rmse, objective=rmse, skill=1 - rmse / 24.86)
study = SimpleNamespace(
    name="air",
    trials={},
    done=0,
    outcome="running",
    best_trial=None,
    wall_seconds=75,
    dataset=SimpleNamespace(simulated=False),
    table=SimpleNamespace(index=[""]),
    baselines=Baselines({"persistence": score(24.86), "ridge": score(23.64)}, {}),
    space=SimpleNamespace(
        search={"hidden_size": None, "loss": None},
        study=SimpleNamespace(trials=20, max_epochs=30),
    ),
)
console = Terminal(highlight=False)
console.print("Study air")
progress = Progress(console)
progress.on_study_start(study)
ending, outcome = sys.argv[1], "finished"
try:
    for id in range(20):
        trial = study.trials[id] = Trial(id, {"hidden_size": 8, "loss": "mae"})
        progress.on_trial_start(study, trial)
        for epoch in range(30):
            rmse = 25 - id / 10
            trial.best = {"epoch": 1, "rmse": rmse, "mae": rmse, "skill": 1 - rmse / 24.86}
            trial.history.append({"epoch": epoch + 1, "rmse": rmse})
            progress.on_epoch(study, trial)
        if id % 2 == 0:  # the one before it goes on beside this one
            continue
        for each in (study.trials[id - 1], trial):
            each.state, each.reason = "failed" if each.id == 5 else "finished", "out of memory"
            study.best_trial = each
            progress.on_trial_end(study, each)
        time.sleep(0.3)
        if id == 9:
            print("warning: said on standard error", file=sys.stderr)
            print("said on standard output")
            console.print("said on the console\\nin three\\nlines")
        if id == 13:
            # As the terminal echoes ^C, and as what knows of no view writes.
            os.write(2, b"^CSIGINT: stopping\\n")
            time.sleep(1.2)
            if ending == "interrupt":
                raise KeyboardInterrupt
            if ending == "exit":
                sys.exit(3)
except KeyboardInterrupt:
    outcome = "interrupted"
study.outcome = outcome
progress.on_study_end(study)
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
            env={**environment, **ENVIRONMENT, **size, "PYTHONUTF8": "1"},
        )
    os.close(theirs)
    screen = Screen(width, height)
    screen.feed(b"".join(_read(ours)).decode())
    return screen, process.wait(60)


def _read(terminal: int) -> Iterator[bytes]:
    while select.select([terminal], [], [], 60)[0]:
        try:
            got = os.read(terminal, 65536)
        except OSError:  # its end, on Linux
            break
        if not got:
            break
        yield got
    os.close(terminal)


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
    return [line for line in lines[:top] if line]


def test_terminal_keeps_what_was_printed_and_the_last_view(left: dict[str, Left]) -> None:
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


def test_interrupt_gives_the_terminal_back(left: dict[str, Left]) -> None:
    screen, status, _ = left["interrupted"]
    assert status == 0
    check_left_standing(screen, "14 of 20 trials done", "Best: trial 13, not better than ridge")
    assert screen.lines[-2:] == ["after it", ""]


def test_exit_gives_the_terminal_back(left: dict[str, Left]) -> None:
    screen, status, _ = left["exit"]
    assert status == 3
    check_left_standing(screen, "14 of 20 trials done", "Best so far: trial 13, not yet better")
    assert screen.lines[-1] == ""
