"""Where studies lie: a directory, or what one of pyarrow's file systems reaches, such as S3."""

import fnmatch
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import Any

from pyarrow import ArrowException, fs

from lstm_model.errors import InputError


class RemotePath:
    """A file or folder in a pyarrow file system: what pathlib.Path is here, as far as studies go.

    A file is put whole or not at all. Some of these systems have no folders: there a folder is
    where files are.
    """

    def __init__(self, system: fs.FileSystem, path: str, uri: tuple[str, str]) -> None:
        """path: in the system's own terms. uri: what comes before and after it in the URI."""
        self.system, self.path, self._uri = system, path, uri

    def __str__(self) -> str:
        before, after = self._uri
        return f"{before}{self.path}{after}"

    def __repr__(self) -> str:
        return f"RemotePath({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RemotePath) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __lt__(self, other: "RemotePath") -> bool:
        return self.path < other.path

    def _at(self, path: str) -> "RemotePath":
        return RemotePath(self.system, path, self._uri)

    def __truediv__(self, name: str | PurePosixPath) -> "RemotePath":
        return self._at(f"{self.path}/{name}")

    @property
    def name(self) -> str:
        return PurePosixPath(self.path).name

    @property
    def stem(self) -> str:
        return PurePosixPath(self.path).stem

    @property
    def parent(self) -> "RemotePath":
        return self._at(str(PurePosixPath(self.path).parent))

    def resolve(self) -> "RemotePath":
        return self

    def _kind(self) -> fs.FileType:
        return self.system.get_file_info(self.path).type

    def exists(self) -> bool:
        return bool(self._kind() != fs.FileType.NotFound)

    def is_file(self) -> bool:
        return bool(self._kind() == fs.FileType.File)

    def is_dir(self) -> bool:
        return bool(self._kind() == fs.FileType.Directory)

    def stat(self) -> Any:
        return SimpleNamespace(st_size=self.system.get_file_info(self.path).size or 0)

    def mkdir(self, parents: bool = False, exist_ok: bool = False) -> None:
        self.system.create_dir(self.path, recursive=True)

    def read_bytes(self) -> bytes:
        with self.system.open_input_file(self.path) as file:
            return bytes(file.read())

    def write_bytes(self, content: bytes) -> None:
        with self.system.open_output_stream(self.path) as file:
            file.write(content)

    def unlink(self) -> None:
        self.system.delete_file(self.path)

    def glob(self, pattern: str) -> Iterator["RemotePath"]:
        """As Path.glob(), for patterns without **."""
        first, _, rest = pattern.partition("/")
        for found in self._listed(recursive=False):
            if fnmatch.fnmatchcase(found.name, first):
                yield from found.glob(rest) if rest else [found]

    def iterdir(self) -> Iterator["RemotePath"]:
        return self.glob("*")

    def rglob(self, pattern: str) -> Iterator["RemotePath"]:
        """All that lies in the folder, however deep, and has such a name."""
        for found in self._listed(recursive=True):
            if fnmatch.fnmatchcase(found.name, pattern):
                yield found

    def _listed(self, recursive: bool) -> Iterator["RemotePath"]:
        selected = fs.FileSelector(self.path, recursive=recursive, allow_not_found=True)
        for found in self.system.get_file_info(selected):
            yield self._at(found.path)


Place = Path | RemotePath


def place(text: str) -> Place:
    """The directory or the URI that `text` names.

    Raises:
        InputError: no file system of pyarrow's takes the URI.
    """
    if "://" not in text:
        return Path(text)
    try:
        system, path = fs.FileSystem.from_uri(text)
    except (ArrowException, OSError, ValueError) as error:
        raise InputError(
            f"a storage must be a directory or a URI such as s3://bucket/studies, but got "
            f"{text!r}: {error}"
        ) from error
    if isinstance(system, fs.LocalFileSystem):
        return Path(path)
    plain, mark, query = text.partition("?")
    path = path.rstrip("/")
    before = plain.rstrip("/").removesuffix(path)
    return RemotePath(system, path, (before, f"{mark}{query}"))


def inside(folder: Place, path: str | Path) -> str:
    """Where in the folder `path` lies, which is in the terms of the folder's file system."""
    if isinstance(folder, Path):
        return str(Path(path).resolve().relative_to(folder.resolve()))
    return str(PurePosixPath(path).relative_to(folder.path))


def remove(what: Place) -> None:
    """A file or a folder with all that is in it; nothing where it is gone already."""
    if isinstance(what, Path):
        if what.is_dir():
            shutil.rmtree(what, ignore_errors=True)
        else:
            what.unlink(missing_ok=True)
        return
    with suppress(FileNotFoundError):
        if what.is_dir():
            what.system.delete_dir(what.path)
        else:
            what.unlink()


def bytes_in(folder: Place) -> int:
    """What the files in a folder take."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
