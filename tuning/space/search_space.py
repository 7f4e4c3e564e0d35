"""What is searched: a SearchSpace, read from YAML or built in Python, by the same rules.

    read_space("multivariate")             a file that ships with the project
    read_space("spaces/mine.yaml")         a file of one's own
    SearchSpace(data={...}, search={...})  built here

A relative path or pattern in `data.source` is taken from the space file's folder where it lies
there, else from the working directory.
"""

import os
import re
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from dataclasses import field as attribute
from glob import glob, has_magic
from pathlib import Path as FilePath

from lstm_model.configuration import HYPERPARAMETERS, Configuration, DataSettings
from lstm_model.errors import InputError, os_error_text
from lstm_model.files import read_bytes
from tuning.space.located_yaml import Problem
from tuning.space.reader import check_document, read_blocks
from tuning.space.schema import Document, ParameterRange, Resources, StudySettings, Value
from tuning.space.validation import validate_all
from tuning.space.writer import to_plain, to_yaml
from tuning.wording import KeyPath, closest_match, format_value

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
NO_FILES = ("beijing", "beijing_stations", "simulated")  # sources that are no path


class SpaceError(InputError):
    """A search space breaks rules: one line for each problem."""


class OverrideError(SpaceError):
    """Changes to a search space break rules: each line begins with the fields that were changed."""


@dataclass(frozen=True, init=False)
class SearchSpace:
    """What is searched, on which data, and for how long, by the rules of a search-space file.

    Two spaces are equal where they ask for the same, whatever they are called and whatever comments
    their files have.

    Attributes:
        text: the file that it was read from, else what to_yaml() gives. A study keeps it.
        search: in declared order, parents before children.
    """

    name: str = attribute(compare=False)
    text: str = attribute(init=False, repr=False, compare=False)
    data: DataSettings
    study: StudySettings
    resources: Resources
    search: Mapping[str, ParameterRange]
    fixed: Mapping[str, Value]
    initial_trials: tuple[Mapping[str, Value], ...]

    def __init__(
        self,
        data: DataSettings | Mapping[str, object],
        *,
        search: Mapping[str, ParameterRange | Mapping[str, object]] | None = None,
        fixed: Mapping[str, Value] | None = None,
        study: StudySettings | Mapping[str, object] | None = None,
        resources: Resources | Mapping[str, object] | None = None,
        initial_trials: Sequence[Mapping[str, Value]] = (),
        name: str = "space",
    ) -> None:
        """
        Args:
            data, study, resources: keys as a file has them.
            search: ranges and choices of hyperparameters, parents before children.
            initial_trials: tried first; each must lie in the space.
            name: what a study's name begins with where it is given none.

        Raises:
            SpaceError: rules are broken: a line for each, which begins with its place.
        """
        document: Document = {"version": 1, "data": data, "study": study, "resources": resources}
        document |= {"search": search, "fixed": fixed, "initial_trials": initial_trials}
        blocks, problems = check_document(to_plain(document))
        if not isinstance(name, str) or not name:
            problems.append(Problem(("name",), f"must be a text, but got {format_value(name)}"))
        if problems:
            raise SpaceError("\n".join(dict.fromkeys(map(_name_place, problems))))
        vars(self).update(blocks, name=name)  # as a frozen class's own __init__ does
        vars(self).update(text=self.to_yaml())

    def to_yaml(self) -> str:
        """The text of a file that reads back as this space, from the same working directory."""
        return to_yaml(
            {
                "version": 1,
                "data": {"target": self.data.target} | self.data.model_dump(exclude_defaults=True),
                "study": self.study.model_dump(),
                "resources": self.resources.model_dump(),
                "search": {name: entry.to_document() for name, entry in self.search.items()},
                "fixed": self.fixed,
                "initial_trials": self.initial_trials,
            }
        )

    __str__ = to_yaml

    @property
    def stem(self) -> str:
        """The name without the ending of a file: what a comparison calls the space's model."""
        return re.sub(r"\.ya?ml$", "", self.name)

    def resolved(self, **checked: object) -> "SearchSpace":
        """The space with other settings, which were checked, and the same `text`."""
        space = copy(self)
        vars(space).update(checked)
        return space

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
        return self.resolved(data=file.data, study=file.study, resources=file.resources)


def _name_place(problem: Problem) -> str:
    """`search.hidden_size.low: must be ...`; a sentence that begins with its place as it stands."""
    place, text = _spell(problem.path), problem.rule
    if problem.other and (other := _spell(problem.other)) not in text:
        text += f" at {other}"
    return text if text.startswith(_spell(problem.path[:2])) else f"{place}: {text}"


def _spell(path: KeyPath) -> str:
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path).lstrip(".")


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
    blocks, problems = read_blocks(raw)
    if problems:
        lines = (f"{label}:{place.line}:{place.column}: {text}" for place, text in problems)
        raise SpaceError("\n".join(lines))
    data = blocks["data"]
    beside = os.path.join(folder, data.source)
    if data.source not in NO_FILES and (
        os.path.exists(beside) or (has_magic(beside) and glob(beside))
    ):
        blocks["data"] = data.model_copy(update={"source": beside})
    space = SearchSpace.__new__(SearchSpace)
    vars(space).update(blocks, name=FilePath(label).name, text=raw.decode())
    return space


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
