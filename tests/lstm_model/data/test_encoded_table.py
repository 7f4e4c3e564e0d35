import pickle

import numpy as np
import pandas as pd
import pytest

from lstm_model.data.encoded_table import EncodedTable
from lstm_model.data.series import change_scale_so_far
from lstm_model.data.series_index import SeriesIndex
from lstm_model.errors import TableError
from tests.lstm_model.panel import (
    HOUR,
    encoded_panel,
    panel,
    panel_settings,
    three_series,
    wave,
)


def reasons(table: EncodedTable) -> dict[tuple[str, str], str]:
    return {(each.series, each.split): each.reason for each in table.left_out}


def test_each_series_is_encoded_as_if_alone() -> None:
    """One table of three, against three tables of one: each has scales of its own."""
    values = {"A": wave(400, 1000, 1), "B": wave(400, 2, 2), "C": wave(240, 50, 3)}
    together = encoded_panel(values, {"C": 160})
    assert together.index == SeriesIndex(("A", "B", "C"), (0, 360, 720, 920))
    for name, series in zip(values, together.series, strict=True):
        alone = encoded_panel({name: values[name]}, {"C": 160}).series[0]
        assert series.name == name
        np.testing.assert_array_equal(series.inputs, alone.inputs)
        np.testing.assert_array_equal(series.changes, alone.changes)
        np.testing.assert_array_equal(series.change_scale, alone.change_scale)
        np.testing.assert_array_equal(series.valid_mask, alone.valid_mask)
        assert series.validation_start == alone.validation_start
        assert series.encoder == alone.encoder


def test_a_large_and_a_small_series_look_alike() -> None:
    small = wave(400, 2, 1)
    table = encoded_panel({"small": small, "large": 1000 * small})
    first, second = table.series
    np.testing.assert_allclose(first.inputs, second.inputs, atol=1e-5)
    np.testing.assert_allclose(1000 * first.change_scale, second.change_scale)


def test_one_series_with_a_name_is_the_same() -> None:
    frame, index = panel({"A": wave(400, 100, 1)})
    named = EncodedTable.from_table(frame, HOUR, panel_settings(), index)
    plain = EncodedTable.from_table(frame, HOUR, panel_settings(series=None))
    np.testing.assert_array_equal(named.padded_inputs, plain.padded_inputs)
    np.testing.assert_array_equal(named.change_scales[0], plain.change_scales[0])
    assert named.encoders == plain.encoders
    assert (named.index.names, plain.index.names) == (("A",), ("",))


def test_what_cant_be_scored_is_named() -> None:
    flat_later = wave(400, 10, 4)
    flat_later[298:] = 7.0
    unseen_later = wave(400, 10, 5)
    unseen_later[300:] = np.nan
    constant = np.full(400, 3.0)
    table = encoded_panel(
        {
            "fine": wave(400, 10, 1),
            "short": wave(66, 10, 2),
            "flat later": flat_later,
            "unseen later": unseen_later,
            "constant": constant,
            "test alone": wave(30, 10, 3),
        },
        {"short": 294, "test alone": 360},
    )
    assert reasons(table) == {
        ("test alone", "training"): "it begins after validation",
        ("test alone", "validation"): "it begins after validation",
        ("short", "training"): "it has 4 forecasts to learn from before validation, and 5 are "
        "needed at every lead time",
        ("constant", "training"): "it never changes before validation",
        ("flat later", "validation"): "it never changes in validation",
        ("unseen later", "validation"): "none of it is observed then",
        ("constant", "validation"): "it never changes in validation",
    }
    assert table.index.names == ("fine", "short", "flat later", "unseen later", "constant")
    assert table.learned == (True, False, True, True, False)
    assert table.folds[0].left_out == table.left_out


