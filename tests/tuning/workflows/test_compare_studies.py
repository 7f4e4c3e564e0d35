"""Which models may be compared with each other."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lstm_model.errors import Failure, InputError
from tuning.space.search_space import read_space
from tuning.workflows.compare_studies import (
    ComparedModel,
    check_all_trials_done,
    check_equal_terms,
)


def test_study_beyond_its_budget_is_refused(
    pair: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair("none")
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    models = []
    for name in ("alone", "both"):
        folder, space = tmp_path / "my runs" / name, read_space(str(tmp_path / f"{name}.yaml"))
        (folder / "trials").mkdir(parents=True)
        for id in range(2):
            (folder / "trials" / f"{id}.json").touch()
        data: Any = SimpleNamespace(source="air.csv", sha256="ab12")
        models.append(ComparedModel(name, space, folder, True, data, data, {}))
    check_equal_terms(models)
    (tmp_path / "my runs" / "both" / "trials" / "2.json").touch()
    check_equal_terms(models[1:])  # there are no terms where there is one
    with pytest.raises(InputError) as refused:
        check_equal_terms(models)
    assert str(refused.value) == (
        f"{tmp_path}/my runs/both must have no more trials than its budget, to be compared on "
        "equal terms, but has 3 where study.json says 2; mend that with: "
        f"python -m tuning.run --resume '{tmp_path}/my runs/both' --trials 3"
    )


def test_studies_cut_off_by_time_are_not_compared() -> None:
    """With each other, that is: one may be with the baselines, whatever it has."""

    def study(*under_way: bool) -> Any:
        done = sum(not trial for trial in under_way)
        space = SimpleNamespace(study=SimpleNamespace(trials=2))
        return SimpleNamespace(done=done, space=space)

    whole, cut_off = study(False, False), study(False, True)
    check_all_trials_done({"both": whole})
    check_all_trials_done({"alone": cut_off})
    check_all_trials_done({"both": whole, "alone": whole})
    with pytest.raises(Failure) as refused:
        check_all_trials_done({"both": whole, "alone": cut_off})
    assert str(refused.value) == (
        "two models are compared on equal terms, with all of their trials, but both has 2 of 2, "
        "alone has 1 of 2. The same comparison, asked for again, goes on from there."
    )
