"""A Ray of the command's own, started and ended without a trace, or the cluster at an address."""

import fcntl
import gc
import logging
import os
import secrets
import shutil
import socket
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import ray

from lstm_model.command import print_stderr
from lstm_model.errors import InputError
from tuning.ray_backend import environment, fork_server, watchdog
from tuning.ray_backend.changes import Changes
from tuning.ray_backend.fork_server import ForkServer
from tuning.ray_backend.patches import (
    AGENTS,
    CHANGES,
    FORK,
    OF_START,
    OF_TRIALS,
    changed_start,
    choose_changes,
    setup_worker_script,
)
from tuning.ray_backend.watchdog import HINT, RayFailed, retry_plain, watch

# How long a cluster may take to answer at all.
REACH_SECONDS = 5.0
# Ray's own folders lie here. Short, because Unix sockets in them may have names of 107 bytes.
TEMPORARY, PREFIX, LOCK = Path("/tmp"), "lstm-ray-", "lock"  # noqa: S108 (mkdtemp follows)
# A folder has its lock some milliseconds after it was made.
LOCK_SECONDS = 60.0

LOCAL_ENVIRONMENT = {
    # Of a Ray of our own nothing comes back that has died: the command ends in seconds where its
    # GCS was killed, and would wait for it for a minute otherwise.
    "RAY_gcs_rpc_server_reconnect_timeout_s": "5",
    # Workers that wait are ended after a second of that once Tune has reserved the cores, which is
    # just before it asks for workers: then others would have to start, with all their imports.
    "RAY_idle_worker_killing_time_threshold_ms": "60000",
}
# Whoever has the token may run programs in a Ray. Ray itself would leave one in the user's home for
# good, which others may read. Ray remembers it for as long as this process lives.
TOKEN, TOKEN_FILE, AUTHENTICATION = "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE"
_token = secrets.token_hex(32)


@dataclass(frozen=True)
class Session:
    """A Ray that is there.

    begin_to_end() begins to end it, while the caller goes on with what needs no Ray.
    """

    changes: Changes  # what is done otherwise than Ray does it
    own: bool  # the command's own, and no cluster
    advice: str  # where to look for what is wrong with it
    begin_to_end: Callable[[], None]

    @contextmanager
    def watch_first_trial(self, undo: Callable[[], None]) -> Iterator[Callable[[], None]]:
        """While the block runs trials: see that a first one begins.

        Args:
            undo: what has to be undone before the command begins anew.

        Yields:
            A call that says that a worker has answered: it has a trial, or can't have one.

        Raises:
            RayFailed: something went wrong before one had, and this process is no command that
                can begin anew with Ray as it is.
        """
        begun = False
        retry = retry_plain(self.changes) if self.own else None

        def give_up(problem: str) -> None:
            if retry:
                undo()
                retry(problem)
            print_stderr(f"warning: {problem}. {HINT}")

        seconds = watchdog.WAIT_SECONDS
        if AGENTS in self.changes:
            # A Ray that wants them would be dead after half a minute, and this process with it.
            seconds = watchdog.AGENTLESS_SECONDS
        with watch("first worker", self.advice, give_up, seconds) as end:

            def first_started() -> None:
                nonlocal begun
                if not begun:
                    end()
                begun = True

            try:
                yield first_started
            except (InputError, OSError):
                raise
            except Exception as error:
                if begun:
                    raise
                problem = f"no trial begins: {str(error).strip() or repr(error)}; {self.advice}"
                if retry:
                    give_up(problem)
                raise RayFailed(f"{problem}. {HINT}") from error


@contextmanager
def ray_session(
    address: str | None, verbose: bool, server: ForkServer | None = None, *, plain: bool = False
) -> Iterator[Session]:
    """A Ray of this command's own, or the cluster at `address`.

    One that this process is connected to already is used where `address` is its own, and stays.

    Args:
        server: forks the workers of a Ray of our own.
        plain: leave Ray as it is.

    Raises:
        InputError: there is no cluster at `address`, or this process is connected to another.
        RayFailed: a Ray of our own does not start, and this process is no command that can begin
            anew with Ray as it is.
    """
    joined = environment.joined_address()
    if joined is not None and joined != address:
        raise InputError(
            "a study starts a Ray of its own or joins the one at --address, and leaves it at its "
            f"end, but this process is connected to a Ray already (at {joined}), and can be to one "
            "alone; call ray.shutdown() first, or run the study in a process of its own"
        )
    own = not address
    changes = choose_changes(plain, own=own, among=OF_START)
    if server is None and FORK in changes:
        changes = changes.without(FORK, "there is no process to fork them from")
    with ExitStack() as at_end:
        if not verbose:
            # Ray and Tune warn of much that the user did not choose.
            at_end.enter_context(warnings.catch_warnings())
            warnings.filterwarnings("ignore", module=r"ray\..*")
        begin_to_end: Callable[[], None] = _leave
        if address:
            advice = "`ray status` says what the cluster has"
            if not joined:
                _connect(address, verbose)
        else:
            advice = _start(changes, verbose, server, at_end)
        if not joined:
            begin_to_end = at_end.enter_context(shutdown_at_end())
        changes = changes | choose_changes(plain, own=own, among=OF_TRIALS)
        if AGENTS in changes and not all(change in changes for change in AGENTS.needs):
            # Found out after the start, since Tune is imported while Ray's workers start. The
            # fork server listens to one Ray.
            ray.shutdown()
            changes = changes.without(AGENTS, "it needs what is left out")
            changes = changes.without(FORK, "Ray was started anew")
            advice = _start(changes, verbose, None, at_end)
            begin_to_end = at_end.enter_context(shutdown_at_end())
        if verbose:
            for change in CHANGES:
                if problem := changes.left_out.get(change.name):
                    print_stderr(f"Ray is not changed so that {change.what}: {problem}")
        yield Session(changes, own, advice, begin_to_end)


