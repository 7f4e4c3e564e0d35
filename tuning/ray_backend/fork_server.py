"""Ray's workers, forked from one process that has imported what trials need.

A worker imports for seconds before its first trial, and so does every other one at the same time,
beside the command itself. Here one process imports for all of them, from the command's first moment
on; what is left to each is Ray with Tune, for a second.

    command --socket pair--> server       a listener, once Ray has a folder; and the command's end
    raylet  --starts-------> this script  in place of Ray's own, which sets a worker up
    script  --listener-----> server       arguments, environment, folder, standard streams
    server  --forks--------> worker       Ray's own script, as if it had been started with them
    worker  --listener-----> script       how it ended, if it does at once

Where there is no server, or its worker fails at once, as where a later Ray asks more of it than is
known here, the script becomes what Ray would have started, which then imports as any other does.
"""

import sys

if __name__ == "__main__" and not sys.flags.safe_path:
    del sys.path[0]  # this file's folder, which other modules are not to come from

import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any, TypedDict

# Tell the script where the server listens, and which script Ray would have started.
SOCKET_VARIABLE, SETUP = "LSTM_TUNING_FORK_SERVER", "LSTM_TUNING_SETUP_WORKER"
# What Ray hands its script beside the worker's own command.
LANGUAGE, CONTEXT = "--language", "--serialized-runtime-env-context"
# A worker that runs for so long was started well: to import Ray takes it a second, or some.
PROBATION_SECONDS = 15.0
RUNS, ENDED = b".", b"+"
# What takes most of a worker's imports. Not Ray: it reads its settings when it is imported, among
# them its server's process number, which nobody knows yet.
MODULES = (
    "lstm_model.training.trainer",
    "lstm_model.inference.predictor",
    "pyarrow.fs",
    "pyarrow.parquet",
)
# What is left to each worker, which has Ray's settings: Ray with Tune. Other workers import it when
# their first trial comes.
TRAINABLE = "tuning.ray_backend.trainable"
# How soon the kernel ends a process where memory is short. The raylet sets its workers' high, so
# that neither itself nor the command ends instead.
OOM_SCORE_FILE = "/proc/self/oom_score_adj"
# Threads are lost in a fork, with what they hold. This one's library starts it anew.
HARMLESS_THREADS = {"jemalloc_bg_thd"}


class WorkerRequest(TypedDict):
    """What a worker is to run as, and what a script sends for one."""

    arguments: list[str]  # the script, and its arguments
    environment: dict[str, str]
    folder: str
    oom: str  # what OOM_SCORE_FILE holds


class ForkServer:
    """The command's end of it. The server starts with it, and ends with end() or the command."""

    def __init__(self) -> None:
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),
            "OPENBLAS_NUM_THREADS": "1",  # numpy's threads would be lost in a fork
        }
        if sys.flags.no_user_site:
            environment["PYTHONNOUSERSITE"] = "1"
        self._control, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, __file__],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,  # without it workers start by themselves, and complain
                env=environment,
                start_new_session=True,  # Ctrl-C is the command's
            )

    def listen(self, path: str) -> None:
        """Serve those that connect to the socket at `path`, which is made."""
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen(128)
            with suppress(OSError):  # it has ended: scripts find out themselves
                socket.send_fds(self._control, [b"."], [listener.fileno()])

    def end(self) -> None:
        self._control.close()
        self.process.kill()
        self.process.wait()


def serve(control: socket.socket) -> None:
    """Fork workers until the command closes its end."""
    gc.disable()  # imports make none, and it would be looked for again and again
    for name in MODULES:
        importlib.import_module(name)
    if not _other_threads() <= HARMLESS_THREADS:
        return
    _, descriptors, *_ = socket.recv_fds(control, 1, 1)
    if not descriptors:
        return
    listener = socket.socket(fileno=descriptors[0])
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the workers
    gc.freeze()  # memory that is not looked at stays shared
    gc.enable()
    while control not in select.select([control, listener], [], [])[0]:
        connection, _ = listener.accept()
        with connection, suppress(OSError, ValueError, EOFError):
            streams, request = _receive_request(connection)
            if os.fork() == 0:
                control.close()
                listener.close()
                connection.sendall(RUNS)
                _run_worker(connection, streams, request)
            for stream in streams:
                os.close(stream)


