"""What is shown of a study of several series: they are ranked by their skill."""

import json
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest

from lstm_model.figures.forecasts import plot_weeks
from lstm_model.figures.gates import plot_gates
from tests.builders import best_score, epoch_report
from tests.tuning.reporting.conftest import MakeStudy
from tests.tuning.reporting.event_files import curve, events, texts
from tests.tuning.reporting.screens import checkpoint, console, end, plain_console, written
from tests.tuning.reporting.several import (
    ROWS,
    end_trial,
    series_study,
    series_view,
    waves,
    with_model,
)
from tests.tuning.reporting.test_live_view import frame
from tuning.reporting import study_figures
from tuning.reporting.mlflow_runs import MOST_SERIES, skill_by_series
from tuning.reporting.progress import Progress
from tuning.reporting.study_figures import draw_model, draw_search
from tuning.reporting.study_result import print_study_result
from tuning.reporting.tables import best_rows, print_plan
from tuning.reporting.tensorboard.study_events import TensorBoard
from tuning.study.result import StudyResult
from tuning.study.study import Study
from tuning.study.summary import summarize_study
from tuning.study.trial import BestScore
from tuning.study.view import StudyView
from tuning.workflows.saved_study import SavedStudy

NAMES = ("calm", "fair", "rough", "wild")
SKILL = {"calm": 0.6, "fair": 0.5, "rough": 0.4, "wild": 0.3}


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """Of four series, of which one trial has the lower RMSE and the other one the higher skill."""
    study = series_study(tmp_path / "sites", NAMES)
    end_trial(study, 0, 7.0, dict.fromkeys(NAMES, 0.2))
    end_trial(study, 1, 9.0, SKILL)
    return study


def planned(view: StudyView) -> dict[str, list[str]]:
    """What --check says, by its labels."""
    console = plain_console()
    print_plan(view.space, view.dataset, view.table, None, console)
    lines: dict[str, list[str]] = {}
    for line in written(console).splitlines():
        lines.setdefault(line[:16].strip(), []).append(line[16:])
    return lines


def test_check_tells_of_the_series(tmp_path: Path) -> None:
    # Validation begins in row 432 of 744: four series with all rows, of which the last one is
    # constant, and one that begins 10 rows before the end.
    series = waves(NAMES)
    series |= {"wild": np.full(ROWS, 3.0), "late": series["calm"][:10]}
    said = planned(series_view(tmp_path / "sites", series, {"late": ROWS - 10}))
    assert said["data"] == ["made.csv, 2,986 rows, one every 1 h"]
    assert said["series"] == ["5, of 10 rows at least, 744 in the median and 744 at most"]
    # A row without one before it has no forecast.
    counts = "{:,} forecasts scored at lead time 1, {:,} at lead time 2"
    assert said["training"] == [
        f"2020-01-01 00:00 to 2020-01-18 23:00; {counts.format(3 * 431, 3 * 430)}"
    ]
    assert said["validation"] == [
        f"2020-01-19 00:00 to 2020-01-31 23:00; {counts.format(3 * 312 + 9, 3 * 312 + 8)}"
    ]
    assert said["left out"] == [
        "wild (training): it never changes before validation",
        "late (training): it has 0 forecasts to learn from before validation, and 5 are needed at "
        "every lead time",
        "wild (validation): it never changes in validation",
    ]


def test_check_of_one_series_tells_nothing_of_series(make_study: MakeStudy) -> None:
    said = planned(make_study("air").view)
    assert not {"series", "static", "neighbours", "left out"} & set(said)
    assert said["training"] == [
        "2020-01-01 00:00 to 2020-02-09 23:00; 956 forecasts scored at lead time 1"
    ]


def test_check_names_static_columns_and_neighbours(study: Study) -> None:
    data = study.space.data.model_copy(update={"static": ("kind", "height"), "neighbours": True})
    said = planned(replace(study.view, space=replace(study.space, data=data)))
    assert said["static"] == ["kind, height"]
    assert said["neighbours"] == ["each series reads the mean of the others' pm"]


def test_trials_are_ranked_by_their_skill(study: Study) -> None:
    headings, rows = best_rows(study.view)
    assert headings == ("model", "skill", "RMSE (all rows)", "MAE (all rows)", "epochs")
    assert rows[:2] == [
        ("trial 1", "45.0%", "9.0000", "4.5000", "1 of 1"),
        ("trial 0", "20.0%", "7.0000", "3.5000", "1 of 1"),
    ]
    assert rows[2][:2] == ("persistence", "0.0%")


def test_live_view_has_skill_first(study: Study) -> None:
    lines = frame(study.view, 120)
    heading = next(line for line in lines if "skill" in line and "RMSE" in line)
    assert heading.split()[:4] == ["skill", "RMSE", "(all", "rows)"]
    rows = lines[lines.index(heading) + 1 :]
    ranked = [line[:14].strip() for line in rows if line.strip()]
    baselines = study.view.baselines.leading
    skills = {name.replace("_", " "): score.skill for name, score in baselines.items()}
    skills["trial 1"] = 0.45
    assert ranked == sorted(skills, key=lambda name: -skills[name])
    best = max((score.skill, name) for name, score in baselines.items())
    points = 100 * (0.45 - best[0])
    verdict = next(line for line in lines if line.startswith("Best"))
    assert verdict == (
        f"Best so far: trial 1, better than {best[1].replace('_', ' ')}: skill {points:.1f} points "
        "higher"
    )


