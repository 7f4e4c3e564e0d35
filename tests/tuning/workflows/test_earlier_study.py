"""What a new study takes over from an earlier one: which configurations, and in which order."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lstm_model.command import run_app
from lstm_model.configuration import DataSettings
from lstm_model.errors import InputError
from tests.builders import best_score, study_view
from tests.tuning.conftest import SPACE
from tuning.run import app
from tuning.search.searcher import OptunaSearcher
from tuning.space.schema import Choices, FloatRange, IntRange
from tuning.space.search_space import SearchSpace, StudySettings, Value
from tuning.study.manifest import read_study_space
from tuning.study.study import Study
from tuning.study.trial import State, Trial
from tuning.workflows.earlier_study import add_earlier_trials
from tuning.workflows.resolve_study import StudyRequest, resolve_study

Config = dict[str, Value]
ONE: Config = {"num_layers": 1, "hidden_size": 16, "loss": "mse"}
TWO: Config = {"num_layers": 2, "hidden_size": 16, "dropout": 0.25, "loss": "mae"}


@pytest.fixture
def space() -> SearchSpace:
    return SearchSpace(
        data={
            "source": "simulated",
            "features": ["pm2.5"],
            "validation_from": "2013-01-01",
            "test_from": "2014-01-01",
        },
        search={
            "num_layers": IntRange(1, 2),
            "hidden_size": IntRange(8, 32, step=8),
            "dropout": FloatRange(0.0, 0.4, when={"num_layers": 2}),
            "loss": Choices(("mse", "mae")),
        },
        name="new.yaml",
    )


@pytest.fixture
def earlier(tmp_path: Path) -> Callable[..., Path]:
    """Writes a study with trials of these (validation RMSE, configuration), and perhaps a state."""

    def write(*trials: tuple[float | None, Config] | tuple[float | None, Config, State]) -> Path:
        folder = tmp_path / "runs" / "old"
        (folder / "trials").mkdir(parents=True)
        (folder / "study.json").write_text(json.dumps({"defaults": {}}))
        for number, (rmse, config, *state) in enumerate(trials):
            trial = Trial(number, config, state[0] if state else "finished")
            if rmse is not None:
                trial.best = best_score(1, rmse)
                trial.history = [{"epoch": 1, "rmse": rmse}]
            (folder / "trials" / f"{number}.json").write_bytes(trial.to_bytes())
        return folder

    return write


def taken(space: SearchSpace, folder: Path) -> list[Any]:
    return [dict(point) for point in add_earlier_trials(space, folder)[0].initial_trials]


def sized(*sizes: int) -> list[Config]:
    return [{**ONE, "hidden_size": size} for size in sizes]


def test_the_best_come_first_and_only_once(
    space: SearchSpace, earlier: Callable[..., Path]
) -> None:
    folder = earlier(
        (9.0, ONE),
        (7.0, TWO, "stopped_early"),
        (5.0, {**ONE, "loss": "mae"}, "interrupted"),  # has no end yet
        (None, {**ONE, "loss": "mae"}, "failed"),
        (8.0, TWO),
        (7.0, {**ONE, "hidden_size": 8}),  # as good as trial 1, and after it
    )
    new, message = add_earlier_trials(space, folder)
    assert list(new.initial_trials) == [TWO, {**ONE, "hidden_size": 8}, ONE]
    assert message == f"Tried first, from {folder}: trials 1, 5, 0"
    assert replace(new, initial_trials=()) == space


def test_at_most_five(space: SearchSpace, earlier: Callable[..., Path]) -> None:
    all_configs = [{**each, "loss": loss} for loss in ("mse", "mae") for each in sized(8, 16, 24)]
    folder = earlier(*((float(rank), config) for rank, config in enumerate(all_configs)))
    assert taken(space, folder) == all_configs[:5]
    assert taken(space.overridden({"study.trials": 2}), folder) == all_configs[:2]


def test_what_lies_outside_is_left_out_and_counted(
    space: SearchSpace, earlier: Callable[..., Path]
) -> None:
    folder = earlier(
        (1.0, {**ONE, "hidden_size": 64}),
        (2.0, {**ONE, "hidden_size": 128}),
        (3.0, {**ONE, "loss": "huber"}),
        (4.0, {**ONE, "hidden_size": 20}),
        (5.0, {**TWO, "dropout": 0.5}),
        (6.0, {**ONE, "batch_size": 4}),
        (7.0, ONE),
    )
    new, message = add_earlier_trials(space, folder)
    assert list(new.initial_trials) == [ONE]
    assert message == (
        f"Tried first, from {folder}: trial 6. Left out, as outside the space: hidden_size must "
        "lie from 8 to 32 (2); loss must be one of mse, mae (1); hidden_size must be 8 plus whole "
        "steps of 8 (1); dropout must lie from 0 to 0.4 (1); batch_size must be 8, which is the "
        "default (1)"
    )


def test_worse_ones_than_the_fifth_are_not_told_of(
    space: SearchSpace, earlier: Callable[..., Path]
) -> None:
    configs = [*sized(8, 16, 24, 32), TWO, {**ONE, "hidden_size": 999}]
    folder = earlier(*((float(rank), config) for rank, config in enumerate(configs)))
    assert add_earlier_trials(space, folder)[1].endswith("trials 0, 1, 2, 3, 4")


@pytest.mark.parametrize(
    ("config", "point"),
    [
        # dropout was searched for one layer too, where it means nothing: here it doesn't exist.
        ({**ONE, "dropout": 0.9}, ONE),
        # loss is neither searched nor fixed there: huber, the default, can't be had here.
        ({"num_layers": 1, "hidden_size": 16}, "loss must be one of mse, mae"),
        # What was fixed there is a value like any other: the record has it.
        ({**TWO, "context_length": 24}, TWO),
        # dropout did not exist there: its default, 0, lies in the space.
        ({"num_layers": 2, "hidden_size": 16, "loss": "mae"}, {**TWO, "dropout": 0.0}),
        # A whole number for a hyperparameter that is none.
        ({**TWO, "dropout": 0}, {**TWO, "dropout": 0.0}),
    ],
)
def test_a_configuration_is_projected(
    space: SearchSpace, earlier: Callable[..., Path], config: Config, point: Config | str
) -> None:
    folder = earlier((1.0, config))
    if isinstance(point, str):
        with pytest.raises(InputError, match=rf"of .*old none does: {point} \(1\); widen"):
            add_earlier_trials(space, folder)
    else:
        (new,) = add_earlier_trials(space, folder)[0].initial_trials
        assert new == point
        assert list(map(type, new.values())) == list(map(type, point.values()))


def test_fixed_values_must_agree(space: SearchSpace, earlier: Callable[..., Path]) -> None:
    fixed = replace(space, fixed={"context_length": 12, "huber_delta": 0.3})
    folder = earlier((1.0, ONE), (2.0, {**TWO, "context_length": 12}))
    new, message = add_earlier_trials(fixed, folder)
    assert list(new.initial_trials) == [TWO]
    assert message.endswith("outside the space: context_length must be 12, which is fixed (1)")


def test_defaults_are_those_of_the_earlier_study(
    space: SearchSpace, earlier: Callable[..., Path]
) -> None:
    folder = earlier((1.0, ONE))
    (folder / "study.json").write_text(json.dumps({"defaults": {"batch_size": 4}}))
    with pytest.raises(InputError, match="none does: batch_size must be 8, which is the default"):
        add_earlier_trials(space, folder)


def test_own_initial_trials_come_before(space: SearchSpace, earlier: Callable[..., Path]) -> None:
    own = replace(space, initial_trials=(ONE,), study=StudySettings(trials=3))
    folder = earlier((1.0, TWO), (2.0, ONE), *((3.0, each) for each in sized(8, 24)))
    new, message = add_earlier_trials(own, folder)
    assert list(new.initial_trials) == [ONE, TWO, *sized(8)]
    assert message == (
        f"Tried first, from {folder}: trials 0, 2, after the space's own initial trials"
    )
    for trial in (0, 2, 3):
        (folder / "trials" / f"{trial}.json").unlink()
    new, message = add_earlier_trials(own, folder)
    assert new == own
    assert message.endswith("old: nothing, after the space's own initial trials")


def test_what_gives_nothing_is_refused(space: SearchSpace, earlier: Callable[..., Path]) -> None:
    folder = earlier((None, ONE, "failed"), (1.0, ONE, "running"))

    def message(space: SearchSpace) -> str:
        with pytest.raises(InputError) as mistake:
            add_earlier_trials(space, folder)
        return str(mistake.value)

    assert message(space).startswith("--initial-from must name a study that has results, but no")
    full = replace(space, initial_trials=(ONE,), study=StudySettings(trials=1))
    assert "but of 1 trials 1 are the space's own initial ones" in message(full)
    empty = replace(space, search={}, study=StudySettings(trials=1))
    assert "but the space searches nothing" in message(empty)


# With the study that begins


def ask(runs: Path, space: SearchSpace, **options: Any) -> StudyRequest:
    given: dict[str, Any] = {"space": space, "resume": None, "name": "new", "or_resume": False}
    return resolve_study(runs, options.pop("changes", {}), **{**given, **options})


def test_the_study_keeps_them(
    space: SearchSpace, earlier: Callable[..., Path], tmp_path: Path, table: Path
) -> None:
    """What is tried is the same after a kill, whatever the earlier study has become since."""
    folder = earlier((1.0, TWO), (2.0, ONE))
    data = {**space.data.model_dump(), "source": str(table), "target": "pm", "time": "time"}
    data |= {"features": ["pm"], "validation_from": "2020-02-10", "test_from": "2020-02-25"}
    space = replace(space, data=DataSettings.model_validate(data))
    runs = tmp_path / "runs"
    asked = ask(runs, space, initial_from="old", or_resume=True, changes={"study.trials": 4})
    assert (asked.folder, asked.resumed) == (runs / "new", False)
    study = Study(study_view(asked.folder, asked.space))
    study.create([])
    study.release()
    (folder / "trials" / "0.json").unlink()

    again = [
        resolve_study(runs, {}, space=None, resume="new", name=None, or_resume=False),
        ask(runs, space, initial_from="old", or_resume=True, changes={"study.trials": 4}),
        ask(runs, space, initial_from="gone", or_resume=True, changes={"study.trials": 4}),
    ]
    assert [request.resumed for request in again] == [True, True, True]
    assert all(request.space.initial_trials == (TWO, ONE) for request in again)
    assert read_study_space(asked.folder) == asked.space == again[1].space
    assert again[1].message == (
        f"{runs / 'new'} is there, with its own initial trials: --initial-from changes nothing"
    )
    for request in (asked, *again):
        searcher = OptunaSearcher(request.space, concurrency=lambda: 9, stopping=lambda: False)
        for trial, config in enumerate((TWO, ONE)):
            suggestion = searcher.suggest(str(trial))
            assert isinstance(suggestion, dict)
            assert suggestion["hyperparameters"] == config
    with pytest.raises(InputError, match="with other settings than are asked for: initial_trials;"):
        ask(runs, space, or_resume=True, changes={"study.trials": 4})
    other = replace(space, initial_trials=tuple(sized(8)))
    with pytest.raises(InputError, match="with other settings than are asked for: initial_trials;"):
        ask(runs, other, or_resume=True, initial_from="old", changes={"study.trials": 4})


def test_what_goes_on_takes_nothing_over(
    space: SearchSpace, earlier: Callable[..., Path], tmp_path: Path
) -> None:
    earlier((1.0, TWO))
    with pytest.raises(
        InputError, match=r"^--initial-from says what a study tries first, but --re"
    ):
        resolve_study(
            tmp_path / "runs",
            {},
            space=None,
            resume="old",
            name=None,
            or_resume=False,
            initial_from="old",
        )
    with pytest.raises(InputError, match=r"^--initial-from must name a study's folder, but 'odl'"):
        ask(tmp_path / "runs", space, initial_from="odl")


def test_the_command_tells_what_it_takes_over(
    earlier: Callable[..., Path],
    home: Path,
    table: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = earlier((1.0, {**TWO, "learning_rate": 0.5}), (2.0, {**ONE, "learning_rate": 0.01}))
    file = home / "tiny.yaml"
    file.write_text(SPACE.format(source=table, trials=3, max_epochs=2, horizon=1, scheduler="asha"))
    flags = ["--space", str(file), "--runs", str(home / "runs"), "--initial-from", "old"]
    assert run_app(app, [*flags, "--check"]) == 2
    assert capsys.readouterr().err == (
        f"--initial-from must name a study with configurations that lie in the space, but of "
        f"{folder} none does: learning_rate must lie from 0.001 to 0.05 (1); context_length must "
        "be 12, which is fixed (1); widen the space, or leave it out\n"
    )
    for trial in (0, 1):
        path = folder / "trials" / f"{trial}.json"
        record = json.loads(path.read_text())
        record["config"] |= {"context_length": 12, "chunk_length": 48}
        path.write_text(json.dumps(record))
    assert run_app(app, [*flags, "--check"]) == 0
    assert capsys.readouterr().out.startswith(
        f"Tried first, from {folder}: trial 1, after the space's own initial trials. Left out, as "
        "outside the space: learning_rate must lie from 0.001 to 0.05 (1)\n"
    )
