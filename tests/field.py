"""Tables as people have them, which lie beside the checkout, or in the folder that is named."""

import os
from pathlib import Path

import pytest

VARIABLE = "LSTM_TUNING_FIELD"
BESIDE = Path(__file__).parents[2] / "shared" / "field"


def field_table(name: str) -> Path:
    """The table's path; skips the test where the tables are not at hand."""
    path = Path(os.environ.get(VARIABLE, BESIDE)) / name
    if not path.is_file():
        pytest.skip(f"{VARIABLE} names no folder with {name}")
    return path
