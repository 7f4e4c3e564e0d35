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
