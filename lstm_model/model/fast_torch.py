"""torch's two private calls, each beside the public way to the same numbers.

torch does not promise that a private name stays, or keeps its meaning. So each is tried on two
numbers at its first use in a process. Where the name is missing, takes other arguments or comes to
other numbers, the public way is taken, which is slower and right.
"""

import math
from functools import cache
from typing import Literal, NamedTuple

import torch
from torch import Tensor

# Tests hold the two ways against each other with it. None: private where the check passes.
override: Literal["private", "public"] | None = None


class AdamW(NamedTuple):
    """AdamW's hyperparameters in one step, by their names in torch.optim.AdamW."""

    lr: float
    beta1: float
    beta2: float
    weight_decay: float
    eps: float


class AdamWTensors(NamedTuple):
    """What AdamW reads and changes, each a list of as many tensors, of the same shapes."""

    weights: list[Tensor]
    gradients: list[Tensor]
    first_moments: list[Tensor]
    second_moments: list[Tensor]


def run_backward(tensor: Tensor, gradient: Tensor) -> None:
    """tensor.backward(gradient), for which torch would first import its compiler's symbols, for
    most of a second, and then take longer to check its arguments.
    """
    if override == "private" or (override is None and engine_works()):
        _engine_backward(tensor, gradient)
    else:
        tensor.backward(gradient)  # type: ignore[no-untyped-call]


def adamw_step(tensors: AdamWTensors, step: Tensor, divisor: Tensor, adamw: AdamW) -> None:
    """One step of AdamW in place, on gradients that are divided first and lost afterwards.

    Args:
        step: () the number of this step, from 1.
        divisor: () of the gradients.
    """
    device = tensors.weights[0].device.type
    private = override == "private" or (override is None and fused_adamw_works(device))
    update = _fused_adamw if private else _plain_adamw
    update(tensors, step, divisor, adamw)


@cache
def engine_works() -> bool:
    """Whether the autograd engine adds the gradients that arithmetic says."""
    try:
        # The first use may come from where torch records nothing.
        with torch.inference_mode(False), torch.enable_grad():
            values = torch.tensor([1.0, 2.0], requires_grad=True)
            for _ in range(2):
                _engine_backward(values * values, torch.tensor([3.0, 5.0]))
            return values.grad is not None and values.grad.tolist() == [12.0, 40.0]
    except Exception:  # whatever a private name comes to raise
        return False


@cache
def fused_adamw_works(device: str) -> bool:
    """Whether torch's fused AdamW comes to what the formula says, on this type of device."""
    # Nothing as in a training, so that no part of the formula is lost in rounding.
    adamw = AdamW(lr=0.1, beta1=0.9, beta2=0.99, weight_decay=0.2, eps=0.3)
    try:
        results = []
        for update in (_fused_adamw, _plain_adamw):
            # Moments that are not zero: a step's second half reads them.
            weight, gradient, first, second = (
                torch.tensor(values, device=device)
                for values in ([3.0, -2.0], [0.5, -4.0], [0.2, 0.1], [0.3, 2.0])
            )
            step, divisor = (torch.tensor(value, device=device) for value in (3.0, 2.0))
            update(AdamWTensors([weight], [gradient], [first], [second]), step, divisor, adamw)
            results.append(torch.stack([weight, first, second]))
        fused, plain = results
        return torch.allclose(fused, plain, rtol=1e-5, atol=1e-7)
    except Exception:  # whatever a private name comes to raise
        return False


def _engine_backward(tensor: Tensor, gradient: Tensor) -> None:
    torch.autograd.Variable._execution_engine.run_backward(
        (tensor,), (gradient,), False, False, (), allow_unreachable=True, accumulate_grad=True
    )


def _fused_adamw(tensors: AdamWTensors, step: Tensor, divisor: Tensor, adamw: AdamW) -> None:
    torch._fused_adamw_(
        *tensors,
        [],
        [step] * len(tensors.weights),
        **adamw._asdict(),
        grad_scale=divisor,
        amsgrad=False,
        maximize=False,
    )


def _plain_adamw(tensors: AdamWTensors, step: Tensor, divisor: Tensor, adamw: AdamW) -> None:
    """Algorithm 2 of Loshchilov and Hutter 2019, arXiv:1711.05101."""
    bias1, bias2 = (1 - beta ** step.item() for beta in (adamw.beta1, adamw.beta2))
    for weight, gradient, first, second in zip(*tensors, strict=True):
        gradient.div_(divisor)
        first.lerp_(gradient, 1 - adamw.beta1)
        second.mul_(adamw.beta2).addcmul_(gradient, gradient, value=1 - adamw.beta2)
        weight.mul_(1 - adamw.lr * adamw.weight_decay)
        root = second.sqrt().div_(math.sqrt(bias2)).add_(adamw.eps)
        weight.addcdiv_(first, root, value=-adamw.lr / bias1)
