"""A study as its folder has it, read anew whenever it is asked."""

import html
import io
import time
from collections.abc import Callable, Sequence, Sized
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, cast, get_args, overload

import numpy as np

from lstm_model.errors import InputError
from lstm_model.files import read_json
from tuning.space.search_space import SearchSpace, Value
from tuning.study.best_model import BEST_MANIFEST
from tuning.study.manifest import check_data, read_study_space
from tuning.study.records import read_trials
from tuning.study.storage import StoragePath
from tuning.study.summary import trials_csv
from tuning.study.trial import Trial

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lstm_model.figures.canvas import Surface
    from lstm_model.inference.predictor import TrainedForecaster
    from tuning.reporting.study_figures import SearchOutcome
    from tuning.reporting.study_snapshot import StudySnapshot

SinglePanel = Literal["history", "importances", "errors_by_lead_time", "errors_by_level"]
SeveralPanels = Literal["forecasts", "gates", "skill_by_series"]


@dataclass(frozen=True)
class BestTrial:
    """The trial whose forecaster is in best/, with its validation errors at its best epoch.

    Attributes:
        trial: its number.
        config: its hyperparameters.
        rmse, mae: in the target's unit; means over lead times.
        skill: 1 - RMSE / RMSE of persistence.
        validation: all errors, those of the baselines too, as summary.json has them.
    """

    trial: int
    config: dict[str, Value]
    epoch: int
    rmse: float
    mae: float
    skill: float
    validation: dict[str, object]


