"""Small studies, with and without a Ray of this process's own to run them on."""

import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pandas as pd
import pytest

from tests.builders import study_view
from tuning.ray_backend.fork_server import ForkServer
from tuning.ray_backend.patches import AGENTS, PLAIN
from tuning.ray_backend.session import ray_session
from tuning.study.study import Study


@pytest.fixture(scope="module")
def local_ray(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A Ray in this process. Workers find a folder for markers in TMPDIR_OF_TEST."""
    os.environ["TMPDIR_OF_TEST"] = str(tmp_path_factory.mktemp("markers"))
    server = ForkServer() if sys.platform == "linux" else None
    with pytest.MonkeyPatch.context() as patch, ExitStack() as at_end:
        # Tune as it is gives workers an environment of their own, which takes Ray's agents.
        patch.setenv(PLAIN, AGENTS.name)
        at_end.enter_context(ray_session(None, verbose=False, server=server))
        patch.undo()
        yield
    if server:
        server.end()


@pytest.fixture
def create_study(space: Callable[..., Path], tmp_path: Path) -> Callable[..., Study]:
    """Begins a study whose first trials have these numbers of hidden units."""

    def create(
        hidden_sizes: list[int],
        max_epochs: int = 3,
        trials: int | None = None,
        scheduler: str = "none",
        folder: str = "air",
        series: int = 1,
    ) -> Study:
        path = space(trials=trials or len(hidden_sizes), max_epochs=max_epochs, scheduler=scheduler)
        if series > 1:
            write_sites(path, series)
        first = "  - {hidden_size: 8, num_layers: 1, learning_rate: 1e-2, loss: mse}\n"
        initial = "".join(first.replace("8", str(size), 1) for size in hidden_sizes)
        path.write_text(path.read_text().replace(first, initial))
        study = Study(study_view(tmp_path / folder, path, begun=time.monotonic()))
        study.create([])
        return study

    return create


def write_sites(space: Path, count: int) -> None:
    """Make a space's table one of several series, each larger and later than the one before."""
    text = space.read_text()
    source = re.search(r"source: (.+)", text)
    assert source is not None
    air, sites = pd.read_csv(source[1]), []
    for number in range(count):
        site = air.iloc[100 * number :].assign(site=f"site {number}")
        sites.append(site.assign(pm=site["pm"] * 10**number))
    pd.concat(sites).to_csv(space.with_name("sites.csv"), index=False)
    keys = f"source: {space.with_name('sites.csv')}\n  series: site\n  neighbours: true"
    space.write_text(text.replace(source[0], keys))
