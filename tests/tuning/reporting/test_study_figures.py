"""What a study's figures show."""

from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lstm_model.figures.forecasts import plot_weeks
from tests.tuning.reporting.conftest import MakeStudy
from tests.tuning.reporting.event_files import ONE_LAYER, TWO_LAYERS, curve, events, texts
from tests.tuning.reporting.training import train
from tuning.reporting import study_figures
from tuning.reporting.study_figures import draw_study
from tuning.reporting.study_snapshot import StudySnapshot


def test_outcome_is_told_and_drawn_of_rows_before_the_test(
    make_study: MakeStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []

    def spy(times: Any, *rest: Any, **options: Any) -> Any:
        drawn.append(times)
        return plot_weeks(times, *rest, **options)

    monkeypatch.setattr(study_figures, "plot_weeks", spy)
    study = make_study("air", horizon=2)
    train(study, 0, ONE_LAYER | {"learning_rate": 1e-3})
    train(study, 1, ONE_LAYER)
    train(study, 2, TWO_LAYERS | {"learning_rate": 1e-3}, "stopped_early")
    study.finish("finished")
    assert study.view.best_trial is study.trials[1]
    assert set(events(study.folder).Tags()["images"]) == {
        "best model/forecasts, first lead time",
        "best model/forecasts, last lead time",
        "best model/errors by lead time",
        "best model/errors by level",
        "best model/gates in the highest week",
        "search/history",  # eight trials are needed for importances
    }
    for tag in events(study.folder).Tags()["images"]:
        [image] = events(study.folder).Images(tag)
        assert image.step == 3
        with Image.open(BytesIO(image.encoded_image_string)) as png:
            assert png.size == (image.width, image.height)
    for times in drawn:
        assert times[0] == np.datetime64("2020-02-10")
        assert times[-1] == np.datetime64("2020-02-24T23:00")
    best = [epoch["rmse"] for epoch in study.trials[1].history]
    drawn_best = curve(study.folder, "best", "validation/rmse")
    assert [value for _, value in drawn_best] == pytest.approx(best)
    outcome = texts(study.folder, "outcome")
    assert "air: finished. 2 finished, 1 stopped early, 0 failed." in outcome
    assert "**Trial 1 is the best**" in outcome
    assert "below persistence" in outcome
    assert "| persistence |" in outcome
    lowest = curve(study.folder, "", "whole_study/lowest_rmse")
    assert [step for step, _ in lowest] == [1, 2, 3]
    assert lowest[0][1] > lowest[1][1] == lowest[2][1] == pytest.approx(min(best))


def test_snapshot_stays_while_the_study_goes_on(make_study: MakeStudy) -> None:
    study = make_study("air")
    train(study, 0, ONE_LAYER)
    study.on_trial_start(1, ONE_LAYER)
    snapshot = StudySnapshot.of(study.view)
    study.on_trial_end(1, "failed", "NaN")
    assert list(snapshot.study.trials) == [0]
    assert snapshot.study.best_trial is study.trials[0]
    assert set(draw_study(snapshot, model=False, trials=True)) == {"search/history"}
    assert draw_study(snapshot, model=False, trials=False) == {}


def test_unreadable_model_leaves_the_search_to_be_drawn(make_study: MakeStudy) -> None:
    study = make_study("air")
    train(study, 0, ONE_LAYER)
    (study.folder / "best" / "model.safetensors").write_bytes(b"")
    snapshot = StudySnapshot.of(study.view)
    assert snapshot.model is None
    assert set(draw_study(snapshot, model=False, trials=True)) == {"search/history"}
