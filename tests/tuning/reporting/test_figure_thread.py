"""When a study's figures are drawn."""

import sys
import threading
import time
from typing import Any

import pytest

from tests.tuning.reporting.conftest import MakeStudy
from tests.tuning.reporting.event_files import ONE_LAYER, events
from tests.tuning.reporting.training import train
from tuning.reporting import study_figures
from tuning.reporting.figure_thread import REDRAW_SECONDS, FigureThread


def test_figures_come_at_most_once_a_minute(
    make_study: MakeStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = make_study("air")
    for id in (0, 1):
        train(study, id, ONE_LAYER)
    assert not events(study.folder).Tags()["images"], "a minute has not gone"
    drawn: list[int] = []
    gate = threading.Event()

    def show(pngs: Any, step: int) -> None:
        gate.wait(60)
        drawn.append(step)

    minute = time.monotonic() + REDRAW_SECONDS
    uploaded_by: list[str] = []
    thread = FigureThread(show, lambda: uploaded_by.append(threading.current_thread().name))
    monkeypatch.setattr("tuning.reporting.figure_thread.time.monotonic", lambda: minute + 1)
    assert thread.redraw_if_due(study.view)
    assert not drawn, "nobody waits for what is drawn"
    assert not thread.redraw_if_due(study.view)
    gate.set()
    thread.close()
    assert drawn == [2]
    assert uploaded_by == ["figures"], "a bucket holds up no trial"
    assert not thread.redraw_if_due(study.view), "the next minute has not gone"
    monkeypatch.setattr("tuning.reporting.figure_thread.time.monotonic", lambda: minute + 20)
    assert not thread.redraw_if_due(study.view)
    thread.close()
    assert uploaded_by == ["figures"] * 2, "that is not as dear as to draw"
    thread.finish(study.view)
    assert drawn == [2, 2]
    assert not [alive for alive in threading.enumerate() if alive.name == "figures"]
    assert sys.getswitchinterval() == pytest.approx(0.005), "Python's own: the process is not ours"


def test_model_is_drawn_while_the_last_trials_train(make_study: MakeStudy) -> None:
    """The end has less to do."""
    study = make_study("air", trials=3)
    drawn: list[tuple[list[str], int]] = []
    thread = FigureThread(lambda pngs, step: drawn.append((sorted(pngs), step)))
    train(study, 0, ONE_LAYER)
    assert not thread.redraw_if_due(study.view), "there are trials to come"
    thread.close()
    for id in (1, 2):
        study.on_trial_start(id, ONE_LAYER)
    assert thread.redraw_if_due(study.view)
    thread.close()
    assert not thread.redraw_if_due(study.view), "once"
    best = study.trials[0].best
    assert best is not None
    study.trials[0].best = {**best, "rmse": 1.0}  # its model is the one drawn
    [(tags, step)] = drawn
    assert {tag.partition("/")[0] for tag in tags} == {"best model"} and step == 1
    for id in (1, 2):
        study.on_trial_end(id, "failed", "NaN")
    thread.finish(study.view)
    assert drawn[1:] == [(["search/history"], 3)]


@pytest.mark.parametrize(("failure", "told"), [(OSError(28, "full"), ""), (ValueError("x"), "x")])
def test_figure_that_fails_is_no_matter_to_the_study(
    make_study: MakeStudy,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    failure: Exception,
    told: str,
) -> None:
    def fail(snapshot: Any) -> Any:
        raise failure

    monkeypatch.setattr(study_figures, "draw_search", fail)
    study = make_study("air")
    train(study, 0, ONE_LAYER)
    study.finish("finished")
    errors = capsys.readouterr().err
    assert errors.count("warning: no figures for TensorBoard") == bool(told)
    assert told in errors
    assert "Traceback" not in errors
