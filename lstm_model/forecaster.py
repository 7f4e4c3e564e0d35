"""The forecaster: a torch.nn.LSTM that at every hour forecasts the change from the last value."""

from collections.abc import Callable
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from lstm_model.cell import Cell, Gates
from lstm_model.configuration import Configuration
from lstm_model.metrics import Doubles


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
            batch_first=True,
            dropout=config.dropout if config.num_layers > 1 else 0.0,
        )
        self.drop = nn.Dropout(config.output_dropout)
        self.head = nn.Linear(config.hidden_size, horizon)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    @classmethod
    def seeded(cls, channels: int, config: Configuration, horizon: int, seed: int) -> Self:
        """One whose first weights depend on `seed` alone; the CPU's generator stays as it was."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return cls(channels, config, horizon)

    def forward(self, inputs: Tensor, skip: int = 0) -> Tensor:
        """Forecasts at every step after the first `skip`.

        Args:
            inputs: (B, T, F) float32, scaled as Series.inputs.
            skip: steps that are read and not forecast from.

        Returns:
            (B, T - skip, L) scaled changes.
        """
        short_term, _ = self.lstm(inputs)
        out: Tensor = self.head(self.drop(short_term[:, skip:]))
        return out

    def backward(
        self,
        inputs: Tensor,
        skip: int,
        kept: Tensor | None,
        judge: Callable[[Tensor], tuple[Tensor, Tensor]],
    ) -> Tensor:
        """Forecast, and add to the gradients: what autograd would do with forward() and the loss,
        in fewer operations, each of which takes half a percent of a training at 64 units. For the
        same reason hours come first here, as they do in memory: nothing has to be copied.

        Args:
            inputs, skip: as forward() takes them, but (T, B, F).
            kept: (T - skip, B, H) what the head reads of the short-term memories, as a factor.
            judge: the loss of forecasts (T - skip, B, L), and its gradient by each of them.

        Returns:
            The loss.
        """
        short_term = self.lstm(inputs.transpose(0, 1))[0].transpose(0, 1)
        with torch.no_grad():
            read = short_term[skip:]
            hours = (read if kept is None else read * kept).flatten(0, 1)
            forecast = linear(hours, self.head.weight, self.head.bias)
            loss, slope = judge(forecast.view(*read.shape[:2], -1))
            by_hour = slope.flatten(0, 1)
            _gradient(self.head.weight).addmm_(by_hour.T, hours)
            _gradient(self.head.bias).add_(by_hour.sum(0))
            by_short_term = short_term.new_empty(short_term.shape)
            by_short_term[:skip].zero_()
            by_read = by_short_term[skip:]
            torch.mm(by_hour, self.head.weight, out=by_read.view(len(by_hour), -1))
            if kept is not None:
                by_read.mul_(kept)
        known = _Known.apply(short_term, by_short_term)  # type: ignore[no-untyped-call]
        known.backward()
        return loss

    @torch.inference_mode()
    def gates(self, inputs: Tensor, skip: int = 0) -> dict[str, Doubles]:
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


class _Known(torch.autograd.Function):
    """A number whose gradient by a tensor is known. (To tensor.backward(gradient) itself torch
    would import its compiler's symbols first, for most of a second.)
    """

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, gradient: Tensor) -> Tensor:
        ctx.gradient = gradient
        return tensor.new_zeros(())

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> tuple[Tensor, None]:
        return ctx.gradient, None


def _gradient(parameter: Tensor) -> Tensor:
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad
