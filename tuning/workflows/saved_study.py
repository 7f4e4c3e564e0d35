"""A study as its folder has it, read anew whenever it is asked."""

import html
import io
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args, overload

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

    from lstm_model.figures.canvas import Surface
    from lstm_model.inference.predictor import TrainedForecaster
    from tuning.reporting.study_figures import SeveralPanels, SinglePanel
    from tuning.study.view import StudyView


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

    >>> import tuning
    >>> study = tuning.load_study("runs/air")  # doctest: +SKIP
    >>> study.best.config, study.best.rmse  # doctest: +SKIP
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
        figure: "SinglePanel" = "history",
        ax: "Surface" = None,
        *,
        frame: "pd.DataFrame | None" = None,
    ) -> "Axes": ...

    @overload
    def plot(
        self,
        figure: "SeveralPanels",
        ax: "Surface" = None,
        *,
        lead_time: int = 1,
        frame: "pd.DataFrame | None" = None,
    ) -> "npt.NDArray[np.object_]": ...

    def plot(
        self,
        figure: "SinglePanel | SeveralPanels" = "history",
        ax: "Surface" = None,
        *,
        lead_time: int = 1,
        frame: "pd.DataFrame | None" = None,
    ) -> "Axes | npt.NDArray[np.object_]":
        """Draw a figure of the study, of validation rows; the table is read again for it.

        >>> study.plot("history")  # doctest: +SKIP
        >>> study.plot("errors_by_lead_time", ax=axes[1])  # doctest: +SKIP

        Args:
            figure: `history`, `importances`, `forecasts`, `errors_by_lead_time`, `errors_by_level`
                or `gates`.
            ax: matplotlib's axes to draw on, as many as the figure has panels; without them
                pyplot makes a figure, which a notebook shows.
            lead_time: in rows, of `forecasts`.
            frame: the table, where the study was run on a DataFrame.

        Returns:
            The axes that were drawn on: an array of them for `forecasts` and `gates`.

        Raises:
            InputError: there is nothing to draw yet, the table is another one, or `ax` has too few
                or too many axes.
        """
        from lstm_model.figures.canvas import draw_on
        from tuning.reporting.study_figures import SeveralPanels, plot_study
        from tuning.reporting.study_snapshot import StudySnapshot

        snapshot = StudySnapshot.of(self._view(frame))
        panels = draw_on(ax, lambda on: plot_study(snapshot, figure, lead_time, on))
        return np.array(panels, object) if figure in get_args(SeveralPanels) else panels[0]

    def _view(self, frame: "pd.DataFrame | None") -> "StudyView":
        """The study with its table and its baselines, as it stands now."""
        from lstm_model.data.series import EncodedSeries
        from lstm_model.data.sources import load_dataset
        from lstm_model.evaluation.baselines import evaluate_baselines
        from tuning.study.view import StudyView

        space, trials = self.space, self.trials
        dataset = load_dataset(space.data, frame, progress=False)
        check_data(self.folder, dataset)
        series = EncodedSeries.from_table(dataset.frame, dataset.step, space.data)
        best = self.summary["best"] and read_json(self.folder / "best" / BEST_MANIFEST)["trial"]
        return StudyView(
            self.folder,
            space,
            dataset,
            series,
            evaluate_baselines(series),
            time.monotonic(),
            trials,
            best_trial=None if best is None else trials[best],
        )

    def __repr__(self) -> str:
        return f"SavedStudy({str(self.folder)!r}): {self._describe()}"

    def _repr_html_(self) -> str:
        """In a notebook: the outcome, and the trials, the best first."""
        table = self.trials_dataframe().sort_values("rmse").head(10).to_html()
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
        return f"{text}; best: trial {best.trial}, RMSE {best.rmse:.4g}, skill {best.skill:.1%}"
