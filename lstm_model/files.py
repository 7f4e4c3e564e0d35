"""Files that are read or refused with their name, and written whole or not at all."""

import json
import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import Any, Protocol, Self

from lstm_model.errors import InputError, os_error_text


class PathLike(Protocol):
    """A file or folder: a Path, or what behaves like one where files lie elsewhere."""

    @property
    def name(self) -> str: ...
    def __truediv__(self, name: str, /) -> Self: ...
    def read_bytes(self) -> bytes: ...
    def write_bytes(self, content: bytes, /) -> object: ...


def read_bytes(file: PathLike, most: int = -1) -> bytes:
    """A regular file's bytes, or its first `most`.

    Raises:
        OSError: it can't be read, or is a pipe, which may be waited for without end, or a device,
            which may have no end.
    """
    if not isinstance(file, Path):
        return file.read_bytes()[: most if most >= 0 else None]
    mode = file.stat().st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # opening a folder tells what it is
        raise OSError("it is a pipe or a device, and must be a regular file")
    with open(file, "rb") as opened:
        return opened.read(most)


def read_json(file: PathLike) -> dict[str, Any]:
    """A JSON object from a file; raises InputError naming the file where it isn't one."""
    try:
        content = json.loads(read_bytes(file))
    except FileNotFoundError:
        raise InputError(f"{file} does not exist") from None
    except OSError as error:
        raise InputError(f"{file} can't be read: {os_error_text(error)}") from error
    except ValueError as error:
        raise InputError(f"{file} is damaged: {error}") from error
    except RecursionError:
        raise InputError(f"{file} is damaged: it is nested too deep") from None
    if not isinstance(content, dict):
        raise InputError(f"{file} is damaged: it holds no JSON object")
    return content


def check_writable(flag: str, file: Path) -> None:
    """Raises InputError where a file can't lie."""
    if not os.path.isdir(file.parent):
        raise InputError(f"{flag} must lie in a folder that is there, but {file.parent} is none")
    if os.path.isdir(file):
        raise InputError(f"{flag} must be a file, but {file} is a folder")
    if os.path.exists(file) and not os.path.isfile(file):
        raise InputError(f"{flag} must be a regular file, but {file} is a pipe or a device")
    try:
        file.lstat()
    except FileNotFoundError:
        pass  # it will be made
    except (OSError, ValueError) as error:  # ValueError: NUL
        raise InputError(
            f"{flag} must be a file that can be written, but got {str(file)!r}: "
            f"{os_error_text(error)}; choose another name"
        ) from error


def write_file(file: PathLike, content: bytes) -> None:
    """Write to a temporary name and move it into place: readers see the old file or the new one."""
    if not isinstance(file, Path):
        file.write_bytes(content)  # an object store shows a file when it is whole
        return
    # Cut, because a name may be as long as names can be, in bytes, and this one is longer.
    handle, temporary = tempfile.mkstemp(prefix=f".{file.name[:40]}.", dir=file.parent)
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, file)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_folder(folder: PathLike, files: dict[str, bytes]) -> None:
    """Write a folder under a temporary name and swap it in for the one that may be there.

    Whatever is raised on the way, one of the two is there after it. Only a kill between the two
    renames leaves neither under the folder's name. An object store can't rename: there the files
    are put one after another, and what reads them has to see whether they belong together.
    """
    if not isinstance(folder, Path):
        for name, content in files.items():
            (folder / name).write_bytes(content)
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    old = temporary.with_name(temporary.name + ".old")
    try:
        for name, content in files.items():
            write_file(temporary / name, content)
        temporary.chmod(0o755)
        if folder.exists():
            folder.rename(old)
        temporary.rename(folder)
    finally:
        if old.exists() and not folder.exists():
            old.rename(folder)
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
