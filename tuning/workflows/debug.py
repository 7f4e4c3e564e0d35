"""One configuration in this process, without Ray, so that a debugger works: --debug."""

from rich.console import Console

from lstm_model.configuration import HYPERPARAMETERS
from lstm_model.data.encoded_table import EncodedTable
from lstm_model.wording import significant
from tuning.reporting.tables import FIGURE_DIGITS
from tuning.space.search_space import ParameterRange, SearchSpace, Value


def debug_one_trial(space: SearchSpace, table: EncodedTable, console: Console) -> None:
    """Train the first initial trial, epoch by epoch; defaults where it says nothing."""
    import torch

    from lstm_model.training.trainer import Trainer

    torch.set_num_threads(max(1, int(space.resources.cpu)))  # as a trial's are
    point = dict(space.initial_trials[0]) if space.initial_trials else {}
    for name, entry in space.search.items():
        if name not in point and entry.active(point):
            point[name] = _default_or_first(entry)
    config = space.configuration(point)
    console.print(f"{config}", soft_wrap=True)
    trainer = Trainer(config, table, max_epochs=space.study.max_epochs, seed=space.study.seed)
    for epoch in trainer:
        score = epoch.score
        rmse, mae = (significant(error, FIGURE_DIGITS) for error in (score.rmse, score.mae))
        console.print(
            f"epoch {epoch.number}: loss {epoch.loss:.4f}, validation RMSE {rmse}, MAE {mae}, "
            f"skill {score.skill:.1%} ({epoch.seconds:.2f} s)",
            soft_wrap=True,
        )


def _default_or_first(entry: ParameterRange) -> Value:
    """The hyperparameter's default where the entry allows it, else its first value."""
    default = HYPERPARAMETERS[entry.name].default
    if entry.problem(default) is None:
        return default
    first = entry.choices[0] if entry.kind == "categorical" else entry.low
    assert first is not None
    return int(first) if entry.kind == "int" else first
