"""One step of all weights: gradients clipped, AdamW, and the moving average that forecasts.

torch.optim, clip_grad_norm_ and AveragedModel come to the same numbers, and the tests hold this
against them. But their bookkeeping takes several times as long as the arithmetic of so small a
model, and every optimiser of torch's imports its compiler, for a second or more (docs/LOG.md).
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import Parameter

from lstm_model.model import fast_torch
from lstm_model.model.fast_torch import AdamW

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


class Optimiser:
    """AdamW (Loshchilov and Hutter 2019, "Decoupled weight decay regularization",
    arXiv:1711.05101) on gradients whose common norm is clipped, and an exponential moving average
    of the weights.
    """

    def __init__(
        self,
        parameters: Sequence[Parameter],
        averages: Sequence[Parameter],
        *,
        weight_decay: float,
        gradient_clip: float,
        weight_averaging: float,
    ) -> None:
        """Backward passes add to the parameters' gradients, which step() clears: never set them.

        averages: of the parameters' shapes; what they hold is lost with the first step.
        weight_averaging: the share of the average that stays in each step.
        """
        self._weights, self._averages = _pieces(parameters), _pieces(averages)
        self._gradients = [torch.zeros_like(piece) for piece in self._weights]
        self._first = [torch.zeros_like(piece) for piece in self._weights]
        self._second = [torch.zeros_like(piece) for piece in self._weights]
        self._steps = self._weights[0].new_zeros(())
        self._taken = 0  # the same, without asking a tensor
        for parameter, view in zip(parameters, _views(self._gradients, parameters), strict=True):
            parameter.grad = view
        self._decay, self._clip, self._averaging = weight_decay, gradient_clip, weight_averaging

    def step(self, rate: float) -> Tensor:
        """One step at this learning rate; the norm of the gradients before clipping."""
        norms: list[Tensor] = [torch.linalg.vector_norm(piece) for piece in self._gradients]
        norm = norms[0] if len(norms) == 1 else torch.linalg.vector_norm(torch.stack(norms))
        averaging = self._averaging if self._taken else 0.0
        self._taken += 1
        self._steps.fill_(self._taken)
        fast_torch.adamw_step(
            self._weights,
            self._gradients,
            self._first,
            self._second,
            self._steps,
            # To a norm of 1 instead of the clip: AdamW knows the gradients' scale by epsilon alone.
            norm.clamp(min=self._clip),
            AdamW(rate, BETA1, BETA2, self._decay, EPSILON / self._clip),
        )
        for average, weight in zip(self._averages, self._weights, strict=True):
            average.lerp_(weight, 1 - averaging)
        for gradient in self._gradients:
            gradient.zero_()
        return norm

    def state(self) -> dict[str, Tensor]:
        """All that the next step depends on, but parameters and averages."""
        first = {f"first.{n}": piece for n, piece in enumerate(self._first)}
        second = {f"second.{n}": piece for n, piece in enumerate(self._second)}
        return {"steps": self._steps, **first, **second}

    @torch.no_grad()
    def load_state(self, tensors: dict[str, Tensor]) -> None:
        """Go on from what state() gave."""
        for name, tensor in self.state().items():
            tensor.copy_(tensors[name])
        self._taken = int(self._steps)


def _pieces(parameters: Sequence[Parameter]) -> list[Tensor]:
    """On a CPU one flat tensor that the parameters become views of, since one operation on it takes
    a fraction of the time of one on each. Elsewhere they stay as they are: cuDNN has a layout of
    its own for an LSTM's.
    """
    if parameters[0].device.type != "cpu":
        return [parameter.detach() for parameter in parameters]
    flat = [torch.cat([parameter.detach().flatten() for parameter in parameters])]
    for parameter, view in zip(parameters, _views(flat, parameters), strict=True):
        parameter.data = view
    return flat


def _views(pieces: list[Tensor], parameters: Sequence[Parameter]) -> list[Tensor]:
    """The pieces in the shapes of the parameters."""
    parts: Sequence[Tensor] = pieces
    if len(pieces) < len(parameters):
        parts = torch.split(pieces[0], [parameter.numel() for parameter in parameters])
    return [part.view_as(parameter) for part, parameter in zip(parts, parameters, strict=True)]
