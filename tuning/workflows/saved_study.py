"""A study as its folder has it, read anew whenever it is asked."""

import html
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lstm_model.errors import InputError
from lstm_model.files import read_json
from tuning.space.search_space import SearchSpace, Value
from tuning.study.manifest import read_study_space
from tuning.study.records import read_trials
from tuning.study.storage import StoragePath
from tuning.study.summary import trials_csv
from tuning.study.trial import Trial

if TYPE_CHECKING:
    import pandas as pd

    from lstm_model.inference.predictor import TrainedForecaster


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
