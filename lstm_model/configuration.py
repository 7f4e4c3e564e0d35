"""What a forecaster is made from: hyperparameters and data, with meanings and legal ranges."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, Self, get_args

import pydantic
from annotated_types import Ge, Le
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from lstm_model.series_rules import MELTED, SERIES_KEYS, broken_series_rules
from lstm_model.setting_values import (
    Names,
    Time,
    as_dates,
    as_decimal,
    as_encoding,
    as_fill,
    as_missing,
    as_one_or_tuple,
    as_tuple,
    as_zone,
    by_column,
)

CalendarInput = Literal["hour_of_day", "day_of_week", "day_of_year"]
Kind = Literal["number", "category"]
Mark = Literal[".", ","]
Cell = str | int | float


class Configuration(BaseModel):
    """One point of the search: every hyperparameter of the model and its training.

    The search-space reader takes its legal names, kinds and ranges from these fields. Hours stand
    for rows: in a table of another time step, read rows of that step.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    hidden_size: int = Field(64, ge=1, le=1024, description="hidden units in each memory")
    num_layers: int = Field(1, ge=1, le=4, description="LSTM layers on top of each other")
    dropout: float = Field(
        0.0, ge=0.0, le=0.9, description="share dropped between layers (two layers or more)"
    )
    output_dropout: float = Field(
        0.0,
        ge=0.0,
        le=0.9,
        description="share of the short-term memory dropped before the forecast",
    )
    learning_rate: float = Field(
        5e-3, ge=1e-6, le=1.0, description="highest learning rate of the schedule"
    )
    warm_up: float = Field(
        0.1, ge=0.0, le=0.9, description="share of the schedule in which the learning rate rises"
    )
    weight_decay: float = Field(0.01, ge=0.0, le=1.0, description="AdamW's decoupled weight decay")
    loss: Literal["mse", "huber", "mae"] = Field(
        "huber", description="training loss, in units of the target's typical change"
    )
    huber_delta: float = Field(
        0.3,
        ge=0.01,
        le=10.0,
        description="where the Huber loss turns from squares to absolute errors, in those units",
    )
    gradient_clip: float = Field(
        1.0, ge=1e-3, le=1e3, description="largest norm of the gradient; a longer one is shortened"
    )
    weight_averaging: float = Field(
        0.99,
        ge=0.0,
        le=0.9999,
        description="decay per step of the averaged weights; 0 averages none",
    )
    context_length: int = Field(
        24, ge=0, le=8760, description="hours read before the first scored forecast in training"
    )
    chunk_length: int = Field(96, ge=1, le=8760, description="hours with a loss in each chunk")
    batch_size: int = Field(
        8, ge=1, le=1024, description="most chunks in each step of the optimiser"
    )
    series_sampling: Literal["rows", "series"] = Field(
        "rows", description="of several series: rows count alike, or series do"
    )


@dataclass(frozen=True)
class Hyperparameter:
    """One field of Configuration as a search sees it; low and high are None for categories."""

    name: str
    kind: Literal["int", "float", "categorical"]
    meaning: str
    default: int | float | str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()

    def problem(self, value: object) -> str | None:
        """The rule that `value` breaks, as a clause, or None where it is legal."""
        if self.kind == "categorical":
            return None if value in self.choices else f"must be one of {', '.join(self.choices)}"
        whole = self.kind == "int"
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
            return "must be a whole number" if whole else "must be a number"
        assert self.low is not None and self.high is not None
        if not self.low <= value <= self.high:  # catches NaN too
            return f"must lie from {self.low:g} to {self.high:g}"
        return None


def _hyperparameters() -> dict[str, Hyperparameter]:
    hyperparameters = {}
    for name, field in Configuration.model_fields.items():
        bounds = {type(m): m for m in field.metadata}
        numeric = field.annotation in (int, float)
        hyperparameters[name] = Hyperparameter(
            name=name,
            kind="categorical" if not numeric else "int" if field.annotation is int else "float",
            meaning=field.description or "",
            default=field.default,
            low=bounds[Ge].ge if numeric else None,
            high=bounds[Le].le if numeric else None,
            choices=() if numeric else get_args(field.annotation),
        )
    return hyperparameters


HYPERPARAMETERS: Mapping[str, Hyperparameter] = _hyperparameters()


Cells = tuple[Cell, ...]
REPEAT = "repeat"  # what `fill` says of a column whose last value stands for an empty cell


