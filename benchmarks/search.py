"""Whether the search pays: TPE with ASHA against random search that stops nothing, at equal time.

    LSTM_TUNING_DATA=DIR python -m benchmarks.search
    python -m benchmarks.search --seeds 10 --seconds 60

For each seed both searches run side by side, in a process with one thread each, with the project's
own searcher, scheduler and training, and without Ray: a trial at a time, until time is up. They
search multivariate.yaml without its initial trials, trained on one year and validated on the next,
so that a search of a minute has some dozen trials.
What counts is the lowest validation error that a search has reached by then; differences are taken
within a seed, and their interval over seeds is Student's.
"""

import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from typing import Any

import numpy as np
import torch
from scipy import stats

from benchmarks.reporting import parser, table, write
from tuning.ray_backend import environment

environment.set_environment()

from ray.tune.schedulers import TrialScheduler  # noqa: E402 (Ray reads its settings at import)

from lstm_model.configuration import Configuration  # noqa: E402
from lstm_model.data.encoded_table import EncodedTable  # noqa: E402
from lstm_model.data.sources import load_dataset  # noqa: E402
from lstm_model.training.trainer import Trainer  # noqa: E402
from tuning.ray_backend.schedulers import create_scheduler  # noqa: E402
from tuning.search.searcher import OptunaSearcher, TrialResult  # noqa: E402
from tuning.space.search_space import SearchSpace, read_space  # noqa: E402

SEARCHES = {"tpe, asha": ("tpe", "asha"), "random, none": ("random", "none")}
EPOCHS = 20
SHARES = (0.25, 0.5, 0.75, 1.0)  # of the time, at which the searches are compared


@dataclass(frozen=True)
class Running:
    """What a scheduler looks at in a trial."""

    trial_id: str
    config: dict[str, Any] = field(hash=False)
    status: str = "RUNNING"


def searched(space: SearchSpace, search: str, seed: int, seconds: float) -> dict[str, Any]:
    """One search: when it improved, and to what."""
    torch.set_num_threads(1)
    table = load_dataset(space.data)
    encoded = EncodedTable.from_table(table.frame, table.step, space.data)
    sampler, stopper = SEARCHES[search]
    settings = {"sampler": sampler, "scheduler": stopper, "seed": seed, "max_epochs": EPOCHS}
    space = replace(
        space,
        study=space.study.model_copy(update={**settings, "trials": 100_000}),
        initial_trials=(),
    )
    over = time.monotonic() + seconds
    searcher = OptunaSearcher(
        space, concurrency=lambda: 1, stopping=lambda: time.monotonic() >= over
    )
    judge = create_scheduler(space.study)
    steps, trials, epochs, lowest = [], 0, 0, np.inf
    while time.monotonic() < over:
        name = str(trials)
        asked = searcher.suggest(name)
        assert isinstance(asked, dict)
        trial = Running(name, {})
        judge.on_trial_add(None, trial)
        trials += 1
        result: TrialResult = {}
        config = Configuration.model_validate(asked["hyperparameters"])
        for epoch in Trainer(config, encoded, max_epochs=EPOCHS, seed=seed + trials):
            now = time.monotonic()
            if now >= over:
                break
            epochs += 1
            result = {"epoch": epoch.number, "objective": epoch.best.score.objective}
            if result["objective"] < lowest:
                lowest = result["objective"]
                steps.append((now - (over - seconds), lowest))
            decision = judge.on_trial_result(None, trial, result)
            if decision == TrialScheduler.STOP:
                break
        judge.on_trial_complete(None, trial, result)
        searcher.on_trial_complete(name, result)
    return {"seed": seed, "trials": trials, "epochs": epochs, "steps": steps}


def lowest_by(run: dict[str, Any], seconds: float) -> float:
    return min((rmse for at, rmse in run["steps"] if at <= seconds), default=np.inf)


def interval(differences: Sequence[float]) -> tuple[float, float, float]:
    """Their mean, and its 95% interval."""
    mean = float(np.mean(differences))
    half = stats.t.ppf(0.975, len(differences) - 1) * stats.sem(differences)
    return mean, mean - float(half), mean + float(half)


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--seeds", type=int, default=10)
    options.add_argument("--seconds", type=float, default=20.0, help="for each search")
    given = options.parse_args()
    space = read_space("multivariate.yaml").overridden(
        {"data.validation_from": "2011-01-01", "data.test_from": "2012-01-01"}
    )
    source = load_dataset(space.data).source  # and fetched, where it has to be
    runs: dict[str, list[dict[str, Any]]] = {search: [] for search in SEARCHES}
    with ProcessPoolExecutor(len(SEARCHES), mp_context=get_context("spawn")) as pool:
        for seed in range(given.seeds):
            pair = {
                search: pool.submit(searched, space, search, seed, given.seconds)
                for search in SEARCHES
            }
            for search, run in pair.items():
                runs[search].append(run.result())
    compared = []
    for share in SHARES:
        reached = {
            search: [lowest_by(run, share * given.seconds) for run in each]
            for search, each in runs.items()
        }
        ours, other = reached.values()
        mean, low, high = interval(np.subtract(other, ours).tolist())
        compared.append(
            {
                "seconds": share * given.seconds,
                **{search: float(np.mean(each)) for search, each in reached.items()},
                "gain": mean,
                "ci95": [low, high],
                "won": int(np.sum(np.less(ours, other))),
            }
        )
    print(f"lowest validation RMSE on {source}, mean over {given.seeds} seeds")
    print(
        table(
            ["time", *SEARCHES, "gain", "95%", "seeds won"],
            [
                [f"{each['seconds']:.0f} s", *(f"{each[search]:.3f}" for search in SEARCHES)]
                + [f"{each['gain']:.3f}", "[{:.3f}, {:.3f}]".format(*each["ci95"]), each["won"]]
                for each in compared
            ],
        )
    )
    for search, each in runs.items():
        trials, epochs = (np.mean([run[name] for run in each]) for name in ("trials", "epochs"))
        print(f"{search}: {trials:.0f} trials and {epochs:.0f} epochs a search")
    print(write("search", {"source": source, "compared": compared, "runs": runs}, given.output))


if __name__ == "__main__":
    main()
