"""What is changed in Ray: held against what this Ray has, and left out where a next one has not."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lstm_model.errors import InputError
from tuning.ray_backend.patches import (
    CHANGES,
    CONTROLLER,
    FORK,
    NO_AGENTS,
    PLAIN,
    PROCESSES,
    choose_changes,
    process_class,
)

NEXT_RELEASE = Path(__file__).parent / "next_release"


def test_this_ray_bears_every_change() -> None:
    changes = choose_changes()
    assert changes.left_out == {}
    assert changes.used == {change.name for change in CHANGES}
    assert all(change in changes for change in CHANGES)


def test_clusters_processes_are_left_as_they_are() -> None:
    assert choose_changes(own=False).used == {CONTROLLER.name}


def test_changes_are_left_out_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    from ray._private.node import Node

    monkeypatch.delattr(Node, "start_api_server")
    changes = choose_changes()
    assert set(changes.left_out) == {PROCESSES.name}
    assert FORK in changes


@pytest.mark.parametrize("lacking", [None, *NO_AGENTS])
def test_raylet_that_lacks_an_option_keeps_its_agents(lacking: str | None) -> None:
    options = [f"{name}=0" for name in NO_AGENTS if name != lacking]
    arguments = [sys.executable, "-c", "import sys; print(*sys.argv[1:])", *options]
    with process_class(choose_changes())(arguments, stdout=subprocess.PIPE) as process:
        given = process.communicate()[0].decode().split()
    assert given[: len(options)] == options
    assert bool(given[len(options) :]) == (lacking is None)


@pytest.mark.parametrize(
    ("value", "left_out"),
    [
        ("", set()),
        ("0", set()),
        ("1", {change.name for change in CHANGES}),
        ("fork", {"fork"}),
        ("fork, session", {"fork", "session"}),
        ("environment", {"environment", "agents"}),  # which needs it
    ],
)
def test_the_environment_leaves_changes_out(
    value: str, left_out: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PLAIN, value)
    assert set(choose_changes().left_out) == left_out


def test_plain_is_without_any_change() -> None:
    changes = choose_changes(plain=True)
    assert changes.used == frozenset()
    assert changes.as_json()["changes"] == []


def test_unknown_change_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PLAIN, "fork,spoon")
    with pytest.raises(InputError, match="but got spoon"):
        choose_changes()


# What a next release may have otherwise. CI tries one name of each change, a night's run all.
RENAMED = (
    "_schedule_trial_task",
    "_ActorClassCache",
    "ConsolePopen",
    "start_api_server",
    "setup_worker_path",
    *(
        pytest.param(name, marks=pytest.mark.nightly)
        for name in (
            "_maybe_add_actors",
            "_on_trial_reset",
            "setup_experiments",
            "add_configurations",
            "_class_cache",
            "no_monitor",
            "include_log_monitor",
            "SETUP_WORKER_FILENAME",
            "pickled_error_file",
        )
    ),
)
# What those changes are called that are not made then. A name that is only set may be missed, and
# what is not there is not replaced.
LEFT_OUT: dict[str, set[str]] = {
    "_ActorClassCache": {"environment", "agents", "fork"},
    "ConsolePopen": {"session", "agents"},
    "start_api_server": {"processes"},
    "setup_worker_path": {"fork"},
    "_schedule_trial_task": {"controller", "agents", "fork"},
    "_maybe_add_actors": {"controller", "agents", "fork"},
    "_on_trial_reset": {"controller", "agents", "fork"},
    "setup_experiments": {"controller", "agents", "fork"},
    "add_configurations": {"controller", "agents", "fork"},
    "_class_cache": set(),
    "no_monitor": {"processes"},
    "include_log_monitor": {"processes"},
    "SETUP_WORKER_FILENAME": {"fork"},
    "pickled_error_file": set(),
}
VARIABLE = ['"PL_DISABLE_FORK": "1"', '"PL_DISABLE_FORK": "1", "NEXT_RELEASES": "1"']
OPTION = [
    r'start_worker_command\.append\("RAY',
    r'start_worker_command.append("--next-release")\n    start_worker_command.append("RAY',
]


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, Any]]:
    """What a study of eight trials on one slot comes to, in a process of its own."""
    runs = tmp_path_factory.mktemp("runs")

    def run(name: str, changes: list[list[str]], **variables: str) -> dict[str, Any]:
        path = os.pathsep.join([str(NEXT_RELEASE), str(Path(__file__).parents[3])])
        done = subprocess.run(
            [sys.executable, "-m", "tuning.run", "--space", "univariate.yaml"]
            + ["--data", "simulated", "--trials", "8", "--max-epochs", "2", "--concurrency", "1"]
            + ["--runs", str(runs), "--name", name, "--quiet"],
            env={
                **os.environ,
                "PYTHONPATH": path,
                "NEXT_RELEASE": json.dumps(changes),
                **variables,
            },
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
        folder = runs / name
        records = [json.loads((folder / "trials" / f"{n}.json").read_text()) for n in range(8)]
        return {
            "trials": [[trial[key] for key in ("config", "state", "best")] for trial in records],
            "losses": [[epoch["loss"] for epoch in trial["history"]] for trial in records],
            "weights": (folder / "best" / "model.safetensors").read_bytes(),
            "ray": json.loads((folder / "study.json").read_text())["ray"],
            "said": done.stderr,
        }

    return run


@pytest.fixture(scope="session")
def usual(results: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    return results("usual", [])


def assert_the_same(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert {key: one[key] for key in ("trials", "losses", "weights")} == {
        key: other[key] for key in ("trials", "losses", "weights")
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", RENAMED)
def test_study_is_the_same_where_ray_renamed(
    name: str, usual: dict[str, Any], results: Callable[..., dict[str, Any]]
) -> None:
    found = results(name, [[rf"\b{name}\b", f"{name}_of_next_release"]])
    assert_the_same(found, usual)
    assert set(found["ray"]["left_out"]) == LEFT_OUT[name]


@pytest.mark.slow
@pytest.mark.nightly
def test_study_is_the_same_on_plain_ray(
    usual: dict[str, Any], results: Callable[..., dict[str, Any]]
) -> None:
    plain = results("plain", [], **{PLAIN: "1"})
    assert plain["ray"]["changes"] == []
    assert_the_same(plain, usual)


@pytest.mark.slow
@pytest.mark.parametrize("left_out", ["", pytest.param("environment", marks=pytest.mark.nightly)])
def test_study_is_the_same_with_one_more_variable(
    left_out: str, usual: dict[str, Any], results: Callable[..., dict[str, Any]]
) -> None:
    assert_the_same(results(f"variable-{left_out}", [VARIABLE], **{PLAIN: left_out}), usual)


@pytest.mark.slow
def test_study_is_the_same_with_one_more_worker_option(
    usual: dict[str, Any], results: Callable[..., dict[str, Any]]
) -> None:
    """A forked worker does not know it, and ends at once: the next one starts as Ray's own do."""
    found = results("option", [OPTION])
    assert_the_same(found, usual)
    assert "begins anew" not in found["said"]
