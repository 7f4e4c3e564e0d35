"""What every forecaster must do, whatever is in it: add a class to FORECASTERS to have it tested.

The LSTM has gradients of its own. The GRU is what somebody would bring: a constructor, forward(),
and dropout that draws from torch's generator.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lstm_model.configuration import Configuration
from lstm_model.data.encoded_table import EncodedTable
from lstm_model.model.forecaster import Forecaster, LSTMForecaster
from lstm_model.training.state import read_state, write_state
from lstm_model.training.trainer import Trainer


class GRUForecaster(Forecaster):
    def __init__(self, channels: int, config: Configuration, horizon: int) -> None:
        super().__init__()
        self.gru = nn.GRU(channels, config.hidden_size, batch_first=True)
        self.drop = nn.Dropout(config.output_dropout)
        self.head = nn.Linear(config.hidden_size, horizon)

    def forward(self, inputs: Tensor, skip: int = 0) -> Tensor:
        hidden: Tensor = self.head(self.drop(self.gru(inputs)[0][:, skip:]))
        return hidden


FORECASTERS = (LSTMForecaster, GRUForecaster)
CONFIG = Configuration(hidden_size=8, chunk_length=20, context_length=6, batch_size=3)


@pytest.fixture(params=FORECASTERS, ids=lambda model_class: model_class.__name__)
def model_class(request: pytest.FixtureRequest) -> type[Forecaster]:
    chosen: type[Forecaster] = request.param
    return chosen


@pytest.fixture
def model(model_class: type[Forecaster]) -> Forecaster:
    """F 4, L 3, with weights among which none is zero."""
    model = model_class.seeded(4, CONFIG, 3, seed=2)
    draw = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=draw))
    return model


def inputs(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_shapes(model: Forecaster) -> None:
    assert model(inputs(5, 20, 4)).shape == (5, 20, 3)
    assert model(inputs(5, 20, 4), 8).shape == (5, 12, 3)
    assert model(inputs(1, 1, 4)).shape == (1, 1, 3)


@torch.no_grad()
def test_skipped_rows_are_read(model: Forecaster) -> None:
    model.eval()
    whole = model(inputs(5, 20, 4))
    torch.testing.assert_close(model(inputs(5, 20, 4), skip=8), whole[:, 8:])


@torch.no_grad()
def test_later_inputs_move_no_earlier_forecast(model: Forecaster) -> None:
    model.eval()
    before, changed = model(inputs(5, 20, 4)), inputs(5, 20, 4)
    changed[:, 12:] += 5.0
    after = model(changed)
    torch.testing.assert_close(after[:, :12], before[:, :12])
    assert (after[:, 12:] != before[:, 12:]).any(dim=(1, 2)).all()


@torch.no_grad()
def test_sequences_of_a_batch_are_independent(model: Forecaster) -> None:
    model.eval()
    alone = model(inputs(5, 20, 4)[2:3])
    torch.testing.assert_close(model(inputs(5, 20, 4))[2:3], alone)


def test_first_weights_depend_on_the_seed_alone(model_class: type[Forecaster]) -> None:
    torch.manual_seed(9)
    expected = torch.rand(3)
    torch.manual_seed(9)
    first = model_class.seeded(4, CONFIG, 3, seed=2)
    assert torch.equal(torch.rand(3), expected), "torch's generator is as it was"
    second, other = (model_class.seeded(4, CONFIG, 3, seed=seed) for seed in (2, 3))
    pairs = list(zip(first.parameters(), second.parameters(), strict=True))
    assert all(torch.equal(*pair) for pair in pairs)
    assert not torch.equal(next(iter(first.parameters())), next(iter(other.parameters())))


@pytest.mark.parametrize("skip", [0, 8])
def test_gradients_are_those_of_autograd(model: Forecaster, skip: int) -> None:
    """And are added to those that are there, in place."""
    model.train()
    rows_first = inputs(20, 5, 4)
    weights = inputs((20 - skip) * 5, 3)
    forecast = model(rows_first.transpose(0, 1), skip).transpose(0, 1).flatten(0, 1)
    expected = torch.autograd.grad((forecast**2 * weights).sum(), list(model.parameters()))
    places = [torch.ones_like(parameter) for parameter in model.parameters()]
    for parameter, place in zip(model.parameters(), places, strict=True):
        parameter.grad = place

    def loss_gradient(values: Tensor) -> Tensor:
        assert not values.requires_grad
        torch.testing.assert_close(values, forecast.detach())
        return 2 * values * weights

    model.backward(rows_first, skip, loss_gradient)
    for parameter, place, gradient in zip(model.parameters(), places, expected, strict=True):
        assert parameter.grad is place
        torch.testing.assert_close(place, 1 + gradient)


def test_one_mask_for_each_batch(model: Forecaster) -> None:
    assert len(model.dropout_masks(np.random.default_rng(0), 6, 4)) == 6


def test_gates_have_a_value_for_each_row(model: Forecaster) -> None:
    for values in model.gates(inputs(20, 4), skip=8).values():
        assert values.shape == (12, CONFIG.hidden_size)


def test_it_learns_in_the_trainer(model_class: type[Forecaster], sine: EncodedTable) -> None:
    config = CONFIG.model_copy(update={"learning_rate": 0.03, "hidden_size": 16})
    trainer = Trainer(config, sine, max_epochs=8, seed=0, model_class=model_class)
    assert isinstance(trainer.last.model, model_class)
    skills = [epoch.score.skill for epoch in trainer]
    assert max(skills) > 0.5


def test_trainings_are_reproducible_and_resume(
    model_class: type[Forecaster], series: EncodedTable, tmp_path: Path
) -> None:
    """To the last bit, with dropout, whatever torch's generator holds; and it is left alone."""
    config = CONFIG.model_copy(update={"output_dropout": 0.3})

    def trainer() -> Trainer:
        return Trainer(config, series, max_epochs=3, seed=5, model_class=model_class)

    torch.manual_seed(1)
    whole = trainer()
    errors = [epoch.score.rmse for epoch in whole]
    first = trainer()
    torch.manual_seed(2)
    expected = torch.rand(3)
    torch.manual_seed(2)
    first.run_epoch()
    assert torch.equal(torch.rand(3), expected)
    write_state(tmp_path, *first.state())
    second = trainer()
    second.load_state(*read_state(tmp_path))
    assert [epoch.score.rmse for epoch in second] == errors[1:]
    for pair in zip(
        second.last.averaged.parameters(), whole.last.averaged.parameters(), strict=True
    ):
        assert torch.equal(*pair)
