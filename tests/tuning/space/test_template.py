"""A proposal as a file: sizes by rows, names as YAML, and a table that is found again."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from lstm_model.training.batches import MIN_STEPS_PER_EPOCH
from lstm_model.wording import yaml_text
from tests.tuning.conftest import Ask
from tests.tuning.space.tables import table
from tuning.space.located_yaml import read_yaml
from tuning.space.schema import IntRange
from tuning.space.search_space import read_space
from tuning.space.template import EPOCHS_BY_STEPS


@pytest.mark.parametrize(
    ("rows", "hidden", "layers", "chunk", "context", "epochs"),
    [
        (100, (8, 64), 1, 12, 3, 100),
        (1000, (8, 64), 1, 30, 7, 100),
        (2000, (8, 64), 1, 60, 15, 100),
        (9600, (8, 64), 1, 96, 24, 100),
        (19200, (16, 64), 2, 96, 24, 100),
        (30720, (16, 64), 2, 96, 24, 67),  # 23.5 steps an epoch: 18,000 training rows
        (43200, (16, 64), 2, 96, 24, 30),
    ],
)
def test_short_table_gets_small_models(
    home: Path,
    ask: Ask,
    rows: int,
    hidden: tuple[int, int],
    layers: int,
    chunk: int,
    context: int,
    epochs: int,
) -> None:
    """Of these rows 60% are for training, to within half an hour or row by row."""
    (home / "load.csv").write_text(table(rows, "s"))
    ask("load.csv", "--target", "load")
    space = read_space("load.yaml")
    size = space.search["hidden_size"]
    assert isinstance(size, IntRange)
    assert (size.low, size.high) == hidden
    assert ("num_layers" in space.search) == ("dropout" in space.search) == (layers == 2)
    assert [point.get("num_layers", 1) for point in space.initial_trials] == [1, layers]
    assert space.fixed["chunk_length"] == pytest.approx(chunk, abs=1 if rows < 9000 else 0)
    assert space.fixed["context_length"] == pytest.approx(context, abs=1)
    assert space.study.max_epochs == pytest.approx(epochs, abs=1)


def test_most_epochs_are_for_fewest_steps() -> None:
    assert min(EPOCHS_BY_STEPS) == MIN_STEPS_PER_EPOCH


TRAPS = ["yes", "null", "~", "1e-4", ".5e3", "5:30", "2013-01-01", "a: b", "a #b", "- a", "[a", "é"]
TRAPS += ["'", '"', "\\", "a\nb", "\u2028", "\x7f", "\x00", "😀", "\ufeff", "{x}", "*a", "&a", "!a"]


@hypothesis_settings(max_examples=200, derandomize=True, database=None, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(TRAPS))
def test_any_name_survives_yaml(name: str) -> None:
    text = yaml_text(name)
    assert "\n" not in text
    assert read_yaml(f"a: [{text}, x]\nb:\n  - {text}  # x").data == {"a": [name, "x"], "b": [name]}


def test_names_that_are_yaml_survive(home: Path, ask: Ask, accepted: Callable[[str], str]) -> None:
    names = ["yes", "1e-4", 'a: b # "c"\nd', "null", "\x1b[31m", "Größe €"]
    rng = np.random.default_rng(0)
    columns = {name: rng.normal(0, 1, 200).round(3) for name in names}
    columns["é"] = np.array(["x: y", "# z", "\x07"])[rng.integers(0, 3, 200)]
    file = "the load's.csv"
    text = table(200, "30min", "2021-03-01", **columns)
    (home / file).write_text(text.replace("load", "true", 1))
    said = ask(file, "--target", "true")
    assert "python -m tuning.run --space 'the load'\"'\"'s.yaml'" in said
    assert "\x1b" not in said
    data = read_space("the load's.yaml").data
    assert (data.target, data.features) == ("true", ("true", *names, "é"))
    accepted("the load's.yaml")


def test_table_is_found_from_any_folder(
    home: Path, ask: Ask, accepted: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "spaces").mkdir()
    for file in ("load.csv", "beijing"):  # which means something else to a study
        (home / file).write_text(table(300))
        ask(file, "--target", "load", "--output", f"spaces/{file}.yaml")
        ask(home / file, "--target", "load", "--output", f"absolute {file}.yaml")
        ask(file, "--target", "load", "--output", f"{file}.yaml")
        for space in (f"{file}.yaml", f"absolute {file}.yaml", f"spaces/{file}.yaml"):
            assert "300 rows, one every 30 min" in accepted(space)
    monkeypatch.chdir(home / "spaces")
    assert "300 rows" in accepted("load.csv.yaml")


def test_source_behind_a_link_is_resolved(home: Path, ask: Ask) -> None:
    """`..` leads out of the folder that a link names, not to where the link lies."""
    (home / "deep" / "a" / "b").mkdir(parents=True)
    (home / "link").symlink_to(home / "deep" / "a" / "b")
    (home / "load.csv").write_text(table(200))
    ask("load.csv", "--target", "load", "--output", "link/x.yaml")
    assert "source: ../../../load.csv" in (home / "link" / "x.yaml").read_text()


@hypothesis_settings(
    max_examples=25,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(
    rows=st.integers(100, 900),
    step=st.sampled_from(["7s", "5min", "15min", "3h", "5h", "D", "36h", "7D"]),
    start=st.datetimes(pd.Timestamp("1900-01-01"), pd.Timestamp("2090-01-01")),
    missing=st.floats(0, 0.7),
    horizon=st.sampled_from([1, 2, 12]),
    seed=st.integers(0, 99),
)
def test_what_is_proposed_is_accepted(
    home: Path,
    ask: Ask,
    accepted: Callable[[str], str],
    rows: int,
    step: str,
    start: Any,
    missing: float,
    horizon: int,
    seed: int,
) -> None:
    """And each part of the table has three horizons, or it is said that it is too short."""
    rng = np.random.default_rng(seed)
    begin = pd.Timestamp(start).floor("s")
    columns = {
        "load": np.where(rng.random(rows) < missing, np.nan, rng.normal(400, 30, rows).round(1)),
        "sky": np.where(rng.random(rows) < missing, "", rng.choice(["x", "y"], rows)),
    }
    (home / "load.csv").write_text(table(rows, step, str(begin), **columns))
    (home / "load.yaml").unlink(missing_ok=True)
    known = int(np.isfinite(columns["load"]).sum())
    least = max(100, 25 * horizon)
    enough = known >= least
    said = ask("load.csv", "--target", "load", "--horizon", horizon, status=0 if enough else 2)
    if not enough:
        assert said.startswith(f"load.csv: must have {least} rows or more with load, ")
        assert f"but has {known}; gather more" in said
        return
    assert f"{rows} rows" in accepted("load.yaml")
    data = read_space("load.yaml").data
    times = pd.date_range(begin, periods=rows, freq=step)[np.isfinite(columns["load"])]
    borders = [pd.Timestamp(each) for each in (data.validation_from, data.test_from)]
    parts = np.diff([0, *(int((times < each).sum()) for each in borders), known])
    assert parts[0] >= 0.45 * known
    assert min(parts[1:]) >= max(0.12 * known, 3 * horizon) - 1
