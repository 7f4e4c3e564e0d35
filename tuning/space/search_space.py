"""YAML -> SearchSpace, every problem named with its line.

    read_space("multivariate")             a file that ships with the project
    read_space("spaces/mine.yaml")         a file of one's own

A relative path to a CSV in `data.source` is taken from the space file's folder where it lies there,
else from the working directory.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path as FilePath

from lstm_model.configuration import HYPERPARAMETERS, Configuration, DataSettings
from lstm_model.errors import InputError, os_error_text
from lstm_model.files import read_bytes
from tuning.space.reader import read_blocks
from tuning.space.schema import Document, ParameterRange, Resources, StudySettings, Value
from tuning.space.validation import validate_all
from tuning.wording import closest_match, format_value

__all__ = [
    "OverrideError",
    "ParameterRange",
    "Resources",
    "SearchSpace",
    "SpaceError",
    "StudySettings",
    "Value",
    "read_space",
    "shipped_spaces",
]

LARGEST = 1_000_000  # bytes; a search space takes a few thousand


class SpaceError(InputError):
    """A search space breaks rules: one line for each problem."""


class OverrideError(SpaceError):
    """Changes to a search space break rules: each line begins with the fields that were changed."""


@dataclass(frozen=True)
class SearchSpace:
    """A search-space file, checked; `search` is in declared order, parents before children."""

    name: str
    text: str
    data: DataSettings
    study: StudySettings
    resources: Resources
    search: Mapping[str, ParameterRange]
    fixed: Mapping[str, Value]
    initial_trials: tuple[Mapping[str, Value], ...]

    def configuration(self, point: Mapping[str, Value]) -> Configuration:
        """The configuration at a point of the search, with what is fixed."""
        return Configuration.model_validate({**self.fixed, **point})

    @property
    def defaults(self) -> dict[str, Value]:
        """The hyperparameters that are neither searched nor fixed, at their defaults."""
        return {
            name: each.default
            for name, each in HYPERPARAMETERS.items()
            if name not in self.search and name not in self.fixed
        }

    def overridden(self, changes: Mapping[str, object]) -> "SearchSpace":
        """The space with some of its settings changed, such as {"study.trials": 5}.

        None stands for what isn't changed. A new data.source has no fallback: who asks for it
        wants that one or an error.

        Raises:
            OverrideError: the changes break rules.
        """
        changed = {field: value for field, value in changes.items() if value is not None}
        document: Document = {"version": 1}
        for name in ("data", "study", "resources"):
            document[name] = getattr(self, name).model_dump()
        if "data.source" in changed:
            document["data"]["fallback"] = None
        for field, value in changed.items():
            block, _, key = field.partition(".")
            document[block][key] = value
        file, problems = validate_all(document)
        lines = []
        for problem in problems:
            field = ".".join(map(str, problem.path[:2]))
            if field in changed and not problem.sentence:
                lines.append(f"{field}: {problem.rule}")
            else:  # a change may break a rule at a field that it doesn't name
                block = f"{problem.path[0]}."
                fields = ", ".join(field for field in changed if field.startswith(block))
                lines.append(f"{fields}: {problem.text}")
        trials = changed.get("study.trials", 1)
        if not self.search and not lines and trials != 1:
            rule = "must be 1 where nothing is searched"
            lines.append(f"study.trials: {rule}, but got {format_value(trials)}")
        if file is None or lines:
            raise OverrideError("\n".join(lines))
        return replace(self, data=file.data, study=file.study, resources=file.resources)


def shipped_spaces() -> dict[str, FilePath]:
    """The files of `search_spaces/` by name: inside the package once installed, else beside it."""
    package = FilePath(__file__).parents[1]
    installed = package / "search_spaces"
    folder = installed if installed.is_dir() else package.parent / "search_spaces"
    return {path.name: path for path in sorted(folder.glob("*.yaml"))}


def read_space(name: str) -> SearchSpace:
    """Read a search space: a path, or the name of a shipped one, with or without `.yaml`.

    SpaceError holds every problem of the file, in its order, a line each.
    """
    path, label = _find(name)
    return parse_space(_read_bytes(path, label), label, os.path.dirname(path))


def parse_space(raw: bytes, label: str, folder: str) -> SearchSpace:
    """A search space from its text; a relative source lies in `folder`.

    SpaceError holds every problem, as read_space() has them.
    """
    file, problems = read_blocks(raw)
    if file is None:
        lines = (f"{label}:{place.line}:{place.column}: {text}" for place, text in problems)
        raise SpaceError("\n".join(lines))
    data = file.data
    beside = os.path.join(folder, data.source)
    if data.source not in ("beijing", "simulated") and os.path.exists(beside):
        data = data.model_copy(update={"source": beside})
    name, text, trials = FilePath(label).name, raw.decode(), tuple(file.initial_trials)
    return SearchSpace(
        name, text, data, file.study, file.resources, file.search, file.fixed, trials
    )


def _find(name: str) -> tuple[str, str]:
    """The path to open, and what messages call it."""
    shipped = shipped_spaces()
    if not os.path.isfile(name):
        for short in (name, f"{name}.yaml"):
            if short in shipped:
                return str(shipped[short]), short
    if os.path.exists(name):
        return name, name
    beside = f"{name}.yaml"
    guess = beside if os.path.isfile(beside) else closest_match(os.path.basename(name), shipped)
    also = f"; did you mean {guess!r}?" if guess else "."
    raise SpaceError(
        f"no search space {format_value(name)}{also} Give a file's path, or one of "
        f"{', '.join(shipped) or 'none, as none are shipped here'}"
    )


def _read_bytes(path: str, label: str) -> bytes:
    try:
        raw = read_bytes(FilePath(path), LARGEST + 1)
    except IsADirectoryError:
        raise SpaceError(f"{label}: must be a file, but got a folder") from None
    except OSError as error:
        raise SpaceError(f"{label}: must be readable, but got: {os_error_text(error)}") from None
    if len(raw) > LARGEST:
        raise SpaceError(f"{label}: must be at most 1 MB, but got more; is it a search space?")
    return raw
