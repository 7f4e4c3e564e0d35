"""What all trainings on a table read, made once: a worker trains one model after another on it."""

import warnings
from collections.abc import Callable
from functools import wraps
from typing import TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from lstm_model.data.encoded_table import EncodedTable

T = TypeVar("T")


def cached_per_table(
    make: Callable[[EncodedTable, torch.device], T],
) -> Callable[[EncodedTable, torch.device], T]:
    """Cache make(table, device) per table object (identity, weak reference) and device.

    What is made must not refer to the table, which would then live for ever.
    """
    cache: WeakKeyDictionary[EncodedTable, dict[torch.device, T]] = WeakKeyDictionary()

    @wraps(make)
    def cached(table: EncodedTable, device: torch.device) -> T:
        by_device = cache.setdefault(table, {})
        if device not in by_device:
            by_device[device] = make(table, device)
        return by_device[device]

    return cached


@cached_per_table
def padded_inputs(table: EncodedTable, device: torch.device) -> Tensor:
    """EncodedTable.padded_inputs on the device: on a CPU the same memory."""
    with warnings.catch_warnings():
        # A worker's table lies in memory that is shared with others, and can't be written to.
        warnings.simplefilter("ignore", UserWarning)
        return torch.from_numpy(table.padded_inputs).to(device)
