"""Every sampler beside every scheduler: whole lives of studies, and of studies that are resumed.

Tune's part is played here: it asks the searcher for trials, hands the scheduler their results, and
tells both of each end. Errors are made up, so a life takes milliseconds.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from tuning.ray_backend.schedulers import SCHEDULERS, create_scheduler, decision_epochs
from tuning.search.samplers import SAMPLERS
from tuning.search.searcher import OptunaSearcher, Suggestion, TrialResult
from tuning.space.search_space import SearchSpace, Value, read_space
from tuning.study.trial import Trial

TRIALS, EPOCHS = 9, 8
FAILS = 4  # the number of the trial that fails in its second epoch


def made_up_rmse(config: Mapping[str, Value], epoch: int) -> float:
    """Falls from epoch to epoch; best at a learning rate of 0.01 and 12 units."""
    rate, units = float(config["learning_rate"]), int(config["hidden_size"])
    return 20 + math.log10(rate / 0.01) ** 2 + abs(units - 12) / 9 + 5 / epoch


@dataclass
class RunningTrial:
    """A trial as Tune has it, and its record."""

    trial_id: str
    config: Suggestion
    record: Trial
    status: str = "RUNNING"


@dataclass
class Study:
    """A study's records, and what goes on with them in one run of the study."""

    space: SearchSpace
    slots: int
    records: dict[int, Trial] = field(default_factory=dict)
    stopping: bool = False

    def epochs(self) -> Iterator[int]:
        """Runs trials, an epoch of each in turn; yields the number of the one that had an epoch."""
        past = list(self.records.values())
        self.searcher = OptunaSearcher(
            self.space,
            concurrency=lambda: self.slots,
            stopping=lambda: self.stopping,
            past=past,
        )
        self.scheduler = create_scheduler(self.space.study, past)
        running: list[RunningTrial] = []
        for count in range(10_000):
            while isinstance(suggestion := self.searcher.suggest(f"{count}-{len(running)}"), dict):
                running.append(self.begin(f"{count}-{len(running)}", suggestion))
            assert len(running) <= self.slots
            if not running:
                assert suggestion == Searcher.FINISHED
                return
            for trial in list(running):
                if self.run_epoch(trial):
                    running.remove(trial)
                yield trial.record.id
        pytest.fail("the study does not end")

    def begin(self, trial_id: str, suggestion: Suggestion) -> RunningTrial:
        number = suggestion["trial"]
        record = self.records.setdefault(number, Trial(number, suggestion["hyperparameters"]))
        assert record.state in ("running", "interrupted")
        assert suggestion.get("best_objective_by_epoch", []) == record.best_objective_by_epoch
        record.state = "running"
        trial = RunningTrial(trial_id, suggestion, record)
        self.scheduler.on_trial_add(None, trial)
        return trial

    def run_epoch(self, trial: RunningTrial) -> bool:
        """Whether the trial has ended."""
        record, epoch = trial.record, trial.record.epochs + 1
        if record.id == FAILS and epoch == 2:
            record.state = "failed"
            self.end(trial, {"epoch": 1, "objective": math.nan, "reason": "NaN", "done": True})
            return True
        rmse = made_up_rmse(record.config, epoch)
        record.best = {"epoch": epoch, "rmse": rmse, "mae": 1.0, "skill": 0.1}
        record.history.append({"epoch": epoch, "rmse": rmse})
        result: TrialResult = {"epoch": epoch, "objective": rmse, "done": epoch == EPOCHS}
        if epoch == EPOCHS:
            record.state = "finished"
            self.end(trial, result)
        elif self.scheduler.on_trial_result(None, trial, result) == TrialScheduler.STOP:
            record.state = "stopped_early"
            self.end(trial, result)
        return record.state != "running"

    def end(self, trial: RunningTrial, result: TrialResult) -> None:
        trial.status = "TERMINATED"
        self.scheduler.on_trial_complete(None, trial, result)
        self.searcher.on_trial_complete(trial.trial_id, result)

    def interrupt(self) -> None:
        for record in self.records.values():
            if record.state == "running":
                record.state = "interrupted"

    def facts(self) -> list[Any]:
        return [
            (number, record.config, record.state, record.history)
            for number, record in sorted(self.records.items())
        ]


@pytest.fixture(params=SAMPLERS)
def sampler(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=SCHEDULERS)
def scheduler(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def search_space(space: Callable[..., Path], sampler: str, scheduler: str) -> SearchSpace:
    path = space(trials=TRIALS, max_epochs=EPOCHS, scheduler=scheduler)
    path.write_text(path.read_text().replace("study: {", f"study: {{sampler: {sampler}, "))
    return read_space(str(path))


@pytest.mark.parametrize("slots", [1, 3])
def test_every_trial_of_a_study_ends(search_space: SearchSpace, slots: int) -> None:
    study = Study(search_space, slots)
    for _ in study.epochs():
        pass
    assert sorted(study.records) == list(range(TRIALS))
    decisions = decision_epochs(search_space.study)
    for number, record in study.records.items():
        assert (record.state == "failed") == (number == FAILS)
        if record.state == "finished":
            assert record.epochs == EPOCHS
        if record.state == "stopped_early":
            assert record.epochs in decisions
    stopped = [record for record in study.records.values() if record.state == "stopped_early"]
    assert bool(stopped) == bool(decisions), "or nothing was tried"


def test_resumed_study_ends_as_uninterrupted_one(search_space: SearchSpace) -> None:
    """On one slot, wherever it was interrupted."""
    whole = Study(search_space, slots=1)
    total = sum(1 for _ in whole.epochs())
    for interrupted_after in range(1, total, 3):
        study = Study(search_space, slots=1)
        for epoch, _ in enumerate(study.epochs(), start=1):
            if epoch == interrupted_after:
                break
        study.interrupt()
        resumed = Study(search_space, slots=1, records=study.records)
        for _ in resumed.epochs():
            pass
        assert resumed.facts() == whole.facts()


def test_stopping_study_begins_no_trial(search_space: SearchSpace) -> None:
    study = Study(search_space, slots=2)
    for number in study.epochs():
        study.stopping = True
        assert number in (0, 1)
    assert sorted(study.records) == [0, 1]
