"""Training losses, with their gradients."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from lstm_model.configuration import Configuration


class Loss(NamedTuple):
    """An elementwise loss of error = forecast - target, in units of EncodedSeries.change_scale.

    d loss / d error = `gradient_scale` * `gradient(error)`; the scale is folded into the targets'
    weights. Both functions return new tensors.
    """

    value: Callable[[Tensor], Tensor]
    gradient_scale: float
    gradient: Callable[[Tensor], Tensor]


def loss_function(config: Configuration) -> Loss:
    """The loss that `config` names.

    Huber's (1964, "Robust estimation of a location parameter") is scaled to the slope of the
    absolute error, so that one learning rate serves every delta.
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
