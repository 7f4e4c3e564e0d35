"""The same study on a cluster of two workers of one core each, and on one of them.

    python -m benchmarks.cluster_scaling        as root; some minutes

The workers are hosts of the tests' (tests/cluster/hosts.py). Random search without a scheduler, so
that both studies train the same configurations for as many epochs.
"""

import argparse
import json
import tempfile
from pathlib import Path

from tests.cluster.hosts import missing, wait_for
from tests.cluster.launched import Launched, cluster

TRIALS, EPOCHS = 16, 20


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    if why := missing():
        raise SystemExit(why)
    with tempfile.TemporaryDirectory() as folder:
        shared = Path(folder)
        text = Path("search_spaces/multivariate.yaml").read_text()
        for block, change in {"sampler": "random", "scheduler": "none"}.items():
            [line] = [each for each in text.splitlines() if each.strip().startswith(f"{block}:")]
            text = text.replace(line, f"  {block}: {change}")
        (shared / "space.yaml").write_text(text)
        with cluster(shared, workers=2) as launched:
            two = measured(launched, "two")
            launched.workers[1].kill()
            wait_for(lambda: launched.alive() == 1, 120, "the cluster noticing")
            one = measured(launched, "one")
            launched.down()
    for name, each in {"two workers": two, "one worker": one}.items():
        print(f"{name}: {each['wall_seconds']:.1f} s, trials {each['trial_seconds']:.1f} s")
    print(f"ratio {one['wall_seconds'] / two['wall_seconds']:.2f}")


def measured(launched: Launched, name: str) -> dict[str, float]:
    """The study's summary."""
    done = launched.ray(
        "ray job submit --working-dir . -- python -m tuning.run --data simulated"
        f" --space {launched.folder}/space.yaml --storage {launched.folder}/studies --name {name}"
        f" --trials {TRIALS} --max-epochs {EPOCHS}",
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    summary: dict[str, float] = json.loads(
        (launched.folder / "studies" / name / "summary.json").read_text()
    )
    return summary


if __name__ == "__main__":
    main()
