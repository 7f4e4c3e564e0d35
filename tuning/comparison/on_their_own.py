"""Each series by a model of its own: what one model for all series has to beat.

Each own model is the finalist's configuration, with the same inputs and the same seeds, and learns
from the rows of one series. It trains for as many epochs as were best on that series' validation,
or where that has nothing to score, as the finalist itself.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lstm_model.arrays import Float64Array
from lstm_model.configuration import Configuration
from lstm_model.data.encoded_table import EncodedTable
from lstm_model.data.series_index import SeriesIndex
from lstm_model.data.sources import Dataset
from lstm_model.errors import TableError, TrainingFailed
from lstm_model.evaluation.holdout import Holdout
from lstm_model.training.evaluator import HoldoutEvaluator
from tuning.comparison.backtest import EvaluationWindow, table_for_window
from tuning.comparison.finalists import (
    RetrainedTrial,
    SeedRun,
    median_epoch,
    train_for,
    train_with_seed,
)
from tuning.ray_backend.jobs import Job, share
from tuning.space.search_space import SearchSpace
from tuning.wording import list_names

Run = Callable[[str, Sequence[Job]], list[Any]]  # a step's title and its jobs -> their results


@dataclass(frozen=True)
class OwnForecasts:
    """What the series' own models forecast.

    Attributes:
        changes: (S, V, L) as HoldoutEvaluator.forecast() gives them of the table of all series; no
            change where no model could be trained, NaN where none was asked for.
        without: the series that no model could be trained on.
    """

    changes: Float64Array
    without: tuple[str, ...]

    def sentences(self, name: str) -> list[str]:
        """What has to be told of them; `name` is theirs in the comparison."""
        if not self.without:
            return []
        return [
            f"{name} has the last value of {list_names(self.without)}, on which alone no model "
            "could be trained."
        ]


def forecast_on_their_own(
    space: SearchSpace,
    dataset: Dataset,
    table: EncodedTable,
    names: Sequence[str],
    window: EvaluationWindow,
    finalist: RetrainedTrial,
    seeds: Sequence[int],
    run: Run,
    title: str,
) -> OwnForecasts:
    """Train the finalist's configuration on each series alone, and forecast the window.

    Args:
        table: of all series, for the window.
        names: of the series that get a model.
        run: runs jobs, and tells of them.
        title: whose models they are, to be told.
    """
    config, rounds = Configuration.model_validate(finalist.trial.config), space.study.max_epochs
    alone = {name: _slice(dataset, rows) for name, rows in dataset.index if name in names}
    validated = _tables(alone, lambda one: EncodedTable.from_table(one.frame, one.step, space.data))
    jobs = [
        Job(train_with_seed, (config, shared, rounds, seed))
        for shared in map(share, validated.values())
        for seed in seeds
    ]
    runs = run(f"{title}: epochs", jobs)
    epochs = _epochs(list(validated), runs, len(seeds))

    # What the test holds decides nothing: also a series of which little is scored has its model.
    tested = _tables(
        alone, lambda one: table_for_window(one, space.data, window, check_scored=False)
    )
    failed = set(validated) - set(epochs)
    tested = {name: one for name, one in tested.items() if name not in failed}
    jobs = [
        Job(
            _refit_and_forecast,
            (config, share(one), rounds, epochs.get(name, finalist.epochs), seed),
        )
        for name, one in tested.items()
        for seed in seeds
    ]
    forecasts = iter(run(f"{title}: final models", jobs))
    by_series = {name: [next(forecasts) for _ in seeds] for name in tested}
    return _put_together(table, names, by_series, len(seeds))


def _slice(dataset: Dataset, rows: slice) -> Dataset:
    """One series as a table of its own."""
    frame = dataset.frame.iloc[rows]
    return replace(dataset, frame=frame, index=SeriesIndex.of_one(len(frame)))


def _tables(
    alone: Mapping[str, Dataset], encode: Callable[[Dataset], EncodedTable]
) -> dict[str, EncodedTable]:
    """By series, without those that there is nothing to learn from or to score in."""
    tables = {}
    for name, one in alone.items():
        try:
            tables[name] = encode(one)
        except TableError:
            continue
    return tables


def _epochs(names: Sequence[str], runs: Sequence[SeedRun | None], seeds: int) -> dict[str, int]:
    """How long each series' final models train, without those of which a training failed.

    Args:
        runs: of each series in turn, one for each seed.
    """
    epochs = {}
    for number, name in enumerate(names):
        own = runs[number * seeds : (number + 1) * seeds]
        done = [each for each in own if each is not None]
        if len(done) == seeds:
            epochs[name] = median_epoch(done)
    return epochs


def _put_together(
    table: EncodedTable,
    names: Sequence[str],
    by_series: Mapping[str, Sequence[Float64Array | None]],
    seeds: int,
) -> OwnForecasts:
    """(S, V, L) of all series, from the (V, L) of each one's seeds, None where one failed."""
    holdout = Holdout(table)
    changes, without = np.zeros((seeds, *holdout.changes.shape)), []
    for name, rows in zip(holdout.names, holdout.rows, strict=True):
        own = [each for each in by_series.get(name, ()) if each is not None]
        if name not in names:
            changes[:, rows] = np.nan
        elif len(own) == seeds:
            changes[:, rows] = own
        else:
            without.append(name)
    return OwnForecasts(changes, tuple(without))


def _refit_and_forecast(
    config: Configuration,
    table: EncodedTable,
    max_epochs: int,
    epochs: int,
    seed: int,
    device: str,
) -> Float64Array | None:
    """What a model that learned from all before the window forecasts for it, (V, L) changes; None
    where its training fails.
    """
    try:
        training = train_for(epochs, config, table.training_only, max_epochs, seed, device)
    except TrainingFailed:
        return None
    with np.errstate(invalid="ignore"):  # persistence has no RMSE where nothing is scored
        return HoldoutEvaluator(table, device).forecast(training.averaged)
