"""A study's folder read back: what was asked for, and the trials that there are."""

import json
import os
import shlex
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lstm_model.configuration import AS_IT_STANDS, DataSettings
from lstm_model.data.sources import Dataset
from lstm_model.errors import InputError, os_error_text
from lstm_model.files import read_bytes, read_json
from tuning.space.search_space import Resources, SearchSpace, StudySettings, parse_space
from tuning.study.lock import CLAIM
from tuning.study.storage import StoragePath, map_files, parse_storage_path
from tuning.study.trial import Trial

# Of study.json. Format 1 did not say how a table's cells are read: as they stand.
STUDY_FORMAT, LAST_STUDY_FORMAT = 2, 1

# What a kill leaves of the files that a study begins with, as write_file() names them, and of who
# began it.
HALF_WRITTEN = (".space.yaml.????????", ".study.json.????????", f"{CLAIM}-*-*.json")


def check_name_is_free(folder: StoragePath, asked: SearchSpace | None = None) -> None:
    """Raises InputError where a new study would meet an old one.

    asked: of a command that may be repeated. What a kill left of its own beginning, before there
    was a study, is no obstacle.
    """
    if is_study(folder):
        raise InputError(
            f"{folder} exists; go on with it: --resume {shlex.quote(str(folder))}, or choose "
            "another --name"
        )
    if folder.exists() and not (asked and _half_begun(folder, asked)):
        raise InputError(f"{folder} exists, and is no study: remove it, or choose another --name")


def is_study(folder: StoragePath) -> bool:
    return (folder / "study.json").exists()


def _half_begun(folder: StoragePath, asked: SearchSpace) -> bool:
    """Whether the folder holds nothing but what this very space's study writes before study.json.

    All else may be the user's, another space.yaml too.
    """
    if not folder.is_dir():
        return False
    for item in folder.iterdir():
        if item.name == "trials" and item.is_dir():
            ours = not any(item.iterdir())
        elif item.name == "space.yaml":
            ours = item.is_file() and read_bytes(item) == asked.text.encode()
        else:
            ours = any(fnmatchcase(item.name, each) for each in HALF_WRITTEN)
        if not ours:
            return False
    return True


def find_study(name: str, runs: StoragePath, flag: str) -> StoragePath:
    """The folder that `name`, given as `flag`, means: a path or URI, or a study in `runs`.

    Raises:
        InputError: there is no such study; the message lists those that there are.
    """
    for folder in (parse_storage_path(name), runs / name):
        file = folder / "study.json"
        # isfile() is False for a name that no folder can have.
        if os.path.isfile(file) if isinstance(file, Path) else file.is_file():
            return folder
    studies = sorted(shlex.quote(file.parent.name) for file in runs.glob("*/study.json"))
    raise InputError(
        f"{flag} must name a study's folder, but {name!r} holds no study.json; "
        f"in {runs} there is {', '.join(studies) or 'no study'}"
    )


def read_space_of(folder: StoragePath) -> SearchSpace:
    """The search space of a study, with the flags that it was begun with.

    Raises:
        InputError: a file of the study is missing, damaged or of another format.
    """
    settings = read_json(folder / "study.json")
    if settings.get("format") not in (STUDY_FORMAT, LAST_STUDY_FORMAT):
        raise InputError(
            f"{folder / 'study.json'}: the format must be {STUDY_FORMAT} or {LAST_STUDY_FORMAT}, "
            f"but got {settings.get('format')!r}; go on with the version that wrote it"
        )
    file = folder / "space.yaml"
    try:
        space = parse_space(read_bytes(file), str(file), str(folder))
    except OSError as error:
        raise InputError(f"{file} can't be read: {os_error_text(error)}") from error
    try:
        # As JSON would give it back: lists for tuples.
        now = json.loads(json.dumps(space_as_json(space)))
        if other := [key for key, value in now.items() if settings[key] != value]:
            raise InputError(
                f"{folder / 'space.yaml'} must be as the study was begun with it (study.json says "
                f"how), but its {', '.join(other)} changed; put it back, or begin another study"
            )
        data = settings["data"]["settings"]
        if settings["format"] == LAST_STUDY_FORMAT:
            data = AS_IT_STANDS.model_dump() | data
        for kind, saved in (
            (DataSettings, data),
            (StudySettings, settings["settings"]),
            (Resources, settings["resources"]),
        ):
            if lacking := [name for name in kind.model_fields if name not in saved]:
                raise KeyError(", ".join(lacking))  # defaults would make another study of it
        if not isinstance(settings["space"], str) or not isinstance(
            settings["data"]["sha256"], str
        ):
            raise TypeError("space and sha256 must be text")
        return replace(
            space,
            name=settings["space"],
            data=DataSettings(**data),
            study=StudySettings(**settings["settings"]),
            resources=Resources(**settings["resources"]),
        )
    except (KeyError, TypeError, ValidationError) as error:
        raise InputError(
            f"{folder / 'study.json'} is damaged: {error}; the trials' records beside it can still "
            "be read, but not gone on with; bring it back, or begin another study"
        ) from error


