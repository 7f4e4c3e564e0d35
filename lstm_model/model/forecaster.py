"""The forecaster: a torch.nn.LSTM that at every hour forecasts the change from the last value."""

from collections.abc import Callable
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from lstm_model.arrays import Float64Array
from lstm_model.configuration import Configuration
from lstm_model.model import fast_torch
from lstm_model.model.cell import Cell, Gates


class LSTMForecaster(nn.Module):
    """LSTM layers and a linear head, with a forecast at every step.

    The output is the change from the last observed value to each lead time, in units of
    Series.change_scale. The head starts at zero, so an untrained forecaster is persistence.
    """

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
        self._room: tuple[int, Tensor] | None = None

    @classmethod
    def seeded(cls, channels: int, config: Configuration, horizon: int, seed: int) -> Self:
        """One whose first weights depend on `seed` alone; the CPU's generator stays as it was."""
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            return cls(channels, config, horizon)

    def forward(self, inputs: Tensor, skip: int = 0) -> Tensor:
        """Forecasts at every step after the first `skip`.

        Args:
            inputs: (B, T, F) float32, scaled as Series.inputs.
            skip: steps that are read and not forecast from.

        Returns:
            (B, T - skip, L) scaled changes.
        """
        # Hours first within: the head would have to copy them otherwise.
        short_term, _ = self.lstm(inputs.transpose(0, 1))
        out: Tensor = self.head(self.drop(short_term[skip:]))
        return out.transpose(0, 1)

    def backward(
        self,
        inputs: Tensor,
        skip: int,
        kept: Tensor | None,
        judge: Callable[[Tensor], Tensor],
    ) -> None:
        """Forecast, and add to the gradients: what autograd would do with forward() and the loss,
        in fewer operations, each of which takes half a percent of a training at 64 units. For the
        same reason hours come first here, as they do in memory: nothing has to be copied.

        Args:
            inputs, skip: as forward() takes them, but (T, B, F).
            kept: (B, H) what the head reads of the short-term memories, as a factor.
            judge: the loss's gradient by each of the forecasts ((T - skip) B, L), hour by hour.
        """
        short_term, _ = self.lstm(inputs)
        weight, bias = self.head.weight, self.head.bias
        with torch.no_grad():
            by_short_term = self._zeros_before(skip, short_term)
            read, by_read = short_term[skip:], by_short_term[skip:]
            if kept is not None:  # where that gradient will lie is room until then
                read = torch.mul(read, kept, out=by_read)
            hours = read.flatten(0, 1)
            by_hour = judge(linear(hours, weight, bias))
            _gradient(weight).addmm_(by_hour.T, hours)
            _gradient(bias).add_(by_hour.sum(0))
            torch.mm(by_hour, weight, out=by_read.view(len(hours), -1))
            if kept is not None:
                by_read.mul_(kept)
        fast_torch.run_backward(short_term, by_short_term)

    def _zeros_before(self, skip: int, like: Tensor) -> Tensor:
        """Room of that shape, where the first `skip` steps are zero and the others anything: the
        same for every batch, because new memory takes a tenth of what there is beside the LSTM.
        """
        if self._room is None or self._room[0] != skip or self._room[1].shape != like.shape:
            self._room = skip, torch.zeros_like(like)
        return self._room[1]

    @torch.inference_mode()
    def gates(self, inputs: Tensor, skip: int = 0) -> dict[str, Float64Array]:
        """What the last layer's gates decided at every step after the first `skip`, by cell.py.

        Dropout plays no part, as in a forecast.

        Args:
            inputs: (T, F) float32, scaled as Series.inputs.
            skip: steps in which the memories settle from zero (training.WARM_UP_ROWS are enough).

        Returns:
            (T - skip, H) by the names of cell.Gates and cell.Memories.
        """
        short_term = inputs[None]
        for layer in range(self.lstm.num_layers):
            memories, steps = Cell.from_torch(self.lstm, layer).run(short_term)
            short_term = memories.short_term
        decided = Gates(*(torch.cat(values) for values in zip(*steps, strict=True)))
        found = decided._asdict() | {k: v[0] for k, v in memories._asdict().items()}
        return {k: np.asarray(v[skip:].cpu().numpy(), np.float64) for k, v in found.items()}


def _gradient(parameter: Tensor) -> Tensor:
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad
