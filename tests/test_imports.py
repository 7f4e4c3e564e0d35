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


# Each layer rests on those before it alone. What lies in no folder is either below all of them or a
# command, above them.
LAYERS = {
    "lstm_model": "below data model evaluation training inference figures commands",
    "tuning": "below space study search ray_backend comparison reporting workflows commands",
}
BELOW = {"arrays", "configuration", "setting_values", "errors", "files", "seeds", "wording"}
BELOW |= {"series_rules", "command", "shell"}


def layer_of(module: str) -> int:
    package, *parts = module.split(".")
    layers = LAYERS[package].split()
    if parts and parts[0] in layers:
        return layers.index(parts[0])
    return 0 if not parts or parts[0] in BELOW else len(layers) - 1


def imports_upwards(folder: Path) -> list[str]:
    """`module -> module` of each import that goes up."""
    arrows = []
    for file in folder.rglob("*.py"):
        importing = ".".join(file.relative_to(folder.parent).with_suffix("").parts)
        importing = importing.removesuffix(".__init__")
        if importing == folder.name:
            continue  # the package's own names, imported when they are asked for
        for imported in imports_of(file):
            package = imported.partition(".")[0]
            if folder.name == "lstm_model" and package == "tuning":
                arrows.append(f"{importing} -> {imported}")
            if package == folder.name and layer_of(imported) > layer_of(importing):
                arrows.append(f"{importing} -> {imported}")
    return arrows


@pytest.mark.parametrize("package", LAYERS)
def test_imports_go_down(package: str) -> None:
    assert imports_upwards(ROOT / package) == []


def test_an_import_upwards_is_seen(tmp_path: Path) -> None:
    for folder in ("study", "search"):
        (tmp_path / "tuning" / folder).mkdir(parents=True)
    (tmp_path / "tuning" / "study" / "study.py").write_text("import tuning.search.searcher\n")
    (tmp_path / "tuning" / "search" / "searcher.py").write_text("import tuning.study.study\n")
    assert imports_upwards(tmp_path / "tuning") == ["tuning.study.study -> tuning.search.searcher"]


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
    assert importing("onnx") == {"lstm_model/inference"}
    assert importing("onnxruntime") == set()
    assert importing("mlflow") == {"tuning/reporting"}


@pytest.mark.parametrize(
    ("room", "libraries"),
    [
        ("space", {"ray", "optuna", "torch", "rich", "typer", "matplotlib"}),
        ("study", {"ray", "optuna", "rich", "typer", "matplotlib"}),
        ("comparison", {"rich", "typer", "matplotlib", "tensorboard", "jinja2"}),
        ("reporting", {"ray", "optuna"}),
    ],
)
def test_rooms_import_no_library_of_another_job(room: str, libraries: set[str]) -> None:
    """Judging shows nothing, and showing runs nothing."""
    for file in (ROOT / "tuning" / room).rglob("*.py"):
        assert not libraries & {name.partition(".")[0] for name in imports_of(file)}, file


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
        "from lstm_model.data.encoded_table import EncodedTable\n"
        "from lstm_model.data.step import Step\n"
        "from lstm_model.training.trainer import Trainer\n"
        "clock = pd.date_range('2020-01-01', periods=400, freq='h')\n"
        "table = pd.DataFrame({'pm': np.sin(np.arange(400.0))}, clock)\n"
        "settings = DataSettings(source='x.csv', target='pm', features=['pm'],\n"
        "    validation_from='2020-01-12', test_from='2020-01-16')\n"
        "series = EncodedTable.from_table(table, Step(3600), settings)\n"
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
