"""A study's trials on the Ray that is there."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pyarrow.fs
from ray import tune
from ray.tune.experiment import Trial as RayTrial

from tuning.ray_backend import callback
from tuning.ray_backend.callback import StudyCallback
from tuning.ray_backend.changes import Changes
from tuning.ray_backend.patches import CONTROLLER, choose_changes, run_controller
from tuning.ray_backend.schedulers import create_scheduler, decision_epochs
from tuning.ray_backend.stopping import CutOff, Stopper, StopRequest
from tuning.ray_backend.trainable import Trainable
from tuning.search.searcher import OptunaSearcher
from tuning.study.storage import StoragePath
from tuning.study.study import Study

# A trial that is killed loses no more than this much work; an epoch that takes longer is saved by
# itself. A trial that is the best one, or goes on later, is saved at its end besides.
CHECKPOINT_SECONDS = 10.0
# Epochs are reported together until they have taken this long: each report costs the command some
# milliseconds, and a trial that waits for the answer to it trains nothing.
REPORT_SECONDS = 2.0


def run_trials(
    study: Study,
    stop: StopRequest,
    *,
    concurrency: Callable[[], int],
    verbose: bool,
    changes: Changes | None = None,
    first_started: Callable[[], None] = lambda: None,
) -> None:
    """Run the study's trials on the Ray that is there until all have ended or `stop` says so.

    Args:
        concurrency: how many trials may be under way now.
        changes: of Ray's ways; those that this Ray bears where there is none.
        first_started: called when the first worker has its first trial.

    Raises:
        OSError: the study's folder could not be written any more.
    """
    space = study.space
    resources = space.resources
    past = list(study.trials.values())
    attempt = study.new_checkpoint_folder()
    storage_path, file_system = _storage(attempt.parent)
    study_callback = StudyCallback(study, stop, first_started)
    trainable = tune.with_parameters(
        Trainable,
        table=study.view.table,
        folder=study.folder.resolve(),
        target=space.data.target,
        reading=study.view.dataset.reading,
        max_epochs=space.study.max_epochs,
        seed=space.study.seed,
        threads=max(1, int(resources.cpu)),
        gpu=resources.gpu > 0,
        decision_epochs=decision_epochs(space.study),
        report_seconds=REPORT_SECONDS,
        checkpoint_seconds=CHECKPOINT_SECONDS,
    )
    trainable = tune.with_resources(trainable, {"cpu": resources.cpu, "gpu": resources.gpu})
    tune_config = tune.TuneConfig(
        num_samples=space.study.trials,
        search_alg=OptunaSearcher(
            space, concurrency=concurrency, stopping=lambda: bool(stop), past=past
        ),
        scheduler=create_scheduler(space.study, past),
        reuse_actors=True,
        trial_name_creator=_trial_dirname,
        trial_dirname_creator=_trial_dirname,
    )
    run_config = tune.RunConfig(
        name=attempt.name,
        storage_path=storage_path,
        storage_filesystem=file_system,
        stop=Stopper(stop),
        callbacks=[study_callback],
        checkpoint_config=tune.CheckpointConfig(num_to_keep=2, checkpoint_at_end=False),
        failure_config=tune.FailureConfig(max_failures=callback.RETRIES),
        verbose=2 if verbose else 0,
    )
    changes = changes or choose_changes()
    try:
        with suppress(CutOff):
            if CONTROLLER in changes:
                run_controller(changes, trainable, tune_config, run_config)
            else:
                tune.Tuner(trainable, tune_config=tune_config, run_config=run_config).fit()
    finally:
        study_callback.flush()
        if stop.failure:  # of which what Tune raises, if it does, is a consequence
            raise stop.failure


def _storage(folder: StoragePath) -> tuple[str, pyarrow.fs.FileSystem | None]:
    """Where Tune puts checkpoints, in its terms: a path, and the file system of a bucket."""
    if isinstance(folder, Path):
        return str(folder.resolve()), None
    return folder.path, folder.system


def _trial_dirname(trial: RayTrial) -> str:
    return str(trial.config["trial"])
