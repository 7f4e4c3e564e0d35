"""Training on sequences: an iterator of epochs that knows nothing of who listens."""

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lstm_model.arrays import Float64Array
from lstm_model.configuration import Configuration
from lstm_model.data.encoded_table import EncodedTable
from lstm_model.errors import TrainingFailed
from lstm_model.evaluation.metrics import Score, mean_score
from lstm_model.model.forecaster import Forecaster, LSTMForecaster, seeded_torch
from lstm_model.seeds import mixed_seed
from lstm_model.training.batches import Chunks, EpochBatches
from lstm_model.training.evaluator import holdout_evaluator
from lstm_model.training.losses import loss_function
from lstm_model.training.optimiser import Optimiser
from lstm_model.training.schedule import learning_rate_at
from lstm_model.training.state import TrainerState, by_prefix


@dataclass(frozen=True)
class Epoch:
    """What one epoch of training came to; over several folds, the means of theirs."""

    number: int  # from 1
    loss: float  # mean training loss
    score: Score  # on validation, of the averaged weights
    best: "BestEpoch"  # the best epoch so far, this one included
    learning_rate: float  # at the epoch's end
    gradient_norm: float  # mean over steps, before clipping
    seconds: float


@dataclass(frozen=True)
class BestEpoch:
    """The epoch with the lowest objective on validation so far: see Score."""

    epoch: int
    score: Score
    weights: dict[str, Tensor]  # of the last fold, which has learned from most rows


@dataclass(frozen=True)
class TrainPass:
    """One pass over the training rows."""

    loss: float  # mean training loss
    gradient_norm: float  # mean over steps, before clipping
    learning_rate: float  # at its end


class FoldTrainer:
    """One model that learns from the training rows of a table, and never looks at others.

    The same arguments on one thread of one kind of CPU give the same numbers to the last bit,
    whether run at once or saved and loaded between two epochs.

    Attributes:
        model: the one that learns.
        averaged: the one that forecasts, with a moving average of its weights.
    """

    def __init__(
        self,
        config: Configuration,
        table: EncodedTable,
        *,
        max_epochs: int,
        seed: int,
        device: str = "cpu",
        model_class: type[Forecaster] = LSTMForecaster,
    ) -> None:
        """max_epochs: the length of the learning rate's schedule; a training may end before."""
        self.config, self.max_epochs, self.seed = config, max_epochs, seed
        self._device = torch.device(device)
        self._chunks = Chunks(config, table, self._device)
        self._loss = loss_function(config)
        self.model = model_class.seeded(
            table.inputs.shape[1], config, table.horizon, mixed_seed(seed, 0)
        ).to(self._device)
        # Weights are copied one by one. cuDNN wants an LSTM's in one piece, and to() makes them so.
        self.averaged = copy.deepcopy(self.model).to(self._device)
        self._optimiser = Optimiser(
            list(self.model.parameters()),
            list(self.averaged.parameters()),
            config,
            flat=self._device.type == "cpu",
        )
        self.epoch = 0

    def train_epoch(self) -> TrainPass:
        """The next epoch: one pass over the training rows.

        Raises:
            TrainingFailed: the loss is not finite.
            ValueError: there is none, the schedule has ended.
        """
        if self.epoch >= self.max_epochs:
            raise ValueError(f"a training must end after its {self.max_epochs} epochs")
        self.epoch += 1
        self.model.train()
        draw = np.random.default_rng([self.seed, self.epoch])
        batches = EpochBatches(self._chunks, draw, self._loss, self.model.dropout_masks)
        norms: list[Tensor] = []
        context = self.config.context_length
        with seeded_torch(mixed_seed(self.seed, self.epoch), self._device):
            for step, batch in enumerate(batches, start=1):
                progress = (self.epoch - 1 + step / len(batches)) / self.max_epochs
                learning_rate = learning_rate_at(progress, self.config)
                if not batch.observed:
                    continue  # a mean over no observed target would be 0/0
                self.model.backward(batch.inputs, context, batch.loss_gradient, batch.dropout_mask)
                norms.append(self._optimiser.step(learning_rate))
        loss = batches.loss() / len(norms)
        if not math.isfinite(loss):
            raise TrainingFailed(f"the loss of epoch {self.epoch} is not finite ({loss})")
        return TrainPass(loss, float(torch.stack(norms).mean()), learning_rate)

    def state(self) -> dict[str, Tensor]:
        """All that the next epoch depends on, but its number."""
        parts = {
            "model": self.model.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimiser": self._optimiser.state(),
        }
        return {f"{name}.{k}": v for name, part in parts.items() for k, v in part.items()}

    def load_state(self, tensors: dict[str, Tensor], epoch: int) -> None:
        """Go on after `epoch` from what state() gave, of a FoldTrainer with the same arguments."""
        parts = by_prefix(tensors)
        self.model.load_state_dict(parts["model"])
        self.averaged.load_state_dict(parts["averaged"])
        self._optimiser.load_state(parts["optimiser"])
        self.epoch = epoch


