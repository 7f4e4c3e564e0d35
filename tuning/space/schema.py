"""What a search-space file may hold: its blocks, and the ranges of what is searched.

A rule is told as a clause whose subject is the value at fault, such as "must be at most 1024".
"""

from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import asdict
from fractions import Fraction
from functools import partial
from typing import Annotated, Any, Literal, Self

import pydantic
from pydantic import (
    BaseModel,
    BeforeValidator,
    Field,
    PlainValidator,
    ValidationInfo,
    WrapValidator,
)
from pydantic.dataclasses import dataclass
from pydantic_core import PydanticCustomError

from lstm_model.configuration import HYPERPARAMETERS, DataSettings, Hyperparameter, broken_rules
from tuning.wording import format_number

Value = int | float | str
Document = dict[str, Any]  # plain data by their keys, as YAML has them
ENTRY_KEYS = dict.fromkeys(("type", "low", "high", "log", "step", "choices", "when"))
_CLOSED = pydantic.ConfigDict(extra="forbid")
_EXACT = pydantic.ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class StudySettings(BaseModel):
    """How long a study searches, and by which methods.

    The makers of samplers are in tuning/search/samplers.py, those of schedulers in
    tuning/ray_backend/schedulers.py: another method is a name here and a maker there.
    """

    model_config = _EXACT

    trials: int = Field(50, ge=1, le=100_000, description="configurations to try")
    max_epochs: int = Field(40, ge=1, le=10_000, description="longest training of a trial")
    sampler: Literal["tpe", "gp", "random"] = Field("tpe", description="chooses what to try")
    scheduler: Literal["asha", "median", "none"] = Field("asha", description="stops what is losing")
    seed: int = Field(0, ge=0, le=2**31 - 1, description="of the sampler and the trials")


class Resources(BaseModel):
    """Each trial's share of the machine."""

    model_config = _EXACT

    cpu: float = Field(1.0, gt=0, le=1024, description="cores of each trial")
    gpu: float = Field(
        0.0, ge=0, le=1024, description="GPUs of each trial; below 1, trials share one"
    )

    @pydantic.field_validator("gpu")
    @classmethod
    def _whole_above_one(cls, gpu: float) -> float:
        if gpu > 1 and gpu != int(gpu):
            raise ValueError("must be a share of one GPU or a whole number of them")
        return gpu


def read_value(legal: Hyperparameter, value: Any) -> Any:
    """A value in the hyperparameter's own type: 0 as 0.0 for one that is a float."""
    if rule := legal.problem(value):
        raise ValueError(rule)
    return float(value) if legal.kind == "float" else value


# An entry is read with its hyperparameter as the validation's context. One built in Python has none
# and is held against nothing before it stands in a space, where its mistakes have a place.
_IN_A_SPACE = WrapValidator(lambda value, check, info: check(value) if info.context else value)


def _read_bound(value: Any, info: ValidationInfo) -> Any:
    assert info.context is not None
    return read_value(info.context, value)


def _read_step(value: Any, info: ValidationInfo) -> Any:
    whole = info.context is not None and info.context.kind == "int"
    number = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
    if not number or not (1 if whole else 1e-9) <= value < float("inf"):
        raise ValueError(f"must be {'a whole number of at least 1' if whole else 'at least 1e-09'}")
    if info.data.get("log"):
        raise ValueError("can't go with log: true")
    return value if whole else float(value)


def _read_choices(values: Any) -> Any:
    if not isinstance(values, list | tuple) or not values:
        raise ValueError("must be a list of values")
    return values


def _read_different(choices: tuple[Value, ...]) -> tuple[Value, ...]:
    for index, choice in enumerate(choices):
        if choice in choices[:index]:
            raise PydanticCustomError("item", "must differ from the others", {"index": index})
    return choices


