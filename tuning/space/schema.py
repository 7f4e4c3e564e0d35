"""The rules of a search space's blocks and entries, and how a broken one is told."""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from typing import Any, Literal, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from lstm_model.configuration import HYPERPARAMETERS, Hyperparameter, Reading
from tuning.space.located_yaml import (
    KeyPath,
    closest_match,
    format_value,
    key_name,
    missing,
    suggestion,
)

Value = int | float | str
M = TypeVar("M", bound=BaseModel)


class StudySettings(BaseModel):
    """How long a study searches, and by which methods."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    trials: int = Field(50, ge=1, le=100_000, description="configurations to try")
    max_epochs: int = Field(40, ge=1, le=10_000, description="longest training of a trial")
    sampler: Literal["tpe", "gp", "random"] = Field("tpe", description="chooses what to try")
    scheduler: Literal["asha", "median", "none"] = Field("asha", description="stops what is losing")
    seed: int = Field(0, ge=0, le=2**31 - 1, description="of the sampler and the trials")


class Resources(BaseModel):
    """Each trial's share of the machine."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    cpu: float = Field(1.0, gt=0, le=1024, description="cores of each trial")
    gpu: float = Field(
        0.0, ge=0, le=1024, description="GPUs of each trial; below 1, trials share one"
    )

    @field_validator("gpu")
    @classmethod
    def _whole_above_one(cls, gpu: float) -> float:
        if gpu > 1 and gpu != int(gpu):
            raise ValueError("must be a share of one GPU or a whole number of them")
        return gpu


@dataclass(frozen=True)
class ParameterRange:
    """One searched hyperparameter: its range or choices, and when it exists.

    `low`, `high`, `log` and `step` belong to the kinds int and float, `choices` to categorical.
    `when` maps parents to the values that they must have taken, all of them at once.
    """

    name: str
    kind: Literal["int", "float", "categorical"]
    low: float | None = None
    high: float | None = None
    log: bool = False
    step: float | None = None
    choices: tuple[Value, ...] = ()
    when: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)

    def active(self, point: Mapping[str, Value]) -> bool:
        """Whether the hyperparameter exists, given what was chosen for those declared above it."""
        return all(name in point and point[name] in took for name, took in self.when.items())

    def problem(self, value: object) -> str | None:
        """The rule of this entry that `value` breaks, as a clause, or None."""
        illegal = HYPERPARAMETERS[self.name].problem(value)
        if self.kind == "categorical":
            fits = illegal is None and value in self.choices
            return None if fits else f"must be one of {', '.join(map(str, self.choices))}"
        assert self.low is not None and self.high is not None
        if not isinstance(value, int | float) or isinstance(value, bool):
            return illegal
        if not self.low <= value <= self.high:  # catches NaN too
            return f"must lie from {format_number(self.low)} to {format_number(self.high)}"
        # Optuna's own tolerance: it hands out 0.1 + 0.2, which isn't quite 0.3.
        if self.step is not None and distance_from_grid(self.low, value, self.step) > 1e-8:
            return (
                f"must be {format_number(self.low)} plus whole steps of {format_number(self.step)}"
            )
        return illegal


# Pydantic's errors in the project's words


class Fault(NamedTuple):
    """A broken rule: a clause about the value at `path`, or a whole sentence about its key."""

    path: KeyPath
    text: str
    sentence: bool = False

    def text_for(self, named: bool) -> str:
        """The text, with its subject unless that is `named` already."""
        return self.text if named or self.sentence else f"{key_name(self.path)} {self.text}"


_RULES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "int_type": lambda _: "must be a whole number",
    "float_type": lambda _: "must be a number",
    "finite_number": lambda _: "must be a finite number",
    "greater_than": lambda limits: f"must be above {format_number(limits['gt'])}",
    "greater_than_equal": lambda limits: f"must be at least {format_number(limits['ge'])}",
    "less_than_equal": lambda limits: f"must be at most {format_number(limits['le'])}",
    "string_type": lambda _: "must be text",
    "string_unicode": lambda _: "must be text",
    "string_too_short": lambda _: "must not be empty",
    "tuple_type": lambda _: "must be a list",
    "too_short": lambda _: "must name at least one",
    "datetime_type": lambda _: "must be a date such as 2013-01-01",
    "value_error": lambda context: str(context["error"]),
}


