from dataclasses import replace

import numpy as np
import pytest
import torch

from lstm_model.data.encoded_table import EncodedTable
from lstm_model.training.batches import Chunks, EpochBatches
from lstm_model.training.losses import loss_function
from tests.lstm_model.training.small import SMALL

CPU = torch.device("cpu")
ROW_NUMBERS = np.append(np.arange(1.0, 361.0, dtype=np.float32), 0)[:, None]


def test_every_training_row_lies_in_one_chunk(series: EncodedTable) -> None:
    chunks = Chunks(SMALL, replace(series, padded_inputs=ROW_NUMBERS), CPU)
    for seed in range(5):
        seen: list[float] = []
        for group in chunks.shuffle(np.random.default_rng(seed)):
            inputs, target, weight, _ = chunks.gather(group)
            _, steps, batch = group.shape
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
def test_short_series_still_has_some_steps(
    series: EncodedTable, chunk: int, batch: int, steps: int
) -> None:
    """300 rows: 15 or 16 chunks of 20, 100 or 101 of 3, 1 or 2 of 300."""
    config = SMALL.model_copy(update={"chunk_length": chunk, "batch_size": batch})
    chunks = Chunks(config, series, CPU)
    counts = {
        sum(group.shape[1] for group in chunks.shuffle(np.random.default_rng(seed)))
        for seed in range(20)
    }
    assert min(counts) <= steps <= max(counts)
    assert max(counts) - min(counts) <= 1


def test_targets_and_weights_of_a_batch(series: EncodedTable) -> None:
    target = series.target.copy()
    target[40:140] = np.nan
    gap = replace(series, padded_inputs=ROW_NUMBERS, target=target)
    chunks = Chunks(SMALL, gap, CPU)
    unobserved = 0
    for seed in range(5):
        for group in chunks.shuffle(np.random.default_rng(seed)):
            for inputs, changes, weight, observed in zip(*chunks.gather(group), strict=True):
                rows = inputs[6:, :, 0].flatten().long().numpy() - 1
                # The row before the table has no targets, as those have that stand for padding.
                counts = np.where(rows[:, None] >= 0, gap.series[0].train_mask[rows], False)
                assert observed == counts.any()
                unobserved += not observed
                np.testing.assert_allclose(weight, counts / max(1, counts.sum()), rtol=1e-6)
                expected = np.where(
                    counts, gap.series[0].changes[rows] / series.series[0].change_scale, 0.0
                )
                np.testing.assert_allclose(changes, expected, rtol=1e-5)
    assert unobserved, "a batch without a target has no weights, but no NaN either"


def test_batches_have_the_gradient_of_their_loss(series: EncodedTable) -> None:
    """Of forecasts that are 0.5 everywhere, against autograd on the weighted mean of squares."""
    loss = loss_function(SMALL.model_copy(update={"loss": "mse"}))
    masks = [torch.full((2, 8), float(number)) for number in range(16)]
    batches = EpochBatches(
        Chunks(SMALL, series, CPU), np.random.default_rng(0), loss, lambda *_: masks
    )
    gathered = Chunks(SMALL, series, CPU)
    (group,) = gathered.shuffle(np.random.default_rng(0))
    _, target, weight, _ = gathered.gather(group)
    total, number = 0.0, 0
    for number, batch in enumerate(batches, start=1):
        forecast = torch.full_like(batch.target, 0.5, requires_grad=True)
        expected = ((forecast - target[number - 1]) ** 2 * weight[number - 1]).sum()
        (gradient,) = torch.autograd.grad(expected, forecast)
        torch.testing.assert_close(batch.loss_gradient(forecast.detach()), gradient)
        assert batch.dropout_mask is masks[number - 1]
        total += expected.item()
    assert number == len(batches) == 16
    assert batches.loss() == pytest.approx(total)
