import gc
import math
import weakref
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import torch

from lstm_model.configuration import Configuration, DataSettings
from lstm_model.data.series import EncodedSeries
from lstm_model.errors import TrainingFailed
from lstm_model.inference.predictor import read_state, write_state
from lstm_model.model.forecaster import LSTMForecaster
from lstm_model.training import trainer as training
from lstm_model.training.trainer import (
    MIN_LR_FRACTION,
    SETTLING_ROWS,
    Epoch,
    FoldTrainer,
    HoldoutEvaluator,
    Segments,
    Trainer,
    _Chunks,
    learning_rate_at,
)

HOUR = pd.Timedelta(hours=1)
SMALL = Configuration(hidden_size=8, chunk_length=20, context_length=6, batch_size=3)


def test_every_training_row_lies_in_one_chunk(series: EncodedSeries) -> None:
    numbered = np.arange(1.0, 361.0, dtype=np.float32)[:, None]
    chunks = _Chunks(SMALL, replace(series, inputs=numbered), torch.device("cpu"))
    for offset in range(5):
        seen: list[float] = []
        for starts in chunks.shuffled(np.random.default_rng(offset)):
            inputs, target, weight, _ = chunks.cut(starts)
            steps, batch = starts.shape
            assert inputs.shape == (steps, 26, batch, 1)
            assert target.shape == weight.shape == (steps, 20 * batch, 3)
            scored = inputs[:, 6:, :, 0]
            # The context is the six hours before the chunk, in order.
            inside = scored[:, 0] > 6
            assert (inputs[:, 5, :, 0][inside] == scored[:, 0][inside] - 1).all()
            seen += scored[scored > 0].tolist()
        assert sorted(seen) == list(range(1, 301)), "rows of training, each once, none after it"


@pytest.mark.parametrize(
    ("chunk", "batch", "steps"),
    [(20, 3, 16), (3, 4, 25), (300, 8, 2), (20, 1, 16)],
)
def test_a_short_series_still_has_some_steps_an_epoch(
    series: EncodedSeries, chunk: int, batch: int, steps: int
) -> None:
    """300 rows: 15 or 16 chunks of 20, 100 or 101 of 3, 1 or 2 of 300."""
    config = SMALL.model_copy(update={"chunk_length": chunk, "batch_size": batch})
    chunks = _Chunks(config, series, torch.device("cpu"))
    found = {sum(map(len, chunks.shuffled(np.random.default_rng(seed)))) for seed in range(20)}
    assert min(found) <= steps <= max(found)
    assert max(found) - min(found) <= 1


def test_what_all_trainings_read_is_made_once(
    series: EncodedSeries, monkeypatch: pytest.MonkeyPatch
) -> None:
    Trainer(SMALL, series, max_epochs=1, seed=5)

    def made(*_: object) -> None:
        raise AssertionError("made again")

    monkeypatch.setattr(training, "HoldoutEvaluator", made)
    monkeypatch.setattr(np, "pad", made)
    other = SMALL.model_copy(update={"chunk_length": 30, "context_length": 10})
    Trainer(other, series, max_epochs=1, seed=6).last.train_epoch()
    with pytest.raises(AssertionError, match="made again"):
        Trainer(SMALL, replace(series), max_epochs=1, seed=5)  # the same numbers in another series


