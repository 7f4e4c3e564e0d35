"""Imports point one way; each is looked at in a fresh process."""

import pkgutil
import subprocess
import sys

import pytest

import lstm_model


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


@pytest.mark.parametrize("module", ["tuning.search_space", "tuning.run"])
def test_a_mistake_in_a_space_is_told_before_anything_heavy_is_imported(module: str) -> None:
    assert not {"ray", "optuna", "torch"} & imported_by(f"import {module}")


def test_a_study_begins_without_torch() -> None:
    """Whose import takes the command seconds, beside its first trials."""
    before = ["lstm_model.sources", "lstm_model.baselines", "tuning.study", "tuning.tensorboard"]
    assert "torch" not in imported_by(f"import {', '.join(before)}, tuning.ray_backend.runner")


def test_a_training_does_without_torchs_compiler() -> None:
    """Whose import would take each worker as long as that of torch."""
    training = (
        "import pandas as pd, numpy as np\n"
        "from lstm_model.configuration import Configuration, DataSettings\n"
        "from lstm_model.series import Series\n"
        "from lstm_model.training import Fit\n"
        "clock = pd.date_range('2020-01-01', periods=400, freq='h')\n"
        "table = pd.DataFrame({'pm': np.sin(np.arange(400.0))}, clock)\n"
        "settings = DataSettings(source='x.csv', target='pm', features=['pm'],\n"
        "    validation_from='2020-01-12', test_from='2020-01-16')\n"
        "series = Series.from_table(table, pd.Timedelta(hours=1), settings)\n"
        "Fit(Configuration(), series, max_epochs=1, seed=0).run_epoch()"
    )
    loaded = imported_by(f"{training}\nimport tuning.ray_backend.trainable")
    assert not {"torch._dynamo", "torch.fx.experimental.symbolic_shapes"} & loaded


def test_an_import_leaves_optunas_verbosity_alone() -> None:
    """A notebook that imports the project keeps what it has set for its own studies."""
    code = (
        "import optuna\n"
        "before = optuna.logging.get_verbosity()\n"
        "import tuning.search\n"
        "assert optuna.logging.get_verbosity() == before == optuna.logging.INFO"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
