"""What the trainer trains: the interface of a forecaster, and the LSTM that implements it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from lstm_model.arrays import Float64Array
from lstm_model.configuration import Configuration
from lstm_model.model import fast_torch
from lstm_model.model.cell import Cell


class Forecaster(nn.Module, ABC):
    """A model that at every row forecasts the change from the last observed value.

    A subclass has a constructor that takes (channels: F, config, horizon: L), and forward(). The
    other methods have defaults that serve any module. All parameters are trained, and forecasts
    come from their moving average; buffers are not averaged, so training must not change any.
    Random numbers must come from torch's generator, which the trainer seeds.
    """

    @classmethod
    def seeded(cls, channels: int, config: Configuration, horizon: int, seed: int) -> Self:
        """One whose first weights depend on `seed` alone; the CPU's generator stays as it was."""
        with seeded_torch(seed):
            return cls(channels, config, horizon)

    @abstractmethod
    def forward(self, inputs: Tensor, skip: int = 0) -> Tensor:
        """Forecasts at every row after the first `skip`. A row's forecast reads no later row.

        Args:
            inputs: (B, T, F) float32, scaled as EncodedSeries.inputs.
            skip: rows that are read and not forecast from.

        Returns:
            (B, T - skip, L) changes, in units of EncodedSeries.change_scale.
        """

    def dropout_masks(
        self, draw: np.random.Generator, batches: int, batch_size: int
    ) -> Sequence[Tensor | None]:
        """What backward() gets as `dropout_mask`, for each of many batches: by default nothing.

        For a model whose masks cost less when many are drawn at once.
        """
        return [None] * batches

    def backward(
        self,
        inputs: Tensor,
        skip: int,
        loss_gradient: Callable[[Tensor], Tensor],
        dropout_mask: Tensor | None = None,
    ) -> None:
        """Forecast, and add the gradients of the loss to those of the parameters.

        By default autograd does it. Rows come first here, as an LSTM goes through them in memory.

        Args:
            inputs: (T, B, F); else as in forward().
            loss_gradient: maps forecasts to dLoss/dForecast, both ((T - skip) B, L), row by row.
            dropout_mask: one of dropout_masks().
        """
        forecast = self(inputs.transpose(0, 1), skip).transpose(0, 1).flatten(0, 1)
        fast_torch.run_backward(forecast, loss_gradient(forecast.detach()))

    def gates(self, inputs: Tensor, skip: int = 0) -> dict[str, Float64Array]:
        """What there is to see inside at every row after the first `skip`: by default nothing.

        Args:
            inputs: (T, F), scaled as in forward().

        Returns:
            (T - skip, H) by name.
        """
        return {}


