"""A comparison as comparison.json has it."""

import json
from dataclasses import fields, replace

from tests.tuning.comparison.builders import make_comparison, make_finalist
from tuning.comparison.result import Comparison, Importances


def test_keys_are_the_fields_in_their_order() -> None:
    names = [field.name for field in fields(Comparison)]
    of_series = ["by_series", "left_out", "coverage_by_series"]
    assert list(make_comparison().to_json()) == names[:-3]
    assert names[-3:] == of_series
    comparison = replace(make_comparison(), by_series={}, left_out=["x"], coverage_by_series={})
    assert list(comparison.to_json()) == names


def test_lead_times_become_keys_and_defaults_are_left_out() -> None:
    comparison = json.loads(json.dumps(make_comparison(2).to_json()))
    assert comparison["data"] == {"source": "beijing", "simulated": False, "sha256": "ab12"}
    assert comparison["rows"] == {"1": 8661, "2": 8660}
    assert list(comparison["models"]["univariate"]) == [
        *("rmse", "mae", "skill", "seeds", "rmse_by_seed"),
        *("best_baseline", "skill_best_baseline"),
    ]
    assert comparison["models"]["persistence"]["rmse"] == {"1": 22.127, "2": 23.127}
    assert list(comparison["models"]["persistence"]) == ["rmse", "mae", "skill"]
    assert comparison["tests"][0]["ci95"] == [-1.0, 0.00001]


def test_a_notebook_shows_the_verdict_and_the_models() -> None:
    comparison = replace(make_comparison(2), verdict="a < b")
    assert repr(comparison) == "Comparison('a < b')"
    page = comparison._repr_html_()
    assert "<p>a &lt; b</p>" in page
    assert page.index("22.13") < page.index("23.13"), "the first lead time, then the last"
    assert all(f"<th>{name}</th>" in page for name in comparison.models)


def test_none_is_written_where_it_says_something() -> None:
    facts = make_comparison().studies["multivariate"]
    assert facts.to_json()["importances"] is None
    shares = replace(facts, importances=Importances(12, {"dropout": 1.0})).to_json()["importances"]
    assert shares == {"trials": 12, "shares": {"dropout": 1.0}}


def test_scores_are_written_as_their_means() -> None:
    finalist = make_finalist(19, 22.5, ["pm2.5"], {"hidden_size": 64}).to_json()
    assert finalist["validation"] == {"rmse": 22.5, "mae": 12.3, "skill": 0.081}
    assert finalist["by_seed"] == [
        {"seed": 1, "epoch": 17, "rmse": 22.6, "mae": 12.4, "skill": 0.0},
        {"seed": 2, "epoch": 15, "rmse": 23.0, "mae": 12.8, "skill": 0.0},
    ]
    assert finalist["baselines"] == {"persistence_rmse": 24.0, "best_baseline": "persistence"}
