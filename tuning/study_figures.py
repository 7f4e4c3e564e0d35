"""A study's figures: how its best model forecasts, and how the search went.

All of them are of validation rows, at the study's last fold: a study has no rows of the test.
"""

import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from matplotlib.figure import Figure

from lstm_model import figures
from lstm_model.checkpoint import TrainedForecaster
from lstm_model.errors import InputError
from lstm_model.training import WARM_UP_ROWS, Validation
from tuning import comparison as compared
from tuning.period import PERSISTENCE, Period
from tuning.record import Trial
from tuning.search import importances
from tuning.summary import step_name

if TYPE_CHECKING:
    from tuning.study import Study

# Drawing takes a second or so, beside trials that want the cores: it is not to have more than this
# share of the study's time, and never comes twice within a minute.
SHARE = 0.01
LEAST_SECONDS = 60.0
# For a page that shows them side by side; a report's figures are finer.
DPI = 100

Drawn = Mapping[str, bytes]


@dataclass(frozen=True)
class Shown:
    """What the figures are of: read at one moment, so that the study can go on meanwhile.

    `best` is the trial whose `model` was kept; both are None before there is one.
    """

    study: "Study"
    trials: Sequence[Trial]
    best: Trial | None
    model: TrainedForecaster | None

    @classmethod
    def now(cls, study: "Study") -> "Shown":
        ended = [trial for trial in study.trials.values() if not trial.under_way]
        try:
            model = TrainedForecaster.load(study.folder / "best") if study.best else None
        except InputError:
            model = None  # it can't be read: what it forecasts is not shown
        return cls(study, ended, study.best, model)

    @property
    def name(self) -> str:
        """What the model is called: after its space, whose colour it has in a comparison too."""
        return Path(self.study.space.name).stem

    @property
    def quantity(self) -> str:
        unit = " (ug/m3)" if self.study.table.source in compared.KNOWN_AIR else ""
        return f"{self.study.space.data.target}{unit}"

    def ahead(self, lead: int) -> str:
        return compared.lead_name({"step": step_name(self.study.table.step)}, lead)


def of_the_model(shown: Shown) -> dict[str, Figure]:
    """Forecasts, errors and gates of the best model, by TensorBoard's tags."""
    assert shown.best is not None and shown.model is not None
    study, model, name = shown.study, shown.model, f"trial {shown.best.id}"
    series = study.series.folds[-1]  # whose model was kept
    forecast = Validation(series).forecast(model.model)
    period = Period.of(series, {name: forecast[None]})
    looks = figures.styles([shown.name])
    looks[name] = looks[shown.name]
    times = period.times.to_numpy()
    chosen = figures.three_weeks(times, period.observed)
    found = {}
    for lead in sorted({1, series.horizon}):
        found[f"best model/forecasts, {_first_or_last(lead, series.horizon)} lead time"] = (
            figures.weeks(
                times,
                period.observed,
                {name: period.observed + period.mean_errors(name)[:, lead - 1]},
                chosen,
                lead_time=shown.ahead(lead),
                quantity=shown.quantity,
                looks=looks,
            )
        )
    found["best model/errors by lead time"] = _by_lead_time(shown, name, looks)
    air = study.table.source in compared.KNOWN_AIR
    levels = compared.by_level(period.levels[:, 0], compared.borders(series, air))
    found["best model/errors by level"] = figures.residuals_by_level(
        {each: period.mean_errors(each)[:, 0] for each in (name, PERSISTENCE)},
        levels,
        quantity=f"{shown.quantity}, {shown.ahead(1)} ahead,",
        step=step_name(study.table.step),
        looks=looks,
    )
    rows = list(chosen.values())[-1]
    first, last = series.split + rows.start, series.split + rows.stop
    before = min(first, WARM_UP_ROWS)
    found["best model/gates in the highest week"] = figures.gates(
        series.times[first:last],
        series.target[first:last],
        model.model.gates(torch.from_numpy(series.inputs[first - before : last]), skip=before),
        quantity=shown.quantity,
    )
    return found


