"""How near a trial's training comes to what one core can do, and what it spends elsewhere.

    LSTM_TUNING_DATA=DIR python -m benchmarks.trial_limit
    python -m benchmarks.trial_limit --sizes 64 --seconds 3

For each hidden size a fresh process with one thread, as a trial's worker is, trains on the eight
features at horizon 1. Epochs of the real loop (Trainer.run_epoch, with validation), the bare LSTM
on the same tensors, and this core's matrix products take turns, so that whatever else the machine
does befalls all three; figures are medians over the turns. Memory is the process's peak, with Ray
imported. Without Beijing's data the simulated air stands in, which costs the same.

Operations are counted by formula, two for a multiplication with its addition. An hour costs a layer
with I inputs and H units 8 H (I + H) forward. Backward it costs as much again for the weights'
gradients, and 8 H H for the short-term memory's; the gradient of the inputs, 8 H I, is needed above
the first layer alone. The head costs 2 H L forward and 4 H L backward. Biases, gates' functions and
element-wise products are not counted.

The share outside is the part of an epoch that is not spent in the LSTM's forward and backward
passes: data, dropout, head, loss, clipping, optimiser, averaged weights, scores. It is timed in the
loop itself, at a cost of some microseconds a step. Alone, without all that between, the same
passes find their data in the caches and are faster: the difference is the loop's doing too.
"""

import resource
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.reporting import parser, table, write
from lstm_model.configuration import Configuration
from lstm_model.data.encoded_table import EncodedTable
from lstm_model.data.sources import load_dataset
from lstm_model.model import fast_torch
from lstm_model.model.forecaster import LSTMForecaster
from lstm_model.training.evaluator import SETTLING_ROWS
from lstm_model.training.trainer import Trainer
from tuning.space.search_space import read_space

SIZES = (16, 32, 64, 128, 256)
MATRIX = 1024  # rows and columns of the products that make the peak: 12 MB, so the caches' size
TURNS = 3  # at least


@dataclass(frozen=True)
class Measured:
    """One hidden size; times in seconds, speeds in GFLOP/s."""

    hidden_size: int
    source: str
    turns: int
    epoch: float
    inside: float  # of these in the LSTM's passes
    bare: float  # the same passes without what is between them
    operations: float  # an epoch's, in GFLOP
    speed: float  # of the training loop
    bare_speed: float
    peak: float  # of this core, multiplying matrices
    share_of_peak: float
    share_outside: float
    peak_mb: float  # the worker's memory at most, with what it has imported

    def row(self) -> list[str]:
        return [
            f"{self.hidden_size}",
            f"{self.epoch:.3f}",
            f"{self.speed:.1f}",
            f"{self.bare_speed:.1f}",
            f"{self.peak:.1f}",
            f"{self.share_of_peak:.0%}",
            f"{self.share_outside:.0%}",
            f"{self.peak_mb:.0f}",
        ]


TITLES = (
    "hidden units",
    "epoch, s",
    "loop, GFLOP/s",
    "bare LSTM",
    "matrix product",
    "loop / product",
    "outside the LSTM",
    "memory, MB",
)


def measured(hidden_size: int, seconds: float) -> Measured:
    """In this process, which must have done nothing else: its memory is measured."""
    torch.set_num_threads(1)
    # A worker has imported this, and Ray with it.
    import tuning.ray_backend.trainable  # noqa: F401

    settings = read_space("multivariate.yaml").data
    loaded = load_dataset(settings)
    table = EncodedTable.from_table(loaded.frame, loaded.step, settings)
    config = Configuration(hidden_size=hidden_size, learning_rate=0.01)
    fit = Trainer(config, table, max_epochs=10_000, seed=0)
    fit.run_epoch()  # the first one is slower: nothing is warm
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    bare = Bare(fit)
    squares = [torch.randn(MATRIX, MATRIX)]
    if torch.backends.mkldnn.is_available():
        squares.append(squares[0].to_mkldnn())
    watch = Watch(fit)
    times: list[tuple[float, float, float, float]] = []
    begun = time.perf_counter()
    while len(times) < TURNS or time.perf_counter() - begun < seconds:
        watch.seconds = 0.0
        whole = fit.run_epoch().seconds
        times.append((whole, watch.seconds, bare.seconds(), product_seconds(squares)))
    epoch, inside, alone, product = (median(each) for each in zip(*times, strict=True))
    # Of each turn its own ratio: the turns differ by more than what is compared in them.
    within = median(turn[1] / turn[0] for turn in times)
    beside = median(turn[3] / turn[0] for turn in times)
    operations = bare.operations / 1e9
    product_operations = 2 * MATRIX**3 / 1e9
    return Measured(
        hidden_size,
        loaded.source,
        len(times),
        epoch,
        inside,
        alone,
        operations,
        operations / epoch,
        bare.lstm_operations / 1e9 / alone,
        product_operations / product,
        operations / product_operations * beside,
        1 - within,
        peak_mb,
    )


