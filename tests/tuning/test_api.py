"""Studies from Python: the same as the commands', in this process."""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import lstm_model
import tuning
from lstm_model.command import run_app
from lstm_model.errors import InputError
from tuning.run import app

Space = Callable[..., Path]


def outcome(folder: Path) -> list[dict[str, Any]]:
    """The trials' records, without their times."""
    files = sorted((folder / "trials").glob("*.json"))
    records = [json.loads(file.read_text()) for file in files]
    return [{key: value for key, value in each.items() if key != "seconds"} for each in records]


def test_exported_names() -> None:
    assert tuning.__all__ == [
        "Choices",
        "Comparison",
        "FloatRange",
        "IntRange",
        "SavedStudy",
        "SearchSpace",
        "compare_studies",
        "load_study",
        "read_space",
        "run_study",
    ]
    assert lstm_model.__all__ == ["TrainedForecaster", "fit", "load", "plot_latest_forecast"]
    for package in (tuning, lstm_model):
        assert set(package.__all__) <= set(dir(package))
        assert all(getattr(package, name) for name in package.__all__)
        with pytest.raises(AttributeError, match="has no attribute 'fitt'"):
            _ = package.fitt


def test_import_starts_nothing() -> None:
    """No torch, no Ray, no setting of the process."""
    code = """if True:
        import os, signal, sys
        before = dict(os.environ), signal.getsignal(signal.SIGTERM), sys.path[:]
        import lstm_model, tuning
        tuning.read_space, tuning.run_study
        assert (dict(os.environ), signal.getsignal(signal.SIGTERM), sys.path) == before
        print(*({"ray", "torch", "optuna"} & set(sys.modules)))"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr, done.returncode) == ("\n", "", 0)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def file(home: Path, table: Path) -> Path:
    from tests.tuning.conftest import SPACE

    file = home / "tiny.yaml"
    text = SPACE.format(source=table, trials=3, max_epochs=2, horizon=2, scheduler="asha")
    file.write_text(text)
    return file


@pytest.fixture(scope="module")
def study(home: Path, file: Path) -> tuning.SavedStudy:
    before = dict(os.environ)
    study = tuning.run_study(file, name="air", runs=home, concurrency=1, quiet=True)
    assert dict(os.environ) == before
    return study


def test_a_study_is_the_commands(study: tuning.SavedStudy, file: Path, home: Path) -> None:
    flags = ["--space", str(file), "--name", "same", "--runs", str(home), "--concurrency", "1"]
    assert run_app(app, [*flags, "--quiet"]) == 0
    assert outcome(home / "air") == outcome(home / "same")


def test_a_study_tells_its_outcome(study: tuning.SavedStudy, home: Path) -> None:
    summary = json.loads((home / "air" / "summary.json").read_text())
    best = summary["best"]
    assert (study.name, study.state) == ("air", "finished")
    assert study.summary == summary
    assert (study.best.trial, study.best.config) == (best["trial"], best["config"])
    assert study.best.rmse == best["validation"]["rmse"]
    frame = study.trials_dataframe()
    assert frame["rmse"].min() == study.best.rmse
    assert frame["rmse"].idxmin() == study.best.trial
    assert list(frame.index) == [0, 1, 2] == sorted(study.trials)
    assert f"trial {study.best.trial}, RMSE {study.best.rmse:.4g}" in repr(study)
    assert "<b>air</b>: finished" in study._repr_html_()


def test_the_best_model_forecasts(study: tuning.SavedStudy, table: Path) -> None:
    frame = pd.read_csv(table).tail(400)
    forecasts = study.best_model().forecast(frame)
    again = lstm_model.load(str(study.folder / "best")).forecast(frame)
    assert np.array_equal(forecasts.point, again.point)


def test_load_study_finds_it(study: tuning.SavedStudy, home: Path) -> None:
    assert tuning.load_study("air", runs=home) == tuning.load_study(home / "air") == study
    with pytest.raises(InputError, match=r"^study must name a study's folder, but 'fog' holds no"):
        tuning.load_study("fog", runs=home)


def test_a_frame_goes_on_with_the_same_frame_alone(home: Path, file: Path, table: Path) -> None:
    frame = pd.read_csv(table)
    options: dict[str, Any] = {"runs": home, "quiet": True}
    study = tuning.run_study(file, frame=frame, name="frame", trials=1, **options)
    assert study.state == "finished"
    with pytest.raises(InputError, match="stands for a DataFrame, and there is none"):
        tuning.run_study(resume=study, trials=2, **options)
    with pytest.raises(InputError, match="data"):
        tuning.run_study(resume=study, trials=2, frame=frame.assign(pm=frame["pm"] + 1), **options)
    assert len(study.trials) == 1
    tuning.run_study(resume=study, trials=2, frame=frame, **options)
    assert len(study.trials) == 2


def test_mistakes_name_arguments(study: tuning.SavedStudy, home: Path, file: Path) -> None:
    def message(*arguments: Any, **options: Any) -> str:
        with pytest.raises(InputError) as mistake:
            tuning.run_study(*arguments, **{"runs": home, "quiet": True, **options})
        return str(mistake.value)

    assert message(file, trials=0) == "trials: must be at least 1, but got 0"
    assert "choose another name" in message(file, name="air")
    assert message() == "space begins a study and resume goes on with one: give one of them"
    assert message(file, cpus_per_trial=-1).startswith("cpus_per_trial: must be above 0")
    assert message(resume="air", trials=1).startswith("trials must be at least 3")
    assert message(resume="air", max_epochs=7).startswith("max_epochs can't change")
    assert message(file, time_budget="5").startswith("time_budget must be more than 0, with a unit")
    assert message(file, time_budget=0) == "time_budget must be more than 0 seconds, but got 0"
    assert message(file, concurrency=0) == "concurrency must be at least 1, but got 0"
    frame = pd.DataFrame({"pm": [1.0]})
    assert message(file, frame="air.csv").startswith("frame must be a DataFrame, but got 'air.csv'")
    assert "a DataFrame and the source 'simulated'" in message(file, frame=frame, data="simulated")
    assert "a table must come from one place" in message(resume="air", trials=4, frame=frame)
    with pytest.raises(TypeError, match="no option 'trails'; the options are trials, time_budget"):
        tuning.run_study(file, trails=3)  # type: ignore[call-arg]


def test_another_thread_is_refused(file: Path, home: Path) -> None:
    mistakes: list[InputError] = []

    def study() -> None:
        try:
            tuning.run_study(file, name="thread", runs=home)
        except InputError as mistake:
            mistakes.append(mistake)

    thread = threading.Thread(target=study, name="worker")
    thread.start()
    thread.join()
    assert "main thread" in str(mistakes[0])
    assert not (home / "thread").exists()


OWN_RAY = """
import os, sys
import ray
ray.init(num_cpus=2, include_dashboard=False, logging_level="ERROR")
import tuning
before = dict(os.environ)
file, runs = sys.argv[1:]
first = tuning.run_study(file, name="first", runs=runs, quiet=True, concurrency=1)
second = tuning.run_study(file, name="second", runs=runs, quiet=True, concurrency=1)
assert dict(os.environ) == before
assert ray.is_initialized() and ray.get(ray.put(3)) == 3
assert first.state == second.state == "finished"
ray.shutdown()
"""


@pytest.mark.nightly
def test_a_ray_of_ones_own_is_used_and_stays(study: tuning.SavedStudy, home: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", OWN_RAY, str(home / "tiny.yaml"), str(home)],
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    assert outcome(home / "first") == outcome(home / "second") == outcome(home / "air")


@pytest.mark.nightly
def test_compare_studies(home: Path, file: Path, table: Path) -> None:
    """Of two spaces on a frame, whose studies are run first; then of these studies."""
    alone = home / "alone.yaml"
    alone.write_text(file.read_text().replace("[pm, temp, wind]", "[pm]"))
    options: dict[str, Any] = {
        "runs": home,
        "frame": pd.read_csv(table),
        "finalists": 1,
        "seeds": 2,
        "quiet": True,
    }
    answer = tuning.compare_studies(spaces=[file, alone], name="both", trials=2, **options)
    written = json.loads((home / "both" / "comparison.json").read_text())
    assert json.loads(json.dumps(answer.to_json()))["models"] == written["models"]
    assert answer.verdict == written["verdict"]
    studies = [tuning.load_study(f"both-{name}", runs=home) for name in ("tiny", "alone")]
    again = tuning.compare_studies(studies, name="again", **options)
    assert again.models == answer.models
    with pytest.raises(InputError, match=r"^seeds must be at least 2, but got 1"):
        tuning.compare_studies(studies, name="third", **{**options, "seeds": 1})


def test_one_command_for_all() -> None:
    def answer(*arguments: str) -> tuple[int, str, str]:
        done = subprocess.run(
            [sys.executable, "-m", "tuning", *arguments],
            capture_output=True,
            text=True,
            timeout=60,
        )
        return done.returncode, done.stdout, done.stderr

    assert answer()[0] == 0
    assert "run | compare | new-space | forecast" in answer("--help")[1]
    status, _, stderr = answer("comprae")
    assert status == 2
    assert "no command 'comprae'; did you mean 'compare'?" in stderr
    status, stdout, _ = answer("run", "--space", "univariate", "--data", "simulated", "--check")
    assert status == 0
    assert "50 trials" in stdout
    assert answer("new-space")[0] == 2


def test_a_figure_is_drawn_on_axes_of_ones_own(study: tuning.SavedStudy) -> None:
    figure = Figure(figsize=(10, 8))
    left, *weeks = axes = figure.subplots(4, 1).tolist()
    assert study.plot("history", ax=left) is left
    assert left.get_title(loc="left").startswith("air: validation RMSE of 3 trials")
    best = min(trial.rmse for trial in study.trials.values())
    assert np.asarray(left.lines[0].get_ydata())[-1] == best == study.best.rmse
    assert list(study.plot("forecasts", ax=weeks[:2], lead_time=2)) == weeks[:2]
    assert "2 h before" in weeks[0].get_title(loc="left")
    assert figure.axes == axes, "nothing else is in the figure"
    assert not figure.legends
    with pytest.raises(InputError, match="this figure is drawn on 1 axes, but got 4"):
        study.plot("errors_by_level", ax=axes)


def test_figures_while_the_study_goes_on(
    study: tuning.SavedStudy, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that is replaced while it is read, by one of a trial that began since."""
    shutil.copytree(home / "air", home / "going-on")
    going_on = tuning.load_study("going-on", runs=home)
    manifest, before = home / "going-on" / "best" / "trial.json", going_on.best.trial
    load = tuning.SavedStudy.best_model

    def replaced(study: tuning.SavedStudy) -> Any:
        model = load(study)
        record = json.loads((home / "air" / "trials" / f"{before}.json").read_text())
        newer = json.dumps(record | {"id": 7})
        (home / "going-on" / "trials" / "7.json").write_text(newer)
        manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"trial": 7}))
        return model

    monkeypatch.setattr(tuning.SavedStudy, "best_model", replaced)
    ax = Figure().subplots()
    going_on.plot("errors_by_lead_time", ax=ax)
    assert ax.lines[0].get_label() == "trial 7"


