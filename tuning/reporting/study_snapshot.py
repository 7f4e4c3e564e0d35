"""What a study's figures are made of."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from lstm_model.data.series import EncodedSeries
from lstm_model.errors import InputError
from lstm_model.evaluation.baselines import Baselines
from tuning.space.search_space import SearchSpace
from tuning.study.trial import Trial
from tuning.study.view import StudyView

if TYPE_CHECKING:
    from lstm_model.inference.predictor import TrainedForecaster  # brings torch

PngByTag = Mapping[str, bytes]


@dataclass(frozen=True)
class StudySnapshot:
    """A study read at one moment, so that it can go on while its figures are drawn.

    Attributes:
        step: between two rows of its table.
        trials: those that had ended.
        best: the trial whose `model` was kept; both are None before there is one.
    """

    name: str
    space: SearchSpace
    step: pd.Timedelta
    series: EncodedSeries
    baselines: Baselines
    target_is_pm25: bool
    trials: Sequence[Trial]
    best: Trial | None
    model: "TrainedForecaster | None"

    @classmethod
    def of(cls, study: StudyView) -> "StudySnapshot":
        ended = [trial for trial in study.trials.values() if not trial.under_way]
        model = None
        if study.best:
            from lstm_model.inference.predictor import TrainedForecaster

            with suppress(InputError):  # it can't be read: what it forecasts is not shown
                model = TrainedForecaster.load(study.folder / "best")
        return cls(
            name=study.name,
            space=study.space,
            step=study.table.step,
            series=study.series,
            baselines=study.baselines,
            target_is_pm25=study.target_is_pm25,
            trials=ended,
            best=study.best,
            model=model,
        )
