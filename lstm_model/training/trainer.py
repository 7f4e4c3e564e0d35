"""Training on sequences: an iterator of epochs that knows nothing of who listens.

A chunk is `context_length` hours that are only read, then `chunk_length` hours with a loss at every
one; the memories are carried from step to step. Each hour is computed about once an epoch, where
sliding windows compute it once for every hour of their length.
"""

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial, wraps
from itertools import islice
from time import perf_counter
from typing import Any, NamedTuple, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding

from lstm_model.arrays import Float64Array
from lstm_model.configuration import Configuration
from lstm_model.data.series import EncodedSeries
from lstm_model.errors import TrainingFailed
from lstm_model.evaluation.metrics import Score, mean_score, rmse, score
from lstm_model.model.forecaster import LSTMForecaster
from lstm_model.seeds import mixed_seed
from lstm_model.training.optimiser import Optimiser

# Memories settle within days (docs/LOG.md): forecasts that are scored start after this many rows.
SETTLING_ROWS = 168
# Validation is folded into stretches of about this many rows that run side by side: one long
# sequence leaves the matrix kernels idle, and many short ones spend their time warming up.
SEGMENT_ROWS = 336
# A short series is cut into smaller batches, so that an epoch still has this many steps: with one
# or two a daily series of four years came to a skill of 1% instead of 19% (docs/LOG.md).
MIN_STEPS_PER_EPOCH = 16
# Batches are gathered together, up to so many numbers: it takes no more operations than one does.
MAX_GATHERED_NUMBERS = 1 << 20
# The learning rate starts and ends at this share of its peak.
MIN_LR_FRACTION = 0.02

Made = TypeVar("Made")


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
    """The epoch with the lowest validation RMSE so far."""

    epoch: int
    score: Score
    weights: dict[str, Tensor]  # of the last fold, which has learned from most rows


class Loss(NamedTuple):
    """Of errors, forecast minus target, by element, in new tensors.

    Its slope is `factor` times unscaled(error): a training keeps the factor with the weights.
    """

    value: Callable[[Tensor], Tensor]
    factor: float
    unscaled: Callable[[Tensor], Tensor]


def loss_function(config: Configuration) -> Loss:
    """Huber's loss is scaled to the slope of the absolute error, so that one learning rate serves
    every delta.
    """
    if config.loss == "mse":
        return Loss(torch.square, 2.0, torch.clone)
    if config.loss == "mae":
        return Loss(torch.abs, 1.0, torch.sign)
    delta = config.huber_delta
    clipped = partial(torch.clamp, min=-delta, max=delta)

    def value(error: Tensor) -> Tensor:
        inner = clipped(error)
        return torch.sub(error, inner, alpha=0.5).mul_(inner).mul_(1 / delta)

    return Loss(value, 1 / delta, clipped)


def learning_rate_at(progress: float, config: Configuration) -> float:
    """The rate after a share `progress` of the whole schedule: a cosine up, then a cosine down.

    It depends on `max_epochs` through that share alone, never on how long a scheduler lets the
    trial live (Smith and Topin 2018, "Super-convergence", arXiv:1708.07120).
    """
    if progress < config.warm_up:
        height = (1 - math.cos(math.pi * progress / config.warm_up)) / 2
    else:
        height = (1 + math.cos(math.pi * (progress - config.warm_up) / (1 - config.warm_up))) / 2
    return config.learning_rate * (MIN_LR_FRACTION + (1 - MIN_LR_FRACTION) * height)


@dataclass(frozen=True)
class TrainPass:
    """One pass over the training rows."""

    loss: float  # mean training loss
    gradient_norm: float  # mean over steps, before clipping
    learning_rate: float  # at its end


