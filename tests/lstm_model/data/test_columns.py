"""What a column's texts mean: worked out by hand, text by text."""

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from lstm_model.configuration import DataSettings, Reading
from lstm_model.data.columns import Column, read_column
from lstm_model.data.places import Places
from lstm_model.errors import TableError

NAN = float("nan")


def read(*cells: str, **keys: Any) -> Column:
    """The column `x` of these texts, from line 2 on."""
    kind, target = keys.pop("kind", None), keys.pop("target", False)
    texts = pd.Series(cells, range(2, 2 + len(cells)), pd.StringDtype(na_value=np.nan), name="x")
    reading = Reading.model_validate(keys)
    places = Places("t.csv", lambda line: f"t.csv:{line}")
    return read_column(texts, reading, places, kind=kind, target=target)


@pytest.mark.parametrize(
    ("cells", "numbers"),
    [
        (["3,5", "1,25", "7"], [3.5, 1.25, 7.0]),
        (["57%", "3.5%"], [57.0, 3.5]),
        (["52 %", "3 %"], [52.0, 3.0]),
        (["1,234,567", "1,234"], [1234567.0, 1234.0]),
        (["1,234.5", "12"], [1234.5, 12.0]),
        (["1.234,5", "1.000"], [1234.5, 1000.0]),
        (["1 234,5", "1 000"], [1234.5, 1000.0]),
        (["1'234.5", "1'000"], [1234.5, 1000.0]),
        (["1\N{NO-BREAK SPACE}234", "5"], [1234.0, 5.0]),
        (["\N{MINUS SIGN}3.5", "2"], [-3.5, 2.0]),
        (["1,5e3", "2"], [1500.0, 2.0]),
        # A group of thousands does not begin with 0, so this comma is a decimal one.
        (["0,512", "1,234"], [0.512, 1.234]),
        (["1,234", "2,5"], [1.234, 2.5]),
        (["3,5", "NA", ""], [3.5, NAN, NAN]),
    ],
)
def test_texts_that_are_numbers_are_read_and_told(cells: list[str], numbers: list[float]) -> None:
    column = read(*cells)
    np.testing.assert_array_equal(column.values, numbers)
    (repair,) = column.repairs
    first = next(at for at, cell in enumerate(cells) if not re.fullmatch(r"[-\d.]*", cell))
    assert (repair.kind, repair.value, repair.number) == ("number", cells[first], numbers[first])


@pytest.mark.parametrize("cells", [["1,234", "2,500"], ["567", "1,234"], ["-1,000", "2"]])
def test_two_readings_are_refused_until_decided(cells: list[str]) -> None:
    message = "t.csv: x can be read in two ways, .* types: {x: number}, and decimal: {x: '.'} or"
    with pytest.raises(TableError, match=message):
        read(*cells)
    with pytest.raises(TableError, match="two ways"):
        read(*cells, types={"x": "number"})
    point = read(*cells, types={"x": "number"}, decimal=".").values.iloc[-1]
    comma = read(*cells, types={"x": "number"}, decimal={"x": ","}).values.iloc[-1]
    assert (point, comma) in ((2500, 2.5), (1234, 1.234), (2, 2))


def test_decimal_mark_holds_for_plain_numbers() -> None:
    """In a European table 1.234 has thousands."""
    keys = {"types": {"x": "number"}, "decimal": ","}
    assert list(read("1.234", "2.500", **keys).values) == [1234, 2500]
    with pytest.raises(TableError, match=r"t\.csv:2: x must be numbers with the decimal mark ','"):
        read("1.5", "2.500", **keys)
    assert list(read("1.234", "2.500").values) == [1.234, 2.5]


@pytest.mark.parametrize("cells", [["57%", "3"], ["3.5", "3,5"], ["12 kg", "7"], ["1,23,456", "7"]])
def test_texts_of_two_kinds_are_no_numbers(cells: list[str]) -> None:
    with pytest.raises(TableError, match=r"x must be numeric, as line . is"):
        read(*cells)


def test_texts_that_begin_as_numbers_are_told() -> None:
    column = read("12 kg", "7.5 kg", "9 kg")
    assert column.note == (
        "x is read as 3 categories, though each of its texts begins as a number does, such as "
        "'12 kg': if they are sizes, leave the rest of each out"
    )
    assert read("north", "south", "5 ways").note is None


def test_none_is_missing_or_a_category() -> None:
    np.testing.assert_array_equal(read("None", "1", "2").values, [NAN, 1, 2])
    assert list(read("None", "Christmas", "None").values) == ["None", "Christmas", "None"]
    assert read("None", "Christmas", missing=["None"]).values.isna().tolist() == [True, False]
    with pytest.raises(TableError, match="must have values, but has none in any row"):
        read("None", "")


