"""What the entries of a space mean: their edges, their values, and when they exist."""

import pytest

from tests.tuning.space.spaces import searching, space_of
from tuning.space.schema import Choices, FloatRange, IntRange, ParameterRange


@pytest.mark.parametrize(
    ("written", "low", "high"),
    [
        ("hidden_size: {type: int, low: 1, high: 1024, log: true}", 1, 1024),
        ("hidden_size: {type: int, low: 8, high: 8}", 8, 8),
        ("hidden_size: {type: int, low: 16, high: 48, step: 16, log: false}", 16, 48),
        ("learning_rate: {type: float, low: 1e-6, high: 1, log: true}", 0.000001, 1.0),
        ("dropout: {type: float, low: 0.1, high: 0.7, step: 0.2}", 0.1, 0.7),  # 2.9999999999999996
    ],
)
def test_edges_belong_to_the_range(written: str, low: float, high: float) -> None:
    (entry,) = space_of(searching("  " + written)).search.values()
    assert not isinstance(entry, Choices)
    assert (entry.low, entry.high) == (low, high)


def test_entries_have_their_hyperparameters_type() -> None:
    space = space_of(
        searching(
            "  dropout: {type: float, low: 0, high: 0.9, step: 0.3}\n"
            "  warm_up: {type: categorical, choices: [0, 0.5]}\n"
            "  hidden_size: {type: categorical, choices: [32, 64], when: {warm_up: 0}}"
        ).replace("chunk_length: 96", "weight_decay: 0")
    )
    entries = [repr(entry) for entry in space.search.values()]
    assert "low=0.0, high=0.9, log=False, step=0.3" in entries[0]
    assert "choices=(0.0, 0.5)" in entries[1]
    assert "when={'warm_up': (0.0,)}" in entries[2]
    assert "choices=(32, 64)" in entries[2]
    assert repr(space.fixed) == "{'weight_decay': 0.0}"


@pytest.mark.parametrize(
    ("entry", "value", "rule"),
    [
        (IntRange(16, 32).named("hidden_size"), 16, None),
        (IntRange(16, 32).named("hidden_size"), 33, "must lie from 16 to 32"),
        (IntRange(16, 32).named("hidden_size"), 16.0, "must be a whole number"),
        (IntRange(1, 2).named("num_layers"), True, "must be a whole number"),
        (IntRange(16, 32, step=8).named("hidden_size"), 24, None),
        (
            IntRange(16, 32, step=8).named("hidden_size"),
            20,
            "must be 16 plus whole steps of 8",
        ),
        (FloatRange(0.0, 0.4).named("dropout"), 0, None),
        (FloatRange(0.0, 0.4).named("dropout"), "0.1", "must be a number"),
        (
            FloatRange(0.0, 0.4).named("dropout"),
            float("nan"),
            "must lie from 0 to 0.4",
        ),
        (FloatRange(0.0, 0.9, step=0.1).named("dropout"), 0.1 + 0.2, None),
        (
            FloatRange(0.0, 0.9, step=0.1).named("dropout"),
            0.3001,
            "must be 0 plus whole steps of 0.1",
        ),
        (Choices(("mse", "mae")).named("loss"), "mae", None),
        (
            Choices(("mse", "mae")).named("loss"),
            "huber",
            "must be one of mse, mae",
        ),
        (Choices((1, 2)).named("num_layers"), True, "must be one of 1, 2"),
        (Choices((1, 2)).named("num_layers"), 2.0, "must be one of 1, 2"),
        (Choices((1, 2)).named("num_layers"), [1], "must be one of 1, 2"),
        (Choices((0.0, 0.5)).named("dropout"), 0, None),
    ],
)
def test_entry_names_the_rule_that_is_broken(
    entry: ParameterRange, value: object, rule: str | None
) -> None:
    assert entry.problem(value) == rule


def test_entry_exists_where_all_parents_fit() -> None:
    entry = FloatRange(0, 0.4, when={"num_layers": (2, 3), "loss": ("mse",)}).named("dropout")
    assert entry.active({"num_layers": 3, "loss": "mse"})
    assert not entry.active({"num_layers": 1, "loss": "mse"})
    assert not entry.active({"num_layers": 2, "loss": "mae"})
    assert not entry.active({"num_layers": 2})  # loss doesn't exist in this trial
    assert Choices(("mse",)).named("loss").active({})
