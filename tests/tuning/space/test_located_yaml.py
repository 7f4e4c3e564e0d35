"""YAML with the places of its parts, and without the surprises of YAML 1.1."""

import pytest

from tests.tuning.space.spaces import GOOD, problems_of, space_of
from tuning.space.located_yaml import read_yaml


@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        ("1e-4", 0.0001),
        ("5e-3", 0.005),
        ("1E5", 100000.0),
        (".5", 0.5),
        ("1.", 1.0),
        ("-1.5e+2", -150.0),
        ("+3", 3),
        ("-0", 0),
        ("017", 17),
        (".inf", float("inf")),
        ("-.INF", float("-inf")),
        ("true", True),
        ("False", False),
        ("~", None),
        ("null", None),
        ("", None),
        ("yes", "yes"),
        ("No", "No"),
        ("on", "on"),
        ("off", "off"),
        ("5:30", "5:30"),
        ("0o17", "0o17"),
        ("0x1F", "0x1F"),
        ("1_000", "1_000"),
        ("2013-01-01", "2013-01-01"),
        ("e5", "e5"),
        (".", "."),
        ("-", [None]),
        ("inf", "inf"),
        ("'1'", "1"),
        ('"true"', "true"),
        ("''", ""),
        ("'~'", "~"),
    ],
)
def test_scalars_are_those_of_yaml_1_2(scalar: str, value: object) -> None:
    read = read_yaml(f"\n  {scalar}\n")
    assert (read.data, read.problems) == (value, [])
    assert type(read.data) is type(value)


def test_nan_is_a_number() -> None:
    assert repr(read_yaml("[.nan, .NaN]").data) == "[nan, nan]"


def test_places_count_from_one_and_in_characters() -> None:
    read = read_yaml("é: {ab: 1,\r\n  'c': [x, é, y]}\n")
    assert read.keys == {("é",): (1, 1), ("é", "ab"): (1, 5), ("é", "c"): (2, 3)}
    assert read.values[("é", "c", 2)] == (2, 15)


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("", ["1:1: must hold blocks such as data: and search:, but got an empty file"]),
        ("# nothing\n", ["1:1: must hold blocks such as data: and search:, but got an empty file"]),
        ("- 1\n", ["1:1: must hold blocks such as data: and search:, but got a list"]),
        ("a word", ["1:1: must hold blocks such as data: and search:, but got 'a word'"]),
        (GOOD + "x: " + "[" * 30_000, ["17:23: nested deeper than 20 levels"]),
        (
            GOOD + "study: " + "[" * 30_000,
            [
                "17:1: 'study' is given twice, first on line 6",
                "17:27: nested deeper than 20 levels",
            ],
        ),
        (GOOD + "x\0y: 1", ["17:2: character U+0000 can't stand in YAML"]),
        (
            GOOD.encode() + "ü".encode("latin-1"),
            ["17:1: must be UTF-8 text, but got the byte 0xfc"],
        ),
        (GOOD.encode("utf-16"), ["1:1: must be UTF-8 text, but got the byte 0xff"]),
    ],
)
def test_unreadable_text_is_refused(text: str | bytes, problems: list[str]) -> None:
    assert problems_of(text) == problems


def test_byte_order_mark_and_line_ends_are_kept() -> None:
    text = "\ufeff" + GOOD.replace("\n", "\r\n")
    assert space_of(text).text == text
    assert problems_of(text.replace("version: 1", "versio: 1")) == [
        "1:1: no block 'versio'; did you mean 'version'?"
    ]
