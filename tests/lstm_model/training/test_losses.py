from typing import Literal

import pytest
import torch

from lstm_model.configuration import Configuration
from lstm_model.training.losses import loss_function

# Errors inside and outside of Huber's delta, and their losses by hand.
ERRORS = [-2.0, -0.25, 0.0, 0.5, 3.0]
VALUES = {
    "mse": [4.0, 0.0625, 0.0, 0.25, 9.0],
    "mae": [2.0, 0.25, 0.0, 0.5, 3.0],
    "huber": [1.75, 0.0625, 0.0, 0.25, 2.75],  # delta 0.5: squares as they are, then |error| - 0.25
}


@pytest.mark.parametrize("name", ["mse", "mae", "huber"])
def test_values_and_gradients(name: Literal["mse", "mae", "huber"]) -> None:
    loss = loss_function(Configuration(loss=name, huber_delta=0.5))
    errors = torch.tensor(ERRORS, requires_grad=True)
    before = errors.detach().clone()
    assert loss.value(errors.detach()).tolist() == VALUES[name]
    (expected,) = torch.autograd.grad(loss.value(errors).sum(), errors)
    gradient = loss.gradient(errors.detach())
    torch.testing.assert_close(gradient * loss.gradient_scale, expected)
    gradient.zero_()
    assert torch.equal(errors, before), "the errors are none of the tensors that are returned"


@pytest.mark.parametrize("delta", [0.01, 0.3, 10.0])
def test_hubers_slope_is_that_of_the_absolute_error(delta: float) -> None:
    loss = loss_function(Configuration(loss="huber", huber_delta=delta))
    slope = loss.gradient_scale * loss.gradient(torch.tensor([-100.0, 100.0]))
    assert slope.tolist() == [pytest.approx(-1), pytest.approx(1)]
