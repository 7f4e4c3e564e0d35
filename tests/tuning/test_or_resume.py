"""A command that may be repeated: it begins a study, goes on with it, or says that it is done."""

import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from lstm_model.command import run_app
from lstm_model.errors import InputError
from lstm_model.files import write_file
from tests.builders import epoch_report, study_view
from tuning import run
from tuning.ray_backend import session
from tuning.study import lock, summary
from tuning.study import study as study_module
from tuning.study.study import Study

ASKED = ("--space", "tiny.yaml", "--name", "air", "--or-resume")
QUIET = Console(quiet=True)

Run = Callable[..., subprocess.CompletedProcess[str]]
Space = Callable[..., Path]
Answer = tuple[int, str, str]


def records(folder: Path) -> dict[int, Any]:
    return {int(file.stem): json.loads(file.read_text()) for file in folder.glob("trials/*.json")}


def contents(folder: Path) -> dict[Path, bytes | None]:
    """All that lies in a folder."""
    return {
        path: path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))
    }


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="is POSIX's")
@pytest.mark.slow
def test_the_same_command_begins_goes_on_after_a_kill_and_says_when_it_is_done(
    run: Run, space: Space, tmp_path: Path, environment: dict[str, str]
) -> None:
    space(trials=6, max_epochs=40, scheduler="none")
    folder = tmp_path / "runs" / "air"
    first = subprocess.Popen(
        [sys.executable, "-m", "tuning.run", *ASKED],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=environment,
    )
    assert first.stdout is not None
    for line in first.stdout:
        if re.match(r"[1-9]\d* of 6 trials done", line):
            break
    first.kill()
    first.communicate(timeout=60)
    assert first.returncode == -signal.SIGKILL
    before = {
        number: record
        for number, record in records(folder).items()
        if record["state"] == "finished"
    }
    assert 0 < len(before) < 10

    again = run(*ASKED)
    assert (again.returncode, again.stderr) == (0, "")
    after = records(folder)
    assert {record["state"] for record in after.values()} == {"finished"}
    assert sorted(after) == list(range(6))
    assert {number: after[number] for number in before} == before, "what had ended ran again"
    assert len(json.loads((folder / "study.json").read_text())["resumed"]) == 1

    left = contents(folder)
    done = run(*ASKED)
    complete = "Study air: nothing is left to do: 6 trials are there, in runs/air\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, complete, "")
    assert contents(folder) == left

    more = run(*ASKED, "--trials", 7)
    assert (more.returncode, more.stderr) == (0, "")
    assert {number: records(folder)[number] for number in after} == after
    assert sorted(records(folder)) == list(range(7))
    # The file still says 6: a study that was extended stays so.
    done = run(*ASKED)
    assert (done.returncode, done.stdout) == (0, complete.replace("6 trials", "7 trials"))


