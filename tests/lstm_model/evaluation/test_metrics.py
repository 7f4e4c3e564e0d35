import json

import numpy as np
import pytest

from lstm_model.evaluation.metrics import Score, mae, rmse, score, skill

ERRORS = np.array([[3.0, 1.0], [-4.0, np.nan], [100.0, -1.0]])
SCORED = np.array([[True, True], [True, False], [False, True]])


def test_errors_worked_out_by_hand() -> None:
    assert rmse(ERRORS, SCORED).tolist() == [np.sqrt(12.5), 1.0]
    assert mae(ERRORS, SCORED).tolist() == [3.5, 1.0]


def test_skill_worked_out_by_hand() -> None:
    assert skill(np.array([15.0, 20.0, 30.0]), np.array([20.0, 20.0, 20.0])).tolist() == [
        0.25,
        0.0,
        -0.5,
    ]


def test_skill_against_a_perfect_reference() -> None:
    assert skill(np.array([0.0, 1.0]), np.array([0.0, 0.0])).tolist() == [0.0, -np.inf]


def test_means_over_lead_times() -> None:
    found = score(ERRORS, SCORED, np.array([5.0, 4.0]))
    assert found.rmse == pytest.approx((np.sqrt(12.5) + 1) / 2)
    assert found.mae == pytest.approx(2.25)
    # The mean of the skills, not the skill of the means.
    assert found.skill == pytest.approx(((1 - np.sqrt(12.5) / 5) + 0.75) / 2)


def test_json_lists_several_lead_times() -> None:
    one = Score(np.array([2.0]), np.array([1.0]), np.array([0.5]))
    assert one.to_json() == {"rmse": 2.0, "mae": 1.0, "skill": 0.5}
    two = Score(np.array([2.0, 4.0]), np.array([1.0, 2.0]), np.array([0.5, 0.3]))
    assert two.to_json()["by_lead_time"]["rmse"] == {"1": 2.0, "2": 4.0}
    again = Score.from_json(json.loads(json.dumps(two.by_lead_time())))
    assert again.by_lead_time() == two.by_lead_time()
