"""The gates of cell.py against torch.nn.LSTM, and against one step worked out by hand."""

import math

import pytest
import torch

from lstm_model.model.cell import Cell, Memories, Weights


def sigmoid(x: float) -> float:
    return math.exp(x) / (math.exp(x) + 1)


def test_one_step_worked_out_by_hand() -> None:
    def stage(short_term: float, x: float, bias: float) -> Weights:
        return Weights(torch.tensor([[short_term]]), torch.tensor([[x]]), torch.tensor([bias]))

    cell = Cell(
        forget=stage(2.70, 1.63, 1.62),
        input=stage(2.00, 1.65, 0.62),
        potential=stage(1.41, 0.94, -0.32),
        output=stage(4.38, -0.19, 0.59),
    )
    before = Memories(long_term=torch.tensor([[2.0]]), short_term=torch.tensor([[1.0]]))
    after, gates = cell.step(torch.tensor([[1.0]]), before)
    kept = 2.0 * sigmoid(2.70 + 1.63 + 1.62)
    added = math.tanh(1.41 + 0.94 - 0.32) * sigmoid(2.00 + 1.65 + 0.62)
    short_term = math.tanh(kept + added) * sigmoid(4.38 - 0.19 + 0.59)
    assert after.long_term.item() == pytest.approx(kept + added, rel=1e-6)
    assert after.short_term.item() == pytest.approx(short_term, rel=1e-6)
    assert gates.forget.item() == pytest.approx(sigmoid(5.95), rel=1e-6)


@pytest.mark.parametrize("layer", [0, 1])
def test_values_and_gradients_are_those_of_torch(layer: int) -> None:
    torch.manual_seed(3)
    lstm = torch.nn.LSTM(5, 7, num_layers=layer + 1, batch_first=True).double()
    inputs = torch.randn(4, 11, 5, dtype=torch.float64, requires_grad=True)
    expected, (h, c) = lstm(inputs)

    short_term = inputs
    for number in range(layer + 1):
        memories, _ = Cell.from_torch(lstm, number).run(short_term)
        short_term = memories.short_term
    torch.testing.assert_close(short_term, expected)
    torch.testing.assert_close(memories.long_term[:, -1], c[layer])
    torch.testing.assert_close(memories.short_term[:, -1], h[layer])

    loss_weights = torch.randn_like(expected)
    wanted = (inputs, *lstm.parameters())
    theirs = torch.autograd.grad((expected * loss_weights).sum(), wanted)
    ours = torch.autograd.grad((short_term * loss_weights).sum(), wanted)
    for pair in zip(ours, theirs, strict=True):
        torch.testing.assert_close(*pair)


def test_both_memories_start_at_zero() -> None:
    cell = Cell.from_torch(torch.nn.LSTM(2, 3))
    assert all((memory == torch.zeros(4, 3)).all() for memory in cell.initial(4))
