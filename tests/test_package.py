"""The wheel, unpacked away from the checkout, has all that the commands need."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"  # building leaves folders behind
    for name in ("lstm_model", "tuning", "search_spaces"):
        shutil.copytree(ROOT / name, source / name)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
        + ["--wheel-dir", str(folder), str(source)],
        check=True,
        capture_output=True,
        timeout=120,
    )
    [wheel] = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(folder / "installed")
    return folder / "installed"


def test_it_holds_the_packages_and_nothing_else(unpacked: Path) -> None:
    assert sorted(each.name for each in unpacked.iterdir() if "dist-info" not in each.name) == [
        "lstm_model",
        "tuning",
    ]
    for package in ("lstm_model", "tuning"):
        assert (unpacked / package / "py.typed").exists()


def test_it_finds_its_search_spaces(unpacked: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tuning.run", "--space", "multivariate.yaml"]
        + ["--data", "simulated", "--check"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(unpacked), "PATH": ""},
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "channels        20: pm2.5, DEWP, TEMP, PRES" in done.stdout
    where = subprocess.run(
        [sys.executable, "-c", "import tuning; print(tuning.__file__)"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(unpacked), "PATH": ""},
        timeout=60,
        check=True,
    )
    assert where.stdout.startswith(str(unpacked)), "not the checkout's"