def test_the_search_is_drawn_without_the_table(home: Path, file: Path, table: Path) -> None:
    options: dict[str, Any] = {"runs": home, "quiet": True, "trials": 1, "max_epochs": 1}
    study = tuning.run_study(file, frame=pd.read_csv(table), name="no-table", **options)
    assert study.plot("history", ax=Figure().subplots()).lines
    with pytest.raises(InputError, match="stands for a DataFrame, and there is none"):
        study.plot("errors_by_level", ax=Figure().subplots())


def test_what_is_printed_names_arguments(
    file: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tuning.run_study(file, name="said", runs=home, trials=1, max_epochs=1)
    printed = capsys.readouterr().out
    assert "Begin another study with max_epochs 2" in printed
    assert "tensorboard --logdir" in printed


def test_without_axes_pyplot_has_the_figure(study: tuning.SavedStudy) -> None:
    with matplotlib.rc_context({"backend": "agg"}):
        panels = study.plot("gates")
        assert len(panels) == 4, "the colour bar is none"
        assert plt.get_fignums() == [panels[0].figure.number]
        plt.close("all")
        for name, reason in (
            (
                "importances",
                r"^importances needs finished trials of a search, 8 at least, but study",
            ),
            ("forecast", r"^figure must be one of history, importances, errors_by_lead_time"),
        ):
            with pytest.raises(InputError, match=reason):
                study.plot(name)  # type: ignore[call-overload]
        for lead in (3, "1"):
            with pytest.raises(InputError, match="lead_time must be a whole number from 1 to 2"):
                study.plot("forecasts", lead_time=lead)  # type: ignore[call-overload]
        with pytest.raises(InputError, match=r"^lead_time goes with the figure forecasts"):
            study.plot("gates", lead_time=2)
        assert plt.get_fignums() == [], "no empty figure is left behind"


def test_a_built_space_begins_where_an_earlier_study_ended(
    study: tuning.SavedStudy, home: Path, table: Path
) -> None:
    """On a frame, from a space without a file: it is run, goes on, and shows its space."""
    frame = pd.read_csv(table, parse_dates=["time"], index_col="time")
    space = tuning.SearchSpace(
        data={
            "target": "pm",
            "features": ["pm", "temp"],
            "validation_from": "2020-02-10",
            "test_from": "2020-02-25",
        },
        search={
            "hidden_size": tuning.IntRange(4, 16, log=True),
            "num_layers": tuning.IntRange(1, 2),
            "dropout": tuning.FloatRange(0.0, 0.4, when={"num_layers": 2}),
            "learning_rate": tuning.FloatRange(1e-3, 5e-2, log=True),
            "loss": tuning.Choices(("mse", "mae")),
        },
        fixed={"context_length": 12, "chunk_length": 48},
        study={"trials": 1, "max_epochs": 2},
        name="mine",
    )
    options: dict[str, Any] = {"runs": home, "quiet": True, "frame": frame, "concurrency": 1}
    first = tuning.run_study(space, initial_from=study, **options)
    assert first.name.startswith("mine-20")
    again = tuning.run_study(resume=first, trials=2, **options)
    ended = [trial for trial in study.trials.values() if trial.state != "failed"]
    best = min(ended, key=lambda trial: trial.rmse).config
    assert first.trials[0].config == best  # one trial of its own: there was room for no more
    assert (len(again.trials), again.state) == (2, "finished")
    assert again.space.search == space.search
    point = {name: value for name, value in best.items() if name not in space.fixed}
    assert again.space.initial_trials == (point,)
    assert (home / first.name / "space.yaml").read_text() == again.space.text
    assert "  source: frame\n" in again.space.text
    with pytest.raises(
        InputError, match=r"^initial_from says what a study tries first, but resume"
    ):
        tuning.run_study(resume=first, initial_from=study, **options)
