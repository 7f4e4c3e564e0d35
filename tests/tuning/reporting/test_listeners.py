"""What every listener of a study must bear, and what it must have told at the end."""

import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from tests.builders import copy_of, epoch_report
from tests.tuning.reporting.event_files import ONE_LAYER, events, full_disk
from tests.tuning.reporting.screens import Screen, console, plain_console, written
from tuning.reporting.progress import Progress
from tuning.reporting.tensorboard.study_events import TensorBoard
from tuning.search.optuna_trials import Journal
from tuning.study.study import Study
from tuning.study.trial import State
from tuning.study.view import Listener


@dataclass(frozen=True)
class Case:
    """A listener.

    Attributes:
        done: how many trials it has told to have ended, once the study has.
        needs_disk: its methods that write to the study's folder.
        tells_earlier: also of trials that had ended before it came.
    """

    listener: Listener
    done: Callable[[], int]
    needs_disk: frozenset[str] = frozenset()
    tells_earlier: bool = True


def lines(study: Study) -> Case:
    terminal = plain_console()
    return Case(Progress(terminal), lambda: int(written(terminal).splitlines()[-1].split()[0]))


def view(study: Study) -> Case:
    terminal = console(80, 60)

    def done() -> int:
        screen = Screen(80, 60)
        screen.feed(written(terminal).replace("\n", "\r\n"))
        assert screen.cursor, "it is given back"
        [line] = [line for line in screen.lines if "trials done" in line]
        return int(line.split("trials done")[0].split()[-3])

    return Case(Progress(terminal), done)


def tensorboard(study: Study) -> Case:
    def done() -> int:
        folder = Path(str(study.folder)) / "tensorboard"
        assert not list(folder.glob("running/*"))
        runs = list(folder.glob("trials/*"))
        for run in runs:
            assert len(list(run.glob("*.row"))) == 1, "TensorBoard keeps the first that it finds"
            events(study.folder, f"trials/{run.name}")
        return sum(not study.trials[int(run.name)].under_way for run in runs)

    every_event = {"study_start", "trial_start", "epoch", "trial_end", "study_end"}
    return Case(TensorBoard(), done, frozenset(every_event), tells_earlier=False)


def journal(study: Study) -> Case:
    def done() -> int:
        storage = JournalStorage(JournalFileBackend(str(study.folder / "optuna.journal")))
        return len(optuna.load_study(study_name=study.folder.name, storage=storage).trials)

    listener = Journal(study.folder.name, study.space)
    return Case(listener, done, frozenset({"study_start", "study_end"}))


MAKERS: list[Callable[[Study], Case]] = [lines, view, tensorboard, journal]


@pytest.fixture(params=MAKERS, ids=lambda maker: maker.__name__)
def make(request: pytest.FixtureRequest) -> Callable[[Study], Case]:
    maker: Callable[[Study], Case] = request.param
    return maker


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
        assert not thread.is_alive(), thread.name


def ended(study: Study) -> int:
    return sum(not trial.under_way for trial in study.trials.values())


def start(study: Study, id: int) -> None:
    study.on_trial_start(id, ONE_LAYER)


def run_epochs(study: Study, id: int, *epochs: int) -> None:
    for epoch in epochs:
        study.on_epoch(id, epoch_report(epoch, 9.0 - epoch / 10))


def nothing_happens(study: Study) -> None:
    pass


def trial_fails_before_its_first_epoch(study: Study) -> None:
    start(study, 0)
    study.on_trial_end(0, "failed", "out of memory")


def trial_is_tried_again(study: Study) -> None:
    start(study, 0)
    run_epochs(study, 0, 1, 2, 3)
    start(study, 0)  # its worker died
    run_epochs(study, 0, 2, 3)
    study.on_trial_end(0, "finished")


def trial_goes_on_after_an_interruption(study: Study) -> None:
    start(study, 0)
    run_epochs(study, 0, 1)
    study.on_trial_end(0, "interrupted")
    start(study, 0)
    run_epochs(study, 0, 2)
    study.on_trial_end(0, "stopped_early")


def trials_end_in_another_order(study: Study) -> None:
    for id in (2, 0, 1):
        start(study, id)
    for id in (1, 2, 0):
        run_epochs(study, id, 1)
    for id in (0, 2, 1):
        study.on_trial_end(id, "finished")