def _leave() -> None:
    """Nothing: a Ray that was there before stays as it was."""


def _log_level(verbose: bool) -> int:
    # Tune prints the traceback of each trial's error, which its record gives the reason of.
    return logging.INFO if verbose else logging.CRITICAL


def _connect(address: str, verbose: bool) -> None:
    _check_address(address)
    try:
        ray.init(address=address, logging_level=_log_level(verbose), log_to_driver=verbose)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise InputError(
            f"--address must name a running Ray cluster, but got {address!r}: {error}"
        ) from error


def _start(changes: Changes, verbose: bool, server: ForkServer | None, at_end: ExitStack) -> str:
    """Start a Ray of our own. What has to end after it is left to `at_end`.

    Returns:
        Where to look for what is wrong with it.
    """
    temporary = at_end.enter_context(temporary_folder())
    logs = f"Ray's logs are in {temporary}/session_latest/logs"
    retry = retry_plain(changes)
    variables = dict(LOCAL_ENVIRONMENT)
    if FORK in changes:
        assert server is not None
        variables[fork_server.SOCKET_VARIABLE] = os.path.join(temporary, "fork")
        variables[fork_server.SETUP] = str(setup_worker_script())
        server.listen(variables[fork_server.SOCKET_VARIABLE])
    at_end.enter_context(environment.variables(_token_variables()))
    try:
        with (
            environment.variables(variables),
            changed_start(changes, logs=verbose),
            watch("Ray", logs, retry or print_stderr, watchdog.WAIT_SECONDS),
        ):
            ray.init(
                address="local",  # whatever RAY_ADDRESS says
                include_dashboard=False,
                logging_level=_log_level(verbose),
                log_to_driver=verbose,
                _temp_dir=temporary,
                _skip_env_hook=True,  # which could ask for other environments than ours
            )
    except Exception as error:
        text, folder = str(error).strip() or repr(error), _keep_logs(temporary)
        problem = f"Ray does not start: {text}; its logs are in {folder}"
        with suppress(Exception):
            ray.shutdown()
        if retry:
            retry(problem)
        raise RayFailed(f"{problem}. {HINT}" if changes.used else problem) from error
    return logs


def _token_variables() -> dict[str, str | None]:
    """A token of this command's own, where the user has not set one."""
    if TOKEN in os.environ or TOKEN_FILE in os.environ:
        return {AUTHENTICATION: None}
    return {AUTHENTICATION: None, TOKEN: _token}


def _keep_logs(temporary: str) -> Path:
    """Copy Ray's logs to a folder that the next command does not remove."""
    folder = Path(tempfile.mkdtemp(prefix="lstm-failed-ray-", dir=TEMPORARY))
    with suppress(OSError):
        shutil.copytree(Path(temporary, "session_latest", "logs"), folder, dirs_exist_ok=True)
    return folder


@contextmanager
def shutdown_at_end() -> Iterator[Callable[[], None]]:
    """Ends Ray at the block's end, or from the yielded call on: most of it is to wait for Ray's
    processes.
    """
    early = threading.Thread(target=ray.shutdown, name="shutdown")
    collects = gc.isenabled()

    def begin_to_end() -> None:
        # What Tune has left behind are rings of objects that hold Ray's. One that was collected
        # meanwhile would ask Ray, which would end this process with status 1.
        gc.disable()
        early.start()

    try:
        yield begin_to_end
    finally:
        if early.ident is not None:
            early.join()
        ray.shutdown()
        if collects:
            gc.enable()


def _check_address(address: str) -> None:
    """Raises InputError where nobody listens at `address`: Ray itself would try for minutes."""
    if address == "auto":
        return
    rule = f"--address must name a running Ray cluster, auto or host:port, but got {address!r}"
    host, _, port = address.rpartition(":")
    if "://" in address or not host or not port.isdecimal():
        raise InputError(rule)
    try:
        with socket.create_connection((host, int(port)), timeout=REACH_SECONDS):
            return
    except (OSError, OverflowError) as error:
        raise InputError(f"{rule}: {error}") from None


@contextmanager
def temporary_folder() -> Iterator[str]:
    """A folder that is gone afterwards; those that killed commands left behind are gone before."""
    _remove_leftovers()
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=TEMPORARY))
    # Held before it has its name, so that no other command takes it for one that was left behind.
    lock = os.open(folder / ".lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        os.rename(folder / ".lock", folder / LOCK)
        yield str(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _remove_leftovers() -> None:
    """Remove the folders whose command was killed: nobody holds their lock any more."""
    for folder in TEMPORARY.glob(f"{PREFIX}*"):
        try:
            lock = os.open(folder / LOCK, os.O_RDWR)
        except FileNotFoundError:
            # Not yet held; or removed before the last of a killed Ray's processes wrote there.
            with suppress(OSError):
                if time.time() - folder.stat().st_mtime > LOCK_SECONDS:
                    shutil.rmtree(folder, ignore_errors=True)
            continue
        except OSError:
            continue  # of another user
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:
            pass
        finally:
            os.close(lock)
