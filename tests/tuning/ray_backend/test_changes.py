"""What a change expects of Ray, held against the Ray that is installed."""

import pytest

from tuning.ray_backend.changes import Change, first_problem

CONTROLLER = "ray.tune.execution.tune_controller:TuneController"


@pytest.mark.parametrize(
    ("expected", "problem"),
    [
        (f"{CONTROLLER}.step(self)", None),
        (f"{CONTROLLER}.checkpoint(self, force, ...)", None),
        ("ray._private.services:ConsolePopen", None),
        (f"{CONTROLLER}.leap", f"Ray has no {CONTROLLER}.leap"),
        ("ray._private.steam:Engine", "Ray has no ray._private.steam:Engine"),
        (f"{CONTROLLER}.step(self, far)", "step takes self, not self, far"),
        (f"{CONTROLLER}.checkpoint(self, force)", "takes self, force, wait, not self"),
        (f"{CONTROLLER}.checkpoint(self, soon, ...)", "checkpoint takes no soon"),
    ],
)
def test_first_problem_names_what_is_otherwise(expected: str, problem: str | None) -> None:
    change = Change("some", "something else is done", "nothing", (expected,))
    first = first_problem(change)
    assert (first is None) if problem is None else (problem in str(first))