def _other_threads() -> set[str]:
    """The names of this process's threads but the main one."""
    task = "/proc/self/task"
    names = set()
    for thread in os.listdir(task):
        if int(thread) != os.getpid():
            with suppress(FileNotFoundError), open(f"{task}/{thread}/comm") as file:
                names.add(file.read().strip())
    return names


def _receive_request(connection: socket.socket) -> tuple[list[int], WorkerRequest]:
    """The worker's standard streams, and what it is to run."""
    first, streams, *_ = socket.recv_fds(connection, 65536, 3)
    if len(streams) != 3:
        raise EOFError
    parts = [first]
    while part := connection.recv(65536):
        parts.append(part)
    return streams, json.loads(b"".join(parts))


def _run_worker(connection: socket.socket, streams: list[int], request: WorkerRequest) -> None:
    """Run the requested script as if Python had been started with it.

    connection: closed by the end of this process, however it comes.
    """
    status = 1
    try:
        os.setsid()  # Ray ends a worker's process group with it
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        os.environ.clear()
        os.environ.update(request["environment"])
        os.chdir(request["folder"])
        with suppress(OSError):
            Path(OOM_SCORE_FILE).write_text(request["oom"])
        importlib.import_module(TRAINABLE)
        sys.argv = request["arguments"]
        runpy.run_path(sys.argv[0], run_name="__main__")
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        if status == 0:
            with suppress(OSError):
                connection.sendall(ENDED)
        os._exit(status)


def main() -> None:
    """A worker as the raylet asks for it: forked, or in this process as Ray would start it."""
    with suppress(OSError, LookupError, ValueError):
        if _fork_worker(sys.argv[1:], os.environ[SOCKET_VARIABLE]):
            return
    os.execv(sys.executable, [sys.executable, os.environ[SETUP], *sys.argv[1:]])  # noqa: S606


def _fork_worker(command: list[str], listener: str) -> bool:
    """Ask the server for a worker, and say whether one runs.

    Raises:
        OSError, LookupError, ValueError: it can't be asked, or not for such a worker.
    """
    options = [part for part in command if part.startswith((LANGUAGE, CONTEXT))]
    rest = [part for part in command if part not in options]
    context = dict(option.split("=", 1) for option in options).get(CONTEXT, "{}")
    variables = _requested_variables(json.loads(context or "{}"))
    script = next((number for number, part in enumerate(rest) if not part.startswith("-")), 0)
    # Python's own flags come first; the server has this one, and others it may not have.
    if not set(rest[:script]) <= {"-s"}:
        return False
    raylet = os.getppid()
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(listener)
        request: WorkerRequest = {
            "arguments": rest[script:],
            "environment": {**os.environ, **variables},
            "folder": os.getcwd(),
            "oom": Path(OOM_SCORE_FILE).read_text(),
        }
        socket.send_fds(server, [b" "], [0, 1, 2])
        server.sendall(json.dumps(request).encode())
        server.shutdown(socket.SHUT_WR)
        if server.recv(1) != RUNS:
            return False
        if not select.select([server], [], [], PROBATION_SECONDS)[0]:
            return True
        # Ray ends its workers with its own end.
        return server.recv(1) == ENDED or os.getppid() != raylet


def _requested_variables(context: dict[str, Any]) -> dict[str, str]:
    """The environment variables that a worker is to have.

    Raises:
        ValueError: it is to have another environment in other ways too.
    """
    usual = {"py_executable": sys.executable}
    others = {name: value for name, value in context.items() if name != "env_vars"}
    if any(value and value != usual.get(name) for name, value in others.items()):
        raise ValueError(others)
    return dict(context.get("env_vars") or {})


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main()
    else:
        serve(socket.socket(fileno=0))