class Trainer:
    """A training that is validated after each epoch: iterate over it for its epochs.

    A table with several folds has a FoldTrainer for each. They advance in step, and the mean of
    their errors says which epoch is best. Exactly reproducible as each FoldTrainer is.
    """

    def __init__(
        self,
        config: Configuration,
        table: EncodedTable,
        *,
        max_epochs: int,
        seed: int,
        device: str = "cpu",
        model_class: type[Forecaster] = LSTMForecaster,
    ) -> None:
        """max_epochs: the length of the learning rate's schedule, and of the iteration."""
        self.config, self.max_epochs = config, max_epochs
        make = partial(
            FoldTrainer,
            config,
            max_epochs=max_epochs,
            seed=seed,
            device=device,
            model_class=model_class,
        )
        self._folds = [
            (make(fold), holdout_evaluator(fold, torch.device(device))) for fold in table.folds
        ]
        self.best: BestEpoch | None = None

    def __iter__(self) -> Iterator[Epoch]:
        while self.epoch < self.max_epochs:
            yield self.run_epoch()

    @property
    def last(self) -> FoldTrainer:
        """The last fold's, which learns from most rows."""
        return self._folds[-1][0]

    @property
    def epoch(self) -> int:
        """The number of the last epoch; 0 before the first."""
        return self.last.epoch

    def run_epoch(self) -> Epoch:
        """The next epoch.

        Raises:
            TrainingFailed: the loss or a forecast is not finite.
            ValueError: there is none, the schedule has ended.
        """
        start = perf_counter()
        passes = [trainer.train_epoch() for trainer, _ in self._folds]
        score = mean_score([holdout.score(trainer.averaged) for trainer, holdout in self._folds])
        if not math.isfinite(score.rmse):
            raise TrainingFailed(f"the forecasts of epoch {self.epoch} are not finite")
        if self.best is None or score.objective < self.best.score.objective:
            weights = self.last.averaged.state_dict()
            self.best = BestEpoch(
                self.epoch, score, {k: v.detach().clone() for k, v in weights.items()}
            )
        return Epoch(
            number=self.epoch,
            loss=float(np.mean([fold.loss for fold in passes])),
            score=score,
            best=self.best,
            learning_rate=passes[-1].learning_rate,
            gradient_norm=float(np.mean([fold.gradient_norm for fold in passes])),
            seconds=perf_counter() - start,
        )

    def forecasts(self) -> list[Float64Array]:
        """What each fold's model forecasts now: see HoldoutEvaluator.forecast()."""
        return [holdout.forecast(trainer.averaged) for trainer, holdout in self._folds]

    def state(self) -> TrainerState:
        """All that the next epoch depends on: tensors, and numbers that JSON takes."""
        tensors = {
            f"{number}.{name}": tensor
            for number, (trainer, _) in enumerate(self._folds)
            for name, tensor in trainer.state().items()
        }
        if self.best is None:
            return TrainerState(tensors, {"epoch": self.epoch, "best": None})
        tensors |= {f"best.{name}": tensor for name, tensor in self.best.weights.items()}
        best = {"epoch": self.best.epoch, "score": self.best.score.to_state()}
        return TrainerState(tensors, {"epoch": self.epoch, "best": best})

    def load_state(self, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:
        """Go on from what state() gave, of a Trainer with the same arguments."""
        parts = by_prefix(tensors)
        for number, (trainer, _) in enumerate(self._folds):
            trainer.load_state(parts[str(number)], numbers["epoch"])
        best = numbers["best"]
        self.best = best and BestEpoch(best["epoch"], Score.from_json(best["score"]), parts["best"])
