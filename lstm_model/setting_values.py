"""What the values of settings may be: checks before pydantic's own, each with its rule in words."""

import difflib
import math
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BaseModel, BeforeValidator


def as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def as_one_or_tuple(value: Any) -> Any:
    """A list of one name is that name."""
    names = as_tuple(value)
    return names[0] if isinstance(names, tuple) and len(names) == 1 else names


def as_time(value: Any) -> Any:
    """A date, or a date and time, as ISO 8601 writes it; without a zone, like the tables'."""
    time = value
    if isinstance(value, str):
        try:
            time = datetime.fromisoformat(value)
        except ValueError as error:
            raise ValueError("must be a date such as 2013-01-01") from error
    if isinstance(time, datetime) and time.tzinfo is not None:
        raise ValueError("must be a time without a zone, as the table's clock shows it")
    return time


def is_cell(value: Any) -> bool:
    """Whether a cell of a table may hold this text or number."""
    if isinstance(value, bool):
        return False
    return isinstance(value, str) or (isinstance(value, int | float) and math.isfinite(value))


def as_missing(value: Any) -> Any:
    """`['?', -200]` as a tuple, or a tuple for each column."""
    if isinstance(value, dict):
        return {column: as_missing(cells) for column, cells in value.items()}
    cells = as_tuple(value)
    if not isinstance(cells, tuple) or not all(map(is_cell, cells)):
        raise ValueError(
            "must be a list of texts and numbers, such as ['?', -200], or a block with such a list "
            "for each column"
        )
    return cells


def by_column(accepts: Callable[[Any], bool], rule: str) -> BeforeValidator:
    """Checks a block of columns, each with a value that `accepts` takes."""

    def check(value: Any) -> Any:
        if not isinstance(value, dict) or not all(map(accepts, value.values())):
            raise ValueError(f"must be a block of columns, each with {rule}")
        return value

    return BeforeValidator(check)


def as_fill(value: Any) -> Any:
    """A cell for each column, or one that rows which `gaps` puts in hold too."""
    rule = "must be a block of columns, each with a number, a category's text, or repeat"
    if not isinstance(value, dict):
        raise ValueError(rule)
    for fill in value.values():
        if isinstance(fill, dict):
            if fill.keys() != {"value", "gaps"} or not isinstance(fill["gaps"], bool):
                raise ValueError(f"{rule}; or with {{value: 0, gaps: true}}")
            fill = fill["value"]
        if not isinstance(fill, BaseModel) and not is_cell(fill):
            raise ValueError(rule)
    return value


def as_zone(value: Any) -> Any:
    if isinstance(value, str):
        try:
            ZoneInfo(value)
        except (KeyError, OSError, ValueError) as error:  # no such zone, a folder, or a path
            near = difflib.get_close_matches(value, available_timezones(), n=1, cutoff=0.5)
            known = near[0] if near else "Europe/Berlin or UTC"
            raise ValueError(f"must be a zone's IANA name, such as {known}") from error
    return value


def as_dates(value: Any) -> Any:
    if isinstance(value, str) and value not in ("day_first", "month_first") and "%" not in value:
        raise ValueError(
            "must be day_first, month_first, or a format as strptime has it, such as "
            "'%d.%m.%Y %H:%M'"
        )
    return value


def as_encoding(value: Any) -> Any:
    if isinstance(value, str):
        try:
            "".encode(value)
        except (LookupError, ValueError) as error:
            raise ValueError(
                "must be an encoding that Python knows, such as latin-1, cp1252 or utf-16"
            ) from error
    return value


def as_decimal(value: Any) -> Any:
    marks = value.values() if isinstance(value, dict) else [value]
    if not all(mark in (None, ".", ",") for mark in marks):
        raise ValueError("must be '.' or ',', or a block with one of them for each column")
    return value


Names = Annotated[tuple[str, ...], BeforeValidator(as_tuple)]
Time = Annotated[datetime, BeforeValidator(as_time)]
