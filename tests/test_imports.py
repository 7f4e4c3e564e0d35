"""Imports point one way; each is looked at in a fresh process."""

import ast
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import lstm_model

ROOT = Path(__file__).parents[1]


def imported_by(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint('\\n'.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.split())


def test_the_model_knows_nothing_of_studies() -> None:
    modules = [f"lstm_model.{each.name}" for each in pkgutil.iter_modules(lstm_model.__path__)]
    loaded = imported_by("import " + ", ".join(modules))
    assert set(modules) <= loaded
    assert not {"ray", "optuna", "tuning"} & loaded


def imports_of(file: Path) -> set[str]:
    """The modules that a file names in its imports, wherever they stand."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def sources() -> list[Path]:
    return [file for package in ("lstm_model", "tuning") for file in (ROOT / package).rglob("*.py")]


def test_ray_and_optuna_have_each_their_room() -> None:
    def importing(library: str) -> set[str]:
        return {
            str(file.parent.relative_to(ROOT))
            for file in sources()
            if any(name.partition(".")[0] == library for name in imports_of(file))
        }

    # Optuna's searcher has Tune's as its base class.
    assert importing("ray") == {"tuning/ray_backend", "tuning/search"}
    assert importing("optuna") == {"tuning/search"}


@pytest.mark.parametrize(
    ("name", "room"),
    [
        (r"ray\._private|ray\.tune\.execution|ray\.air\b|ConsolePopen", "patches.py"),
        (r"\boptuna(\.\w+)*\._", None),
        (r"_fused_adamw|_execution_engine", "fast_torch.py"),
        (r"unittest", None),
    ],
)
def test_private_names_of_libraries_stand_in_one_room(name: str, room: str | None) -> None:
    assert {file.name for file in sources() if re.search(name, file.read_text())} == (
        {room} if room else set()
    )


@pytest.mark.parametrize("module", ["tuning.space.search_space", "tuning.run"])
def test_a_mistake_in_a_space_is_told_before_anything_heavy_is_imported(module: str) -> None:
    assert not {"ray", "optuna", "torch"} & imported_by(f"import {module}")


def test_a_study_begins_without_torch() -> None:
    """Whose import takes the command seconds, beside its first trials."""
    before = [
        "lstm_model.data.sources",
        "lstm_model.evaluation.baselines",
        "tuning.study.study",
        "tuning.reporting.tensorboard.study_events",
    ]
    assert "torch" not in imported_by(f"import {', '.join(before)}, tuning.ray_backend.runner")


@pytest.mark.skipif(sys.platform != "linux", reason="/proc and the library's name are Linux's")
def test_torchs_library_is_loaded_without_an_import() -> None:
    """Which would hold all threads of the command for a quarter of a second."""
    code = (
        "import sys\n"
        "from tuning.reporting.figure_thread import load_torch_library\n"
        "load_torch_library()\n"
        "assert 'torch' not in sys.modules\n"
        "loaded = 'libtorch_cpu.so' in open('/proc/self/maps').read()\n"
        "import torch\n"
        "print(loaded, float(torch.ones(2).sum()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == ["True", "2.0"]


def test_a_training_does_without_torchs_compiler() -> None:
    """Whose import would take each worker as long as that of torch."""
    training = (
        "import pandas as pd, numpy as np\n"
        "from lstm_model.configuration import Configuration, DataSettings\n"
        "from lstm_model.data.series import EncodedSeries\n"
        "from lstm_model.training.trainer import Trainer\n"
        "clock = pd.date_range('2020-01-01', periods=400, freq='h')\n"
        "table = pd.DataFrame({'pm': np.sin(np.arange(400.0))}, clock)\n"
        "settings = DataSettings(source='x.csv', target='pm', features=['pm'],\n"
        "    validation_from='2020-01-12', test_from='2020-01-16')\n"
        "series = EncodedSeries.from_table(table, pd.Timedelta(hours=1), settings)\n"
        "Trainer(Configuration(), series, max_epochs=1, seed=0).run_epoch()"
    )
    loaded = imported_by(f"{training}\nimport tuning.ray_backend.trainable")
    assert not {"torch._dynamo", "torch.fx.experimental.symbolic_shapes"} & loaded


def test_an_import_leaves_optunas_verbosity_alone() -> None:
    """A notebook that imports the project keeps what it has set for its own studies."""
    code = (
        "import optuna\n"
        "before = optuna.logging.get_verbosity()\n"
        "import tuning.search.searcher\n"
        "assert optuna.logging.get_verbosity() == before == optuna.logging.INFO"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
