"""Searchers, their suggestions, and trials that have ended."""

import math
from collections.abc import Mapping

from tests.builders import best_score
from tuning.search.searcher import OptunaSearcher, Suggestion
from tuning.space.search_space import SearchSpace, Value
from tuning.study.trial import State, Trial


def create_searcher(
    space: SearchSpace, concurrency: int = 1, past: tuple[Trial, ...] = ()
) -> OptunaSearcher:
    return OptunaSearcher(space, concurrency=lambda: concurrency, stopping=lambda: False, past=past)


def suggest(searcher: OptunaSearcher, trial_id: object) -> Suggestion:
    suggestion = searcher.suggest(str(trial_id))
    assert isinstance(suggestion, dict)
    return suggestion


def made_up_rmse(config: Mapping[str, Value]) -> float:
    """An RMSE that prefers a learning rate of 0.01 and 12 units."""
    rate, units = float(config["learning_rate"]), int(config["hidden_size"])
    return 20 + math.log10(rate / 0.01) ** 2 + abs(units - 12) / 9


def ended_trial(number: int, config: Mapping[str, Value], state: State = "finished") -> Trial:
    epochs = {"finished": 10, "stopped_early": 4}.get(state, 2)
    best = best_score(1, made_up_rmse(config))
    history = [{"epoch": float(epoch)} for epoch in range(1, epochs + 1)]
    return Trial(number, config, state, 1.0, None if state == "failed" else best, history)
