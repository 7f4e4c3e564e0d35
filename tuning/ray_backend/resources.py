"""What Ray has to run trials on: cores, memory, GPUs, and a storage that every node reaches."""

import math
import os
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from lstm_model.errors import InputError, os_error_text
from tuning.study.storage import StoragePath, remove_tree

# How long a node may take to try the storage: its first worker has to start.
PROBE_SECONDS = 60.0
# Of a worker, beside what all share: 100 to 120 MB were measured, with 22 workers on the CPU.
WORKER_BYTES = 150e6


def max_concurrent_trials(
    cpu: float, gpu: float, limit: int | None = None, cluster: bool = False
) -> Callable[[], int]:
    """How many trials may run at once: as many as fit on what Ray has, asked again and again.

    On a cluster, whose nodes come and go, it is `limit` where that is given, and else one more than
    fits: the one that waits asks an autoscaler for another node.

    Raises:
        InputError: not even one fits on a Ray of our own.
    """
    if cluster:
        return lambda: limit or _trials_that_fit(cpu, gpu) + 1
    fitting = _trials_that_fit(cpu, gpu)
    if fitting < 1:
        have = ray.cluster_resources()
        raise InputError(
            f"each trial asks for {cpu:g} CPU and {gpu:g} GPU, but there are "
            f"{have.get('CPU', 0):g} and {have.get('GPU', 0):g}; "
            "ask for less: --cpus-per-trial, --gpus-per-trial"
        )
    return lambda: min(fitting, limit or fitting)


def find_crowd(at_once: int, cpu: float, gpu: float, cluster: bool = False) -> str | None:
    """What is to be warned of where `at_once` trials are more than the cores or the memory bear.

    On a cluster more may be asked for than fits: those wait for nodes to come, and crowd nobody.
    """
    have = ray.cluster_resources()
    cores = have.get("CPU", 0.0)
    if cluster:
        at_once = min(at_once, _trials_that_fit(cpu, gpu))
    elif hasattr(os, "sched_getaffinity"):
        # Ray counts a machine's cores, or a container's, but not how many of them a batch system or
        # taskset leaves to this process.
        cores = min(cores, len(os.sched_getaffinity(0)))
    # Together they are what was free when Ray started: it would give a part to objects, of which
    # a study has few.
    free = have.get("memory", 0.0) + have.get("object_store_memory", 0.0)
    return describe_crowd(at_once, max(1, int(cpu)), cores, free)


def describe_crowd(at_once: int, threads: int, cores: float, free: float) -> str | None:
    """What is to be warned of where so many trials at once, of so many threads each, share so many
    cores, and so many bytes of memory that are free; None where they have room.
    """
    room = math.floor(free / WORKER_BYTES)
    causes = []
    if at_once * threads > cores:
        of_threads = f", of {threads} threads each," if threads > 1 else ""
        longer = f"{at_once * threads / cores:.1f}".removesuffix(".0")
        causes.append(
            f"{at_once} trials at once{of_threads} share {cores:g} core"
            f"{'' if cores == 1 else 's'}, so each takes some {longer} times as long, and the "
            f"search asks for {at_once} before it has a result to learn from"
        )
    if at_once > room:
        causes.append(
            f"{at_once} trials at once need some {at_once * WORKER_BYTES / 1e9:.1f} GB of memory, "
            f"and {free / 1e9:.1f} GB are free, so some of them may be killed"
        )
    if not causes:
        return None
    most = max(1, min(math.floor(cores / threads), room))
    return f"{'; '.join(causes)}; ask for --concurrency {most}"


def gpus_here() -> float:
    """How many GPUs Ray has now."""
    return float(ray.cluster_resources().get("GPU", 0))


def _trials_that_fit(cpu: float, gpu: float) -> int:
    """How many trials fit on what Ray has now."""
    have: dict[str, float] = ray.cluster_resources()
    by_cpu = math.floor(have.get("CPU", 0) / cpu + 1e-9)
    if not gpu:
        return by_cpu
    # A share of a GPU is a share of one and the same.
    per_gpu = math.floor(1 / gpu + 1e-9) if gpu < 1 else 1 / gpu
    return min(by_cpu, math.floor(have.get("GPU", 0) * per_gpu + 1e-9))


def check_shared_storage(root: StoragePath) -> None:
    """Write to `root` and read it back, from here and from every other node there is.

    Raises:
        InputError: it can't be written, or a node does not see what another one wrote.
    """
    here = ray.get_runtime_context().get_node_id()
    others = [node for node in ray.nodes() if node["Alive"] and node["NodeID"] != here]
    if isinstance(root, Path) and not others:
        return  # the study's folder is about to be made there
    root = root.resolve()
    probe = root / f".probe-{uuid.uuid4().hex}"
    try:
        try:
            probe.mkdir(parents=True)
            (probe / "driver").write_bytes(b"driver")
            (probe / "driver").read_bytes()
        except OSError as error:
            raise InputError(
                f"{root} can't be written: {os_error_text(error)}; choose another --storage"
            ) from error
        call = ray.remote(num_cpus=0, max_retries=0)(_probe_storage)
        answers = {
            call.options(
                scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            ).remote(probe, node["NodeID"]): node
            for node in others
        }
        for answer, node in answers.items():
            try:
                wrong = ray.get(answer, timeout=PROBE_SECONDS)
                if wrong is None and (probe / node["NodeID"]).read_bytes() != b"node":
                    wrong = "what it writes can't be read here"
            except (ray.exceptions.RayError, OSError) as error:
                wrong = str(error).splitlines()[0]
            if wrong:
                raise InputError(
                    f"{root} must be storage that every node shares, but at node "
                    f"{node['NodeManagerAddress']} {wrong}; name a directory that all nodes "
                    "mount, or a bucket (s3://...), with --storage"
                )
    finally:
        with suppress(OSError):
            remove_tree(probe)


def _probe_storage(probe: StoragePath, name: str) -> str | None:
    """Called on a node: what is wrong with the storage there, or None."""
    try:
        if (probe / "driver").read_bytes() != b"driver":
            return "it holds something else"
        (probe / name).write_bytes(b"node")
    except OSError as error:
        return f"it can't be used: {os_error_text(error)}"
    return None
