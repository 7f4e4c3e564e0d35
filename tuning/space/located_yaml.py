"""YAML with the line and column of every key and value, read without YAML 1.1's surprises.

Numbers are those of YAML 1.2 (`1e-4`, `.5`, `+3`), only true and false are booleans, and every
other plain word stays text: `yes`, `5:30`, `0o17`, `1_000`, `2013-01-01`. Keys are always text.
Anchors, aliases, tags, merge keys, several documents and keys given twice are problems.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import yaml

from tuning.wording import KeyPath, format_value, key_name

DEEPEST = 20  # a search space nests four deep; the limit keeps the reader from Python's own
_INT = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITY = ("inf", "Inf", "INF")
_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **{f"{sign}.{inf}": float(f"{sign}inf") for sign in ("", "+", "-") for inf in _INFINITY},
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
_SURROGATE = re.compile("[\ud800-\udfff]")


UNREADABLE = object()  # stands for a value that a problem has been reported for


class Position(NamedTuple):
    """Where something stands; both count from 1."""

    line: int
    column: int


class Problem(NamedTuple):
    """A rule that is broken, and where.

    `rule` says what must be, and what came: as a clause of which the value at `path` is the
    subject, or as a whole sentence about the key there (`at_value`: about the value). `other` is
    where what it disagrees with stands. `place` goes before the path's.
    """

    path: KeyPath
    rule: str
    sentence: bool = False
    place: Position | None = None
    at_value: bool = False
    other: KeyPath = ()

    @property
    def text(self) -> str:
        return self.rule if self.sentence else f"{key_name(self.path)} {self.rule}"


@dataclass
class Located:
    """A file's plain data, the places of its parts, and what is wrong with it as YAML.

    Attributes:
        data: dicts, lists, texts, numbers; UNREADABLE where the text isn't YAML at all.
        keys, values: where each key and each value begins.
    """

    data: object = UNREADABLE
    keys: dict[KeyPath, Position] = field(default_factory=dict)
    values: dict[KeyPath, Position] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def begin(self, path: KeyPath) -> Position:
        """Where a key stands, or an item of a list."""
        return self.keys.get(path) or self.values[path]

    def report(self, place: Position, text: str) -> None:
        self.problems.append(Problem((), text, True, place))


def read_yaml(text: str) -> Located:
    """Read one document, gathering what is wrong with it."""
    located = Located()
    loader: yaml.SafeLoader | None = None
    try:
        loader = yaml.SafeLoader(text)
        located.data = _Composer(loader, located).document()
    except yaml.reader.ReaderError as error:
        character = f"character U+{ord(text[error.position]):04X} can't stand in YAML"
        located.report(end_of(text[: error.position]), character)
    except yaml.MarkedYAMLError as error:
        located.report(*_syntax_problem(error))
    except _TooDeep as error:
        located.report(error.place, f"nested deeper than {DEEPEST} levels")
    except (ValueError, OverflowError):  # such as "\U00110000", which PyYAML hands to chr()
        assert loader is not None
        place = _place(loader.get_mark())
        located.report(place, "an escape or a version number that can't be read")
    return located


def end_of(text: str) -> Position:
    """Where what comes after `text` begins."""
    return Position(text.count("\n") + 1, len(text) - text.rfind("\n"))


class _TooDeep(Exception):
    def __init__(self, place: Position) -> None:
        self.place = place


class _Composer:
    """Builds plain data from the parser's events and notes where everything stands.

    Events come before aliases are resolved, so a file can't grow as it is read.
    """

    def __init__(self, loader: yaml.SafeLoader, located: Located) -> None:
        self.events: Iterator[yaml.Event] = iter(loader.get_event, None)
        self.located = located
        self.depth = 0

    def document(self) -> object:
        documents: list[object] = []
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                if documents:
                    text = "a second document; a search space is one: remove the '---'"
                    self.report(event, text)
                    break
                documents.append(self.value(next(self.events), ()))
        return documents[0] if documents else None

    def value(self, event: yaml.Event, path: KeyPath | None) -> object:
        """The value that begins with `event`; a path of None leaves its places out."""
        place = _place(event.start_mark)
        if path is not None:
            self.located.values[path] = place
        assert isinstance(event, yaml.NodeEvent)
        if isinstance(event, yaml.AliasEvent):
            self.report(event, f"aliases aren't read: write out what '*{event.anchor}' stands for")
            return UNREADABLE
        assert isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent)
        if event.anchor is not None:
            self.report(event, f"anchors aren't read: remove '&{event.anchor}'")
        if event.tag is not None:
            self.report(event, "tags aren't read: remove the word that begins with '!'")
        if isinstance(event, yaml.ScalarEvent):
            return self.scalar(event)
        if self.depth == DEEPEST:
            raise _TooDeep(place)
        self.depth += 1
        is_list = isinstance(event, yaml.SequenceStartEvent)
        data = self.sequence(path) if is_list else self.mapping(path)
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
                before = f"first on line {first[key].line}"
                self.report(event, f"{format_value(key)} is given twice, {before}")
            elif key is not None:
                first[key] = _place(event.start_mark)
                if value_path is not None:
                    self.located.keys[value_path] = first[key]
            value = self.value(next(self.events), value_path)
            if key is not None:
                items.setdefault(key, value)
        return items

    def key(self, event: yaml.Event) -> str | None:
        """A key's text, or None where it can't be one."""
        if not isinstance(event, yaml.ScalarEvent):
            self.report(event, "a key must be a plain name")
            if isinstance(event, yaml.CollectionStartEvent):
                self.value(event, None)
            return None
        if event.anchor is not None or event.tag is not None:
            self.report(event, "a key must be a plain name, without an anchor or a tag")
        if event.value == "<<" and event.style is None:
            self.report(event, "merge keys aren't read: write out the keys that '<<' stands for")
            return None
        return self.text(event)

    def scalar(self, event: yaml.ScalarEvent) -> object:
        text = event.value
        if event.style is not None:  # in quotes, or a block of text
            return self.text(event)
        if text in _WORDS:
            return _WORDS[text]
        if _INT.fullmatch(text):
            # Python refuses to read more than 4,300 digits; no rule accepts a number of 300.
            sign = -1 if text[0] == "-" else 1
            return sign * int(text.lstrip("+-0")[:300] or "0")
        if _FLOAT.fullmatch(text):
            return float(text)
        return self.text(event)

    def text(self, event: yaml.ScalarEvent) -> str:
        if _SURROGATE.search(event.value):
            self.report(event, "half a character: \\ud800 to \\udfff stand for nothing alone")
        return _SURROGATE.sub("?", event.value)

    def report(self, event: yaml.Event, text: str) -> None:
        self.located.report(_place(event.start_mark), text)


def _place(mark: Any) -> Position:  # PyYAML's two kinds of mark share no type
    return Position(mark.line + 1, mark.column + 1)


def _syntax_problem(error: yaml.MarkedYAMLError) -> tuple[Position, str]:
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
    return (_place(mark) if mark else Position(1, 1)), text
