"""A study as TensorBoard events.

It has these runs below <study>/tensorboard, named so that what is looked for first comes first in
the list of runs, before a hundred trials:

    .               text, figures, the study's best RMSE by trials that have ended
    best            the curves of the best trial
    <baseline>      the leading baselines, as lines in the charts that trials have
    running/<id>    trials under way
    trials/<id>     trials that have ended

and a comparison one for each model below <comparison>/tensorboard.
"""

import json
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, closing

from lstm_model.evaluation.baselines import BASELINES
from lstm_model.evaluation.metrics import Score
from lstm_model.wording import number_format, significant
from tuning.reporting.figure_thread import FigureThread
from tuning.reporting.series_words import (
    describe_left_out,
    has_several,
    rank_series,
    rows_by_rank,
)
from tuning.reporting.tables import best_rows
from tuning.reporting.tensorboard.events import Events, Mirror
from tuning.reporting.tensorboard.hparams import (
    HPARAMS_METRICS,
    HPARAMS_SUFFIX,
    declare_columns,
    write_row,
)
from tuning.study.summary import summarize_data, summarize_study
from tuning.study.trial import BestScore, Trial
from tuning.study.view import Listener, StudyView
from tuning.wording import format_setting

# Tags of the chart that each number of an epoch goes to.
CURVES = {
    "loss": "training/loss",
    "learning_rate": "training/learning_rate",
    "gradient_norm": "training/gradient_norm",
    "rmse": "validation/rmse",
    "mae": "validation/mae",
    "skill": "validation/skill",
}
METRICS = ("rmse", "mae", "skill")
# The lowest RMSE so far by the number of trials that have ended.
BEST_SO_FAR_TAG = "whole_study/lowest_rmse"
# With several series the lowest objective: the mean of their RMSE by persistence's.
OBJECTIVE_TAG = "whole_study/lowest_objective"
POOLED = "pooled_ridge"
RANKED = ("finished", "stopped_early")  # trials that may be the best
# Charts of Custom Scalars by category, each with the expression that its tags match.
CHARTS = {
    "Studies beside one another": {
        "Lowest validation RMSE by trials that have ended": f"^{BEST_SO_FAR_TAG}$",
        "Validation RMSE by epoch": "^validation/rmse$",
        "Training loss by epoch": "^training/loss$",
    },
}
SERIES_CHARTS = {
    "Studies of several series": {
        "Lowest RMSE / persistence's by trials that have ended": f"^{OBJECTIVE_TAG}$",
        "Validation skill by epoch, the mean over series": "^validation/skill$",
    },
}
# HPARAMS shows so many hyperparameters at first, those that are said to differ before the others.
SHOWN_FIRST = 5


