"""Faults at random moments of real studies, and whether anything was lost or counted twice.

python -m tests.faults.campaign --faults 30 --minutes 15

Each study runs as its user would run it, with a witness beside it (witnessed.py). Something dies,
or is damaged; the study is resumed; and what the witness had heard is held against the records.
"""

import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
import psutil
from optuna.storages.journal import JournalFileBackend

from lstm_model.errors import InputError
from lstm_model.inference.predictor import TrainedForecaster
from tuning.study.records import read_trials

FINAL = {"finished", "stopped_early", "failed"}
SPACE = """\
version: 1
data:
  source: {source}
  target: pm
  time: time
  features: [pm, temp]
  validation_from: 2020-02-10
  test_from: 2020-02-25
study: {{trials: {trials}, max_epochs: {max_epochs}, scheduler: {scheduler}}}
search:
  hidden_size:   {{type: int, low: 8, high: 32, log: true}}
  learning_rate: {{type: float, low: 1e-3, high: 5e-2, log: true}}
fixed: {{context_length: 12, chunk_length: 48}}
"""
# How long a command may take to come to a first report, and to end after a fault; and how long its
# processes may outlive it, since workers look for their server now and then.
START_SECONDS, END_SECONDS, OUTLIVE_SECONDS = 120.0, 120.0, 20.0


@dataclass
class Tally:
    """What a campaign found."""

    faults: Counter[str] = field(default_factory=Counter)
    studies: int = 0
    trials: int = 0
    went_on: int = 0  # trials that went on from a checkpoint
    problems: list[str] = field(default_factory=list)
    processes: list[psutil.Process] = field(default_factory=list)  # that have to end

    @property
    def text(self) -> str:
        kinds = ", ".join(f"{name} {count}" for name, count in sorted(self.faults.items()))
        return (
            f"{sum(self.faults.values())} faults ({kinds}) in {self.studies} studies of "
            f"{self.trials} trials in all; {self.went_on} trials went on from a checkpoint; "
            f"{len(self.problems)} problems"
        )


