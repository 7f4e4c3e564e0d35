"""How many reports and trials a second the command handles, and so how many workers it feeds.

python -m benchmarks.driver [--workers 2]

Trials that train nothing report as fast as they can, to a real study on a real Ray: what is
measured is the command itself, with its searcher, scheduler, records and events.
"""

import argparse
import math
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest import mock

from tuning import ray_environment

ray_environment.prepare()

from ray.tune.result import DONE  # noqa: E402 (Ray reads its settings when it is imported)

from lstm_model.baselines import evaluate  # noqa: E402
from lstm_model.series import Series  # noqa: E402
from lstm_model.sources import load_table  # noqa: E402
from tuning import trainable  # noqa: E402
from tuning.ray_session import ray_session  # noqa: E402
from tuning.search_space import read_space  # noqa: E402
from tuning.study import Study  # noqa: E402
from tuning.tensorboard import TensorBoard  # noqa: E402
from tuning.tuner import StopRequest, run_trials  # noqa: E402

# An epoch of 64 units over three years of hours takes a core about this long (docs/LOG.md).
EPOCH_SECONDS = 0.15


class Trivial(trainable.Trainable):
    """Reports without training."""

    def _begin(self, config: dict[str, Any]) -> None:
        super()._begin(config)
        self._epoch = 0

    def step(self) -> dict[str, Any]:
        self._epoch += 1
        rmse = 20 + abs(math.log10(self._suggested["config"]["learning_rate"] / 0.01))
        best = {"epoch": self._epoch, "rmse": rmse, "mae": rmse, "skill": 0.1}
        numbers = {"loss": 1.0, "learning_rate": 0.01, "gradient_norm": 1.0, "seconds": 0.0}
        return {
            "epoch": self._epoch,
            "rmse": rmse,
            "report": {**numbers, **best, "best": best},
            DONE: self._epoch >= self._max_epochs,
        }

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        Path(checkpoint_dir, "nothing").touch()


class WithoutModel(Study):
    """There is no model to keep of trials that train nothing."""

    def _keep_if_best(self, trial: Any) -> None: ...


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--trials", type=int, default=60)
    given = parser.parse_args()
    space = read_space("univariate.yaml").overridden(
        {"data.source": "simulated", "study.trials": given.trials}
    )
    table = load_table(space.data)
    series = Series.from_table(table.frame, table.step, space.data)
    with tempfile.TemporaryDirectory() as folder, ray_session(None, verbose=False):
        for max_epochs in (30, 1):
            changed = space.overridden({"study.max_epochs": max_epochs})
            place = Path(folder) / str(max_epochs)
            study = WithoutModel(place, changed, table, series, evaluate(series), time.monotonic())
            study.begin([])
            study.listeners.append(TensorBoard(study))
            first = time.monotonic()
            with mock.patch.object(trainable, "Trainable", Trivial):
                run_trials(study, StopRequest(), concurrency=lambda: given.workers, verbose=False)
            seconds = time.monotonic() - first
            reports = sum(trial.epochs for trial in study.trials.values())
            study.outcome = "failed"  # without a model there are no figures to draw
            study.finish("failed")
            print(
                f"{given.trials} trials of at most {max_epochs} epochs, {given.workers} workers: "
                f"{seconds:.1f} s, {given.trials / seconds:.1f} trials/s, "
                f"{reports / seconds:.0f} reports/s"
            )
            if max_epochs > 1:
                fed = reports / seconds * EPOCH_SECONDS
                print(
                    f"at an epoch of {EPOCH_SECONDS} s that is the work of at least {fed:.0f} cores"
                )


if __name__ == "__main__":
    main()
