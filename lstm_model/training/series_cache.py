"""What all trainings on a series read, made once: a worker trains one model after another on it."""

from collections.abc import Callable
from functools import wraps
from typing import TypeVar
from weakref import WeakKeyDictionary

import torch

from lstm_model.data.series import EncodedSeries

T = TypeVar("T")


def cached_per_series(
    make: Callable[[EncodedSeries, torch.device], T],
) -> Callable[[EncodedSeries, torch.device], T]:
    """Cache make(series, device) per series object (identity, weak reference) and device.

    What is made must not refer to the series, which would then live for ever.
    """
    cache: WeakKeyDictionary[EncodedSeries, dict[torch.device, T]] = WeakKeyDictionary()

    @wraps(make)
    def cached(series: EncodedSeries, device: torch.device) -> T:
        by_device = cache.setdefault(series, {})
        if device not in by_device:
            by_device[device] = make(series, device)
        return by_device[device]

    return cached
