"""One LSTM forecaster: data, model, training, baselines. It knows nothing of studies of many.

fit                    train one on a DataFrame of one series or of several
load                   read one that was saved
plot_latest_forecast   draw what one forecasts from a table's last row, or from each series'

Importing the package imports no torch: what is named here is imported when it is asked for.
"""

from importlib import import_module
from os import PathLike
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lstm_model.figures.latest import plot_latest_forecast
    from lstm_model.inference.fitting import fit
    from lstm_model.inference.predictor import TrainedForecaster

__all__ = ["TrainedForecaster", "fit", "load", "plot_latest_forecast"]
_HOMES = {
    "TrainedForecaster": "lstm_model.inference.predictor",
    "fit": "lstm_model.inference.fitting",
    "plot_latest_forecast": "lstm_model.figures.latest",
}
__version__ = "0.1.0"


def load(folder: str | PathLike[str]) -> "TrainedForecaster":
    """A saved model, which may be the mean of several: `load(...).forecast(table)`.

    Args:
        folder: a study's `best`, a comparison's `models/NAME`, or where save() wrote one.

    Raises:
        lstm_model.errors.InputError: it holds no model that can be used.
    """
    from pathlib import Path

    from lstm_model.inference.predictor import TrainedForecaster

    return TrainedForecaster.load(Path(folder))


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