def test_what_is_scored_at_some_lead_times_is_told() -> None:
    """Of two rows of validation the second is an hour after the first, and none is two after."""
    table = encoded_panel({"A": wave(400, 10, 1), "late": wave(2, 10, 2)}, {"late": 300})
    assert reasons(table)["late", "validation"] == "nothing can be scored at 1 of 2 lead times"


def test_what_any_fold_leaves_out_is_told() -> None:
    values = {"A": wave(400, 10, 1), "late": wave(150, 10, 2)}
    table = encoded_panel(values, {"late": 250}, folds=2)
    assert table.folds[-1].learned == (True, True)
    assert reasons(table)["late", "training"].startswith("it has 0 forecasts")


def test_one_series_alone_need_not_be_scored() -> None:
    frame, index = panel({"A": np.append(wave(300, 9, 1), np.full(60, np.nan))})
    with pytest.raises(TableError, match="validation must have an observed load"):
        EncodedTable.from_table(frame, HOUR, panel_settings(), index)
    table = EncodedTable.from_table(frame, HOUR, panel_settings(), index, check_scored=False)
    assert table.learned == (True,)


def test_ranges_of_others_are_of_known_values() -> None:
    frame, index = panel({"A": wave(400, 1000, 1), "B": wave(400, 1000, 2)})
    frame["pressure"] = 1000 + np.arange(800) % 7.0
    frame.iloc[400:, 1] = np.nan
    settings = panel_settings(features=["load", "pressure"])
    table = EncodedTable.from_table(frame, HOUR, settings, index)
    channel = table.encoders.of_others.numeric[1]
    assert (channel.min, channel.max) == (1000, 1006)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"A": np.full(400, 3.0), "B": np.full(400, 5.0)}, "training must have a series"),
        (
            {"A": np.append(wave(299, 9, 1), np.full(101, 5.0)), "B": wave(250, 9, 2)},
            "validation must have a series whose load is observed and changes",
        ),
    ],
)
def test_no_series_to_learn_from_or_to_score(values: dict[str, "np.ndarray"], message: str) -> None:
    with pytest.raises(TableError, match=message):
        encoded_panel(values)


def test_a_series_that_is_not_learned_from_is_scaled_by_its_rows_so_far() -> None:
    late = wave(66, 10, 2)
    table = encoded_panel({"A": wave(400, 100, 1), "late": late}, {"late": 294})
    series = table.series[1]
    for row in (0, 1, 5, 40, 65):
        past = late[: row + 1]
        expected = (past[-1] - past.mean()) / past.std() if row else 0.0
        assert series.inputs[row, 0] == pytest.approx(expected, abs=1e-5)
    changes = np.diff(late[:21])  # those to one row ahead that are known by row 20
    assert series.scales[20, 0] == pytest.approx(np.sqrt((changes**2).mean()))


def test_scales_so_far_worked_out_by_hand() -> None:
    changes = np.array([[3.0, 1.0], [np.nan, 5.0], [4.0, np.nan], [9.0, 9.0]])
    # To one row ahead: 3 is known by row 1, none more by row 2, 4 by row 3. To two ahead: 1 by
    # row 2, 5 by row 3.
    expected = [[0, 0], [3, 0], [3, 1], [np.sqrt(25 / 2), np.sqrt(26 / 2)]]
    np.testing.assert_allclose(change_scale_so_far(changes), expected)


@pytest.mark.parametrize("row", [310, 340])
def test_nothing_moves_by_what_comes_later_or_by_another_series(row: int) -> None:
    values = {"A": wave(400, 1000, 1), "B": wave(400, 2, 2), "late": wave(90, 10, 3)}
    before = encoded_panel(values, {"late": 290})
    values = {name: each.copy() for name, each in values.items()}
    values["B"][row:] *= -5
    values["late"][row - 290 :] += 99
    after = encoded_panel(values, {"late": 290})
    for first, second, known in zip(
        before.series, after.series, (360, row, row - 290), strict=True
    ):
        np.testing.assert_array_equal(first.inputs[:known], second.inputs[:known])
        np.testing.assert_array_equal(first.scales[:known], second.scales[:known])
        assert first.encoder == second.encoder
    assert (before.series[1].inputs[row:] != after.series[1].inputs[row:]).any()


