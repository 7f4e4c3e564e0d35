"""A study as MLflow has it: in a database, and on a server of its own that dies."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import lstm_model
import tuning
from lstm_model.errors import InputError
from tests.builders import copy_of, epoch_report, write_record
from tests.tuning.reporting.conftest import MakeStudy
from tests.tuning.reporting.event_files import ONE_LAYER, TWO_LAYERS
from tests.tuning.reporting.mlflow_process import ServerProcess
from tests.tuning.reporting.training import train
from tuning import cli
from tuning.reporting import mlflow_listener
from tuning.reporting.mlflow_listener import MLflow, MLflowServer, find_server
from tuning.study.study import Study
from tuning.study.trial import State

# Of MLflow's own store, which the client has in the place of a server.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'runs.db'}"


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """No word to MLflow's makers; and a server that failed is asked again at once."""
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setattr(mlflow_listener, "RETRY_SECONDS", 0.01)


@pytest.fixture
def server(database: str, tmp_path: Path) -> MLflowServer:
    """With an experiment for each test, whose files lie in the test's own folder."""
    server = find_server(database, tmp_path.name)
    with server.client() as client:
        client.create_experiment(tmp_path.name, (tmp_path / "artifacts").as_uri())
    return server


class Seen:
    """What the server has."""

    def __init__(self, server: MLflowServer) -> None:
        with server.client() as self.client:
            experiment = self.client.get_experiment_by_name(server.experiment)
            id = experiment and experiment.experiment_id
            runs = self.client.search_runs([id], max_results=5000) if id else []
        self.studies = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
        nested = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
        self.trials = {int(run.data.tags["lstm_tuning.trial"]): run for run in nested}
        assert len(self.trials) == len(nested), "each once"

    @property
    def study(self) -> Any:
        [study] = self.studies
        return study

    def curve(self, run: Any, name: str) -> list[tuple[int, float]]:
        history = self.client.get_metric_history(run.info.run_id, name)
        return [(each.step, each.value) for each in history]

    def all_sent(self) -> bool:
        """Whether a study's settings are there, and an epoch of each of its trials."""
        nested = [bool(run.data.metrics) for run in self.trials.values()]
        return all(bool(run.data.params) for run in self.studies) and nested != [] and all(nested)

    def states(self) -> dict[int, tuple[str, str]]:
        return {id: (run.info.status, run.data.tags["state"]) for id, run in self.trials.items()}


def epochs(study: Study, id: int, *numbers: int) -> None:
    for number in numbers:
        study.on_epoch(id, epoch_report(number, 9.0 + id - number / 10))


def run_four(study: Study) -> None:
    """A trial of each state, of three epochs each."""
    states: list[State] = ["finished", "stopped_early", "failed", "interrupted"]
    for id, state in enumerate(states):
        study.on_trial_start(id, TWO_LAYERS if id == 1 else ONE_LAYER)
        epochs(study, id, 1, 2, 3)
        study.on_trial_end(id, state, "out of memory" if state == "failed" else None)


THREE = [(1, 8.9), (2, 8.8), (3, 8.7)]


def check_four(study: Study, seen: Seen) -> None:
    """What run_four() came to, read back."""
    assert seen.states() == {
        0: ("FINISHED", "finished"),
        1: ("FINISHED", "stopped_early"),
        2: ("FAILED", "failed"),
        3: ("KILLED", "interrupted"),
    }
    for id, run in seen.trials.items():
        assert run.data.tags["mlflow.parentRunId"] == seen.study.info.run_id
        assert run.info.run_name == f"trial {id}"
        assert run.data.params == {k: str(v) for k, v in study.trials[id].config.items()}
        rmse: Any = [(step, pytest.approx(value + id)) for step, value in THREE]
        assert seen.curve(run, "rmse") == rmse
        assert seen.curve(run, "mae") == [(step, value.expected / 2) for step, value in rmse]
        assert seen.curve(run, "skill") == [(1, 0.1), (2, 0.1), (3, 0.1)]
        assert seen.curve(run, "loss") == [(1, 0.5), (2, 0.5), (3, 0.5)]
        best: Any = [] if id == 3 else [rmse[-1]]
        assert seen.curve(run, "best_rmse") == best
    assert seen.trials[2].data.tags["reason"] == "out of memory"