class FoldTrainer:
    """One model that learns from the training rows of one series, and never looks at others.

    The same arguments on one thread of one kind of CPU give the same numbers to the last bit,
    whether run at once or saved and loaded between two epochs.
    """

    def __init__(
        self,
        config: Configuration,
        series: EncodedSeries,
        *,
        max_epochs: int,
        seed: int,
        device: str = "cpu",
    ) -> None:
        """max_epochs: the length of the learning rate's schedule; a training may end before."""
        self.config, self.max_epochs, self.seed = config, max_epochs, seed
        self._device = torch.device(device)
        self._chunks = _Chunks(config, series, self._device)
        self.model = LSTMForecaster.seeded(
            series.inputs.shape[1], config, series.horizon, mixed_seed(seed, 0)
        ).to(self._device)
        # The model that forecasts: a moving average of the weights.
        self.averaged = copy.deepcopy(self.model)
        # Its weights were copied one by one; cuDNN wants them in one piece.
        self.averaged.lstm.flatten_parameters()
        self._optimiser = Optimiser(
            list(self.model.parameters()),
            list(self.averaged.parameters()),
            weight_decay=config.weight_decay,
            gradient_clip=config.gradient_clip,
            weight_averaging=config.weight_averaging,
        )
        self._loss = loss_function(config)
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
        starts = self._chunks.shuffled(draw)
        rates = self._rates(sum(map(len, starts)))
        losses: list[Tensor] = []
        norms: list[Tensor] = []
        with self._dropout_between_layers():
            for some in starts:
                batches = self._chunks.cut(some)
                errors = torch.zeros_like(batches.target)
                factors = batches.weight * self._loss.factor
                for rate, inputs, target, observed, factor, error, kept in zip(
                    islice(rates, len(some)),
                    batches.inputs,
                    batches.target,
                    batches.observed,
                    factors,
                    errors,
                    self._masks(some, draw),
                    strict=True,
                ):
                    if not observed:
                        continue  # a mean over no observed target would be 0/0
                    judge = partial(self._judge, target, factor, error)
                    self.model.backward(inputs, self.config.context_length, kept, judge)
                    norms.append(self._optimiser.step(rate))
                losses.append(
                    torch.dot(self._loss.value(errors).flatten(), batches.weight.flatten())
                )
        mean = float(torch.stack(losses).sum()) / len(norms)
        if not math.isfinite(mean):
            raise TrainingFailed(f"the loss of epoch {self.epoch} is not finite ({mean})")
        return TrainPass(mean, float(torch.stack(norms).mean()), rate)

    def _rates(self, steps: int) -> Iterator[float]:
        """The learning rates of an epoch's steps."""
        shares = [(self.epoch - 1 + step / steps) / self.max_epochs for step in range(1, steps + 1)]
        return iter([learning_rate_at(share, self.config) for share in shares])

    @contextmanager
    def _dropout_between_layers(self) -> Iterator[None]:
        """It draws from torch's global generator: lend it a seeded one."""
        if not self.model.lstm.dropout:
            yield
            return
        with torch.random.fork_rng(devices=[self._device] if self._device.type == "cuda" else []):
            torch.manual_seed(mixed_seed(self.seed, self.epoch))
            yield

    def _masks(self, starts: Tensor, draw: np.random.Generator) -> Tensor | list[None]:
        """The output dropout of some batches (S, B): which memories the head reads in each chunk,
        as a factor (S, B, H) that keeps their sum. All hours of a chunk share theirs (Gal and
        Ghahramani 2016, arXiv:1512.05287): one for each hour costs 4% of a training's time, and
        models that drop nothing are as good (docs/LOG.md).
        """
        dropped = self.config.output_dropout
        if not dropped:
            return [None] * len(starts)
        drawn = draw.random((*starts.shape, self.config.hidden_size), np.float32)
        masks = (drawn >= dropped).astype(np.float32) / np.float32(1 - dropped)
        return torch.from_numpy(masks).to(self._device)

    def _judge(self, target: Tensor, factor: Tensor, error: Tensor, forecast: Tensor) -> Tensor:
        """The loss's gradient by the forecasts; the errors themselves go to `error`.

        factor: of the loss's slope times the targets' weights: 0 where the target is missing.
        """
        torch.sub(forecast, target, out=error)
        return self._loss.unscaled(error).mul_(factor)

    def state(self) -> dict[str, Tensor]:
        """All that the next epoch depends on, but its number."""
        parts = {
            "model": self.model.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimiser": self._optimiser.state(),
        }
        return {f"{name}.{k}": v for name, part in parts.items() for k, v in part.items()}

    def load_state(self, tensors: dict[str, Tensor], epoch: int) -> None:
        """Go on after `epoch` from what state() gave, of a Training with the same arguments."""
        parts = by_prefix(tensors)
        self.model.load_state_dict(parts["model"])
        self.averaged.load_state_dict(parts["averaged"])
        self._optimiser.load_state(parts["optimiser"])
        self.epoch = epoch


