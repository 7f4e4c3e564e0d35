"""How many trials fit on what Ray has, and what is said of more than it bears."""

import os

import pytest
import ray

from lstm_model.errors import InputError
from tuning.ray_backend.resources import describe_crowd, find_crowd, max_concurrent_trials

GB = 1e9
SHARED = (
    "50 trials at once share 2 cores, so each takes some 25 times as long, and the search asks for "
    "50 before it has a result to learn from"
)


@pytest.mark.parametrize(
    ("cpu", "limit", "expected"),
    [(1, None, 2), (0.5, None, 4), (2, None, 1), (0.5, 3, 3), (1, 9, 2)],
)
def test_as_many_trials_as_fit(
    cpu: float, limit: int | None, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 2.0})
    assert max_concurrent_trials(cpu, 0, limit)() == expected


def test_on_a_cluster_one_more_waits_than_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    have = {"CPU": 0.0}
    monkeypatch.setattr(ray, "cluster_resources", lambda: have)
    at_once, limited = (
        max_concurrent_trials(1, 0, cluster=True),
        max_concurrent_trials(1, 0, 16, cluster=True),
    )
    assert (at_once(), limited()) == (1, 16), "an autoscaler is asked for the first node"
    have["CPU"] = 8.0
    assert (at_once(), limited()) == (9, 16)


def test_gpus_bound_how_many_trials_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 16.0, "GPU": 2.0})
    assert max_concurrent_trials(1, 0.25)() == 8
    assert max_concurrent_trials(1, 1)() == 2
    with pytest.raises(InputError, match="asks for 1 CPU and 4 GPU, but there are 16 and 2"):
        max_concurrent_trials(1, 4)


@pytest.mark.parametrize(
    ("at_once", "threads", "cores", "free"),
    [
        (2, 1, 2.0, 4 * GB),
        (1, 4, 4.0, 4 * GB),
        (8, 2, 16.0, 4 * GB),
        (20, 1, 64.0, 3.0 * GB),  # 150 MB each, to the last byte
        (0, 1, 0.0, 0.0),  # a cluster whose nodes have yet to come, or nothing left to run
    ],
)
def test_trials_that_have_room_are_not_warned_of(
    at_once: int, threads: int, cores: float, free: float
) -> None:
    assert describe_crowd(at_once, threads, cores, free) is None


@pytest.mark.parametrize(
    ("crowd", "warning"),
    [
        ((50, 1, 2.0, 20 * GB), f"{SHARED}; ask for --concurrency 2"),
        (
            (3, 1, 2.0, 20 * GB),
            "3 trials at once share 2 cores, so each takes some 1.5 times as long, and the search "
            "asks for 3 before it has a result to learn from; ask for --concurrency 2",
        ),
        (
            (2, 1, 1.0, 20 * GB),
            "2 trials at once share 1 core, so each takes some 2 times as long, and the search "
            "asks for 2 before it has a result to learn from; ask for --concurrency 1",
        ),
        (
            (3, 4, 8.0, 20 * GB),
            "3 trials at once, of 4 threads each, share 8 cores, so each takes some 1.5 times as "
            "long, and the search asks for 3 before it has a result to learn from; "
            "ask for --concurrency 2",
        ),
        (
            (64, 1, 64.0, 6 * GB),
            "64 trials at once need some 9.6 GB of memory, and 6.0 GB are free, so some of them "
            "may be killed; ask for --concurrency 40",
        ),
        (
            (50, 1, 2.0, 1.0 * GB),
            f"{SHARED}; 50 trials at once need some 7.5 GB of memory, and 1.0 GB are free, so "
            "some of them may be killed; ask for --concurrency 2",
        ),
        (
            (2, 1, 2.0, 0.1 * GB),
            "2 trials at once need some 0.3 GB of memory, and 0.1 GB are free, so some of them "
            "may be killed; ask for --concurrency 1",
        ),
    ],
)
def test_crowd_is_warned_of_with_both_numbers(
    crowd: tuple[int, int, float, float], warning: str
) -> None:
    assert describe_crowd(*crowd) == warning


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """What Ray has: 16 cores, all of them this process's, 2 GPUs and 32 GB."""
    have = {"CPU": 16.0, "GPU": 2.0, "memory": 22 * GB, "object_store_memory": 10 * GB}
    monkeypatch.setattr(ray, "cluster_resources", lambda: have)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)
    return have


@pytest.mark.parametrize(("cpu", "gpu"), [(1.0, 0.0), (1.0, 0.25), (4.0, 0.0), (4.0, 1.0)])
def test_as_many_as_fit_crowd_nobody(machine: dict[str, float], cpu: float, gpu: float) -> None:
    for cluster in (False, True):
        assert (
            find_crowd(max_concurrent_trials(cpu, gpu, cluster=cluster)(), cpu, gpu, cluster)
            is None
        )


def test_shares_of_a_core_crowd_it(machine: dict[str, float]) -> None:
    warning = find_crowd(max_concurrent_trials(0.25, 0)(), 0.25, 0)
    assert warning is not None
    assert warning.startswith(
        "64 trials at once share 16 cores, so each takes some 4 times as long"
    )
    assert find_crowd(max_concurrent_trials(0.25, 0, 16)(), 0.25, 0) is None


def test_memory_is_what_was_free_when_ray_started(machine: dict[str, float]) -> None:
    machine["memory"], machine["object_store_memory"] = 1.4 * GB, 0.6 * GB
    warning = find_crowd(16, 1, 0)
    assert warning is not None
    assert warning.startswith("16 trials at once need some 2.4 GB of memory, and 2.0 GB are free")


def test_trials_waiting_for_nodes_crowd_nobody(machine: dict[str, float]) -> None:
    assert find_crowd(64, 1, 0, cluster=True) is None
    warning = find_crowd(64, 0.5, 0, cluster=True)
    assert warning is not None
    assert warning.startswith(
        "32 trials at once share 16 cores, so each takes some 2 times as long"
    )
    machine.update(CPU=0.0, memory=0.0)
    assert find_crowd(64, 0.5, 0, cluster=True) is None


def test_cores_of_other_batch_jobs_are_not_counted(
    machine: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    warning = find_crowd(16, 1, 0)
    assert warning is not None
    assert warning.startswith("16 trials at once share 4 cores, so each takes some 4 times as long")
    assert find_crowd(16, 1, 0, cluster=True) is None, "of a cluster's nodes nothing is known"