def space_as_json(space: SearchSpace) -> dict[str, Any]:
    """What trials are made of, as study.json has it."""
    return {
        "search": {name: entry.to_json() for name, entry in space.search.items()},
        "fixed": dict(space.fixed),
        "initial_trials": [dict(point) for point in space.initial_trials],
    }


def collect_settings(space: SearchSpace) -> dict[str, Any]:
    """All that a study's results depend on, by dotted name."""
    return {
        **{f"data.{key}": value for key, value in space.data.model_dump().items()},
        **{f"study.{key}": value for key, value in space.study.model_dump().items()},
        "search": dict(space.search),
        "fixed": dict(space.fixed),
        "initial_trials": [dict(point) for point in space.initial_trials],
    }


def compare_settings(first: dict[str, Any], second: dict[str, Any]) -> list[str]:
    """`study.trials: 20 against 50` for each setting that differs."""
    differing = []
    for key in first:
        if first[key] != second[key]:
            plain = isinstance(first[key], (str, int, float, tuple, type(None), datetime))
            differing.append(
                f"{key}: {_said(first[key])} against {_said(second[key])}" if plain else key
            )
    return differing


def _said(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return str(value)


def check_settings(folder: StoragePath, before: SearchSpace, asked: SearchSpace) -> None:
    """Raises InputError where the study that exists is not the one that is asked for."""
    if other := compare_settings(collect_settings(before), collect_settings(asked)):
        raise InputError(
            f"{folder} exists with other settings than are asked for: {'; '.join(other)}; choose "
            "another --name, or ask for the same"
        )


def ask_again(folder: StoragePath, asked: SearchSpace, trials: int | None) -> SearchSpace:
    """What a command that may be repeated asks of the study that it began before.

    trials: as the command says. Where it says nothing, a study that was extended stays so.

    Raises:
        InputError: it is another study, or has more trials than the command says.
    """
    before = read_space_of(folder)
    budget = {"study.trials": trials or max(asked.study.trials, before.study.trials)}
    asked = asked.overridden(budget)
    check_settings(folder, before.overridden(budget), asked)
    check_trials(folder, trials)
    return asked


def is_complete(folder: StoragePath, trials: Mapping[int, Trial], budget: int) -> bool:
    """Whether nothing is left of a study to do: its trials have ended, and then it has itself,
    with its best model in place.
    """
    try:
        outcome = read_json(folder / "summary.json").get("state")
    except InputError:
        return False  # what is derived is made again
    under_way = any(trial.under_way for trial in trials.values())
    model = folder / "best" / "model.safetensors"
    return outcome == "finished" and len(trials) >= budget and not under_way and model.is_file()


def check_data(folder: StoragePath, table: Dataset) -> None:
    """Raises InputError where the table is not the one that the study was begun with."""
    before: dict[str, Any] = read_json(folder / "study.json")["data"]
    if before.get("sha256") != table.sha256:
        raise InputError(
            f"{folder} was begun with other data: {before.get('source')} of SHA-256 "
            f"{str(before.get('sha256'))[:12]}..., but {table.source} now has "
            f"{table.sha256[:12]}...; bring back the first, or begin another study"
        )


def check_trials(folder: StoragePath, trials: int | None) -> None:
    """Raises InputError where a study would go on with a budget that it has exceeded."""
    there = len(records(folder))
    if trials is not None and trials < there:
        raise InputError(
            f"--trials must be at least {there}, since {folder} has records of so many, but got "
            f"{trials}; leave it out, or ask for more"
        )


def records(folder: StoragePath) -> list[StoragePath]:
    """The files of a study's trials, in any order."""
    return [file for file in (folder / "trials").glob("*.json") if file.stem.isdecimal()]


def read_trials(folder: StoragePath) -> dict[int, Trial]:
    """Every trial's record, by number.

    Raises:
        InputError: records are damaged; a line for each names the file and the way on.
    """
    files = sorted(records(folder), key=lambda file: int(file.stem))
    read = map_files(_read_trial, files)
    trials = {trial.id: trial for trial in read if isinstance(trial, Trial)}
    damaged = [problem for problem in read if isinstance(problem, str)]
    if damaged:
        whole = f"the records of {len(trials)} other trials are whole"
        raise InputError(
            "\n".join(
                [*damaged, f"{whole}; remove what is damaged, and these trials will run again"]
            )
        )
    return trials


def _read_trial(file: StoragePath) -> Trial | str:
    """A trial, or what is wrong with its record."""
    try:
        trial = Trial.from_json(read_json(file))
        if file.name != f"{trial.id}.json":
            raise ValueError(f"it is of trial {trial.id}")
    except InputError as error:
        return str(error)
    except ValueError as error:
        return f"{file} is damaged: {error}"
    return trial