def test_plain_lines_have_skill_first(study: Study) -> None:
    plain = plain_console()
    study.attach(Progress(plain))
    study.finish("interrupted")
    text = written(plain)
    assert "Best so far: trial 1, skill 45.0% beside persistence 0.0%" in text
    assert "RMSE 9.0" in text
    assert "over all rows" in text


@pytest.mark.parametrize("short_of", [0.0, 0.1])
def test_baselines_are_beaten_by_skill(tmp_path: Path, short_of: float) -> None:
    study = series_study(tmp_path / "sites", NAMES)
    best = study.view.baselines.scores[study.view.baselines.best]
    end_trial(study, 0, 1e9, dict.fromkeys(NAMES, best.skill + 0.05 - short_of))
    study.finish("finished")
    terminal = plain_console()
    result = StudyResult(
        study.view, signal=None, all_failed=False, stopped=False, asked_at_once=1, most_at_once=1
    )
    print_study_result(result, terminal)
    ridge = f"ridge regression on the same features (skill {best.skill:.1%})"
    line = f"The best trial is no better than {ridge}.\n"
    assert (line in written(terminal)) == bool(short_of)


def test_tensorboard_has_the_objective_and_every_series(tmp_path: Path) -> None:
    study = series_study(tmp_path / "runs" / "sites", NAMES)
    study.attach(TensorBoard())
    end_trial(study, 0, 7.0, dict.fromkeys(NAMES, 0.2))
    end_trial(study, 1, 9.0, SKILL)
    # No figure is drawn of a model that is none.
    study.listeners[0].on_study_end(study.view)
    lowest = curve(study.folder, "", "whole_study/lowest_objective")
    assert [step for step, _ in lowest] == [1, 2]
    assert [value for _, value in lowest] == pytest.approx([0.8, 0.55])
    assert curve(study.folder, "", "whole_study/lowest_rmse") == [(1, 7.0), (2, 7.0)]
    assert curve(study.folder, "persistence", "whole_study/lowest_objective")[0] == (1, 1.0)
    table = texts(study.folder, "skill by series")
    assert "better than persistence in 4 of 4 series" in table
    assert table.splitlines()[2:6] == [
        "| rank | series | skill | RMSE | MAE |",
        "|--:|---|--:|--:|--:|",
        "| 1 | calm | 60.0% | 9.000 | 4.500 |",
        "| 2 | fair | 50.0% | 9.000 | 4.500 |",
    ]
    outcome = texts(study.folder, "outcome")
    assert "its mean validation skill over 4 series is 45.0%, 45.0 points above persist" in outcome
    assert "| model | skill | RMSE (all rows) |" in outcome
    assert "| number_of_series | 4 |" in texts(study.folder, "settings")
    assert "|pooled`" in outcome


def test_tensorboard_of_one_series_has_nothing_of_them(make_study: MakeStudy) -> None:
    study = make_study("air", max_epochs=30)
    end(study, 0, 0.9)
    study.listeners[0].on_study_end(study.view)
    tags = events(study.folder).Tags()
    assert "whole_study/lowest_objective" not in tags["scalars"]
    assert "skill by series/text_summary" not in tags["tensors"]


def test_summary_has_every_series(tmp_path: Path, study: Study) -> None:
    summary = json.loads(json.dumps(summarize_study(study.view).to_json()))
    assert summary["data"]["series"] == 4
    assert summary["data"]["left_out"] == []
    best = summary["best"]["validation"]
    assert best["by_series"]["fair"] == {"rmse": 9.0, "mae": 4.5, "skill": 0.5}
    series = {**waves(NAMES), "flat": np.ones(ROWS)}
    data: Any = summarize_study(series_view(tmp_path / "other", series)).to_json()["data"]
    assert data["series"] == 5
    assert data["left_out"] == [
        {"series": "flat", "split": "training", "reason": "it never changes before validation"},
        {"series": "flat", "split": "validation", "reason": "it never changes in validation"},
    ]


def test_summary_of_one_series_has_no_key_for_them(make_study: MakeStudy) -> None:
    data: Any = summarize_study(make_study("air").view).to_json()["data"]
    assert not {"series", "left_out"} & set(data)


@pytest.mark.parametrize(("count", "metrics"), [(MOST_SERIES, MOST_SERIES), (MOST_SERIES + 1, 0)])
def test_mlflow_gets_a_metric_for_each_of_few_series(count: int, metrics: int) -> None:
    of_series = {f"s{n}": {"rmse": 1.0, "mae": 1.0, "skill": n / 100} for n in range(count)}
    best: Any = {"epoch": 1, "rmse": 1.0, "mae": 1.0, "skill": 0.1, "by_series": of_series}
    sent = skill_by_series(best)
    assert len(sent) == metrics
    assert not metrics or sent["skill_by_series/s7"] == 0.07


