"""Series whose answer is known because they were made so; on one real Ray, in this process."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.tuning.conftest import PAIR
from tuning.comparison.result import Comparison
from tuning.ray_backend import environment
from tuning.ray_backend.session import Session, ray_session
from tuning.reporting.terminal import Terminal
from tuning.workflows.compare_studies import plan_test, resolve_models, run_comparison
from tuning.workflows.run_study import RunOptions

BOTH = ("alone.yaml", "both.yaml")
OPTIONS = RunOptions(("python",), budget=None, address=None, concurrency=None, verbose=False)


@pytest.fixture(scope="module", autouse=True)
def session() -> Iterator[Session]:
    environment.set_environment()
    with ray_session(None, verbose=False) as session:
        yield session


@pytest.fixture
def compared(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Comparison]:
    """The comparison of these spaces or studies in the test's folder."""
    monkeypatch.chdir(tmp_path)

    def compare(
        spaces: tuple[str, ...] = (),
        studies: tuple[str, ...] = (),
        years: tuple[int, ...] = (),
        **changes: object,
    ) -> Comparison:
        console = Terminal(quiet=True)
        models = resolve_models(studies, spaces, changes, Path("runs") / "air", console)
        protocol = plan_test(models, 1, 2, years)
        begun = time.monotonic()
        return run_comparison(models, protocol, session, OPTIONS, console, begun).comparison

    return compare


@pytest.mark.nightly
def test_no_effect_is_found_where_there_is_none(
    compared: Callable[..., Comparison], pair: Callable[..., None], tmp_path: Path
) -> None:
    pair("none")
    comparison = compared(BOTH)
    assert comparison.verdict.startswith(
        "No difference is shown between both (2 features) and alone"
    )
    records = sorted((tmp_path / "runs").glob("*/trials/*.json"))
    written = {file: file.stat().st_mtime_ns for file in records}
    # Asked for again, the studies are there already; by the studies' names, the same comes of it.
    again = compared(BOTH)
    named = compared(studies=("air-alone", "runs/air-both"))
    assert again.tests == named.tests == comparison.tests
    assert again.models == named.models == comparison.models
    assert written == {file: file.stat().st_mtime_ns for file in records}
    assert len(records) == 4


@pytest.mark.slow
def test_less_can_be_better(compared: Callable[..., Comparison], pair: Callable[..., None]) -> None:
    """A wind that turns when the test begins misleads the model that reads it."""
    pair("turning")
    assert compared(BOTH).verdict.startswith(
        "alone (1 feature) forecasts pm 1 h ahead better than both (2 features)"
    )


@pytest.mark.slow
def test_one_model_at_several_lead_times_and_years(
    compared: Callable[..., Comparison], tmp_path: Path
) -> None:
    """A daily series of three years, with folds; the last year is the test, the one before too."""
    rng = np.random.default_rng(5)
    days = pd.date_range("2019-01-01", "2021-12-31", freq="D")
    level = 50 + 20 * np.sin(np.arange(len(days)) / 3) + rng.normal(0, 2, len(days))
    pd.DataFrame({"time": days, "pm": level.round(2)}).to_csv(tmp_path / "air.csv", index=False)
    text = PAIR.format(source=tmp_path / "air.csv", features="pm")
    text = text.replace("2020-02-15", "2020-09-01").replace("2020-03-10", "2021-01-01")
    text = text.replace("  target: pm\n", "  target: pm\n  folds: 2\n  horizon: 3\n")
    (tmp_path / "waves.yaml").write_text(text)
    comparison = compared(("waves.yaml",), years=(2020, 2021))
    assert comparison.lead_times == [1, 2, 3]
    assert comparison.rows == {1: 365, 2: 365, 3: 365}
    answer = "waves (1 feature) forecasts pm better than persistence at 1 to 3 of 3 lead times"
    assert comparison.verdict.startswith(answer)
    assert "The same answer comes of 1 of 1 other test years: 2020." in comparison.verdict
    assert comparison.years["2020"].rows == {1: 366, 2: 366, 3: 366}
    # One value a day has no same hour yesterday.
    assert set(comparison.models) == {
        *("waves", "persistence", "training_mean", "same_day_last_week", "same_day_last_year"),
        *("ridge_waves", "lightgbm_waves"),
    }
    assert comparison.folds == 2
