"""A Ray of the command's own, started and ended without a trace, or the cluster at an address."""

import fcntl
import logging
import math
import os
import shutil
import socket
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from unittest import mock

import ray

from lstm_model.errors import InputError

# How long a cluster may take to answer at all.
REACH_SECONDS = 5.0
# Ray's own folders lie here. Short, because Unix sockets in them may have names of 107 bytes.
TEMPORARY, PREFIX, LOCK = Path("/tmp"), "lstm-ray-", "lock"  # noqa: S108 (mkdtemp follows)

# Of a Ray of our own nothing comes back that has died: the command ends in seconds where its GCS
# was killed, and would wait for it for a minute otherwise.
LOCAL_ENVIRONMENT = {"RAY_gcs_rpc_server_reconnect_timeout_s": "5"}


@contextmanager
def ray_session(address: str | None, verbose: bool) -> Iterator[None]:
    """A Ray of this command's own, or the cluster at `address`.

    Raises:
        InputError: there is no cluster at `address`.
    """
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
        try:
            yield
        finally:
            ray.shutdown()
        return
    with _temporary_folder() as temporary:
        # In a session of its own, because Ctrl-C, `timeout` and batch systems signal to a whole
        # process group: the command ends its trials in order, and then Ray. Ray has no setting for
        # it, and its client exits on the spot, with status 1, where its server has ended.
        apart = partial(subprocess.Popen, start_new_session=True)
        try:
            with (
                mock.patch("ray._private.services.ConsolePopen", apart),
                mock.patch.dict(os.environ, LOCAL_ENVIRONMENT),
            ):
                ray.init(
                    address="local",  # whatever RAY_ADDRESS says
                    include_dashboard=False,
                    logging_level=level,
                    log_to_driver=verbose,
                    _temp_dir=temporary,
                    # Workers import torch while they wait for their first trial.
                    _system_config={"preload_python_modules": ["torch"]},
                )
            yield
        finally:
            ray.shutdown()


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


def slots(cpu: float, gpu: float, limit: int | None = None) -> int:
    """How many trials fit at once on what Ray has now.

    Raises:
        InputError: not even one.
    """
    have = ray.cluster_resources()
    fits: list[int] = [math.floor(have.get("CPU", 0) / cpu + 1e-9)]
    if gpu:
        # A share of a GPU is a share of one and the same.
        each = math.floor(1 / gpu + 1e-9) if gpu < 1 else 1 / gpu
        fits.append(math.floor(have.get("GPU", 0) * each + 1e-9))
    if min(fits) < 1:
        raise InputError(
            f"each trial asks for {cpu:g} CPU and {gpu:g} GPU, but there are "
            f"{have.get('CPU', 0):g} and {have.get('GPU', 0):g}; "
            "ask for less: --cpus-per-trial, --gpus-per-trial"
        )
    return min([*fits, limit] if limit else fits)


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
        except OSError:
            continue  # of another user, or not yet held
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left, ignore_errors=True)
        except BlockingIOError:
            pass
        finally:
            os.close(lock)
