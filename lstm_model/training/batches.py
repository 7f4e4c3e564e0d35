"""The training rows of all series as batches of chunks.

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

from lstm_model.arrays import IntArray
from lstm_model.configuration import Configuration
from lstm_model.data.encoded_table import EncodedTable
from lstm_model.training.losses import Loss
from lstm_model.training.table_cache import cached_per_table, padded_inputs

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
        self._groups = chunks.shuffle(draw)
        self._steps = sum(group.shape[1] for group in self._groups)
        self._losses: list[Tensor] = []

    def __len__(self) -> int:
        return self._steps

    def __iter__(self) -> Iterator[Batch]:
        for chunks in self._groups:
            inputs, target, weight, observed = self._chunks.gather(chunks)
            error = torch.zeros_like(target)
            gradient_weight = weight * self._loss.gradient_scale
            masks = self._masks(self._draw, *chunks.shape[1:])
            losses = [self._loss] * chunks.shape[1]
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
    """The training rows, cut anew each epoch into chunks that start at a random offset in each
    series: the first one's context is before them, and its end and the last one's may be outside.

    No chunk has rows of two series, and a batch mixes those of all.
    """

    def __init__(self, config: Configuration, table: EncodedTable, device: torch.device) -> None:
        self._length, self._batch = config.chunk_length, config.batch_size
        self._context, self._sampling = config.context_length, config.series_sampling
        self._inputs, (self._target, self._weight) = (
            padded_inputs(table, device),
            _training_targets(table, device),
        )
        learned = np.array(table.learned)
        self._first_rows = np.array(table.index.bounds)[:-1][learned]
        self._ends = self._first_rows + np.array(table.validation_starts)[learned]
        self._bounds = torch.from_numpy(np.stack([self._first_rows, self._ends])).to(device)
        self._offsets = torch.arange(-self._context, self._length, device=device)[:, None]

    def shuffle(self, draw: np.random.Generator) -> list[Tensor]:
        """Where the chunks of each batch start, and which series they are of: (2, S, B) for S
        batches that are gathered together.

        Every training row lies in exactly one chunk, beside the contexts, unless series are
        sampled alike.
        """
        starts, series = self._cut(draw)
        steps = max(round(len(starts) / self._batch), min(MIN_STEPS_PER_EPOCH, len(starts)))
        order = draw.permutation(len(starts))
        shuffled = torch.from_numpy(np.stack([starts[order], series[order]]))
        shuffled = shuffled.to(self._inputs.device)
        size, larger = divmod(len(starts), steps)
        cut = larger * (size + 1)
        by_size = (
            shuffled[:, :cut].view(2, larger, size + 1),
            shuffled[:, cut:].view(2, -1, size),
        )
        chunk = len(self._offsets) * self._inputs.shape[1] + self._length * self._target.shape[1]
        most = [max(1, MAX_GATHERED_NUMBERS // (part.shape[2] * chunk)) for part in by_size]
        return [
            part
            for parts, each in zip(by_size, most, strict=True)
            for part in torch.split(parts, each, dim=1)
            if part.shape[1]
        ]

    def _cut(self, draw: np.random.Generator) -> tuple[IntArray, IntArray]:
        """The rows at which chunks start, and the number of each one's series."""
        before = draw.integers(self._length, size=len(self._ends))
        cuts = [
            np.arange(first - offset, end, self._length)
            for first, offset, end in zip(self._first_rows, before, self._ends, strict=True)
        ]
        if self._sampling == "series" and len(cuts) > 1:
            # As many chunks of each, and about as many in all: some twice, or not in this epoch.
            each = max(1, round(sum(map(len, cuts)) / len(cuts)))
            cuts = [np.resize(draw.permutation(starts), each) for starts in cuts]
        return np.concatenate(cuts), np.repeat(np.arange(len(cuts)), [len(cut) for cut in cuts])

    def gather(self, chunks: Tensor) -> Gathered:
        """The chunks of the batches (2, S, B), as shuffle() has them."""
        starts, series = chunks
        rows = starts[:, None] + self._offsets
        first, end = self._bounds[:, series][:, :, None]
        rows.masked_fill_((rows < first) | (rows >= end), len(self._inputs) - 1)
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


@cached_per_table
def _training_targets(table: EncodedTable, device: torch.device) -> tuple[Tensor, Tensor]:
    """Scaled changes (R + 1, L) and which of them are learned from (R + 1, L), 0 in the last row,
    which stands for all rows that are not there.
    """
    target, weight = np.zeros((2, len(table.padded_inputs), table.horizon), np.float32)
    for (_, rows), series in zip(table.index, table.each_series(), strict=True):
        if series.learned:
            mask = series.train_mask
            target[rows] = np.where(mask, series.changes, 0.0) / series.change_scale
            weight[rows] = mask
    return torch.from_numpy(target).to(device), torch.from_numpy(weight).to(device)
