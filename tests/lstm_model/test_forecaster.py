"""The forecaster's gates, by cell.py, against the torch.nn.LSTM that makes its forecasts."""

import pytest
import torch

from lstm_model.configuration import Configuration
from lstm_model.forecaster import LSTMForecaster


@pytest.mark.parametrize("layers", [1, 2])
def test_the_gates_lead_to_the_memories_of_torch(layers: int) -> None:
    config = Configuration(hidden_size=6, num_layers=layers, dropout=0.5 * (layers > 1))
    model = LSTMForecaster.seeded(5, config, 3, seed=1)
    inputs = torch.randn(40, 5, generator=torch.Generator().manual_seed(2))
    found = model.train().gates(inputs, skip=8)  # dropout plays no part, whatever the mode
    assert {values.shape for values in found.values()} == {(32, 6)}

    model.eval()
    with torch.no_grad():
        short_term, _ = model.lstm(inputs[None])
        # torch tells the long-term memory at the end of a run alone: a run for each hour.
        ends = [model.lstm(inputs[None, : end + 1])[1][1][-1, 0] for end in range(8, 40)]
    short, long = (torch.from_numpy(found[name]).float() for name in ("short_term", "long_term"))
    torch.testing.assert_close(short, short_term[0, 8:])
    torch.testing.assert_close(long, torch.stack(ends))


def test_the_gates_say_what_became_of_the_memories() -> None:
    model = LSTMForecaster.seeded(4, Configuration(hidden_size=3), 1, seed=0)
    inputs = torch.randn(30, 4, generator=torch.Generator().manual_seed(0))
    found = model.gates(inputs)
    for name in ("forget", "retain", "output"):
        assert ((found[name] > 0) & (found[name] < 1)).all()
    kept = found["forget"][1:] * found["long_term"][:-1]
    added = found["retain"] * found["potential_long_term"]
    passed_on = found["output"] * torch.tanh(torch.from_numpy(found["long_term"])).numpy()
    assert found["long_term"][1:] == pytest.approx(kept + added[1:], abs=1e-6)
    assert found["long_term"][0] == pytest.approx(added[0], abs=1e-6)
    assert found["short_term"] == pytest.approx(passed_on, abs=1e-6)
    # What is skipped was read all the same.
    assert model.gates(inputs, skip=29)["output"] == pytest.approx(found["output"][29:])