def test_mlflow_takes_any_name_of_a_series() -> None:
    names = ("a/../b", "a/.._b", "käse 1", "x:y")
    of_series = {name: {"rmse": 1.0, "mae": 1.0, "skill": n} for n, name in enumerate(names)}
    best: Any = {"epoch": 1, "rmse": 1.0, "mae": 1.0, "skill": 0.1, "by_series": of_series}
    assert skill_by_series(best) == {
        "skill_by_series/a____b": 0,
        "skill_by_series/a____b 1": 1,
        "skill_by_series/käse 1": 2,
        "skill_by_series/x_y": 3,
    }


def test_figures_show_the_best_the_median_and_the_worst_series(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weeks: list[tuple[Any, ...]] = []
    gates: list[Any] = []

    def spy_weeks(times: Any, observed: Any, forecasts: Any, shown: Any, **options: Any) -> Any:
        weeks.append((observed, shown))
        return plot_weeks(times, observed, forecasts, shown, **options)

    def spy_gates(times: Any, observed: Any, *rest: Any, **options: Any) -> Any:
        gates.append(observed)
        return plot_gates(times, observed, *rest, **options)

    monkeypatch.setattr(study_figures, "plot_weeks", spy_weeks)
    monkeypatch.setattr(study_figures, "plot_gates", spy_gates)
    # The heights of the series tell which one is drawn: about 60, 120, 180, 240 and 300.
    view = series_view(tmp_path / "sites", waves((*NAMES, "odd")))
    skill = {"calm": 0.1, "fair": 0.5, "rough": -0.2, "wild": 0.3, "odd": 0.2}
    snapshot = with_model(view, skill)
    drawn = draw_model(snapshot)
    assert "best model/skill by series" in drawn
    (observed, shown), _ = weeks
    assert list(shown) == [
        *("best, fair (skill 50.0%)", "median, odd (skill 20.0%)", "worst, rough (skill -20.0%)")
    ]
    heights = [np.mean(observed[rows]) for rows in shown.values()]
    assert heights == pytest.approx([120, 300, 180], rel=0.05)
    assert [len(observed[rows]) for rows in shown.values()] == [7 * 24] * 3
    assert np.mean(gates[0]) == pytest.approx(300, rel=0.05), "of the median series"
    [bars] = drawn["best model/skill by series"].axes
    names = [each.get_text() for each in bars.get_yticklabels()]
    assert names == ["fair", "wild", "odd", "calm", "rough"]
    history = draw_search(snapshot.study)["search/history"].axes[0]
    assert history.get_ylabel() == "RMSE / persistence's"
    marks = {str(line.get_label()): line for line in history.lines}
    assert "persistence 1.000" in marks


def test_history_is_of_the_objective(study: Study) -> None:
    figure = draw_search(study.view)["search/history"]
    trials = next(line for line in figure.axes[0].lines if line.get_label() == "finished")
    expected = [1 - 0.2, 1 - fmean(SKILL.values())]
    assert np.asarray(trials.get_ydata()) == pytest.approx(expected)


def test_notebook_shows_skill(tmp_path: Path) -> None:
    study = series_study(tmp_path / "runs" / "sites", NAMES)
    end_trial(study, 0, 7.0, dict.fromkeys(NAMES, 0.2))
    end_trial(study, 1, 9.0, SKILL)
    study.finish("interrupted")
    page = SavedStudy(study.folder)._repr_html_()
    assert "best: trial 1, skill 45.0% over 4 series, RMSE 9 (all rows)" in page
    assert page.index("0.45") < page.index("0.20")


def test_notebook_goes_by_what_the_trials_were_scored_by(tmp_path: Path) -> None:
    """Of two series one begins after validation: trials are ranked by the RMSE of the other."""
    view = series_view(tmp_path / "runs" / "sites", waves(["a", "b"]), {"b": ROWS})
    study = Study(view)
    study.create([])
    for id, rmse in enumerate((9.0, 7.0)):
        study.on_trial_start(id, {"learning_rate": 0.01})
        best: BestScore = {**best_score(1, rmse), "skill": 0.5 - id / 10}
        study.on_epoch(id, {**epoch_report(1, rmse), "best": best})
        study.on_checkpoint(id, checkpoint(study, id))
        study.on_trial_end(id, "finished")
    study.finish("interrupted")
    page = SavedStudy(study.folder)._repr_html_()
    assert "best: trial 1, RMSE 7, skill 40.0%" in page
    assert page.index("<td>7.0") < page.index("<td>9.0")


def test_rows_say_which_series_they_are_of(study: Study) -> None:
    terminal = console(120, color_system=None)
    print_plan(study.space, study.view.dataset, study.view.table, None, terminal)
    last = [line.split()[0] for line in written(terminal).splitlines()[-7:]]
    assert last == ["calm"] * 3 + ["..."] + ["wild"] * 3
