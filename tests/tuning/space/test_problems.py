"""What is said of wrong search-space files: `problems/` holds them, case by case."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tuning.space.spaces import GOOD, changed, problems_of, searching, space_of

CASES = Path(__file__).parent / "problems"


def cases() -> Iterator[object]:
    """(file's text, lines that are said of it) of each case in `problems/`."""
    for file in sorted(CASES.glob("*.yaml")):
        _, *parts = re.split(r"^# ----(.*)\n", file.read_text(), flags=re.MULTILINE)
        for kind, case in zip(parts[::2], parts[1::2], strict=True):
            text, *lines = case.rstrip().split("\n# -> ")
            whole = kind == " whole file"
            yield pytest.param(text + "\n", whole, lines, id=f"{file.stem}: {lines[0][:60]}")


def completed(case: str) -> str:
    """The case, with GOOD's blocks that it lacks behind its own.

    Where it has its own search, GOOD's fixed and initial_trials stay away.
    """
    named = set(re.findall(r"^(\w+):", case, re.MULTILINE))
    if "search" in named:
        named |= {"fixed", "initial_trials"}
    blocks = re.findall(r"^(\w+):(.*\n(?: .*\n)*)", GOOD, re.MULTILINE)
    return case + "".join(f"{name}:{block}" for name, block in blocks if name not in named)


@pytest.mark.parametrize(("case", "whole", "lines"), list(cases()))
def test_each_problem_is_told_once(case: str, whole: bool, lines: list[str]) -> None:
    assert problems_of(case if whole else completed(case)) == lines


def test_there_are_cases_of_every_kind() -> None:
    assert len(list(cases())) == 147
    assert space_of(completed("")).study.trials == 5


def test_all_problems_at_once_in_order() -> None:
    text = """\
version: 1
data:
  sorce: beijing
  features: [TEMP, TEMP, 3]
  calendar: [hour]
  horizon: 0
  validation_from: 2015-01-01
  test_from: 2014-01-01
study:
  seed: -1
  seed: *x
resources: {cpu: 0, gpu: 1.5}
search:
  hiden_size: {type: int, low: 1, high: 2}
  num_layers: {type: int, low: 0, high: x, log: 1}
  dropout: {type: float, low: 0.5, high: 0.4, when: {num_layers: 2}}
  loss: {type: categorical, choices: [mse]}
fixed:
  loss: mae
  dropuot: 0.1
initial_trials:
  - {hidden_size: 5, loss: mae}
  - {loss: mse}
  - {loss: mse}
"""
    assert [line.split(": ")[0] for line in problems_of(text)] == [
        "3:3",  # sorce
        "4:26",  # 3 is no column
        "5:14",
        "6:12",
        "7:20",  # after test_from
        "10:9",
        "11:3",  # seed twice
        "11:9",  # an alias
        "12:18",
        "12:26",
        "14:3",  # hiden_size
        "15:32",
        "15:41",
        "15:49",
        "16:31",  # low above high
        "19:3",  # searched too
        "20:3",
        "22:28",  # mae isn't among the choices; hidden_size is excused by hiden_size
        "24:5",
    ]


def test_rules_across_keys_beside_other_problems() -> None:
    text = changed("[pm2.5, TEMP]", "[TEMP, TEMP]\n  horizon: 0").replace("2013", "2015")
    assert problems_of(text) == [
        "3:13: data.features must name each column once, but got TEMP twice",
        "3:13: data.features must include the target 'pm2.5': the model forecasts the change "
        "from its last value",
        "4:12: data.horizon must be at least 1, but got 0",
        "5:20: data.validation_from must come before test_from, "
        "but got 2015-01-01 00:00 and 2014-01-01 00:00",
    ]


def test_fixed_configuration_is_one_trial() -> None:
    for search in ("search: {}", "search:", ""):
        text = searching("").replace("search:\n", search)
        assert space_of(text.replace("trials: 5", "trials: 1")).search == {}
        assert problems_of(text)[0].endswith(
            "search must name a hyperparameter, or study.trials be 1, but got 5 trials of nothing"
        )
