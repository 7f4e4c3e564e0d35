from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lstm_model.data.sources import Dataset, load_dataset
from tests.lstm_model.data.day_table import settings


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Dataset]:
    """Loads a text, or bytes, as the file days.csv of the current directory."""
    monkeypatch.chdir(tmp_path)

    def load(content: str | bytes, **changes: Any) -> Dataset:
        raw = content if isinstance(content, bytes) else content.encode()
        Path("days.csv").write_bytes(raw)
        return load_dataset(settings(**changes))

    return load
