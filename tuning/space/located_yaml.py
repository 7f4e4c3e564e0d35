"""YAML with the line and column of every key and value, read without YAML 1.1's surprises.

Numbers are those of YAML 1.2 (`1e-4`, `.5`, `+3`), only true and false are booleans, and every
other plain word stays text: `yes`, `5:30`, `0o17`, `1_000`, `2013-01-01`. Keys are always text.
Anchors, aliases, tags, merge keys, several documents and keys given twice are mistakes.

At the end, the words in which mistakes speak of values, keys and names.
"""

import difflib
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import yaml

KeyPath = tuple[str | int, ...]

DEEPEST = 20  # a search space nests four deep; the limit keeps the reader from Python's own
_INT = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"[-+]?\.(inf|Inf|INF)")
_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
_SURROGATE = re.compile("[\ud800-\udfff]")


class Position(NamedTuple):
    """Where something stands; both count from 1."""

    line: int
    column: int


class Mistake(NamedTuple):
    """What is wrong, and where."""

    place: Position
    text: str


class Unreadable:
    """Stands for a value that a mistake has been reported for."""


UNREADABLE = Unreadable()


@dataclass
class Located:
    """A file's plain data, the places of its parts, and what is wrong with it as YAML."""

    data: object = UNREADABLE
    keys: dict[KeyPath, Position] = field(default_factory=dict)
    values: dict[KeyPath, Position] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)


def read_yaml(text: str) -> Located:
    """Read one document; where the text isn't YAML at all, `data` is UNREADABLE."""
    found = Located()
    loader: yaml.SafeLoader | None = None
    try:
        loader = yaml.SafeLoader(text)
        found.data = _Composer(loader, found).document()
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        line = before.count("\n") + 1
        place = Position(line, len(before) - before.rfind("\n"))
        found.mistakes.append(
            Mistake(place, f"character U+{ord(text[error.position]):04X} can't stand in YAML")
        )
    except yaml.MarkedYAMLError as error:
        found.mistakes.append(_syntax_mistake(error))
    except _TooDeep as error:
        found.mistakes.append(Mistake(error.place, f"nested deeper than {DEEPEST} levels"))
    except (ValueError, OverflowError):  # such as "\U00110000", which PyYAML hands to chr()
        assert loader is not None
        found.mistakes.append(
            Mistake(_place(loader.get_mark()), "an escape or a version number that can't be read")
        )
    return found


class _TooDeep(Exception):
    def __init__(self, place: Position) -> None:
        self.place = place


class _Composer:
    """Builds plain data from the parser's events and notes where everything stands.

    Events come before aliases are resolved, so a file can't grow as it is read.
    """

    def __init__(self, loader: yaml.SafeLoader, found: Located) -> None:
        self.events: Iterator[yaml.Event] = iter(loader.get_event, None)
        self.found = found
        self.depth = 0

    def document(self) -> object:
        data: object = None
        documents = 0
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self.mistake(
                        event, "a second document; a search space is one: remove the '---'"
                    )
                    break
                data = self.value(next(self.events), ())
        return data

    def value(self, event: yaml.Event, path: KeyPath | None) -> object:
        """The value that begins with `event`; a path of None leaves its places out."""
        place = _place(event.start_mark)
        if path is not None:
            self.found.values[path] = place
        assert isinstance(event, yaml.NodeEvent)
        if isinstance(event, yaml.AliasEvent):
            self.mistake(event, f"aliases aren't read: write out what '*{event.anchor}' stands for")
            return UNREADABLE
        assert isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent)
        if event.anchor is not None:
            self.mistake(event, f"anchors aren't read: remove '&{event.anchor}'")
        if event.tag is not None:
            self.mistake(event, "tags aren't read: remove the word that begins with '!'")
        if isinstance(event, yaml.ScalarEvent):
            return self.scalar(event)
        if self.depth == DEEPEST:
            raise _TooDeep(place)
        self.depth += 1
        data = (
            self.sequence(path)
            if isinstance(event, yaml.SequenceStartEvent)
            else self.mapping(path)
        )
        self.depth -= 1
        return data

    def sequence(self, path: KeyPath | None) -> list[object]:
        items: list[object] = []
        for event in self.events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            items.append(self.value(event, None if path is None else (*path, len(items))))
        return items

    def mapping(self, path: KeyPath | None) -> dict[str, object]:
        items: dict[str, object] = {}
        first: dict[str, Position] = {}
        for event in self.events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            key = self.key(event)
            value_path = None if key is None or key in first or path is None else (*path, key)
            if key is not None and key in first:
                self.mistake(
                    event, f"{format_value(key)} is given twice, first on line {first[key].line}"
                )
            elif key is not None:
                first[key] = _place(event.start_mark)
                if value_path is not None:
                    self.found.keys[value_path] = first[key]
            value = self.value(next(self.events), value_path)
            if key is not None:
                items.setdefault(key, value)
        return items

    def key(self, event: yaml.Event) -> str | None:
        """A key's text, or None where it can't be one."""
        if not isinstance(event, yaml.ScalarEvent):
            self.mistake(event, "a key must be a plain name")
            if isinstance(event, yaml.CollectionStartEvent):
                self.skip(_place(event.start_mark))
            return None
        if event.anchor is not None or event.tag is not None:
            self.mistake(event, "a key must be a plain name, without an anchor or a tag")
        if event.value == "<<" and event.style is None:
            self.mistake(event, "merge keys aren't read: write out the keys that '<<' stands for")
            return None
        return self.text(event)

    def skip(self, place: Position) -> None:
        """Pass over the rest of a list or block that has begun at `place`."""
        depth = 1
        while depth:
            event = next(self.events)
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST:
                raise _TooDeep(place)

    def scalar(self, event: yaml.ScalarEvent) -> object:
        plain = event.style is None
        text = event.value
        if plain and text in _WORDS:
            return _WORDS[text]
        if plain and _INT.fullmatch(text):
            # Python refuses to read more than 4,300 digits; no rule accepts a number of 300.
            sign = -1 if text[0] == "-" else 1
            return sign * int(text.lstrip("+-0")[:300] or "0")
        if plain and _FLOAT.fullmatch(text):
            return float(text)
        if plain and _INFINITE.fullmatch(text):
            return float(text.replace(".", ""))
        return self.text(event)

    def text(self, event: yaml.ScalarEvent) -> str:
        if _SURROGATE.search(event.value):
            self.mistake(event, "half a character: \\ud800 to \\udfff stand for nothing alone")
        return _SURROGATE.sub("?", event.value)

    def mistake(self, event: yaml.Event, text: str) -> None:
        self.found.mistakes.append(Mistake(_place(event.start_mark), text))