@dataclass(frozen=True)
class SavedStudy:
    """A study in its folder, which may be one that still runs: it is only read.

    >>> study = tuning.load_study("runs/air-univariate")
    >>> bool(study.best.rmse == study.trials_dataframe()["rmse"].min())
    True
    """

    folder: StoragePath

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def space(self) -> SearchSpace:
        """What was searched, with the settings that the study was begun with."""
        return read_study_space(self.folder)

    @property
    def summary(self) -> dict[str, Any]:
        """The outcome so far: summary.json."""
        return read_json(self.folder / "summary.json")

    @property
    def state(self) -> str:
        """running, finished, interrupted or failed."""
        return str(self.summary["state"])

    @property
    def trials(self) -> dict[int, Trial]:
        """The trials by number, with every epoch of each."""
        return read_trials(self.folder)

    @property
    def best(self) -> BestTrial:
        """The best trial so far.

        Raises:
            InputError: no trial has come to a result.
        """
        return self._best_of(self.summary)

    def _best_of(self, summary: dict[str, Any]) -> BestTrial:
        best = summary["best"]
        if best is None:
            raise InputError(f"{self.folder} has no best trial: none has come to a result yet")
        errors = best["validation"]
        return BestTrial(
            trial=best["trial"],
            config=best["config"],
            epoch=best["epoch"],
            rmse=errors["rmse"],
            mae=errors["mae"],
            skill=errors["skill"],
            validation=errors,
        )

    def best_model(self) -> "TrainedForecaster":
        """The best trial's forecaster.

        Raises:
            InputError: there is none, or it can't be read.
        """
        from lstm_model.inference.predictor import TrainedForecaster

        return TrainedForecaster.load(self.folder / "best")

    def trials_dataframe(self) -> "pd.DataFrame":
        """A row a trial: its state, validation errors at its best epoch, and hyperparameters."""
        import pandas as pd

        return pd.read_csv(io.BytesIO(trials_csv(self.trials, self.space)), index_col="id")

    @overload
    def plot(
        self,
        figure: SinglePanel = "history",
        ax: "Axes | Sequence[Axes] | npt.NDArray[np.object_] | None" = None,
        *,
        frame: "pd.DataFrame | None" = None,
    ) -> "Axes": ...

    @overload
    def plot(
        self,
        figure: SeveralPanels,
        ax: "Axes | Sequence[Axes] | npt.NDArray[np.object_] | None" = None,
        *,
        lead_time: int = 1,
        frame: "pd.DataFrame | None" = None,
    ) -> "npt.NDArray[np.object_]": ...

    def plot(
        self,
        figure: SinglePanel | SeveralPanels = "history",
        ax: "Axes | Sequence[Axes] | npt.NDArray[np.object_] | None" = None,
        *,
        lead_time: int = 1,
        frame: "pd.DataFrame | None" = None,
    ) -> "Axes | npt.NDArray[np.object_]":
        """Draw a figure of the study, of validation rows.

        Those of the best model read the study's table again, which takes seconds.

        >>> study.plot("history", ax=ax) is ax
        True
        >>> len(study.plot("gates"))
        4

        Args:
            figure: `history` or `importances` of the search; `errors_by_lead_time`,
                `errors_by_level`, `forecasts`, `gates` or, of several series, `skill_by_series` of
                the best model.
            ax: matplotlib's axes to draw on, as many as the figure has panels; without them
                pyplot makes a figure, which a notebook shows.
            lead_time: in rows, of `forecasts` alone.
            frame: the table, where the study was run on a DataFrame and the figure is of its model.

        Returns:
            The axes that were drawn on: an array of them for `forecasts`, `gates` and
            `skill_by_series`.

        Raises:
            InputError: there is nothing to draw yet, the table is another one, or `ax` has too few
                or too many axes.
        """
        names = (*get_args(SinglePanel), *get_args(SeveralPanels))
        if figure not in names:
            raise InputError(f"figure must be one of {', '.join(names)}, but got {figure!r}")
        if lead_time != 1 and figure != "forecasts":
            raise InputError(
                f"lead_time goes with the figure forecasts, but got {lead_time!r} for {figure}"
            )
        from lstm_model.figures.canvas import draw_on
        from tuning.reporting import study_figures

        draw: Callable[[Surface], Figure]
        if figure == "history" or figure == "importances":
            draw = partial(study_figures.plot_search, self._search_outcome(), figure)
        else:
            snapshot = self._snapshot(frame)
            draw = partial(study_figures.plot_model, snapshot, figure, lead_time)
        panels = draw_on(ax, draw)
        return np.array(panels, object) if figure in get_args(SeveralPanels) else panels[0]

    def _search_outcome(self) -> "SearchOutcome":
        from lstm_model.data.sources import find_unit
        from lstm_model.evaluation.baselines import BY_NAME
        from tuning.reporting.study_figures import SearchOutcome

        space, summary = self.space, self.summary
        facts = summary["baselines"]
        names = [name for name, each in BY_NAME.items() if each.leading]
        names.append(facts["best_baseline"])
        return SearchOutcome(
            self.name,
            space,
            self.trials,
            {
                name: 1.0 - facts[f"{name}_skill"]
                if f"{name}_skill" in facts
                else facts[f"{name}_rmse"]
                for name in dict.fromkeys(names)
                if f"{name}_rmse" in facts
            },
            find_unit(summary["data"]["source"], space.data.target),
        )

    def _snapshot(self, frame: "pd.DataFrame | None") -> "StudySnapshot":
        """The best model beside its trial, with the study's table and its baselines."""
        from lstm_model.data.encoded_table import EncodedTable
        from lstm_model.data.sources import load_dataset
        from lstm_model.evaluation.baselines import evaluate_baselines
        from tuning.reporting.study_snapshot import StudySnapshot
        from tuning.study.view import StudyView

        _ = self.best  # there must be one
        space = self.space
        dataset = load_dataset(space.data, frame, progress=False)
        check_data(self.folder, dataset)
        table = EncodedTable.from_table(dataset.frame, dataset.step, space.data, dataset.index)
        baselines = evaluate_baselines(table)
        # The study may go on: the model and its trial are read until they belong together, and the
        # trials after them, so that this one is there.
        trial, model = self._best_trial(), self.best_model()
        while (now := self._best_trial()) != trial:
            trial, model = now, self.best_model()
        trials, begun = self.trials, time.monotonic()
        view = StudyView(self.folder, space, dataset, table, baselines, begun, trials)
        return StudySnapshot(replace(view, best_trial=trials[trial]), model)

    def _best_trial(self) -> int:
        """The number of the trial whose model is in best/."""
        return int(read_json(self.folder / "best" / BEST_MANIFEST)["trial"])

    def __repr__(self) -> str:
        return f"SavedStudy({str(self.folder)!r}): {self._describe()}"

    def _repr_html_(self) -> str:
        """In a notebook: the outcome, and the trials, the best first."""
        trials, best = self.trials_dataframe(), self.summary["best"]
        of_series = best is not None and "by_series" in best["validation"]
        by, rising = ("skill", False) if of_series else ("rmse", True)
        table = trials.sort_values(by, ascending=rising).head(10).to_html()
        return f"<p><b>{html.escape(self.name)}</b>: {html.escape(self._describe())}</p>{table}"

    def _describe(self) -> str:
        summary = self.summary
        counts = ", ".join(
            f"{count} {state}" for state, count in summary["trials"].items() if count
        )
        text = f"{summary['state']}; trials: {counts or 'none'}"
        if summary["best"] is None:
            return text
        best = self._best_of(summary)
        errors = f"RMSE {best.rmse:.4g}, skill {best.skill:.1%}"
        if of_series := best.validation.get("by_series"):
            over = f"over {len(cast(Sized, of_series))} series"
            errors = f"skill {best.skill:.1%} {over}, RMSE {best.rmse:.4g} (all rows)"
        return f"{text}; best: trial {best.trial}, {errors}"
