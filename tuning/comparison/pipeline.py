"""From finished studies to an answer: finalists, final models, the test hours, and the report.

The test hours are read here and nowhere else, once the finalists have been chosen.
"""

import json
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import numpy as np
from rich.console import Console

from lstm_model import __version__
from lstm_model.arrays import Float64Array
from lstm_model.data.series import EncodedSeries
from lstm_model.evaluation.baselines import BY_NAME, PERSISTENCE, boosting_installed
from lstm_model.evaluation.metrics import skill
from lstm_model.files import write_file
from lstm_model.inference.predictor import TrainedForecaster
from lstm_model.inference.warm_start import WarmUpProbe
from lstm_model.training.trainer import HoldoutEvaluator
from tuning.comparison import verdict as compared
from tuning.comparison.backtest import (
    ComparisonProtocol,
    EvaluationWindow,
    ForecastErrors,
    series_for_window,
)
from tuning.comparison.finalists import (
    RetrainedTrial,
    best_trials,
    boosting_jobs,
    candidates,
    fresh_seeds,
    refitting_jobs,
    training_jobs,
)
from tuning.comparison.significance import effective_block
from tuning.comparison.verdict import baseline_beside
from tuning.ray_backend.jobs import run_jobs
from tuning.ray_backend.stopping import StopRequest
from tuning.reporting.comparison_figures import draw_comparison
from tuning.reporting.comparison_report import write_report
from tuning.reporting.tables import step_name
from tuning.reporting.tensorboard.study_events import write_comparison
from tuning.search.optuna_trials import hyperparameter_importances
from tuning.study.storage import StoragePath
from tuning.study.study import LIBRARIES, Study


@dataclass(frozen=True)
class Evaluation:
    """What the test showed: comparison.json, and what the report and the folder add to it.

    `histories` has the epochs of each finalist's trial, as its record has them.
    """

    comparison: dict[str, Any]
    period: ForecastErrors
    models: dict[str, TrainedForecaster]
    histories: dict[str, list[dict[str, float]]]

    def write(self, folder: StoragePath) -> None:
        """The comparison's folder; comparison.json comes last, when all else is there."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "models").mkdir(parents=True, exist_ok=True)
        for name, forecaster in self.models.items():
            forecaster.save(folder / "models" / name)
        write_file(folder / "forecasts.csv", self.period.csv().encode())
        write_report(folder, self.comparison, draw_comparison(self.comparison, self.period))
        write_comparison(folder, self.comparison, self.histories)
        text = json.dumps(self.comparison, indent=1) + "\n"
        write_file(folder / "comparison.json", text.encode())


class _Steps:
    """Tells which step is under way and how far it is."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def run(self, title: str, study: Study, jobs: Sequence[Any], stop: StopRequest) -> list[Any]:
        begun = time.monotonic()
        with self._console.status(title) as status:
            results = run_jobs(
                jobs,
                study.space.resources,
                stop,
                lambda done: status.update(f"{title}: {done} of {len(jobs)}"),
            )
        self._console.print(
            f"{title}: {len(jobs)} trainings in {time.monotonic() - begun:.0f} s", soft_wrap=True
        )
        return results