@pytest.fixture
def ready(
    space: Space, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """A directory with tiny.yaml, of two trials, and a table of its own, where no Ray may start."""
    path = space(trials=2)
    shutil.copy(table, tmp_path / "own.csv")
    path.write_text(path.read_text().replace(str(table), "own.csv"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LSTM_TUNING_DATA", raising=False)

    def no_ray(*_: object, **__: object) -> None:
        raise AssertionError("Ray was started")

    monkeypatch.setattr(session, "ray_session", no_ray)
    handler = signal.getsignal(signal.SIGTERM)
    yield tmp_path
    signal.signal(signal.SIGTERM, handler)


def new(folder: Path) -> Study:
    """The study of tiny.yaml, of which nothing is written yet."""
    return Study(study_view(folder, Path("tiny.yaml")))


@pytest.fixture
def finished(ready: Path) -> Path:
    """The folder of a study whose two trials have ended, one of them badly."""
    study = new(Path("runs") / "air")
    study.create(["python", "-m", "tuning.run"])
    for number in range(2):
        study.on_trial_start(number, dict(study.space.initial_trials[0]))
        study.on_epoch(number, epoch_report(1, 5.0))
    study.on_trial_end(0, "finished")
    study.on_trial_end(1, "failed", "by chance")
    study.finish("finished")
    (ready / "runs" / "air" / "best").mkdir()
    (ready / "runs" / "air" / "best" / "model.safetensors").touch()
    return ready / "runs" / "air"


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """Gives the command these arguments, in this process."""

    def answer(*arguments: object) -> Answer:
        status = run_app(run.app, [str(each) for each in arguments])
        return (status, *capsys.readouterr())

    return answer


DONE = "Study air: nothing is left to do: 2 trials are there, in runs/air\n"


def test_where_nothing_is_left_no_ray_is_started(
    finished: Path, ask: Callable[..., Answer]
) -> None:
    before = contents(finished)
    assert ask(*ASKED) == (0, DONE, "")
    assert ask(*ASKED, "--cpus-per-trial", 2) == (0, DONE, ""), "no result depends on it"
    assert ask(*ASKED, "--quiet") == (0, "", "")
    status, output, complaint = ask(*ASKED, "--check")
    assert (status, complaint) == (0, "")
    assert output.startswith("space           tiny.yaml")
    assert output.endswith(DONE)
    assert contents(finished) == before


@pytest.mark.parametrize("left", ["a trial", "the model", "its end", "the summary"])
def test_what_is_left_is_done(finished: Path, ask: Callable[..., Answer], left: str) -> None:
    match left:
        case "a trial":
            (finished / "trials" / "1.json").unlink()
        case "the model":
            (finished / "best" / "model.safetensors").unlink()
        case "its end":
            summary = finished / "summary.json"
            summary.write_text(summary.read_text().replace('"finished",', '"running",'))
        case "the summary":
            (finished / "summary.json").unlink()
    with pytest.raises(AssertionError, match="Ray was started"):
        ask(*ASKED)


@pytest.mark.parametrize(
    ("changed", "arguments", "message"),
    [
        (None, ("--seed", 1), "study.seed: 0 against 1"),
        (None, ("--max-epochs", 9), "study.max_epochs: 4 against 9"),
        (None, ("--data", "other.csv"), "data.source: own.csv against other.csv"),
        (("high: 16", "high: 32"), ("--trials", 9), "search"),
        (("hidden_size: 8", "hidden_size: 9"), (), "initial_trials"),
    ],
)
def test_another_study_of_that_name_is_refused(
    finished: Path,
    ask: Callable[..., Answer],
    changed: tuple[str, str] | None,
    arguments: tuple[object, ...],
    message: str,
) -> None:
    shutil.copy("own.csv", "other.csv")
    if changed:
        file = Path("tiny.yaml")
        file.write_text(file.read_text().replace(*changed))
    before = contents(finished)
    refusal = (
        f"runs/air exists with other settings than are asked for: {message}; choose another "
        "--name, or ask for the same\n"
    )
    assert ask(*ASKED, *arguments) == (2, "", refusal)
    assert contents(finished) == before


def test_other_data_of_the_same_name_are_refused(
    finished: Path, ask: Callable[..., Answer]
) -> None:
    with open("own.csv", "a") as file:
        file.write("2020-03-03 12:00:00,50,10,NW\n")
    status, output, complaint = ask(*ASKED)
    assert (status, output) == (2, "")
    assert complaint.startswith("runs/air was begun with other data: own.csv of SHA-256 ")


def test_fewer_trials_than_there_are_are_refused(
    finished: Path, ask: Callable[..., Answer]
) -> None:
    status, output, complaint = ask(*ASKED, "--trials", 1)
    assert (status, output) == (2, "")
    assert complaint.startswith("--trials must be at least 2, since runs/air has records of so ")
    # A file that asks for fewer changes nothing.
    file = Path("tiny.yaml")
    file.write_text(file.read_text().replace("trials: 2", "trials: 1"))
    assert ask(*ASKED) == (0, DONE, "")
    assert re.search(r"^budget +2 trials of ", ask(*ASKED, "--check")[1], re.MULTILINE)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--space", "tiny.yaml", "--or-resume"), "--or-resume goes on with the study that --name"),
        (("--resume", "air", "--or-resume"), "--or-resume begins a study or goes on with it, and"),
        (("--name", "air", "--or-resume"), "--space FILE begins a study and --resume STUDY goes"),
    ],
)
def test_which_study_is_meant_has_to_be_said(
    ready: Path, ask: Callable[..., Answer], arguments: tuple[str, ...], message: str
) -> None:
    status, out, complaint = ask(*arguments)
    assert (status, out) == (2, "")
    assert complaint.startswith(message)
    assert not (ready / "runs").exists()


# Beginnings that are cut off


class Killed(BaseException):
    """What a kill leaves behind is what this one does, where nobody takes it."""


@pytest.mark.parametrize(
    "left", [(), (".space.yaml.ab_d5678",), ("space.yaml",), ("space.yaml", ".study.json.efg_1234")]
)
def test_a_beginning_that_was_cut_off_is_begun_anew(
    ready: Path, ask: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch, left: tuple[str, ...]
) -> None:

    def killed(file: Path, content: bytes) -> None:
        if file.name not in left:
            for half in left:
                if half.startswith(f".{file.name}"):
                    (file.parent / half).write_bytes(content[:40])
            raise Killed
        write_file(file, content)

    cut_off = new(Path("runs") / "air")
    with monkeypatch.context() as patch:
        for module in (study_module, summary):
            patch.setattr(module, "write_file", killed)
        with pytest.raises(Killed):
            cut_off.create([])
    cut_off.release()  # as its process does when it ends
    folder = ready / "runs" / "air"
    assert sorted(path.name for path in folder.iterdir()) == sorted([*left, "trials"])

    status, _, complaint = ask(*ASKED[:-1])
    assert (status, complaint) == (
        2,
        "runs/air exists, and is no study: remove it, or choose another --name\n",
    )
    with pytest.raises(AssertionError, match="Ray was started"):
        ask(*ASKED)
    begun = new(Path("runs") / "air")
    begun.create([])
    assert (folder / "study.json").exists()
    assert (folder / "space.yaml").read_text() == begun.space.text


def test_a_beginning_that_was_cut_off_right_after_its_mkdir_is_begun_anew(ready: Path) -> None:
    (ready / "runs" / "air").mkdir(parents=True)
    new(Path("runs") / "air").create([])
    assert (ready / "runs" / "air" / "study.json").exists()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("notes.txt", "mine"),
        ("space.yaml", "version: 1\n"),
        ("trials/0.json", "{}"),
        ("trials", "mine"),
        (".hidden", "mine"),
        (".space.yaml.swp", "mine"),  # as an editor leaves it
    ],
)
def test_what_may_be_the_users_is_left_alone(
    ready: Path, ask: Callable[..., Answer], name: str, content: str
) -> None:
    file = ready / "runs" / "air" / name
    file.parent.mkdir(parents=True)
    file.write_text(content)
    before = contents(ready / "runs")
    assert ask(*ASKED) == (
        2,
        "",
        "runs/air exists, and is no study: remove it, or choose another --name\n",
    )
    assert contents(ready / "runs") == before


