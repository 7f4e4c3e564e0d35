import pytest

from lstm_model.data.encoded_table import EncodedTable
from lstm_model.training.schedule import MIN_LR_FRACTION, learning_rate_at
from lstm_model.training.trainer import Trainer
from tests.lstm_model.training.small import SMALL


def test_schedule_depends_on_progress_alone(series: EncodedTable) -> None:
    config = SMALL.model_copy(update={"learning_rate": 0.01, "warm_up": 0.25})
    assert learning_rate_at(0.0, config) == pytest.approx(0.01 * MIN_LR_FRACTION)
    assert learning_rate_at(0.25, config) == pytest.approx(0.01)
    assert learning_rate_at(1.0, config) == pytest.approx(0.01 * MIN_LR_FRACTION)
    assert learning_rate_at(0.625, config) == pytest.approx(
        0.01 * (MIN_LR_FRACTION + (1 - MIN_LR_FRACTION) / 2)
    )
    rising = [learning_rate_at(p / 100, config) for p in range(101)]
    assert rising.index(max(rising)) == 25
    for epoch in Trainer(config, series, max_epochs=4, seed=0):
        assert epoch.learning_rate == learning_rate_at(epoch.number / 4, config)
    no_warm_up = config.model_copy(update={"warm_up": 0.0})
    assert learning_rate_at(0.0, no_warm_up) == pytest.approx(0.01)
