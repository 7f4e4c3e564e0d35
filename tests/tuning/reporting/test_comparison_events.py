"""What TensorBoard's own readers find in the events of a comparison."""

from pathlib import Path

import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.tuning.comparison.builders import make_comparison
from tuning.reporting.tensorboard.comparison_events import write_comparison_events


def test_a_comparison_tells_its_answer(tmp_path: Path) -> None:
    folder = tmp_path / "air"
    (folder / "figures").mkdir(parents=True)
    Image.new("RGB", (30, 20)).save(folder / "figures" / "episode-1.png")
    history = [{"epoch": 1, "loss": 0.5, "rmse": 9.0, "mae": 4.0, "skill": 0.1}]
    for _ in range(2):  # what an earlier one wrote is gone
        write_comparison_events(folder, make_comparison(3), {"multivariate": history})
    root = EventAccumulator(str(folder / "tensorboard")).Reload()
    [found] = root.Tensors("answer/text_summary")
    said = found.tensor_proto.string_val[0].decode()
    assert said.startswith("Eight features forecast better than one.")
    assert "| univariate" in said
    [image] = root.Images("comparison/episode-1")
    assert (image.width, image.height) == (30, 20)
    layout = root.Tensors("custom_scalars__config__")[0].tensor_proto.string_val[0]
    assert b"^comparison/test_rmse$" in layout
    model = EventAccumulator(str(folder / "tensorboard" / "multivariate")).Reload()
    errors = make_comparison(3).models["multivariate"].rmse
    assert [(event.step, event.value) for event in model.Scalars("comparison/test_rmse")] == [
        (lead, pytest.approx(value)) for lead, value in errors.items()
    ]
    assert model.Scalars("comparison/finalist_rmse")[0].value == 9.0
    assert (folder / "tensorboard" / "persistence").is_dir()