def test_a_file_of_that_name_is_left_alone(ready: Path, ask: Callable[..., Answer]) -> None:
    (ready / "runs").mkdir()
    (ready / "runs" / "air").write_text("mine")
    status, _, complaint = ask(*ASKED)
    assert status == 2
    assert complaint.startswith("runs/air exists, and is no study")
    assert (ready / "runs" / "air").read_text() == "mine"


def test_of_two_that_begin_at_once_one_has_the_study(
    ready: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each may have put its space.yaml, which is what is locked, in the place of the other's."""
    first, second = new(Path("runs") / "air"), new(Path("runs") / "air")
    space = ready / "runs" / "air" / "space.yaml"

    def meanwhile(file: Path, content: bytes) -> None:
        write_file(file, content)
        if file.name == "study.json":
            write_file(space, first.space.text.encode())

    with monkeypatch.context() as patch:
        patch.setattr(study_module, "write_file", meanwhile)
        with pytest.raises(InputError, match=r"^another process is running runs/air; wait for"):
            first.create([])
    assert first._lock is None
    assert second.resume([]) == [], "nobody holds it any more"

    def late(folder: Path, wait: bool) -> lock.Lock:
        (ready / "runs" / "air" / "study.json").write_text("{}")
        return lock.hold(folder, wait=wait)

    shutil.rmtree(ready / "runs")
    with monkeypatch.context() as patch:
        patch.setattr(study_module, "hold", late)
        with pytest.raises(InputError, match=r"^runs/air exists; go on with it: --resume"):
            first.create([])
    assert (ready / "runs" / "air" / "study.json").read_text() == "{}", "it is the other's"
