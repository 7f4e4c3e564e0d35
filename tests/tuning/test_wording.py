"""Values, names and steps as messages and tables show them."""

import doctest

from tuning import wording


def test_examples_are_true() -> None:
    results = doctest.testmod(wording)
    assert results.attempted >= 3
    assert results.failed == 0
