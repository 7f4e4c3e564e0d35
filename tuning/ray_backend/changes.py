"""What a change to Ray is, and whether the Ray that is installed bears it."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class Change:
    """Something that is done otherwise than Ray does it.

    Attributes:
        name: as study.json, --verbose and LSTM_TUNING_PLAIN_RAY have it.
        what: its effect; --verbose says so where it is left out.
        gain: what it saves, with the date of the measurement (docs/LOG.md).
        expects: what Ray has to have: "module:name(parameters)", or without parameters where it
            only has to exist. Parameters are all that there are, in order, unless they end with
            "...": then these must be among them.
        own: it is made to a Ray of the command's own alone; a cluster's is left as it is.
        needs: changes without which this one can't be made.
    """

    name: str
    what: str
    gain: str
    expects: tuple[str, ...]
    own: bool = True
    needs: "tuple[Change, ...]" = ()


@dataclass(frozen=True)
class Changes:
    """Which changes are made, and why others are not. All of them go by their names."""

    used: frozenset[str]
    left_out: Mapping[str, str] = field(default_factory=dict)

    def __contains__(self, change: Change) -> bool:
        return change.name in self.used

    def __or__(self, other: "Changes") -> "Changes":
        return Changes(self.used | other.used, {**self.left_out, **other.left_out})

    def without(self, change: Change, reason: str) -> "Changes":
        return Changes(self.used - {change.name}, {**self.left_out, change.name: reason})

    def as_json(self) -> dict[str, list[str] | dict[str, str]]:
        """As study.json has them."""
        return {"changes": sorted(self.used), "left_out": dict(self.left_out)}


def first_problem(change: Change) -> str | None:
    """The first thing that this Ray has otherwise than the change expects."""
    for expected in change.expects:
        path, _, rest = expected.partition("(")
        try:
            value = look_up(path)
        except (ImportError, AttributeError) as error:
            return f"Ray has no {path}: {error}"
        if rest and (problem := _parameters_differ(value, rest.removesuffix(")"))):
            return f"{path} {problem}"
    return None


def look_up(path: str) -> Any:
    """What "module:name.name" names."""
    module, _, names = path.partition(":")
    value: Any = import_module(module)
    for name in names.split("."):
        value = getattr(value, name)
    return value


def _parameters_differ(function: Callable[..., Any], expected: str) -> str | None:
    try:
        actual = list(inspect.signature(function).parameters)
    except (TypeError, ValueError) as error:
        return f"can't be looked at: {error}"
    names = [name.strip() for name in expected.split(",")]
    if names[-1] == "...":
        lacking = [name for name in names[:-1] if name not in actual]
        return f"takes no {', '.join(lacking)}" if lacking else None
    return None if actual == names else f"takes {', '.join(actual)}, not {', '.join(names)}"