class TensorBoard(Listener):
    """Writes a study's events as it goes.

    TensorBoard keeps the first row that a run has in HPARAMS. So a trial moves when it ends, and
    has its row written anew where it arrives: a page that is open sees the new state too.

    Every event raises OSError where it can't be written. Figures alone are left out without a word:
    they are drawn in a thread, and whoever writes next tells of a full disk.
    """

    def __init__(self) -> None:
        self._is_open = False

    def on_study_start(self, study: StudyView) -> None:
        self._mirror = Mirror(study.folder / "tensorboard")
        self._folder = self._mirror.folder
        runs = [_number(trial) for trial in study.trials.values() if trial.under_way]
        self._mirror.fetch([f"{state}/{run}" for state in ("running", "trials") for run in runs])
        self._trials: dict[int, Events] = {}
        self._ended = study.done
        self._best: tuple[int, int] | None = None  # the trial and its epochs in the run `best`
        self._root = Events(self._folder)
        self._figures = FigureThread(
            self._root.images, self._mirror.upload if self._mirror.is_remote else None
        )
        self._is_open = True
        Events(self._folder / "best").close()  # runs are listed by their age: before the trials
        # Parallel coordinates leave out trials that lack what is shown: nothing conditional.
        always = [name for name, entry in study.space.search.items() if not entry.when]
        self._root.add(declare_columns(["state", *always][:SHOWN_FIRST]))
        self._root.charts(CHARTS | SERIES_CHARTS if has_several(study) else CHARTS)
        self._root.text("settings", _settings(study))
        self._write_outcome(study)
        self._write_baselines(study)

    def on_trial_start(self, study: StudyView, trial: Trial) -> None:
        # One that is tried again after its worker died goes on with the same run.
        self._open_run(study, trial)
        self._redraw_if_due(study)

    def on_epoch(self, study: StudyView, trial: Trial) -> None:
        best = trial.best
        scores = (best["rmse"], best["mae"], best["skill"]) if best else (None, None, None)
        columns = (*scores, trial.epochs, trial.seconds)
        values = dict(zip(HPARAMS_METRICS.values(), columns, strict=True))
        events = self._open_run(study, trial)
        events.scalars({**_curves(trial.history[-1]), **values}, trial.epochs)

    def on_trial_end(self, study: StudyView, trial: Trial) -> None:
        events = self._open_run(study, trial)
        if trial.reason:
            events.text("why it failed", trial.reason)
        events.close()
        del self._trials[trial.id]
        write_row(self._folder / "trials" / _number(trial), study, trial)
        self._move(trial, "running", "trials")
        self._ended += not trial.under_way
        if study.best_trial:
            self._root.scalars(_best_so_far(study, study.best_trial), self._ended)
        self._redraw_if_due(study)

    def on_study_end(self, study: StudyView) -> None:
        if not self._is_open:
            return
        try:
            try:
                self._write_best(study)
                self._write_outcome(study)
                if study.outcome != "failed":
                    self._figures.finish(study)
            finally:
                self.close()
            self.upload()
        finally:
            self._mirror.close()

    def upload(self) -> None:
        """Bring what is new to the study's folder where that is in an object store."""
        self._mirror.upload()

    def close(self) -> None:
        """Leave no thread and no open file."""
        if not self._is_open:
            return
        self._is_open = False
        with ExitStack() as at_end:  # all are closed, whatever comes of one
            for events in (self._root, *self._trials.values()):
                at_end.callback(events.close)
            at_end.callback(self._figures.close)

    def _open_run(self, study: StudyView, trial: Trial) -> Events:
        """The run of a trial under way."""
        if trial.id not in self._trials:
            self._move(trial, "trials", "running")  # of a study that goes on
            run = self._folder / "running" / _number(trial)
            write_row(run, study, trial)
            events = self._trials[trial.id] = Events(run)
            events.begin_after(trial.epochs)  # what was there of later ones was cut off
        return self._trials[trial.id]

    def _move(self, trial: Trial, old: str, new: str) -> None:
        """Move a trial's curves. Its row is left out, and written anew."""
        number = _number(trial)
        old_run, new_run = self._folder / old / number, self._folder / new / number
        self._mirror.move(old_run, new_run, without=HPARAMS_SUFFIX)

    def _redraw_if_due(self, study: StudyView) -> None:
        if self._figures.redraw_if_due(study):
            self._write_best(study)
            self._write_outcome(study)

    def _write_baselines(self, study: StudyView) -> None:
        """As long as the trials' curves, so that a chart shows them from end to end."""
        epochs, trials = study.space.study.max_epochs, study.space.study.trials
        for name, score in study.baselines.leading.items():
            self._mirror.remove(name)  # a study may go on with more trials
            with closing(Events(self._folder / name)) as events:
                _write_constant_lines(events, score, "validation", range(1, epochs + 1))
                lowest = {BEST_SO_FAR_TAG: score.rmse}
                if has_several(study):
                    lowest[OBJECTIVE_TAG] = score.objective
                for ended in range(1, trials + 1):
                    events.scalars(lowest, ended)

    def _write_best(self, study: StudyView) -> None:
        if (
            study.best_trial is None
            or (best := (study.best_trial.id, study.best_trial.epochs)) == self._best
        ):
            return
        self._best = best
        with closing(Events(self._folder / "best")) as events:
            events.begin_after(0)  # in place of the one that was the best before
            for number, epoch in enumerate(study.best_trial.history, start=1):
                events.scalars(_curves(epoch), number)

    def _write_outcome(self, study: StudyView) -> None:
        self._root.text("outcome", _outcome(study))
        if study.best_score and "by_series" in study.best_score:
            self._root.text("skill by series", _skill_by_series(study, study.best_score))


def _number(trial: Trial) -> str:
    return f"{trial.id:04d}"


def _best_so_far(study: StudyView, best: Trial) -> dict[str, float]:
    if not has_several(study):
        return {BEST_SO_FAR_TAG: best.rmse}
    # The trial with the lowest objective need not have the lowest RMSE over all rows.
    ended = [each.rmse for each in study.trials.values() if each.state in RANKED]
    return {BEST_SO_FAR_TAG: min(ended, default=best.rmse), OBJECTIVE_TAG: best.objective}


def _curves(epoch: Mapping[str, float]) -> dict[str, float]:
    return {tag: epoch[name] for name, tag in CURVES.items() if name in epoch}


def _write_constant_lines(events: Events, score: Score, group: str, steps: Iterable[int]) -> None:
    """Write the same at every step."""
    values = {f"{group}/{metric}": getattr(score, metric) for metric in METRICS}
    for step in steps:
        events.scalars(values, step)


