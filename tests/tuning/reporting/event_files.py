"""What TensorBoard's own readers find in a study's events; and a disk that is full."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata

from tuning.space.search_space import Value

ONE_LAYER: dict[str, Value] = {
    "hidden_size": 8,
    "num_layers": 1,
    "learning_rate": 0.01,
    "loss": "mse",
}
TWO_LAYERS: dict[str, Value] = {**ONE_LAYER, "num_layers": 2, "dropout": 0.25}


def events(folder: Any, run: str = "") -> EventAccumulator:
    """folder: of the study."""
    return EventAccumulator(str(Path(folder) / "tensorboard" / run), {"images": 0}).Reload()


def curve(folder: Any, run: str, tag: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in events(folder, run).Scalars(tag)]


def texts(folder: Any, tag: str) -> str:
    """The last text of the tag."""
    [*_, last] = events(folder).Tensors(f"{tag}/text_summary")
    return str(last.tensor_proto.string_val[0].decode())


def row(folder: Any, run: str) -> Any:
    """(row in HPARAMS, status) of a trial."""
    summaries = events(folder, run).summary_metadata
    start = metadata.parse_session_start_info_plugin_data(
        summaries[metadata.SESSION_START_INFO_TAG].plugin_data.content
    )
    if metadata.SESSION_END_INFO_TAG not in summaries:
        return start, None
    end = metadata.parse_session_end_info_plugin_data(
        summaries[metadata.SESSION_END_INFO_TAG].plugin_data.content
    )
    return start, end.status


@contextmanager
def full_disk() -> Iterator[None]:
    """No file can grow: OSError (File too large) wherever something is written."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
