"""Studies and comparisons as TensorBoard events.

A study has these runs below <study>/tensorboard, named so that what is looked for first comes
first in the list of runs, before a hundred trials:

    .                   text, figures, the study's best RMSE by trials that have ended
    best                the curves of the best trial
    persistence, ridge  the baselines, and the strongest where that is another one, as lines in the
                        charts that trials have
    running/<id>        trials under way
    trials/<id>         trials that have ended

and a comparison one for each model below <comparison>/tensorboard.
"""

import json
import os
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path, PurePosixPath
from typing import Any, get_args

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.types_pb2 import DT_STRING
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar import metadata as custom_scalars
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2
from tensorboard.plugins.hparams.summary_v2 import (
    Discrete,
    HParam,
    IntInterval,
    Metric,
    RealInterval,
    hparams_config_pb,
    hparams_pb,
)
from tensorboard.plugins.text import metadata as texts
from tensorboard.summary.writer.record_writer import RecordWriter

from lstm_model.configuration import HYPERPARAMETERS, Hyperparameter
from lstm_model.evaluation.metrics import Score
from lstm_model.files import read_bytes
from lstm_model.wording import significant
from tuning.reporting.figure_thread import FigureThread, PngByTag
from tuning.reporting.tables import best_rows
from tuning.study.storage import RemotePath, StoragePath, map_files, relative_to
from tuning.study.summary import summarize_data, summarize_study
from tuning.study.trial import State, Trial
from tuning.study.view import Listener, StudyView
from tuning.wording import format_setting

# Tags of the chart a trial's report goes to, and what HPARAMS shows as columns.
CURVES = {
    "loss": "training/loss",
    "learning_rate": "training/learning_rate",
    "gradient_norm": "training/gradient_norm",
    "rmse": "validation/rmse",
    "mae": "validation/mae",
    "skill": "validation/skill",
}
# Of the best epoch so far. TensorBoard opens the first two groups of charts: these are not of them.
COLUMNS = {
    "rmse": "whole_trial/rmse",
    "mae": "whole_trial/mae",
    "skill": "whole_trial/skill",
    "epochs": "whole_trial/epochs",
    "seconds": "whole_trial/seconds",
}
# HPARAMS shows so many hyperparameters at first, those that are said to differ before the others.
SHOWN_FIRST = 5
STATUS = {
    "finished": api_pb2.STATUS_SUCCESS,
    "stopped_early": api_pb2.STATUS_SUCCESS,
    "failed": api_pb2.STATUS_FAILURE,
    "interrupted": api_pb2.STATUS_UNKNOWN,
}
METRICS = ("rmse", "mae", "skill")
# The lowest RMSE so far by the number of trials that have ended.
SO_FAR = "whole_study/lowest_rmse"
# Ends the name of the file that holds a trial's row in HPARAMS.
ROW = ".row"
# Over this many runs TensorBoard's pages, but for the first, select none by themselves.
HOW_TO_LOOK = """
HPARAMS has a row for each trial. Of more than 40 runs Scalars, Images and Text select none by
themselves, until the filter above their list of runs leaves fewer:
`best|persistence|ridge|same|mean` for the best trial beside the baselines, `running` for what is
under way; `^air.*best` for one study of many, here `air`.
"""


