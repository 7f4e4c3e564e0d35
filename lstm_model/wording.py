"""Numbers and names as people read them: the same in tables, sentences, figures and messages."""

import math
import re
from collections.abc import Iterable, Sequence

DIGITS = 4
# With more decimals, or from this size on, a number is read more easily with an exponent.
MOST_DECIMALS, LARGEST = 8, 1e12
MOST_NAMES = 5  # of many, that a message has


def number_format(values: Iterable[float | None], digits: int = DIGITS) -> str:
    """A format in which numbers stand below one another, the smallest with `digits` digits.

    None, zeros and what is not finite have no size.

    >>> [format(value, number_format([22.868, 109.97])) for value in (22.868, 109.97)]
    ['22.87', '109.97']
    >>> format(0.00041237, number_format([0.00041237]))
    '0.0004124'
    >>> format(4.1237e-9, number_format([4.1237e-9]))
    '4.124e-09'
    """
    sizes = [abs(value) for value in values if value is not None and math.isfinite(value) and value]
    decimals = max(digits - 1 - math.floor(math.log10(min(sizes, default=1.0))), 0)
    if decimals > MOST_DECIMALS or max(sizes, default=1.0) >= LARGEST:
        return f"z.{digits - 1}e"
    return f"z,.{decimals}f"


def significant(value: float, digits: int = DIGITS) -> str:
    """One number with so many digits, and all of those before its decimal point.

    >>> significant(0.0123456), significant(12345678.9)
    ('0.01235', '12,345,679')
    """
    return format(value, number_format([value], digits))


def distinct(values: Sequence[float]) -> list[str]:
    """Numbers with six digits, or as many as it takes to tell them apart.

    >>> distinct([35.0, 75.0]), distinct([12345670.0, 12345680.0])
    (['35', '75'], ['12345670', '12345680'])
    """
    for digits in range(6, 17, 2):
        texts = [exact(float(f"{value:.{digits}g}")) for value in values]
        if len(set(texts)) == len(set(values)):
            return texts
    return list(map(exact, values))


def exact(value: float) -> str:
    """The shortest text that reads back as the same number.

    >>> exact(-200.0), exact(0.1)
    ('-200', '0.1')
    """
    return repr(float(value)).removesuffix(".0")


def yaml_text(text: str) -> str:
    """Text as YAML, plain where no reader could take it for something else.

    >>> yaml_text("load"), yaml_text("gust: m/s")
    ('load', '"gust: m/s"')
    """
    import yaml

    if re.fullmatch(r"(\.\./|/)*[A-Za-z][A-Za-z0-9_./-]*", text) and yaml.safe_load(text) == text:
        return text
    return str(yaml.safe_dump(text, default_style='"', allow_unicode=True, width=10**9)).rstrip()


def shorten(names: Sequence[str]) -> str:
    """The first names of many.

    >>> shorten(["a", "b"]), shorten("abcdefg")
    ('a, b', 'a, b, c, d, e, ...')
    """
    return ", ".join(names[:MOST_NAMES]) + (", ..." if len(names) > MOST_NAMES else "")