def validate_all(
    model: type[M], block: str, values: Mapping[str, Any]
) -> tuple[M | None, list[Fault]]:
    """The settings, or None and every rule that is broken.

    Pydantic checks the rules across keys only once each key is right by itself; so what is wrong
    gives way to something harmless, and the check runs again.
    """
    given = frozenset(values)
    values = dict(values)
    faults: list[Fault] = []
    while True:
        try:
            settings = model.model_validate(values)
            return (None if faults else settings), faults
        except ValidationError as error:
            found = dict.fromkeys(_faults(model, block, values, given, error))
        new = [fault for fault in found if fault not in faults]
        if not new:
            return None, faults
        faults += new
        needed = [key for key, info in model.model_fields.items() if info.is_required()]
        for key in [
            *(str(fault.path[1]) for fault in new),
            *(k for k in needed if k not in values),
        ]:
            _mend(values, key)


def _mend(values: dict[str, Any], key: str) -> None:
    names = values.get("features")
    if (
        key == "features"
        and isinstance(names, list | tuple)
        and all(isinstance(n, str) for n in names)
    ):
        values["features"] = list(dict.fromkeys(names))
        if len(values["features"]) < len(names):
            return
    if key in ("features", "target"):
        values.update(target="any", features=["any"])
        for block in Reading.model_fields:  # what names columns
            values.pop(block, None)
    elif key in ("validation_from", "test_from"):
        values[key] = datetime.min if key == "validation_from" else datetime.max
        values.pop("folds", None)  # none but one fits between these
    else:
        values.pop(key, None)


def _faults(
    model: type[BaseModel],
    block: str,
    values: Mapping[str, Any],
    given: Collection[str],
    error: ValidationError,
) -> list[Fault]:
    fields = model.model_fields
    faults = []
    for item in error.errors(include_url=False):
        where, kind, came = item["loc"], item["type"], item["input"]
        if kind == "missing":
            for key in missing([str(where[0])], given, fields):
                text = f"{block} needs {key}: {fields[key].description}"
                faults.append(Fault((block, key), text, sentence=True))
        elif kind == "extra_forbidden":
            key = str(where[0])
            text = f"no key {format_value(key)} in {block}{suggestion(key, fields, 'its keys are')}"
            faults.append(Fault((block, key), text, sentence=True))
        elif not where:  # a rule across keys, whose message begins with the key at fault
            key, _, clause = str(item["ctx"]["error"]).partition(" ")
            faults.append(Fault((block, key), clause))
        elif kind == "too_short" and came:
            pass  # its items are wrong, and reported
        elif len(where) > 1 and isinstance(where[1], str):  # a branch of `time`'s union
            value = format_value(values[str(where[0])])
            clause = f"must be a column or a list of columns, but got {value}"
            faults.append(Fault((block, where[0]), clause))
        else:
            faults.append(Fault((block, *where), _clause(kind, item.get("ctx", {}), came)))
    return faults


def _clause(kind: str, context: Mapping[str, Any], came: object) -> str:
    if kind == "literal_error":
        options = re.findall(r"'([^']*)'", context["expected"])
        guess = closest_match(came, options) if isinstance(came, str) else None
        rule = (
            f"must be one of {', '.join(options)}" if len(options) > 1 else f"must be {options[0]}"
        )
        return f"{rule}, but got {format_value(came)}" + (
            f"; did you mean {guess!r}?" if guess else ""
        )
    worded = _RULES.get(kind)
    clause = (
        f"{worded(context) if worded else 'must be something else'}, but got {format_value(came)}"
    )
    if kind == "string_type" and isinstance(came, int | float):
        return f"{clause}; quotes make it text"
    return clause


def format_number(number: float) -> str:
    return f"{number:.12g}"


def coerce(legal: Hyperparameter, value: Value) -> Value:
    return float(value) if legal.kind == "float" else value


def distance_from_grid(low: float, value: float, step: float) -> Fraction:
    """How far `value` is from a whole number of steps above `low`, counted in decimals."""
    steps = (Fraction(str(value)) - Fraction(str(low))) / Fraction(str(step))
    return abs(steps - round(steps))
