"""What one trial costs on one core: seconds and memory.

    LSTM_TUNING_DATA=DIR python -m benchmarks.one_trial

Trains 64 hidden units on the eight features at horizon 1 for 20 epochs, in a fresh process as a
trial's worker is. Without Beijing's data the simulated air stands in, which costs the same.
"""

import json
import subprocess
import sys

TRIAL = """
import json, resource, time
import torch
torch.set_num_threads(1)
from lstm_model.configuration import Configuration
from lstm_model.series import Series
from lstm_model.sources import load_table
from lstm_model.training import Fit
from tuning.search_space import read_space

data = read_space("multivariate.yaml").data
table = load_table(data)
series = Series.from_table(table.frame, table.step, data)
begun = time.perf_counter()
fit = Fit(Configuration(hidden_size=64, learning_rate=0.01), series, max_epochs=20, seed=0)
epochs = [epoch.seconds for epoch in fit]
print(json.dumps({
    "source": table.source,
    "seconds": time.perf_counter() - begun,
    "first_epoch": epochs[0],
    "epoch": sum(epochs[1:]) / 19,
    "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    "rmse": fit.best.score.rmse,
    "skill": fit.best.score.skill,
}))
"""


def main() -> None:
    done = subprocess.run([sys.executable, "-c", TRIAL], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    print(f"| one trial, 20 epochs, 64 units, eight features ({found['source']}) | |\n|---|---:|")
    for name, value in list(found.items())[1:]:
        print(f"| {name} | {value:.3f} |")


if __name__ == "__main__":
    main()
