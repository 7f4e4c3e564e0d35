"""A trial as its study keeps it, the truth from which all else is derived; and a study's name."""

import json
import math
import re
from dataclasses import asdict, dataclass, field, fields
from itertools import accumulate
from typing import Any, Literal, Self

from lstm_model.errors import InputError

State = Literal["running", "finished", "stopped_early", "failed", "interrupted"]


@dataclass
class Trial:
    """What is known of one trial.

    Attributes:
        id: its number in the study, from 0, kept when the study is resumed.
        config: the searched hyperparameters that exist in it, and the fixed ones.
        state: `interrupted` is to go on when the study is resumed.
        seconds: time spent in training and evaluation.
        best: of the epoch with the lowest validation RMSE: epoch, rmse, mae, skill, by_lead_time.
        history: of every epoch: epoch, loss, rmse, mae, skill, learning_rate, gradient_norm.
        checkpoint: where its last one lies, relative to the study's folder.
        saved: what `best` was at that checkpoint: the model in it made these errors.
        reason: why it failed.
    """

    id: int
    config: dict[str, Any]
    state: State = "running"
    seconds: float = 0.0
    best: dict[str, Any] | None = None
    history: list[dict[str, float]] = field(default_factory=list)
    checkpoint: str | None = None
    saved: dict[str, Any] | None = None
    reason: str | None = None

    @property
    def epochs(self) -> int:
        return len(self.history)

    @property
    def rmse(self) -> float:
        """Validation RMSE at the best epoch; infinite where there is none yet."""
        return float(self.best["rmse"]) if self.best else math.inf

    @property
    def under_way(self) -> bool:
        """Whether it has yet to end, now or when the study is resumed."""
        return self.state in ("running", "interrupted")

    @property
    def lowest(self) -> list[float]:
        """The lowest RMSE so far after each epoch: what samplers and schedulers go by."""
        return list(accumulate((epoch["rmse"] for epoch in self.history), min))

    def report(self, epoch: dict[str, Any]) -> None:
        """Take in what the trainable said of one more epoch."""
        self.best = epoch["best"]
        self.seconds += epoch["seconds"]
        # An epoch that ran again after its trial was restored takes the place of the first run.
        del self.history[epoch["epoch"] - 1 :]
        self.history.append({k: v for k, v in epoch.items() if k not in ("best", "seconds")})

    def content(self) -> bytes:
        return json.dumps(asdict(self), indent=1).encode()

    @classmethod
    def from_json(cls, saved: dict[str, Any]) -> Self:
        return cls(**{f.name: saved[f.name] for f in fields(cls)})


def study_name(name: str) -> str:
    """A study's name, which is its folder's in the runs directory.

    Raises:
        InputError: it could mean another folder, or is no name on every file system.
    """
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,99}", name):
        raise InputError(
            "a study's name must be 1 to 100 letters, digits, '_', '.', '+' or '-' and not begin "
            f"with '.', '+' or '-', but got {name!r}; choose another --name"
        )
    return name