def trials_are_cut_off(study: Study) -> None:
    for id in (0, 1, 2):
        start(study, id)
    run_epochs(study, 1, 1)
    study.on_trial_end(2, "failed", "by chance")


@pytest.mark.parametrize(
    "happen",
    [
        nothing_happens,
        trial_fails_before_its_first_epoch,
        trial_is_tried_again,
        trial_goes_on_after_an_interruption,
        trials_end_in_another_order,
        trials_are_cut_off,
    ],
    ids=lambda happen: happen.__name__,
)
def test_end_is_told(
    study: Study, make: Callable[[Study], Case], happen: Callable[[Study], None]
) -> None:
    case = make(study)
    study.attach(case.listener)
    happen(study)
    study.finish("failed")
    assert case.done() == ended(study)


@pytest.mark.parametrize("seed", range(4))
def test_any_order_of_events_is_borne(
    study: Study, make: Callable[[Study], Case], seed: int
) -> None:
    """The listener comes at any moment, also while trials are under way."""
    chance = random.Random(seed)
    case = make(study)
    arrival = chance.randrange(30)
    states: list[State] = ["finished", "stopped_early", "failed", "interrupted"]
    heard: set[int] = set()
    for number in range(40):
        if number == arrival:
            study.attach(case.listener)
            if case.tells_earlier:
                heard.update(study.trials)
        id = chance.randrange(4)
        trial = study.trials.get(id)
        if study.listeners and (trial is None or trial.under_way):
            heard.add(id)
        if trial is None or trial.state == "interrupted":
            start(study, id)
        elif trial.state == "running":
            match chance.randrange(4):
                case 0 | 1:
                    run_epochs(study, id, trial.epochs + 1)
                case 2:
                    start(study, id)  # tried again, without a checkpoint
                    run_epochs(study, id, 1)
                case 3 if trial.epochs:
                    study.on_trial_end(id, chance.choice(states), "by chance")
    study.finish("failed")
    assert case.done() == sum(not study.trials[id].under_way for id in heard)


def test_second_end_changes_nothing(study: Study, make: Callable[[Study], Case]) -> None:
    case = make(study)
    study.attach(case.listener)
    trials_are_cut_off(study)
    study.finish("interrupted")
    assert isinstance(study.folder, Path)
    before = {file: file.read_bytes() for file in study.folder.rglob("*") if file.is_file()}
    case.listener.on_study_end(study.view)
    assert case.done() == ended(study)
    after = {file: file.read_bytes() for file in study.folder.rglob("*") if file.is_file()}
    assert after == before


def test_study_that_goes_on_is_told_whole(study: Study, make: Callable[[Study], Case]) -> None:
    study.attach(make(study).listener)
    trials_are_cut_off(study)
    study.finish("interrupted")
    again = copy_of(study)
    again.resume([])
    case = make(again)
    again.attach(case.listener)
    for id in (0, 1, 3):
        start(again, id)
        run_epochs(again, id, *range(again.trials[id].epochs + 1, 4))
        again.on_trial_end(id, "stopped_early")
    again.finish("failed")
    assert ended(again) == 4
    assert case.done() == 4


@pytest.mark.parametrize("event", ["study_start", "trial_start", "epoch", "trial_end", "study_end"])
def test_full_disk_is_an_oserror_or_borne(
    study: Study, make: Callable[[Study], Case], event: str
) -> None:
    """Once there is room again the study can end."""
    case = make(study)
    listener = case.listener
    start(study, 0)
    run_epochs(study, 0, 1)
    trial = study.trials[0]
    happen: dict[str, Callable[[], None]] = {
        "study_start": lambda: listener.on_study_start(study.view),
        "trial_start": lambda: listener.on_trial_start(study.view, trial),
        "epoch": lambda: listener.on_epoch(study.view, trial),
        "trial_end": lambda: listener.on_trial_end(study.view, trial),
        "study_end": lambda: listener.on_study_end(study.view),
    }
    for name, call in happen.items():
        if name != event:
            call()
        elif name in case.needs_disk:
            with full_disk(), pytest.raises(OSError, match="File too large"):
                call()
        else:
            with full_disk():
                call()
        if name == event:
            break
    listener.on_study_end(study.view)
    study.release()
