"""What tests build again and again: studies, and what is said of their epochs."""

from dataclasses import replace
from pathlib import Path

from lstm_model.data.encoded_table import EncodedTable
from lstm_model.data.sources import load_dataset
from lstm_model.evaluation.baselines import evaluate_baselines
from tuning.space.search_space import SearchSpace, read_space
from tuning.study.storage import StoragePath
from tuning.study.study import Study
from tuning.study.trial import BestScore, EpochReport, Trial
from tuning.study.view import StudyView


def study_view(
    folder: StoragePath, space: SearchSpace | Path, begun: float = 0.0, *, baselines: bool = True
) -> StudyView:
    """A study that has yet to begin, with its data read.

    baselines: False where nobody asks for them, since ridge regression takes its time.
    """
    if isinstance(space, Path):
        space = read_space(str(space))
    dataset = load_dataset(space.data)
    table = EncodedTable.from_table(dataset.frame, dataset.step, space.data, dataset.index)
    scores = evaluate_baselines(table) if baselines else None
    return StudyView(folder, space, dataset, table, scores, begun)  # type: ignore[arg-type]


def copy_of(
    study: Study, folder: StoragePath | None = None, space: SearchSpace | None = None
) -> Study:
    """The same study in another process, which has yet to read its trials; or another such one, in
    `folder` or of `space`.
    """
    facts = replace(study.view, trials={}, best_trial=None, best_score=None, outcome="running")
    return Study(
        replace(facts, folder=folder or study.folder, space=space or study.space, begun=0.0)
    )


def write_record(study: Study, trial: Trial) -> None:
    """As the study itself would, were it not killed just before."""
    (study.folder / "trials" / f"{trial.id}.json").write_bytes(trial.to_bytes())


def epoch_report(epoch: int, rmse: float, best: tuple[int, float] | None = None) -> EpochReport:
    """What a worker says of an epoch of two seconds; best: another epoch and its RMSE."""
    number, lowest = best or (epoch, rmse)
    return {
        "epoch": epoch,
        "loss": 0.5,
        "rmse": rmse,
        "mae": rmse / 2,
        "skill": 0.1,
        "learning_rate": 0.01,
        "gradient_norm": 0.3,
        "seconds": 2.0,
        "best": best_score(number, lowest),
    }


def best_score(epoch: int, rmse: float) -> BestScore:
    return {"epoch": epoch, "rmse": rmse, "mae": rmse / 2, "skill": 0.1}
