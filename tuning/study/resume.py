"""Going on with a study: what a command may ask of it, and how far its trials go back."""

import os
import shlex
from collections.abc import Mapping
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path

from lstm_model.errors import InputError
from lstm_model.files import read_bytes, read_json
from tuning.space.search_space import SearchSpace
from tuning.study.lock import CLAIM
from tuning.study.manifest import MANIFEST, read_study_space
from tuning.study.records import list_records
from tuning.study.storage import StoragePath, parse_storage_path, remove_tree
from tuning.study.trial import Trial

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
    return (folder / MANIFEST).exists()


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
        file = folder / MANIFEST
        # isfile() is False for a name that no folder can have.
        if os.path.isfile(file) if isinstance(file, Path) else file.is_file():
            return folder
    studies = sorted(shlex.quote(file.parent.name) for file in runs.glob(f"*/{MANIFEST}"))
    raise InputError(
        f"{flag} must name a study's folder, but {name!r} holds no study.json; "
        f"in {runs} there is {', '.join(studies) or 'no study'}"
    )


def collect_settings(space: SearchSpace) -> dict[str, object]:
    """All that a study's results depend on, by dotted name."""
    return {
        **{f"data.{key}": value for key, value in space.data.model_dump().items()},
        **{f"study.{key}": value for key, value in space.study.model_dump().items()},
        "search": dict(space.search),
        "fixed": dict(space.fixed),
        "initial_trials": [dict(point) for point in space.initial_trials],
    }


def compare_settings(first: dict[str, object], second: dict[str, object]) -> list[str]:
    """`study.trials: 20 against 50` for each setting that differs."""
    differing = []
    for key in first:
        if first[key] != second[key]:
            plain = isinstance(first[key], (str, int, float, tuple, type(None), datetime))
            differing.append(
                f"{key}: {_format_setting(first[key])} against {_format_setting(second[key])}"
                if plain
                else key
            )
    return differing


def _format_setting(value: object) -> str:
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


def repeat_request(folder: StoragePath, asked: SearchSpace, trials: int | None) -> SearchSpace:
    """What a command that may be repeated asks of the study that it began before.

    trials: as the command says. Where it says nothing, a study that was extended stays so.

    Raises:
        InputError: it is another study, or has more trials than the command says.
    """
    before = read_study_space(folder)
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


def check_trials(folder: StoragePath, trials: int | None) -> None:
    """Raises InputError where a study would go on with a budget that it has exceeded."""
    recorded = len(list_records(folder))
    if trials is not None and trials < recorded:
        raise InputError(
            f"--trials must be at least {recorded}, since {folder} has records of so many, but got "
            f"{trials}; leave it out, or ask for more"
        )


def return_to_checkpoint(folder: StoragePath, trial: Trial) -> str | None:
    """Forget the epochs since the trial's last checkpoint: they will run again.

    Returns:
        What is to be told where the checkpoint is damaged.
    """
    warning = None
    trial.state, epochs = "interrupted", 0
    if trial.checkpoint is not None:
        from lstm_model.training.state import read_state

        try:
            _, numbers = read_state(folder / trial.checkpoint)
            epochs = int(numbers["epoch"])
        except (InputError, KeyError, TypeError, ValueError) as error:
            warning = f"the checkpoint of trial {trial.id} is lost, so it starts anew: {error}"
            trial.checkpoint = None
    if trial.checkpoint is None:
        trial.saved = None
    del trial.history[epochs:]
    trial.best = trial.saved
    return warning


def remove_leftovers(folder: StoragePath, trials: Mapping[int, Trial]) -> None:
    """Remove what a kill left behind: half-written files, checkpoints that nobody needs."""
    for file in (*folder.glob(".*"), *(folder / "trials").glob(".*")):
        remove_tree(file)
    needed = {
        (folder / trial.checkpoint).parent
        for trial in trials.values()
        if trial.under_way and trial.checkpoint
    }
    for checkpoint in (folder / "checkpoints").glob("*/*"):
        if checkpoint not in needed:
            remove_tree(checkpoint)


def check_records(folder: StoragePath, space: SearchSpace, trials: Mapping[int, Trial]) -> None:
    """Raises InputError where the record of a trial that ended has a value outside the space."""
    for trial in trials.values():
        if trial.under_way:
            continue
        for name, entry in space.search.items():
            if name in trial.config and (problem := entry.problem(trial.config[name])):
                file = folder / "trials" / f"{trial.id}.json"
                value = trial.config[name]
                raise InputError(f"{file} is damaged: {name} {problem}, but is {value!r}")
