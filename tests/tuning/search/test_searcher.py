"""The sampler behind Tune's interface: what is suggested, and what Optuna is told of each end."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from ray.tune.search import Searcher

from tuning.search.searcher import (
    N_STARTUP_TRIALS,
    Journal,
    OptunaSearcher,
    create_sampler,
    hyperparameter_importances,
    to_distribution,
    to_frozen_trial,
)
from tuning.space.schema import Choices, FloatRange, IntRange, ParameterRange
from tuning.space.search_space import SearchSpace, read_space
from tuning.study.trial import State, Trial


@pytest.fixture
def tiny(space: Callable[..., Path]) -> SearchSpace:
    return read_space(str(space(trials=30, max_epochs=10)))


def searcher(
    space: SearchSpace, concurrency: int = 1, past: tuple[Trial, ...] = ()
) -> OptunaSearcher:
    return OptunaSearcher(space, concurrency=lambda: concurrency, stopping=lambda: False, past=past)


def told(search: OptunaSearcher) -> list[optuna.trial.FrozenTrial]:
    return search._optuna.trials


def quality(config: dict[str, Any]) -> float:
    """A made-up RMSE that prefers a learning rate of 0.01 and 12 units."""
    rate, units = float(config["learning_rate"]), int(config["hidden_size"])
    return 20 + math.log10(rate / 0.01) ** 2 + abs(units - 12) / 9


def finished(number: int, config: dict[str, Any], state: State = "finished") -> Trial:
    epochs = {"finished": 10, "stopped_early": 4}.get(state, 2)
    best = {"epoch": 1, "rmse": quality(config), "mae": 1.0, "skill": 0.1}
    history = [{"epoch": float(epoch)} for epoch in range(1, epochs + 1)]
    return Trial(number, config, state, 1.0, None if state == "failed" else best, history)


def test_the_initial_trial_comes_first_with_what_is_fixed(tiny: SearchSpace) -> None:
    assert searcher(tiny).suggest("a") == {
        "trial": 0,
        "config": {
            "context_length": 12,
            "chunk_length": 48,
            "hidden_size": 8,
            "num_layers": 1,
            "learning_rate": 0.01,
            "loss": "mse",
        },
        "early": True,
    }


def test_trials_are_early_until_one_has_ended(tiny: SearchSpace) -> None:
    search = searcher(tiny, concurrency=3)
    first, second = search.suggest("a"), search.suggest("b")
    assert isinstance(first, dict) and isinstance(second, dict)
    assert first["early"] and second["early"]
    search.on_trial_complete("a", {"rmse": math.nan, "epoch": 3})
    third = search.suggest("c")
    assert isinstance(third, dict) and third["early"], "one that failed leaves no model"
    search.on_trial_complete("b", {"rmse": 30.0, "epoch": 10})
    fourth = search.suggest("d")
    assert isinstance(fourth, dict) and "early" not in fourth
    again = searcher(tiny, past=(finished(0, first["config"]),)).suggest("a")
    assert isinstance(again, dict) and "early" not in again


def test_suggestions_lie_in_the_space_and_conditions_hold(tiny: SearchSpace) -> None:
    search = searcher(tiny)
    layers = set()
    for number in range(30):
        suggestion = search.suggest(str(number))
        assert isinstance(suggestion, dict)
        config = suggestion["config"]
        layers.add(config["num_layers"])
        assert ("dropout" in config) == (config["num_layers"] == 2)
        for name, entry in tiny.search.items():
            if name in config:
                assert entry.problem(config[name]) is None
        tiny.configuration({k: v for k, v in config.items() if k in tiny.search})
        search.on_trial_complete(str(number), {"rmse": quality(config), "epoch": 10})
    assert layers == {1, 2}
    assert search.suggest("one more") == Searcher.FINISHED


def test_no_more_than_the_slots_are_under_way(tiny: SearchSpace) -> None:
    search = searcher(tiny, concurrency=2)
    assert search.suggest("a")
    assert search.suggest("b")
    assert search.suggest("c") is None
    search.on_trial_complete("a", {"rmse": 20.0, "epoch": 10})
    assert search.suggest("c")


def test_a_stop_request_ends_the_search(tiny: SearchSpace) -> None:
    search = OptunaSearcher(tiny, concurrency=lambda: 9, stopping=lambda: True)
    assert search.suggest("a") == Searcher.FINISHED


@pytest.mark.parametrize(
    ("result", "error", "state", "value"),
    [
        ({"rmse": 21.5, "epoch": 10}, False, TrialState.COMPLETE, 21.5),
        ({"rmse": 21.5, "epoch": 4}, False, TrialState.PRUNED, 21.5),
        ({"rmse": math.nan, "epoch": 4}, False, TrialState.FAIL, None),
        ({"rmse": math.inf, "epoch": 10}, False, TrialState.FAIL, None),
        ({"rmse": 21.5, "epoch": 4}, True, TrialState.FAIL, None),
        (None, True, TrialState.FAIL, None),
        (None, False, TrialState.FAIL, None),
    ],
)
def test_optuna_is_told_how_a_trial_ended(
    tiny: SearchSpace,
    result: dict[str, Any] | None,
    error: bool,
    state: TrialState,
    value: float | None,
) -> None:
    search = searcher(tiny)
    search.suggest("a")
    search.on_trial_complete("a", result, error=error)
    [trial] = told(search)
    assert trial.state == state
    if state == TrialState.PRUNED:
        assert result is not None
        assert trial.intermediate_values == {result["epoch"]: value}
    elif value is not None:
        assert trial.value == value


def test_an_end_that_was_told_twice_counts_once(tiny: SearchSpace) -> None:
    search = searcher(tiny)
    search.suggest("a")
    for _ in range(2):
        search.on_trial_complete("a", {"rmse": 21.5, "epoch": 10})
    search.on_trial_complete("never suggested", {"rmse": 1.0, "epoch": 10})
    assert [trial.value for trial in told(search)] == [21.5]


@pytest.mark.parametrize("name", ["tpe", "random", "gp"])
@pytest.mark.parametrize("shown", [500, 10])
def test_a_search_from_records_goes_on_as_if_it_had_not_stopped(
    space: Callable[..., Path], name: str, shown: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Be its past shown to the sampler whole or in part."""
    monkeypatch.setattr("tuning.search.searcher.MAX_HISTORY", shown)
    monkeypatch.setattr("tuning.search.searcher.BEST_SHOWN", shown // 2)
    tiny = read_space(str(space(trials=16, max_epochs=10)))
    tiny = tiny.overridden({"study.trials": 16})
    object.__setattr__(tiny.study, "sampler", name)
    states: list[State] = ["finished", "stopped_early", "failed", "finished"]

    def go(search: OptunaSearcher, records: dict[int, Trial], until: int) -> None:
        while len(records) < until:
            suggestion = search.suggest(str(len(records)))
            assert isinstance(suggestion, dict)
            number, config = suggestion["trial"], suggestion["config"]
            record = records[number] = finished(number, config, states[number % 4])
            result = {"rmse": record.rmse, "epoch": record.epochs}
            search.on_trial_complete(str(number), None if record.state == "failed" else result)

    whole: dict[int, Trial] = {}
    go(searcher(tiny), whole, 16)
    parts: dict[int, Trial] = {}
    go(searcher(tiny), parts, 11)
    go(searcher(tiny, past=tuple(parts.values())), parts, 16)
    assert [trial.config for trial in parts.values()] == [trial.config for trial in whole.values()]


def test_what_was_under_way_comes_first_with_its_checkpoint(tiny: SearchSpace) -> None:
    search = searcher(tiny)
    records = []
    for number in range(3):
        suggestion = search.suggest(str(number))
        assert isinstance(suggestion, dict)
        records.append(finished(number, suggestion["config"]))
        search.on_trial_complete(str(number), {"rmse": records[-1].rmse, "epoch": 10})
    following = search.suggest("3")
    assert isinstance(following, dict)
    records[1].state = "interrupted"
    records[1].checkpoint = "checkpoints/0/1/checkpoint_000002"
    records[1].history = [{"rmse": 30.0}, {"rmse": 28.0}, {"rmse": 29.0}]

    again = searcher(tiny, concurrency=2, past=tuple(records))
    assert again.suggest("a") == {
        "trial": 1,
        "config": records[1].config,
        "checkpoint": "checkpoints/0/1/checkpoint_000002",
        "past": [30.0, 28.0, 28.0],
    }
    new = again.suggest("b")
    assert isinstance(new, dict)
    assert new["trial"] == 3
    again.on_trial_complete("a", {"rmse": 27.0, "epoch": 10})
    values = {trial.params["learning_rate"]: trial.value for trial in told(again)[:3]}
    assert values[records[1].config["learning_rate"]] == 27.0


def test_a_record_that_is_missing_among_others_runs_again(space: Callable[..., Path]) -> None:
    tiny = read_space(str(space(trials=4)))
    config = {"hidden_size": 8, "num_layers": 1, "learning_rate": 0.01, "loss": "mse"}
    past = tuple(finished(number, config) for number in (0, 2))
    again = searcher(tiny, past=past, concurrency=9)
    first, second = again.suggest("a"), again.suggest("b")
    assert isinstance(first, dict)
    assert isinstance(second, dict)
    assert (first["trial"], second["trial"]) == (1, 3)
    assert again.suggest("c") == Searcher.FINISHED


def test_a_budget_that_is_spent_still_ends_what_was_under_way(
    space: Callable[..., Path],
) -> None:
    tiny = read_space(str(space(trials=1)))
    config = {"hidden_size": 8, "num_layers": 1, "learning_rate": 0.01, "loss": "mse"}
    search = searcher(tiny, past=(Trial(0, config, "interrupted"),))
    first = search.suggest("a")
    assert isinstance(first, dict)
    assert (first["trial"], first["checkpoint"], first["past"]) == (0, None, [])
    assert search.suggest("b") == Searcher.FINISHED


def test_of_a_long_past_the_sampler_sees_the_best_and_some_of_all(
    space: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tuning.search.searcher.MAX_HISTORY", 8)
    monkeypatch.setattr("tuning.search.searcher.BEST_SHOWN", 4)
    tiny = read_space(str(space(trials=40, max_epochs=10)))
    search = searcher(tiny, concurrency=40)
    for number in range(14):
        search.suggest(str(number))
    for number, (epoch, rmse) in {
        **dict.fromkeys((0, 1, 2, 3, 4), (5, 30.0)),  # stopped early
        5: (10, 25.0),
        6: (10, 22.0),
        7: (8, 21.0),
        8: (5, 20.0),
        9: (5, 19.0),
        10: (10, math.nan),  # failed
        11: (5, 31.0),
    }.items():
        search.on_trial_complete(str(number), {"rmse": rmse, "epoch": epoch})
    # The best: two that finished, one that got further than the others, the best of those. Of all
    # twelve every third. And what is under way.
    assert [trial.number for trial in told(search)] == [0, 3, 5, 6, 7, 9, 12, 13]
    assert search.suggest("next") != Searcher.FINISHED


def test_tpe_finds_the_better_region(tiny: SearchSpace) -> None:
    search = searcher(tiny)
    found = []
    for number in range(30):
        suggestion = search.suggest(str(number))
        assert isinstance(suggestion, dict)
        found.append(quality(suggestion["config"]))
        search.on_trial_complete(str(number), {"rmse": found[-1], "epoch": 10})
    assert sum(found[20:]) / 10 < sum(found[1:11]) / 10


def test_tpe_asks_as_optunas_own_would(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours knows from the space what is in every trial; Optuna's finds it in the past."""

    def asked() -> list[Any]:
        search, answers = searcher(read_space("univariate.yaml")), []
        for number in range(30):
            answers.append(suggestion := search.suggest(str(number)))
            assert isinstance(suggestion, dict)
            rmse = quality(suggestion["config"])
            search.on_trial_complete(str(number), {"rmse": rmse, "epoch": 30 - number % 2})
        return answers

    ours = asked()
    assert 0 < sum("dropout" in answer["config"] for answer in ours) < 30, "it is conditional"
    monkeypatch.setattr(
        "tuning.search.searcher.create_sampler",
        lambda name, seed, entries: optuna.samplers.TPESampler(
            seed=seed, multivariate=True, n_startup_trials=N_STARTUP_TRIALS
        ),
    )
    assert asked() == ours


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (
            IntRange(16, 128, log=True),
            optuna.distributions.IntDistribution(16, 128, log=True),
        ),
        (
            IntRange(24, 72, step=24),
            optuna.distributions.IntDistribution(24, 72, step=24),
        ),
        (
            FloatRange(0.0, 0.4, step=0.1),
            optuna.distributions.FloatDistribution(0.0, 0.4, step=0.1),
        ),
        (
            Choices(("mse", "mae")),
            optuna.distributions.CategoricalDistribution(("mse", "mae")),
        ),
    ],
)
def test_entries_in_optunas_terms(entry: ParameterRange, expected: object) -> None:
    assert to_distribution(entry) == expected


@pytest.mark.parametrize("name", ["tpe", "random", "gp"])
def test_every_sampler_is_seeded(name: str) -> None:
    def first(seed: int) -> float:
        study = optuna.create_study(sampler=create_sampler(name, seed, []))
        return study.ask().suggest_float("x", 0, 1)

    assert first(1) == first(1) != first(2)


def test_the_journal_is_one_that_optuna_opens(tiny: SearchSpace, tmp_path: Path) -> None:
    search = searcher(tiny, concurrency=9)
    journal = Journal("air", tiny)
    states: list[State] = ["finished", "stopped_early", "failed"]
    for number, state in enumerate(states):
        suggestion = search.suggest(str(number))
        assert isinstance(suggestion, dict)
        record = finished(number, suggestion["config"], state)
        record.reason = "the loss is not finite" if state == "failed" else None
        journal.add(record)
    (tmp_path / "optuna.journal").write_bytes(journal.to_bytes())
    storage = optuna.storages.JournalStorage(JournalFileBackend(str(tmp_path / "optuna.journal")))
    study = optuna.load_study(study_name="air", storage=storage)
    assert [t.state for t in study.trials] == [
        TrialState.COMPLETE,
        TrialState.PRUNED,
        TrialState.FAIL,
    ]
    assert study.trials[0].params == {
        "hidden_size": 8,
        "num_layers": 1,
        "learning_rate": 0.01,
        "loss": "mse",
    }
    assert study.best_value == pytest.approx(quality(study.trials[0].params))
    assert list(study.trials[1].intermediate_values) == [4]
    assert study.trials[2].user_attrs == {"trial": 2, "reason": "the loss is not finite"}


def test_a_record_that_contradicts_itself_is_not_passed_on(tiny: SearchSpace) -> None:
    with pytest.raises(ValueError, match="trial 3 is finished, but its record has no RMSE"):
        to_frozen_trial(Trial(3, {"hidden_size": 8}, "finished"), tiny)


def test_importances_are_of_the_trials_that_finished(space: Callable[..., Path]) -> None:
    """The RMSE follows the learning rate alone; trials that stopped early would say otherwise."""
    settled = read_space(str(space()))
    rng = np.random.default_rng(1)

    def trial(number: int, state: str) -> Trial:
        config = {
            "hidden_size": int(rng.integers(4, 17)),
            "num_layers": 1,
            "learning_rate": float(10 ** rng.uniform(-3, -1.31)),
            "loss": str(rng.choice(["mse", "mae"])),
        }
        value = config["learning_rate"] if state == "finished" else config["hidden_size"]
        return Trial(number, config, state, best={"epoch": 1, "rmse": value})  # type: ignore[arg-type]

    trials = [trial(n, "finished" if n % 2 else "stopped_early") for n in range(60)]
    found = hyperparameter_importances(trials, settled)
    assert found is not None
    assert list(found) == sorted(found, key=lambda name: -found[name])
    assert set(found) == {"hidden_size", "num_layers", "learning_rate", "loss"}
    assert found["learning_rate"] > 0.8
    assert sum(found.values()) == pytest.approx(1)
    # Seven finished trials say next to nothing.
    assert hyperparameter_importances(trials[:14], settled) is None
    assert hyperparameter_importances(trials[:16], settled) is not None


def test_optunas_verbosity_stays_as_it_was(
    tiny: SearchSpace, caplog: pytest.LogCaptureFixture
) -> None:
    before = optuna.logging.get_verbosity()
    try:
        for verbosity in (optuna.logging.INFO, optuna.logging.ERROR):
            optuna.logging.set_verbosity(verbosity)
            optuna.logging.enable_propagation()
            searcher(tiny)
            Journal("air", tiny)
            hyperparameter_importances([], tiny)
            assert optuna.logging.get_verbosity() == verbosity
            assert not caplog.records
    finally:
        optuna.logging.disable_propagation()
        optuna.logging.set_verbosity(before)