def test_what_was_made_of_a_series_goes_with_it(
    series: EncodedSeries, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that is sent one series after another keeps none of them."""
    made = []

    class Watched(HoldoutEvaluator):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            made.append(weakref.ref(self))

    monkeypatch.setattr(training, "HoldoutEvaluator", Watched)
    sent = replace(series)
    Trainer(SMALL, sent, max_epochs=1, seed=5)
    Trainer(SMALL, sent, max_epochs=1, seed=6)
    assert [each() is not None for each in made] == [True]
    del sent
    gc.collect()
    assert [each() for each in made] == [None]


def test_targets_and_weights_of_a_batch(series: EncodedSeries) -> None:
    numbered = np.arange(1.0, 361.0, dtype=np.float32)[:, None]
    target = series.target.copy()
    target[40:140] = np.nan
    gap = replace(series, inputs=numbered, target=target)
    chunks = _Chunks(SMALL, gap, torch.device("cpu"))
    none = 0
    for seed in range(5):
        for starts in chunks.shuffled(np.random.default_rng(seed)):
            for inputs, aims, weight, observed in zip(*chunks.cut(starts), strict=True):
                rows = inputs[6:, :, 0].flatten().long().numpy() - 1
                # The row before the table has no targets, as those have that stand for padding.
                counts = np.where(rows[:, None] >= 0, gap.train_mask[rows], False)
                assert observed == counts.any()
                none += not observed
                np.testing.assert_allclose(weight, counts / max(1, counts.sum()), rtol=1e-6)
                expected = np.where(counts, gap.changes[rows] / series.change_scale, 0.0)
                np.testing.assert_allclose(aims, expected, rtol=1e-5)
    assert none, "a batch without a target has no weights, but no NaN either"


def test_a_batch_without_targets_is_no_step(series: EncodedSeries) -> None:
    """Its gradient is zero, but AdamW would shrink the weights, and go on where it was going."""
    target = series.target.copy()
    target[20:300] = np.nan
    few = FoldTrainer(SMALL, replace(series, target=target), max_epochs=1, seed=0)
    done = few.train_epoch()
    assert float(few.state()["optimiser.steps"]) in (1, 2), "its 20 rows lie in one chunk or two"
    assert math.isfinite(done.loss) and math.isfinite(done.gradient_norm)


def test_masks_keep_what_the_dropout_says(series: EncodedSeries) -> None:
    config = SMALL.model_copy(update={"output_dropout": 0.25, "hidden_size": 500})
    masks = FoldTrainer(config, series, max_epochs=1, seed=0)._masks(
        torch.zeros(6, 4), np.random.default_rng(0)
    )
    assert isinstance(masks, torch.Tensor) and masks.shape == (6, 4, 500)
    assert masks.unique().tolist() == [0.0, pytest.approx(1 / 0.75)]
    assert (masks > 0).double().mean() == pytest.approx(0.75, abs=0.015)
    each = masks.flatten(0, 1)
    assert len(each.unique(dim=0)) == len(each), "each chunk has a mask of its own"


def test_the_head_reads_what_the_masks_leave(
    series: EncodedSeries, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where they leave nothing the head's weights stay zero."""
    config = SMALL.model_copy(update={"output_dropout": 0.5})
    for left in (True, False):
        if not left:
            monkeypatch.setattr(
                FoldTrainer, "_masks", lambda self, starts, _: torch.zeros(*starts.shape, 8)
            )
        training = FoldTrainer(config, series, max_epochs=2, seed=0)
        training.train_epoch()
        assert bool(training.model.head.weight.any()) == left
        assert training.model.head.bias.all()


def test_however_many_batches_are_gathered_the_weights_are_the_same(
    series: EncodedSeries, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    chunk = 26 * 8 + 20 * 3  # numbers
    for most, gathers in ((1, 16), (2 * chunk - 1, 16), (5 * chunk, 4), (10**9, 1)):
        monkeypatch.setattr("lstm_model.training.trainer.MAX_GATHERED_NUMBERS", most)
        config = SMALL.model_copy(update={"output_dropout": 0.2, "batch_size": 1})
        training = FoldTrainer(config, series, max_epochs=3, seed=1)
        pieces = training._chunks.shuffled(np.random.default_rng(3))
        assert len(pieces) == gathers, "300 rows are 15 or 16 chunks"
        while training.epoch < 3:
            training.train_epoch()
        found.append(torch.cat([each.flatten() for each in training.model.state_dict().values()]))
    assert all(torch.equal(found[0], other) for other in found)


def test_an_untrained_forecaster_is_persistence(series: EncodedSeries) -> None:
    model = LSTMForecaster.seeded(8, SMALL, 3, seed=1)
    found = HoldoutEvaluator(series).score(model)
    assert found.skill == 0.0
    assert found.rmse_by_lead_time.tolist() == HoldoutEvaluator(series).persistence_rmse.tolist()


def trained(series: EncodedSeries, epochs: int = 3, **changes: object) -> Trainer:
    fit = Trainer(SMALL.model_copy(update=changes), series, max_epochs=epochs, seed=5)
    for _ in fit:
        pass
    return fit


def test_stretches_forecast_what_one_long_pass_does(series: EncodedSeries) -> None:
    """Rows that have a whole warm-up behind them, against a pass over the warm-up and the row."""
    model = trained(series).last.averaged
    inputs = torch.from_numpy(np.tile(series.inputs, (4, 1)))  # 1,440 rows: several stretches
    found = Segments(inputs, 200).forecast(model)
    assert found.shape == (1240, 3)
    model.eval()
    with torch.inference_mode():
        # The first stretch starts at row 200, so its memory starts WARM_UP_ROWS before.
        one = model(inputs[None, 200 - SETTLING_ROWS : 260], skip=SETTLING_ROWS)[0]
        np.testing.assert_allclose(found[:60], one, atol=1e-6)
        long = model(inputs[None])[0, 200:]
    # Elsewhere the memory started within the last few hundred rows, and has settled since.
    np.testing.assert_allclose(found, long, atol=2e-2)


def test_forecasts_from_the_first_rows_start_with_empty_memories(series: EncodedSeries) -> None:
    model = trained(series).last.averaged.eval()
    inputs = torch.from_numpy(series.inputs)
    padded = torch.cat([torch.zeros(SETTLING_ROWS, 8), inputs])[None]
    with torch.inference_mode():
        expected = model(padded, skip=SETTLING_ROWS)[0, :100]
    np.testing.assert_allclose(Segments(inputs, 0).forecast(model)[:100], expected, atol=1e-6)


def test_changing_the_future_moves_no_earlier_forecast(
    table: pd.DataFrame, settings: Callable[..., DataSettings]
) -> None:
    """Training included: only rows before the split may reach the weights."""
    hour = pd.Timedelta(hours=1)
    before = EncodedSeries.from_table(table, hour, settings())
    later = table.copy()
    later.loc[later.index[330:], ["pm", "temp"]] += 500
    after = EncodedSeries.from_table(later, hour, settings())
    forecasts = []
    for series in (before, after):
        fit = trained(series)
        forecasts.append(Segments(torch.from_numpy(series.inputs), 0).forecast(fit.last.averaged))
    np.testing.assert_array_equal(forecasts[0][:330], forecasts[1][:330])
    assert (forecasts[0][330:] != forecasts[1][330:]).any()


def test_same_seed_same_numbers_to_the_last_bit(series: EncodedSeries) -> None:
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


def test_training_leaves_torchs_generator_alone(series: EncodedSeries) -> None:
    torch.manual_seed(9)
    expected = torch.rand(3)
    torch.manual_seed(9)
    trained(series, epochs=1, num_layers=2, dropout=0.3)
    assert torch.equal(torch.rand(3), expected)


def test_saved_between_epochs_it_goes_on_to_the_same_bits(
    series: EncodedSeries, tmp_path: Path
) -> None:
    config = SMALL.model_copy(update={"num_layers": 2, "dropout": 0.3})
    whole = Trainer(config, series, max_epochs=5, seed=5)
    reports = [epoch.score.rmse for epoch in whole]
    first = Trainer(config, series, max_epochs=5, seed=5)
    for _ in range(2):
        first.run_epoch()
    write_state(tmp_path, *first.state())
    second = Trainer(config, series, max_epochs=5, seed=5)
    second.load_state(*read_state(tmp_path))
    assert [epoch.score.rmse for epoch in second] == reports[2:]
    assert whole.best is not None
    assert second.best is not None
    assert second.best.epoch == whole.best.epoch
    for name, tensor in whole.best.weights.items():
        assert torch.equal(tensor, second.best.weights[name])


def test_the_best_epochs_weights_are_kept(series: EncodedSeries) -> None:
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


def test_it_learns_a_rule_that_persistence_misses() -> None:
    """A sine of a day: the next value follows from the last ones, and the change is never zero."""
    rows = 24 * 80
    hour = np.arange(rows)
    frame = pd.DataFrame(
        {"pm": 50 + 10 * np.sin(2 * np.pi * hour / 24)},
        index=pd.date_range("2020-01-01", periods=rows, freq="h", name="time"),
    )
    made = DataSettings(
        target="pm",
        features=("pm",),
        horizon=2,
        validation_from=datetime(2020, 3, 1),
        test_from=datetime(2021, 1, 1),
    )
    series = EncodedSeries.from_table(frame, pd.Timedelta(hours=1), made)
    fit = Trainer(
        SMALL.model_copy(update={"learning_rate": 0.03, "output_dropout": 0.0, "hidden_size": 16}),
        series,
        max_epochs=30,
        seed=0,
    )
    for _ in fit:
        pass
    assert fit.best is not None
    assert fit.best.score.skill > 0.8


@pytest.mark.parametrize("loss", ["mse", "huber", "mae"])
def test_the_reported_loss_is_the_mean_over_observed_targets(
    series: EncodedSeries, loss: str
) -> None:
    """At a learning rate that moves nothing, against the loss of persistence on the rows."""
    # All rows in one chunk: a mean of several batches' means would weigh the rows unequally.
    config = SMALL.model_copy(update={"loss": loss, "learning_rate": 1e-6, "chunk_length": 5000})
    fit = Trainer(config, series, max_epochs=1, seed=0)
    found = fit.run_epoch().loss
    errors = (series.changes / series.change_scale)[series.train_mask]
    size = np.abs(errors)
    expected = {
        "mse": size**2,
        "mae": size,
        "huber": np.where(size < 0.3, size**2 / 0.6, size - 0.15),
    }[loss].mean()
    assert found == pytest.approx(expected, rel=1e-3)


def test_the_schedule_depends_on_the_share_of_epochs_alone(series: EncodedSeries) -> None:
    config = SMALL.model_copy(update={"learning_rate": 0.01, "warm_up": 0.25})
    assert learning_rate_at(0.0, config) == pytest.approx(0.01 * MIN_LR_FRACTION)
    assert learning_rate_at(0.25, config) == pytest.approx(0.01)
    assert learning_rate_at(1.0, config) == pytest.approx(0.01 * MIN_LR_FRACTION)
    assert learning_rate_at(0.625, config) == pytest.approx(
        0.01 * (MIN_LR_FRACTION + (1 - MIN_LR_FRACTION) / 2)
    )
    rising = [learning_rate_at(p / 100, config) for p in range(101)]
    assert rising.index(max(rising)) == 25
    for epoch in Trainer(config, series, max_epochs=4, seed=0):
        assert epoch.learning_rate == learning_rate_at(epoch.number / 4, config)
    no_warm_up = config.model_copy(update={"warm_up": 0.0})
    assert learning_rate_at(0.0, no_warm_up) == pytest.approx(0.01)


def test_a_loss_that_is_not_finite_ends_the_training(series: EncodedSeries) -> None:
    inputs = series.inputs.copy()
    inputs[100] = np.inf
    with pytest.raises(TrainingFailed, match="the loss of epoch 1 is not finite"):
        Trainer(SMALL, replace(series, inputs=inputs), max_epochs=1, seed=0).run_epoch()


def test_forecasts_that_are_not_finite_end_the_training(series: EncodedSeries) -> None:
    inputs = series.inputs.copy()
    inputs[310] = np.nan  # in validation alone
    with pytest.raises(TrainingFailed, match="the forecasts of epoch 1 are not finite"):
        Trainer(SMALL, replace(series, inputs=inputs), max_epochs=1, seed=0).run_epoch()


def test_chunks_in_which_every_target_is_missing_do_no_harm(
    table: pd.DataFrame, settings: Callable[..., DataSettings]
) -> None:
    table.loc[table.index[100:200], "pm"] = np.nan
    series = EncodedSeries.from_table(table, pd.Timedelta(hours=1), settings())
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
    series: EncodedSeries, changes: dict[str, object]
) -> None:
    fit = trained(series, epochs=2, **changes)
    assert fit.epoch == 2
    assert fit.best is not None
    with pytest.raises(ValueError, match="must end after its 2 epochs"):
        fit.run_epoch()


def test_without_averaging_the_last_weights_forecast(series: EncodedSeries) -> None:
    fit = trained(series, epochs=2, weight_averaging=0.0)
    for name, tensor in fit.last.model.state_dict().items():
        assert torch.equal(tensor, fit.last.averaged.state_dict()[name])


@pytest.fixture
def folds(table: pd.DataFrame, settings: Callable[..., DataSettings]) -> EncodedSeries:
    """Validation of 60 hours from hour 300, and of as many from hour 240."""
    return EncodedSeries.from_table(table, HOUR, settings(folds=2))


def figures(epoch: Epoch) -> npt.NDArray[np.float64]:
    score = epoch.score
    return np.array(
        [*score.rmse_by_lead_time, *score.mae_by_lead_time, *score.skill_by_lead_time]
        + [epoch.loss, epoch.gradient_norm]
    )


def test_folds_advance_in_step_and_report_their_mean(folds: EncodedSeries) -> None:
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


def test_folds_saved_between_epochs_go_on_to_the_same_bits(
    folds: EncodedSeries, tmp_path: Path
) -> None:
    reports = [epoch.score.rmse for epoch in Trainer(SMALL, folds, max_epochs=3, seed=5)]
    first = Trainer(SMALL, folds, max_epochs=3, seed=5)
    first.run_epoch()
    write_state(tmp_path, *first.state())
    second = Trainer(SMALL, folds, max_epochs=3, seed=5)
    second.load_state(*read_state(tmp_path))
    assert [epoch.score.rmse for epoch in second] == reports[1:]


def test_a_training_needs_nothing_but_the_training_rows(series: EncodedSeries) -> None:
    """What the final models learn is what a validated training learns, epoch for epoch."""
    fit = Trainer(SMALL, series, max_epochs=3, seed=5)
    alone = FoldTrainer(SMALL, series.training_only, max_epochs=3, seed=5)
    assert (
        len(series.training_only.target)
        == len(series.training_only.inputs)
        == series.validation_start
    )
    for _ in range(2):
        epoch, done = fit.run_epoch(), alone.train_epoch()
        assert (done.loss, done.learning_rate) == (epoch.loss, epoch.learning_rate)
    for name, tensor in fit.last.averaged.state_dict().items():
        assert torch.equal(tensor, alone.averaged.state_dict()[name])
