"""How a study ended, in the terminal."""

import shlex

from rich.console import Console

from lstm_model.command import print_stderr
from lstm_model.evaluation.baselines import BY_NAME
from lstm_model.wording import significant
from tuning.reporting.series_words import describe_left_out, has_several
from tuning.reporting.tables import FIGURE_DIGITS, best_table
from tuning.shell import command_for_shell, resume_command
from tuning.study.result import StudyResult
from tuning.study.trial import objective_of
from tuning.study.view import StudyView
from tuning.wording import format_setting


def print_study_result(result: StudyResult, console: Console) -> None:
    """The best trial and where things are, or why there is none."""
    study = result.study
    counts = study.counts
    reasons = [trial.reason for trial in study.trials.values() if trial.state == "failed"]
    if result.all_failed:
        print_stderr(
            f"error: {study.name} was ended, because all of its first {counts['failed']} trials "
            f"failed, the first with: {reasons[0]}"
        )
        return
    if study.best_trial is not None:
        _print_best(study, console)
    elif result.signal is None:
        why = f"; the first failed with: {reasons[0]}" if reasons else " in the time given"
        print_stderr(f"error: no trial of {study.name} came to a result{why}")
        return
    if result.is_cut_off:
        cause = result.signal.name if result.signal else "time is up"
        print_stderr(
            f"{cause}: stopped with {study.done} of {study.space.study.trials} trials done; "
            f"everything is saved. Go on with: {resume_command(study.folder)}"
        )
    if result.is_done and 0 < result.most_at_once < result.asked_at_once:
        console.print(
            f"{result.asked_at_once} at once were asked for: {result.most_at_once} ever ran at once"
        )


def _print_best(study: StudyView, console: Console) -> None:
    assert study.best_trial is not None
    console.print(best_table(study))
    for why in describe_left_out(study.table.left_out):
        console.print(f"Left out      {why}", soft_wrap=True)
    config = ", ".join(
        f"{key} {format_setting(value)}" for key, value in study.best_trial.config.items()
    )
    console.print(f"Best trial    {study.best_trial.id}: {config}", soft_wrap=True)
    if study.dataset.simulated:
        console.print("The data are SIMULATED: these figures say nothing about Beijing.")
    model = shlex.quote(str(study.folder / "best"))
    console.print(f"Best model    {model}", soft_wrap=True)
    console.print(f"Disk use      {study.disk_bytes / 1e6:.1f} MB", soft_wrap=True)
    strongest = study.baselines.best
    baseline, score = study.baselines.scores[strongest], study.best_trial.saved
    if score and objective_of(score) >= baseline.objective:
        reached = significant(baseline.rmse, FIGURE_DIGITS)
        if has_several(study):
            reached = f"skill {baseline.skill:.1%}"
        console.print(
            f"The best trial is no better than {BY_NAME[strongest].label} ({reached}).",
            soft_wrap=True,
        )
    most = study.space.study.max_epochs
    if score and score["epoch"] == most:
        console.print(
            f"The best trial's best epoch is its last, {most}: longer ones may be better. "
            f"Begin another study with --max-epochs {2 * most}",
            soft_wrap=True,
        )
    logs = shlex.quote(str(study.folder.parent))
    console.print(
        f"TensorBoard   {command_for_shell('tensorboard')} --logdir {logs}", soft_wrap=True
    )