class TensorBoard(Listener):
    """Writes a study's events as it goes.

    Over several studies TensorBoard takes one record of what the HPARAMS columns are. So each
    study writes the same: every hyperparameter there is, the study's name, and the state.

    TensorBoard keeps the first row that a run has. So a trial moves when it ends, and has its row
    written anew where it arrives: a page that is open sees the new state too.
    """

    def __init__(self, study: StudyView) -> None:
        self._mirror = Mirror(study.folder / "tensorboard")
        self._folder = self._mirror.folder
        runs = [_number(trial) for trial in study.trials.values() if trial.under_way]
        self._mirror.fetch([f"{state}/{run}" for state in ("running", "trials") for run in runs])
        self._trials: dict[int, Events] = {}
        self._done = sum(not trial.under_way for trial in study.trials.values())
        self._best: tuple[int, int] | None = None  # the trial and its epochs in the run `best`
        self._root = Events(self._folder)
        Events(self._folder / "best").close()  # runs are listed by their age: before the trials
        # Parallel coordinates leave out trials that lack what is shown: nothing conditional.
        always = [name for name, entry in study.space.search.items() if not entry.when]
        self._root.add(_columns(["state", *always][:SHOWN_FIRST]))
        self._root.add(_layout(_of_studies()))
        self._root.text("settings", _settings(study))
        self._write_outcome(study)
        self._write_baselines(study)
        self._artist = FigureThread(
            self._show, self._mirror.put if self._mirror.is_remote else None
        )

    def on_trial_start(self, study: StudyView, trial: Trial) -> None:
        if trial.id in self._trials:
            return  # tried again after its worker died: the same run goes on
        place = self._folder / "running" / _number(trial)
        # Of a study that goes on.
        self._mirror.move(self._folder / "trials" / _number(trial), place)
        _write_row(place, study, trial)
        events = self._trials[trial.id] = Events(place)
        events.begin_after(trial.epochs)  # those that come now were there before it was cut off
        self._draw(study)

    def on_epoch(self, study: StudyView, trial: Trial) -> None:
        best: Mapping[str, Any] = trial.best or {}
        columns = {**best, "epochs": trial.epochs, "seconds": trial.seconds}
        values = {tag: columns[name] for name, tag in COLUMNS.items()}
        self._trials[trial.id].scalars(_curves(trial.history[-1]) | values, trial.epochs)

    def on_trial_end(self, study: StudyView, trial: Trial) -> None:
        events = self._trials.pop(trial.id)
        if trial.reason:
            events.text("why it failed", trial.reason)
        events.close()
        place = self._folder / "trials" / _number(trial)
        _write_row(place, study, trial)
        self._mirror.move(self._folder / "running" / _number(trial), place)
        self._done += not trial.under_way
        if study.best:
            self._root.scalars({SO_FAR: study.best.rmse}, self._done)
        self._draw(study)

    def on_study_end(self, study: StudyView) -> None:
        try:
            self._write_best(study)
            self._write_outcome(study)
            if study.outcome != "failed":
                self._artist.finish(study)
        finally:
            self.close()
        try:
            self._mirror.put()
        finally:
            self._mirror.close()

    def close(self) -> None:
        """Leave no thread and no open file."""
        self._artist.close()
        for events in (self._root, *self._trials.values()):
            events.close()

    def _draw(self, study: StudyView) -> None:
        """What is new, if it is time to."""
        if self._artist.look(study):
            self._write_best(study)
            self._write_outcome(study)

    def _write_baselines(self, study: StudyView) -> None:
        """As long as the trials' curves, so that a chart shows them from end to end."""
        epochs, trials = study.space.study.max_epochs, study.space.study.trials
        for name, score in study.baselines.leading.items():
            place = self._folder / name
            self._mirror.remove(name)  # a study may go on with more trials
            events = Events(place)
            _level(events, score, "validation", range(1, epochs + 1))
            for done in range(1, trials + 1):
                events.scalars({SO_FAR: score.rmse}, done)
            events.close()

    def _write_best(self, study: StudyView) -> None:
        if study.best is None or (found := (study.best.id, study.best.epochs)) == self._best:
            return
        self._best = found
        events = Events(self._folder / "best")
        events.begin_after(0)  # in place of the one that was the best before
        for number, epoch in enumerate(study.best.history, start=1):
            events.scalars(_curves(epoch), number)
        events.close()

    def _write_outcome(self, study: StudyView) -> None:
        self._root.text("outcome", _outcome(study))

    def _show(self, drawn: PngByTag, step: int) -> None:
        self._root.images(drawn, step)


