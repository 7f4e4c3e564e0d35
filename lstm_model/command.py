"""How a command ends: what goes wrong as plain lines on standard error, and an exit status."""

import atexit
import io
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn, TextIO

import typer

from lstm_model.errors import Failure, InputError, os_error_text

DONE, FAILED, USER_ERROR, INTERRUPTED = 0, 1, 2, 130


def print_stderr(text: str) -> None:
    """A line on standard error; a command goes on where nobody reads it any more."""
    try:
        print(text, file=sys.stderr)
    except OSError:
        redirect_to_devnull(sys.stderr)


def redirect_to_devnull(stream: TextIO) -> None:
    """Lead what nobody reads to nowhere, and what Python would flush at its end with it."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


@contextmanager
def report_errors() -> Iterator[None]:
    """What goes wrong as plain lines on standard error and an exit status."""
    with suppress(ValueError):  # signals are the main thread's alone
        # Until a study takes the signals over, SIGTERM is a Ctrl-C.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except InputError as mistake:
        print_stderr(str(mistake))
        raise typer.Exit(USER_ERROR) from None
    except KeyboardInterrupt:
        print_stderr("interrupted")
        raise typer.Exit(INTERRUPTED) from None
    except Failure as failure:
        print_stderr(f"error: {failure}")
        raise typer.Exit(FAILED) from None
    except BrokenPipeError:
        # Whoever read standard output has read enough.
        redirect_to_devnull(sys.stdout)
        raise typer.Exit(FAILED) from None
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        print_stderr(f"error: {where}{os_error_text(error)}")
        raise typer.Exit(FAILED) from None


def run_app(app: typer.Typer, arguments: list[str] | None = None) -> int:
    """A command's exit status, after it has run with these arguments, or else the process's own."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A file's name may hold what the terminal can't show; standard error escapes it already.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        app(args=arguments)
    except SystemExit as done:
        # Ray's own handler, which it sets while it starts, exits with the signal's number.
        return INTERRUPTED if done.code == signal.SIGTERM else int(done.code or 0)
    return DONE


def exit_without_teardown(status: int) -> NoReturn:
    """End the process as sys.exit() does, but for a second of freeing what it imported."""
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:  # as where the command was started without one
                stream.flush()
        except (OSError, ValueError):
            status = status or FAILED
    os._exit(status)
