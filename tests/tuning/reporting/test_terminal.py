"""Standard output that somebody may stop reading."""

import io
import sys

import pytest
from rich.console import Console

from tuning.reporting.live_view import LiveView
from tuning.reporting.study_status import RemainingTime
from tuning.reporting.terminal import Terminal
from tuning.study.study import Study


class Gone(io.StringIO):
    """A terminal that was closed, or a pipe whose reader has ended."""

    def __init__(self, error: OSError) -> None:
        super().__init__()
        self.error: OSError | None = None
        self.later = error

    def write(self, text: str) -> int:
        if self.error:
            raise self.error
        return super().write(text)


ERRORS = [BrokenPipeError(32, "Broken pipe"), OSError(5, "Input/output error")]


@pytest.fixture(autouse=True)
def _a_file_as_standard_output(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.StringIO())  # has no descriptor to be led elsewhere


@pytest.mark.parametrize("error", ERRORS, ids=["pipe", "terminal"])
def test_unread_terminal_falls_silent(error: OSError) -> None:
    file = Gone(error)
    terminal = Terminal(file=file)
    terminal.print("read")
    file.error = error
    for _ in range(2):
        terminal.print("unread")
        terminal.line()
    file.error = None
    terminal.print("nobody is asked again")
    assert file.getvalue() == "read\n"


def test_names_with_brackets_are_printed_as_they_are() -> None:
    terminal = Terminal(file=io.StringIO(), width=80)
    assert isinstance(terminal, Console)
    terminal.print("[bold]air[/bold].csv")
    assert isinstance(terminal.file, io.StringIO)
    assert terminal.file.getvalue() == "[bold]air[/bold].csv\n"


@pytest.mark.parametrize("error", ERRORS, ids=["pipe", "terminal"])
def test_view_ends_where_its_terminal_is_gone(study: Study, error: OSError) -> None:
    file = Gone(error)
    terminal = Terminal(file=file, force_terminal=True, _environ={"TERM": "xterm"})
    view = LiveView(terminal, study.view, RemainingTime(bool))
    file.error = error
    terminal.print("trial 3 failed")  # draws the view below itself
    view.close()
    view.close()
    assert terminal.quiet
