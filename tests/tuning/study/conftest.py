"""A study, and a bucket."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.bucket_server import KEYS, Front, create_bucket
from tests.builders import study_view
from tuning.study import summary
from tuning.study.study import Study


@pytest.fixture
def study(space: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study:
    monkeypatch.setattr(summary, "DERIVE_SECONDS", 0.0)
    monkeypatch.setattr(summary, "DERIVE_SHARE", math.inf)
    made = Study(study_view(tmp_path / "runs" / "air", space()))
    made.create(["python", "-m", "tuning.run"])
    return made


@pytest.fixture(scope="module")
def front() -> Iterator[Front]:
    """A bucket's server, named as an environment of AWS's own does."""
    front = Front()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**KEYS, "AWS_ENDPOINT_URL": front.endpoint}.items():
            patch.setenv(name, value)
        create_bucket(front)
        yield front
    front.close()


@pytest.fixture(scope="module")
def bucket(front: Front) -> str:
    """The URI of a bucket's folder."""
    return "s3://bucket/studies"
