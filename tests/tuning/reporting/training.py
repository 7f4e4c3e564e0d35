"""Trials that are truly trained."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lstm_model.inference.predictor import TrainedForecaster
from lstm_model.training.trainer import Trainer
from tuning.space.search_space import Value
from tuning.study.study import Study
from tuning.study.trial import EpochReport, State


def train(study: Study, id: int, config: Mapping[str, Value], state: State = "finished") -> None:
    """A trial as Ray's workers would report it."""
    study.on_trial_start(id, config)
    space, series = study.space, study.view.table
    trainer = Trainer(
        space.configuration(config), series, max_epochs=space.study.max_epochs, seed=id
    )
    for epoch in trainer:
        report: Any = {
            "epoch": epoch.number,
            "loss": epoch.loss,
            "seconds": epoch.seconds,
            "learning_rate": epoch.learning_rate,
            "gradient_norm": epoch.gradient_norm,
            **epoch.score.to_json(),
            "best": {"epoch": epoch.best.epoch, **epoch.best.score.to_json()},
        }
        reported: EpochReport = report
        study.on_epoch(id, reported)
    folder = Path(str(study.folder)) / "checkpoints" / "0" / str(id) / "checkpoint_000000"
    folder.mkdir(parents=True)
    assert trainer.best is not None
    TrainedForecaster.from_weights(
        series, "pm", trainer.config, trainer.best.weights, trainer.best.score
    ).save(folder / "best")
    study.on_checkpoint(id, str(folder))
    study.on_trial_end(id, state)
