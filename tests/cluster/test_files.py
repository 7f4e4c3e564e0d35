"""The cluster files are right, mistakes in them are found, and a job takes the code alone along."""

import tomllib
from pathlib import Path

import pytest
from ray._private.runtime_env import packaging

from tests.cluster.hosts import ROOT
from tests.cluster.rules import problems

AWS, LOCAL = "cluster.yaml", "cluster.local.yaml"


@pytest.mark.parametrize("name", [AWS, LOCAL])
def test_the_file_is_right(name: str) -> None:
    assert problems((ROOT / name).read_text()) == []


@pytest.mark.parametrize(
    ("name", "right", "wrong", "said"),
    [
        (AWS, "idle_timeout_minutes: 5", "idle_timeout_minute: 5", "Ray refuses it"),
        (AWS, "max_workers: 8", "max_workers: eight", "Ray"),
        (AWS, "  region:", "  regoin:", "aws provider: no 'regoin'; did you mean 'region'?"),
        (AWS, "  cache_stopped_nodes:", "  cache_stoped_nodes:", "no 'cache_stoped_nodes'"),
        (AWS, "head_node_type: head", "head_node_type: haed", "head_node_type 'haed' is none of"),
        (AWS, "  cpu:\n", "  cpu: {}\n  rest:\n", "Ray"),
        (
            AWS,
            "min_workers: 0\n    max_workers: 2",
            "min_workers: 3\n    max_workers: 2",
            "gpu: min",
        ),
        (AWS, "    max_workers: 8", "    max_workers: 80", "cpu: max_workers 80 is above"),
        (AWS, "InstanceType: c7i", "InstanceTyp: c7i", "did you mean 'InstanceType'?"),
        (AWS, "{MarketType: spot}", "{MarketTyp: spot}", "no 'MarketTyp'"),
        (AWS, "{MarketType: spot}", "{MarketType: sport}", "'sport' is none of"),
        (AWS, "VolumeSize: 30", "VolumeSiz: 30", "no 'VolumeSiz'"),
        (AWS, "resources: {CPU: 0}", "resources: {}", "the head would run trials"),
        (AWS, "      IamInstanceProfile: {Name: lstm-tuning}\n", "", "can't reach the bucket"),
        (AWS, "--dashboard-host=127.0.0.1", "--dashboard-host=0.0.0.0", "open to the network"),
        (AWS, "--constraint constraints.txt", "", "not the pinned ones"),
        (LOCAL, "  worker_ips:", "  workers_ips:", "did you mean 'worker_ips'?"),
        (LOCAL, "192.168.1.12", "192.168.1.11", "address 192.168.1.11 is there twice"),
        (LOCAL, "  ssh_user:", "  user:", "Ray refuses it"),
        (LOCAL, "--num-cpus=0", "", "the head would run trials"),
        *((name, "RAY_AUTH_MODE=token", "", "anybody may run programs") for name in (AWS, LOCAL)),
        *((name, "RAY_USAGE_STATS_ENABLED=0", "", "usage statistics") for name in (AWS, LOCAL)),
        *(
            (name, "  ~/.ray/auth_token:", "  ~/other:", "don't get the token")
            for name in (AWS, LOCAL)
        ),
        *((name, "chmod 600", "chmod 644", "read by others") for name in (AWS, LOCAL)),
        *((name, "--autoscaling-config=", "--config=", "no workers") for name in (AWS, LOCAL)),
    ],
)
def test_a_planted_mistake_is_found(name: str, right: str, wrong: str, said: str) -> None:
    text = (ROOT / name).read_text()
    assert right in text
    found = problems(text.replace(right, wrong))
    assert any(said in each for each in found), found


def test_both_files_set_nodes_up_alike() -> None:
    shared = [(ROOT / name).read_text().partition("# For `ray exec`")[2] for name in (AWS, LOCAL)]
    assert all("project" in text for text in shared)
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert any(each.startswith("ray[default]") for each in extra["cluster"])


def test_a_job_takes_the_code_along_and_little_else(tmp_path: Path) -> None:
    """By Ray's own rules: .gitignore, .rayignore."""
    excluded = packaging.get_excludes_from_ignore_files(ROOT, include_gitignore=True)
    taken = [
        path.relative_to(ROOT)
        for path in ROOT.rglob("*")
        if path.is_file()
        and not path.relative_to(ROOT).parts[0].startswith((".git", ".venv"))  # many files
        and not any(match(each) for match in excluded for each in (path, *_above(path)))
    ]
    tops = {path.parts[0] for path in taken}
    assert {"lstm_model", "tuning", "search_spaces", "pyproject.toml"} <= tops
    assert not tops & {"runs", "data", "tests", "docs", "benchmarks", ".git", ".venv", ".ci"}
    size = sum((ROOT / path).stat().st_size for path in taken)
    assert size < 2_000_000, sorted(taken, key=lambda path: -(ROOT / path).stat().st_size)[:5]
    for name in ("runs/a/trials/0.json", "data/x.bin", ".git/objects/1", ".venv-latest/bin/python"):
        path = ROOT / name
        assert any(match(each) for match in excluded for each in (path, *_above(path))), name


def _above(path: Path) -> list[Path]:
    return [parent for parent in path.parents if parent != ROOT and ROOT in parent.parents]
