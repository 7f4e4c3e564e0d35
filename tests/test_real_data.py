"""Beijing's own file: the figures that others measured, and what the shipped spaces reach on 2013.

Skipped where LSTM_TUNING_DATA does not name a directory with the file.
"""

import os
from pathlib import Path

import numpy as np
import pytest

from lstm_model.configuration import Configuration
from lstm_model.data.beijing import BEIJING_FILE
from lstm_model.data.encoded_table import EncodedTable
from lstm_model.data.sources import load_dataset
from lstm_model.evaluation.baselines import evaluate_baselines
from lstm_model.training.trainer import Trainer
from tuning.space.search_space import SearchSpace, read_space

HERE = Path(os.environ.get("LSTM_TUNING_DATA", "")) / BEIJING_FILE
pytestmark = pytest.mark.skipif(
    not HERE.is_file(), reason=f"LSTM_TUNING_DATA names no directory with {BEIJING_FILE}"
)


def beijing(name: str, **changes: object) -> tuple[SearchSpace, EncodedTable]:
    space = read_space(name).overridden(changes)
    table = load_dataset(space.data)
    assert table.source == "beijing"
    return space, EncodedTable.from_table(table.frame, table.step, space.data)


def test_persistence_is_as_published() -> None:
    _, series = beijing("univariate.yaml", **{"data.horizon": 24})
    persistence = evaluate_baselines(series).persistence
    assert series.series[0].valid_mask[:, 0].sum() == 8678
    published = {
        1: (24.863, 13.208),
        3: (48.340, 27.938),
        6: (69.555, 42.604),
        12: (92.810, 59.765),
        24: (109.972, 75.938),
    }
    for lead, (rmse, mae) in published.items():
        assert round(persistence.rmse_by_lead_time[lead - 1], 3) == rmse
        assert round(persistence.mae_by_lead_time[lead - 1], 3) == mae


def test_the_test_year_is_in_no_series() -> None:
    _, series = beijing("multivariate.yaml")
    assert series.times[-1] == np.datetime64("2013-12-31T23:00")
    assert len(series.inputs) == len(series.target) == 35064


@pytest.mark.parametrize(
    ("name", "channels", "least"), [("univariate.yaml", 4, 0.03), ("multivariate.yaml", 20, 0.06)]
)
def test_the_first_configuration_of_each_space_has_skill(
    name: str, channels: int, least: float
) -> None:
    space, series = beijing(name)
    assert len(series.series[0].encoder.channels) == channels
    config = space.configuration(space.initial_trials[0])
    assert isinstance(config, Configuration)
    *_, last = Trainer(config, series, max_epochs=space.study.max_epochs, seed=0)
    assert last.best.score.skill >= least
    assert last.best.score.rmse < evaluate_baselines(series).scores["ridge"].rmse
    assert last.best.score.skill < 0.15, "more than that is a leak, not a forecast"
