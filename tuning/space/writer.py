"""A search space -> plain data and YAML, which reader.py takes back as the same space."""

from collections.abc import Iterable, Mapping, Set
from datetime import date
from numbers import Integral, Real
from typing import Any

from pydantic import BaseModel

from lstm_model.wording import exact, yaml_text
from tuning.space.schema import ParameterRange


def to_plain(value: Any) -> Any:
    """What is given in Python, as the plain data that a file would hold."""
    if isinstance(value, BaseModel):
        value = value.model_dump()
    elif isinstance(value, ParameterRange):
        value = value.to_document()
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, date):  # a datetime and a Timestamp too
        return format_time(value)
    if isinstance(value, Real) and not isinstance(value, bool):  # numpy's too
        return int(value) if isinstance(value, Integral) else float(value)
    if isinstance(value, Iterable) and not isinstance(value, str | bytes | Set):
        return list(map(to_plain, value))
    return value


def to_yaml(document: Mapping[str, Any]) -> str:
    """A block for each key that has something in it, with a line for each of its items."""
    parts = []
    for name, block in document.items():
        if isinstance(block, Mapping):
            lines = [f"  {yaml_text(key)}: {flow(value)}" for key, value in block.items()]
        elif isinstance(block, list | tuple):
            lines = [f"  - {flow(item)}" for item in block]
        else:
            parts.append(f"{name}: {flow(block)}\n")
            continue
        if lines:
            parts.append("\n".join([f"{name}:", *lines, ""]))
    return "\n".join(parts)


def flow(value: Any) -> str:
    """A value of a space in one line.

    >>> flow({"low": 1e-4, "log": True, "when": {"loss": ["mse", "yes"]}})
    '{low: 0.0001, log: true, when: {loss: [mse, "yes"]}}'
    """
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return yaml_text(value)
        case float():
            return exact(value)
        case date():
            return format_time(value)
        case Mapping():
            items = (f"{yaml_text(key)}: {flow(item)}" for key, item in value.items())
            return f"{{{', '.join(items)}}}"
        case list() | tuple():
            return f"[{', '.join(map(flow, value))}]"
    return str(value)


def format_time(time: Any) -> str:
    """A time as YAML and people read it, no longer than it has to be."""
    return str(time).removesuffix(":00").removesuffix(" 00:00")