def test_static_columns_are_scaled_over_the_series() -> None:
    frame, index = panel({"A": wave(400, 5, 1), "B": wave(400, 5, 2), "C": wave(400, 5, 3)})
    numbers = index.numbers
    frame["size"] = np.array([1.0, 2.0, 6.0])[numbers]
    frame["kind"] = np.array(["shop", "mall", "shop"], object)[numbers]
    frame["kind"] = frame["kind"].astype("str")
    settings = panel_settings(static=["size", "kind"])
    table = EncodedTable.from_table(frame, HOUR, settings, index)
    size, mall = (table.channels.index(name) for name in ("size", "kind=mall"))
    expected = (np.array([1.0, 2.0, 6.0]) - 3) / np.std([1, 2, 6])
    for number, series in enumerate(table.series):
        np.testing.assert_allclose(series.inputs[:, size], expected[number], rtol=1e-6)
        assert (series.inputs[:, mall] == (number == 1)).all()
    assert not any(name.startswith("size:mean") for name in table.channels)


def test_training_rows_alone() -> None:
    table = three_series()
    alone = table.training_only
    assert alone.index.bounds == (0, 300, 600, 740)
    for whole, training in zip(table.series, alone.series, strict=True):
        np.testing.assert_array_equal(training.inputs, whole.inputs[: whole.validation_start])
        np.testing.assert_array_equal(
            training.train_mask[:-2], whole.train_mask[:-2][: len(training.target) - 2]
        )
        assert not training.valid_mask.any()
    assert (alone.padded_inputs[-1] == 0).all()


def test_it_travels_to_a_worker_without_copies_of_its_series() -> None:
    table = three_series()
    _ = table.series[0].changes
    size = len(pickle.dumps(table))
    assert size < 1.5 * len(pickle.dumps(three_series()))
    again = pickle.loads(pickle.dumps(table))
    np.testing.assert_array_equal(again.series[2].inputs, table.series[2].inputs)


def test_folds_of_several_series() -> None:
    values = {"A": wave(400, 1000, 1), "B": wave(400, 2, 2)}
    table = encoded_panel(values, folds=3)
    assert [fold.validation_starts for fold in table.folds] == [(180, 180), (240, 240), (300, 300)]
    frame, index = panel({name: each[:240] for name, each in values.items()})
    settings = panel_settings(validation_from="2020-01-08T12:00", test_from="2020-01-11T00:00")
    alone = EncodedTable.from_table(frame, HOUR, settings, index)
    np.testing.assert_array_equal(table.folds[0].padded_inputs, alone.padded_inputs)


def test_a_logarithm_in_all_series_or_in_none() -> None:
    """Two of three are skewed; one that goes below zero takes the logarithm from all."""
    rng = np.random.default_rng(0)
    skewed = {name: np.exp(rng.normal(0, 1, 400)) for name in "AB"}
    level = {"C": 100 + rng.normal(0, 1, 400)}
    table = encoded_panel(skewed | level)
    assert {each.numeric[0].log1p for each in table.encoders.each} == {True}
    below = encoded_panel(skewed | {"C": rng.normal(0, 1, 400)})
    assert {each.numeric[0].log1p for each in below.encoders.each} == {False}


def test_rows_of_one_series_have_its_number() -> None:
    index = SeriesIndex(("A", "B", "C"), (0, 2, 2, 5))
    assert index.numbers.tolist() == [0, 0, 2, 2, 2]
    assert list(index) == [("A", slice(0, 2)), ("B", slice(2, 2)), ("C", slice(2, 5))]
    frame, _ = panel({"A": np.arange(5.0)})
    assert isinstance(frame, pd.DataFrame)
