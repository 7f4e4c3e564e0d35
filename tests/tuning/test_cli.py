"""The options that the commands share."""

import pytest

from lstm_model.errors import InputError
from tuning.cli import parse_duration, parse_name_list


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90s", 90), ("10m", 600), ("2h", 7200), ("1h30m", 5400), ("45s", 45), ("1m5s", 65)],
)
def test_times(text: str, expected: float) -> None:
    assert parse_duration(text) == expected


@pytest.mark.parametrize("text", ["", "0", "0s", "m", "-5m", "5d", "1.5h", "10m 5x", "½h", "1h30"])
def test_no_times(text: str) -> None:
    rule = "--time-budget must be more than 0, with a unit after each number, such as 90s, 10m or "
    with pytest.raises(InputError) as refused:
        parse_duration(text)
    assert str(refused.value) == f"{rule}1h30m, but got {text!r}; say 10m"


def test_a_number_without_a_unit_is_no_time() -> None:
    with pytest.raises(InputError, match=r"but got ' 90'; say 90s or 90m"):
        parse_duration(" 90")


def test_lists_of_names() -> None:
    assert parse_name_list(None) is None
    assert parse_name_list("none") == ()
    assert parse_name_list("hour_of_day, day_of_week") == ("hour_of_day", "day_of_week")
