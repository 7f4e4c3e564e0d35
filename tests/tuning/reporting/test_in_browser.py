"""What people see: TensorBoard in a real browser, and optuna-dashboard, over a real comparison.

python -m pytest -m browser
"""

import csv
import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from lstm_model.configuration import HYPERPARAMETERS
from tests.tuning.conftest import PAIR, command, weather
from tuning.search.optuna_trials import STATES

pytestmark = pytest.mark.browser
webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
BIN = Path(sys.executable).parent
# A study's runs but its trials: of more than 40 runs TensorBoard selects none by itself.
NO_TRIALS = "regexInput=^air(?!.*trials)"

# The page is of shadow roots within shadow roots, which ordinary selectors don't look into.
FIND = """
const found = [], walk = (node) => {
  if (node.matches && node.matches(arguments[0])) found.push(node);
  if (node.shadowRoot) walk(node.shadowRoot);
  for (const child of node.children || []) walk(child);
};
walk(document.body);
return found;
"""
TICK_ALL = """
for (const box of arguments[0].shadowRoot.querySelectorAll("paper-checkbox"))
  if (!box.checked) box.click();
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a small comparison: two studies of two trials each, on the real commands."""
    if not (BROWSER and DRIVER):
        pytest.skip("there is no browser: apt-get install chromium chromium-driver")
    folder = tmp_path_factory.mktemp("browser")
    weather(folder / "air.csv", "some")
    spaces: list[str] = []
    for name, features in (("univariate", "pm"), ("multivariate", "pm, wind")):
        text = PAIR.format(source=folder / "air.csv", features=features)
        (folder / f"{name}.yaml").write_text(text.replace("max_epochs: 10", "max_epochs: 4"))
        spaces += ["--space", f"{name}.yaml"]
    arguments = [*spaces, "--name", "air", "--finalists", "1", "--seeds", "2"]
    done = command("tuning.compare", folder, dict(os.environ), *arguments)
    assert done.returncode == 0, done.stderr
    return folder / "runs"


