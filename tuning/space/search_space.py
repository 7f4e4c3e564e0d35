"""YAML -> SearchSpace, every mistake named with its line.

    read_space("multivariate")             a file that ships with the project
    read_space("spaces/mine.yaml")         a file of one's own

A relative path to a CSV in `data.source` is taken from the space file's folder where it lies there,
else from the working directory.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path as FilePath
from typing import Any

from lstm_model.configuration import HYPERPARAMETERS, Configuration, DataSettings
from lstm_model.errors import InputError, os_error_text
from lstm_model.files import read_bytes
from tuning.space.located_yaml import Mistake, Position, closest_match, format_value
from tuning.space.reader import Reader
from tuning.space.schema import ParameterRange, Resources, StudySettings, Value, validate_all

__all__ = [
    "FLAGS",
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
FLAGS = {
    "data.source": "--data",
    "data.calendar": "--calendar",
    "data.horizon": "--horizon",
    "study.trials": "--trials",
    "study.max_epochs": "--max-epochs",
    "study.seed": "--seed",
    "resources.cpu": "--cpus-per-trial",
    "resources.gpu": "--gpus-per-trial",
}


class SpaceError(InputError):
    """A search space, or a flag that overrides it, breaks rules: one line for each mistake."""


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
        """The space with command-line flags applied: `{"study.trials": 5, "data.source": "x.csv"}`.

        None stands for a flag that wasn't given. A source that a flag names has no fallback: who
        asks for it wants that one or an error. SpaceError names the flags that break rules.
        """
        given = {key: value for key, value in changes.items() if value is not None}
        settings: dict[str, Any] = {}
        lines = []
        for block in ("data", "study", "resources"):
            old = getattr(self, block)
            new = {k.partition(".")[2]: v for k, v in given.items() if k.startswith(f"{block}.")}
            flags = ", ".join(FLAGS.get(f"{block}.{key}", f"{block}.{key}") for key in new)
            if block == "data" and "source" in new:
                new.setdefault("fallback", None)
            settings[block], faults = validate_all(type(old), block, {**old.model_dump(), **new})
            for fault in faults:
                key = ".".join(map(str, fault.path[:2]))
                # A change may break a rule at a key that it doesn't name.
                named = key in given and not fault.sentence
                lines.append(f"{FLAGS.get(key, key) if named else flags}: {fault.text_for(named)}")
        trials = given.get("study.trials", 1)
        if not self.search and not lines and trials != 1:
            lines.append(
                f"--trials: must be 1 where nothing is searched, but got {format_value(trials)}"
            )
        if lines:
            raise SpaceError("\n".join(lines))
        return replace(self, **settings)


def shipped_spaces() -> dict[str, FilePath]:
    """The files of `search_spaces/` by name: inside the package once installed, else beside it."""
    package = FilePath(__file__).parents[1]
    installed = package / "search_spaces"
    folder = installed if installed.is_dir() else package.parent / "search_spaces"
    return {path.name: path for path in sorted(folder.glob("*.yaml"))}


def read_space(name: str) -> SearchSpace:
    """Read a search space: a path, or the name of a shipped one, with or without `.yaml`.

    SpaceError holds every mistake of the file, in its order, a line each.
    """
    path, label = _find(name)
    return parse_space(_read_bytes(path, label), label, os.path.dirname(path))


def parse_space(raw: bytes, label: str, folder: str) -> SearchSpace:
    """A search space from its text; a relative source lies in `folder`.

    SpaceError holds every mistake, as read_space() has them.
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8")
        place = Position(before.count("\n") + 1, len(before) - before.rfind("\n"))
        rule = f"must be UTF-8 text, but got the byte 0x{raw[error.start]:02x}"
        raise SpaceError(_line(label, Mistake(place, rule))) from None
    reader = Reader(text)
    parts = reader.parts(folder)
    if parts is None:
        ordered = sorted(dict.fromkeys(reader.mistakes), key=lambda mistake: mistake.place)
        raise SpaceError("\n".join(_line(label, mistake) for mistake in ordered))
    return SearchSpace(FilePath(label).name, text, **parts)


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


def _line(label: str, mistake: Mistake) -> str:
    return f"{label}:{mistake.place.line}:{mistake.place.column}: {mistake.text}"
