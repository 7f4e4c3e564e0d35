"""Where studies lie: a directory, or what one of pyarrow's file systems reaches, such as S3."""

import fnmatch
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import Any, TypeVar

import pyarrow
from pyarrow import ArrowException, fs

from lstm_model.errors import InputError

# A request takes a bucket 20 ms and more, whatever else it is asked.
REQUESTS_AT_ONCE = 32

T = TypeVar("T")
PathT = TypeVar("PathT", bound="Path | RemotePath")


class RemotePath:
    """A file or folder in a pyarrow file system: what pathlib.Path is here, as far as studies go.

    A file is put whole or not at all. Some of these systems have no folders: there a folder is
    where files are.

    Every question is a request, which takes 20 ms and more. So a path that came out of a listing
    keeps what the listing said of it (kind, size, time), until it is written by this very path.
    """

    def __init__(
        self,
        system: fs.FileSystem,
        path: str,
        uri: tuple[str, str],
        guard: Callable[[], None] | None = None,
        listed: fs.FileInfo | None = None,
    ) -> None:
        """
        Args:
            path: in the system's own terms.
            uri: what comes before and after it in the URI.
            guard: called before every write; raises where there is to be none.
            listed: what a listing said of it.
        """
        self.system, self.path, self._uri = system, path, uri
        self._guard, self._listed = guard, listed

    def __reduce__(self) -> tuple[Any, ...]:
        # In another process neither the guard nor the listing holds.
        return RemotePath, (self.system, self.path, self._uri)

    def guarded(self, guard: Callable[[], None]) -> "RemotePath":
        """This path; the guard holds for all paths that come out of it too."""
        return RemotePath(self.system, self.path, self._uri, guard)

    def unguarded(self) -> "RemotePath":
        return RemotePath(self.system, self.path, self._uri)

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

    def _at(self, path: str, listed: fs.FileInfo | None = None) -> "RemotePath":
        return RemotePath(self.system, path, self._uri, self._guard, listed)

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

    def _info(self) -> fs.FileInfo:
        return self._listed or self.system.get_file_info(self.path)

    def exists(self) -> bool:
        return bool(self._info().type != fs.FileType.NotFound)

    def is_file(self) -> bool:
        return bool(self._info().type == fs.FileType.File)

    def is_dir(self) -> bool:
        return bool(self._info().type == fs.FileType.Directory)

    def stat(self) -> Any:
        return SimpleNamespace(st_size=self._info().size or 0)

    def modified(self) -> float:
        """When it was last written, in seconds by the server's clock."""
        return float(self._info().mtime_ns or 0) / 1e9

    def _written(self) -> None:
        """Called before every write."""
        self._listed = None
        if self._guard:
            self._guard()

    def mkdir(self, parents: bool = False, exist_ok: bool = False) -> None:
        self._written()
        self.system.create_dir(self.path, recursive=True)

    def read_bytes(self) -> bytes:
        with self.system.open_input_file(self.path) as file:
            return bytes(file.read())

    def write_bytes(self, content: bytes) -> None:
        self._written()
        with self.system.open_output_stream(self.path) as file:
            file.write(content)

    def unlink(self) -> None:
        self._written()
        self.system.delete_file(self.path)

    def delete_tree(self) -> None:
        self._written()
        self.system.delete_dir(self.path)

    def glob(self, pattern: str) -> Iterator["RemotePath"]:
        """As Path.glob(), for patterns without **."""
        first, _, rest = pattern.partition("/")
        for path in self._list(recursive=False):
            if fnmatch.fnmatchcase(path.name, first):
                yield from path.glob(rest) if rest else [path]

    def iterdir(self) -> Iterator["RemotePath"]:
        return self.glob("*")

    def rglob(self, pattern: str) -> Iterator["RemotePath"]:
        """All that lies in the folder, however deep, and has such a name."""
        for path in self._list(recursive=True):
            if fnmatch.fnmatchcase(path.name, pattern):
                yield path

    def _list(self, recursive: bool) -> Iterator["RemotePath"]:
        """One request for a thousand files, however deep they lie."""
        selected = fs.FileSelector(self.path, recursive=recursive, allow_not_found=True)
        for info in self.system.get_file_info(selected):
            yield self._at(info.path, info)


StoragePath = Path | RemotePath


def parse_storage_path(text: str) -> StoragePath:
    """The directory or the URI that `text` names.

    Raises:
        InputError: no file system of pyarrow's takes the URI.
    """
    if "://" not in text:
        return Path(text)
    # What pyarrow writes goes through threads of its own: 8, if nobody asks for more.
    if pyarrow.io_thread_count() < REQUESTS_AT_ONCE:
        pyarrow.set_io_thread_count(REQUESTS_AT_ONCE)
    try:
        system, path = fs.FileSystem.from_uri(_with_few_requests(text))
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


def _with_few_requests(uri: str) -> str:
    """A file that is opened in a bucket for writing is one request, not three."""
    option = "allow_delayed_open"
    if not uri.startswith("s3://") or option in uri:
        return uri
    return f"{uri}{'&' if '?' in uri else '?'}{option}=true"


def map_files(work: Callable[[PathT], T], files: Iterable[PathT]) -> list[T]:
    """The work's result for each file, in their order. Requests to a bucket go many at once."""
    files = list(files)
    if len(files) < 2 or isinstance(files[0], Path):
        return [work(file) for file in files]
    with ThreadPoolExecutor(min(REQUESTS_AT_ONCE, len(files)), "requests") as pool:
        try:
            return list(pool.map(work, files))
        except BaseException:
            pool.shutdown(cancel_futures=True)  # what went wrong once would a hundred times
            raise


def relative_to(folder: StoragePath, path: str | Path) -> str:
    """Where in the folder `path` lies, which is in the terms of the folder's file system."""
    if isinstance(folder, Path):
        return str(Path(path).resolve().relative_to(folder.resolve()))
    return str(PurePosixPath(path).relative_to(folder.path))


def remove_tree(what: StoragePath) -> None:
    """A file or a folder with all that is in it; nothing where it is gone already."""
    if isinstance(what, Path):
        if what.is_dir():
            shutil.rmtree(what, ignore_errors=True)
        else:
            what.unlink(missing_ok=True)
        return
    with suppress(FileNotFoundError):
        if what.is_dir():
            what.delete_tree()
        else:
            what.unlink()


def folder_size(folder: StoragePath) -> int:
    """What the files in a folder take."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def to_json_bytes(content: Mapping[str, object]) -> bytes:
    """A JSON file, indented for people."""
    return (json.dumps(content, indent=1) + "\n").encode()
