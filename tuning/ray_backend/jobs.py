"""Functions that are called on the Ray that is there, as many at once as their share allows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import ray
import torch

from tuning.ray_backend.callback import RETRIES
from tuning.ray_backend.stopping import StopRequest
from tuning.space.search_space import Resources

# How often a stop is looked for while jobs run.
POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Job:
    """A function of a module for a worker to call, with `device` besides.

    What share() gave is its value there, where it stands among the arguments.
    """

    function: Callable[..., Any]
    arguments: tuple[Any, ...]


def share(value: object) -> Any:
    """Something that many jobs have as an argument: it is sent once."""
    return ray.put(value)


def run_jobs(
    jobs: Sequence[Job], resources: Resources, stop: StopRequest, progress: Callable[[int], None]
) -> list[Any]:
    """The jobs' results, in their order; as many run at once as their share of the Ray allows.

    Args:
        progress: called with the number of those done, each time it grows.

    Raises:
        KeyboardInterrupt: `stop` asks to.
    """
    call = ray.remote(
        num_cpus=resources.cpu, num_gpus=resources.gpu, max_retries=RETRIES, max_calls=0
    )(_call)
    threads, gpu = max(1, int(resources.cpu)), resources.gpu > 0
    waiting = [call.remote(job.function, threads, gpu, *job.arguments) for job in jobs]
    numbers = {ref: number for number, ref in enumerate(waiting)}
    results: list[Any] = [None] * len(jobs)
    while waiting:
        if stop:
            for ref in waiting:
                ray.cancel(ref, force=True)
            raise KeyboardInterrupt
        ready, waiting = ray.wait(waiting, timeout=POLL_SECONDS)
        for ref in ready:
            results[numbers[ref]] = ray.get(ref)
        if ready:
            progress(len(jobs) - len(waiting))
    return results


def _call(function: Callable[..., Any], threads: int, gpu: bool, *arguments: Any) -> Any:
    torch.set_num_threads(threads)
    return function(*arguments, device="cuda" if gpu else "cpu")