@contextmanager
def server(*arguments: str) -> Iterator[str]:
    """The address of a server that is told its port, while it runs."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [*arguments, "--port", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    address = f"http://127.0.0.1:{port}"
    try:

        def answers() -> bool:
            assert process.poll() is None, f"{arguments[0]} ended"
            try:
                with urlopen(address):
                    return True
            except OSError:
                return False

        until(answers)
        yield address
    finally:
        process.terminate()
        process.wait(10)


def until(met: Callable[[], Any], seconds: float = 30.0) -> Any:
    """What `met` gives as soon as it is true."""
    end = time.monotonic() + seconds
    while not (found := met()) and time.monotonic() < end:
        time.sleep(0.2)
    assert found, f"{getattr(met, '__name__', met)} was not met in {seconds} s"
    return found


class Page:
    """A page of TensorBoard, by what is on it."""

    def __init__(self, address: str) -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = BROWSER
        # As root, and in a container with little shared memory, Chromium wants the first two.
        for flag in ("no-sandbox", "disable-dev-shm-usage", "headless=new"):
            options.add_argument(f"--{flag}")
        options.add_argument("--window-size=1400,1000")
        service = webdriver.ChromeService(executable_path=DRIVER)
        self.driver = webdriver.Chrome(options=options, service=service)
        self._address = address

    def open(self, where: str) -> None:
        self.driver.get("about:blank")  # else the browser would not load it anew
        self.driver.get(f"{self._address}/#{where}")

    def find(self, selector: str) -> list[Any]:
        return list(self.driver.execute_script(FIND, selector))

    def texts(self, selector: str) -> list[str]:
        script = f"{FIND.replace('return found;', '')} return found.map((e) => e.innerText.trim());"
        return [text for text in self.driver.execute_script(script, selector) if text]

    @property
    def text(self) -> str:
        return str(self.driver.find_element("tag name", "body").text)

    def shows(self, *wanted: str) -> None:
        until(lambda: all(text in self.text for text in wanted))


@pytest.fixture(scope="module")
def page(runs: Path) -> Iterator[Page]:
    with server(str(BIN / "tensorboard"), "--logdir", str(runs)) as address:
        found = Page(address)
        try:
            yield found
        finally:
            found.driver.quit()


def trials(runs: Path) -> dict[str, list[dict[str, str]]]:
    """The rows of trials.csv by study."""
    return {
        file.parent.name: list(csv.DictReader(io.StringIO(file.read_text())))
        for file in runs.glob("*/trials.csv")
    }


def test_hparams_has_every_trial_and_every_column(page: Page, runs: Path) -> None:
    page.open("hparams")
    [pane] = until(lambda: page.find("tf-hparams-query-pane"))
    cells = "vaadin-grid-cell-content"
    until(lambda: "rmse" in page.texts(cells))
    assert "state" in page.texts(cells), "it is among the few columns that are shown unasked"
    until(lambda: len(page.find("paper-checkbox")) > len(HYPERPARAMETERS))
    page.driver.execute_script(TICK_ALL, pane)
    until(lambda: "weight_decay" in page.texts(cells))
    shown = page.texts(cells)
    columns = {"study", "state", "data", *HYPERPARAMETERS}
    columns |= {"rmse", "mae", "skill", "epochs", "seconds"}
    assert columns <= set(shown)
    for study, rows in trials(runs).items():
        for row in rows:
            assert f"{int(row['id']):04d} {study}" in shown
            assert f"{float(row['rmse']):.4f}"[:5] in {text[:5] for text in shown}
            assert row["state"] in shown
    count = sum(map(len, trials(runs).values()))
    tabs = page.find("paper-tab")
    for name, tab, mark in (("Parallel", tabs[1], "path"), ("Scatter", tabs[2], "circle")):
        assert name.upper() in tab.text.upper()
        page.driver.execute_script("arguments[0].click()", tab)
        view = "parallel-coords-plot" if mark == "path" else "scatter-plot-matrix-plot"
        [plot] = page.find(f"tf-hparams-{view}")
        marks = f"return arguments[0].shadowRoot.querySelectorAll('{mark}').length"

        def drawn(plot: Any = plot, marks: str = marks) -> bool:
            return bool(page.driver.execute_script(marks, plot) >= count)

        until(drawn)


def test_figures_show(page: Page) -> None:
    page.open(f"images&{NO_TRIALS}")
    page.shows("best model/forecasts, only lead time", "best model/gates in the highest week")
    page.shows("comparison/episode-1", "comparison/error-by-level")
    loaded = "return arguments[0].complete && arguments[0].naturalWidth > 100"
    until(lambda: len(page.find("img")) > 4)
    until(lambda: all(page.driver.execute_script(loaded, img) for img in page.find("img")))


def test_texts_show(page: Page, runs: Path) -> None:
    verdict = json.loads((runs / "air" / "comparison.json").read_text())["verdict"]
    page.open(f"text&{NO_TRIALS}")
    words = re.sub(r"\s+", " ", verdict)[:60]
    until(lambda: words in re.sub(r"\s+", " ", page.text))
    page.shows("is the best: its validation RMSE is")
    assert [text for text in page.texts("td") if text.startswith("persistence")], "a table is one"


def test_scalars_and_custom_scalars_show(page: Page) -> None:
    page.open(f"scalars&{NO_TRIALS}")
    runs = [f"air-univariate/tensorboard/{run}" for run in ("best", "persistence", "ridge")]
    page.shows("validation", "training", "whole_trial", "whole_study", *runs)
    page.open(f"custom_scalars&{NO_TRIALS}")
    charts = ("Test RMSE by month", "Validation RMSE of the finalists by epoch")
    # Univariate and multivariate, and persistence, in one chart.
    page.shows("Models of a comparison beside one another", *charts, "Matches (2)", "Matches (3)")


def test_optuna_dashboard_shows_the_same_trials(runs: Path) -> None:
    for study, rows in trials(runs).items():
        journal = str(runs / study / "optuna.journal")
        with server(str(BIN / "optuna-dashboard"), journal) as address:
            with urlopen(f"{address}/api/studies") as answer:
                [summary] = json.load(answer)["study_summaries"]
            assert summary["study_name"] == study
            with urlopen(f"{address}/api/studies/{summary['study_id']}?after=0") as answer:
                found = json.load(answer)["trials"]
        assert [(trial["number"], trial["state"].upper()) for trial in found] == [
            (int(row["id"]), STATES[row["state"]].name) for row in rows
        ]
