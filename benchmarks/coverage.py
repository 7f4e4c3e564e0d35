"""How often the bootstrap's interval holds the truth, and how often the tests cry wolf.

    python -m benchmarks.coverage --repeats 100
    python -m benchmarks.coverage --json coverage.json

Simulates years of two forecasters' hourly errors, shaped like those of this project's models on
Beijing in 2013, and asks tuning/comparison/significance.py about each year. The 500 years of the
default take one and a half to three minutes.

The truth is the difference to expect over draws of the year and of the seeds. "none": both models
are made alike, so that it is 0 by symmetry. "worse": b's own part is enlarged; "fixed": the same,
but b is one forecast without seeds, as ridge is. There the truth is the mean over other years, of
the metric of b as it would be alike minus b's metric, which is far steadier than a's minus b's and
has the same mean.
"""

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path

import numpy as np
from scipy.signal import lfilter

from lstm_model.arrays import Float64Array
from lstm_model.files import write_file
from tuning.comparison.significance import Metric, diebold_mariano, paired_difference

HOURS, BURN_IN = 8760, 1000
SEEDS = 5
BLOCKS = (168, 336)  # h
METRICS: tuple[Metric, ...] = ("rmse", "mae")
CASES = ("none", "worse", "fixed")
REPLICATES = 999
TRUTH_YEARS = 2000
SEASON = 0.5  # amplitude of the level's logarithm: winter's errors are 2.7 times those of summer
VOLATILITY, VOLATILITY_MEMORY = 0.35, 48  # of the level's logarithm: sd, hours
ENLARGED = 1.9  # b's own part where it is worse
# Times the RMSE. PM2.5 lies from 0 to 1,000 ug/m3, and no error of 2013 is above 17 at 1 h and 9 at
# 24 h; Student's t with 3 degrees of freedom knows no such bound.
LARGEST = 20.0


@dataclass(frozen=True)
class Lead:
    """Errors of one lead time; shares are of `rmse`, memories coefficients of an AR(1)."""

    rmse: float  # ug/m3, about that of one model
    memory: float  # of the errors
    shared: float  # share of the variance that both models' errors have in common
    deviation: float  # of a seed from the mean of seeds, hour by hour
    deviation_memory: float
    quality: float  # sd over seeds of how much of its model's own part a seed adds or takes away


LEADS = {
    1: Lead(23.0, 0.15, 0.965, 0.16, 0.55, 0.03),
    24: Lead(89.0, 0.946, 0.97, 0.17, 0.93, 0.02),
}


def years(lead: Lead, tails: float, seed: int) -> Iterator[dict[str, Float64Array]]:
    """Errors (S, T) of a and of its three rivals, year by year without end."""
    random = np.random.default_rng(seed)
    length = BURN_IN + HOURS
    season = SEASON * np.cos(2 * np.pi * np.arange(length) / HOURS)

    def remembering(shocks: Float64Array, memory: float) -> Float64Array:
        return np.asarray(lfilter([np.sqrt(1 - memory**2)], [1, -memory], shocks, axis=-1))

    def heavy(*shape: int) -> Float64Array:
        """Student's t with unit variance."""
        return np.asarray(random.standard_t(tails, shape) / np.sqrt(tails / (tails - 2)))

    while True:
        slow = remembering(random.standard_normal(length), np.exp(-1 / VOLATILITY_MEMORY))
        level = np.exp(season + VOLATILITY * slow - VOLATILITY**2) / np.sqrt(np.i0(2 * SEASON))
        level = level[BURN_IN:] * lead.rmse
        common, *own = remembering(heavy(3, length), lead.memory)[:, BURN_IN:]
        shocks = heavy(2, SEEDS, length)
        hourly = remembering(shocks, lead.deviation_memory)[..., BURN_IN:] * lead.deviation
        quality = random.standard_normal((2, SEEDS, 1)) * lead.quality
        common = np.sqrt(lead.shared) * common
        part = np.sqrt(1 - lead.shared)
        of_seeds = [quality[model] * own[model] + hourly[model] for model in range(2)]
        year = {
            "a": common + part * own[0] + of_seeds[0],
            "none": common + part * own[1] + of_seeds[1],
            "worse": common + part * ENLARGED * own[1] + of_seeds[1],
            "fixed": (common + part * ENLARGED * own[1])[None],
        }
        bound = LARGEST * lead.rmse
        yield {name: np.clip(level * errors, -bound, bound) for name, errors in year.items()}


