"""Nothing is waited for without a word: Ray's start, the first worker, and Ctrl-C meanwhile."""

import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

from lstm_model.command import INTERRUPTED, print_stderr
from lstm_model.errors import TrainingFailed
from tuning.ray_backend.changes import Changes
from tuning.ray_backend.patches import PLAIN

# Ray starts within seconds, and so does a worker. After this long it is said what is waited for.
WAIT_SECONDS, AGENTLESS_SECONDS = 60.0, 25.0
# How long Ctrl-C or SIGTERM may take while the main thread is somewhere inside Ray, which does not
# hear of it. A study that was asked to stop is through with its trials before.
INTERRUPT_SECONDS = 13.0
COMMANDS = ("tuning.run", "tuning.compare")
HINT = "Where Ray itself is at fault, --plain-ray may help: it leaves Ray as it is"


class RayFailed(TrainingFailed):
    """Ray did not start, or gave no worker its first trial."""


@contextmanager
def watch(
    what: str, where: str, give_up: Callable[[str], object], seconds: float
) -> Iterator[Callable[[], None]]:
    """While the block waits for Ray: say so after a while, and end the process on Ctrl-C.

    Args:
        what: is waited for.
        where: to look for the reason.
        give_up: is called with what there is to say, in a thread, after each so many seconds.

    Yields:
        A call that ends the watch before the block ends.
    """
    end_read, end_write = os.pipe()
    with _signals() as signals:
        thread = threading.Thread(
            target=_watch,
            args=(end_read, signals, f"no {what} after {seconds:g} s; {where}", give_up, seconds),
            name="watchdog",
            daemon=True,
        )
        thread.start()
        try:
            yield lambda: _end(end_write)
        finally:
            _end(end_write)
            thread.join()
            os.close(end_read)
            os.close(end_write)


def _end(pipe: int) -> None:
    with suppress(OSError):  # it has ended
        os.write(pipe, b".")


@contextmanager
def _signals() -> Iterator[int | None]:
    """The numbers of signals as they come, to be read, whatever the main thread is at; None in
    another thread, which none are sent to.
    """
    if threading.current_thread() is not threading.main_thread():
        yield None
        return
    read, write = os.pipe()
    os.set_blocking(write, False)
    before = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    try:
        yield read
    finally:
        signal.set_wakeup_fd(before)
        os.close(read)
        os.close(write)


def _watch(
    end: int, signals: int | None, problem: str, give_up: Callable[[str], object], seconds: float
) -> None:
    sources = [end] if signals is None else [end, signals]
    deadline, interrupted = time.monotonic() + seconds, False
    while True:
        ready = select.select(sources, [], [], max(0.0, deadline - time.monotonic()))[0]
        if end in ready:
            return
        if ready and {signal.SIGINT, signal.SIGTERM} & set(os.read(sources[1], 64)):
            if not interrupted:
                deadline, interrupted = time.monotonic() + INTERRUPT_SECONDS, True
        elif not ready and interrupted:
            os.write(2, b"interrupted\n")
            os._exit(INTERRUPTED)
        elif not ready:
            give_up(problem)
            deadline = time.monotonic() + seconds


def retry_plain(changes: Changes) -> Callable[[str], NoReturn] | None:
    """begin_anew(), where that is another way and this process is a command of the project's."""
    main = getattr(sys.modules["__main__"], "__spec__", None)
    return begin_anew if changes.used and main and main.name in COMMANDS else None


def begin_anew(problem: str) -> NoReturn:
    """Run this process's command again, with Ray as it is."""
    print_stderr(
        f"warning: {problem}. The command begins anew with Ray as it is, as with --plain-ray"
    )
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os.environ[PLAIN] = "1"
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 (our own Python)
