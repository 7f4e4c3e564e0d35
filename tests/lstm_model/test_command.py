"""How commands end, whatever goes wrong in them."""

import errno
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
import typer

from lstm_model.command import report_errors, run_app
from lstm_model.errors import InputError, SourceUnavailable, TrainingFailed, os_error_text


@pytest.fixture(autouse=True)
def handler() -> Iterator[None]:
    """The handler of SIGTERM that a command sets goes with it."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (InputError("--trials must be more"), 2, "--trials must be more\n"),
        (SourceUnavailable("no data"), 2, "no data\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (TrainingFailed("the loss is nan"), 1, "error: the loss is nan\n"),
        (OSError("it is closed"), 1, "error: it is closed\n"),
        (OSError(errno.ENOSPC, "so"), 1, "error: No space left on device\n"),
        (OSError(errno.EACCES, "so", "a.csv"), 1, "error: a.csv: Permission denied\n"),
        (OSError(errno.EIO, "a bucket's own words"), 1, "error: a bucket's own words\n"),
    ],
)
def test_what_goes_wrong_is_a_line_and_a_status(
    error: BaseException, status: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    app = typer.Typer()

    @app.command()
    def fail() -> None:
        with report_errors():
            raise error

    assert run_app(app, []) == status
    assert capsys.readouterr() == ("", line)


def test_another_error_is_a_defect_and_is_not_hidden() -> None:
    with pytest.raises(KeyError), report_errors():
        raise KeyError


def test_unreadable_file_is_told_in_system_words() -> None:
    """Of every kind of error that reading a file raises."""
    assert os_error_text(FileNotFoundError(errno.ENOENT, "long words", "a.csv")) == (
        "No such file or directory"
    )
    assert os_error_text(OSError("it is a pipe")) == "it is a pipe"
    for words in ("embedded null byte", "stat: embedded null character in path"):
        assert os_error_text(ValueError(words)) == "embedded null byte", "Python 3.12's, and 3.13's"


READ_NO_MORE = """\
import typer
from lstm_model.command import exit_without_teardown, report_errors, run_app
app = typer.Typer()
@app.command()
def write():
    with report_errors():
        for _ in range(10_000):
            print("a line")
exit_without_teardown(run_app(app, []))
"""


def test_closed_pipe_ends_a_command_silently() -> None:
    """As `| head -1` leaves it."""
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as nobody:
        done = subprocess.run(
            [sys.executable, "-c", READ_NO_MORE],
            stdout=nobody,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, "")


def test_complaints_that_nobody_reads_stop_no_command() -> None:
    read, write = os.pipe()
    os.close(read)
    code = (
        "from lstm_model.command import exit_without_teardown, print_stderr\n"
        "print_stderr('a'); print_stderr('b'); exit_without_teardown(0)"
    )
    with os.fdopen(write, "wb") as nobody:
        done = subprocess.run([sys.executable, "-c", code], stderr=nobody, timeout=60, check=False)
    assert done.returncode == 0


def test_sigterm_is_a_ctrl_c(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended, report_errors():
        signal.raise_signal(signal.SIGTERM)
    assert ended.value.exit_code == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_a_thread_may_call_a_command() -> None:
    """Which sets no handlers of signals."""
    ended: list[str] = []

    def call() -> None:
        with report_errors():
            ended.append("well")

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    assert ended == ["well"]