def test_missing_values_are_counted_by_cell() -> None:
    column = read("?", "-200", "-200.0", "5", "-999", missing=["?", -200, -999])
    np.testing.assert_array_equal(column.values, [NAN, NAN, NAN, 5, NAN])
    assert [str(each) for each in column.repairs] == [
        "x: 1 cell with '?' read as missing",
        "x: 2 cells with -200 read as missing",
        "x: 1 cell with -999 read as missing",
    ]
    np.testing.assert_array_equal(read("-9,5", "3,5", missing={"x": [-9.5]}).values, [NAN, 3.5])
    assert read("-999", "north", "south", missing=[-999]).values.isna().tolist() == [
        True,
        False,
        False,
    ]
    assert read("?", "north", missing={"y": ["?"]}).values.tolist() == ["?", "north"]


def test_an_empty_cell_means_what_the_file_says() -> None:
    column = read("", "2", "NA", fill={"x": 0})
    assert column.values.tolist() == [0, 2, 0]
    assert [each.to_json() for each in column.repairs] == [{"column": "x", "filled": 0, "rows": 2}]
    assert read("", "Christmas", fill={"x": "none"}).values.tolist() == ["none", "Christmas"]
    assert read("", "2", fill={"x": "repeat"}).values.isna().tolist() == [True, False]
    with pytest.raises(
        TableError, match="fill must have a number for x, which is numeric, but got"
    ):
        read("", "2", fill={"x": "none"})


def test_codes_are_categories_where_the_file_says_so() -> None:
    assert read("1", "2.0", "01", types={"x": "category"}).values.tolist() == ["1", "2", "01"]
    assert read("1", "", types={"x": "category"}, fill={"x": "none"}).values.tolist() == [
        "1",
        "none",
    ]
    with pytest.raises(TableError, match="at most 50 different texts, but has 51"):
        read(*map(str, range(51)), types={"x": "category"})


def test_the_hint_of_a_wrong_text_is_a_key_that_works() -> None:
    for wrong in ("?", "n.a.", "gust: none", "inf", "-"):
        with pytest.raises(TableError) as caught:
            read("5", wrong, "6")
        from tests.tuning.space.yaml_hints import keys_of

        np.testing.assert_array_equal(
            read("5", wrong, "6", **keys_of(str(caught.value))).values, [5, NAN, 6]
        )


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"missing": "?"}, "must be a list of texts and numbers"),
        ({"missing": [True]}, "must be a list of texts and numbers"),
        ({"missing": {"b": "?"}}, "must be a list of texts and numbers"),
        ({"missing": {"c": ["?"]}}, "missing must name columns that are features, but got c; the"),
        ({"fill": {"c": 0}}, "fill must name columns that are features, but got c"),
        ({"fill": {"a": 0}}, "fill must leave the target 'a' out"),
        ({"fill": {"b": [0]}}, "must be a block of columns, each with a number"),
        ({"fill": 0}, "must be a block of columns"),
        ({"fill": {"b": "no"}, "types": {"b": "number"}}, "fill must have a number for b"),
        ({"types": {"b": "text"}}, "each with number or category"),
        ({"types": {"a": "category"}}, "types must leave the target 'a' a number"),
        ({"decimal": ";"}, "must be '.' or ','"),
        ({"decimal": {"b": 1}}, "must be '.' or ','"),
    ],
)
def test_keys_that_mean_nothing_are_refused(keys: dict[str, Any], problem: str) -> None:
    dates = {"validation_from": "2013-01-01", "test_from": "2014-01-01"}
    with pytest.raises(ValidationError) as error:
        DataSettings.model_validate({**dates, "target": "a", "features": ["a", "b"], **keys})
    sentences = [f"{each['loc'][0]} {each['msg']}" for each in error.value.errors()]
    assert any(problem in sentence for sentence in sentences), sentences


def test_points_may_separate_thousands() -> None:
    """In a German table 1.382 stands beside 987."""
    cells = ["1.382", "987", "1.330", "1.000"]
    with pytest.raises(TableError, match=r"'1\.382' is 1\.382 with a decimal point, and 1382"):
        read(*cells)
    assert read(*cells, decimal={"x": "."}).values.tolist() == [1.382, 987, 1.33, 1]
    keys: dict[str, Any] = {"types": {"x": "number"}, "decimal": {"x": ","}}
    assert read(*cells, **keys).values.tolist() == [1382, 987, 1330, 1000]
    for plain in (["1.382", "1987", "1.330", "1.000"], ["0.382", "987", "1.330", "1.000"]):
        assert read(*plain).values.iloc[0] == float(plain[0])
    assert read("1.382", "9.870", "1.330", "1.000").values.iloc[0] == 1.382
    assert read(*cells, kind="number").values.iloc[0] == 1.382, "as it was in training"


def test_trained_decimal_comma_is_no_thousands() -> None:
    keys: dict[str, Any] = {"types": {"x": "number"}, "decimal": {"x": ","}, "kind": "number"}
    assert read("1,54", "7", **keys).values.tolist() == [1.54, 7]
    with pytest.raises(TableError, match=r"x must have a decimal comma, as in training, but got"):
        read("2.538", "2.541", **keys)
    assert read("1.002,54", "2.541", **keys).values.tolist() == [1002.54, 2541]
