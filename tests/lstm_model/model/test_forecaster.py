"""The forecaster's gates, by cell.py, against the torch.nn.LSTM that makes its forecasts."""

from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import huber_loss, l1_loss, mse_loss

from lstm_model.configuration import Configuration
from lstm_model.model.forecaster import LSTMForecaster
from lstm_model.training.losses import loss_function


@pytest.mark.parametrize("layers", [1, 2])
def test_the_gates_lead_to_the_memories_of_torch(layers: int) -> None:
    config = Configuration(hidden_size=6, num_layers=layers, dropout=0.5 * (layers > 1))
    model = LSTMForecaster.seeded(5, config, 3, seed=1)
    inputs = torch.randn(40, 5, generator=torch.Generator().manual_seed(2))
    gates = model.train().gates(inputs, skip=8)  # dropout plays no part, whatever the mode
    assert {values.shape for values in gates.values()} == {(32, 6)}

    model.eval()
    with torch.no_grad():
        short_term, _ = model.lstm(inputs[:, None])
        # torch tells the long-term memory at the end of a run alone: a run for each hour.
        ends = [model.lstm(inputs[: end + 1, None])[1][1][-1, 0] for end in range(8, 40)]
    short, long = (torch.from_numpy(gates[name]).float() for name in ("short_term", "long_term"))
    torch.testing.assert_close(short, short_term[8:, 0])
    torch.testing.assert_close(long, torch.stack(ends))


def test_the_gates_say_what_became_of_the_memories() -> None:
    model = LSTMForecaster.seeded(4, Configuration(hidden_size=3), 1, seed=0)
    inputs = torch.randn(30, 4, generator=torch.Generator().manual_seed(0))
    gates = model.gates(inputs)
    for name in ("forget", "input", "output"):
        assert ((gates[name] > 0) & (gates[name] < 1)).all()
    kept = gates["forget"][1:] * gates["long_term"][:-1]
    added = gates["input"] * gates["potential_long_term"]
    passed_on = gates["output"] * torch.tanh(torch.from_numpy(gates["long_term"])).numpy()
    assert gates["long_term"][1:] == pytest.approx(kept + added[1:], abs=1e-6)
    assert gates["long_term"][0] == pytest.approx(added[0], abs=1e-6)
    assert gates["short_term"] == pytest.approx(passed_on, abs=1e-6)
    # What is skipped was read all the same.
    assert model.gates(inputs, skip=29)["output"] == pytest.approx(gates["output"][29:])


def test_masks_keep_what_the_dropout_says() -> None:
    config = Configuration(output_dropout=0.25, hidden_size=500)
    model = LSTMForecaster.seeded(4, config, 3, seed=1)
    by_batch = model.dropout_masks(np.random.default_rng(0), 6, 4)
    masks = torch.stack([mask for mask in by_batch if mask is not None])
    assert masks.shape == (6, 4, 500)
    assert masks.unique().tolist() == [0.0, pytest.approx(1 / 0.75)]
    assert (masks > 0).double().mean() == pytest.approx(0.75, abs=0.015)
    by_chunk = masks.flatten(0, 1)
    assert len(by_chunk.unique(dim=0)) == len(by_chunk), "each chunk has a mask of its own"


@pytest.mark.parametrize("name", ["mse", "huber", "mae"])
@pytest.mark.parametrize("dropped", [False, True])
def test_gradients_by_hand_are_those_of_autograd(
    name: Literal["mse", "huber", "mae"], dropped: bool
) -> None:
    config = Configuration(hidden_size=6, num_layers=2, dropout=0.3, loss=name, huber_delta=0.5)
    by_hand, by_autograd = (LSTMForecaster.seeded(4, config, 3, seed=2) for _ in range(2))
    torch.manual_seed(0)
    inputs, target = torch.randn(20, 5, 4), torch.randn(60, 3)
    weight = torch.rand(60, 3).round()
    mask = torch.rand(5, 6).round() * 2 if dropped else None
    for model in (by_hand, by_autograd):  # their heads start at zero, where little is to be seen
        nn.init.constant_(model.head.weight, 0.4)

    loss = loss_function(config)
    values: list[Tensor] = []

    def loss_gradient(forecast: Tensor) -> Tensor:
        error = forecast - target
        values.append((loss.value(error) * weight).sum())
        return loss.gradient_scale * loss.gradient(error) * weight

    torch.manual_seed(1)  # of the dropout between the layers
    by_hand.backward(inputs, 8, loss_gradient, mask)

    torch.manual_seed(1)
    short_term = by_autograd.lstm(inputs)[0]
    forecast = by_autograd.head(short_term[8:] * (1 if mask is None else mask)).flatten(0, 1)
    elementwise = {
        "mse": mse_loss(forecast, target, reduction="none"),
        "mae": l1_loss(forecast, target, reduction="none"),
        "huber": huber_loss(forecast, target, reduction="none", delta=0.5) / 0.5,
    }[name]
    expected = (elementwise * weight).sum()
    expected.backward()

    torch.testing.assert_close(values[0], expected.detach())
    for hand, auto in zip(by_hand.parameters(), by_autograd.parameters(), strict=True):
        torch.testing.assert_close(hand.grad, auto.grad)
    torch.manual_seed(1)
    by_hand.backward(inputs, 8, loss_gradient, mask)  # adds to them
    for hand, auto in zip(by_hand.parameters(), by_autograd.parameters(), strict=True):
        assert auto.grad is not None
        torch.testing.assert_close(hand.grad, 2 * auto.grad)
