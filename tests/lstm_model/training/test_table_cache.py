import gc
import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch

from lstm_model.data.encoded_table import EncodedTable
from lstm_model.training import evaluator
from lstm_model.training.evaluator import HoldoutEvaluator
from lstm_model.training.trainer import Trainer
from tests.lstm_model.training.small import SMALL


def test_what_all_trainings_read_is_made_once(
    series: EncodedTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    Trainer(SMALL, series, max_epochs=1, seed=5)

    def refuse(*_: object) -> None:
        raise AssertionError("made again")

    monkeypatch.setattr(evaluator, "HoldoutEvaluator", refuse)
    monkeypatch.setattr(np, "pad", refuse)
    other = SMALL.model_copy(update={"chunk_length": 30, "context_length": 10})
    Trainer(other, series, max_epochs=1, seed=6).last.train_epoch()
    with pytest.raises(AssertionError, match="made again"):
        Trainer(SMALL, replace(series), max_epochs=1, seed=5)  # the same numbers in another series


def test_what_was_made_of_a_series_goes_with_it(
    series: EncodedTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that is sent one series after another keeps none of them."""
    evaluators = []

    class Watched(HoldoutEvaluator):
        def __init__(self, series: EncodedTable, device: torch.device | str) -> None:
            super().__init__(series, device)
            evaluators.append(weakref.ref(self))

    monkeypatch.setattr(evaluator, "HoldoutEvaluator", Watched)
    sent = replace(series)
    Trainer(SMALL, sent, max_epochs=1, seed=5)
    Trainer(SMALL, sent, max_epochs=1, seed=6)
    assert [reference() is not None for reference in evaluators] == [True]
    del sent
    gc.collect()
    assert [reference() for reference in evaluators] == [None]
