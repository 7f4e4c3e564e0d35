"""What the README says of the hyperparameters and the files is so."""

import re
from pathlib import Path

from lstm_model.configuration import HYPERPARAMETERS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_every_hyperparameter_is_listed_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (\S+) \|", README, re.MULTILINE))
    assert rows == {name: str(each.default) for name, each in HYPERPARAMETERS.items()}


def test_every_module_has_its_line() -> None:
    for package in ("lstm_model", "tuning"):
        for module in (ROOT / package).glob("[a-z]*.py"):
            assert f"`{package}/{module.name}`" in README or f"`{module.name}`" in README