def _read_conditions(value: Any) -> dict[str, tuple[Any, ...]]:
    """`{num_layers: 2}` as {"num_layers": (2,)}. Values that no parent can take stay."""
    if not isinstance(value, dict) or not value:
        raise ValueError("must name a parent and its value, as in {num_layers: 2}")
    conditions = {}
    for parent, taken in value.items():
        values = tuple(taken) if isinstance(taken, list | tuple) else (taken,)
        legal = HYPERPARAMETERS.get(parent)
        if legal and not any(map(legal.problem, values)):
            values = tuple(dict.fromkeys(read_value(legal, value) for value in values))
        conditions[parent] = values
    return conditions


@dataclass(frozen=True, config=_CLOSED)
class _Entry:
    """One searched hyperparameter, and when it exists.

    `when` maps parents to the values that they must have taken, all of them at once.
    """

    when: Annotated[
        Mapping[str, Any],  # of tuples, once the entry stands in a space
        PlainValidator(_read_conditions),
        _IN_A_SPACE,
    ] = Field(default_factory=dict, kw_only=True)
    # The hyperparameter's, once the entry stands in a space.
    name: str = Field("", init=False, kw_only=True)

    def named(self, name: str) -> Self:
        """The entry as that of this hyperparameter."""
        entry = copy(self)
        object.__setattr__(entry, "name", name)
        return entry

    def active(self, point: Mapping[str, Value]) -> bool:
        """Whether the hyperparameter exists, given what was chosen for those declared above it."""
        return all(name in point and point[name] in took for name, took in self.when.items())

    def describe(self) -> str:
        """What is searched, in words: `16 to 64 (log), where num_layers is 2`."""
        when = (
            f", where {parent} is {' or '.join(map(str, taken))}"
            for parent, taken in self.when.items()
        )
        return self._values() + "".join(when)

    def _values(self) -> str:
        raise NotImplementedError

    def to_json(self) -> dict[str, object]:
        """As study.json has it: with every key that a range or a list of choices may have."""
        absent = {"low": None, "high": None, "log": False, "step": None, "choices": ()}
        return {"name": "", "kind": "", **absent, "when": {}} | asdict(self)

    def to_document(self) -> Document:
        """As a space file has it: with the keys that say something."""
        keys = asdict(self)
        keys["type"] = keys["kind"]
        said = {key: value for key, value in keys.items() if value or type(value) in (int, float)}
        return {key: said[key] for key in ENTRY_KEYS if key in said}


@dataclass(frozen=True, config=_CLOSED)
class _Range(_Entry):
    low: Annotated[int | float, BeforeValidator(_read_bound), _IN_A_SPACE]
    high: Annotated[int | float, BeforeValidator(_read_bound), _IN_A_SPACE]
    log: Annotated[pydantic.StrictBool, _IN_A_SPACE] = False
    step: Annotated[int | float | None, BeforeValidator(_read_step), _IN_A_SPACE] = None

    @pydantic.model_validator(mode="after")
    def _consistent(self, info: ValidationInfo) -> Self:
        if not info.context:
            return self
        low, high, step, whole = self.low, self.high, self.step, isinstance(self, IntRange)
        if low > high:
            rule = f"must be at most high, which is {format_number(high)}"
            raise broken_rules([("low", rule)])
        if step is not None and distance_from_grid(low, high, step):
            raise broken_rules([("step", "must divide high - low into whole steps")])
        if self.log and (low < 1 if whole else low <= 0):
            rule = f"must be {'at least 1' if whole else 'above 0'} with log: true"
            raise broken_rules([("low", rule)])
        return self

    def problem(self, value: object) -> str | None:
        """The rule of this entry that `value` breaks, as a clause, or None."""
        illegal = HYPERPARAMETERS[self.name].problem(value)
        if not isinstance(value, int | float) or isinstance(value, bool):
            return illegal
        low, high, step = self.low, self.high, self.step
        if not low <= value <= high:  # catches NaN too
            return f"must lie from {format_number(low)} to {format_number(high)}"
        # Optuna's own tolerance: it hands out 0.1 + 0.2, which isn't quite 0.3.
        if step is not None and distance_from_grid(low, value, step) > 1e-8:
            return f"must be {format_number(low)} plus whole steps of {format_number(step)}"
        return illegal

    def _values(self) -> str:
        step = f" in steps of {self.step:g}" if self.step else ""
        return f"{self.low:g} to {self.high:g}{step}{' (log)' if self.log else ''}"