class Trainer:
    """A training that is validated after each epoch: iterate over it for its epochs.

    A series with several folds has a training for each. They advance in step, so that an epoch is
    judged by the mean of their errors. Exactly reproducible as each Training is.
    """

    def __init__(
        self,
        config: Configuration,
        series: EncodedSeries,
        *,
        max_epochs: int,
        seed: int,
        device: str = "cpu",
    ) -> None:
        """max_epochs: the length of the learning rate's schedule, and of the iteration."""
        self.config, self.max_epochs = config, max_epochs
        self._folds = [
            (
                FoldTrainer(config, fold, max_epochs=max_epochs, seed=seed, device=device),
                _validation(fold, torch.device(device)),
            )
            for fold in series.folds
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
        return self.last.epoch

    def run_epoch(self) -> Epoch:
        """The next epoch.

        Raises:
            TrainingFailed: the loss or a forecast is not finite.
            ValueError: there is none, the schedule has ended.
        """
        start = perf_counter()
        passes = [training.train_epoch() for training, _ in self._folds]
        score = mean_score([check.score(training.averaged) for training, check in self._folds])
        if not math.isfinite(score.rmse):
            raise TrainingFailed(f"the forecasts of epoch {self.epoch} are not finite")
        if self.best is None or score.rmse < self.best.score.rmse:
            model = self.last.averaged
            weights = {k: v.detach().clone() for k, v in model.state_dict().items()}
            self.best = BestEpoch(self.epoch, score, weights)
        return Epoch(
            number=self.epoch,
            loss=float(np.mean([done.loss for done in passes])),
            score=score,
            best=self.best,
            learning_rate=passes[-1].learning_rate,
            gradient_norm=float(np.mean([done.gradient_norm for done in passes])),
            seconds=perf_counter() - start,
        )

    def forecasts(self) -> list[Float64Array]:
        """What each fold's model forecasts now: see Validation.forecast()."""
        return [check.forecast(training.averaged) for training, check in self._folds]

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """All that the next epoch depends on: tensors, and numbers that JSON takes."""
        tensors: dict[str, Tensor] = {}
        for number, (training, _) in enumerate(self._folds):
            tensors |= {f"{number}.{k}": v for k, v in training.state().items()}
        numbers: dict[str, Any] = {"epoch": self.epoch, "best": None}
        if self.best is not None:
            tensors |= {f"best.{k}": v for k, v in self.best.weights.items()}
            numbers["best"] = {"epoch": self.best.epoch, "score": self.best.score.by_lead_time()}
        return tensors, numbers

    def load_state(self, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:
        """Go on from what state() gave, of a Fit with the same arguments."""
        parts = by_prefix(tensors)
        for number, (training, _) in enumerate(self._folds):
            training.load_state(parts[str(number)], numbers["epoch"])
        best = numbers["best"]
        self.best = best and BestEpoch(best["epoch"], Score.from_json(best["score"]), parts["best"])


def by_prefix(tensors: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """{"a.b": tensor} -> {"a": {"b": tensor}}."""
    parts: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        part, _, key = name.partition(".")
        parts.setdefault(part, {})[key] = tensor
    return parts


class Batches(NamedTuple):
    """S batches of B chunks each, hours first, as the LSTM goes through them."""

    inputs: Tensor  # (S, context + chunk, B, F)
    target: Tensor  # (S, chunk B, L), hour by hour
    weight: Tensor  # (S, chunk B, L), of each batch in sum 1: a missing target has none
    observed: list[bool]  # whether any target of the batch was


def _made_once(
    make: Callable[[EncodedSeries, torch.device], Made],
) -> Callable[[EncodedSeries, torch.device], Made]:
    """What all trainings on a series read, kept for as long as the series is: a worker trains one
    model after another on the same. What is made must not refer to the series.
    """
    kept: WeakKeyDictionary[EncodedSeries, dict[torch.device, Made]] = WeakKeyDictionary()

    @wraps(make)
    def once(series: EncodedSeries, device: torch.device) -> Made:
        found = kept.setdefault(series, {})
        if device not in found:
            found[device] = make(series, device)
        return found[device]

    return once


@_made_once
def _training_rows(series: EncodedSeries, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs (T, F), scaled changes (T, L) and which of them are observed (T, L), and after them a
    row that stands for all others: read as the training mean, and not scored.
    """
    observed = series.train_mask[: series.validation_start]
    changes = (
        np.where(observed, series.changes[: series.validation_start], 0.0) / series.change_scale
    )
    inputs, target, weight = (
        torch.from_numpy(np.pad(values, ((0, 1), (0, 0))).astype(np.float32)).to(device)
        for values in (series.inputs[: series.validation_start], changes, observed)
    )
    return inputs, target, weight


class _Chunks:
    """The training rows, cut anew each epoch into chunks that start at a random offset: the first
    one's context is before them, and its end and the last one's may be outside.
    """

    def __init__(self, config: Configuration, series: EncodedSeries, device: torch.device) -> None:
        self._length, self._batch = config.chunk_length, config.batch_size
        self._context = config.context_length
        self._inputs, self._target, self._weight = _training_rows(series, device)
        self._rows = series.validation_start
        self._hours = torch.arange(-self._context, self._length, device=device)[:, None]

    def shuffled(self, draw: np.random.Generator) -> list[Tensor]:
        """Where the chunks of each batch start: (S, B) for S batches of as many chunks each, to be
        gathered together. Every training row lies in exactly one chunk.
        """
        starts = np.arange(-int(draw.integers(self._length)), self._rows, self._length)
        steps = max(round(len(starts) / self._batch), min(MIN_STEPS_PER_EPOCH, len(starts)))
        shuffled = torch.from_numpy(draw.permutation(starts)).to(self._inputs.device)
        size, larger = divmod(len(starts), steps)
        cut = larger * (size + 1)
        alike = (shuffled[:cut].view(larger, size + 1), shuffled[cut:].view(-1, size))
        chunk = len(self._hours) * self._inputs.shape[1] + self._length * self._target.shape[1]
        most = [max(1, MAX_GATHERED_NUMBERS // (batches.shape[1] * chunk)) for batches in alike]
        return [some for each in map(torch.split, alike, most) for some in each if len(some)]

    def cut(self, starts: Tensor) -> Batches:
        """The chunks of the batches that start there (S, B)."""
        rows = starts[:, None] + self._hours
        rows.masked_fill_((rows < 0) | (rows >= self._rows), self._rows)
        scored = rows[:, self._context :].flatten(1)
        weight = embedding(scored, self._weight)
        observed = weight.sum((1, 2))
        weight /= observed.clamp(min=1)[:, None, None]
        return Batches(
            embedding(rows, self._inputs),
            embedding(scored, self._target),
            weight,
            observed.bool().tolist(),
        )


class HoldoutEvaluator:
    """Forecasts and scores every origin of the validation period in one forward pass.

    Attributes:
        first: the row of the first origin, `horizon` rows before the first row that is scored.
        changes, scored: (T - first, L) what happened, and which of it counts.
        persistence_rmse: (L,) on the same rows.
    """

    def __init__(self, series: EncodedSeries, device: torch.device | str = "cpu") -> None:
        self.first = max(0, series.validation_start - series.horizon)
        self.changes = series.changes[self.first :]
        self.scored = series.valid_mask[self.first :]
        self.persistence_rmse = rmse(self.changes, self.scored)
        self._stretches = Segments(torch.tensor(series.inputs).to(device), self.first)
        self._scale = series.change_scale
        self._least = series.min_changes[self.first :, None]

    def forecast(self, model: LSTMForecaster) -> Float64Array:
        """(T - first, L) changes from the last observed value, in the target's unit.

        What can't be negative is not forecast to be.
        """
        return np.maximum(self._stretches.forecast(model) * self._scale, self._least)

    def score(self, model: LSTMForecaster) -> Score:
        """The model's metrics on the validation rows."""
        return self.score_of(self.forecast(model))

    def score_of(self, forecast: Float64Array) -> Score:
        """The metrics of what forecast() gave, or of a mean of several such."""
        return score(forecast - self.changes, self.scored, self.persistence_rmse)


@_made_once
def _validation(series: EncodedSeries, device: torch.device) -> HoldoutEvaluator:
    return HoldoutEvaluator(series, device)


class Segments:
    """Rows of a table that are forecast from in one pass: cut into stretches that run side by side,
    each warmed up on the WARM_UP_ROWS before it.
    """

    def __init__(self, inputs: Tensor, first: int) -> None:
        """inputs: (T, F) float32, scaled as Series.inputs. first: the first row of them."""
        self._rows = len(inputs) - first
        count = max(1, round(self._rows / SEGMENT_ROWS))
        length = -(-self._rows // count)
        # Rows before the table, read as the training mean, and after it, to fill the last stretch.
        before = max(0, SETTLING_ROWS - first)
        padded = torch.nn.functional.pad(
            inputs[max(0, first - SETTLING_ROWS) :], (0, 0, before, count * length - self._rows)
        )
        stretches = padded.unfold(0, SETTLING_ROWS + length, length)
        # (B, F, T) so far; in memory as the LSTM goes through it.
        self._inputs = stretches.permute(2, 0, 1).contiguous().transpose(0, 1)

    @torch.inference_mode()
    def forecast(self, model: LSTMForecaster) -> Float64Array:
        """(T - first, L) scaled changes."""
        out = model.eval()(self._inputs, skip=SETTLING_ROWS).flatten(0, 1)[: self._rows]
        return np.asarray(out.cpu().numpy(), np.float64)
