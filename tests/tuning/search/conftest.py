"""A small space."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tuning.space.search_space import SearchSpace, read_space


@pytest.fixture
def tiny(space: Callable[..., Path]) -> SearchSpace:
    return read_space(str(space(trials=30, max_epochs=10)))
