import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import torch

from lstm_model.configuration import DataSettings
from lstm_model.data.encoded_table import EncodedTable
from lstm_model.data.step import Step
from lstm_model.errors import TrainingFailed
from lstm_model.model.forecaster import LSTMForecaster
from lstm_model.training.batches import Chunks
from lstm_model.training.evaluator import HoldoutEvaluator
from lstm_model.training.trainer import Epoch, FoldTrainer, Trainer
from tests.lstm_model.training.small import SMALL, trained

HOUR = Step(3600)


def test_a_batch_without_targets_is_no_step(series: EncodedTable) -> None:
    """Its gradient is zero, but AdamW would shrink the weights, and go on where it was going."""
    target = series.target.copy()
    target[20:300] = np.nan
    few = FoldTrainer(SMALL, replace(series, target=target), max_epochs=1, seed=0)
    passed = few.train_epoch()
    assert float(few.state()["optimiser.steps"]) in (1, 2), "its 20 rows lie in one chunk or two"
    assert math.isfinite(passed.loss) and math.isfinite(passed.gradient_norm)


def test_the_head_reads_what_the_masks_leave(
    series: EncodedTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where they leave nothing the head's weights stay zero."""
    config = SMALL.model_copy(update={"output_dropout": 0.5})
    for left in (True, False):
        if not left:
            monkeypatch.setattr(
                LSTMForecaster, "dropout_masks", lambda *shape: torch.zeros(*shape[2:], 8).unbind()
            )
        trainer = FoldTrainer(config, series, max_epochs=2, seed=0)
        trainer.train_epoch()
        assert isinstance(trainer.model, LSTMForecaster)
        assert bool(trainer.model.head.weight.any()) == left
        assert trainer.model.head.bias.all()


def test_weights_do_not_depend_on_what_is_gathered(
    series: EncodedTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = []
    chunk = 26 * 8 + 20 * 3  # numbers
    for most, gathers in ((1, 16), (2 * chunk - 1, 16), (5 * chunk, 4), (10**9, 1)):
        monkeypatch.setattr("lstm_model.training.batches.MAX_GATHERED_NUMBERS", most)
        config = SMALL.model_copy(update={"output_dropout": 0.2, "batch_size": 1})
        trainer = FoldTrainer(config, series, max_epochs=3, seed=1)
        starts = Chunks(config, series, torch.device("cpu")).shuffle(np.random.default_rng(3))
        assert len(starts) == gathers, "300 rows are 15 or 16 chunks"
        while trainer.epoch < 3:
            trainer.train_epoch()
        tensors = trainer.model.state_dict().values()
        weights.append(torch.cat([tensor.flatten() for tensor in tensors]))
    assert all(torch.equal(weights[0], other) for other in weights)


def test_same_seed_same_numbers_to_the_last_bit(series: EncodedTable) -> None:
    runs = []
    for before in (1, 2):  # whatever torch's generator held
        torch.manual_seed(before)
        runs.append(trained(series, num_layers=2, dropout=0.3))
    first, second = (fit.best for fit in runs)
    assert first is not None
    assert second is not None
    assert first.score.rmse == second.score.rmse
    assert all(torch.equal(first.weights[k], second.weights[k]) for k in first.weights)
    other = Trainer(SMALL, series, max_epochs=3, seed=6)
    assert not torch.equal(
        other.run_epoch().best.weights["head.weight"], first.weights["head.weight"]
    )


def test_training_leaves_torchs_generator_alone(series: EncodedTable) -> None:
    torch.manual_seed(9)
    expected = torch.rand(3)
    torch.manual_seed(9)
    trained(series, epochs=1, num_layers=2, dropout=0.3)
    assert torch.equal(torch.rand(3), expected)


def test_the_best_epochs_weights_are_kept(series: EncodedTable) -> None:
    # A learning rate far too high spoils the model after its best epoch.
    fit = Trainer(SMALL, series, max_epochs=12, seed=5)
    scores = []
    for epoch in fit:
        scores.append(epoch.score.rmse)
        assert epoch.best.score.rmse == min(scores)
        assert epoch.best.epoch == 1 + scores.index(min(scores))
    assert fit.best is not None
    again = LSTMForecaster(8, SMALL, 3)
    again.load_state_dict(fit.best.weights)
    assert HoldoutEvaluator(series).score(again).rmse == min(scores)


def test_it_learns_a_rule_that_persistence_misses(sine: EncodedTable) -> None:
    fit = Trainer(
        SMALL.model_copy(update={"learning_rate": 0.03, "output_dropout": 0.0, "hidden_size": 16}),
        sine,
        max_epochs=30,
        seed=0,
    )
    for _ in fit:
        pass
    assert fit.best is not None
    assert fit.best.score.skill > 0.8


@pytest.mark.parametrize("loss", ["mse", "huber", "mae"])
def test_reported_loss_is_the_mean_over_targets(series: EncodedTable, loss: str) -> None:
    """At a learning rate that moves nothing, against the loss of persistence on the rows."""
    # All rows in one chunk: a mean of several batches' means would weigh the rows unequally.
    config = SMALL.model_copy(update={"loss": loss, "learning_rate": 1e-6, "chunk_length": 5000})
    fit = Trainer(config, series, max_epochs=1, seed=0)
    reported = fit.run_epoch().loss
    errors = (series.series[0].changes / series.series[0].change_scale)[series.series[0].train_mask]
    size = np.abs(errors)
    expected = {
        "mse": size**2,
        "mae": size,
        "huber": np.where(size < 0.3, size**2 / 0.6, size - 0.15),
    }[loss].mean()
    assert reported == pytest.approx(expected, rel=1e-3)


def test_a_loss_that_is_not_finite_ends_the_training(series: EncodedTable) -> None:
    inputs = series.padded_inputs.copy()
    inputs[100] = np.inf
    with pytest.raises(TrainingFailed, match="the loss of epoch 1 is not finite"):
        Trainer(SMALL, replace(series, padded_inputs=inputs), max_epochs=1, seed=0).run_epoch()


def test_forecasts_that_are_not_finite_end_the_training(series: EncodedTable) -> None:
    inputs = series.padded_inputs.copy()
    inputs[310] = np.nan  # in validation alone
    with pytest.raises(TrainingFailed, match="the forecasts of epoch 1 are not finite"):
        Trainer(SMALL, replace(series, padded_inputs=inputs), max_epochs=1, seed=0).run_epoch()


def test_chunks_without_targets_do_no_harm(
    table: pd.DataFrame, settings: Callable[..., DataSettings]
) -> None:
    table.loc[table.index[100:200], "pm"] = np.nan
    series = EncodedTable.from_table(table, Step(3600), settings())
    fit = Trainer(
        SMALL.model_copy(update={"batch_size": 1, "chunk_length": 5}), series, max_epochs=1, seed=0
    )
    assert math.isfinite(fit.run_epoch().loss)


@pytest.mark.parametrize(
    "changes",
    [
        {"context_length": 0},
        {"chunk_length": 500, "context_length": 1000},
        {"chunk_length": 1, "batch_size": 64},
        {"weight_averaging": 0.0},
        {"num_layers": 4, "hidden_size": 1},
    ],
)
def test_the_edges_of_the_legal_ranges_train(
    series: EncodedTable, changes: dict[str, object]
) -> None:
    fit = trained(series, epochs=2, **changes)
    assert fit.epoch == 2
    assert fit.best is not None
    with pytest.raises(ValueError, match="must end after its 2 epochs"):
        fit.run_epoch()


def test_without_averaging_the_last_weights_forecast(series: EncodedTable) -> None:
    fit = trained(series, epochs=2, weight_averaging=0.0)
    for name, tensor in fit.last.model.state_dict().items():
        assert torch.equal(tensor, fit.last.averaged.state_dict()[name])


@pytest.fixture
def folds(table: pd.DataFrame, settings: Callable[..., DataSettings]) -> EncodedTable:
    """Validation of 60 hours from hour 300, and of as many from hour 240."""
    return EncodedTable.from_table(table, HOUR, settings(folds=2))


def figures(epoch: Epoch) -> npt.NDArray[np.float64]:
    score = epoch.score
    return np.array(
        [*score.rmse_by_lead_time, *score.mae_by_lead_time, *score.skill_by_lead_time]
        + [epoch.loss, epoch.gradient_norm]
    )


def test_folds_advance_in_step_and_report_their_mean(folds: EncodedTable) -> None:
    apart = [list(Trainer(SMALL, fold, max_epochs=4, seed=5)) for fold in folds.folds]
    together = list(Trainer(SMALL, folds, max_epochs=4, seed=5))
    for epoch, first, second in zip(together, *apart, strict=True):
        assert figures(epoch) == pytest.approx((figures(first) + figures(second)) / 2)
    means = [epoch.score.rmse for epoch in together]
    assert together[-1].best.epoch == 1 + means.index(min(means))
    # What is kept is the last fold's model at that epoch, whichever it alone may have preferred.
    again = Trainer(SMALL, folds.folds[-1], max_epochs=4, seed=5)
    for _ in range(together[-1].best.epoch):
        again.run_epoch()
    for name, tensor in again.last.averaged.state_dict().items():
        assert torch.equal(tensor, together[-1].best.weights[name])


def test_a_training_needs_the_training_rows_alone(series: EncodedTable) -> None:
    """What the final models learn is what a validated training learns, epoch for epoch."""
    fit = Trainer(SMALL, series, max_epochs=3, seed=5)
    alone = FoldTrainer(SMALL, series.training_only, max_epochs=3, seed=5)
    assert (
        len(series.training_only.target)
        == len(series.training_only.inputs)
        == series.series[0].validation_start
    )
    for _ in range(2):
        epoch, passed = fit.run_epoch(), alone.train_epoch()
        assert (passed.loss, passed.learning_rate) == (epoch.loss, epoch.learning_rate)
    for name, tensor in fit.last.averaged.state_dict().items():
        assert torch.equal(tensor, alone.averaged.state_dict()[name])
