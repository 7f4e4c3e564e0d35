"""Memory that a study has in use, and what the machine has left."""

from contextlib import suppress
from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class MemoryUse:
    """Bytes: in use by a process and all that it started, free in the machine, there in all."""

    used: int
    free: int
    total: int


def measure_memory(process: psutil.Process) -> MemoryUse:
    """Memory in use by a process and its descendants, Ray's workers among them.

    Libraries and Ray's object store lie in memory once, whoever maps them. Only Linux tells how
    much of a process that is; elsewhere it counts for each.

    Raises:
        psutil.Error: the process has ended.
    """
    private = shared = 0
    for member in (process, *process.children(recursive=True)):
        with suppress(psutil.Error):  # it has ended meanwhile
            memory = member.memory_info()
            mapped = getattr(memory, "shared", 0)
            private += memory.rss - mapped
            shared = max(shared, mapped)
    machine = psutil.virtual_memory()
    return MemoryUse(private + shared, machine.available, machine.total)
