"""What the rows of a series must be, and what is said of those that aren't."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from lstm_model.arrays import IntArray
from lstm_model.configuration import Reading
from lstm_model.data.places import Places
from lstm_model.data.step import (
    ALMOST_A_DAY,
    MOSTLY,
    Step,
    dates_on_wall,
    likely_months,
    off_grid,
    to_ticks,
)
from lstm_model.errors import TableError

Labels = Sequence[Any] | pd.Index  # of rows, as places has them


@dataclass(frozen=True)
class RowNames:
    """What messages call the rows of a table, by their number."""

    places: Places
    labels: Labels

    def locate(self, row: int) -> str:
        return self.places.locate(self.labels[int(row)])

    def move(self, goes: str, times: pd.DatetimeIndex, rows: IntArray, at: int) -> str:
        """How the clock goes from the row before to one, by its number among these rows."""
        before = self.places.row(self.labels[int(rows[at - 1])])
        return (
            f"{self.locate(rows[at])}: the clock {goes} from {times[at - 1]} ({before}) to "
            f"{times[at]}"
        )


def irregular(
    times: pd.DatetimeIndex,
    rows: IntArray,
    step: Step | None,
    names: RowNames,
    like: str | None = None,
) -> TableError:
    """Why rising times are on no step, or not on the one that is known."""
    if len(times) < 2:
        return TableError(
            f"{names.locate(rows[0])}: the clock must go on, but all rows have {times[0]}"
        )
    if step is not None:
        at, broken = off_grid(times, step) or 1, ""
        others = "those that the model was trained on" if like is None else f"those of {like}"
        rule = f"rows must be {step.name} apart, as {others}"
    else:
        gaps = np.diff(to_ticks(times))
        if gaps.min() >= ALMOST_A_DAY:  # a day is a day, of 23 hours or 25
            gaps = np.diff(to_ticks(dates_on_wall(times)))
        kinds, counts = np.unique(gaps, return_counts=True)
        usual = kinds[counts.argmax()]
        most, off = ", as most are" if counts.max() > MOSTLY * len(gaps) else "", gaps != usual
        likely = Step.of(pd.Timedelta(usual))
        if (month := likely_months(times)) is not None:
            most, likely = ", as most are", month
            off = ~times.isin(month.grid(times[0], times[-1]))[1:]
        at = int(off.argmax()) + 1
        rule = f"rows must be {likely.name} apart{most}"
        broken = f" (rows that break this: {off.sum()})"
    return TableError(
        f"{names.move('jumps', times, rows, at)}, but {rule}{broken}; correct the times, or gather "
        "the rows in steps of one length first"
    )


def check_length(
    times: pd.DatetimeIndex,
    rows: IntArray,
    step: Step,
    names: RowNames,
    most_lacking: int | None,
) -> None:
    """Not most steps may be without a row; told before there is a time in memory for each."""
    if step.is_fixed:
        steps = int((times[-1] - times[0]) // step.duration) + 1
    else:
        steps = len(step.grid(times[0], times[-1]))
    lacking = steps - len(times)
    if lacking > (len(times) if most_lacking is None else most_lacking):
        longest = int(np.diff(to_ticks(times)).argmax()) + 1
        raise TableError(
            f"{names.move('jumps', times, rows, longest)}, but rows must be {step.name} apart, and "
            f"{lacking:,} steps of its {steps:,} have no row; correct the times, or gather the "
            "rows in longer steps first"
        )


def check_gaps(
    times: pd.DatetimeIndex,
    rows: IntArray,
    grid: pd.DatetimeIndex,
    step: Step,
    reading: Reading,
    names: RowNames,
    *,
    trained: bool,
) -> None:
    """Steps may have no row only where `gaps` says so."""
    if reading.gaps != "refuse":
        return
    lacking = len(grid) - len(times)
    jumps = np.diff(grid.get_indexer(times)) > 1
    move = names.move("jumps", times, rows, int(jumps.argmax()) + 1)
    steps = "step" if lacking == 1 else "steps"
    rule = f"{move}, but rows must be {step.name} apart (rows that break this: {jumps.sum()})"
    if trained:
        raise TableError(
            f"{rule}; put a row without values in for each of the {lacking:,} {steps} without "
            "one, or train with gaps: fill, which a model keeps"
        )
    raise TableError(
        f"{rule}; in the data block, gaps: fill makes the {lacking:,} {steps} without a row "
        "rows without values"
    )
