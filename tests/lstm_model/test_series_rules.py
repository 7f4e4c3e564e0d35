from typing import Any

import pytest
from pydantic import ValidationError

from lstm_model.configuration import DataSettings, KeptReading

SPLITS: dict[str, Any] = {"validation_from": "2020-01-01", "test_from": "2021-01-01"}
ONE: dict[str, Any] = {"target": "y", "features": ["y", "x"]}


@pytest.mark.parametrize(
    ("keys", "key", "rule"),
    [
        ({"series": "x"}, "series", "must name columns of its own"),
        ({"series": "t", "time": "t"}, "series", "t, which is in time"),
        ({"series": ["s", "s"]}, "series", "must name each column once, but got s twice"),
        ({"series": []}, "series", "must name a column"),
        ({"series": "y"}, "target", "must be no column of series or static, but got y"),
        ({"series": "s", "targets": ["a"]}, "targets", "must stay away beside series"),
        ({"targets": ["y", "a"]}, "target", "must be a name of its own"),
        ({"targets": ["x", "a"]}, "targets", "x, which is in features"),
        ({"targets": ["a", "a"]}, "targets", "must name each column once, but got a twice"),
        ({"static": ["c"]}, "static", "must have series beside it"),
        ({"static": ["c"], "targets": ["a", "b"]}, "static", "must have series beside it"),
        ({"static": ["x"], "series": "s"}, "static", "x, which is in features"),
        ({"static": ["c", "c"], "series": "s"}, "static", "must name each column once"),
        ({"neighbours": True}, "neighbours", "must be false for one series"),
        ({"neighbours": True, "targets": ["a"]}, "neighbours", "must be false for one series"),
        (
            {"neighbours": True, "series": "s", "features": ["y", "neighbours"]},
            "features",
            "must hold no column neighbours",
        ),
        (
            {"neighbours": True, "series": "s", "static": ["neighbours"]},
            "static",
            "must hold no column neighbours",
        ),
        ({"series": "s", "static": ["c"], "fill": {"c": 0}}, "fill", "but got c; the features"),
    ],
)
def test_what_does_not_go_together(keys: dict[str, Any], key: str, rule: str) -> None:
    with pytest.raises(ValidationError) as refused:
        DataSettings(**(ONE | SPLITS | keys))
    (error,) = refused.value.errors()
    assert error["loc"] == (key,)
    assert rule in error["msg"]


@pytest.mark.parametrize(
    "keys",
    [
        {"series": "s", "static": ["s", "c"], "types": {"c": "category"}, "neighbours": True},
        {"series": ["s", "file"], "features": ["y", "neighbours"]},
        {"targets": ["a", "b"], "neighbours": True},
    ],
)
def test_what_goes_together(keys: dict[str, Any]) -> None:
    DataSettings(**(ONE | SPLITS | keys))


def test_a_list_of_one_column_is_that_column() -> None:
    for series in ("s", ["s"], ("s",)):
        assert DataSettings(**(ONE | SPLITS | {"series": series})).series == "s"
    assert DataSettings(**(ONE | SPLITS | {"series": ["s", "t"]})).series == ("s", "t")


def test_a_wide_table_is_forecast_by_its_values() -> None:
    wide = DataSettings.model_validate({"targets": ["a", "b"], **SPLITS})
    assert (wide.target, wide.features) == ("value", ("value",))
    named = DataSettings.model_validate({"targets": ["a", "b"], "target": "load", **SPLITS})
    assert named.features == ("load",)


def test_json_of_one_series_says_nothing_of_series() -> None:
    one = DataSettings(**(ONE | SPLITS))
    keys = {"series", "targets", "static", "neighbours"}
    assert not keys & one.model_dump(mode="json").keys()
    assert keys < one.model_dump().keys()
    assert DataSettings(**one.model_dump(mode="json")) == one
    many = DataSettings.model_validate({**ONE, **SPLITS, "series": "s", "static": ["c"]})
    said = many.model_dump(mode="json")
    assert (said["series"], said["static"]) == ("s", ["c"])
    assert not {"targets", "neighbours"} & said.keys()
    kept = KeptReading.model_validate(many.reading.model_dump())
    assert KeptReading.model_validate(kept.model_dump(mode="json")).series == "s"
