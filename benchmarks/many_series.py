"""What many series cost: an epoch by the row, and a worker's memory.

    python -m benchmarks.many_series

The same rows of made-up load, five features, as one series and as many, in turns, on one thread:
the fastest of some epochs of each. Then the memory that a process takes beside its imports to hold
a table of 300 series and train an epoch on it, by the size of the table's inputs and targets as
float32.
"""

import pickle
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.reporting import parser, table, write
from lstm_model.configuration import Configuration, DataSettings
from lstm_model.data.encoded_table import EncodedTable
from lstm_model.data.series_index import SeriesIndex
from lstm_model.data.step import Step

ROWS = 120_000
PANELS = (1, 10, 100, 300)
FEATURES = ("load", "temp", "wind", "price", "sun")
MOST_COST, MOST_MEMORY = 1.1, 2.5  # the goals

TRAIN = """
import pickle, sys
from pathlib import Path
import torch
from benchmarks.many_series import CONFIG, high_water
from lstm_model.training.trainer import Trainer
torch.set_num_threads(1)
small = pickle.loads(Path(sys.argv[2]).read_bytes())
Trainer(CONFIG, small, max_epochs=1, seed=0).run_epoch()
del small
before = high_water()
with open(sys.argv[1], "rb") as file:
    table = pickle.load(file)
Trainer(CONFIG, table, max_epochs=1, seed=0).run_epoch()
print(high_water() - before)
"""
CONFIG = Configuration(hidden_size=64)


def high_water() -> int:
    """The most memory that this process has had so far, in bytes."""
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def made_up(series: int, rows: int) -> EncodedTable:
    """So many rows in all, of which a fifth validates."""
    each = rows // series
    rng = np.random.default_rng(0)
    times = pd.date_range("2000-01-01", periods=each, freq="h", name="time")
    frames = []
    for _ in range(series):
        day = np.sin(np.arange(each) * 2 * np.pi / 24)
        values = rng.normal(0, 1, (each, len(FEATURES))) + 5 + day[:, None]
        frames.append(pd.DataFrame(values, times, list(FEATURES)))
    settings = DataSettings(
        target="load",
        features=FEATURES,
        series="site" if series > 1 else None,
        validation_from=times[round(0.8 * each)].to_pydatetime(),
        test_from=times[-1].to_pydatetime() + pd.Timedelta(hours=1),
    )
    index = SeriesIndex(
        tuple(f"S{number}" for number in range(series)),
        tuple(range(0, each * series + 1, each)),
    )
    return EncodedTable.from_table(pd.concat(frames), Step(3600), settings, index)


def epoch_seconds(rounds: int) -> dict[int, float]:
    """By the number of series, the fastest epoch, in microseconds a row."""
    import torch

    from lstm_model.training.trainer import Trainer

    torch.set_num_threads(1)
    trainers = {
        series: Trainer(CONFIG, made_up(series, ROWS), max_epochs=rounds + 1, seed=0)
        for series in PANELS
    }
    best = dict.fromkeys(PANELS, np.inf)
    for trainer in trainers.values():
        trainer.run_epoch()
    for _ in range(rounds):
        for series, trainer in trainers.items():
            begun = time.perf_counter()
            trainer.run_epoch()
            best[series] = min(best[series], (time.perf_counter() - begun) / ROWS * 1e6)
    return best


def memory_share(series: int, rows: int) -> float:
    """The memory that a worker takes, by the table's inputs and targets as float32."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, name) for name in ("table.pickle", "small.pickle")]
        encoded = made_up(series, rows)
        size = encoded.padded_inputs.nbytes + 4 * len(encoded.target)
        for file, each in zip(files, (encoded, made_up(10, 20_000)), strict=True):
            with open(file, "wb") as out:
                pickle.dump(each, out, protocol=5)
        del encoded
        command = [sys.executable, "-c", TRAIN, *map(str, files)]
        found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return int(found) / size


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--rounds", type=int, default=5, help="epochs of each (5)")
    options.add_argument("--rows", type=int, default=2_000_000, help="of the memory's table")
    given = options.parse_args()
    seconds = epoch_seconds(given.rounds)
    costs = {series: each / seconds[1] for series, each in seconds.items()}
    memory = memory_share(300, given.rows)
    rows = [[n, f"{ROWS // n:,}", f"{seconds[n]:.2f}", f"{costs[n]:.3f}"] for n in PANELS]
    print(table(("series", "rows each", "us a row and epoch", "by one series"), rows))
    print(f"Memory of 300 series, {given.rows:,} rows: {memory:.2f} times the table as float32")
    results = {"epochs": seconds, "costs": costs, "most_cost": MOST_COST, "memory": memory}
    print(f"Figures: {write('many_series', results | {'most_memory': MOST_MEMORY}, given.output)}")


if __name__ == "__main__":
    main()
