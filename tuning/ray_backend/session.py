"""A Ray of the command's own, started and ended without a trace, or the cluster at an address."""

import fcntl
import logging
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import ray
from ray._private.node import Node
from ray._private.parameter import RayParams

from lstm_model.errors import InputError
from tuning.ray_backend import fork_server
from tuning.ray_backend.fork_server import ForkServer

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

# A raylet's options for agents that are not there.
AGENTS = (
    "--dashboard_agent_command=cat",
    "--runtime_env_agent_command=cat",
    "--metrics-agent-port=-1",
    "--metrics_export_port=-1",
    "--dashboard_agent_listen_port=-1",
    "--runtime_env_agent_port=-1",
)


@contextmanager
def ray_session(
    address: str | None, verbose: bool, server: ForkServer | None = None
) -> Iterator[Callable[[], None]]:
    """A Ray of this command's own, or the cluster at `address`.

    Args:
        server: forks the workers of a Ray of our own.

    Yields:
        A call that begins to end it, while the caller goes on with what needs no Ray.

    Raises:
        InputError: there is no cluster at `address`, or this process has a Ray already.
    """
    if ray.is_initialized():
        raise InputError(
            "a study starts a Ray of its own or joins the one at --address, and leaves it at its "
            "end, but this process is connected to a Ray already (at "
            f"{ray.get_runtime_context().gcs_address}), and can be to one alone; call "
            "ray.shutdown() first, or run the study in a process of its own"
        )
    # Ray and Tune warn of much that the user did not choose, and print the traceback of each
    # trial's error, which its record gives the reason of.
    level = logging.INFO if verbose else logging.CRITICAL
    if not verbose:
        warnings.filterwarnings("ignore", module=r"ray\..*")
    if address:
        _reach(address)
        try:
            ray.init(address=address, logging_level=level, log_to_driver=verbose)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise InputError(
                f"--address must name a running Ray cluster, but got {address!r}: {error}"
            ) from error
        with _shutdown() as begin_to_end:
            yield begin_to_end
        return
    with _temporary_folder() as temporary, _shutdown() as begin_to_end:
        with _of_our_own(verbose, temporary, server):
            ray.init(
                address="local",  # whatever RAY_ADDRESS says
                include_dashboard=False,
                logging_level=level,
                log_to_driver=verbose,
                _temp_dir=temporary,
                _skip_env_hook=True,  # which could ask for other environments than ours
                # What workers import while they wait for their first trial.
                _system_config={
                    "preload_python_modules": ["tuning.ray_backend.trainable", *fork_server.MODULES]
                },
            )
        # Tune would ask for workers with a variable more in their environment, and so for others
        # than those that wait. A Ray of our own has our environment anyway.
        with mock.patch.multiple(
            "ray.tune.execution.class_cache",
            DEFAULT_ENV_VARS={},
            ENV_VARS_TO_PROPAGATE=frozenset(),
        ):
            yield begin_to_end


@contextmanager
def _shutdown() -> Iterator[Callable[[], None]]:
    """Ends Ray at the end, or from the call on that it yields: most of that is to wait for Ray's
    processes.
    """
    early = threading.Thread(target=ray.shutdown, name="shutdown")
    try:
        yield early.start
    finally:
        if early.ident is not None:
            early.join()
        ray.shutdown()


@contextmanager
def _of_our_own(verbose: bool, temporary: str, server: ForkServer | None) -> Iterator[None]:
    """What ray.init() has no settings for."""

    # In a session of its own, because Ctrl-C, `timeout` and batch systems signal to a whole process
    # group: the command ends its trials in order, and then Ray, whose client exits on the spot,
    # with status 1, where its server has ended.
    def apart(command: list[str], **given: Any) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(_without_agents(command), start_new_session=True, **given)

    # Three processes are left out, which take seconds to start: no nodes will join, nobody looks at
    # workers' logs, and there is no dashboard that the third one would serve.
    params = partial(RayParams, no_monitor=True, include_log_monitor=verbose)
    environment = dict(LOCAL_ENVIRONMENT)
    if server:
        environment[fork_server.LISTENER] = os.path.join(temporary, "fork")
        server.listen(environment[fork_server.LISTENER])
        params = partial(params, setup_worker_path=fork_server.__file__)

    def no_server(node: Node, **_: Any) -> None:
        node._webui_url = None

    with (
        mock.patch("ray._private.services.ConsolePopen", apart),
        mock.patch("ray._private.parameter.RayParams", params),
        mock.patch.object(Node, "start_api_server", no_server),
        # It would import what a dashboard's agent needs, to see whether that could start.
        mock.patch("ray._private.utils.get_dashboard_dependency_error", return_value=None),
        mock.patch.dict(os.environ, environment),
    ):
        yield


def _without_agents(command: list[str]) -> list[str]:
    """The raylet's command without its two agents. One serves a dashboard and the other makes
    environments for workers, which all have ours here; the raylet starts no worker before both have
    told it their ports, which takes them seconds. It insists on a process for each, and ends when
    one of them does: `cat` lives until the raylet does.
    """
    if not any(part.startswith("--raylet_socket_name=") for part in command):
        return command
    return [*command, *AGENTS]  # the last of an option given twice counts


def _reach(address: str) -> None:
    """Ray itself would try for minutes.

    Raises:
        InputError: nobody listens at `address`.
    """
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
def _temporary_folder() -> Iterator[str]:
    """A folder that is gone afterwards; those that killed commands left behind are gone before."""
    _sweep()
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=TEMPORARY))
    # Held before it has its name, so that no other command takes it for one that was left behind.
    held = os.open(folder / ".lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        os.rename(folder / ".lock", folder / LOCK)
        yield str(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)


def _sweep() -> None:
    """Remove the folders whose command was killed: nobody holds their lock any more."""
    for left in TEMPORARY.glob(f"{PREFIX}*"):
        try:
            lock = os.open(left / LOCK, os.O_RDWR)
        except FileNotFoundError:
            # Not yet held; or removed before the last of a killed Ray's processes wrote there.
            with suppress(OSError):
                if time.time() - left.stat().st_mtime > LOCK_SECONDS:
                    shutil.rmtree(left, ignore_errors=True)
            continue
        except OSError:
            continue  # of another user
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left, ignore_errors=True)
        except BlockingIOError:
            pass
        finally:
            os.close(lock)
