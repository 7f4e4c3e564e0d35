"""Where tables come from: a file, the simulation."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lstm_model.data import sources
from lstm_model.data.simulation import simulate
from lstm_model.data.sources import Dataset, load_dataset
from lstm_model.data.step import Step
from lstm_model.errors import TableError
from tests.lstm_model.data.day_table import days, settings


def test_home_directory(load: Callable[..., Dataset], monkeypatch: pytest.MonkeyPatch) -> None:
    expected = load(days())
    monkeypatch.setenv("HOME", os.getcwd())
    table = load_dataset(settings("~/days.csv"))
    assert table.source == "~/days.csv"
    assert table.sha256 == expected.sha256


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("nowhere.csv", "No such file or directory"),
        ("bejing", "No such file or directory"),
        (".", "Is a directory"),
        ("a\0b", "embedded null byte"),
    ],
)
def test_files_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, reason: str
) -> None:
    monkeypatch.chdir(tmp_path)
    message = (
        f"{source}: can't be read: {reason}; "
        "data come from beijing, beijing_stations, simulated, or a table's path"
    )
    with pytest.raises(TableError, match=f"^{re.escape(message)}$"):
        load_dataset(settings(source, fallback="simulated"))


def test_a_pattern_is_one_table(load: Callable[..., Dataset]) -> None:
    """In the order of its times, whatever the files are called; and each file says its lines."""
    expected = load(days())
    header, *rows = days().splitlines()
    for name, part in (("b", rows[:4]), ("a", rows[4:])):
        Path(f"part-{name}.csv").write_text("\n".join([header, *part]))
    table = load_dataset(settings("part-*.csv"))
    pd.testing.assert_frame_equal(table.frame, expected.frame)
    assert (table.source, table.repairs) == ("part-*.csv", ())
    assert table.sha256 != expected.sha256
    Path("part-a.csv").write_text("\n".join([header, *rows[4:]]).replace("9,cv", "x,cv"))
    with pytest.raises(TableError, match=r"^part-a\.csv:3: pm must be numeric"):
        load_dataset(settings("part-*.csv"))
    Path("part-a.csv").write_text("date,pm\n2013-01-05,1\n2013-01-06,2\n")
    with pytest.raises(TableError, match=r"^part-a\.csv: no column 'wind'"):
        load_dataset(settings("part-*.csv"))
    with pytest.raises(TableError, match=r"^no-\*\.csv: must name files, but none has such a name"):
        load_dataset(settings("no-*.csv"))


def test_simulated() -> None:
    features = ["pm2.5", "cbwd"]
    changes = {"target": "pm2.5", "features": features, "time": None, "test_from": "2014-01-01"}
    table = load_dataset(settings("simulated", **changes))
    assert (table.source, table.simulated, table.warning) == ("simulated", True, None)
    assert table.step == Step(3600)

    direct = simulate(seed=0)
    assert len(table.frame) == len(direct)
    np.testing.assert_array_equal(table.frame["pm2.5"].to_numpy(), direct["pm2.5"].to_numpy())
    assert list(table.frame["cbwd"].dropna()) == list(direct["cbwd"].dropna())
    assert load_dataset(settings("simulated", **changes)).sha256 == table.sha256


@pytest.mark.parametrize(
    ("source", "target", "unit"),
    [("simulated", "pm2.5", "ug/m3"), ("simulated", "TEMP", None), ("air.csv", "pm2.5", None)],
)
def test_unit_and_levels_only_of_known_pm25(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, target: str, unit: str | None
) -> None:
    monkeypatch.chdir(tmp_path)
    simulate(seed=0).to_csv("air.csv", index=False)
    changes = {"target": target, "features": [target], "time": None, "test_from": "2014-01-01"}
    dataset = load_dataset(settings(source, **changes))
    levels = None if unit is None else (35, 75, 115, 150, 250)
    assert (dataset.unit, dataset.level_edges) == (unit, levels)


def test_imports_neither_torch_nor_a_tuner() -> None:
    code = (
        "import sys, lstm_model.data.sources\n"
        "print(sorted({'torch', 'ray', 'optuna', 'tuning'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(Path(sources.__file__).parents[2])},
    )
    assert done.stdout == "[]\n"
