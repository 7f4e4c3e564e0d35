"""The bounds of pyproject.toml, as make test-lowest and make install take them."""

import tomllib

import pytest
from packaging.requirements import Requirement

from tests.versions.environment import ROOT, constraints, lower_bounds

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"].values()
REQUIREMENTS = [Requirement(each) for group in (PROJECT["dependencies"], *EXTRAS) for each in group]


def test_the_lowest_versions_are_those_of_the_bounds() -> None:
    bounded = ["ray[tune]>=2.59,<3", "torch>=2.9", "my-name.x[a,b]>=6.0.2"]
    assert lower_bounds(bounded) == ["ray==2.59", "torch==2.9", "my-name.x==6.0.2"]
    for wrong in ("torch", "torch<3", "torch~=2.9", "torch>=2.9; python_version>'3'"):
        with pytest.raises(ValueError, match="no lower bound in"):
            lower_bounds([wrong])


def test_all_that_a_user_installs_is_taken_at_its_lowest_but_torch() -> None:
    lowest = [Requirement(each) for each in constraints("lowest")]
    users = {Requirement(each).name for each in PROJECT["dependencies"]}
    assert {each.name for each in lowest} == users | {"lightgbm", "boto3"}
    for requirement in REQUIREMENTS:
        for each in lowest:
            if each.name == requirement.name:
                [version] = each.specifier
                assert version.version in requirement.specifier
    torch = [each for each in lowest if each.name == "torch"]
    assert [str(each) for each in torch] == constraints("latest")


def test_the_pins_lie_within_the_bounds() -> None:
    pins = dict(
        line.split("==")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line
    )
    checked = [each for each in REQUIREMENTS if each.name in pins]
    assert len(checked) > 20
    for requirement in checked:
        assert pins[requirement.name] in requirement.specifier, requirement


def test_only_ray_and_optuna_have_a_cap() -> None:
    """Their next major versions may change what a study stands on. torch's is nobody's to guess."""
    capped = {each.name for each in REQUIREMENTS if "<" in str(each.specifier)}
    assert capped == {"ray", "optuna"}