def _of_studies() -> dict[str, dict[str, str]]:
    """Charts by category, each with the expression that its tags match."""
    return {
        "Studies beside one another": {
            "Lowest validation RMSE by trials that have ended": f"^{SO_FAR}$",
            "Validation RMSE by epoch": "^validation/rmse$",
            "Training loss by epoch": "^training/loss$",
        },
    }


class Events:
    """An event file below `folder`, written as it is told.

    TensorBoard's own writers hand over to a thread, which learns of a full disk when nobody
    listens any more. What is written here is on its way to the disk, or raises OSError.
    """

    _numbers = count()

    def __init__(self, folder: Path, suffix: str = "") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{time.time():017.6f}.{socket.gethostname()}.{os.getpid()}"
        self._file = open(folder / f"{name}.{next(self._numbers)}{suffix}", "xb")  # noqa: SIM115
        self._records = RecordWriter(self._file)
        self._write(Event(file_version="brain.Event:2"))

    def add(self, summary: Summary, step: int = 0) -> None:
        self._write(Event(summary=summary, step=step))

    def scalars(self, values: Mapping[str, float | None], step: int) -> None:
        """None is left out: there is no such number."""
        pairs = [(tag, value) for tag, value in values.items() if value is not None]
        found = [Summary.Value(tag=tag, simple_value=value) for tag, value in pairs]
        self.add(Summary(value=found), step)

    def text(self, tag: str, markdown: str) -> None:
        """In place of the one that may be there."""
        about = texts.create_summary_metadata(display_name=tag, description="")
        self.add(_strings(f"{tag}/text_summary", about, markdown.encode()))

    def images(self, pngs: Mapping[str, bytes], step: int) -> None:
        for tag, content in pngs.items():
            width, height = (int.from_bytes(content[at : at + 4], "big") for at in (16, 20))
            image = Summary.Image(
                width=width, height=height, colorspace=3, encoded_image_string=content
            )
            self.add(Summary(value=[Summary.Value(tag=tag, image=image)]), step)

    def begin_after(self, step: int) -> None:
        """What the run has at later steps, from a file before this one, is not to be shown."""
        self._write(Event(session_log=SessionLog(status=SessionLog.START), step=step + 1))

    def close(self) -> None:
        self._file.close()

    def _write(self, event: Event) -> None:
        event.wall_time = time.time()
        self._records.write(event.SerializeToString())
        self._records.flush()


class Mirror:
    """Where event files are written: the place itself on a disk. An object store can't append to
    files: of that `folder` has what was written here, and put() brings it there.

    Files are never read again, so none has to be fetched but those that move.
    """

    def __init__(self, place: StoragePath) -> None:
        self._place = place
        # Taken by whoever moves files or looks which there are: each is seen, and once.
        self._moving = threading.Lock()
        self._putting = threading.Lock()
        # What the place has of `folder`, with its size; and what it has besides.
        self._sizes: dict[str, int] = {}
        self._others: dict[str, RemotePath] = {}
        if isinstance(place, Path):
            self.folder = place
            return
        self.folder = Path(tempfile.mkdtemp(prefix="tensorboard-"))
        self._others = {
            relative_to(place, file.path): file for file in place.rglob("*") if file.is_file()
        }

    @property
    def is_remote(self) -> bool:
        return not isinstance(self._place, Path)

    def fetch(self, runs: Iterable[str]) -> None:
        """What the place has of these runs."""
        wanted = {name: file for name, file in self._others.items() if _run(name) in set(runs)}
        contents = map_files(read_bytes, list(wanted.values()))
        for name, content in zip(wanted, contents, strict=True):
            file = self.folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
            self._sizes[name] = len(content)
            del self._others[name]

    def move(self, old: Path, new: Path) -> None:
        """A trial's curves, if there are any; its row is left behind, and goes."""
        with self._moving:
            if not old.exists():
                return
            new.mkdir(parents=True, exist_ok=True)
            for file in old.iterdir():
                if file.suffix != ROW:
                    file.rename(new / file.name)
            shutil.rmtree(old)

    def remove(self, run: str) -> None:
        with self._moving:
            shutil.rmtree(self.folder / run, ignore_errors=True)
            for name in [name for name in self._others if _run(name) == run]:
                self._sizes[name] = self._others.pop(name).stat().st_size  # put() misses it here

    def put(self) -> None:
        """Make the place like the folder, if it is another one."""
        place = self._place
        if isinstance(place, Path):
            return
        with self._putting:
            with self._moving:
                files = {
                    str(file.relative_to(self.folder)): file.stat().st_size
                    for file in self.folder.rglob("*")
                    if file.is_file()
                }
            grown = [name for name, size in files.items() if self._sizes.get(name) != size]
            gone = [name for name in self._sizes if name not in files]

            def put_file(file: RemotePath) -> None:
                name = relative_to(place, file.path)
                with suppress(FileNotFoundError):  # moved meanwhile: the next time
                    content = (self.folder / name).read_bytes()
                    file.write_bytes(content)
                    self._sizes[name] = len(content)

            def remove_file(file: RemotePath) -> None:
                with suppress(FileNotFoundError):
                    file.unlink()
                del self._sizes[relative_to(place, file.path)]

            map_files(put_file, [place / name for name in grown])
            map_files(remove_file, [place / name for name in gone])

    def close(self) -> None:
        if self.folder != self._place:
            shutil.rmtree(self.folder, ignore_errors=True)