def compare_models(
    studies: Mapping[str, Study],
    protocol: ComparisonProtocol,
    stop: StopRequest,
    console: Console,
    command: Sequence[str],
) -> Evaluation:
    """Choose each study's finalist, refit it, and test it, on the Ray that is there.

    Raises:
        TrainingFailed: no configuration of a study could be trained again.
        KeyboardInterrupt: `stop` asks to.
    """
    steps = _Steps(console)
    ranked = {name: _ranked(name, study, protocol, steps, stop) for name, study in studies.items()}
    chosen = {name: found[0] for name, found in ranked.items()}
    periods = []
    final_models: dict[str, TrainedForecaster] = {}
    for span in protocol.spans:
        forecasts: dict[str, Float64Array] = {}
        for name, study in studies.items():
            final = series_for_window(study.table, study.space.data, span)
            seeds = fresh_seeds(study.space, protocol.seeds)
            trained = steps.run(
                f"Final models of {name} for {span.label}",
                study,
                refitting_jobs(study.space, final, chosen[name], seeds),
                stop,
            )
            if span is protocol.spans[0]:
                members = TrainedForecaster.ensemble(trained)
                final_models[name] = _completed(members, study, span, chosen[name])
                levels = compared.level_edges(final, study.target_is_pm25)
            check = HoldoutEvaluator(final)
            forecasts[name] = np.stack([check.forecast(one.model) for one in trained])
            forecasts |= _baselines(name, study, final, check.first)
            if boosting_installed():
                title = f"LightGBM on the features of {name} for {span.label}"
                leads = steps.run(title, study, boosting_jobs(final), stop)
                changes = np.maximum(np.stack(leads, axis=1), final.min_changes[:, None])
                forecasts[f"lightgbm_{name}"] = changes[None, check.first :]
        # Any study's series will do for what happened: they differ in their inputs alone.
        periods.append(ForecastErrors.of(final, forecasts))
    console.print("Testing the differences", soft_wrap=True)
    comparison = _comparison(studies, protocol, ranked, periods, command)
    comparison["coverage"] = [
        one
        for name, model in final_models.items()
        for one in coverage(periods[0], name, model, levels)
    ]
    comparison["protocol_notes"] += [_coverage_note(comparison, name) for name in final_models]
    histories = {name: candidate.trial.history for name, candidate in chosen.items()}
    return Evaluation(comparison, periods[0], final_models, histories)


def _completed(
    members: TrainedForecaster, study: Study, span: EvaluationWindow, finalist: RetrainedTrial
) -> TrainedForecaster:
    """The final models of `span` with the intervals that the finalist's own runs had on validation:
    the final models have learned from those hours, and their residuals there are too small.
    """
    frame = study.table.frame
    return members.completed(
        [
            (fold, np.mean([run.forecasts[number] for run in finalist.runs], axis=0))
            for number, fold in enumerate(study.series.folds)
        ],
        WarmUpProbe(frame.loc[frame.index < span.start], members.encoding, members.target),
        study.table.reading,
        simulated=study.table.simulated,
    )


def coverage(
    period: ForecastErrors, name: str, model: TrainedForecaster, levels: Sequence[float]
) -> list[dict[str, Any]]:
    """How many observations lie in a model's intervals, by lead time, and by the forecast's level
    at the first and the last.
    """
    assert model.intervals is not None
    forecasts = period.observed[:, None] + period.mean_errors(name)
    found = []
    for claim, (low, high) in model.bounds(forecasts, period.floors).items():
        inside = (low <= period.observed[:, None]) & (period.observed[:, None] <= high)
        for lead in range(1, period.horizon + 1):
            at = lead - 1
            groups = {"all": period.known[:, at]}
            if lead in (1, period.horizon):
                groups |= compared.by_level(forecasts[:, at], levels)
            for level, members in groups.items():
                rows = members & period.known[:, at]
                if rows.any():
                    found.append(
                        {
                            "model": name,
                            "claim": claim,
                            "lead_time": lead,
                            "forecast_level": level,
                            "rows": int(rows.sum()),
                            "covered": float(inside[rows, at].mean()),
                            "mean_width": float((high - low)[rows, at].mean()),
                        }
                    )
    return found


def _coverage_note(comparison: Mapping[str, Any], name: str) -> str:
    """What came of a model's intervals, in a sentence."""
    found = [
        one
        for one in comparison["coverage"]
        if (one["model"], one["forecast_level"]) == (name, "all")
    ]
    parts = []
    for lead in sorted({comparison["lead_times"][0], comparison["lead_times"][-1]}):
        shares = [
            f"{one['covered']:.1%} ({one['claim']:.0%} claimed)"
            for one in found
            if one["lead_time"] == lead
        ]
        parts.append(f"{' and '.join(shares)} {compared.lead_name(comparison, lead)} ahead")
    return (
        f"{name}'s prediction intervals, calibrated on validation, held of the test's observations "
        f"{'; '.join(parts)}."
    )