def _settings(study: StudyView) -> str:
    """Markdown: what was asked for."""
    space = study.space
    searched = {name: entry.describe() for name, entry in space.search.items()}
    data = summarize_data(study).to_json()
    data.pop("left_out", None)  # the outcome tells it
    if (count := data.pop("series", None)) is not None:  # which is a setting's name too
        data["number_of_series"] = count
    data |= space.data.model_dump(mode="json")
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
    return _with_simulation_notice(study, "\n\n".join(parts))


def _outcome(study: StudyView) -> str:
    """Markdown: how it goes or went, and what won beside what it had to beat."""
    summary = summarize_study(study)
    counts = ", ".join(
        f"{number} {state.replace('_', ' ')}" for state, number in summary.trials.items()
    )
    heading = f"### {study.name}: {study.outcome}. {counts}."
    if (best := study.best_score) is None or study.best_trial is None:
        nothing = f"{heading}\n\nNo trial has ended with a result yet.\n{_how_to_look(study)}"
        return _with_simulation_notice(study, nothing)
    trial = study.best_trial
    several, differences = has_several(study), []
    for name, baseline in study.baselines.leading.items():
        less = 1 - best["rmse"] / baseline.rmse
        where, share = "below" if less > 0 else "above", f"{abs(less):.1%}"
        if several:
            more = 100 * (best["skill"] - baseline.skill)
            where, share = "above" if more > 0 else "below", f"{abs(more):.1f} points"
        differences.append(f"{share} {where} {study.baselines.title(name)}")
    reached = f"validation RMSE is {significant(best['rmse'])}"
    if several:
        count = len(best.get("by_series", ()))
        reached = f"mean validation skill over {count} series is {best['skill']:.1%}"
    won = (
        f"**Trial {trial.id} is the best**: its {reached}, "
        f"{' and '.join(differences)}, at epoch {best['epoch']} of {trial.epochs}."
    )
    left_out = "".join(
        f"\n\nLeft out: {_cell(why)}." for why in describe_left_out(study.table.left_out)
    )
    headings, rows = best_rows(study)
    lines = [f"| {' | '.join(row)} |" for row in (headings, *rows)]
    table = "\n".join([lines[0], "|---|--:|--:|--:|--:|", *lines[1:]])
    values = {name: format_setting(value) for name, value in trial.config.items()}
    config = _table(values, (f"trial {trial.id}", ""))
    # Tables that follow one another would stand as one.
    sections = (
        heading,
        won + left_out,
        table,
        "What the best trial was given:",
        config,
        _how_to_look(study),
    )
    return _with_simulation_notice(study, "\n\n".join(sections))


def _skill_by_series(study: StudyView, best: BestScore) -> str:
    """Markdown: how the model in best/ does in each series, or in the best and the worst ones."""
    scores = best["by_series"]
    ranked = rank_series({name: score["skill"] for name, score in scores.items()})
    form = number_format(scores[name][error] for name in ranked for error in ("rmse", "mae"))
    lines = ["| rank | series | skill | RMSE | MAE |", "|--:|---|--:|--:|--:|"]
    for row in rows_by_rank(ranked):
        if row is None:
            lines.append("| ... | | | | |")
            continue
        rank, name = row
        figures = f"{scores[name]['skill']:.1%} | {scores[name]['rmse']:{form}}"
        lines.append(f"| {rank} | {_cell(name)} | {figures} | {scores[name]['mae']:{form}} |")
    better = sum(scores[name]["skill"] > 0 for name in ranked)
    heading = (
        f"The best trial is better than persistence in {better} of {len(ranked)} series that are "
        "scored on validation."
    )
    return _with_simulation_notice(study, "\n\n".join([heading, "\n".join(lines)]))


def _how_to_look(study: StudyView) -> str:
    """Over 40 runs TensorBoard's pages, but for the first, select none by themselves."""
    # What reads all series is no baseline of one.
    names = [each.name for each in BASELINES if has_several(study) or each.name != POOLED]
    prefixes = "|".join(dict.fromkeys(name.partition("_")[0] for name in names))
    return f"""
HPARAMS has a row for each trial. Of more than 40 runs Scalars, Images and Text select none by
themselves, until the filter above their list of runs leaves fewer:
`best|{prefixes}`
for the best trial beside the baselines, `running` for what is under way; `^air.*best` for one study
of many, here `air`.
"""


def _with_simulation_notice(study: StudyView, markdown: str) -> str:
    if not study.dataset.simulated:
        return markdown
    return f"**SIMULATED DATA: it says nothing about Beijing**\n\n{markdown}"


def _table(facts: Mapping[str, object], heading: tuple[str, str]) -> str:
    """Markdown: a row a fact."""
    rows = [f"| {key} | {_cell(value)} |" for key, value in facts.items()]
    return "\n".join([f"| {heading[0]} | {heading[1]} |", "|---|---|", *rows])


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if not isinstance(value, str):
        value = json.dumps(value)
    return str(value).replace("|", "\\|")
