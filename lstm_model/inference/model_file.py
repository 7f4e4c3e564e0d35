"""A saved model's folder: `model.safetensors` has the weights, `model.json` all else.

The folder is written whole or not at all, and nothing in it is pickled. Each file's content is
vouched for by a hash, so that a damaged folder is refused instead of forecasting nonsense.
"""

import hashlib
import json
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as dump_tensors
from torch import Tensor

from lstm_model.configuration import Configuration, KeptReading
from lstm_model.data.step import Step
from lstm_model.errors import InputError, os_error_text
from lstm_model.files import PathLike, read_bytes, read_json

# Of model.json. Format 4 knew one series.
MODEL_FORMAT, LAST_MODEL_FORMAT = 5, 4
WEIGHTS, SETTINGS = "model.safetensors", "model.json"


class ModelFile(BaseModel):
    """model.json, field by field, in the file's order.

    `encoding`, `validation` and `intervals` are what FeatureEncoder, Score and Intervals make of
    themselves for JSON. Of several series `encoding` is that of one which training never saw,
    `never_negative` says whether all are, `intervals` are pooled, in units of each one's
    change_scale, and `series` has what each has of its own.
    """

    model_config = ConfigDict(frozen=True)

    format: int = MODEL_FORMAT
    members: int = Field(description="how many models forecast together")
    configuration: Configuration
    target: str
    reading: KeptReading
    never_negative: bool
    simulated: bool
    horizon: int
    step_seconds: float | None = Field(description="a span; None of a step of the calendar")
    calendar_step: tuple[int, str] | None = Field(
        None, description="how many of which of the calendar's units"
    )
    rows_needed: int
    input_channels: tuple[str, ...]
    encoding: dict[str, Any]
    change_scale: tuple[float, ...] | None = Field(description="None of several series")
    validation: dict[str, Any] | None
    weights_sha256: str = ""
    intervals: dict[str, Any] | None
    series: dict[str, dict[str, Any]] | None = Field(
        None, description="by name, what series_to_json() gives; where they have no name, None"
    )

    @property
    def step(self) -> Step:
        """The time between rows."""
        if self.calendar_step is not None:
            return Step(*self.calendar_step)
        if self.step_seconds is None:
            raise ValueError("it has no step")
        return Step(self.step_seconds)

    def files(self, weights: list[dict[str, Tensor]]) -> dict[str, bytes]:
        """The folder's files by name; `weights` of each member."""
        content = dump_tensors(
            {
                f"{i}.{name}": tensor
                for i, part in enumerate(weights)
                for name, tensor in part.items()
            }
        )
        facts = self.model_copy(update={"weights_sha256": hashlib.sha256(content).hexdigest()})
        settings = facts.model_dump(mode="json")
        if self.series is None:
            del settings["series"]
        settings["settings_sha256"] = _digest(settings)
        return {WEIGHTS: content, SETTINGS: _to_text(settings).encode()}

    @classmethod
    def read(cls, folder: PathLike) -> tuple[Self, dict[str, Tensor]]:
        """What files() gave, with the tensors as `MEMBER.NAME`.

        Raises:
            InputError: the folder or a file of it is missing, damaged or of another format.
        """
        settings = read_json(folder / SETTINGS)
        if settings.get("format") not in (MODEL_FORMAT, LAST_MODEL_FORMAT):
            raise InputError(
                f"{folder / SETTINGS}: the format must be {MODEL_FORMAT} or {LAST_MODEL_FORMAT}, "
                f"but got {settings.get('format')!r}; use the version that wrote it"
            )
        whole = settings.pop("settings_sha256", None)  # a model of an early version has none
        if whole not in (None, _digest(settings)):
            raise InputError(f"{folder / SETTINGS} is damaged: its hash is not the one saved")
        try:
            content = read_bytes(folder / WEIGHTS)
            facts = cls.model_validate(settings)
            if hashlib.sha256(content).hexdigest() != facts.weights_sha256:
                raise InputError(f"{folder / WEIGHTS} is damaged: its hash is not the one saved")
            return facts, load_tensors(content)
        except OSError as error:
            raise InputError(f"{folder / WEIGHTS} can't be read: {os_error_text(error)}") from error
        except ValidationError as error:
            problems = (f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
            raise unusable(folder, "; ".join(problems)) from error
        except (KeyError, TypeError, AttributeError, SafetensorError) as error:
            raise unusable(folder, error) from error


def unusable(folder: PathLike, reason: object) -> InputError:
    return InputError(f"{folder} holds no forecaster that can be used: {reason}")


def _to_text(settings: dict[str, Any]) -> str:
    """JSON with a line for each number, but one for each of many series."""
    if not settings.get("series"):
        return json.dumps(settings, indent=1)
    lines = (f"  {json.dumps(name)}: {json.dumps(own)}" for name, own in settings["series"].items())
    whole = json.dumps(settings | {"series": {}}, indent=1)
    before, after = whole.split('\n "series": {}', 1)
    return before + '\n "series": {\n' + ",\n".join(lines) + "\n }" + after


def _digest(settings: dict[str, Any]) -> str:
    """Of all settings, however they lie in the file."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
