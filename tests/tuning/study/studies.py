"""A study of a small space, told what happens without any Ray."""

import json
from pathlib import Path
from typing import Any

from tests.builders import copy_of, epoch_report
from tuning.space.search_space import SearchSpace
from tuning.study.study import Study
from tuning.study.trial import State

CONFIG = {"context_length": 12, "chunk_length": 48, "hidden_size": 8, "num_layers": 1}


def folder_of(study: Study) -> Path:
    """Which none of these tests has in a bucket."""
    assert isinstance(study.folder, Path)
    return study.folder


def read(study: Study, name: str) -> Any:
    return json.loads((folder_of(study) / name).read_text())


def checkpoint(study: Study, id: int, number: int = 0) -> Path:
    folder = folder_of(study) / "checkpoints" / "0" / str(id) / f"checkpoint_{number:06}"
    (folder / "best").mkdir(parents=True)
    (folder / "best" / "model.json").write_text(json.dumps({"trial": id, "number": number}))
    return folder


def end(study: Study, id: int, rmse: float, state: State = "finished") -> None:
    """A trial of one epoch, saved at its end, as Tune has it."""
    study.on_trial_start(id, CONFIG)
    study.on_epoch(id, epoch_report(1, rmse))
    study.on_checkpoint(id, checkpoint(study, id))
    study.on_trial_end(id, state)


def save(study: Study, id: int, epoch: int, rmse: float) -> None:
    study.on_epoch(id, epoch_report(epoch, rmse))
    study.on_checkpoint(id, checkpoint(study, id, epoch))


def replicated(study: Study, space: SearchSpace | None = None) -> Study:
    """The same study in another process."""
    study.release()  # as its process does when it ends
    return copy_of(study, space=space)


def reopened(study: Study, space: SearchSpace | None = None) -> Study:
    again = replicated(study, space)
    assert again.resume(["--resume"]) == []
    return again