def of_the_search(shown: Shown) -> dict[str, Figure]:
    """What the trials came to and which hyperparameters mattered, by TensorBoard's tags."""
    study, name = shown.study, shown.name
    baselines = study.baselines
    scored = [trial for trial in shown.trials if trial.state != "failed" and trial.best]
    found = {}
    if scored:
        references = {
            PERSISTENCE: baselines.persistence.rmse,
            f"ridge_{name}": baselines.ridge.rmse,
        }
        found["search/history"] = figures.optimisation_history(
            [trial.id for trial in scored],
            [trial.rmse for trial in scored],
            [trial.state == "stopped_early" for trial in scored],
            references,
            study=study.name,
            quantity=shown.quantity,
            looks=figures.styles([name, *references]) | {study.name: figures.styles([name])[name]},
        )
    if shares := importances(shown.trials, study.space):
        count = sum(trial.state == "finished" for trial in shown.trials)
        found["search/importances"] = figures.importances(
            {study.name: shares},
            {study.name: count},
            looks={study.name: figures.styles([name])[name]},
        )
    return found


def _first_or_last(lead: int, horizon: int) -> str:
    return "only" if horizon == 1 else "first" if lead == 1 else "last"


def _by_lead_time(shown: Shown, name: str, looks: Mapping[str, figures.Style]) -> Figure:
    """The errors that the study itself has: over several folds their means, as the baselines'."""
    baselines = shown.study.baselines
    assert shown.model is not None and shown.model.validation is not None
    ridge = f"ridge_{shown.name}"
    scores = {name: shown.model.validation, PERSISTENCE: baselines.persistence}
    scores[ridge] = baselines.ridge
    return figures.error_by_lead_time(
        {model: list(score.rmse_by_lead_time) for model, score in scores.items()},
        range(1, len(baselines.persistence.rmse_by_lead_time) + 1),
        quantity=shown.quantity,
        step=step_name(shown.study.table.step),
        looks=dict(looks) | figures.styles([ridge, shown.name]),
    )


class Artist:
    """Draws while a study goes on, without holding up its trials: in a thread, now and then."""

    def __init__(self, show: Callable[[Drawn, int], None]) -> None:
        """show: takes PNGs by tag, and how many trials had ended; called in the thread."""
        self._show = show
        self._thread: threading.Thread | None = None
        self._due = time.monotonic() + LEAST_SECONDS
        self._model: tuple[int, float] | None = None  # the best trial and its RMSE when drawn
        self._count = 0
        self._told = False

    def look(self, study: "Study") -> bool:
        """Draw what is new if it is time to; whether it is."""
        if time.monotonic() < self._due or (self._thread and self._thread.is_alive()):
            return False
        self._due = time.monotonic() + LEAST_SECONDS
        work = self._new(Shown.now(study))
        self._thread = threading.Thread(target=self._draw, args=work, name="figures")
        self._thread.start()
        return True

    def finish(self, study: "Study") -> None:
        """Draw what is new since; no thread is left."""
        self.close()
        self._draw(*self._new(Shown.now(study)))

    def close(self) -> None:
        if self._thread:
            self._thread.join()

    def _new(self, shown: Shown) -> tuple[Shown, bool, bool]:
        """What there is, and whether the model and the trials are others than were drawn."""
        model = shown.best and shown.model and (shown.best.id, shown.best.rmse)
        new = bool(model) and model != self._model, len(shown.trials) != self._count
        self._model, self._count = model or self._model, len(shown.trials)
        return shown, *new

    def _draw(self, shown: Shown, model: bool, trials: bool) -> None:
        begun = time.monotonic()
        try:
            found = of_the_model(shown) if model else {}
            found |= of_the_search(shown) if trials else {}
            drawn = {tag: figures.png(figure, DPI) for tag, figure in found.items()}
            self._show(drawn, len(shown.trials))
        except OSError:
            pass  # a full disk is told by whoever writes next
        except Exception as error:
            # No figure is worth a study.
            if not self._told:
                print(f"warning: no figures for TensorBoard: {error!r}", file=sys.stderr)
            self._told = True
        spent = time.monotonic() - begun
        self._due = max(self._due, time.monotonic() + spent / SHARE)
