import copy
from typing import Literal

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from lstm_model.configuration import Configuration
from lstm_model.model import fast_torch
from lstm_model.training.optimiser import Optimiser


def model() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2))


def loss_of(model: nn.Module, step: int) -> Tensor:
    """Now large, now small, so that some gradients are clipped and some are not."""
    draw = torch.Generator().manual_seed(step)
    inputs, target = torch.randn(5, 4, generator=draw), torch.randn(5, 2, generator=draw)
    loss: Tensor = (model(inputs) - target).square().mean() * 10.0 ** (step % 3 - 1)
    return loss


def optimiser(learner: nn.Module, average: nn.Module, flat: bool = True) -> Optimiser:
    return Optimiser(
        list(learner.parameters()),
        list(average.parameters()),
        Configuration(weight_decay=0.1, gradient_clip=0.5, weight_averaging=0.9),
        flat=flat,
    )


def weights(model: nn.Module) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


@pytest.mark.parametrize("flat", [True, False])
@pytest.mark.parametrize("way", ["private", "public"])
def test_steps_are_those_of_torchs_own(
    way: Literal["private", "public"], flat: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fast_torch, "override", way)
    ours, theirs = model(), model()
    average = copy.deepcopy(ours)
    stepper = optimiser(ours, average, flat)
    averaged = AveragedModel(theirs, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    adamw = torch.optim.AdamW(theirs.parameters(), weight_decay=0.1)
    clipped = 0
    for step in range(40):
        rate = 0.01 / (step + 1)
        loss_of(ours, step).backward()
        norm = stepper.step(rate)

        adamw.param_groups[0]["lr"] = rate
        adamw.zero_grad()
        loss_of(theirs, step).backward()
        expected = nn.utils.clip_grad_norm_(theirs.parameters(), 0.5)
        adamw.step()
        averaged.update_parameters(theirs)

        assert norm.item() == pytest.approx(expected.item(), rel=1e-5)
        clipped += bool(norm > 0.5)
        torch.testing.assert_close(weights(ours), weights(theirs), rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(weights(average), weights(averaged), rtol=1e-4, atol=1e-6)
    assert 5 < clipped < 35


def test_it_goes_on_from_its_state_to_the_same_bits() -> None:
    first = model(), model()
    stepper = optimiser(*first)
    for step in range(6):
        if step == 3:
            second = copy.deepcopy(first)
            saved = {name: tensor.clone() for name, tensor in stepper.state().items()}
        loss_of(first[0], step).backward()
        stepper.step(0.01)
    again = optimiser(*second)
    again.load_state(saved)
    for step in range(3, 6):
        loss_of(second[0], step).backward()
        again.step(0.01)
    for learned, expected in zip(second, first, strict=True):
        assert torch.equal(weights(learned), weights(expected))


def test_a_single_parameter_keeps_its_shape() -> None:
    learner, average = (nn.Linear(3, 2, bias=False) for _ in range(2))
    stepper = optimiser(learner, average)
    learner(torch.ones(1, 3)).sum().backward()
    stepper.step(0.1)
    assert learner.weight.shape == average.weight.shape == (2, 3)
    assert torch.equal(learner.weight, average.weight)
