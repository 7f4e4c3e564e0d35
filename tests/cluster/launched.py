"""A Ray cluster on hosts of the tests' own, started with cluster.local.yaml's commands."""

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess, Popen

from tests.cluster.hosts import ROOT, Host, Network, wait_for

FILE = "cluster.local.yaml"
TUNNEL = "http://127.0.0.1:8265"


@dataclass
class Launched:
    network: Network
    laptop: Host
    head: Host
    workers: list[Host]
    folder: Path  # with the cluster's file in it, seen by all hosts

    def ray(self, command: str, timeout: float = 120) -> "CompletedProcess[str]":
        """A line that starts with `ray`, typed at the laptop in the checkout."""
        return self.laptop.run("bash", "-c", self._line(command), timeout=timeout)

    @contextmanager
    def ray_apart(self, command: str, output: Path) -> "Iterator[Popen[str]]":
        """The same, and go on while it runs."""
        with output.open("w") as file:
            process = self.laptop.popen(
                "bash", "-c", self._line(f"exec {command}"), stdout=file, stderr=file
            )
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def _line(self, command: str) -> str:
        return (
            "export RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0 "
            f"RAY_API_SERVER_ADDRESS={TUNNEL} CLUSTER={self.folder / FILE}; cd {ROOT}; {command}"
        )

    def alive(self) -> int:
        """How many workers Ray counts as alive. (`ray status` is slower to notice.)"""
        listed = self.head.run(
            *("env", "RAY_AUTH_MODE=token", "ray", "list", "nodes"),
            *("--filter", "state=ALIVE", "--format", "json"),
        ).stdout
        return listed.count('"is_head_node": false')

    def ready(self) -> bool:
        """Whether every worker that is on could run trials."""
        return all(
            any("RuntimeEnvAgent" in title for title in worker.processes().values())
            for worker in self.workers
            if worker.on
        )

    def down(self) -> None:
        self.ray("ray down -y $CLUSTER")


@contextmanager
def cluster(shared: Path, workers: int) -> Iterator[Launched]:
    """`ray up` on a head and workers of one core each, and the tunnel of `ray dashboard`."""
    with Network(shared) as network:
        laptop, head = network.add("laptop", sshd=False), network.add("head")
        others = [network.add(f"worker-{core + 1}", core) for core in range(workers)]
        launched = Launched(network, laptop, head, others, shared)
        (shared / FILE).write_text(replaced(head, others))
        token = secrets.token_hex(32)
        laptop.run("bash", "-c", f"umask 077; mkdir ~/.ray; echo -n {token} > ~/.ray/auth_token")
        started = launched.ray("ray up -y $CLUSTER")
        assert started.returncode == 0, started.stdout
        wait_for(launched.ready, 90, "a worker that Ray is started on")
        with launched.ray_apart("ray dashboard $CLUSTER", shared / "tunnel.log"):
            probe = f"python -c 'import urllib.request as u; u.urlopen(\"{TUNNEL}\")'"
            wait_for(lambda: launched.ray(probe).returncode == 0, 30, "the tunnel")
            yield launched


def replaced(head: Host, workers: list[Host]) -> str:
    """cluster.local.yaml with the lines that are marked as the user's own filled in, no others."""
    text = (ROOT / FILE).read_text()
    for pattern, value in {
        r"^  head_ip: .*$": f"  head_ip: {head.address}",
        r"^  worker_ips: .*$": f"  worker_ips: [{', '.join(each.address for each in workers)}]",
        r"^  ssh_user: .*$": f"  ssh_user: {head.user}",
    }.items():
        text, count = re.subn(pattern, value, text, flags=re.MULTILINE)
        assert count == 1, pattern
    return text
