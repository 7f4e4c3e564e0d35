"""Event files as TensorBoard's own readers find them."""

from io import BytesIO
from pathlib import Path

import fsspec
import pytest
from PIL import Image
from pyarrow import fs
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.tuning.reporting.event_files import full_disk
from tuning.reporting.tensorboard.events import Events, Mirror
from tuning.study.storage import RemotePath


def read(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder), {"images": 0}).Reload()


def test_all_kinds_are_read_before_the_file_is_closed(tmp_path: Path) -> None:
    png = BytesIO()
    Image.new("RGB", (30, 20)).save(png, "png")
    written = Events(tmp_path / "run")
    written.scalars({"a": 1.5, "none": None}, 3)
    written.text("why", "*because*")
    written.images({"b": png.getvalue()}, 4)
    written.charts({"Category": {"Chart": "^a$"}})
    run = read(tmp_path / "run")
    assert [(event.step, event.value) for event in run.Scalars("a")] == [(3, 1.5)]
    assert "none" not in run.Tags()["scalars"]
    [text] = run.Tensors("why/text_summary")
    assert text.tensor_proto.string_val[0] == b"*because*"
    [image] = run.Images("b")
    assert (image.step, image.width, image.height) == (4, 30, 20)
    [layout] = run.Tensors("custom_scalars__config__")
    assert b"^a$" in layout.tensor_proto.string_val[0]
    written.close()
    written.close()


def test_later_steps_of_a_file_before_are_hidden(tmp_path: Path) -> None:
    for first in (1, 3):
        written = Events(tmp_path)
        written.begin_after(first - 1)
        for step in range(first, first + 4):
            written.scalars({"a": float(first)}, step)
        written.close()
    assert [(event.step, event.value) for event in read(tmp_path).Scalars("a")] == [
        (1, 1.0),
        (2, 1.0),
        (3, 3.0),
        (4, 3.0),
        (5, 3.0),
        (6, 3.0),
    ]


def test_full_disk_is_an_error_at_once(tmp_path: Path) -> None:
    written = Events(tmp_path)
    with full_disk(), pytest.raises(OSError, match="File too large"):
        written.scalars({"a": 1.0}, 1)
    written.close()


def test_mirror_of_a_disk_is_the_place_itself(tmp_path: Path) -> None:
    mirror = Mirror(tmp_path)
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "curve.1").write_bytes(b"1")
    (tmp_path / "old" / "cells.row").write_bytes(b"2")
    mirror.move(tmp_path / "nothing", tmp_path / "new", without=".row")
    mirror.move(tmp_path / "old", tmp_path / "new", without=".row")
    mirror.upload()
    mirror.close()
    assert [file.name for file in tmp_path.rglob("*")] == ["new", "curve.1"]


def test_mirror_of_a_bucket_uploads_what_is_new() -> None:
    """A file system in memory stands for an object store, in which no file grows."""
    memory = fsspec.filesystem("memory")
    place = RemotePath(
        fs.PyFileSystem(fs.FSSpecHandler(memory)), "/bucket/mirror", ("memory:/", "")
    )

    def there() -> dict[str, bytes]:
        root = "/bucket/mirror/"
        return {name.removeprefix(root): memory.cat(name) for name in memory.find(root)}

    mirror = Mirror(place)
    folder = mirror.folder
    for name, content in {"a/1": b"1", "b/2": b"2"}.items():
        (folder / name).parent.mkdir()
        (folder / name).write_bytes(content)
    mirror.upload()
    assert there() == {"a/1": b"1", "b/2": b"2"}
    (folder / "a" / "1").write_bytes(b"11")
    mirror.move(folder / "b", folder / "c", without=".row")
    mirror.upload()
    assert there() == {"a/1": b"11", "c/2": b"2"}
    mirror.close()
    assert not folder.exists()
    again = Mirror(place)
    again.fetch(["c"])
    assert (again.folder / "c" / "2").read_bytes() == b"2"
    assert not (again.folder / "a").exists(), "what does not move stays there"
    again.remove("a")
    again.upload()
    assert there() == {"c/2": b"2"}
    again.close()