class Watch:
    """Adds up the time that a training spends in the LSTM's passes, validation's included.

    The training's backward passes start at the LSTM's output: what comes after has its gradient by
    hand (LSTMForecaster.backward), and nothing comes before.
    """

    def __init__(self, fit: Trainer) -> None:
        self.seconds = 0.0
        for model in (fit.last.model, fit.last.averaged):
            assert isinstance(model, LSTMForecaster)
            model.lstm.forward = self._timed(model.lstm.forward)  # type: ignore[method-assign]
        fast_torch.run_backward = self._timed(fast_torch.run_backward)

    def _timed(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*given: Any, **options: Any) -> Any:
            begun = time.perf_counter()
            found = call(*given, **options)
            self.seconds += time.perf_counter() - begun
            return found

        return timed


class Bare:
    """The LSTM's part of an epoch, on the very tensors that one epoch gave to it."""

    def __init__(self, fit: Trainer) -> None:
        model, averaged = fit.last.model, fit.last.averaged
        assert isinstance(model, LSTMForecaster)
        assert isinstance(averaged, LSTMForecaster)
        self._lstm, config = model.lstm, fit.config
        self._trained: list[Tensor] = []
        self._validated: list[Tensor] = []
        watched = [
            model.lstm.register_forward_pre_hook(
                lambda _, inputs: self._trained.append(inputs[0].detach())
            ),
            averaged.lstm.register_forward_pre_hook(
                lambda _, inputs: self._validated.append(inputs[0])
            ),
        ]
        fit.run_epoch()
        for each in watched:
            each.remove()
        self._gradients = [
            torch.randn(*each.shape[:2], config.hidden_size) for each in self._trained
        ]
        forward, backward = hour_operations(self._lstm)
        head = 2 * config.hidden_size * model.head.out_features
        hours = sum(each.shape[0] * each.shape[1] for each in self._trained)
        skipped = sum(each.shape[1] * config.context_length for each in self._trained)
        ahead = sum((len(each) - SETTLING_ROWS) * each.shape[1] for each in self._validated)
        warmed = sum(each.shape[1] * SETTLING_ROWS for each in self._validated)
        self.lstm_operations = hours * (forward + backward) + (ahead + warmed) * forward
        self.operations = self.lstm_operations + head * (3 * (hours - skipped) + ahead)

    def seconds(self) -> float:
        """The epoch's forward and backward passes once more."""
        total = 0.0
        for inputs, gradient in zip(self._trained, self._gradients, strict=True):
            begun = time.perf_counter()
            out, _ = self._lstm(inputs)
            out.backward(gradient)
            total += time.perf_counter() - begun
            self._lstm.zero_grad()
        with torch.inference_mode():
            begun = time.perf_counter()
            for inputs in self._validated:
                self._lstm(inputs)
            return total + time.perf_counter() - begun


def hour_operations(lstm: nn.LSTM) -> tuple[int, int]:
    """What one hour of one sequence costs, forward and backward."""
    hidden = lstm.hidden_size
    forward = backward = 0
    for layer in range(lstm.num_layers):
        inputs = hidden if layer else lstm.input_size
        forward += 8 * hidden * (inputs + hidden)
        backward += 8 * hidden * (inputs + hidden) + 8 * hidden * hidden
        backward += 8 * hidden * inputs if layer else 0
    return forward, backward


def product_seconds(squares: Sequence[Tensor]) -> float:
    """One product of two matrices, the best of two of each kind, because it is to be a peak: torch
    has two libraries for it, chosen by the kind of tensor. On some cores MKL, which multiplies
    plain ones, is half as fast as oneDNN, which runs the LSTM.
    """
    found = []
    for square in [*squares, *squares]:
        begun = time.perf_counter()
        torch.nn.functional.linear(square, square)
        found.append(time.perf_counter() - begun)
    return min(found)


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="hidden units")
    options.add_argument(
        "--seconds", type=float, default=5.0, help="for each size, or three turns (5)"
    )
    given = options.parse_args()
    found = []
    # A fresh process each, one after the other: what they import and keep is their own.
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as workers:
        for size in given.sizes:
            found.append(workers.submit(measured, size, given.seconds).result())
    print(f"One thread, eight features, horizon 1, data: {found[0].source}.\n")
    print(table(TITLES, [each.row() for each in found]))
    file = write("trial_limit", {"sizes": [asdict(each) for each in found]}, given.output)
    print(f"\nFigures: {file}")


if __name__ == "__main__":
    main()
