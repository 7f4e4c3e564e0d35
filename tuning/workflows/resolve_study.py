"""Which study a command means: where it lies, of which space, and whether it goes on."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from lstm_model.errors import InputError
from tuning.space.search_space import OverrideError, SearchSpace, read_space
from tuning.study.manifest import read_study_space
from tuning.study.resume import check_trials, find_study, is_study, repeat_request
from tuning.study.storage import StoragePath
from tuning.study.trial import study_name
from tuning.workflows.earlier_study import add_earlier_trials, keep_initial_trials


@dataclass(frozen=True)
class StudyRequest:
    """What is asked for.

    Attributes:
        space: with the flags that override its file.
        resumed: the study exists, and is to go on.
        message: what is to be printed of how it begins, if anything.
    """

    folder: StoragePath
    space: SearchSpace
    resumed: bool
    message: str = ""


def resolve_study(
    root: StoragePath,
    changes: Mapping[str, object],
    *,
    space: str | SearchSpace | None,
    resume: str | None,
    name: str | None,
    or_resume: bool,
    initial_from: str | None = None,
) -> StudyRequest:
    """
    Args:
        root: of all studies.
        changes: flags, as SearchSpace.overridden() takes them.
        space: a file, a shipped space or one that was read, of a study that begins.
        resume: a study that goes on: its folder, or its name in root.
        or_resume: go on with the study called `name` where there is one.
        initial_from: an earlier study, whose best configurations are tried first: its folder, or
            its name in root. A study that is there already has its own.

    Raises:
        InputError: the flags contradict one another, or the study that there is.
    """
    if (space is None) == (resume is None):
        raise InputError(
            "--space FILE begins a study and --resume STUDY goes on with one: give one of them"
        )
    _check_repeatable(or_resume, name, resume)
    trials = changes.get("study.trials")
    assert trials is None or isinstance(trials, int)
    if resume is not None:
        if initial_from is not None:
            raise InputError(
                "--initial-from says what a study tries first, but --resume goes on with one that "
                "has begun; leave it out, or begin another study with --space"
            )
        _check_changes(changes, name)
        folder = find_study(resume, root, "--resume")
        check_trials(folder, trials)
        before = read_study_space(folder).overridden({"study.trials": trials})
        return StudyRequest(folder, before, resumed=True)
    assert space is not None
    resolved = (read_space(space) if isinstance(space, str) else space).overridden(changes)
    title = name if name is not None else f"{slug(resolved)}-{datetime.now():%Y%m%d-%H%M%S}"
    folder = root / study_name(title)
    exists, message = or_resume and is_study(folder), ""
    if initial_from is not None and exists:
        resolved, message = keep_initial_trials(resolved, folder)
    elif initial_from is not None:
        earlier = find_study(initial_from, root, "--initial-from")
        resolved, message = add_earlier_trials(resolved, earlier)
    if exists:
        resolved = repeat_request(folder, resolved, trials)
    return StudyRequest(folder, resolved, resumed=exists, message=message)


def _check_repeatable(or_resume: bool, name: str | None, resume: str | None) -> None:
    """Raises InputError where --or-resume can't say which study it means."""
    if or_resume and resume is not None:
        raise InputError(
            "--or-resume begins a study or goes on with it, and --resume goes on with one; give "
            "one of them: --space FILE --name NAME --or-resume, or --resume STUDY"
        )
    if or_resume and name is None:
        raise InputError(
            "--or-resume goes on with the study that --name names, but got no --name; without one "
            "each study has a name of its own: add --name NAME"
        )


def _check_changes(changes: Mapping[str, object], name: str | None) -> None:
    """Raises InputError where a study that goes on is asked to be another one."""
    values = {key: value for key, value in changes.items() if key != "study.trials"}
    fixed = [field for field, value in {**values, "--name": name}.items() if value is not None]
    if fixed:
        raise OverrideError(
            f"{', '.join(fixed)} can't change when a study goes on: leave it out, or begin "
            "another study with --space"
        )


def slug(space: SearchSpace) -> str:
    """The space's name as a part of a study's."""
    return re.sub(r"[^A-Za-z0-9_.+-]+|^[.+-]+", "_", space.stem)[:80]