def measured(errors: Float64Array, metric: Metric) -> float:
    """The metric of the mean of (S, T) seeds."""
    mean = errors.mean(axis=0)
    return float(np.sqrt(np.mean(mean**2)) if metric == "rmse" else np.abs(mean).mean())


def truths(lead: Lead, tails: float, seed: int) -> dict[tuple[Metric, str], float]:
    """The difference to expect of each metric in each case."""
    gaps = defaultdict(list)
    for _, year in zip(range(TRUTH_YEARS), years(lead, tails, seed), strict=False):
        for metric in METRICS:
            alike = measured(year["none"], metric)
            for case in ("worse", "fixed"):
                gaps[metric, case].append(alike - measured(year[case], metric))
    expected = {(metric, "none"): 0.0 for metric in METRICS}
    return expected | {key: float(np.mean(values)) for key, values in gaps.items()}


@dataclass(frozen=True)
class Row:
    """One lead time, metric, truth and block length; shares of the simulated years."""

    lead_time: int
    metric: Metric
    truth: str
    block: int
    true_difference: float
    width: float  # median over that which 95% of the differences lie within
    coverage: float  # of the 95% interval
    bootstrap_rejects: float  # at 5%: the size where the truth is none, else the power
    diebold_mariano_rejects: float


def rows(hours: int, tails: float, repeats: int) -> Iterator[Row]:
    """The table's part for one lead time."""
    truth = truths(LEADS[hours], tails, seed=10_000 + hours)
    asked = defaultdict(list)
    for repeat, year in zip(range(repeats), years(LEADS[hours], tails, hours), strict=False):
        for metric, case in product(METRICS, CASES):
            a, b, right = year["a"], year[case], truth[metric, case]
            loss_a, loss_b = (
                each.mean(axis=0) ** 2 if metric == "rmse" else np.abs(each.mean(axis=0))
                for each in (a, b)
            )
            beside = diebold_mariano(loss_a, loss_b).p_value <= 0.05
            for block in BLOCKS:
                found = paired_difference(
                    a, b, metric, seed=repeat, block=block, replicates=REPLICATES
                )
                holds = found.low <= right <= found.high
                rejects = found.p_value <= 0.05
                asked[metric, case, block].append(
                    (found.difference, found.high - found.low, holds, rejects, beside)
                )
    for (metric, case, block), answers in asked.items():
        differences, widths, *shares = np.array(answers, np.float64).T
        yield Row(
            hours,
            metric,
            case,
            block,
            truth[metric, case],
            float(np.median(widths) / np.subtract(*np.quantile(differences, [0.975, 0.025]))),
            *(float(share.mean()) for share in shares),
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=500, help="simulated years (500)")
    parser.add_argument("--tails", type=float, default=3.0, help="Student's degrees of freedom (3)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table there too")
    options = parser.parse_args()
    begun = time.perf_counter()
    print("| h | metric | truth | | block | width | 95% interval holds it | rejects | DM rejects |")
    print("|---:|---|---|---:|---:|---:|---:|---:|---:|")
    table = []
    for hours in LEADS:
        for row in rows(hours, options.tails, options.repeats):
            table.append(row)
            print(
                f"| {row.lead_time} | {row.metric} | {row.truth} | {row.true_difference:.2f} "
                f"| {row.block} | {row.width:.2f} | {row.coverage:.1%} "
                f"| {row.bootstrap_rejects:.1%} | {row.diebold_mariano_rejects:.1%} |",
                flush=True,
            )
    error = 100 * np.sqrt(0.05 * 0.95 / options.repeats)
    seconds = time.perf_counter() - begun
    print(
        f"\n{options.repeats} years: 95% and 5% are known to {error:.1f} points. {seconds:.0f} s."
    )
    if options.json:
        content = {
            "repeats": options.repeats,
            "tails": options.tails,
            "rows": [asdict(row) for row in table],
        }
        write_file(options.json, (json.dumps(content, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
