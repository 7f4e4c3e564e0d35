"""cluster.local.yaml for real: hosts of the tests' own, SSH, a job, hosts that are lost."""

import csv
import io
import json
import re
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.cluster.hosts import Host, missing, wait_for
from tests.cluster.launched import Launched, cluster

pytestmark = pytest.mark.cluster
if why := missing():
    pytest.skip(why, allow_module_level=True)

TRIALS, EPOCHS = 24, 30


def submitted(storage: str, options: str) -> str:
    """The line that docs/cluster.md names."""
    return (
        "ray job submit --working-dir . -- python -m tuning.run --space multivariate.yaml "
        f"--storage {storage} {options}"
    )


@pytest.fixture(scope="module")
def launched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launched]:
    with cluster(tmp_path_factory.mktemp("shared"), workers=2) as launched:
        yield launched


def records(study: Path) -> dict[int, dict[str, object]]:
    return {int(file.stem): json.loads(file.read_text()) for file in study.glob("trials/*.json")}


def ended(study: Path) -> dict[int, bytes]:
    """The records of trials that have ended, byte by byte."""
    return {
        number: (study / "trials" / f"{number}.json").read_bytes()
        for number, record in records(study).items()
        if record["state"] in ("finished", "stopped_early")
    }


def test_only_who_has_the_token_is_answered(launched: Launched) -> None:
    for host in (launched.head, *launched.workers):
        token = Path(f"/proc/{host._init}/root{host._asked['home']}/.ray/auth_token")
        assert stat.S_IMODE(token.stat().st_mode) == 0o600
    stranger = launched.ray("unset RAY_AUTH_MODE; rm -rf ~/x; HOME=~/x ray job list")
    assert stranger.returncode != 0
    assert "oken" in stranger.stdout
    listening = launched.head.run("ss", "-tlnH").stdout
    assert "127.0.0.1:8265" in listening
    assert not re.search(r"(?<!127\.0\.0\.1):8265 ", listening), listening


def test_a_storage_that_the_nodes_do_not_share_is_refused(launched: Launched) -> None:
    # Those that join later are not looked at before the study begins.
    wait_for(lambda: launched.alive() == len(launched.workers), 120, "both workers")
    job: CompletedProcess[str] = launched.ray(submitted("/tmp/private", "--data simulated"))
    assert job.returncode == 1
    assert "exit code 2" in job.stdout or "code: 2" in job.stdout, job.stdout
    assert re.search(
        r"/tmp/private must be storage that every node shares, but at node", job.stdout
    )
    assert any(worker.address in job.stdout for worker in launched.workers)


def test_a_study_outlives_the_hosts_that_it_loses(launched: Launched, tmp_path: Path) -> None:
    """One is cut off while it runs a trial, and comes back; then the other one is killed."""
    storage = launched.folder / "studies"
    study, log = storage / "air", tmp_path / "job.log"
    first, second = launched.workers
    options = f"--data simulated --name air --trials {TRIALS} --max-epochs {EPOCHS}"
    with launched.ray_apart(submitted(str(storage), options), log) as job:
        begun = time.monotonic()

        def alive() -> None:
            assert job.poll() is None, log.read_text()[-3000:]

        def busy(host: Host) -> bool:
            alive()
            return bool(host.trials())

        def more(than: int) -> bool:
            alive()
            return len(ended(study)) > than

        wait_for(lambda: busy(first) and busy(second), 60, "trials on both workers")
        wait_for(lambda: more(1), 60, "two trials that have ended")
        print(f"two trials done on two workers after {time.monotonic() - begun:.0f} s")

        before = ended(study)
        launched.network.cut(first)
        # No machine is to be so fast that the study ends before the cluster has noticed, or before
        # the host is back.
        second.hold_trials(True)
        cut = time.monotonic()
        wait_for(lambda: launched.alive() == 1, 120, "the cluster noticing")
        print(f"the cluster noticed {time.monotonic() - cut:.0f} s after a worker was cut off")
        second.hold_trials(False)
        wait_for(lambda: more(len(before)), 60, "a trial that ends on the worker that is left")
        second.hold_trials(True)
        old = set(first.processes())
        launched.network.heal(first)
        healed = time.monotonic()
        wait_for(
            lambda: busy(first) and not old & set(first.processes()), 120, "Ray started again there"
        )
        print(f"Ray was started there again {time.monotonic() - healed:.0f} s after it was back")

        before |= ended(study)
        assert busy(second)
        second.kill()
        killed = time.monotonic()
        wait_for(lambda: job.poll() is not None, 600, "the study's end")
        print(f"the study ended {time.monotonic() - killed:.0f} s after the other one was killed")
        assert job.returncode == 0, log.read_text()[-3000:]

    assert not (set(before.items()) - set(ended(study).items())), "what had ended is as it was"
    found = records(study)
    assert sorted(found) == list(range(TRIALS))
    for record in found.values():
        assert record["state"] in ("finished", "stopped_early"), record
        epochs = [epoch["epoch"] for epoch in record["history"]]  # type: ignore[attr-defined]
        assert epochs == list(range(1, len(epochs) + 1)), "none is missing or there twice"
    rows = list(csv.DictReader(io.StringIO((study / "trials.csv").read_text())))
    assert [int(row["id"]) for row in rows] == list(range(TRIALS))
    summary = json.loads((study / "summary.json").read_text())
    assert sum(summary["trials"].values()) == TRIALS
    assert f"{TRIALS} of {TRIALS} trials done" in log.read_text()


def test_nothing_runs_any_more_after_ray_down(launched: Launched) -> None:
    """The head ends at once, and the workers when they have missed it for a while."""
    launched.down()
    hosts = [launched.head, *launched.workers]

    def rays() -> list[str]:
        return [
            f"{host.name}: {title}"
            for host in hosts
            for title in host.processes().values()
            if "ray" in title
        ]

    try:
        waited = wait_for(lambda: not rays(), 60, "no process of Ray's")
    except TimeoutError:
        pytest.fail("\n".join(["still there 60 s after ray down:", *rays()]))
    print(f"nothing of Ray's runs on any host {waited:.0f} s after ray down")