def _run(name: str) -> str:
    """The run that an event file is of."""
    return str(PurePosixPath(name).parent)


def _number(trial: Trial) -> str:
    return f"{trial.id:04d}"


def _curves(epoch: Mapping[str, float]) -> dict[str, float]:
    return {tag: epoch[name] for name, tag in CURVES.items() if name in epoch}


def _level(events: Events, score: Score, group: str, steps: Iterable[int]) -> None:
    """The same at every step."""
    values = {f"{group}/{metric}": getattr(score, metric) for metric in METRICS}
    for step in steps:
        events.scalars(values, step)


def _write_row(place: Path, study: StudyView, trial: Trial) -> None:
    """The trial's row in HPARAMS, as long as it is in this state."""
    values = {
        "study": study.name,
        "state": trial.state,
        "data": study.table.source,
        **study.space.defaults,
        **trial.config,
    }
    row = Events(place, ROW)
    row.add(hparams_pb(values, trial_id=f"{_number(trial)} {study.name}"))
    if trial.state in STATUS:
        row.add(_session_end(STATUS[trial.state]))
    row.close()


def _session_end(status: int) -> Summary:
    """What summary_v2 has no function for, and tensorboard's other one needs TensorFlow for."""
    end = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=time.time())
    value = Summary.Value(
        tag=metadata.SESSION_END_INFO_TAG,
        metadata=metadata.create_summary_metadata(
            plugin_data_pb2.HParamsPluginData(session_end_info=end)
        ),
        tensor=metadata.NULL_TENSOR,
    )
    return Summary(value=[value])


def _layout(charts: Mapping[str, Mapping[str, str]]) -> Summary:
    """Of Custom Scalars; those of several runs that are alike become one there."""
    layout = layout_pb2.Layout(
        category=[
            layout_pb2.Category(
                title=title,
                chart=[
                    layout_pb2.Chart(
                        title=name, multiline=layout_pb2.MultilineChartContent(tag=[tags])
                    )
                    for name, tags in inside.items()
                ],
            )
            for title, inside in charts.items()
        ]
    )
    about = custom_scalars.create_summary_metadata()
    return _strings(custom_scalars.CONFIG_SUMMARY_TAG, about, layout.SerializeToString())


def _strings(tag: str, about: SummaryMetadata, content: bytes) -> Summary:
    tensor = TensorProto(dtype=DT_STRING, string_val=[content])
    return Summary(value=[Summary.Value(tag=tag, metadata=about, tensor=tensor)])


