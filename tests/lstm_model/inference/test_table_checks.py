"""Tables that a model can't forecast from, and values that it has seen nothing like."""

import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from lstm_model.data.encoded_table import EncodedTable
from lstm_model.errors import TableError
from lstm_model.inference.predictor import TrainedForecaster
from lstm_model.inference.table_checks import OutOfRangeWarning


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda t: t.drop(columns=["temp", "wind"]), r"\(pm, temp, wind\), but temp, wind are mis"),
        (lambda t: t.iloc[:0], r"must have \d+ rows or more, .* but has 0; give it a longer past"),
        (lambda t: t.iloc[:5], r"must have \d+ rows or more, .* but has 5; give it a longer past"),
        (
            lambda t: t.iloc[::2],
            r"jumps from .* 08:00:00\) to .* 10:00:00, but rows must be 1 h apart",
        ),
        (lambda t: t.reset_index(drop=True), "the clock's columns .when., but has a Range"),
        (
            lambda t: t.assign(temp="warm"),
            "temp must be numeric, as it was in training, but got 'warm'",
        ),
        (lambda t: t.assign(temp=np.inf), "temp must be finite"),
        (lambda t: t.assign(pm=np.nan), "pm must have been observed in at least one row"),
        (
            lambda t: t.assign(wind=t["wind"].where(t.index != t.index[7], "N")),
            "wind must be one of NW, SE, as in training, but 1 rows differ, the first with 'N' at "
            "2022-04-13 15:00:00; leave empty",
        ),
        (lambda t: t.assign(wind=3.0), "wind must be one of NW, SE, .* first with '3'"),
    ],
)
def test_what_a_model_cannot_do_it_says(
    air_model: tuple[EncodedTable, TrainedForecaster],
    air_table: pd.DataFrame,
    spoil: Callable[[pd.DataFrame], pd.DataFrame],
    told: str,
) -> None:
    with pytest.raises(TableError, match=told):
        air_model[1].forecast(spoil(air_table.iloc[20000:20400]))


def test_another_unit_is_warned_of_and_a_record_is_not(
    air_model: tuple[EncodedTable, TrainedForecaster], air_table: pd.DataFrame
) -> None:
    part = air_table.iloc[20000:20400]
    channel = next(each for each in air_model[1].encoder.numeric if each.column == "temp")
    assert channel.max == air_table["temp"].iloc[: 91 * 24].max()
    record = channel.max + 0.45 * (channel.max - channel.min)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        air_model[1].forecast(part.assign(temp=record))
    with pytest.warns(
        OutOfRangeWarning, match=r"temp was from .* far outside in 400 rows, the first wit"
    ):
        air_model[1].forecast(part.assign(temp=part["temp"] + 273.15))
