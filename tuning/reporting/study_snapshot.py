"""What a study's figures are made of."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lstm_model.errors import InputError
from tuning.study.view import StudyView

if TYPE_CHECKING:
    from lstm_model.inference.predictor import TrainedForecaster  # brings torch

PngByTag = Mapping[str, bytes]


@dataclass(frozen=True)
class StudySnapshot:
    """A study read at one moment, so that it can go on while its figures are drawn.

    Attributes:
        study: its `trials` are those that had ended.
        model: of its best trial; None before there is one.
    """

    study: StudyView
    model: "TrainedForecaster | None"

    @classmethod
    def of(cls, study: StudyView) -> "StudySnapshot":
        model = None
        if study.best_trial:
            from lstm_model.inference.predictor import TrainedForecaster

            with suppress(InputError):  # it can't be read: no figure is made of it
                model = TrainedForecaster.load(study.folder / "best")
        trials = {id: trial for id, trial in study.trials.items() if not trial.under_way}
        return cls(replace(study, trials=trials), model)
