"""Values, names and steps as messages and tables show them."""

import doctest

import pandas as pd
import pytest

from tuning import wording


def test_examples_are_true() -> None:
    results = doctest.testmod(wording)
    assert results.attempted >= 3
    assert results.failed == 0


@pytest.mark.parametrize(
    ("step", "name"),
    [
        ("1h", "1 h"),
        ("24h", "1 day"),
        ("7D", "7 days"),
        ("36h", "36 h"),
        ("15min", "15 min"),
        ("90s", "90 s"),
    ],
)
def test_step_is_named_in_its_largest_unit(step: str, name: str) -> None:
    assert wording.step_name(pd.Timedelta(step)) == name