def _place(mark: Any) -> Position:  # PyYAML's two kinds of mark share no type
    return Position(mark.line + 1, mark.column + 1)


def _syntax_mistake(error: yaml.MarkedYAMLError) -> Mistake:
    """PyYAML's complaint in plain words."""
    problem = (error.problem or "not readable").replace("'<stream end>'", "the end of the file")
    context = error.context or ""
    mark, opened = error.problem_mark, error.context_mark
    since = f" that opens on line {opened.line + 1}" if opened else ""
    if "'\\t' that cannot start" in problem:
        text = "a tab can't stand here: use spaces"
    elif "that cannot start any token" in problem:
        text = f"a value can't begin with {problem.split()[2]}: put it in quotes"
    elif problem.startswith("mapping values are not allowed"):
        text = "no ':' can stand here: check the indentation, or put the value in quotes"
    elif problem.startswith("expected ',' or"):
        kind = "list" if "sequence" in context else "block"
        text = f"the {kind}{since} isn't closed: {problem}"
    elif problem.startswith("found unexpected end of stream"):
        text = f"the quote{since} isn't closed"
    elif problem.startswith("could not find expected ':'"):
        mark = opened  # the word itself; PyYAML notices on the next line
        text = "a key needs a ':' after it"
    elif problem.startswith("expected the node content"):
        text = f"a value is missing before {problem.rpartition('found ')[2]}"
    elif problem.startswith(("expected <block end>", "expected '<document start>'")):
        text = "this doesn't fit the lines above: check the indentation and the quotes"
    else:
        text = f"not readable as YAML: {problem}"
    return Mistake(_place(mark) if mark else Position(1, 1), text)


def format_value(value: object) -> str:
    """A value as a message shows it: short, on one line, in YAML's words."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case list() | tuple():
            return "a list" if value else "an empty list"
        case dict():
            return "a block of keys" if value else "an empty block"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:40]}…{text[-10:]}"


def key_name(path: KeyPath) -> str:
    """A path as a message names it: `data.horizon`, `each of data.features`."""
    text = ".".join(part for part in path if isinstance(part, str))
    return f"each of {text}" if path and isinstance(path[-1], int) else text


def closest_match(name: str, options: Iterable[str]) -> str | None:
    """The option that `name` was probably meant to be."""
    return next(iter(difflib.get_close_matches(name.lower(), options, n=1)), None)


def suggestion(name: str, options: Collection[str], otherwise: str) -> str:
    """What to write instead of an unknown `name`."""
    guess = closest_match(name, options)
    if guess is not None:
        return f"; did you mean {guess!r}?"
    return (
        "; a colon needs a space after it" if ":" in name else f"; {otherwise} {', '.join(options)}"
    )


def missing(needed: Iterable[str], given: Collection[str], legal: Collection[str]) -> list[str]:
    """The needed keys that aren't given, save those that a misspelt key was meant to be."""
    guesses = {closest_match(key, legal) for key in given if key not in legal}
    return [key for key in needed if key not in given and key not in guesses]
