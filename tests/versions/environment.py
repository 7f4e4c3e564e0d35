"""A virtual environment with the oldest libraries that pyproject.toml allows, or the newest there
are, and studies and tests in it: what `make test-lowest` and `make test-latest` run.

    python -m tests.versions.environment lowest
    python -m tests.versions.environment latest --short

In both torch stays at the pin of constraints.txt: a version with a CPU build, without gigabytes of
CUDA. It needs nothing but Python's own library.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXTRAS = ("baselines", "cluster")
# What the tests below need; their own versions are not what is tried.
TOOLS = ("hypothesis", "psutil", "pytest")
TESTS = ("tests/tuning/ray_backend", "tests/tuning/search")
# What is tried is what was installed, by no other path.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
STUDY = ("--data", "simulated", "--trials", "3", "--max-epochs", "2")


def lower_bounds(requirements: list[str]) -> list[str]:
    """`name[extra]>=1.2,<2` as `name==1.2`: pip takes the lowest version by no option."""
    bounds = []
    for requirement in requirements:
        match = re.fullmatch(r"([\w.-]+)(?:\[[\w,]+\])?>=([\d.]+)(?:,<[\d.]+)?", requirement)
        if not match:
            raise ValueError(f"no lower bound in {requirement!r}")
        bounds.append(f"{match[1]}=={match[2]}")
    return bounds


def constraints(kind: str) -> list[str]:
    """Lines for pip."""
    pins = (ROOT / "constraints.txt").read_text().splitlines()
    torch = [pin for pin in pins if pin.startswith("torch==")]
    if kind == "latest":
        return torch
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    requirements = list(project["dependencies"])
    for extra in EXTRAS:
        requirements += project["optional-dependencies"][extra]
    lowest = lower_bounds(requirements)
    return sorted({each for each in lowest if not each.startswith("torch==")}) + torch


def install(kind: str) -> Path:
    """A new environment; its Python."""
    folder = ROOT / f".venv-{kind}"
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    python = folder / "bin" / "python"
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(constraints(kind)) + "\n")
        file.flush()
        # Compiling all files takes as long as installing them, and few of them are imported.
        subprocess.run(
            [str(python), "-m", "pip", "install", "--quiet", "--no-compile"]
            + ["--constraint", file.name, "--editable", f"{ROOT}[{','.join(EXTRAS)}]", *TOOLS],
            env=ENVIRONMENT,
            check=True,
        )
    return python


def run_studies(python: Path) -> None:
    """One of each shipped space, away from the checkout."""
    for space in sorted(ROOT.glob("search_spaces/*.yaml")):
        with tempfile.TemporaryDirectory(prefix="lstm-tuning-") as folder:
            subprocess.run(
                [str(python), "-m", "tuning.run", "--space", space.name, *STUDY],
                cwd=folder,
                env=ENVIRONMENT,
                check=True,
                timeout=300,
            )


def run_tests(python: Path) -> None:
    # A library's announcement of what it will change is no failure yet.
    warnings = ("-o", "filterwarnings=default")
    subprocess.run(
        [str(python), "-m", "pytest", "-p", "no:cacheprovider", *warnings, *TESTS],
        cwd=ROOT,
        env=ENVIRONMENT,
        check=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("kind", choices=["lowest", "latest"])
    parser.add_argument("--short", action="store_true", help="the studies without the tests")
    options = parser.parse_args()
    try:
        python = install(options.kind)
        run_studies(python)
        if not options.short:
            run_tests(python)
    except subprocess.CalledProcessError as error:
        sys.exit(f"{options.kind} libraries: exit status {error.returncode} of {error.cmd}")


if __name__ == "__main__":
    main()