class StudyUnderFire:
    """One study, its processes, its witness, and what is known of it."""

    def __init__(self, root: Path, number: int, trials: int, max_epochs: int, tally: Tally) -> None:
        self.root, self.name, self.trials, self.tally = root, f"air{number}", trials, tally
        self.runs = root / "disk" / "runs"
        self.folder = self.runs / self.name
        self.witness = root / f"{self.name}.witness"
        self.witness.touch()
        self.space = root / f"{self.name}.yaml"
        self.space.write_text(
            SPACE.format(
                source=root / "air.csv",
                trials=trials,
                max_epochs=max_epochs,
                scheduler=("asha", "none", "median")[number % 3],
            )
        )
        self.process: subprocess.Popen[bytes] | None = None
        self.rerun: set[int] = set()  # trials that may run again after they ended
        self.heard = 0
        self.checkpoints: dict[int, int] = {}

    def start(self) -> None:
        """Begin the study, or go on with it."""
        fresh = not (self.folder / "study.json").exists()
        if fresh:
            shutil.rmtree(self.folder, ignore_errors=True)
        arguments = ["--space", str(self.space), "--name", self.name] if fresh else []
        arguments += [] if fresh else ["--resume", self.name]
        self.heard = len(self.lines())
        self.complaints = self.root / "stderr"
        with self.complaints.open("wb") as complaints:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.witnessed", *arguments]
                + ["--runs", str(self.runs), "--quiet"],
                stdout=subprocess.DEVNULL,
                stderr=complaints,
                start_new_session=True,
                env={**os.environ, "WITNESS": str(self.witness), "CHECKPOINT_SECONDS": "0.3"},
            )

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.witness.read_text().splitlines()]

    def running(self) -> bool:
        """Wait for a first report of this start; False where the study ended instead."""
        assert self.process is not None
        deadline = time.monotonic() + START_SECONDS
        while self.process.poll() is None and time.monotonic() < deadline:
            if any(line["event"] == "reported" for line in self.lines()[self.heard :]):
                return True
            time.sleep(0.02)
        if self.process.poll() is None:
            self.problem("no report came in time")
            self.kill(self.processes())
        return False

    def processes(self) -> list[psutil.Process]:
        """The command and all of its Ray."""
        assert self.process is not None
        try:
            command = psutil.Process(self.process.pid)
            return [command, *command.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def kill(self, processes: list[psutil.Process]) -> None:
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def ends(self, everyone: list[psutil.Process]) -> int:
        """Wait for the command's end, and for all that it started."""
        assert self.process is not None
        since = time.monotonic()
        try:
            status = self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.problem(f"the command did not end in {END_SECONDS:g} s")
            self.process.kill()
            status = self.process.wait()
        print(f"    ended after {time.monotonic() - since:.1f} s", flush=True)
        self.tally.processes += everyone
        self.process = None
        said = self.complaints.read_text()
        if "Traceback" in said:
            self.problem(f"a traceback: {said[-800:]}")
        self.rerun |= {int(id) for id in re.findall(r"trial (\d+) (?:runs again|is lost)", said)}
        return status

    def problem(self, text: str) -> None:
        self.tally.problems.append(f"{self.name}: {text}")
        print(f"PROBLEM: {self.name}: {text}", flush=True)

    def check(self) -> None:
        """Hold the records against what the witness heard."""
        try:
            records = read_trials(self.folder)
        except InputError as error:
            self.problem(f"records can't be read: {error}")
            return
        ended: dict[int, dict[str, Any]] = {}
        last: dict[int, int] = {}
        for line in self.lines():
            id = line["trial"]
            if id in ended and id not in self.rerun:
                self.problem(f"trial {id} was {line['event']} again after its end")
            if line["event"] == "reported":
                if line["epochs"] > last.get(id, 0) + 1:
                    self.problem(f"trial {id} skipped to epoch {line['epochs']}")
                last[id] = line["epochs"]
            if line["event"] == "ended" and line["state"] in FINAL:
                before = ended.get(id, line)
                # Where a record is lost another configuration may be asked for in its place.
                same = all(before[key] == line[key] for key in ("state", "epochs", "config"))
                if same and before["rmse"] != line["rmse"]:
                    self.problem(f"trial {id} came to another result the second time")
                ended[id] = line
        for id, line in ended.items():
            record = records.get(id)
            if record is None:
                if id not in self.rerun:
                    self.problem(f"trial {id} is lost")
            elif record.state not in FINAL:
                if id not in self.rerun:
                    self.problem(f"trial {id} had ended and is {record.state}")
            elif (record.rmse, record.epochs) != (line["rmse"], line["epochs"]):
                self.problem(f"trial {id} has other results than were reported")
        extra = [id for id in records if id >= self.trials]
        if extra:
            self.problem(f"trials beyond the budget: {extra}")

    def note_checkpoints(self) -> None:
        """From which epoch each trial under way has to go on."""
        self.checkpoints = {}
        for id, record in read_trials(self.folder).items():
            if record.under_way and record.checkpoint:
                with suppress(InputError, OSError, KeyError, ValueError):
                    state = json.loads(
                        (self.folder / record.checkpoint / "training.json").read_text()
                    )
                    self.checkpoints[id] = state["epoch"]

    def check_where_trials_went_on(self, since: int) -> None:
        first: dict[int, int] = {}
        for line in self.lines()[since:]:
            if line["event"] == "reported":
                first.setdefault(line["trial"], line["epochs"])
        for id, epoch in self.checkpoints.items():
            if id in first and id not in self.rerun:
                if first[id] != epoch + 1:
                    self.problem(f"trial {id} went on at epoch {first[id]}, saved at {epoch}")
                else:
                    self.tally.went_on += 1

    def check_end(self) -> None:
        """The study ended by itself: everything is there, once."""
        self.check()
        records = read_trials(self.folder)
        if sorted(records) != list(range(self.trials)) or any(
            record.state not in FINAL for record in records.values()
        ):
            self.problem(f"at the end: {[(t.id, t.state) for t in records.values()]}")
            return
        storage = optuna.storages.JournalStorage(
            JournalFileBackend(str(self.folder / "optuna.journal"))
        )
        told = [
            trial.user_attrs["trial"]
            for trial in optuna.load_study(study_name=None, storage=storage).trials
        ]
        if sorted(told) != list(range(self.trials)):
            self.problem(f"the journal has trials {sorted(told)}")
        rows = pd.read_csv(self.folder / "trials.csv")
        if sorted(rows["id"]) != list(range(self.trials)):
            self.problem(f"trials.csv has {sorted(rows['id'])}")
        best = min(
            (r for r in records.values() if r.state != "failed"), key=lambda r: (r.rmse, r.id)
        )
        kept = TrainedForecaster.load(self.folder / "best")
        if kept.validation is None or kept.validation.rmse != best.rmse:
            self.problem(f"best/ is not of trial {best.id}")
        if (self.folder / "checkpoints").exists():
            self.problem("checkpoints are left")
        self.tally.studies += 1
        self.tally.trials += self.trials


def named(processes: list[psutil.Process], text: str) -> list[psutil.Process]:
    """Those whose command line has `text`; the command itself is the first of all."""
    found = []
    for process in processes[1:]:
        with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            if text in " ".join(process.cmdline()):
                found.append(process)
    return found


def kill_driver(study: StudyUnderFire, rng: random.Random) -> None:
    everyone = study.processes()
    study.kill(everyone[:1])
    study.ends(everyone)


def kill_worker(study: StudyUnderFire, rng: random.Random) -> None:
    """The study goes on by itself; nothing is to be resumed."""
    workers = named(study.processes(), "Trainable")
    study.kill([rng.choice(workers)] if workers else [])


def kill_fork_server(study: StudyUnderFire, rng: random.Random) -> None:
    """And a worker: the one in its place has to start without it."""
    for process in named(study.processes(), "fork_server.py"):
        with suppress(psutil.NoSuchProcess, IndexError):
            if process.cmdline()[1].endswith("fork_server.py"):  # the raylet names it too
                study.kill([process])
    kill_worker(study, rng)


def kill_named(text: str) -> Callable[[StudyUnderFire, random.Random], None]:
    def kill(study: StudyUnderFire, rng: random.Random) -> None:
        everyone = study.processes()
        study.kill(named(everyone, text))
        status = study.ends(everyone)
        if status == 0 and not finished(study):
            study.problem(f"status 0 after {text} was killed")

    return kill


def kill_ray(study: StudyUnderFire, rng: random.Random) -> None:
    everyone = study.processes()
    study.kill(everyone[1:])
    study.ends(everyone)


def kill_all(study: StudyUnderFire, rng: random.Random) -> None:
    """As a machine that stops: the folder is all that is left."""
    everyone = study.processes()
    study.kill(everyone)
    study.ends(everyone)


def fill_disk(study: StudyUnderFire, rng: random.Random) -> None:
    """Until nothing more can be written; free again before the study is resumed."""
    everyone, filler = study.processes(), study.runs / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as out:
        while True:
            out.write(b"\0" * 65536)
    expect(study, study.ends(everyone), 1, "can't be written any more")
    filler.unlink()


def take_storage_away(study: StudyUnderFire, rng: random.Random) -> None:
    """As a share that is gone for a while."""
    everyone, away = study.processes(), study.root / "disk" / "away"
    study.runs.rename(away)
    status = study.ends(everyone)
    shutil.rmtree(study.runs, ignore_errors=True)
    away.rename(study.runs)
    expect(study, status, 1, "can't be written any more")  # which looks into the folder


def damage(study: StudyUnderFire, rng: random.Random) -> None:
    """Killed, and a file of the folder cut off or garbled."""
    kill_all(study, rng)
    names = ["study.json", "space.yaml", "record", "checkpoint", "best", "derived"]
    kind = rng.choice(names)
    patterns = {
        "record": "trials/*.json",
        "checkpoint": "checkpoints/*/*/*/training.*",
        "best": "best/*",
        "derived": "summary.json",
    }
    files = sorted(study.folder.glob(patterns.get(kind, kind)))
    if not files:
        return
    file = rng.choice(files)
    whole = file.read_bytes()
    cut = whole[: rng.randrange(max(len(whole) - 1, 1))]
    file.write_bytes(cut if rng.random() < 0.7 else bytes(rng.randbytes(len(whole))))
    study.tally.faults[f"(of {kind})"] += 0
    if kind in ("study.json", "space.yaml", "record"):
        before = {path: path.read_bytes() for path in study.folder.rglob("*") if path.is_file()}
        study.start()
        everyone = study.processes()
        expect(study, study.ends(everyone), 2, file.name)
        after = {path: path.read_bytes() for path in study.folder.rglob("*") if path.is_file()}
        if before != after:
            study.problem(f"files changed though {file.name} was refused")
        if kind == "record":
            file.unlink()
            study.rerun.add(int(file.stem))
        else:
            file.write_bytes(whole)


def expect(study: StudyUnderFire, status: int, expected: int, text: str) -> None:
    said = study.complaints.read_text()
    if finished(study):
        return  # it had ended before the fault
    if status != expected or text not in said:
        study.problem(f"status {status} where {expected} was expected, saying: {said[-500:]!r}")


def finished(study: StudyUnderFire) -> bool:
    with suppress(OSError, ValueError):
        return bool(json.loads((study.folder / "summary.json").read_text())["state"] == "finished")
    return False


FAULTS: dict[str, Callable[[StudyUnderFire, random.Random], None]] = {
    "driver": kill_driver,
    "worker": kill_worker,
    "raylet": kill_named("raylet/raylet"),
    "gcs": kill_named("gcs_server"),
    "fork server": kill_fork_server,
    "all of Ray": kill_ray,
    "machine": kill_all,
    "disk full": fill_disk,
    "storage away": take_storage_away,
    "damage": damage,
}


def campaign(
    root: Path,
    kinds: list[str],
    *,
    seed: int,
    trials: int = 30,
    max_epochs: int = 60,
    minutes: float = 15,
) -> Tally:
    """These faults, one after another, at random moments of as many studies as it takes."""
    write_table(root / "air.csv")
    (root / "disk" / "runs").mkdir(parents=True)
    rng, tally, waiting = random.Random(seed), Tally(), list(kinds)
    deadline = time.monotonic() + 60 * minutes
    number = 0
    while waiting:
        study = StudyUnderFire(root, number, trials, max_epochs, tally)
        number += 1
        study.start()
        while True:
            since = study.heard
            if study.running() and waiting and time.monotonic() < deadline:
                time.sleep(rng.uniform(0.0, 3.0))
                assert study.process is not None
                if study.process.poll() is None:
                    kind = waiting.pop(0)
                    tally.faults[kind] += 1
                    print(f"{study.name}: {kind}", flush=True)
                    FAULTS[kind](study, rng)
                    study.check_where_trials_went_on(since)
                    study.checkpoints = {}
                    if study.process is not None:
                        continue  # a worker died; the command goes on
                    study.check()
                    if finished(study):
                        break
                    study.note_checkpoints()
                    study.start()
                    continue
            status = study.ends(study.processes())
            study.check_where_trials_went_on(since)
            study.checkpoints = {}
            if status != 0:
                study.problem(f"ended with {status}: {study.complaints.read_text()[-500:]!r}")
                return tally
            break
        study.check_end()
        if time.monotonic() >= deadline and waiting:
            tally.problems.append(f"time was up with {len(waiting)} faults to come")
            break
    _, left = psutil.wait_procs(tally.processes, timeout=OUTLIVE_SECONDS)
    if left:
        tally.problems.append(f"left running: {[str(process) for process in left]}")
    return tally


def write_table(file: Path) -> None:
    rng = np.random.default_rng(3)
    rows = 1500
    temp = 10 + 8 * np.sin(np.arange(rows) / 5) + rng.normal(0, 1, rows)
    pm = 50 + np.convolve(temp, [0, 3, 2, 1])[:rows] + rng.normal(0, 1, rows)
    times = pd.date_range("2020-01-01", periods=rows, freq="h", name="time")
    pd.DataFrame({"pm": pm.round(2), "temp": temp.round(2)}, index=times).to_csv(file)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", type=int, default=31)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", choices=list(FAULTS), help="these kinds alone")
    given = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="faults-"))
    disk = root / "disk"
    disk.mkdir()
    kinds = given.only or list(FAULTS)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(disk)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        print(f"without 'disk full': no small disk can be mounted: {mounted.stderr.strip()}")
        kinds = [kind for kind in kinds if kind != "disk full"]
    waiting = [kinds[number % len(kinds)] for number in range(given.faults)]
    random.Random(given.seed).shuffle(waiting)
    begun = time.monotonic()
    try:
        tally = campaign(root, waiting, seed=given.seed, minutes=given.minutes)
    finally:
        if not mounted.returncode:
            subprocess.run(["umount", "--lazy", str(disk)], check=True)
        shutil.rmtree(root, ignore_errors=True)
    print(f"{tally.text}; {time.monotonic() - begun:.0f} s")
    for problem in tally.problems:
        print(problem)
    return 1 if tally.problems else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