def _columns(first: Sequence[str]) -> Summary:
    """What the columns of HPARAMS are; `first` are those that it shows without being asked."""
    declared = hparams_config_pb(
        hparams=[
            HParam("study", description="the study's name"),
            HParam("state", Discrete(get_args(State), dtype=str)),
            HParam("data", description="beijing, simulated, or a CSV's path"),
            *(_column(each) for each in HYPERPARAMETERS.values()),
        ],
        metrics=[Metric(tag, display_name=name) for name, tag in COLUMNS.items()],
    )
    about = declared.value[0].metadata.plugin_data
    data = plugin_data_pb2.HParamsPluginData.FromString(about.content)
    for info in data.experiment.hparam_infos:
        info.differs = info.name in first
    about.content = data.SerializeToString()
    found: Summary = declared
    return found


def _column(hyperparameter: Hyperparameter) -> HParam:
    low, high = hyperparameter.low, hyperparameter.high
    if low is None or high is None:
        domain: Any = Discrete(hyperparameter.choices, dtype=str)
    elif hyperparameter.kind == "int":
        domain = IntInterval(int(low), int(high))
    else:
        domain = RealInterval(float(low), float(high))
    return HParam(hyperparameter.name, domain, description=hyperparameter.meaning)


def _settings(study: StudyView) -> str:
    """Markdown: what was asked for."""
    space = study.space
    searched = {name: entry.describe() for name, entry in space.search.items()}
    data = summarize_data(study).to_json() | space.data.model_dump(mode="json")
    parts = [
        "What was asked for:",
        _table(space.study.model_dump(), ("budget", "")),
        "What is searched, and what is not:",
        _table(searched, ("searched", "")),
        "&nbsp;",
        _table({**space.fixed, **space.defaults}, ("fixed, and defaults", "")),
        "What it learns from:",
        _table(data, ("data", "")),
    ]
    return _warned(study, "\n\n".join(parts))


def _outcome(study: StudyView) -> str:
    """Markdown: how it goes or went, and what won beside what it had to beat."""
    summary = summarize_study(study)
    counts = ", ".join(
        f"{number} {state.replace('_', ' ')}" for state, number in summary.trials.items()
    )
    said = f"{study.name}: {study.outcome}. {counts}."
    if (best := study.best_score) is None or study.best is None:
        return _warned(study, f"### {said}\n\nNo trial has ended with a result yet.\n{HOW_TO_LOOK}")
    trial = study.best
    beside = []
    for name, baseline in study.baselines.leading.items():
        less = 1 - best["rmse"] / baseline.rmse
        where = "below" if less > 0 else "above"
        beside.append(f"{abs(less):.1%} {where} {study.baselines.title(name)}")
    won = (
        f"**Trial {trial.id} is the best**: its validation RMSE is {significant(best['rmse'])}, "
        f"{' and '.join(beside)}, at epoch {best['epoch']} of {trial.epochs}."
    )
    rows = [f"| {' | '.join(row)} |" for row in best_rows(study)]
    table = "\n".join(["| model | RMSE | MAE | skill | epochs |", "|---|--:|--:|--:|--:|", *rows])
    settings = {name: format_setting(value) for name, value in trial.config.items()}
    config = _table(settings, (f"trial {trial.id}", ""))
    # Tables that follow one another would stand as one.
    parts = (f"### {said}", won, table, "What the best trial was given:", config, HOW_TO_LOOK)
    return _warned(study, "\n\n".join(parts))


def _warned(study: StudyView, markdown: str) -> str:
    if not study.table.simulated:
        return markdown
    return f"**SIMULATED DATA: it says nothing about Beijing**\n\n{markdown}"


def _table(facts: Mapping[str, Any], heading: tuple[str, str]) -> str:
    """Markdown: a row a fact."""
    rows = [f"| {key} | {_cell(value)} |" for key, value in facts.items()]
    return "\n".join([f"| {heading[0]} | {heading[1]} |", "|---|---|", *rows])


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if not isinstance(value, str):
        value = json.dumps(value)
    return str(value).replace("|", "\\|")
