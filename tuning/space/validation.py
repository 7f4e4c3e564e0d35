"""A search space's blocks held against the schema: every broken rule, in the project's words."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from lstm_model.configuration import HYPERPARAMETERS, DataSettings, Reading
from lstm_model.series_rules import SERIES_KEYS
from tuning.space.located_yaml import Problem
from tuning.space.schema import ENTRY_KEYS, Document, SpaceFile, kinds_of, read_entry
from tuning.wording import KeyPath, closest_match, format_number, format_value, key_name, suggestion

_MODELS: Document = {
    block: SpaceFile.model_fields[block].annotation for block in ("data", "study", "resources")
}
_BLOCK = "must be a block of keys"
_COLUMNS = "must be a column or a list of columns"
_RULES: Mapping[str, Callable[[Document], str]] = {
    **dict.fromkeys(("model_type", "dict_type", "dataclass_type"), lambda _: _BLOCK),
    "bool_type": lambda _: "must be true or false",
    "int_type": lambda _: "must be a whole number",
    "float_type": lambda _: "must be a number",
    "finite_number": lambda _: "must be a finite number",
    "greater_than": lambda limits: f"must be above {format_number(limits['gt'])}",
    "greater_than_equal": lambda limits: f"must be at least {format_number(limits['ge'])}",
    "less_than_equal": lambda limits: f"must be at most {format_number(limits['le'])}",
    **dict.fromkeys(("string_type", "string_unicode"), lambda _: "must be text"),
    "string_too_short": lambda _: "must not be empty",
    "list_type": lambda _: "must be a list of points",
    "tuple_type": lambda _: "must be a list",
    "too_short": lambda _: "must name at least one",
    "datetime_type": lambda _: "must be a date such as 2013-01-01",
}


def validate_all(document: Document) -> tuple[SpaceFile | None, list[Problem]]:
    """The blocks, or None, and every rule that is broken.

    Pydantic checks the rules across a block's keys only once each key is right by itself. So where
    some aren't, the others are checked once more without them.
    """
    try:
        return SpaceFile.model_validate(document), []
    except ValidationError as error:
        errors = error.errors(include_url=False)
    errors.sort(key=lambda item: item["type"] == "missing")  # told last at the same place
    problems = [_problem(item, item["loc"], document) for item in errors]
    faulty: dict[KeyPath, set[str]] = {}
    for item in errors:
        block = item["loc"][: 2 if item["loc"][0] == "search" else 1]
        key = item["loc"][len(block) :]
        if block[0] in ("data", "search") and key and item["type"] != "rule":
            faulty.setdefault(block, set()).add(str(key[0]))
    for block, keys in faulty.items():
        try:
            _check_without(keys, block, value_at(document, block))
        except ValidationError as error:
            for item in error.errors(include_url=False):
                if item["type"] == "rule":
                    problems.append(_problem(item, (*block, *item["loc"]), document))
    return None, list(filter(None, problems))


def _check_without(faulty: set[str], block: KeyPath, values: Document) -> None:
    """Check what a block holds beside its faulty keys."""
    sound = {key: value for key, value in values.items() if key not in faulty}
    if _is_entry(block):
        read_entry(HYPERPARAMETERS[str(block[1])], sound)
        return
    if faulty & {"features", "target", *SERIES_KEYS}:  # nothing can be said of columns then
        columns = {*Reading.model_fields, *SERIES_KEYS}
        sound = {key: value for key, value in sound.items() if key not in columns}
        sound |= {"target": "any", "features": ["any"]}
    if faulty & {"validation_from", "test_from"}:
        sound = {"validation_from": datetime.min, "test_from": datetime.max} | sound
        sound.pop("folds", None)
    DataSettings.model_validate(sound)


def value_at(document: Any, path: KeyPath) -> Any:
    """What stands at a path, or None."""
    for key in path:
        try:
            document = document[key]
        except (KeyError, IndexError, TypeError):
            return None
    return document


def missing(needed: Iterable[str], present: Collection[str], legal: Collection[str]) -> list[str]:
    """The needed keys that are not present, save those that a misspelt key was meant to be."""
    guesses = {closest_match(key, legal) for key in present if key not in legal}
    return [key for key in needed if key not in present and key not in guesses]


def unknown_key(path: KeyPath, where: str = "") -> Problem:
    """What is said of a key that is none of its block's."""
    block, key = path[:-1], format_value(path[-1])
    text, options = f"no hyperparameter {key}", "there are"
    if not block:
        text, options = f"no block {key}", "the blocks are"
    elif _is_entry(block) or block[0] in _MODELS:
        text, options = f"no key {key} in {key_name(block)}", "its keys are"
    also = suggestion(str(path[-1]), _legal_keys(block), options)
    return Problem(path, f"{where}{text}{also}", sentence=True)


