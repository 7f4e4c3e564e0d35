"""A study's folder read back: what was asked for, and the trials that there are."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lstm_model.configuration import DataSettings
from lstm_model.errors import InputError
from lstm_model.files import read_json
from lstm_model.sources import Table
from tuning.record import Trial
from tuning.search_space import Resources, SearchSpace, StudySettings, read_space

# Of study.json; another one is refused.
FORMAT = 1


def find_study(name: str, runs: Path) -> Path:
    """The folder that `name` means: a path, or a study in `runs`.

    Raises:
        InputError: there is no such study; the message lists those that there are.
    """
    for folder in (Path(name), runs / name):
        if (folder / "study.json").is_file():
            return folder
    there = sorted(file.parent.name for file in runs.glob("*/study.json"))
    raise InputError(
        f"--resume must name a study's folder, but {name!r} holds no study.json; "
        f"in {runs} there is {', '.join(there) or 'no study'}"
    )


def read_space_of(folder: Path) -> SearchSpace:
    """The search space of a study, with the flags that it was begun with.

    Raises:
        InputError: a file of the study is missing, damaged or of another format.
    """
    settings = read_json(folder / "study.json")
    if settings.get("format") != FORMAT:
        raise InputError(
            f"{folder / 'study.json'}: the format must be {FORMAT}, but got "
            f"{settings.get('format')!r}; go on with the version that wrote it"
        )
    space = read_space(str(folder / "space.yaml"))
    try:
        return replace(
            space,
            name=settings["space"],
            data=DataSettings(**settings["data"]["settings"]),
            study=StudySettings(**settings["settings"]),
            resources=Resources(**settings["resources"]),
        )
    except (KeyError, TypeError, ValidationError) as error:
        raise InputError(f"{folder / 'study.json'} is damaged: {error}") from error


def refuse_other_data(folder: Path, table: Table) -> None:
    """Raises InputError where the table is not the one that the study was begun with."""
    before: dict[str, Any] = read_json(folder / "study.json")["data"]
    if before.get("sha256") != table.sha256:
        raise InputError(
            f"{folder} was begun with other data: {before.get('source')} of SHA-256 "
            f"{str(before.get('sha256'))[:12]}..., but {table.source} now has "
            f"{table.sha256[:12]}...; bring back the first, or begin another study"
        )


def read_trials(folder: Path) -> dict[int, Trial]:
    """Every trial's record, by number.

    Raises:
        InputError: a record is damaged; the message names the file.
    """
    trials = {}
    for file in (folder / "trials").glob("[0-9]*.json"):
        try:
            trial = Trial.from_json(read_json(file))
        except (KeyError, TypeError) as error:
            raise InputError(f"{file} is damaged: it lacks {error}") from error
        trials[trial.id] = trial
    return dict(sorted(trials.items()))
