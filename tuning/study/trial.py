"""A trial as its study keeps it, the truth from which all else is derived; and a study's name."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from itertools import accumulate
from pathlib import PurePosixPath
from typing import (
    Any,
    Literal,
    NotRequired,  # typing's, which pydantic reads from 3.12
)

from pydantic import TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from lstm_model.errors import InputError
from tuning.space.search_space import Value

State = Literal["running", "finished", "stopped_early", "failed", "interrupted"]


@with_config(extra="allow")
class BestScore(TypedDict):
    """The validation errors of an epoch: means over the lead times, in the target's unit.

    `by_lead_time` has each metric by lead time, and `by_series` by series, where there are several.
    """

    epoch: int
    rmse: float
    mae: float
    skill: float
    by_lead_time: NotRequired[dict[str, dict[str, float]]]
    by_series: NotRequired[dict[str, dict[str, float]]]


def objective_of(score: BestScore) -> float:
    """What a search minimises, as lstm_model's Score has it: the RMSE, or of several series the
    mean of theirs by persistence's.
    """
    return 1.0 - float(score["skill"]) if "by_series" in score else float(score["rmse"])


class EpochReport(TypedDict):
    """What a worker says of one epoch.

    `best` is of the epoch with the lowest objective so far, `seconds` the time of this one.
    """

    epoch: int
    loss: float
    rmse: float
    mae: float
    skill: float
    learning_rate: float
    gradient_norm: float
    best: BestScore | None
    seconds: float


# What of an epoch is kept in a trial's history, in this order.
CURVES: tuple[
    Literal["epoch", "loss", "rmse", "mae", "skill", "learning_rate", "gradient_norm"], ...
] = ("epoch", "loss", "rmse", "mae", "skill", "learning_rate", "gradient_norm")


@dataclass
class Trial:
    """What is known of one trial.

    Attributes:
        id: its number in the study, from 0, kept when the study is resumed.
        config: the searched hyperparameters that exist in it, and the fixed ones.
        state: `interrupted` is to go on when the study is resumed.
        seconds: time spent in training and evaluation.
        best: of the epoch with the lowest objective on validation.
        history: of every epoch: epoch, loss, rmse, mae, skill, learning_rate, gradient_norm.
        checkpoint: where its last one lies, relative to the study's folder.
        saved: what `best` was at that checkpoint: the model in it made these errors.
        reason: why it failed.
    """

    id: int
    config: Mapping[str, Value]
    state: State = "running"
    seconds: float = 0.0
    best: BestScore | None = None
    history: list[dict[str, float]] = field(default_factory=list)
    checkpoint: str | None = None
    saved: BestScore | None = None
    reason: str | None = None

    @property
    def epochs(self) -> int:
        return len(self.history)

    @property
    def objective(self) -> float:
        """What the search minimises, at the best epoch; infinite where there is none yet."""
        return objective_of(self.best) if self.best else math.inf

    @property
    def rmse(self) -> float:
        """Validation RMSE at the best epoch; infinite where there is none yet."""
        return float(self.best["rmse"]) if self.best else math.inf

    @property
    def under_way(self) -> bool:
        """Whether it has yet to end, now or when the study is resumed."""
        return self.state in ("running", "interrupted")

    @property
    def best_objective_by_epoch(self) -> list[float]:
        """The lowest objective so far after each epoch: what samplers and schedulers go by."""
        several = self.best is not None and "by_series" in self.best
        values = (1.0 - epoch["skill"] if several else epoch["rmse"] for epoch in self.history)
        return list(accumulate(values, min))

    def report(self, epoch: EpochReport) -> None:
        """Take in what the trainable said of one more epoch."""
        self.best = epoch["best"]
        self.seconds += epoch["seconds"]
        # An epoch that ran again after its trial was restored takes the place of the first run.
        del self.history[epoch["epoch"] - 1 :]
        self.history.append({name: epoch[name] for name in CURVES})

    def to_bytes(self) -> bytes:
        # A line an attribute: to be read by people, and written in a tenth of the time that
        # json's own indentation takes.
        lines = [f"{json.dumps(f.name)}: {json.dumps(getattr(self, f.name))}" for f in fields(self)]
        return ("{\n" + ",\n".join(lines) + "\n}\n").encode()

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> "Trial":
        """What to_bytes() wrote.

        Raises:
            ValueError: it is no such thing, or contradicts itself.
        """
        lacking = [f.name for f in fields(cls) if f.name not in saved]
        if lacking:
            raise ValueError(f"it lacks {', '.join(lacking)}")
        try:
            trial = _TRIAL.validate_python(saved)
        except ValidationError as error:
            first = error.errors()[0]
            raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
        if [epoch.get("epoch") for epoch in trial.history] != list(range(1, trial.epochs + 1)):
            raise ValueError("its history skips epochs")
        if any("rmse" not in epoch for epoch in trial.history):
            raise ValueError("it lacks metrics")
        if type(saved["id"]) is not int or not math.isfinite(trial.seconds):
            raise ValueError("its id and seconds must be numbers")
        if trial.state == "finished" and trial.best is None:
            raise ValueError("it is finished, but has no RMSE")
        if trial.best and not 1 <= trial.best["epoch"] <= trial.epochs:
            raise ValueError("its best epoch is not in its history")
        # A record from elsewhere must not make a worker read outside the study's folder.
        path = PurePosixPath(trial.checkpoint or "checkpoints")
        if not path.is_relative_to("checkpoints") or ".." in path.parts:
            raise ValueError(f"its checkpoint lies outside the study: {trial.checkpoint}")
        return trial


_TRIAL = TypeAdapter(Trial)  # made once: that takes longer than to use it


LONGEST_NAME = 100  # characters, of a study


def study_name(name: str) -> str:
    """A study's name, which is its folder's in the runs directory.

    Raises:
        InputError: it could mean another folder, or is no name on every file system.
    """
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*", name) or len(name) > LONGEST_NAME:
        raise InputError(
            f"a study's name must be 1 to {LONGEST_NAME} letters, digits, '_', '.', '+' or '-' and "
            f"not begin with '.', '+' or '-', but got {name!r}; choose another --name"
        )
    return name
