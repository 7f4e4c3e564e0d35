"""One LSTM forecaster: data, model, training, baselines. It knows nothing of studies of many."""

from os import PathLike
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lstm_model.inference.predictor import TrainedForecaster

__version__ = "0.1.0"


def load(folder: str | PathLike[str]) -> "TrainedForecaster":
    """A saved model, which may be the mean of several: `load(...).forecast(table)`.

    Args:
        folder: a study's `best`, or a comparison's `models/NAME`.

    Raises:
        lstm_model.errors.InputError: it holds no model that can be used.
    """
    from pathlib import Path

    # Here, since torch takes seconds, and reading a search space needs none of it.
    from lstm_model.inference.predictor import TrainedForecaster

    return TrainedForecaster.load(Path(folder))
