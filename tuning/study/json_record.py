"""Typed facts as objects of a JSON file."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

from lstm_model.evaluation.baselines import Baselines
from lstm_model.evaluation.metrics import Score


@dataclass(frozen=True)
class JsonRecord:
    """An object of a JSON file: its fields in their order, without those at their default."""

    def to_json(self) -> dict[str, object]:
        """The record as json.dumps() takes it."""
        values = ((field, getattr(self, field.name)) for field in fields(self))
        return {field.name: _to_json(value) for field, value in values if value != field.default}


def _to_json(value: object) -> object:
    match value:
        case JsonRecord():
            return value.to_json()
        case Score() | Baselines():
            return value.to_json()
        case Mapping():
            return {str(key): _to_json(each) for key, each in value.items()}
        case list() | tuple():
            return [_to_json(each) for each in value]
    return value