class GapFill(BaseModel):
    """What an empty cell means, also in rows that `gaps` puts in."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    value: Cell
    gaps: bool


class Reading(BaseModel):
    """How a table's cells are read: its clock, and what they mean that could mean two things.

    A key without a value leaves the cells as they stand. A model that is saved keeps its own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    time: str | Names | None = Field(
        None, description="the clock's column, [date, time], or parts [year, month, day, hour]"
    )
    zone: Annotated[str | None, BeforeValidator(as_zone)] = Field(
        None, description="the IANA name of the zone whose wall clock the table has"
    )
    dates: Annotated[str | None, BeforeValidator(as_dates)] = Field(
        None, description="day_first, month_first or a strptime format, where it is no ISO 8601"
    )
    gaps: Literal["refuse", "fill"] = Field(
        "refuse", description="steps without a row: fill makes them rows without values"
    )
    duplicates: Literal["refuse", "first", "last", "mean"] = Field(
        "refuse", description="rows of one time: the first or the last counts, or their mean"
    )
    encoding: Annotated[str | None, BeforeValidator(as_encoding)] = Field(
        None, description="of a CSV's bytes, such as latin-1, where they are no UTF-8"
    )
    missing: Annotated[Cells | dict[str, Cells], BeforeValidator(as_missing)] = Field(
        (), description="texts and numbers that stand for missing, in every column or by column"
    )
    fill: Annotated[dict[str, Cell | GapFill], BeforeValidator(as_fill)] = Field(
        {}, description="what an empty cell of a feature means, by column; else the last"
    )
    types: Annotated[
        dict[str, Kind], by_column(lambda kind: kind in get_args(Kind), "number or category")
    ] = Field({}, description="columns of codes that are categories, or of texts that are numbers")
    decimal: Annotated[Mark | dict[str, Mark] | None, BeforeValidator(as_decimal)] = Field(
        None, description="the decimal mark of numbers that are texts, '.' or ','; or by column"
    )
    series: Annotated[str | Names | None, BeforeValidator(as_one_or_tuple)] = Field(
        None, description="the columns that say which rows are of one series; file: of one file"
    )
    targets: Names = Field(
        (), description="columns of a wide table that are a series each; target names their values"
    )

    @model_serializer(mode="wrap")
    def _without_series(
        self, serialize: SerializerFunctionWrapHandler, info: SerializationInfo
    ) -> dict[str, Any]:
        """JSON of one series is what it was before there were several."""
        values: dict[str, Any] = serialize(self)
        if info.mode == "json":
            for key in SERIES_KEYS:
                if not getattr(self, key, None):
                    values.pop(key, None)
        return values

    @property
    def series_columns(self) -> tuple[str, ...]:
        """The columns that `series` names."""
        return (self.series,) if isinstance(self.series, str) else self.series or ()

    def missing_in(self, column: str) -> Cells:
        """What stands for missing in a column, besides NA and the like."""
        return self.missing.get(column, ()) if isinstance(self.missing, dict) else self.missing

    def fill_of(self, column: str) -> Cell:
        """What an empty cell of a column means."""
        fill = self.fill.get(column, REPEAT)
        return fill.value if isinstance(fill, GapFill) else fill

    def fills_gaps(self, column: str) -> bool:
        """Whether that is so in rows that `gaps` puts in, too."""
        fill = self.fill.get(column)
        return isinstance(fill, GapFill) and fill.gaps

    def decimal_of(self, column: str) -> Mark | None:
        """The decimal mark of a column's texts, where that is said."""
        return self.decimal.get(column) if isinstance(self.decimal, dict) else self.decimal

    def named_columns(self) -> dict[str, tuple[str, ...]]:
        """The columns that each key names."""
        blocks = (("missing", self.missing), ("fill", self.fill), ("types", self.types))
        return {
            key: tuple(block)
            for key, block in (*blocks, ("decimal", self.decimal))
            if isinstance(block, dict)
        }


def broken_rules(rules: Iterable[tuple[str, str]]) -> pydantic.ValidationError:
    """What a validator raises for rules across a block's keys: each key at fault and its rule."""
    errors: list[InitErrorDetails] = [
        {"type": PydanticCustomError("rule", "{rule}", {"rule": rule}), "loc": (key,), "input": key}
        for key, rule in rules
    ]
    return pydantic.ValidationError.from_exception_data("settings", errors)


class KeptReading(Reading):
    """How a table was read, as a model keeps it: with what the table itself decided."""

    offsets: bool = Field(False, description="whether the times had an offset from UTC")
    static: Names = Field((), description="as DataSettings has it")
    neighbours: bool = Field(False, description="as DataSettings has it")


