"""TensorBoard event files, and where they lie.

They have a writer of their own because TensorBoard's hands what it is given to a thread. On a full
disk that thread ends, and nobody hears of it. `Events` writes in the caller's thread: what it was
given is on its way to the disk, or OSError is raised.
"""

import os
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from itertools import count
from pathlib import Path, PurePosixPath

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.types_pb2 import DT_STRING
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar import metadata as custom_scalars
from tensorboard.plugins.text import metadata as texts
from tensorboard.summary.writer.record_writer import RecordWriter

from lstm_model.files import read_bytes
from tuning.study.storage import RemotePath, StoragePath, map_files, relative_to


class Events:
    """An event file of one run. Every method raises OSError where it can't be written."""

    _numbers = count()

    def __init__(self, folder: Path, suffix: str = "") -> None:
        """suffix: ends the file's name."""
        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{time.time():017.6f}.{socket.gethostname()}.{os.getpid()}"
        self._file = open(folder / f"{name}.{next(self._numbers)}{suffix}", "xb")  # noqa: SIM115
        self._records = RecordWriter(self._file)
        try:
            self._write(Event(file_version="brain.Event:2"))
        except OSError:
            with suppress(OSError):
                self.close()
            raise

    def add(self, summary: Summary, step: int = 0) -> None:
        self._write(Event(summary=summary, step=step))

    def scalars(self, values: Mapping[str, float | None], step: int) -> None:
        """None is left out: there is no such number."""
        summary = Summary()
        for tag, value in values.items():
            if value is not None:
                summary.value.add(tag=tag, simple_value=value)
        self.add(summary, step)

    def text(self, tag: str, markdown: str) -> None:
        """In place of the one that may be there."""
        about = texts.create_summary_metadata(display_name=tag, description="")
        self._add_string(f"{tag}/text_summary", about, markdown.encode())

    def charts(self, titles: Mapping[str, Mapping[str, str]]) -> None:
        """The charts of Custom Scalars; those of several runs that are alike become one there.

        Args:
            titles: by category, the title of each chart with the expression that its tags match.
        """
        layout = layout_pb2.Layout()
        for category, charts in titles.items():
            section = layout.category.add(title=category)
            for title, tags in charts.items():
                section.chart.add(title=title).multiline.tag.append(tags)
        about = custom_scalars.create_summary_metadata()
        self._add_string(custom_scalars.CONFIG_SUMMARY_TAG, about, layout.SerializeToString())

    def images(self, pngs: Mapping[str, bytes], step: int) -> None:
        """PNG files by tag."""
        for tag, content in pngs.items():
            # In a PNG, width and height are the eight bytes from the 16th on.
            width, height = (int.from_bytes(content[at : at + 4], "big") for at in (16, 20))
            image = Summary.Image(
                width=width, height=height, colorspace=3, encoded_image_string=content
            )
            self.add(Summary(value=[Summary.Value(tag=tag, image=image)]), step)

    def begin_after(self, step: int) -> None:
        """Hide what the run has at later steps, from a file before this one."""
        self._write(Event(session_log=SessionLog(status=SessionLog.START), step=step + 1))

    def close(self) -> None:
        """Close the file. Closed again, it stays closed."""
        self._file.close()

    def _add_string(self, tag: str, about: SummaryMetadata, content: bytes) -> None:
        tensor = TensorProto(dtype=DT_STRING, string_val=[content])
        self.add(Summary(value=[Summary.Value(tag=tag, metadata=about, tensor=tensor)]))

    def _write(self, event: Event) -> None:
        event.wall_time = time.time()
        self._records.write(event.SerializeToString())
        self._records.flush()


class Mirror:
    """A place of event files, and the folder on a disk where they are written.

    On a disk both are the same. An object store can't append to files: `folder` is then a
    temporary one, and upload() brings what is new in it to the place. Event files are never read
    again, so none has to be fetched but those that move.
    """

    def __init__(self, place: StoragePath) -> None:
        self._place = place
        # Taken by whoever moves files or looks which there are: each is seen, and once.
        self._moving = threading.Lock()
        self._uploading = threading.Lock()
        # What the place has of `folder`, with its size; and what it has besides.
        self._sizes: dict[str, int] = {}
        self._others: dict[str, RemotePath] = {}
        if isinstance(place, Path):
            self.folder = place
            return
        self.folder = Path(tempfile.mkdtemp(prefix="tensorboard-"))
        self._others = {
            relative_to(place, file.path): file for file in place.rglob("*") if file.is_file()
        }

    @property
    def is_remote(self) -> bool:
        return not isinstance(self._place, Path)

    def fetch(self, runs: Iterable[str]) -> None:
        """Bring what the place has of these runs."""
        wanted = {name: file for name, file in self._others.items() if _run(name) in set(runs)}
        contents = map_files(read_bytes, list(wanted.values()))
        for name, content in zip(wanted, contents, strict=True):
            file = self.folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
            self._sizes[name] = len(content)
            del self._others[name]

    def move(self, old: Path, new: Path, without: str) -> None:
        """Move a run's files, if there are any. Those whose suffix is `without` are removed."""
        with self._moving:
            if not old.exists():
                return
            new.mkdir(parents=True, exist_ok=True)
            for file in old.iterdir():
                if file.suffix != without:
                    file.rename(new / file.name)
            shutil.rmtree(old)

    def remove(self, run: str) -> None:
        """Remove a run, here and at the next upload() there."""
        with self._moving:
            shutil.rmtree(self.folder / run, ignore_errors=True)
            for name in [name for name in self._others if _run(name) == run]:
                self._sizes[name] = self._others.pop(name).stat().st_size  # upload() misses it here

    def upload(self) -> None:
        """Make the place like the folder, if it is another one."""
        place = self._place
        if isinstance(place, Path):
            return
        with self._uploading:
            with self._moving:
                files = {
                    str(file.relative_to(self.folder)): file.stat().st_size
                    for file in self.folder.rglob("*")
                    if file.is_file()
                }
            grown = [name for name, size in files.items() if self._sizes.get(name) != size]
            gone = [name for name in self._sizes if name not in files]

            def put_file(file: RemotePath) -> None:
                name = relative_to(place, file.path)
                with suppress(FileNotFoundError):  # moved meanwhile: the next time
                    content = (self.folder / name).read_bytes()
                    file.write_bytes(content)
                    self._sizes[name] = len(content)

            def remove_file(file: RemotePath) -> None:
                with suppress(FileNotFoundError):
                    file.unlink()
                del self._sizes[relative_to(place, file.path)]

            map_files(put_file, [place / name for name in grown])
            map_files(remove_file, [place / name for name in gone])

    def close(self) -> None:
        """Remove the folder if it is a temporary one."""
        if self.folder != self._place:
            shutil.rmtree(self.folder, ignore_errors=True)


def _run(name: str) -> str:
    """The run that an event file is of."""
    return str(PurePosixPath(name).parent)
