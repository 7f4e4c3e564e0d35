"""The training rows as batches of chunks.

A chunk is `context_length` rows that are only read, then `chunk_length` rows with a loss at every
one; the memories are carried from row to row. Each row is computed about once an epoch, where
sliding windows compute it once for every row of their length.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding

from lstm_model.configuration import Configuration
from lstm_model.data.series import EncodedSeries
from lstm_model.training.losses import Loss
from lstm_model.training.series_cache import cached_per_series

# A short series is cut into smaller batches, so that an epoch still has this many steps: with one
# or two a daily series of four years came to a skill of 1% instead of 19% (docs/LOG.md).
MIN_STEPS_PER_EPOCH = 16
# Batches are gathered together, up to so many numbers: it takes no more operations than one does.
MAX_GATHERED_NUMBERS = 1 << 20


class Batch(NamedTuple):
    """One step of the optimiser: B chunks, rows first, as an LSTM goes through them in memory."""

    inputs: Tensor  # (context + chunk, B, F)
    target: Tensor  # (chunk B, L) scaled changes, row by row
    gradient_weight: Tensor  # (chunk B, L) weights in the mean loss, times its gradient_scale
    error: Tensor  # (chunk B, L) what loss_gradient() writes: forecast - target
    observed: bool  # whether any target was
    dropout_mask: Tensor | None  # one of Forecaster.dropout_masks
    loss: Loss

    def loss_gradient(self, forecast: Tensor) -> Tensor:
        """The gradient of the batch's mean loss by its forecasts, both (chunk B, L)."""
        torch.sub(forecast, self.target, out=self.error)
        return self.loss.gradient(self.error).mul_(self.gradient_weight)


class Gathered(NamedTuple):
    """S batches of B chunks each, gathered in one operation."""

    inputs: Tensor  # (S, context + chunk, B, F)
    target: Tensor  # (S, chunk B, L)
    weight: Tensor  # (S, chunk B, L), of each batch in sum 1: a missing target has none
    observed: list[bool]  # (S,)


class EpochBatches:
    """The batches of one epoch, in their order; their losses are summed up on the way."""

    def __init__(
        self,
        chunks: "Chunks",
        draw: np.random.Generator,
        loss: Loss,
        dropout_masks: Callable[[np.random.Generator, int, int], Sequence[Tensor | None]],
    ) -> None:
        """dropout_masks: Forecaster.dropout_masks."""
        self._chunks, self._draw, self._loss, self._masks = chunks, draw, loss, dropout_masks
        self._starts = chunks.shuffle(draw)
        self._steps = sum(map(len, self._starts))
        self._losses: list[Tensor] = []

    def __len__(self) -> int:
        return self._steps

    def __iter__(self) -> Iterator[Batch]:
        for starts in self._starts:
            inputs, target, weight, observed = self._chunks.gather(starts)
            error = torch.zeros_like(target)
            gradient_weight = weight * self._loss.gradient_scale
            masks = self._masks(self._draw, *starts.shape)
            losses = [self._loss] * len(starts)
            for fields in zip(
                inputs, target, gradient_weight, error, observed, masks, losses, strict=True
            ):
                yield Batch(*fields)
            # The gradients do not need the loss: one operation for many batches.
            self._losses.append(torch.dot(self._loss.value(error).flatten(), weight.flatten()))

    def loss(self) -> float:
        """The sum of the batches' mean losses, once all have been trained on."""
        return float(torch.stack(self._losses).sum())


class Chunks:
    """The training rows, cut anew each epoch into chunks that start at a random offset: the first
    one's context is before them, and its end and the last one's may be outside.
    """

    def __init__(self, config: Configuration, series: EncodedSeries, device: torch.device) -> None:
        self._length, self._batch = config.chunk_length, config.batch_size
        self._context = config.context_length
        self._inputs, self._target, self._weight = _training_rows(series, device)
        self._rows = series.split
        self._offsets = torch.arange(-self._context, self._length, device=device)[:, None]

    def shuffle(self, draw: np.random.Generator) -> list[Tensor]:
        """Where the chunks of each batch start: (S, B) for S batches that are gathered together.

        Every training row lies in exactly one chunk, beside the contexts.
        """
        starts = np.arange(-int(draw.integers(self._length)), self._rows, self._length)
        steps = max(round(len(starts) / self._batch), min(MIN_STEPS_PER_EPOCH, len(starts)))
        shuffled = torch.from_numpy(draw.permutation(starts)).to(self._inputs.device)
        size, larger = divmod(len(starts), steps)
        cut = larger * (size + 1)
        by_size = (shuffled[:cut].view(larger, size + 1), shuffled[cut:].view(-1, size))
        chunk = len(self._offsets) * self._inputs.shape[1] + self._length * self._target.shape[1]
        most = [max(1, MAX_GATHERED_NUMBERS // (starts.shape[1] * chunk)) for starts in by_size]
        return [part for parts in map(torch.split, by_size, most) for part in parts if len(part)]

    def gather(self, starts: Tensor) -> Gathered:
        """The chunks of the batches that start there (S, B)."""
        rows = starts[:, None] + self._offsets
        rows.masked_fill_((rows < 0) | (rows >= self._rows), self._rows)
        scored = rows[:, self._context :].flatten(1)
        weight = embedding(scored, self._weight)
        observed = weight.sum((1, 2))
        weight /= observed.clamp(min=1)[:, None, None]
        return Gathered(
            embedding(rows, self._inputs),
            embedding(scored, self._target),
            weight,
            observed.bool().tolist(),
        )


@cached_per_series
def _training_rows(series: EncodedSeries, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs (T, F), scaled changes (T, L) and which of them are observed (T, L), and after them a
    row that stands for all others: read as the training mean, and not scored.
    """
    observed = series.training[: series.split]
    changes = np.where(observed, series.changes[: series.split], 0.0) / series.change_scale
    inputs, target, weight = (
        torch.from_numpy(np.pad(values, ((0, 1), (0, 0))).astype(np.float32)).to(device)
        for values in (series.inputs[: series.split], changes, observed)
    )
    return inputs, target, weight
