"""The command, on series whose answer is known because they were made so."""

import json
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest

from lstm_model.command import run_app
from lstm_model.inference.predictor import TrainedForecaster
from tuning.compare import app, parse_years
from tuning.study.result import StudyResult
from tuning.workflows.compare_studies import StudyUnfinished

Command = Callable[..., subprocess.CompletedProcess[str]]

CHEAP = ("--finalists", 1, "--seeds", 2)
LAST_TEST_HOUR = "2020-03-31 23:00"


BOTH_SPACES = ("--space", "alone.yaml", "--space", "both.yaml")


def result(tmp_path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((tmp_path / "runs" / "air" / "comparison.json").read_text())
    return found


@pytest.mark.nightly
def test_an_effect_of_the_weather_is_found(
    compare: Command, pair: Callable[..., None], tmp_path: Path
) -> None:
    """And the folder is as the contract has it, from the command's first line to its last."""
    pair("some")
    done = compare(*BOTH_SPACES, "--name", "air", *CHEAP)
    assert (done.returncode, done.stderr) == (0, "")
    found = result(tmp_path)
    assert found["verdict"].startswith(
        "both (2 features) forecasts pm 1 h ahead better than alone "
    )
    assert " ".join(done.stdout.split()).count(found["verdict"]) == 1
    # 22 days of the test, each hour of them observed.
    assert (found["rows"], found["lead_times"]) == ({"1": 22 * 24}, [1])
    assert (found["test_from"], found["test_until"]) == ("2020-03-10", LAST_TEST_HOUR)
    assert set(found["models"]) == {
        *("both", "alone", "persistence", "same_hour_yesterday", "same_hour_last_week"),
        *("training_mean", "ridge_both", "ridge_alone", "lightgbm_both", "lightgbm_alone"),
    }
    # The noise has a standard deviation of 4, which no model can beat by much; without the wind,
    # what it moves is noise too.
    rmse = {name: model["rmse"]["1"] for name, model in found["models"].items()}
    assert 3.6 < rmse["both"] < 5.2
    assert 6.4 < rmse["alone"] < 8.2 < 1.15 * rmse["persistence"]
    for name in ("both", "alone"):
        assert (
            found["models"][name]["seeds"] == len(found["models"][name]["rmse_by_seed"]["1"]) == 2
        )
        # A mean of forecasts is no worse than the mean of their errors.
        assert rmse[name] <= np.mean(found["models"][name]["rmse_by_seed"]["1"])
        assert {run["seed"] for run in found["finalists"][name]["by_seed"]} == {1, 2}

    # The table of forecasts, and the saved models, say the same as the figures.
    folder = tmp_path / "runs" / "air"
    table = pd.read_csv(folder / "forecasts.csv")
    errors = table["both"] - table["observed"]
    assert np.sqrt(np.mean(errors**2)) == pytest.approx(rmse["both"], rel=1e-4)
    air = pd.read_csv(tmp_path / "air.csv", index_col="time", parse_dates=True)
    saved = TrainedForecaster.load(folder / "models" / "both")
    assert len(saved.models) == 2
    forecasts = saved.forecast(air)
    np.testing.assert_allclose(forecasts.point[-23:-1, 0], table["both"][-22:], atol=1e-3)
    # Its intervals are of validation's hours, and hold what they claim in the test, too.
    covered = {
        one["claim"]: one["covered"]
        for one in found["coverage"]
        if (one["model"], one["forecast_level"]) == ("both", "all")
    }
    assert covered == {0.8: pytest.approx(0.8, abs=0.08), 0.95: pytest.approx(0.95, abs=0.04)}
    for name in ("report.md", "report.html"):
        assert found["verdict"].split(":")[0] in (folder / name).read_text()

    # With other settings it is another study.
    refused = compare(*BOTH_SPACES, "--name", "air", "--trials", 3)
    assert (refused.returncode, refused.stderr) == (
        2,
        "runs/air-alone exists with other settings than are asked for: study.trials: 2 against 3; "
        "choose another --name, or ask for the same\n",
    )


@pytest.fixture
def refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., str]]:
    """What the command says when it refuses these arguments; asked in this process, to be quick."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LSTM_TUNING_DATA", raising=False)
    handler = signal.getsignal(signal.SIGTERM)

    def ask(*arguments: object) -> str:
        assert run_app(app, [str(each) for each in arguments]) == 2
        said = capsys.readouterr()
        assert said.out == ""
        assert not (tmp_path / "runs").exists()
        return said.err

    yield ask
    signal.signal(signal.SIGTERM, handler)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (("trials: 2", "trials: 5"), "study.trials: 2 against 5"),
        (("2020-03-10", "2020-03-12"), "data.test_from: 2020-03-10 00:00:00 against 2020-03-12"),
        (("target: pm\n", "target: pm\n  horizon: 2\n"), "data.horizon: 1 against 2"),
        (
            ("target: pm\n", "target: pm\n  calendar: [hour_of_day]\n"),
            "data.calendar: none against hour_of_day",
        ),
        (("air.csv", "other.csv"), "against {tmp}/other.csv "),
    ],
)
def test_unequal_terms_are_refused(
    refusal: Callable[..., str],
    pair: Callable[..., None],
    tmp_path: Path,
    changed: tuple[str, str],
    told: str,
) -> None:
    pair("none")
    (tmp_path / "other.csv").write_text((tmp_path / "air.csv").read_text().replace("60.0", "61.0"))
    file = tmp_path / "both.yaml"
    file.write_text(file.read_text().replace(*changed))
    found = refusal(*BOTH_SPACES, "--name", "air")
    assert found.startswith("alone and both must be compared on equal terms, but differ in ")
    assert told.format(tmp=tmp_path) in found


def test_neighbours_are_inputs_which_may_differ(
    pair: Callable[..., None], tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And two models that read other series are not compared."""
    pair("none")
    one = pd.read_csv("air.csv")
    pd.concat([one.assign(place="A"), one.assign(place="B", pm=one.pm * 2)]).to_csv(
        "air.csv", index=False
    )
    alone = Path("alone.yaml").read_text().replace("  time:", "  series: place\n  time:")
    Path("alone.yaml").write_text(alone)
    Path("both.yaml").write_text(alone.replace("  time:", "  neighbours: true\n  time:"))
    assert run_app(app, [*BOTH_SPACES, "--name", "air", "--check"]) == 0
    capsys.readouterr()
    Path("both.yaml").write_text(alone.replace("  series: place\n", "  duplicates: mean\n"))
    assert run_app(app, [*BOTH_SPACES, "--name", "air", "--check"]) == 2
    assert "data.series" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), r"one or two search spaces .* must be given, but got 0 spaces and 0 studies"),
        (("air-alone", "--space", "alone.yaml"), "but got 1 spaces and 1 studies"),
        (BOTH_SPACES + ("--space", "alone.yaml"), "but got 3 spaces and 0 studies"),
        (
            ("--space", "alone.yaml", "--space", "./alone.yaml"),
            "both are called alone; rename one",
        ),
        (("nothing",), "^STUDY must name a study's folder, but 'nothing' holds no study.json"),
        ((*BOTH_SPACES, "--test-years", "2012;2013"), "--test-years must be years such as 2012,"),
        ((*BOTH_SPACES, "--test-years", "2019"), "--test-years must lie in the table"),
        ((*BOTH_SPACES, "--storage", "ftp://bucket"), "a storage must be a directory"),
        (("--space", "persistence.yaml"), "no model may be called 'persistence'"),
        (("--space", "observed.yaml"), "no model may be called 'observed', as a baseline or a col"),
        (("--space", "series.yaml"), "no model may be called 'series', as a baseline or a column"),
        (("--space", "each_on_its_own_a.yaml"), "no model may be called 'each_on_its_own_a', as"),
    ],
)
def test_what_can_not_be_compared_is_said(
    refusal: Callable[..., str],
    pair: Callable[..., None],
    tmp_path: Path,
    arguments: tuple[str, ...],
    told: str,
) -> None:
    pair("none")
    for name in ("persistence", "observed", "series", "each_on_its_own_a"):
        (tmp_path / f"{name}.yaml").write_text((tmp_path / "alone.yaml").read_text())
    assert re.search(told, refusal(*arguments, "--name", "air"))


