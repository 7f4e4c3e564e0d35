"""What Ray must find in the environment before it is imported; set by each command first."""

import logging
import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module

# Of a Ray of the command's own.
LOCAL_SETTINGS = {
    # Loopback only: without this it listens on every address.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    # Below `uv run` Ray would make an environment for workers. They have ours here.
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
}
SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Our own progress and records take the place of Tune's tables and loggers.
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_AUTO_CALLBACK_SYNCER": "1",
    # Tune's snapshots of all trials, which nobody reads: in plain mode there are as few as can be.
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",
    # Signals are ours: Tune's handler would stay installed, and SIGTERM would end Ray at once.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    # Workers start side by side: the searcher itself gives out no more trials than there are slots.
    "TUNE_MAX_PENDING_TRIALS_PG": "100000",
    # Trials without a GPU keep the environment's CUDA_VISIBLE_DEVICES, and Ray says nothing of it.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # The cores are the trials': on busy ones several threads of torch's wait for each other by
    # spinning, several times as long as one needs. Trials set their own number.
    "OMP_NUM_THREADS": "1",
}


def set_environment(address: str | None = None) -> None:
    """Set what the user has not set. address: of a cluster, where it is not a Ray of our own."""
    for name, value in (SETTINGS if address else SETTINGS | LOCAL_SETTINGS).items():
        os.environ.setdefault(name, value)


@contextmanager
def environment(address: str | None = None) -> Iterator[None]:
    """The same, for the time of a call from Python. What Ray sets meanwhile goes too."""
    before = dict(os.environ)
    set_environment(address)
    try:
        _import_quietly()
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)


def _import_quietly() -> None:
    """In a notebook tqdm and Ray, when imported, ask for ipywidgets. Nobody needs it here."""
    if "IPython" not in sys.modules:
        return
    logger = logging.getLogger("ray.widgets.util")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "IProgress not found")
            import_module("tqdm.auto")  # as Optuna does
        import ray  # noqa: F401
    finally:
        logger.setLevel(level)


def joined_address() -> str | None:
    """The Ray that this process is connected to already; None where there is none."""
    ray = sys.modules.get("ray")
    if ray is None or not ray.is_initialized():
        return None
    return str(ray.get_runtime_context().gcs_address)


def resolve_address(address: str | None) -> str | None:
    """The cluster to use: the one at `address`, else the one whose job this process is."""
    in_a_job = "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ
    return address or ("auto" if in_a_job else None)


@contextmanager
def variables(values: Mapping[str, str | None]) -> Iterator[None]:
    """Environment variables that are as before afterwards. None: whatever it is meanwhile."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update({name: value for name, value in values.items() if value is not None})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
