"""What every place for studies does, a directory and a bucket: one suite for both."""

from pathlib import Path

import pytest

from lstm_model.files import read_json, write_file, write_folder
from tuning.study.storage import (
    StoragePath,
    folder_size,
    map_files,
    parse_storage_path,
    relative_to,
    remove_tree,
    to_json_bytes,
)


@pytest.fixture(params=["disk", "bucket"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> StoragePath:
    """A folder that is not there yet."""
    name: str = request.node.name
    if request.param == "disk":
        return tmp_path / name
    return parse_storage_path(request.getfixturevalue("bucket")) / name


@pytest.fixture
def filled(folder: StoragePath) -> StoragePath:
    """A folder with a.json and trials/0.json, trials/1.json."""
    (folder / "trials").mkdir(parents=True, exist_ok=True)
    write_file(folder / "a.json", b"1")
    write_file(folder / "trials" / "0.json", b"22")
    write_file(folder / "trials" / "1.json", b"333")
    return folder


def names(paths: object) -> list[str]:
    return sorted(path.name for path in paths)  # type: ignore[attr-defined]


def test_missing_folder_is_empty(folder: StoragePath) -> None:
    assert not folder.exists()
    assert not folder.is_dir()
    assert not (folder / "a.json").is_file()
    assert list(folder.glob("*")) == []
    assert list(folder.rglob("*")) == []
    assert folder_size(folder) == 0
    remove_tree(folder)  # nothing to do


def test_missing_file_is_named_when_read(folder: StoragePath) -> None:
    with pytest.raises(FileNotFoundError):
        (folder / "a.json").read_bytes()


def test_parts_of_a_path(folder: StoragePath) -> None:
    file = folder / "trials" / "0.json"
    assert (file.name, file.stem) == ("0.json", "0")
    assert file.parent == folder / "trials"
    assert file.parent.parent.name == folder.name
    assert len({file, folder / "trials" / "0.json", folder}) == 2
    assert folder / "a" < folder / "b"  # type: ignore[operator]


def test_kinds_and_sizes(filled: StoragePath) -> None:
    assert filled.exists()
    assert filled.is_dir()
    assert not filled.is_file()
    assert (filled / "a.json").is_file()
    assert not (filled / "a.json").is_dir()
    assert (filled / "trials" / "1.json").stat().st_size == 3
    assert folder_size(filled) == 6


def test_listings(filled: StoragePath) -> None:
    assert names(filled.glob("*")) == names(filled.iterdir()) == ["a.json", "trials"]
    assert names(filled.glob("*.yaml")) == []
    assert names(filled.glob("trials/*.json")) == ["0.json", "1.json"]
    assert names(filled.glob("*/0.json")) == ["0.json"]
    assert names(path for path in filled.rglob("*") if path.is_file()) == [
        "0.json",
        "1.json",
        "a.json",
    ]
    assert names(filled.rglob("1.*")) == ["1.json"]


def test_file_is_replaced_whole(filled: StoragePath) -> None:
    write_file(filled / "a.json", b"4444")
    assert (filled / "a.json").read_bytes() == b"4444"
    assert (filled / "a.json").stat().st_size == 4
    assert names(filled.glob("*")) == ["a.json", "trials"], "nothing is left beside it"


def test_folder_is_replaced_whole(filled: StoragePath) -> None:
    write_folder(filled / "best", {"model.json": b"1", "other.json": b"2"})
    write_folder(filled / "best", {"model.json": b"3"})
    assert (filled / "best" / "model.json").read_bytes() == b"3"
    assert "best" in names(filled.glob("*"))


def test_json_comes_back(filled: StoragePath) -> None:
    write_file(filled / "study.json", to_json_bytes({"trials": 3, "é": [1.5]}))
    assert read_json(filled / "study.json") == {"trials": 3, "é": [1.5]}


def test_removal(filled: StoragePath) -> None:
    (filled / "trials" / "0.json").unlink()
    assert names(filled.glob("trials/*")) == ["1.json"]
    remove_tree(filled / "a.json")
    assert names(filled.glob("*")) == ["trials"]
    remove_tree(filled)
    assert not filled.exists()


def test_files_are_mapped_in_their_order(filled: StoragePath) -> None:
    files = [filled / "trials" / name for name in ("1.json", "0.json")]
    assert map_files(lambda file: file.read_bytes(), files) == [b"333", b"22"]
    with pytest.raises(FileNotFoundError):
        map_files(lambda file: file.read_bytes(), [*files, filled / "none"])


def test_place_in_a_folder(filled: StoragePath) -> None:
    file = filled / "trials" / "0.json"
    path = file if isinstance(file, Path) else file.path
    assert relative_to(filled, path) == "trials/0.json"
