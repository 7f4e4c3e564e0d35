"""Training on several series: no chunk and no segment has rows of two, and all are learned from."""

from pathlib import Path

import numpy as np
import pytest
import torch

from lstm_model.data.encoded_table import EncodedTable
from lstm_model.training.batches import Chunks
from lstm_model.training.evaluator import HoldoutEvaluator
from lstm_model.training.state import read_state, write_state
from lstm_model.training.trainer import Trainer
from tests.lstm_model.panel import encoded_panel, three_series, wave
from tests.lstm_model.training.small import SMALL

CPU = torch.device("cpu")


def scored_rows(table: EncodedTable, seed: int, **changes: object) -> "np.ndarray":
    """The rows with a loss in one epoch, by their number in the table, 0 for the first."""
    numbered = table.__class__(
        **{
            **{name: getattr(table, name) for name in table.__dataclass_fields__},
            "padded_inputs": np.append(np.arange(1, len(table.target) + 1, dtype=np.float32), 0)[
                :, None
            ],
        }
    )
    chunks = Chunks(SMALL.model_copy(update=changes), numbered, CPU)
    seen: list[float] = []
    for group in chunks.shuffle(np.random.default_rng(seed)):
        inputs, *_ = chunks.gather(group)
        rows = inputs[..., 0].transpose(1, 2).flatten(0, 1).numpy()
        for chunk in rows:  # context and scored rows of one chunk
            inside = chunk[chunk > 0]
            assert (np.diff(inside) == 1).all(), "one stretch"
            numbers = table.index.numbers[inside.astype(int) - 1]
            assert len(set(numbers)) <= 1, "of one series"
            seen += (chunk[6:][chunk[6:] > 0] - 1).tolist()
    return np.array(seen, int)


def test_every_training_row_of_every_series_once() -> None:
    table = three_series()
    training = [*range(300), *range(360, 660), *range(720, 860)]
    for seed in range(5):
        assert sorted(scored_rows(table, seed)) == training


def test_a_batch_mixes_series() -> None:
    chunks = Chunks(SMALL, three_series(), CPU)
    mixed = 0
    for _, series in (group for group in chunks.shuffle(np.random.default_rng(0))):
        mixed += sum(len(set(batch.tolist())) > 1 for batch in series)
    assert mixed > 3


def test_series_can_be_sampled_alike() -> None:
    """A series of 20 rows beside one of 300: by rows it has a sixteenth, alike a half."""
    table = encoded_panel({"long": wave(400, 9, 1), "short": wave(80, 9, 2)}, {"short": 280})
    counts = {}
    for sampling in ("rows", "series"):
        numbers = np.concatenate(
            [
                np.concatenate([series.flatten() for _, series in chunks.shuffle(draw)])
                for chunks in [
                    Chunks(SMALL.model_copy(update={"series_sampling": sampling}), table, CPU)
                ]
                for draw in map(np.random.default_rng, range(20))
            ]
        )
        counts[sampling] = (numbers == 1).mean()
    assert counts["rows"] < 0.15
    assert counts["series"] == 0.5


def test_series_are_forecast_as_if_alone() -> None:
    """One model on three series at once, against each series' own table."""
    values = {"A": wave(400, 1000, 1), "B": wave(400, 2, 2), "C": wave(240, 50, 3)}
    table = encoded_panel(values, {"C": 160})
    trainer = Trainer(SMALL, table, max_epochs=2, seed=1)
    *_, last = trainer
    model = trainer.last.averaged
    evaluator = HoldoutEvaluator(table)
    together = evaluator.forecast(model)
    for (name, each), rows in zip(values.items(), evaluator.holdout.rows, strict=True):
        alone = HoldoutEvaluator(encoded_panel({name: each}, {"C": 160})).forecast(model)
        np.testing.assert_allclose(together[rows], alone, rtol=1e-4, atol=1e-5)
    assert last.score.by_series is not None
    assert last.score.by_series.names == ("A", "B", "C")
    # It forecasts every series' own changes.
    held = evaluator.holdout
    for number, (rows, series) in enumerate(zip(held.rows, table.series, strict=True)):
        error = (together[rows] - series.changes[held.first[number] :])[:, 0]
        expected = np.sqrt(np.nanmean(error[held.scored[rows][:, 0]] ** 2))
        assert last.score.by_series.rmse[number, 0] == pytest.approx(expected)


def test_one_rule_is_learned_from_many_short_series() -> None:
    """20 series of 100 rows of one wave: none is long enough to learn it well alone."""
    values = {f"S{n}": wave(160, 10.0 * (n + 1), n) for n in range(20)}
    table = encoded_panel(values, dict.fromkeys(values, 200))
    config = SMALL.model_copy(update={"hidden_size": 16, "learning_rate": 0.01})
    *_, last = Trainer(config, table, max_epochs=15, seed=0)
    assert last.best.score.skill > 0.35


def test_what_is_not_learned_from_moves_no_weight() -> None:
    values = {"A": wave(400, 9, 1), "B": wave(400, 9, 2), "late": wave(66, 9, 3)}
    weights = []
    for late in (values["late"], 5 * values["late"]):
        table = encoded_panel(values | {"late": late}, {"late": 294})
        trainer = Trainer(SMALL, table, max_epochs=2, seed=1)
        trainer.run_epoch()
        weights.append(trainer.last.averaged.state_dict())
        assert "late" in table.index.names
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_a_thousand_short_series_train() -> None:
    """Some begin late, some are constant, some have gaps."""
    rng = np.random.default_rng(0)
    values, starts = {}, {}
    for number in range(1000):
        series = wave(50, float(rng.uniform(1, 1e4)), number)
        series[rng.integers(0, 50, 3)] = np.nan
        if number % 50 == 0:
            series[:] = 4.0
        values[f"S{number}"] = series
        starts[f"S{number}"] = int(rng.integers(262, 290))
    table = encoded_panel(values, starts)
    trainer = Trainer(SMALL, table, max_epochs=1, seed=0)
    epoch = trainer.run_epoch()
    assert np.isfinite(epoch.loss)
    assert epoch.score.by_series is not None
    constant = {f"S{number}" for number in range(0, 1000, 50)}
    assert constant.isdisjoint(epoch.score.by_series.to_json())
    assert constant <= {each.series for each in table.left_out}


def test_saved_between_epochs_ends_in_the_same_bits(tmp_path: Path) -> None:
    table = three_series()
    through = Trainer(SMALL, table, max_epochs=4, seed=5)
    epochs = list(through)
    first = Trainer(SMALL, table, max_epochs=4, seed=5)
    first.run_epoch(), first.run_epoch()
    write_state(tmp_path, *first.state())
    second = Trainer(SMALL, table, max_epochs=4, seed=5)
    second.load_state(*read_state(tmp_path))
    assert second.best is not None and first.best is not None
    assert second.best.score.to_json() == first.best.score.to_json()
    rest = list(second)
    assert [each.score.to_json() for each in rest] == [e.score.to_json() for e in epochs[2:]]
    assert rest[-1].best.epoch == epochs[-1].best.epoch
    for name, tensor in through.last.averaged.state_dict().items():
        assert torch.equal(tensor, second.last.averaged.state_dict()[name])