def _is_entry(path: KeyPath) -> bool:
    return len(path) == 2 and path[0] == "search"


def _legal_keys(block: KeyPath) -> Mapping[str, object]:
    if _is_entry(block):
        return ENTRY_KEYS
    model = _MODELS.get(str(block[0])) if block else SpaceFile
    return HYPERPARAMETERS if model is None else model.model_fields


def _problem(item: ErrorDetails, path: KeyPath, document: Document) -> Problem | None:
    """What is said of one of pydantic's errors, if that isn't said elsewhere."""
    kind, context = item["type"], item.get("ctx", {})
    if kind == "missing":
        return _missing_key(path, document)
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        return _foreign_key(path, document)
    if kind == "rule" and path[0] == "data":
        return Problem(path, item["msg"])  # which has what came
    rule = item["msg"].removeprefix("Value error, ")
    if kind == "item":
        path = (*path, context["index"])
    elif path[0] == "data" and len(path) > 2 and isinstance(path[2], str):  # a branch of a union
        path, rule = path[:2], _COLUMNS
    elif kind in _RULES:
        rule = _RULES[kind](context)
    came = value_at(document, path)
    if kind == "too_short" and came:
        return None  # its items are wrong, and reported
    if rule.startswith("can't"):
        return Problem(path, f"{key_name(path)} {rule}", sentence=True)
    also = ""
    if kind == "literal_error":
        rule, also = _choice(path, context["expected"], came)
    elif (kind == "string_type" or rule == _COLUMNS) and isinstance(came, int | float):
        also = "; quotes make it text"
    elif rule == _BLOCK and isinstance(came, str) and ":" in came:
        also = "; a colon needs a space after it"
    return Problem(path, f"{rule}, but got {format_value(came)}{also}")


def _choice(path: KeyPath, expected: str, came: object) -> tuple[str, str]:
    if _is_entry(path[:-1]):
        return f"must be {' or '.join(kinds_of(str(path[1])))}", ""
    options = re.findall(r"'([^']*)'", expected)
    guess = closest_match(came, options) if isinstance(came, str) else None
    rule = f"must be {'one of ' if len(options) > 1 else ''}{', '.join(options)}"
    return rule, f"; did you mean {guess!r}?" if guess else ""


def _missing_key(path: KeyPath, document: Document) -> Problem | None:
    block, key = path[:-1], str(path[-1])
    keys = value_at(document, block) or {}
    if not missing([key], keys, _legal_keys(block)):
        return None
    if _is_entry(block):
        if keys.get("type") not in kinds_of(str(block[1])):
            return None  # what it is meant to be is anyone's guess
        why = f"{key}, as its type is {keys['type']}"
    else:
        model = _MODELS[str(block[0])] if block else SpaceFile
        why = f"{key}: {model.model_fields[key].description}"
    return Problem(path, f"{key_name(block) or 'the file'} needs {why}", sentence=True)


def _foreign_key(path: KeyPath, document: Document) -> Problem | None:
    if not _is_entry(path[:-1]) or path[-1] not in ENTRY_KEYS:
        return unknown_key(path)
    kind = value_at(document, (*path[:-1], "type"))
    legal = kind in kinds_of(str(path[1]))
    return Problem(path, f"{key_name(path)} can't go with type {kind}", True) if legal else None
