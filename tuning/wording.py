"""Values, names, steps and lead times as messages and tables show them."""

import difflib
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lstm_model.data.encoded_table import LeftOut

KeyPath = tuple[str | int, ...]

NAMES_SHOWN = 3  # of series of which one thing is said


def format_value(value: object) -> str:
    """A value as a message shows it: short, on one line, in YAML's words.

    >>> format_value(True), format_value([]), format_value("a")
    ('true', 'an empty list', "'a'")
    """
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


def format_number(number: float) -> str:
    return f"{number:.12g}"


def format_setting(value: float | str) -> str:
    """A hyperparameter's value in a table: three digits of a fraction, all of anything else.

    >>> format_setting(0.0123456), format_setting(64), format_setting("huber")
    ('0.0123', '64', 'huber')
    """
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def number_ranges(numbers: Sequence[int]) -> str:
    """Numbers in ascending order, neighbours joined.

    >>> number_ranges([1, 3, 4, 5])
    '1, 3 to 5'
    """
    ranges: list[list[int]] = []
    for number in numbers:
        if ranges and ranges[-1][-1] == number - 1:
            ranges[-1].append(number)
        else:
            ranges.append([number])
    return ", ".join(f"{r[0]} to {r[-1]}" if len(r) > 1 else str(r[0]) for r in ranges)


def list_names(names: Sequence[str]) -> str:
    """
    >>> list_names(["a"]), list_names(["a", "b"]), list_names(["a", "b", "c", "d", "e"])
    ('a', 'a and b', 'a, b, c and 2 more')
    """
    if len(names) > NAMES_SHOWN:
        return f"{', '.join(names[:NAMES_SHOWN])} and {len(names) - NAMES_SHOWN:,} more"
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def group_left_out(left_out: "Iterable[LeftOut]") -> dict[tuple[str, str], list[str]]:
    """The names of the series by split and reason."""
    groups: dict[tuple[str, str], list[str]] = {}
    for each in left_out:
        groups.setdefault((each.split, each.reason), []).append(each.series)
    return groups


def key_name(path: KeyPath) -> str:
    """The keys that lead to a value, as a message names it.

    >>> key_name(("data", "horizon")), key_name(("data", "features", 2))
    ('data.horizon', 'each of data.features')
    """
    text = ".".join(part for part in path if isinstance(part, str))
    return f"each of {text}" if path and isinstance(path[-1], int) else text


def closest_match(name: str, options: Iterable[str]) -> str | None:
    """The option that `name` was probably meant to be."""
    return next(iter(difflib.get_close_matches(name.lower(), options, n=1)), None)


def suggestion(name: str, options: Collection[str], otherwise: str) -> str:
    """What to write instead of an unknown `name`, to stand behind a message about it."""
    guess = closest_match(name, options)
    if guess is not None:
        return f"; did you mean {guess!r}?"
    return (
        "; a colon needs a space after it" if ":" in name else f"; {otherwise} {', '.join(options)}"
    )
