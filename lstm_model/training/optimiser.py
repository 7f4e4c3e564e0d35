"""One step of all weights: gradients clipped, AdamW, and the moving average that forecasts.

torch.optim, clip_grad_norm_ and AveragedModel come to the same numbers, and the tests hold this
against them. It is our own because theirs take 13% of an epoch at 64 units where this takes 5%, and
their import takes a worker a second or more (docs/LOG.md, 2026-11-23).
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import Parameter

from lstm_model.configuration import Configuration
from lstm_model.model import fast_torch
from lstm_model.model.fast_torch import AdamW, AdamWTensors

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
        config: Configuration,
        *,
        flat: bool,
    ) -> None:
        """Backward passes add to the parameters' gradients, which step() clears: never set them.

        Args:
            averages: of the parameters' shapes; what they hold is lost with the first step.
            config: of which weight_decay, gradient_clip and weight_averaging are read.
            flat: make the parameters views of one tensor, on which one operation takes a fraction
                of the time of one on each. For a CPU: cuDNN has a layout of its own for an LSTM's.
        """
        self._weights = _flatten(parameters) if flat else [p.detach() for p in parameters]
        self._averages = _flatten(averages) if flat else [p.detach() for p in averages]
        self._gradients, *moments = (
            [torch.zeros_like(weight) for weight in self._weights] for _ in range(3)
        )
        self._adamw = AdamWTensors(self._weights, self._gradients, *moments)
        self._steps = self._weights[0].new_zeros(())
        self._step_count = 0  # the same, without asking a tensor
        for parameter, gradient in zip(
            parameters, _unflatten(self._gradients, parameters), strict=True
        ):
            parameter.grad = gradient
        self._decay, self._clip = config.weight_decay, config.gradient_clip
        self._averaging = config.weight_averaging

    def step(self, learning_rate: float) -> Tensor:
        """One step of all weights; the norm of the gradients before clipping."""
        norms: list[Tensor] = [torch.linalg.vector_norm(part) for part in self._gradients]
        norm = norms[0] if len(norms) == 1 else torch.linalg.vector_norm(torch.stack(norms))
        averaging = self._averaging if self._step_count else 0.0
        self._step_count += 1
        self._steps.fill_(self._step_count)
        fast_torch.adamw_step(
            self._adamw,
            self._steps,
            # To a norm of 1 instead of the clip: AdamW knows the gradients' scale by epsilon alone.
            norm.clamp(min=self._clip),
            AdamW(learning_rate, BETA1, BETA2, self._decay, EPSILON / self._clip),
        )
        for average, weight in zip(self._averages, self._weights, strict=True):
            average.lerp_(weight, 1 - averaging)
        for gradient in self._gradients:
            gradient.zero_()
        return norm

    def state(self) -> dict[str, Tensor]:
        """All that the next step depends on, but parameters and averages."""
        first = {f"first.{n}": part for n, part in enumerate(self._adamw.first_moments)}
        second = {f"second.{n}": part for n, part in enumerate(self._adamw.second_moments)}
        return {"steps": self._steps, **first, **second}

    @torch.no_grad()
    def load_state(self, tensors: dict[str, Tensor]) -> None:
        """Go on from what state() gave."""
        for name, tensor in self.state().items():
            tensor.copy_(tensors[name])
        self._step_count = int(self._steps)


def _flatten(parameters: Sequence[Parameter]) -> list[Tensor]:
    """One tensor of all numbers, of which the parameters become views."""
    flat = [torch.cat([parameter.detach().flatten() for parameter in parameters])]
    for parameter, view in zip(parameters, _unflatten(flat, parameters), strict=True):
        parameter.data = view
    return flat


def _unflatten(parts: Sequence[Tensor], parameters: Sequence[Parameter]) -> list[Tensor]:
    """Views of one flat tensor, or of one for each parameter, in the parameters' shapes."""
    if len(parts) < len(parameters):
        parts = torch.split(parts[0], [parameter.numel() for parameter in parameters])
    return [part.view_as(parameter) for part, parameter in zip(parts, parameters, strict=True)]
