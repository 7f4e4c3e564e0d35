"""A table's way from its file to a forecast, by the commands; training alone is short: no Ray."""

import io
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from lstm_model import forecast
from lstm_model.command import run_app
from lstm_model.configuration import Configuration
from lstm_model.data.encoded_table import EncodedTable
from lstm_model.data.sources import Dataset, load_dataset
from lstm_model.inference.predictor import TrainedForecaster
from lstm_model.inference.warm_start import WarmUpProbe
from lstm_model.training.evaluator import HoldoutEvaluator
from lstm_model.training.trainer import Trainer
from tuning import new_space, run
from tuning.space.search_space import SearchSpace, read_space

SMALL = Configuration(hidden_size=4, chunk_length=48, context_length=12)


class Way:
    """The commands, in one folder, with what they say.

    Attributes:
        said: what the last one wrote to standard output and standard error.
    """

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.said: Any = None

    def _run(self, app: Any, *arguments: str) -> int:
        status = run_app(app, list(arguments))
        self.said = self._capsys.readouterr()
        return status

    def refusal(self, source: str | Path, target: str, *options: str) -> str:
        """What new_space says of a table that it refuses."""
        arguments = (str(source), "--target", target, "--output", "no.yaml", *options)
        assert self._run(new_space.app, *arguments) == 2
        assert not Path("no.yaml").exists()
        return str(self.said.err)

    def propose(self, source: str | Path, target: str, *options: str) -> SearchSpace:
        """The space that is proposed, which --check takes as it is."""
        Path("new.yaml").unlink(missing_ok=True)
        arguments = (str(source), "--target", target, "--output", "new.yaml", *options)
        assert self._run(new_space.app, *arguments) == 0, self.said.err
        proposed = self.said
        assert self._run(run.app, "--space", "new.yaml", "--check") == 0, self.said.err
        self.checked, self.said = self.said, proposed
        return read_space("new.yaml")

    def train(self, space: SearchSpace, folder: str = "model") -> Dataset:
        """Save a model of one epoch, as a study does with its best; the table that it saw."""
        dataset = load_dataset(space.data)
        series = EncodedTable.from_table(dataset.frame, dataset.step, space.data)
        trainer = Trainer(SMALL, series, max_epochs=1, seed=0)
        [*_] = trainer
        assert trainer.best is not None
        target, best = space.data.target, trainer.best
        model = TrainedForecaster.from_weights(series, target, SMALL, best.weights, best.score)
        model.with_intervals(
            [(series, HoldoutEvaluator(series).forecast(model.model))],
            WarmUpProbe(dataset.frame.iloc[: len(series.times)], series.series[0].encoder, target),
            dataset.reading,
            simulated=False,
        ).save(folder)
        return dataset

    def forecast(self, data: str | Path, folder: str = "model") -> pd.DataFrame:
        """What the saved model writes for a table, with its times as texts."""
        status = self._run(forecast.app, "--model", folder, "--data", str(data))
        assert status == 0, self.said.err
        return pd.read_csv(io.StringIO(self.said.out), dtype={"origin": str, "valid_time": str})