def _ranked(
    name: str, study: Study, protocol: ComparisonProtocol, steps: _Steps, stop: StopRequest
) -> list[RetrainedTrial]:
    """The study's best configurations trained again, the best first."""
    trials = best_trials(study.trials.values(), protocol.finalists)
    seeds = fresh_seeds(study.space, protocol.seeds)
    jobs = training_jobs(study.space, study.series, trials, seeds)
    title = f"The best {len(trials)} of {name} with {len(seeds)} fresh seeds"
    return candidates(study.series, trials, steps.run(title, study, jobs, stop))


def _baselines(
    name: str, study: Study, final: EncodedSeries, first: int
) -> dict[str, Float64Array]:
    """(1, origins, L) of each; those that learn do so from the model's own features."""
    forecasts = {}
    for each in study.baselines.scores:
        changes = BY_NAME[each].changes(final, study.baselines.forms.get(each, ""))
        if changes is not None and each != PERSISTENCE:  # which every period has
            forecasts[baseline_beside(each, name)] = changes[None, first:]
    return forecasts


def _comparison(
    studies: Mapping[str, Study],
    protocol: ComparisonProtocol,
    ranked: Mapping[str, Sequence[RetrainedTrial]],
    periods: Sequence[ForecastErrors],
    command: Sequence[str],
) -> dict[str, Any]:
    """comparison.json."""
    study = next(iter(studies.values()))
    data, test, span = study.space.data, periods[0], protocol.spans[0]
    pairs = _pairs(studies)
    seed = study.space.study.seed
    block = compared.block_length(study.table.step, data.horizon)
    metrics = test.metrics()
    for name, one in studies.items():
        metrics[name] |= _beside_best(name, one, metrics)
    order = [*studies, PERSISTENCE, *sorted(set(metrics) - {*studies, PERSISTENCE})]
    leads = list(range(1, data.horizon + 1))
    shown = [*studies, PERSISTENCE]
    final = series_for_window(study.table, data, span)
    facts = study.data()
    tables = [one.table for one in studies.values()]
    cells = {
        "repairs": dict.fromkeys(str(each) for table in tables for each in table.repairs),
        "doubts": dict.fromkeys(each for table in tables for each in table.doubts),
    }
    comparison: dict[str, Any] = {
        "verdict": "",
        "data": {
            key: facts[key] for key in ("source", "simulated", "sha256", "warning") if key in facts
        }
        | {key: list(sentences) for key, sentences in cells.items() if sentences},
        "target": data.target,
        "unit": "ug/m3" if study.target_is_pm25 else "",
        "step": step_name(study.table.step),
        "train_from": f"{study.table.frame.index[0]:%Y-%m-%d %H:%M}",
        "validation_from": f"{data.validation_from:%Y-%m-%d %H:%M}",
        "folds": data.folds,
        "test_from": f"{span.start:%Y-%m-%d}",
        "test_until": f"{test.times[-1]:%Y-%m-%d %H:%M}",
        "lead_times": leads,
        "rows": test.rows(),
        "block": effective_block(len(test.times), block),
        "models": {model: metrics[model] for model in order},
        "tests": [
            *compared.paired_tests(test, pairs, ("rmse", "mae"), block=block, seed=seed),
            *compared.paired_with_references(test, [*studies], block=block, seed=seed),
        ],
        "finalists": {name: _finalist(studies[name], found) for name, found in ranked.items()},
        "studies": {name: _study(one) for name, one in studies.items()},
        "settings": study.space.study.model_dump(mode="json"),
        "breakdowns": compared.breakdowns(
            test, shown, compared.level_edges(final, study.target_is_pm25), _categories(studies)
        ),
        "worst": [
            miss
            for name in studies
            for lead in sorted({leads[0], leads[-1]})
            for miss in compared.largest_errors(test, name, lead)
        ],
        "years": {
            other.label: {
                "rows": period.rows(),
                "rmse": {model: found["rmse"] for model, found in period.metrics().items()},
                "tests": compared.paired_tests(
                    period, pairs[:1], ("rmse",), block=block, seed=seed
                ),
            }
            for other, period in zip(protocol.spans[1:], periods[1:], strict=True)
        },
        "protocol_notes": _notes(studies, protocol),
        "versions": {"python": platform.python_version(), "lstm-tuning": __version__}
        | {name: version(name) for name in LIBRARIES},
        "command": list(command),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    comparison["verdict"] = compared.verdict(comparison)
    return comparison


def _beside_best(
    name: str, study: Study, metrics: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """By lead time the baseline that was the best one on validation, and the skill beyond it."""
    best, beyond = {}, {}
    for lead, error in metrics[name]["rmse"].items():
        among = study.baselines.best_at(
            int(lead), lambda each: baseline_beside(each, name) in metrics
        )
        best[lead] = baseline_beside(among, name)
        reference = metrics[best[lead]]["rmse"][lead]
        beyond[lead] = float(skill(np.array(error), np.array(reference)))
    return {"best_baseline": best, "skill_best_baseline": beyond}


def _pairs(studies: Mapping[str, Study]) -> list[tuple[str, str]]:
    """The question first: the model that reads more against the other, or against persistence."""
    by_inputs = sorted(studies, key=lambda n: -len(studies[n].series.encoding.channels))
    pairs = [(by_inputs[0], by_inputs[1])] if len(by_inputs) > 1 else []
    for name in by_inputs:
        pairs += [(name, PERSISTENCE), (name, f"ridge_{name}")]
        if boosting_installed():
            pairs.append((name, f"lightgbm_{name}"))
    return pairs


def _finalist(study: Study, ranked: Sequence[RetrainedTrial]) -> dict[str, Any]:
    best = ranked[0]
    data = study.space.data
    return {
        "trial": best.trial.id,
        "config": best.trial.config,
        "epochs": best.epochs,
        "features": list(data.features),
        "calendar": list(data.calendar),
        "validation": best.score.as_json(),
        "by_seed": [
            {"seed": run.seed, "epoch": run.epoch, **run.score.as_json()} for run in best.runs
        ],
        "candidates": [
            {
                "trial": each.trial.id,
                "study_rmse": each.trial.rmse,
                "rmse": each.score.rmse,
                "rmse_by_seed": [run.score.rmse for run in each.runs],
            }
            for each in ranked
        ],
        "baselines": study.summary()["baselines"],
    }


def _study(study: Study) -> dict[str, Any]:
    counts = study.counts
    found = hyperparameter_importances(study.trials.values(), study.space)
    return {
        "folder": str(study.folder),
        "space": study.space.name,
        "trials": {state: counts[state] for state in ("finished", "stopped_early", "failed")},
        "importances": found and {"trials": counts["finished"], "shares": found},
    }


def _categories(studies: Mapping[str, Study]) -> dict[str, Any]:
    """The last known category of every row, for each categorical feature of any study."""
    found = {}
    for study in studies.values():
        for group in study.series.encoding.categorical:
            found[group.column] = study.table.frame[group.column].ffill().to_numpy(object)
    return found


def _notes(studies: Mapping[str, Study], protocol: ComparisonProtocol) -> list[str]:
    """What a reader has to know to judge the figures."""
    notes = [
        f"The test hours were read once, after the finalists had been chosen; each model is the "
        f"mean of {protocol.seeds} trainings with seeds that no trial had.",
        "Validation figures are of the hours that trials, epochs and finalists were chosen on: "
        "they flatter every model.",
    ]
    data = next(iter(studies.values())).space.data
    chosen_on = data.rolling_origins[0].validation_from
    flattered = [span.label for span in protocol.spans[1:] if span.end > chosen_on]
    if flattered:
        notes.append(
            f"The configurations were chosen on hours of {', '.join(flattered)}: there both "
            "models look better than they are, and their difference may."
        )
    if len(protocol.spans) > 1:
        notes.append(
            "Models for earlier years learned from fewer rows, with everything else as it is."
        )
    return notes
