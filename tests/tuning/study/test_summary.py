"""summary.json and trials.csv."""

import csv
import io

from tests.builders import epoch_report
from tests.tuning.study.studies import CONFIG, folder_of, read
from tuning.study.study import Study
from tuning.study.summary import trials_csv


def test_the_table_has_a_row_a_trial_and_a_column_a_hyperparameter(study: Study) -> None:
    study.on_trial_start(
        1, {**CONFIG, "num_layers": 2, "dropout": 0.2, "learning_rate": 0.01, "loss": "mse"}
    )
    study.on_epoch(1, epoch_report(1, 8.0))
    study.on_trial_start(0, CONFIG)
    study.on_trial_end(0, "failed", 'the loss, as "they" say, is not finite')
    rows = list(csv.DictReader(io.StringIO((folder_of(study) / "trials.csv").read_text())))
    assert list(rows[0])[:7] == ["id", "state", "epochs", "seconds", "rmse", "mae", "skill"]
    assert [(row["id"], row["state"]) for row in rows] == [("0", "failed"), ("1", "running")]
    assert rows[0]["rmse"] == rows[0]["dropout"] == ""
    assert rows[0]["reason"] == 'the loss, as "they" say, is not finite'
    assert (rows[1]["rmse"], rows[1]["dropout"], rows[1]["loss"]) == ("8.0", "0.2", "mse")
    assert rows[1]["context_length"] == "12"
    assert trials_csv(study.trials, study.space) == (study.folder / "trials.csv").read_bytes()


def test_a_failed_trial_is_counted_and_is_not_the_best(study: Study) -> None:
    study.on_trial_start(0, CONFIG)
    study.on_trial_end(0, "failed", "out of memory")
    study.finish("failed")
    outcome = read(study, "summary.json")
    assert outcome["trials"]["failed"] == 1
    assert (outcome["state"], outcome["best"]) == ("failed", None)
