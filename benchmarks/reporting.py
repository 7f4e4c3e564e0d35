"""What benchmarks share: a table to read, figures as JSON, and the machine that they are of."""

import argparse
import json
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lstm_model.files import write_file
from tuning.ray_backend.patches import choose_changes

RESULTS = Path(__file__).parent / "results"  # not kept in git: docs/LOG.md has what counts
LIBRARIES = ("lstm-tuning", "torch", "ray", "optuna", "numpy", "pandas")


def parser(description: str | None) -> argparse.ArgumentParser:
    """One with the option that all benchmarks have."""
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="write the figures there as JSON (benchmarks/results/NAME.json)",
    )
    return made


def table(titles: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table, the first column to the left and the others to the right."""
    lines = [titles, ["---", *["---:"] * (len(titles) - 1)], *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)


def write(name: str, results: dict[str, Any], output: Path | None = None) -> Path:
    """Write the figures with the date and the machine beside them; where they went."""
    file = output or RESULTS / f"{name}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    ray = choose_changes().as_json()
    facts = {"benchmark": name, "at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", **machine()}
    facts["ray"] = ray
    print(f"Ray changed: {', '.join(ray['changes'])}" if ray["changes"] else "Ray as it is")
    write_file(file, (json.dumps({**facts, **results}, indent=1) + "\n").encode())
    return file


def machine() -> dict[str, Any]:
    """What a time depends on: processor, cores, how busy they are, and versions."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "machine": {
            "processor": _processor(),
            "cores": cores,
            "system": platform.platform(),
            # Above the number of processes that the benchmark itself keeps busy, others were at it.
            "load_average": os.getloadavg()[0],
        },
        "versions": {"python": platform.python_version()}
        | {library: version(library) for library in LIBRARIES},
    }


def _processor() -> str:
    """The model's name where Linux tells it, else what Python knows."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