def test_study_is_there(make_study: MakeStudy, server: MLflowServer) -> None:
    study = make_study("air")
    study.attach(MLflow(server))
    run_four(study)
    study.finish("interrupted")
    seen = Seen(server)
    check_four(study, seen)
    run = seen.study
    assert (run.info.run_name, run.info.status) == ("air", "KILLED")
    assert run.data.tags["state"] == "interrupted"
    assert run.data.tags["folder"] == str(study.folder)
    assert run.data.tags["trials.failed"] == "1"
    assert run.data.params["search.dropout"] == "0 to 0.4, where num_layers is 2"
    assert run.data.params["fixed.context_length"] == "12"
    assert run.data.params["data.features"] == "pm, temp, wind"
    rmse = study.view.baselines.persistence.rmse
    assert seen.curve(run, "persistence_rmse") == [(0, rmse)]


def test_model_is_an_artifact(make_study: MakeStudy, server: MLflowServer, tmp_path: Path) -> None:
    study = make_study("air")
    study.attach(MLflow(server))
    train(study, 0, {**ONE_LAYER, "context_length": 12, "chunk_length": 48})
    study.finish("finished")
    seen = Seen(server)
    check_model(study, seen, tmp_path)
    assert seen.study.info.status == "FINISHED"
    assert seen.study.data.tags["best_trial"] == "0"
    best = study.view.best_score
    assert best is not None
    assert seen.curve(seen.study, "best_rmse") == [(1, best["rmse"])]
    assert seen.curve(seen.study, "ended_trials") == [(1, 1)]


def check_model(study: Study, seen: Seen, place: Path) -> None:
    """What is downloaded forecasts the same, to the last bit."""
    folder = seen.client.download_artifacts(seen.study.info.run_id, "best", str(place))
    recent = study.view.dataset.frame.iloc[-200:]
    models = [lstm_model.load(each) for each in (folder, str(study.folder / "best"))]
    sent, kept = (model.forecast(recent).table() for model in models)
    pd.testing.assert_frame_equal(sent, kept, check_exact=True)


def test_long_trial_is_sent_in_parts(make_study: MakeStudy, server: MLflowServer) -> None:
    study = make_study("air")
    study.on_trial_start(0, ONE_LAYER)
    epochs(study, 0, *range(1, 251))
    study.attach(MLflow(server))
    study.on_trial_end(0, "finished")
    study.finish("failed")
    seen = Seen(server)
    assert [step for step, _ in seen.curve(seen.trials[0], "gradient_norm")] == [*range(1, 251)]


def test_study_that_goes_on(make_study: MakeStudy, server: MLflowServer) -> None:
    """After a kill, from the first epoch on, in a folder that was moved; nothing comes twice."""
    study = make_study("air")
    study.attach(MLflow(server))
    run_four(study)
    study.on_trial_start(4, ONE_LAYER)
    epochs(study, 4, 1)
    write_record(study, study.trials[4])
    study.listeners[-1].on_study_end(study.view)  # all that there is has been sent
    study.release()
    assert isinstance(study.folder, Path)
    moved = study.folder.rename(study.folder.parent / "moved")
    again = copy_of(study, moved)
    again.resume([])
    again.attach(MLflow(server))
    before = Seen(server)
    assert before.study.info.run_id
    for id, last in ((0, 3), (3, 4), (4, 2), (5, 1)):  # 0 was the best, and no model was kept
        again.on_trial_start(id, ONE_LAYER)
        epochs(again, id, *range(1, last + 1))
        again.on_trial_end(id, "finished")
    again.finish("finished")
    seen = Seen(server)
    assert seen.study.info.run_id == before.study.info.run_id
    assert seen.study.data.tags["folder"] == str(moved)
    assert {id: run.info.status for id, run in seen.trials.items()} == {
        **dict.fromkeys((0, 1, 3, 4, 5), "FINISHED"),
        2: "FAILED",
    }
    assert [step for step, _ in seen.curve(seen.trials[0], "rmse")] == [1, 2, 3]
    assert [step for step, _ in seen.curve(seen.trials[3], "rmse")] == [1, 2, 3, 4]
    assert [step for step, _ in seen.curve(seen.trials[4], "rmse")] == [1, 2]
    for id in (0, 3, 4, 5):
        assert len(seen.curve(seen.trials[id], "best_rmse")) == 1
    assert len(seen.curve(seen.study, "persistence_rmse")) == 1


