"""A trained forecaster on disk: weights, configuration and scaling, written whole or not at all.

A folder holds `model.safetensors` (weights) and `model.json` (all else that a forecast needs).
Nothing in it is pickled.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as dump_tensors
from torch import Tensor

from lstm_model.configuration import Configuration
from lstm_model.errors import InputError
from lstm_model.files import Place, read_json, write_folder
from lstm_model.forecaster import LSTMForecaster
from lstm_model.metrics import Doubles, Score
from lstm_model.series import Encoding, Series
from lstm_model.training import stretched_forecast

FORMAT = 1
WEIGHTS, SETTINGS = "model.safetensors", "model.json"


@dataclass(frozen=True)
class TrainedForecaster:
    """A forecaster and all that turns a table into its forecasts."""

    model: LSTMForecaster
    config: Configuration
    encoding: Encoding
    target: str
    horizon: int
    step: pd.Timedelta
    change_scale: Doubles  # (L,) in the target's unit
    validation: Score | None

    @classmethod
    def of(
        cls,
        series: Series,
        target: str,
        config: Configuration,
        weights: dict[str, Tensor],
        validation: Score | None = None,
    ) -> Self:
        """The weights of a training on `series`, with what it takes to use them."""
        model = LSTMForecaster(series.inputs.shape[1], config, series.horizon)
        model.load_state_dict(weights)
        return cls(
            model=model.eval(),
            config=config,
            encoding=series.encoding,
            target=target,
            horizon=series.horizon,
            step=series.step,
            change_scale=series.change_scale,
            validation=validation,
        )

    def forecast(self, frame: pd.DataFrame) -> Doubles:
        """Forecasts from every row of a table with the training's columns, indexed by time.

        Returns:
            (T, L) in the target's unit; NaN before the target was first observed.
        """
        inputs = torch.from_numpy(self.encoding.inputs(frame))
        change = stretched_forecast(self.model, inputs, 0) * self.change_scale
        last = frame[self.target].ffill().to_numpy(np.float64)
        return np.asarray(last[:, None] + change)

    def save(self, folder: Place) -> None:
        """Write the folder, in place of one that may be there.

        The new folder is complete before the old one moves away.
        """
        weights = dump_tensors(self.model.state_dict())
        settings = {
            "format": FORMAT,
            "configuration": self.config.model_dump(),
            "target": self.target,
            "horizon": self.horizon,
            "step_seconds": self.step.total_seconds(),
            "input_channels": list(self.encoding.channels),
            "encoding": self.encoding.as_json(),
            "change_scale": self.change_scale.tolist(),
            "validation": self.validation and self.validation.by_lead_time(),
            "weights_sha256": hashlib.sha256(weights).hexdigest(),
        }
        write_folder(folder, {WEIGHTS: weights, SETTINGS: json.dumps(settings, indent=1).encode()})

    @classmethod
    def load(cls, folder: Place) -> Self:
        """What save() wrote.

        Raises:
            InputError: the folder or a file of it is missing, damaged or of a newer format.
        """
        settings = read_json(folder / SETTINGS)
        if settings.get("format") != FORMAT:
            raise InputError(
                f"{folder / SETTINGS}: the format must be {FORMAT}, but got "
                f"{settings.get('format')!r}; use the version that wrote it"
            )
        try:
            weights = (folder / WEIGHTS).read_bytes()
            if hashlib.sha256(weights).hexdigest() != settings["weights_sha256"]:
                raise InputError(f"{folder / WEIGHTS} is damaged: its hash is not the one saved")
            config = Configuration(**settings["configuration"])
            encoding = Encoding.from_json(settings["encoding"])
            model = LSTMForecaster(len(encoding.channels), config, settings["horizon"])
            model.load_state_dict(load_tensors(weights))
            return cls(
                model.eval(),
                config,
                encoding,
                settings["target"],
                settings["horizon"],
                pd.Timedelta(seconds=settings["step_seconds"]),
                np.array(settings["change_scale"]),
                settings["validation"] and Score.from_json(settings["validation"]),
            )
        except OSError as error:
            why = error.strerror or error
            raise InputError(f"{folder / WEIGHTS} can't be read: {why}") from error
        except (KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{folder} holds no forecaster that can be used: {error}") from error


def write_state(folder: Path, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:
    """A training's state (Fit.state), into a folder that the caller makes whole."""
    content = dump_tensors(tensors)
    (folder / "training.safetensors").write_bytes(content)
    whole = {**numbers, "tensors_sha256": hashlib.sha256(content).hexdigest()}
    (folder / "training.json").write_text(json.dumps(whole))


def read_state(folder: Place) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What write_state() wrote; raises InputError where it can't be read or is not the same."""
    numbers = read_json(folder / "training.json")
    try:
        content = (folder / "training.safetensors").read_bytes()
        # A machine that dies may leave a file of the right length with nothing in it.
        if hashlib.sha256(content).hexdigest() != numbers.pop("tensors_sha256", None):
            raise InputError(f"{folder / 'training.safetensors'} is damaged: its hash is another")
        return load_tensors(content), numbers
    except (OSError, SafetensorError) as error:
        raise InputError(f"{folder / 'training.safetensors'} can't be read: {error}") from error
