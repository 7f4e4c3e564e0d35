"""Steps and lead times as people read them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def step_name(step: "pd.Timedelta") -> str:
    """A table's time step, without the zeros of pandas' own form: 1 h, 2 days, 15 min."""
    units = (("day", 86400), ("h", 3600), ("min", 60), ("s", 1))
    seconds = int(step.total_seconds())
    name, length = next(unit for unit in units if seconds % unit[1] == 0)
    count = seconds // length
    return f"{count} {name}{'s' if name == 'day' and count > 1 else ''}"


def lead_name(step: str, lead: int) -> str:
    """A lead time in steps of that name.

    >>> lead_name("1 h", 3), lead_name("15 min", 3)
    ('3 h', '3 steps of 15 min')
    """
    return f"{lead} h" if step == "1 h" else f"{lead} step{'s' if lead > 1 else ''} of {step}"


def number_ranges(numbers: Sequence[int]) -> str:
    """Numbers in ascending order, neighbours joined.

    >>> number_ranges([1, 3, 4, 5])
    '1, 3 to 5'
    """
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and ranges[-1][-1] == number - 1:
            ranges[-1].append(number)
        else:
            ranges.append([number])
    return ", ".join(f"{r[0]} to {r[-1]}" if len(r) > 1 else str(r[0]) for r in ranges)
