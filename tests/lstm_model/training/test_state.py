from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch

from lstm_model.configuration import DataSettings
from lstm_model.data.encoded_table import EncodedTable
from lstm_model.data.step import Step
from lstm_model.errors import InputError
from lstm_model.training.state import by_prefix, read_state, write_state
from lstm_model.training.trainer import Trainer
from tests.lstm_model.training.small import SMALL


def test_saved_between_epochs_ends_in_the_same_bits(series: EncodedTable, tmp_path: Path) -> None:
    config = SMALL.model_copy(update={"num_layers": 2, "dropout": 0.3})
    whole = Trainer(config, series, max_epochs=5, seed=5)
    errors = [epoch.score.rmse for epoch in whole]
    first = Trainer(config, series, max_epochs=5, seed=5)
    for _ in range(2):
        first.run_epoch()
    write_state(tmp_path, *first.state())
    second = Trainer(config, series, max_epochs=5, seed=5)
    second.load_state(*read_state(tmp_path))
    assert [epoch.score.rmse for epoch in second] == errors[2:]
    assert whole.best is not None
    assert second.best is not None
    assert second.best.epoch == whole.best.epoch
    for name, tensor in whole.best.weights.items():
        assert torch.equal(tensor, second.best.weights[name])


def test_folds_saved_between_epochs_end_in_the_same_bits(
    table: pd.DataFrame, settings: Callable[..., DataSettings], tmp_path: Path
) -> None:
    folds = EncodedTable.from_table(table, Step(3600), settings(folds=2))
    errors = [epoch.score.rmse for epoch in Trainer(SMALL, folds, max_epochs=3, seed=5)]
    first = Trainer(SMALL, folds, max_epochs=3, seed=5)
    first.run_epoch()
    write_state(tmp_path, *first.state())
    second = Trainer(SMALL, folds, max_epochs=3, seed=5)
    second.load_state(*read_state(tmp_path))
    assert [epoch.score.rmse for epoch in second] == errors[1:]


def test_a_training_saved_before_its_first_epoch(series: EncodedTable, tmp_path: Path) -> None:
    write_state(tmp_path, *Trainer(SMALL, series, max_epochs=2, seed=5).state())
    again = Trainer(SMALL, series, max_epochs=2, seed=6)
    again.load_state(*read_state(tmp_path))
    assert (again.epoch, again.best) == (0, None)


def test_a_missing_state_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"training\.json does not exist"):
        read_state(tmp_path)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda file: file.unlink(), r"training\.safetensors can't be read"),
        (lambda file: file.write_bytes(file.read_bytes()[:-1]), "damaged: its hash is another"),
        (lambda file: file.write_bytes(bytes(file.stat().st_size)), "damaged: its hash is another"),
    ],
)
def test_spoilt_tensors_are_refused(
    tmp_path: Path, spoil: Callable[[Path], object], message: str
) -> None:
    write_state(tmp_path, {"weight": torch.ones(2)}, {"epoch": 1})
    spoil(tmp_path / "training.safetensors")
    with pytest.raises(InputError, match=message):
        read_state(tmp_path)


def test_tensors_are_grouped_by_prefix() -> None:
    one, two, three = (torch.full((1,), value) for value in (1.0, 2.0, 3.0))
    parts = by_prefix({"0.lstm.bias": one, "0.head": two, "best.lstm.bias": three})
    assert parts == {"0": {"lstm.bias": one, "head": two}, "best": {"lstm.bias": three}}
