"""Errors and comparisons that are made up, for tests of what is said and shown of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from lstm_model.arrays import Float64Array
from lstm_model.configuration import DataSettings
from lstm_model.data.encoded_table import EncodedTable
from lstm_model.data.series_index import SeriesIndex
from lstm_model.data.sources import Dataset
from lstm_model.data.step import Step
from lstm_model.evaluation.baselines import PERSISTENCE, Baselines
from lstm_model.evaluation.metrics import Score
from tuning.comparison.backtest import ForecastErrors
from tuning.comparison.result import (
    Breakdown,
    Comparison,
    Coverage,
    DataSource,
    Finalist,
    LargestError,
    ModelScores,
    PairedTest,
    SeedScore,
    StudyFacts,
    YearResult,
)


def make_errors(errors: dict[str, Any], horizon: int = 1) -> ForecastErrors:
    """Hours from 30 January on, each forecast from the rows just before it."""
    errors = {name: np.asarray(values, np.float64) for name, values in errors.items()}
    rows = next(iter(errors.values())).shape[1]
    hours = np.arange(rows)
    return ForecastErrors(
        times=pd.date_range("2020-01-30", periods=rows, freq="h"),
        observed=100.0 + hours,
        errors=errors,
        origins=100 + hours[:, None] - np.arange(horizon),
        levels=np.tile(20.0 * (hours % 5)[:, None], horizon),
        floors=np.full((rows, horizon), -np.inf),
    )


def make_dataset(
    series: Mapping[str, Float64Array], begins: Mapping[str, int] | None = None
) -> Dataset:
    """Targets "pm" of these hours from 2020 on, by series; a series may begin some rows later."""
    begins = begins or {}
    frames = [
        pd.DataFrame(
            {"pm": values},
            index=pd.date_range(
                pd.Timestamp("2020-01-01") + pd.Timedelta(hours=begins.get(name, 0)),
                periods=len(values),
                freq="h",
                name="time",
            ),
        )
        for name, values in series.items()
    ]
    bounds = np.cumsum([0, *map(len, frames)])
    index = SeriesIndex(tuple(series), tuple(bounds.tolist()))
    frame = pd.concat(frames)
    return Dataset(frame, Step(3600), "made.csv", False, "0" * 64, index=index)


def make_settings(validation_row: int, test_row: int = 10**6, horizon: int = 1) -> DataSettings:
    """Of make_dataset(), with the splits at these rows of a series that begins with 2020."""
    first = pd.Timestamp("2020-01-01")
    return DataSettings(
        target="pm",
        features=("pm",),
        horizon=horizon,
        validation_from=first + pd.Timedelta(hours=validation_row),
        test_from=first + pd.Timedelta(hours=test_row),
    )


def make_table(
    series: Mapping[str, Float64Array],
    validation_row: int,
    horizon: int = 1,
    begins: Mapping[str, int] | None = None,
) -> EncodedTable:
    """make_dataset() encoded, with its rows from `validation_row` on to be scored."""
    dataset = make_dataset(series, begins)
    settings = make_settings(validation_row, horizon=horizon)
    return EncodedTable.from_table(dataset.frame, dataset.step, settings, dataset.index)


def make_score(rmse: float, mae: float, skill: float = 0.0) -> Score:
    return Score(np.array([rmse]), np.array([mae]), np.array([skill]))


def make_finalist(
    trial: int, rmse: float, features: Sequence[str], config: dict[str, Any]
) -> Finalist:
    return Finalist(
        trial=trial,
        config=config,
        epochs=16,
        features=features,
        calendar=[],
        validation=make_score(rmse, 12.3, 0.081),
        by_seed=[
            SeedScore(1, 17, make_score(rmse + 0.1, 12.4)),
            SeedScore(2, 15, make_score(rmse + 0.5, 12.8)),
        ],
        candidates=[],
        baselines=Baselines({PERSISTENCE: make_score(24.0, 13.0)}, {}),
    )


def make_comparison(lead_times: int = 1, *, model: str = "multivariate", **data: Any) -> Comparison:
    """Of two models, with numbers that can all be told apart.

    Args:
        model: the name of the first one.
        data: of the DataSource, where it is another.
    """
    leads = range(1, lead_times + 1)

    def by_lead(first: float, rise: float) -> dict[int, float]:
        return {lead: first + rise * (lead - 1) for lead in leads}

    def scores(rmse: float, skill: float, seeds: int | None = None) -> ModelScores:
        errors = by_lead(rmse, 1)
        by_seed = {lead: [error, error + 3] for lead, error in errors.items()} if seeds else None
        best = dict.fromkeys(leads, PERSISTENCE) if seeds else None
        return ModelScores(
            rmse=errors,
            mae=by_lead(rmse / 2, 1),
            skill=by_lead(skill, 0.01),
            seeds=seeds,
            rmse_by_seed=by_seed,
            best_baseline=best,
            skill_best_baseline=by_lead(skill, 0.01) if seeds else None,
        )

    def tests(p_value_holm: float) -> list[PairedTest]:
        return [
            PairedTest(
                a=model,
                b="univariate",
                metric=metric,
                lead_time=lead,
                difference=-0.7125,
                ci95=(-1.0, 0.00001),
                dm_statistic=-4.256,
                p_value_bootstrap=0.0005,
                p_value_bootstrap_holm=0.00251,
                p_value=0.00003,
                p_value_holm=p_value_holm,
            )
            for metric in ("rmse", "mae")
            for lead in leads
        ]

    def coverage(name: str, shift: float) -> list[Coverage]:
        return [
            Coverage(
                model=name,
                claim=claim,
                lead_time=lead,
                forecast_level=level,
                rows=rows,
                covered=claim + shift - 0.001 * lead,
                mean_width=100 * claim + lead,
            )
            for claim in (0.8, 0.95)
            for lead in leads
            for level, rows in (("all", 8662 - lead), ("below 35", 3000), ("250 and more", 8))
            if level == "all" or lead in (1, lead_times)
        ]

    config = {"hidden_size": 64, "learning_rate": 0.0123456}
    trials: Any = {"finished": 8, "stopped_early": 12, "failed": 0}
    facts = {"source": "beijing", "simulated": False, "sha256": "ab12", **data}
    return Comparison(
        verdict="Eight features forecast better than one.",
        data=DataSource(**facts),
        target="pm2.5",
        unit="ug/m3",
        step="1 h",
        train_from="2010-01-01 00:00",
        validation_from="2013-01-01 00:00",
        folds=1,
        test_from="2014-01-01",
        test_until="2014-12-31 23:00",
        lead_times=list(leads),
        rows={lead: 8662 - lead for lead in leads},
        block=168,
        models={
            model: scores(20.904, 0.0553, seeds=2),
            "univariate": scores(21.616, 0.0231, seeds=2),
            "persistence": scores(22.127, 0.0),
            "same_hour_yesterday": scores(71.2, -2.218),
            "ridge_univariate": scores(21.8, float("-inf")),
        },
        tests=tests(0.5),
        finalists={
            model: make_finalist(19, 22.929, ["pm2.5", "TEMP"], {**config, "dropout": 0.2}),
            "univariate": make_finalist(7, 23.568, ["pm2.5"], config),
        },
        studies={model: StudyFacts("runs/air-multivariate", "multivariate.yaml", trials, None)},
        settings={"trials": 50, "sampler": "tpe"},
        breakdowns=[
            Breakdown(by, 1, group, 1700, {model: 31.25, "persistence": float("nan")})
            for by, group in (("month", "1"), ("month", "2"), ("cbwd", "NW"))
        ],
        worst=[
            LargestError(model, 1, f"2014-02-{day:02d} 05:00", 1600.0, 250.5, -1349.5)
            for day in range(1, 11)
        ],
        years={
            "2012": YearResult(
                dict.fromkeys(leads, 8001), {model: by_lead(25.111, 1)}, tests(0.99996)
            )
        },
        protocol_notes=["The test hours were read once.", "- not a list"],
        versions={"python": "3.11", "torch": "2.13.0"},
        command=["python", "-m", "tuning.compare", "--name", "two words"],
        created="2026-11-24",
        coverage=coverage(model, 0.01) + coverage("univariate", -0.02),
    )
