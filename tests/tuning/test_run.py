"""The command, from the outside: a real Ray, real trials, the folder that is left."""

import csv
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
import pytest
import torch
from optuna.storages.journal import JournalFileBackend

from lstm_model.command import run_app
from lstm_model.configuration import Configuration
from lstm_model.data.encoded_table import EncodedTable
from lstm_model.data.sources import load_dataset
from lstm_model.inference.predictor import TrainedForecaster
from lstm_model.training.trainer import Trainer
from tests.tuning.conftest import command
from tuning.reporting.terminal import Terminal
from tuning.run import app
from tuning.space.search_space import read_space
from tuning.workflows.debug import debug_one_trial

Run = Callable[..., subprocess.CompletedProcess[str]]
Space = Callable[..., Path]


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "trials.csv").open() as file:
        return list(csv.DictReader(file))


def summary(folder: Path) -> Any:
    return json.loads((folder / "summary.json").read_text())


@pytest.fixture(scope="module", params=["changed", pytest.param("plain", marks=pytest.mark.slow)])
def finished(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, table: Path
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A study of eight trials at horizon 2, and what its command said; with Ray as it is, too."""
    from tests.tuning.conftest import SPACE

    home = tmp_path_factory.mktemp("finished")
    (home / "tiny.yaml").write_text(
        SPACE.format(source=table, trials=8, max_epochs=6, horizon=2, scheduler="asha")
    )
    done = subprocess.run(
        [sys.executable, "-m", "tuning.run", "--space", "tiny.yaml", "--name", "air"]
        + (["--plain-ray"] if request.param == "plain" else []),
        capture_output=True,
        text=True,
        cwd=home,
        env={**os.environ, "HOME": str(home / "user")},
        umask=0o022,  # whatever is written there, others may read
        timeout=180,
        check=False,
    )
    return home / "runs" / "air", done


Finished = tuple[Path, subprocess.CompletedProcess[str]]


def test_it_says_how_it_went_and_where_things_are(finished: Finished) -> None:
    _, done = finished
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", "Ray's chatter stays out of the way"
    assert "8 of 8 trials done" in done.stdout
    assert "persistence" in done.stdout
    assert "ridge" in done.stdout
    assert "Best model    runs/air/best" in done.stdout
    assert "tensorboard --logdir runs" in done.stdout


def test_the_folder_is_as_the_contract_has_it(finished: Finished) -> None:
    folder, _ = finished
    assert sorted(each.name for each in folder.iterdir()) == [
        "best",
        "optuna.journal",
        "space.yaml",
        "study.json",
        "summary.json",
        "tensorboard",
        "trials",
        "trials.csv",
    ]
    assert sorted(each.name for each in (folder / "best").iterdir()) == [
        "model.json",
        "model.safetensors",
        "trial.json",
    ]
    assert sorted(int(each.stem) for each in (folder / "trials").iterdir()) == list(range(8))


def test_the_summary_agrees_with_the_trials(finished: Finished) -> None:
    folder, _ = finished
    told, trials = summary(folder), rows(folder)
    states = [row["state"] for row in trials]
    assert [row["id"] for row in trials] == [str(number) for number in range(8)]
    assert told["state"] == "finished"
    assert told["trials"] == {
        state: states.count(state) for state in ("finished", "stopped_early", "failed")
    }
    assert sum(told["trials"].values()) == 8
    assert told["trials"]["stopped_early"] > 0, "ASHA stops some of eight"
    best = min(trials, key=lambda row: float(row["rmse"]))
    assert told["best"]["trial"] == int(best["id"])
    assert told["best"]["validation"]["rmse"] == float(best["rmse"])
    assert 0 < told["trial_seconds"] < 2 * told["wall_seconds"]
    assert told["data"]["features"] == ["pm", "temp", "wind"]
    assert told["data"]["input_channels"] == 7
    assert told["data"]["rows"] == 1500
    assert told["data"]["simulated"] is False
    by_lead_time = told["best"]["validation"]["by_lead_time"]
    assert told["best"]["validation"]["rmse"] == pytest.approx(
        sum(by_lead_time["rmse"].values()) / 2
    )
    for row in trials:
        full = 6 if row["state"] == "finished" else 3
        assert int(row["epochs"]) == full, "ASHA's one rung is at half of six epochs"
        assert (row["dropout"] != "") == (row["num_layers"] == "2")
        assert 1 <= int(row["best_epoch"]) <= int(row["epochs"])


def test_the_kept_model_makes_the_errors_that_were_reported(
    finished: Finished, table: Path
) -> None:
    """Load it from the folder, forecast the raw table, and work the error out by hand."""
    folder, _ = finished
    frame = pd.read_csv(table, parse_dates=["time"]).set_index("time")
    forecasts = TrainedForecaster.load(folder / "best").forecast(frame)
    observed = frame["pm"].to_numpy()
    times = frame.index
    first = times.get_loc(forecasts.origins[0])
    assert isinstance(first, int)
    inside = (times >= "2020-02-10") & (times < "2020-02-25")
    for lead, reported in summary(folder)["best"]["validation"]["by_lead_time"]["rmse"].items():
        hours = np.flatnonzero(inside & np.isfinite(observed))
        errors = forecasts.point[hours - first - int(lead), int(lead) - 1] - observed[hours]
        assert np.sqrt(np.mean(errors**2)) == pytest.approx(reported, rel=1e-4)


def test_the_journal_tells_the_same_story(finished: Finished) -> None:
    folder, _ = finished
    storage = optuna.storages.JournalStorage(JournalFileBackend(str(folder / "optuna.journal")))
    [study] = optuna.get_all_study_summaries(storage)
    trials = optuna.load_study(study_name=study.study_name, storage=storage).trials
    state = {"COMPLETE": "finished", "PRUNED": "stopped_early", "FAIL": "failed"}
    told = {trial.user_attrs["trial"]: state[trial.state.name] for trial in trials}
    assert told == {int(row["id"]): row["state"] for row in rows(folder)}


def test_tensorboard_has_a_run_for_each_trial(finished: Finished) -> None:
    folder, _ = finished
    runs = sorted(each.name for each in (folder / "tensorboard" / "trials").iterdir())
    assert runs == [f"{number:04d}" for number in range(8)]
    assert not list((folder / "tensorboard" / "running").glob("*"))


def test_nothing_is_left_running_or_lying_about(finished: Finished) -> None:
    folder, _ = finished
    assert not [each for each in folder.rglob("*") if each.name.startswith(".")]
    ours = str(folder.parent.parent)
    for process in Path("/proc").glob("[0-9]*"):
        try:
            assert os.readlink(process / "cwd") != ours
        except OSError:
            continue  # gone meanwhile, or not ours to look at


def test_no_token_is_left_behind(finished: Finished) -> None:
    """Whoever reads it can run programs in that user's Rays."""
    folder, _ = finished
    assert not list((folder.parent.parent / "user").rglob("*token*"))


def test_a_name_that_exists_is_refused(finished: Finished) -> None:
    folder, _ = finished
    before = (folder / "summary.json").read_bytes()
    done = subprocess.run(
        [sys.executable, "-m", "tuning.run", "--space", "tiny.yaml", "--name", "air"],
        capture_output=True,
        text=True,
        cwd=folder.parent.parent,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == (
        "runs/air exists; go on with it: --resume runs/air, or choose another --name\n"
    )
    assert (folder / "summary.json").read_bytes() == before


def test_a_budget_below_what_there_is_is_refused(
    finished: Finished, environment: dict[str, str]
) -> None:
    folder, _ = finished
    before = (folder / "study.json").read_bytes()
    home = folder.parent.parent
    done = command("tuning.run", home, environment, "--resume", "air", "--trials", 7)
    assert (done.returncode, done.stderr) == (
        2,
        "--trials must be at least 8, since runs/air has records of so many, but got 7; leave it "
        "out, or ask for more\n",
    )
    assert (folder / "study.json").read_bytes() == before


@pytest.mark.slow
def test_one_worker_and_one_seed_give_one_result(run: Run, space: Space, tmp_path: Path) -> None:
    space(trials=4)
    for name in ("one", "two"):
        done = run("--space", "tiny.yaml", "--concurrency", 1, "--name", name, "--quiet")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    tables = []
    for name in ("one", "two"):
        found = rows(tmp_path / "runs" / name)
        tables.append([{k: v for k, v in row.items() if k != "seconds"} for row in found])
    assert tables[0] == tables[1]
    weights = [tmp_path / "runs" / name / "best" / "model.safetensors" for name in ("one", "two")]
    assert weights[0].read_bytes() == weights[1].read_bytes()

    # A worker that has had other trials trains the next one as a new process does.
    settled = read_space(str(tmp_path / "tiny.yaml"))
    table = load_dataset(settled.data)
    series = EncodedTable.from_table(table.frame, table.step, settled.data)
    torch.set_num_threads(1)
    for file in (tmp_path / "runs" / "one" / "trials").iterdir():
        record = json.loads(file.read_text())
        fit = Trainer(Configuration(**record["config"]), series, max_epochs=4, seed=0)
        alone = [epoch.score.rmse for epoch, _ in zip(fit, record["history"], strict=False)]
        assert [epoch["rmse"] for epoch in record["history"]] == alone


@pytest.mark.slow
def test_a_finished_study_is_extended(run: Run, space: Space, tmp_path: Path) -> None:
    space(trials=2, max_epochs=3)
    assert run("--space", "tiny.yaml", "--name", "air", "--concurrency", 1).returncode == 0
    first = rows(tmp_path / "runs" / "air")
    done = run("--resume", "air", "--trials", 4, "--concurrency", 1)
    assert (done.returncode, done.stderr) == (0, "")
    assert rows(tmp_path / "runs" / "air")[:2] == first
    assert summary(tmp_path / "runs" / "air")["trials"]["finished"] >= 1
    assert [row["id"] for row in rows(tmp_path / "runs" / "air")] == ["0", "1", "2", "3"]


@pytest.fixture
def started(tmp_path: Path, environment: dict[str, str]) -> Callable[[], subprocess.Popen[str]]:
    """Starts the study `air` of tiny.yaml, in a process group of its own."""

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "tuning.run", "--space", "tiny.yaml", "--name", "air"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env=environment,
            start_new_session=True,
        )

    return start


@pytest.fixture
def under_way(space: Space, started: Callable[[], subprocess.Popen[str]]) -> subprocess.Popen[str]:
    """A long study with a first result."""
    space(trials=1000, max_epochs=10_000, scheduler="none")
    process = started()
    assert process.stdout is not None
    for line in process.stdout:
        if "Best so far" in line:
            break
    return process


def stopped(name: str) -> str:
    return (
        f"{name}: stopping after the running epochs\n"
        f"{name}: stopped with 0 of 1000 trials done; everything is saved. "
        "Go on with: python -m tuning.run --resume runs/air\n"
    )


@pytest.mark.parametrize(
    ("send", "number"),
    [
        # As a terminal does: to the command and all that it started.
        (os.killpg, signal.SIGINT),
        # As `timeout` and batch systems do.
        (os.killpg, signal.SIGTERM),
        # As `ray job stop`, a service manager or `kill` do.
        (os.kill, signal.SIGTERM),
    ],
)
def test_a_signal_ends_it_in_order(
    under_way: subprocess.Popen[str],
    tmp_path: Path,
    send: Callable[[int, signal.Signals], None],
    number: signal.Signals,
) -> None:
    send(under_way.pid, number)
    _, complaint = under_way.communicate(timeout=120)
    assert (under_way.returncode, complaint) == (130, stopped(number.name))
    folder = tmp_path / "runs" / "air"
    assert summary(folder)["state"] == "interrupted"
    assert {row["state"] for row in rows(folder)} == {"interrupted"}
    saved = [row for row in rows(folder) if row["epochs"] != "0"]
    assert saved
    for row in saved:
        record = json.loads((folder / "trials" / f"{row['id']}.json").read_text())
        state = json.loads((folder / record["checkpoint"] / "training.json").read_text())
        assert state["epoch"] == record["history"][-1]["epoch"] == int(row["epochs"])
    assert (folder / "best" / "model.safetensors").exists()


def test_a_time_budget_ends_it_as_done(run: Run, space: Space, tmp_path: Path) -> None:
    """And what it says to type can be typed, in a directory whose name has a space too."""
    space(trials=1000, max_epochs=1000, scheduler="none")
    asked = ("--space", "tiny.yaml", "--runs", "my runs", "--name", "air")
    done = run(*asked, "--time-budget", "15s")
    assert done.returncode == 0
    assert done.stderr.startswith("time is up: stopped with ")
    folder = tmp_path / "my runs" / "air"
    assert summary(folder)["state"] == "finished"
    states = [row["state"] for row in rows(folder)]
    assert set(states) <= {"interrupted", "finished"}
    assert len(states) < 1000

    _, _, line = done.stderr.partition("Go on with: ")
    assert shlex.split(line)[:3] == ["python", "-m", "tuning.run"]
    going_on = run(*shlex.split(line)[3:], "--check")
    assert (going_on.returncode, going_on.stderr) == (0, "")
    again = run(*asked)
    assert again.returncode == 2
    [typed] = re.findall(r"go on with it: (.*), or choose another --name\n", again.stderr)
    assert shlex.split(typed) == ["--resume", "my runs/air"]
    last = dict(re.findall(r"^(Best model|TensorBoard) +(.*)", done.stdout, re.MULTILINE))
    assert shlex.split(last["Best model"]) == ["my runs/air/best"]
    assert shlex.split(last["TensorBoard"]) == ["tensorboard", "--logdir", "my runs"]


@pytest.fixture
def two_cores() -> Iterator[None]:
    """As taskset leaves them, to the commands that are started too; one, where there is but one."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:2])
    yield
    os.sched_setaffinity(0, before)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="cores are left to a process on Linux alone")
@pytest.mark.usefixtures("two_cores")
def test_more_at_once_than_cores_are_warned_of_and_counted(run: Run, space: Space) -> None:
    """Trials of a moment: the first are over when the last workers come."""
    space(trials=45, max_epochs=2, scheduler="none")
    asked = ("--space", "tiny.yaml", "--name", "air", "--cpus-per-trial", 0.02)
    done = run(*asked, "--concurrency", 40)
    assert done.returncode == 0
    assert re.fullmatch(
        r"warning: 40 trials at once share ([12]) cores?, so each takes some [24]0 times as long, "
        r"and the search asks for 40 before it has a result to learn from; "
        r"ask for --concurrency \1\n",
        done.stderr,
    ), done.stderr
    last = done.stdout.splitlines()[-1]
    counted = re.fullmatch(r"40 at once were asked for: (\d+) ever ran at once", last)
    assert counted is not None, last
    assert 1 <= int(counted[1]) < 40


def test_check_says_what_would_run_and_starts_nothing(
    run: Run, space: Space, tmp_path: Path
) -> None:
    path = space(horizon=2)
    path.write_text(path.read_text().replace("  horizon: 2\n", "  horizon: 2\n  folds: 2\n"))
    before = sorted(tmp_path.iterdir())
    some = ("--trials", 7, "--cpus-per-trial", 2, "--time-budget", "1h30m")
    done = run("--space", "tiny.yaml", "--check", *some)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(tmp_path.iterdir()) == before
    lines = {line[:16].strip(): line[16:] for line in done.stdout.splitlines()}
    assert lines["channels"] == "7: pm, temp, wind=NW, wind=SE, pm:mean24, pm:mean168, temp:mean24"
    # 960 rows before 10 February; rows 40, 41 and 700 are missing, and row 0 has no row before it.
    assert "956 forecasts scored at lead time 1, 955 at lead time 2" in lines["training"]
    # Fifteen days without row 1100.
    assert "359 forecasts scored at lead time 1, 359 at lead time 2" in lines["validation"]
    # The fold before is as long: from 26 January, and row 700 is the 30th's.
    assert lines["earlier fold"].startswith("2020-01-26 00:00 to 2020-02-09 23:00; 359 forecasts")
    assert lines["budget"].startswith("7 trials of at most 4 epochs")
    assert "ended after 1:30:00, whatever is done by then" in done.stdout
    assert lines["each trial"].startswith("2 CPU, 0 GPU")
    assert lines["test"] == "180 rows from 2020-02-25 00:00, not read"


def test_check_says_what_would_not_run(run: Run, space: Space) -> None:
    path = space()
    path.write_text(
        path.read_text() + "  - {hidden_size: 4, num_layers: 1, learning_rate: 1e-2, loss: mae}\n"
    )
    done = run("--space", "tiny.yaml", "--check", "--trials", 1, "--cpus-per-trial", 500)
    assert done.returncode == 0
    assert "more CPU than this machine has" in done.stdout
    assert "the last 1 of 2 initial trials won't be tried" in done.stdout
    plain = run("--space", "tiny.yaml", "--check").stdout
    assert "won't be tried" not in plain
    assert "ended after" not in plain


def test_check_refuses_what_a_run_would(run: Run, space: Space, tmp_path: Path) -> None:
    space()
    (tmp_path / "runs" / "air").mkdir(parents=True)
    done = run("--space", "tiny.yaml", "--name", "air", "--check")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("runs/air exists, and is no study")


def test_check_names_simulated_data_once(run: Run) -> None:
    done = run("--space", "univariate.yaml", "--data", "simulated", "--check")
    assert "data            simulated, 43,824 rows, one every 1 h\n" in done.stdout


def test_check_refuses_a_gpu_that_torch_can_not_use(
    run: Run, space: Space, environment: dict[str, str]
) -> None:
    space()
    environment["CUDA_VISIBLE_DEVICES"] = ""
    asked = ("--space", "tiny.yaml", "--gpus-per-trial", "0.5", "--check")
    done = run(*asked)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("each trial asks for 0.5 GPU, but this torch (")
    # What a cluster has can't be known here.
    assert run(*asked, "--address", "auto").returncode == 0


def test_debug_trains_the_first_initial_trial_here(run: Run, space: Space, tmp_path: Path) -> None:
    space()
    done = run("--space", "tiny.yaml", "--debug")
    assert (done.returncode, done.stderr) == (0, "")
    assert "hidden_size=8" in done.stdout
    assert "num_layers=1" in done.stdout
    assert [line.split(":")[0] for line in done.stdout.splitlines()[1:]] == [
        f"epoch {number}" for number in range(1, 5)
    ]
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(("cores", "threads"), [(3.0, 3), (0.5, 1)])
def test_debug_has_a_trial_s_threads(
    space: Space, capsys: pytest.CaptureFixture[str], cores: float, threads: int
) -> None:
    settled = read_space(str(space(max_epochs=1))).overridden({"resources.cpu": cores})
    table = load_dataset(settled.data)
    series = EncodedTable.from_table(table.frame, table.step, settled.data)
    before = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        debug_one_trial(settled, series, Terminal())
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert "epoch 1:" in capsys.readouterr().out


MISTAKES: list[tuple[list[str], str]] = [
    (["--space", "nowhere.yaml"], "nowhere.yaml"),
    (["--space", "tiny.yaml", "--trials", "0"], "--trials: must be at least 1, but got 0"),
    (["--space", "tiny.yaml", "--trials", "many"], "Invalid value for '--trials'"),
    (["--space", "tiny.yaml", "--horizon", "0"], "--horizon: must be at least 1, but got 0"),
    (["--space", "tiny.yaml", "--calendar", "moon"], "--calendar"),
    (["--space", "tiny.yaml", "--time-budget", "soon"], "--time-budget must be more than 0"),
    (["--space", "tiny.yaml", "--time-budget", "5"], "but got '5'; say 5s or 5m"),
    (["--space", "tiny.yaml", "--name", "../up"], "a study's name must be"),
    (["--space", "tiny.yaml", "--data", "gone.csv"], "gone.csv: can't be read"),
    (["--space", "tiny.yaml", "--cpus-per-trial", "1000"], "each trial asks for 1000 CPU"),
    (["--space", "tiny.yaml", "--gpus-per-trial", "99"], " 99 GPU, but "),
    (["--space", "tiny.yaml", "--address", "127.0.0.1:1"], "--address must name a running Ray"),
    (["--space", "tiny.yaml", "--storage", "ftp://b/x"], "a storage must be a directory or a URI"),
    (["--spaec", "tiny.yaml"], "No such option"),
    ([], "give one of them"),
    (["--space", "tiny.yaml", "--resume", "air"], "give one of them"),
    (["--resume", "air"], "--resume must name a study's folder, but 'air' holds no study.json"),
    (["--resume", "air", "--seed", "1"], "--seed can't change when a study goes on"),
]


@pytest.mark.slow
def test_a_study_goes_on_where_nobody_reads_its_output(
    space: Space, started: Callable[[], subprocess.Popen[str]], tmp_path: Path
) -> None:
    """As `| head -1` leaves it."""
    space(trials=2, max_epochs=3)
    process = started()
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=120) == 0
    assert process.stderr.read() == ""
    process.stderr.close()
    assert summary(tmp_path / "runs" / "air")["state"] == "finished"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with room for a few checkpoints."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"a small file system can't be mounted: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.slow
def test_a_full_disk_is_told_in_one_line(run: Run, space: Space, small_disk: Path) -> None:
    space(trials=200, max_epochs=3, scheduler="none")
    done = run("--space", "tiny.yaml", "--runs", small_disk, "--name", "air")
    assert done.returncode == 1
    folder = small_disk / "air"
    assert done.stderr == (
        f"error: {folder} can't be written any more: No space left on device. What was saved there "
        "is in order; when it can be written again, go on with: "
        f"python -m tuning.run --resume {folder}\n"
    )
    for record in (folder / "trials").glob("[0-9]*.json"):
        json.loads(record.read_text())
    for name in ("study.json", "summary.json"):
        json.loads((folder / name).read_text())


@pytest.mark.parametrize(("arguments", "message"), MISTAKES)
def test_the_users_mistakes(
    run: Run, space: Space, tmp_path: Path, arguments: list[str], message: str
) -> None:
    space()
    done = run(*arguments)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "runs").exists(), "a mistake leaves nothing behind"


def test_every_mistake_of_a_space_at_once(run: Run, space: Space, tmp_path: Path) -> None:
    path = space()
    path.write_text(
        path.read_text().replace("hidden_size: ", "hiden_size: ").replace("mae]", "mea]")
    )
    done = run("--space", path.name)
    assert done.returncode == 2
    assert [line.split(": ")[0] for line in done.stderr.splitlines()] == [
        "tiny.yaml:12:3",
        "tiny.yaml:16:53",
        "tiny.yaml:19:6",
    ]
    assert "no hyperparameter 'hiden_size'; did you mean 'hidden_size'?" in done.stderr


def test_beijing_without_its_data_names_the_ways_out(run: Run, environment: dict[str, str]) -> None:
    environment["LSTM_TUNING_DATA"] = "/nowhere"
    done = run("--space", "univariate.yaml", "--data", "beijing", "--check")
    assert done.returncode == 2
    for way in ("LSTM_TUNING_DATA", "network", "--data simulated"):
        assert way in done.stderr


def test_a_fallback_is_told(run: Run, environment: dict[str, str]) -> None:
    environment["LSTM_TUNING_DATA"] = "/nowhere"
    done = run("--space", "univariate.yaml", "--check", "--quiet")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith("warning: Beijing's data could not be had")


def test_help_names_every_option_of_the_contract(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_app(app, ["--help"]) == 0
    told = capsys.readouterr().out
    for option in (
        *("--space", "--trials", "--time-budget", "--max-epochs", "--data", "--horizon"),
        *("--calendar", "--name", "--runs", "--storage", "--address", "--seed"),
        *("--cpus-per-trial", "--gpus-per-trial", "--concurrency", "--verbose", "--quiet"),
        *("--check", "--debug", "--resume", "--or-resume"),
    ):
        assert option in told