@pytest.mark.parametrize("letters", [94, 99, 100])
def test_a_name_leaves_room_for_those_of_the_studies(
    refusal: Callable[..., str], pair: Callable[..., None], tmp_path: Path, letters: int
) -> None:
    """Which are cut, and may neither be one nor be the comparison's own."""
    pair("none")
    for name in ("alike-one", "alike-two"):
        (tmp_path / f"{name}.yaml").write_text((tmp_path / "both.yaml").read_text())
    name = "n" * letters
    said = refusal("--space", "alike-one.yaml", "--space", "alike-two.yaml", "--name", name)
    assert said == (
        "--name must leave room for a space's name behind it in the name of its study, of 100 "
        f"characters in all, but got '{name}'; choose a shorter one\n"
    )
    assert run_app(app, ["--space", "both.yaml", "--name", name[:98], "--check"]) == 0


def test_what_is_there_is_not_written_over(
    pair: Callable[..., None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    pair("none")
    (tmp_path / "runs" / "air").mkdir(parents=True)
    asked = [*BOTH_SPACES, "--name", "air", "--check"]
    assert run_app(app, asked) == 2
    assert capsys.readouterr().err == (
        "runs/air exists, and is no comparison: remove it, or choose another --name\n"
    )
    (tmp_path / "runs" / "air" / "models").mkdir()  # one that was cut off while it was written
    assert run_app(app, asked) == 0
    # And so may the beginning of one of its studies be, but not what else lies there.
    (tmp_path / "runs" / "air-both" / "trials").mkdir(parents=True)
    assert run_app(app, asked) == 0
    (tmp_path / "runs" / "air-both" / "notes.txt").touch()
    assert run_app(app, asked) == 2
    assert capsys.readouterr().err.startswith("runs/air-both exists, and is no study: remove it")


def test_check_starts_nothing(compare: Command, pair: Callable[..., None], tmp_path: Path) -> None:
    pair("none")
    done = compare(*BOTH_SPACES, "--name", "air", "--check")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("space           ") == 2
    assert not (tmp_path / "runs").exists()


def test_check_says_how_many_trainings_each_series_alone_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    hours = pd.date_range("2020-01-01", periods=300, freq="h", name="time")
    values = {name: np.random.default_rng(n).normal(50, 9, 300) for n, name in enumerate("ab")}
    pd.DataFrame(values, index=hours).to_csv("wide.csv")
    Path("sites.yaml").write_text(
        "version: 1\n"
        "data: {source: wide.csv, time: time, targets: [a, b], validation_from: 2020-01-06,"
        " test_from: 2020-01-10}\n"
        "study: {trials: 1}\n"
        "search: {learning_rate: {type: float, low: 0.01, high: 0.05}}\n"
    )
    asked = ["--space", "sites.yaml", "--name", "air", "--seeds", "3", "--check"]
    assert run_app(app, asked) == 0
    assert (
        "sites on each series alone: 2 of 2 series, up to 12 trainings (3 for the epochs and 3 "
        "final models each)\n"
    ) in capsys.readouterr().out


def test_unfinished_study_ends_the_command_with_its_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*arguments: object, **options: object) -> None:
        raise StudyUnfinished(
            StudyResult(
                Mock(),
                signal=signal.SIGINT,
                all_failed=False,
                stopped=True,
                asked_at_once=1,
                most_at_once=1,
            )
        )

    monkeypatch.setattr("tuning.compare.compare_studies", interrupted)
    handler = signal.getsignal(signal.SIGTERM)
    assert run_app(app, ["--space", "alone.yaml", "--name", "air"]) == 130
    signal.signal(signal.SIGTERM, handler)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("text", "years"), [(None, []), ("2012, 2013", [2012, 2013])])
def test_years_are_read_from_their_flag(text: str | None, years: list[int]) -> None:
    assert parse_years(text) == years