@dataclass(frozen=True, config=_CLOSED)
class IntRange(_Range):
    """Whole numbers from `low` to `high`, both of them included."""

    kind: Literal["int"] = Field(default="int", alias="type", kw_only=True)


@dataclass(frozen=True, config=_CLOSED)
class FloatRange(_Range):
    """Numbers from `low` to `high`, both of them included."""

    kind: Literal["float"] = Field(default="float", alias="type", kw_only=True)


@dataclass(frozen=True, config=_CLOSED)
class Choices(_Entry):
    """Any of some values, without an order."""

    choices: Annotated[
        tuple[Annotated[Any, BeforeValidator(_read_bound)], ...],
        BeforeValidator(_read_choices),
        pydantic.AfterValidator(_read_different),
        _IN_A_SPACE,
    ]
    kind: Literal["categorical"] = Field(default="categorical", alias="type", kw_only=True)

    def problem(self, value: object) -> str | None:
        """The rule of this entry that `value` breaks, as a clause, or None."""
        illegal = HYPERPARAMETERS[self.name].problem(value)
        fits = illegal is None and value in self.choices
        return None if fits else f"must be one of {self._values()}"

    def _values(self) -> str:
        return ", ".join(map(str, self.choices))


ParameterRange = IntRange | FloatRange | Choices
_RANGES: Mapping[str, type] = {"int": IntRange, "float": FloatRange, "categorical": Choices}


def kinds_of(name: str) -> list[str]:
    """The types that an entry of this hyperparameter may have."""
    return list(dict.fromkeys((HYPERPARAMETERS[name].kind, "categorical")))


def read_entry(legal: Hyperparameter, value: Any) -> ParameterRange:
    """By its type; where that is wrong or missing, by what its other keys are meant to be."""
    keys = value if isinstance(value, dict) else {}
    kind = keys.get("type")
    if kind not in kinds_of(legal.name):
        kind = "categorical" if "choices" in keys else legal.kind
    adapter: pydantic.TypeAdapter[ParameterRange] = pydantic.TypeAdapter(_RANGES[kind])
    return adapter.validate_python(value, context=legal).named(legal.name)


def _by_name(read: Callable[[Hyperparameter, Any], Any]) -> PlainValidator:
    """Reads a block whose keys are hyperparameters, in the file's order."""
    fields: Document = {
        name: (Annotated[Any, PlainValidator(partial(read, legal))], None)
        for name, legal in HYPERPARAMETERS.items()
    }
    model = pydantic.create_model("_Block", __config__=_CLOSED, **fields)

    def read_block(value: Any) -> Document:
        block = model.model_validate(value)
        return {name: getattr(block, name) for name in value}

    return PlainValidator(read_block)


def _read_version(value: Any) -> Any:
    if type(value) is not int or value != 1:
        raise ValueError("must be 1")
    return value


def _read_point(value: Any) -> Any:
    if not isinstance(value, dict) or not value:
        raise ValueError("must give hyperparameters, as in {hidden_size: 64}")
    return value


class SpaceFile(BaseModel):
    """The blocks of a search-space file. The rules across them are in reader.py."""

    model_config = _EXACT

    version: Annotated[int, BeforeValidator(_read_version)] = Field(
        description="the format of this file, which is 1"
    )
    data: DataSettings = Field(
        description="which table, what is forecast from which columns, and where the splits meet"
    )
    study: StudySettings = StudySettings()
    resources: Resources = Resources()
    search: Annotated[dict[str, ParameterRange], _by_name(read_entry)] = {}
    fixed: Annotated[dict[str, Value], _by_name(read_value)] = {}
    initial_trials: list[Annotated[Document, BeforeValidator(_read_point)]] = []


def distance_from_grid(low: float, value: float, step: float) -> Fraction:
    """How far `value` is from a whole number of steps above `low`, counted in decimals."""
    steps = (Fraction(str(value)) - Fraction(str(low))) / Fraction(str(step))
    return abs(steps - round(steps))