def send_all(study: Study, server: MLflowServer) -> None:
    """As when a study goes on, and nothing is left to do."""
    listener = MLflow(server)
    listener.on_study_start(study.view)
    listener.on_study_end(study.view)


class Outage:
    """A server that refuses every request of one kind while it is `on`.

    `refused` is set once it has refused two in a row.
    """

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, on: bool = True, once: bool = False
    ) -> None:
        from mlflow import MlflowClient

        self.on, self.count = on, 0
        self.refused = threading.Event()
        log_batch = MlflowClient.log_batch

        def refuse(*arguments: Any, **named: Any) -> None:
            if self.on:
                self.count += 1
                self.on = not once
                if self.count == 2:
                    self.refused.set()
                raise ConnectionResetError(104, "Connection reset by peer")
            log_batch(*arguments, **named)

        monkeypatch.setattr(MlflowClient, "log_batch", refuse)


def wait_for(condition: Callable[[], bool]) -> None:
    """Poll until it holds, for a minute at most."""
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_what_was_missed_is_sent_later(
    make_study: MakeStudy,
    server: MLflowServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    outage = Outage(monkeypatch)
    study = make_study("air")
    study.attach(MLflow(server))
    run_four(study)
    assert outage.refused.wait(60)
    outage.on = False
    study.finish("interrupted")
    check_four(study, Seen(server))
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "lacks what is new of trials 0" in err
    assert ": Connection reset by peer. The study goes on" in err


def test_second_outage_is_told_too(
    make_study: MakeStudy,
    server: MLflowServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    outage = Outage(monkeypatch)
    study = make_study("air")
    listener = MLflow(server)
    study.attach(listener)
    run_four(study)
    assert outage.refused.wait(60)
    outage.on = False
    wait_for(lambda: not listener._waiting and not listener._has_warned)
    outage.on = True
    study.finish("interrupted")
    first, second = capsys.readouterr().err.splitlines()
    assert "lacks what is new of trials 0" in first
    assert "lacks what is new of the study itself" in second


def test_single_failure_is_not_told(
    make_study: MakeStudy,
    server: MLflowServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As where a server closes a connection that had been idle; also at the very end."""
    outage = Outage(monkeypatch, once=True)
    study = make_study("air")
    run_four(study)
    listener = MLflow(server)
    listener._over.set()  # nothing more will come
    listener.on_study_start(study.view)
    listener.on_study_end(study.view)
    assert outage.count == 1
    assert capsys.readouterr().err == ""
    check_four(study, Seen(server))


def test_server_that_lost_all_gets_all(
    make_study: MakeStudy, server: MLflowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    outage = Outage(monkeypatch, on=False)
    study = make_study("air")
    study.attach(MLflow(server))
    run_four(study)
    study.on_trial_start(4, ONE_LAYER)
    wait_for(lambda: len(Seen(server).trials) >= 5)
    outage.on = True
    epochs(study, 4, 1)
    assert outage.refused.wait(60)
    lost = Seen(server)
    for run in (lost.study, *lost.trials.values()):
        lost.client.delete_run(run.info.run_id)
    outage.on = False
    study.on_trial_end(4, "failed")
    study.finish("interrupted")
    seen = Seen(server)
    assert [step for step, _ in seen.curve(seen.trials.pop(4), "rmse")] == [1]
    check_four(study, seen)


def test_study_outlives_its_server(
    make_study: MakeStudy,
    server: MLflowServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One warning, with the command that sends what is missing."""
    monkeypatch.setattr(mlflow_listener, "RETRY_SECONDS", 60)
    outage = Outage(monkeypatch)
    study = make_study("air")
    study.attach(MLflow(server))
    run_four(study)
    assert outage.refused.wait(60)
    run_four(study)
    study.finish("interrupted")
    assert outage.count == 3, "it is asked again after a while, and at the end"
    [warning] = capsys.readouterr().err.splitlines()
    again = f"-m tuning.run --resume {study.folder} --mlflow {server.uri}"
    assert warning.endswith(f"{again} --mlflow-experiment {server.experiment}")
    outage.on = False
    send_all(study, server)
    check_four(study, Seen(server))
    assert capsys.readouterr().err == ""


def test_silent_server_holds_nothing_up(
    make_study: MakeStudy,
    server: MLflowServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from mlflow import MlflowClient

    answers = threading.Event()
    monkeypatch.setattr(mlflow_listener, "END_SECONDS", 0.01)
    monkeypatch.setattr(MlflowClient, "log_batch", lambda *_, **__: answers.wait(5) and None)
    study = make_study("air")
    listener = MLflow(server)
    study.attach(listener)
    run_four(study)
    study.finish("interrupted")
    [warning] = capsys.readouterr().err.splitlines()
    assert ": no answer within 0.01 s. The study goes on" in warning
    answers.set()
    listener._thread.join(60)
    assert capsys.readouterr().err == ""


def test_process_is_left_as_it_was(
    make_study: MakeStudy, server: MLflowServer, capsys: pytest.CaptureFixture[str]
) -> None:
    import mlflow

    before = dict(os.environ), mlflow.get_tracking_uri()
    study = make_study("air")
    study.attach(MLflow(server))
    run_four(study)
    study.finish("interrupted")
    assert mlflow.active_run() is None
    assert not mlflow_listener.SETTINGS.keys() & os.environ.keys()
    assert (dict(os.environ), mlflow.get_tracking_uri()) == before
    assert "mlflow" not in {each.name for each in threading.enumerate()}
    assert capsys.readouterr().out == ""


def refused(uri: str, experiment: str | None = None) -> str:
    with pytest.raises(InputError) as error:
        find_server(uri, experiment)
    return str(error.value)


def test_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    rule = "--mlflow must be the URI of an MLflow server"
    assert refused("http://user:secret@127.0.0.1:1") == (
        f"{rule} that answers, but got http://127.0.0.1:1: Connection refused; "
        "start one (mlflow server), or name another"
    )
    assert refused(" ") == f"{rule}, such as http://127.0.0.1:5000, but got ' '"
    assert "unsupported URI 'localhost:5000'" in refused("localhost:5000")
    database = refused("mysql+nothere://user:se/cr@t@127.0.0.1/runs")
    assert "lstm-tuning[mlflow]" not in database
    assert "se/cr" not in database
    monkeypatch.setitem(sys.modules, "mlflow", None)
    assert refused("http://127.0.0.1:1") == (
        "--mlflow needs the library mlflow, which is not installed; "
        "pip install 'lstm-tuning[mlflow]'"
    )


def test_experiments(server: MLflowServer, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_server(server.uri).experiment == "lstm-tuning"
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "mine")
    assert find_server(server.uri).experiment == "mine"
    assert find_server(server.uri, "another").experiment == "another"
    with server.client() as client:
        client.delete_experiment(client.create_experiment("gone"))
    assert "but 'gone' was deleted on" in refused(server.uri, "gone")
    with pytest.raises(InputError, match="--mlflow-experiment must come with --mlflow"):
        cli.mlflow_server(None, "another")
    assert cli.mlflow_server(None, None) is None
    with pytest.raises(InputError, match=r"^mlflow must be the URI .* but got ''$"):
        tuning.run_study("univariate", mlflow="")


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A real server, which takes a quarter of a minute to start."""
    process = ServerProcess(tmp_path_factory.mktemp("server"))
    process.start()
    yield process
    process.stop()


@pytest.fixture
def remote(process: ServerProcess, tmp_path: Path) -> MLflowServer:
    return find_server(process.uri, tmp_path.name)


@pytest.mark.slow
def test_study_on_a_server(
    make_study: MakeStudy,
    remote: MLflowServer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    study = make_study("air")
    study.attach(MLflow(remote))
    run_four(study)
    train(study, 4, {**ONE_LAYER, "context_length": 12, "chunk_length": 48})
    study.finish("finished")
    assert capsys.readouterr() == ("", "")
    seen = Seen(remote)
    check_model(study, seen, tmp_path)
    del seen.trials[4]
    check_four(study, seen)


@pytest.mark.slow
def test_server_dies(
    make_study: MakeStudy,
    process: ServerProcess,
    remote: MLflowServer,
    capsys: pytest.CaptureFixture[str],
) -> None:
    study = make_study("air")
    study.attach(MLflow(remote))
    study.on_trial_start(0, ONE_LAYER)
    epochs(study, 0, 1)
    wait_for(lambda: Seen(remote).all_sent())
    process.stop()
    epochs(study, 0, 2, 3)
    study.on_trial_end(0, "finished")
    begun = time.monotonic()
    study.finish("finished")
    assert time.monotonic() - begun < mlflow_listener.END_SECONDS
    [warning] = capsys.readouterr().err.splitlines()
    assert "lacks what is new of trials 0 in study air: Connection refused. The" in warning
    process.start()
    send_all(study, remote)
    seen = Seen(remote)
    assert seen.states() == {0: ("FINISHED", "finished")}
    assert seen.curve(seen.trials[0], "rmse") == THREE
    assert seen.study.info.status == "FINISHED"
    assert capsys.readouterr().err == ""


@pytest.mark.slow
def test_real_study_that_goes_on(
    space: Callable[..., Path],
    run: Callable[..., subprocess.CompletedProcess[str]],
    remote: MLflowServer,
    tmp_path: Path,
) -> None:
    where = ("--mlflow", remote.uri, "--mlflow-experiment", remote.experiment, "--quiet")
    first = run("--space", space(trials=2), "--name", "air", *where)
    assert (first.returncode, first.stdout, first.stderr) == (0, "", "")
    before = Seen(remote)
    again = run("--resume", "air", "--trials", "3", *where)
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    seen = Seen(remote)
    assert seen.study.info.run_id == before.study.info.run_id
    kept_in = tmp_path / "runs" / "air"
    records = [json.loads(file.read_text()) for file in (kept_in / "trials").glob("*.json")]
    assert {record["id"] for record in records} == seen.trials.keys() == {0, 1, 2}
    for record in records:
        sent = seen.trials[record["id"]]
        assert sent.data.params == {name: str(value) for name, value in record["config"].items()}
        for name in ("loss", "rmse", "mae", "skill", "learning_rate"):
            kept = [(int(epoch["epoch"]), epoch[name]) for epoch in record["history"]]
            assert seen.curve(sent, name) == kept
    folder = seen.client.download_artifacts(seen.study.info.run_id, "best", str(tmp_path))
    for file in Path(folder).iterdir():
        assert file.read_bytes() == (kept_in / "best" / file.name).read_bytes()
    assert seen.curve(seen.study, "best_rmse")[-1][1] == tuning.load_study(kept_in).best.rmse