@contextmanager
def seeded_torch(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """torch's global generators (the CPU's, and the device's), seeded; afterwards as before."""
    on_cpu = device is None or device.type == "cpu"
    with torch.random.fork_rng(devices=[device] if device and device.type == "cuda" else []):
        # torch.manual_seed takes half a millisecond to note its caller for GPUs to come.
        (torch.default_generator.manual_seed if on_cpu else torch.manual_seed)(seed)
        yield


class LSTMForecaster(Forecaster):
    """LSTM layers and a linear head. The head starts at zero: untrained, it is persistence."""

    def __init__(self, channels: int, config: Configuration, horizon: int) -> None:
        """channels: F. horizon: L."""
        super().__init__()
        self.lstm = nn.LSTM(
            channels,
            config.hidden_size,
            config.num_layers,
            dropout=config.dropout if config.num_layers > 1 else 0.0,
        )
        self.drop = nn.Dropout(config.output_dropout)
        self.head = nn.Linear(config.hidden_size, horizon)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self._skip_and_buffer: tuple[int, Tensor] | None = None

    def forward(self, inputs: Tensor, skip: int = 0) -> Tensor:
        # Rows first within: the head would have to copy them otherwise.
        short_term, _ = self.lstm(inputs.transpose(0, 1))
        out: Tensor = self.head(self.drop(short_term[skip:]))
        return out.transpose(0, 1)

    def dropout_masks(
        self, draw: np.random.Generator, batches: int, batch_size: int
    ) -> Sequence[Tensor | None]:
        """(B, H) for each batch: zeros, and what keeps the hidden states' sum.

        All rows of a chunk share theirs (Gal and Ghahramani 2016, arXiv:1512.05287). A mask for
        each row costs 4% of a training's time, and models without any dropout are as good
        (docs/LOG.md, 2026-11-23).
        """
        if not self.drop.p:
            return [None] * batches
        drawn = draw.random((batches, batch_size, self.lstm.hidden_size), np.float32)
        masks = (drawn >= self.drop.p).astype(np.float32) / np.float32(1 - self.drop.p)
        return torch.from_numpy(masks).to(self.head.weight.device).unbind()

    def backward(
        self,
        inputs: Tensor,
        skip: int,
        loss_gradient: Callable[[Tensor], Tensor],
        dropout_mask: Tensor | None = None,
    ) -> None:
        """As Forecaster.backward, with the gradients of head and loss written out.

        With hidden states h (rows after `skip`), mask m, head weights W and bias b, the forecasts
        are y = (h * m) W^T + b. Of g = dLoss/dy follow

            dLoss/dW = g^T (h * m)
            dLoss/db = sum of g over rows
            dLoss/dh = (g W) * m, and 0 in the first `skip` rows
            dLoss/d(LSTM weights): autograd, from dLoss/dh

        Autograd from the loss on takes 10% of an epoch at 64 units for head and loss, and this 6%
        (docs/LOG.md, 2026-11-23): each operation more costs half a percent.

        Args:
            dropout_mask: (B, H) multiplied into the hidden states before the head.
        """
        hidden, _ = self.lstm(inputs)
        weight, bias = self.head.weight, self.head.bias
        with torch.no_grad():
            hidden_gradient = self._gradient_buffer(skip, hidden)
            read, read_gradient = hidden[skip:], hidden_gradient[skip:]
            if dropout_mask is not None:  # the gradient's place is free until it is known
                read = torch.mul(read, dropout_mask, out=read_gradient)
            rows = read.flatten(0, 1)
            gradient = loss_gradient(linear(rows, weight, bias))
            _grad_of(weight).addmm_(gradient.T, rows)
            _grad_of(bias).add_(gradient.sum(0))
            torch.mm(gradient, weight, out=read_gradient.view(len(rows), -1))
            if dropout_mask is not None:
                read_gradient.mul_(dropout_mask)
        fast_torch.run_backward(hidden, hidden_gradient)

    def _gradient_buffer(self, skip: int, like: Tensor) -> Tensor:
        """A tensor of that shape, zero in the first `skip` rows and anything in the others: the
        same for every batch, since new memory takes 2 to 14% of the time outside the LSTM.
        """
        kept = self._skip_and_buffer
        if kept is None or kept[0] != skip or kept[1].shape != like.shape:
            self._skip_and_buffer = kept = skip, torch.zeros_like(like)
        return kept[1]

    @torch.inference_mode()
    def gates(self, inputs: Tensor, skip: int = 0) -> dict[str, Float64Array]:
        """What the last layer's gates decided, by the names of cell.Gates and cell.Memories.

        Computed by cell.py. Dropout plays no part, as in a forecast. In the skipped rows the
        memories settle from zero: evaluator.SETTLING_ROWS are enough.
        """
        hidden = inputs[None]
        for layer in range(self.lstm.num_layers):
            memories, gates = Cell.from_torch(self.lstm, layer).run(hidden)
            hidden = memories.short_term
        values = gates._asdict() | memories._asdict()
        return {k: np.asarray(v[0, skip:].cpu().numpy(), np.float64) for k, v in values.items()}


def _grad_of(parameter: Tensor) -> Tensor:
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad
