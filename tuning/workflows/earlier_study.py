"""The best configurations of an earlier study, as what a new one tries first: --initial-from."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from lstm_model.configuration import HYPERPARAMETERS
from lstm_model.errors import InputError
from lstm_model.files import read_json
from tuning.space.schema import read_value
from tuning.space.search_space import SearchSpace, Value
from tuning.study.manifest import MANIFEST, read_study_space
from tuning.study.records import read_trials
from tuning.study.storage import StoragePath

# Enough to begin where the earlier study ended; the rest of the trials is for what it didn't try.
MOST = 5


def add_earlier_trials(space: SearchSpace, folder: StoragePath) -> tuple[SearchSpace, str]:
    """The space with the best configurations of an earlier study behind its own initial trials.

    They are the best that lie in the space, each once, by validation RMSE: at most MOST, and no
    more than the space has trials. Only trials that ended with a result count.

    Returns:
        The space, and a line for people: which trials they are, and which better ones are left out.

    Raises:
        InputError: there is none.
    """
    if not space.search:
        raise InputError(
            "--initial-from gives values to what is searched, but the space searches nothing; "
            "leave it out"
        )
    own = space.initial_trials
    room = min(MOST, space.study.trials - len(own))
    if room < 1:
        raise InputError(
            f"--initial-from must have room for a trial, but of {space.study.trials} trials "
            f"{len(own)} are the space's own initial ones; ask for more --trials, or leave it out"
        )
    trials = read_trials(folder).values()
    ended = [t for t in trials if t.state in ("finished", "stopped_early") and t.best]
    if not ended:
        raise InputError(
            f"--initial-from must name a study that has results, but no trial of {folder} has "
            "ended with one; name another study, or leave it out"
        )
    defaults = {name: each.default for name, each in HYPERPARAMETERS.items()}
    defaults |= read_json(folder / MANIFEST).get("defaults", {})  # as they were then
    points: list[Mapping[str, Value]] = []
    taken: list[str] = []
    outside: Counter[str] = Counter()
    for trial in sorted(ended, key=lambda trial: (trial.objective, trial.id)):
        try:
            point = project({**defaults, **trial.config}, space)
        except ValueError as error:
            outside[str(error)] += 1
            continue
        if point not in (*own, *points):
            points.append(point)
            taken.append(str(trial.id))
        if len(points) == room:
            break
    reasons = "; ".join(f"{reason} ({count})" for reason, count in outside.most_common())
    if outside.total() == len(ended):
        raise InputError(
            f"--initial-from must name a study with configurations that lie in the space, but of "
            f"{folder} none does: {reasons}; widen the space, or leave it out"
        )
    said = f"trial{'s' if len(taken) > 1 else ''} {', '.join(taken)}" if taken else "nothing"
    message = f"Tried first, from {folder}: {said}"
    if own:
        message += ", after the space's own initial trials"
    if outside:
        message += f". Left out, as outside the space: {reasons}"
    return replace(space, initial_trials=(*own, *points)), message


def project(values: Mapping[str, Value], space: SearchSpace) -> dict[str, Value]:
    """The point of the space where a configuration lies, of which all values are given.

    What exists only under a condition that the configuration doesn't meet doesn't count.

    Raises:
        ValueError: the configuration lies outside; the text is the rule that it breaks.
    """
    point: dict[str, Value] = {}
    for name, entry in space.search.items():
        if entry.active(point):
            if rule := entry.problem(values[name]):
                raise ValueError(f"{name} {rule}")
            point[name] = read_value(HYPERPARAMETERS[name], values[name])
    for block, why in ((space.fixed, "fixed"), (space.defaults, "the default")):
        for name, value in block.items():
            if values[name] != value:
                raise ValueError(f"{name} must be {value}, which is {why}")
    return point


def keep_initial_trials(space: SearchSpace, folder: StoragePath) -> tuple[SearchSpace, str]:
    """The space with the initial trials of the study that there is, if they begin with its own.

    So the command that began the study may be repeated, whatever the earlier one has become.
    """
    own: Sequence[Mapping[str, Value]] = space.initial_trials
    begun = read_study_space(folder).initial_trials
    message = f"{folder} is there, with its own initial trials: --initial-from changes nothing"
    return (replace(space, initial_trials=begun) if begun[: len(own)] == own else space), message
