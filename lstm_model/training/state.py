"""A training's state on disk: tensors in one file, numbers beside them, nothing pickled."""

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from lstm_model.errors import InputError
from lstm_model.files import PathLike, read_json

TENSORS, NUMBERS = "training.safetensors", "training.json"


class TrainerState(NamedTuple):
    """All that a Trainer's next epoch depends on."""

    tensors: dict[str, Tensor]
    numbers: dict[str, Any]  # JSON: the last `epoch`, and the `best` one's number and score


def write_state(folder: Path, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:
    """Write what Trainer.state() gave, into a folder that the caller makes whole."""
    content = save(tensors)
    (folder / TENSORS).write_bytes(content)
    whole = {**numbers, "tensors_sha256": hashlib.sha256(content).hexdigest()}
    (folder / NUMBERS).write_text(json.dumps(whole))


def read_state(folder: PathLike) -> TrainerState:
    """What write_state() wrote; raises InputError where it can't be read or is not the same."""
    numbers = read_json(folder / NUMBERS)
    try:
        content = (folder / TENSORS).read_bytes()
        # A machine that dies may leave a file of the right length with nothing in it.
        if hashlib.sha256(content).hexdigest() != numbers.pop("tensors_sha256", None):
            raise InputError(f"{folder / TENSORS} is damaged: its hash is another")
        return TrainerState(load(content), numbers)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{folder / TENSORS} can't be read: {error}") from error


def by_prefix(tensors: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """{"a.b": tensor} -> {"a": {"b": tensor}}."""
    parts: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        part, _, key = name.partition(".")
        parts.setdefault(part, {})[key] = tensor
    return parts
