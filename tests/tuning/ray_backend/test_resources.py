"""How many trials fit on what Ray has."""

import pytest
import ray

from lstm_model.errors import InputError
from tuning.ray_backend.resources import slots


@pytest.mark.parametrize(
    ("cpu", "limit", "expected"),
    [(1, None, 2), (0.5, None, 4), (2, None, 1), (0.5, 3, 3), (1, 9, 2)],
)
def test_as_many_trials_as_fit(
    cpu: float, limit: int | None, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 2.0})
    assert slots(cpu, 0, limit)() == expected


def test_on_a_cluster_one_more_waits_than_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    have = {"CPU": 0.0}
    monkeypatch.setattr(ray, "cluster_resources", lambda: have)
    at_once, limited = slots(1, 0, cluster=True), slots(1, 0, 16, cluster=True)
    assert (at_once(), limited()) == (1, 16), "an autoscaler is asked for the first node"
    have["CPU"] = 8.0
    assert (at_once(), limited()) == (9, 16)


def test_gpus_bound_how_many_trials_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 16.0, "GPU": 2.0})
    assert slots(1, 0.25)() == 8
    assert slots(1, 1)() == 2
    with pytest.raises(InputError, match="asks for 1 CPU and 4 GPU, but there are 16 and 2"):
        slots(1, 4)