AS_IT_STANDS = KeptReading.model_validate({})


class DataSettings(Reading):
    """Which table, what is forecast from which columns, and where the splits lie.

    The splits go by the hour that is forecast: an origin just before `validation_from` that
    forecasts an hour after it belongs to validation.
    """

    source: str = Field(
        "beijing",
        min_length=1,
        description="beijing, beijing_stations, simulated, or a table's path",
    )
    fallback: Literal["simulated"] | None = Field(
        None, description="used, with a warning, where the source can't be reached"
    )
    target: str = Field("pm2.5", min_length=1, description="the column that is forecast")
    features: Names = Field(min_length=1, description="the columns that are read")
    static: Names = Field((), description="columns that do not change within a series")
    neighbours: bool = Field(
        False, description="whether the mean of the other series' target is read, as a column"
    )
    calendar: Annotated[tuple[CalendarInput, ...], BeforeValidator(as_tuple)] = Field(
        (), description="inputs known ahead, from the clock alone"
    )
    horizon: int = Field(1, ge=1, le=720, description="lead times forecast: 1 to this many hours")
    validation_from: Time = Field(description="the first hour of validation")
    test_from: Time = Field(description="the first hour of the test, which no study reads")
    folds: int = Field(
        1,
        ge=1,
        le=20,
        description="validation periods: the one above, and as long ones one before the other",
    )

    @property
    def rolling_origins(self) -> tuple[Self, ...]:
        """The settings of each fold, the earliest first: all that lies before it is training."""
        length = self.test_from - self.validation_from
        return tuple(
            self.model_copy(
                update={
                    "validation_from": self.validation_from - back * length,
                    "test_from": self.test_from - back * length,
                    "folds": 1,
                }
            )
            for back in reversed(range(self.folds))
        )

    @model_validator(mode="before")
    @classmethod
    def _name_melted(cls, values: Any) -> Any:
        """The target of a wide table has a name of its own, and is its only feature by default."""
        if not isinstance(values, dict) or not values.get("targets"):
            return values
        target = values.get("target", MELTED)
        return {"target": target, "features": [target]} | values

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if broken := list(self._broken_rules()):
            raise broken_rules(broken)
        return self

    def _broken_rules(self) -> Iterator[tuple[str, str]]:
        """The keys at fault, each with its rule as a clause of which its value is the subject."""
        first, last = self.validation_from, self.test_from
        if first >= last:
            came = f"{first:%Y-%m-%d %H:%M} and {last:%Y-%m-%d %H:%M}"
            yield "validation_from", f"must come before test_from, but got {came}"
        if (self.folds - 1) * (last - first) > first - datetime.min:
            each = f"each is as long as from {first:%Y-%m-%d} to {last:%Y-%m-%d}"
            came = f"{each}, and there are {self.folds}; ask for fewer, or move test_from"
            yield "folds", f"must not go back beyond the year 1, but {came}"
        lists = ("features", "calendar", "targets", "static")
        for key, names in (
            *((key, getattr(self, key)) for key in lists),
            ("series", self.series_columns),
        ):
            if twice := sorted({name for name in names if names.count(name) > 1}):
                yield key, f"must name each column once, but got {', '.join(twice)} twice"
        if self.target not in self.features:
            why = "the model forecasts the change from its last value"
            yield "features", f"must include the target {self.target!r}: {why}"
            return  # what else is said of the columns waits for them
        yield from broken_series_rules(self)
        features = tuple(dict.fromkeys(self.features))
        for key, columns in self.named_columns().items():
            static = self.static if key != "fill" else ()
            if strange := [name for name in columns if name not in (*features, *static)]:
                came = f"{', '.join(strange)}; the features are {', '.join(features)}"
                came += f", and static {', '.join(static)}" if static else ""
                yield key, f"must name columns that are features, but got {came}"
        if self.fill_of(self.target) != REPEAT:
            yield (
                "fill",
                f"must leave the target {self.target!r} out, because a value that was never "
                "observed can't be learned from, and none may be scored against",
            )
        if self.types.get(self.target) == "category":
            yield "types", f"must leave the target {self.target!r} a number"
        for column in self.fill:
            value = self.fill_of(column)
            if self.types.get(column) == "number" and isinstance(value, str) and value != REPEAT:
                came = f"which types says it is, but got {value!r}"
                yield "fill", f"must have a number for {column}, {came}"

    @property
    def reading(self) -> Reading:
        """How the table's cells are read, alone."""
        return Reading.model_validate({key: getattr(self, key) for key in Reading.model_fields})
