"""From finished studies to an answer: finalists, final models, the test hours, the comparison.

The test hours are read here and nowhere else, once the finalists have been chosen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Protocol

import numpy as np

from lstm_model.arrays import Float64Array
from lstm_model.data.encoded_table import EncodedTable
from lstm_model.evaluation.baselines import BASELINES, BY_NAME, PERSISTENCE
from lstm_model.evaluation.boosting import is_lightgbm_installed
from lstm_model.evaluation.holdout import Holdout
from lstm_model.evaluation.metrics import skill
from lstm_model.inference.predictor import TrainedForecaster
from lstm_model.inference.warm_start import WarmUpProbe
from lstm_model.training.evaluator import HoldoutEvaluator
from tuning.comparison import breakdowns, finalists, paired_tests
from tuning.comparison.backtest import ComparisonProtocol, ForecastErrors, tell_left_out
from tuning.comparison.finalists import RetrainedTrial, fresh_seeds
from tuning.comparison.notes import protocol_notes
from tuning.comparison.on_their_own import forecast_on_their_own
from tuning.comparison.paired_tests import (
    baseline_beside,
    describe_own_models,
    own_models_name,
    sample_own_models,
)
from tuning.comparison.result import (
    Candidate,
    Comparison,
    DataSource,
    Finalist,
    Importances,
    ModelScores,
    SeedScore,
    StudyFacts,
    YearResult,
)
from tuning.comparison.significance import effective_block
from tuning.comparison.verdict import coverage_sentence, write_verdict
from tuning.ray_backend.jobs import Job
from tuning.search.optuna_trials import hyperparameter_importances
from tuning.space.search_space import Resources
from tuning.study.manifest import library_versions
from tuning.study.view import StudyView


@dataclass(frozen=True)
class ComparedStudy:
    """A finished study, and its table's test windows as its models read them.

    Attributes:
        windows: one table for each of the protocol's windows, from table_for_window().
    """

    study: StudyView
    windows: Sequence[EncodedTable]


class StepRunner(Protocol):
    """Runs a comparison's trainings, and tells how far it is."""

    def run(self, title: str, jobs: Sequence[Job], resources: Resources) -> list[Any]:
        """The jobs' results, in their order."""

    def tell(self, title: str) -> None:
        """What is done now."""


@dataclass(frozen=True)
class Evaluation:
    """What the test showed, and what the comparison's folder holds beside it.

    Attributes:
        errors: of every model on the test hours.
        models: the final ones by name.
        histories: the epochs of each finalist's trial, as its record has them.
    """

    comparison: Comparison
    errors: ForecastErrors
    models: Mapping[str, TrainedForecaster]
    histories: Mapping[str, Sequence[Mapping[str, float]]]


def compare_models(
    studies: Mapping[str, ComparedStudy],
    protocol: ComparisonProtocol,
    steps: StepRunner,
    command: Sequence[str],
) -> Evaluation:
    """Choose each study's finalist, refit it, and test it, on the Ray that is there.

    Args:
        studies: by their models' names; what is compared with each other differs in its inputs.
        command: as it was typed.

    Raises:
        TrainingFailed: no configuration of a study could be trained again.
    """
    ranked = {
        name: _retrain_and_rank(name, each.study, protocol, steps) for name, each in studies.items()
    }
    windows: list[ForecastErrors] = []
    left_out: list[str] = []
    final_models: dict[str, TrainedForecaster] = {}
    for number, window in enumerate(protocol.windows):
        forecasts: dict[str, Float64Array] = {}
        sampled: dict[str, list[str]] = {}
        for name, each in studies.items():
            study, table, finalist = each.study, each.windows[number], ranked[name][0]
            seeds = fresh_seeds(study.space, protocol.seeds)
            jobs = finalists.refitting_jobs(study.space, table, finalist, seeds)
            title = f"Final models of {name} for {window.label}"
            members = steps.run(title, jobs, study.space.resources)
            if number == 0:
                ensemble = TrainedForecaster.ensemble(members)
                final_models[name] = with_intervals(ensemble, study, table, finalist)
            evaluator = HoldoutEvaluator(table)
            forecasts[name] = np.stack([evaluator.forecast(member.model) for member in members])
            forecasts |= _baseline_forecasts(name, study, table, evaluator.holdout)
            if is_lightgbm_installed():
                title = f"LightGBM on the features of {name} for {window.label}"
                leads = steps.run(title, finalists.boosting_jobs(table), study.space.resources)
                changes = _by_series(table, np.stack(leads, axis=1))
                forecasts[f"lightgbm_{name}"] = evaluator.holdout.gather(changes)[None]
            if number == 0 and len(table.index) > 1:
                steps.tell(describe_own_models(name, table, len(seeds)))
                sampled[own_models_name(name)] = names = sample_own_models(table)
                own = forecast_on_their_own(
                    study.space,
                    study.dataset,
                    table,
                    names,
                    window,
                    finalist,
                    seeds,
                    partial(steps.run, resources=study.space.resources),
                    f"{name} on each series alone",
                )
                forecasts[own_models_name(name)] = own.changes
                left_out += own.sentences(own_models_name(name))
        # Any study's table has what happened: they differ in their inputs alone.
        observed = next(iter(studies.values())).windows[number]
        windows.append(ForecastErrors.of(observed, forecasts, sampled))
        left_out += tell_left_out(observed, window)
    steps.tell("Testing the differences")
    comparison = _judge(studies, protocol, ranked, windows, final_models, left_out, command)
    histories = {name: retrained[0].trial.history for name, retrained in ranked.items()}
    return Evaluation(comparison, windows[0], final_models, histories)


def with_intervals(
    ensemble: TrainedForecaster, study: StudyView, table: EncodedTable, finalist: RetrainedTrial
) -> TrainedForecaster:
    """The final models with the prediction intervals of the finalist's own runs on validation.

    The final models have learned from those hours: their own residuals there are too small.

    Args:
        table: for the test, that they have learned from.
    """
    dataset, target = study.dataset, ensemble.target
    return ensemble.with_intervals(
        [
            (fold, np.mean([run.forecasts[number] for run in finalist.runs], axis=0))
            for number, fold in enumerate(study.table.folds)
        ],
        WarmUpProbe.of_table(dataset.frame, dataset.index, table.training_only, target),
        dataset.reading,
        simulated=dataset.simulated,
    )


def _retrain_and_rank(
    name: str, study: StudyView, protocol: ComparisonProtocol, steps: StepRunner
) -> list[RetrainedTrial]:
    """The study's best configurations trained again, the best first."""
    trials = finalists.best_trials(study.trials.values(), protocol.finalists)
    seeds = fresh_seeds(study.space, protocol.seeds)
    jobs = finalists.training_jobs(study.space, study.table, trials, seeds)
    title = f"The best {len(trials)} of {name} with {len(seeds)} fresh seeds"
    runs = steps.run(title, jobs, study.space.resources)
    return finalists.rank_retrained(study.table, trials, runs)


def _baseline_forecasts(
    model: str, study: StudyView, table: EncodedTable, holdout: Holdout
) -> dict[str, Float64Array]:
    """(1, origins, L) of each; those that learn do so from the model's own features."""
    forecasts = {}
    for name in study.baselines.scores:
        changes = BY_NAME[name].changes(table, study.baselines.forms.get(name, ""))
        if changes is not None and name != PERSISTENCE:  # which ForecastErrors adds
            forecasts[baseline_beside(name, model)] = holdout.gather(changes)[None]
    return forecasts


def _by_series(table: EncodedTable, changes: Float64Array) -> list[Float64Array]:
    """(R, L) of all rows -> (T, L) of each series, no lower than the target can be."""
    return [
        np.maximum(changes[rows], series.min_changes[:, None])
        for (_, rows), series in zip(table.index, table.each_series(), strict=True)
    ]


def _judge(
    studies: Mapping[str, ComparedStudy],
    protocol: ComparisonProtocol,
    ranked: Mapping[str, Sequence[RetrainedTrial]],
    windows: Sequence[ForecastErrors],
    final_models: Mapping[str, TrainedForecaster],
    left_out: Sequence[str],
    command: Sequence[str],
) -> Comparison:
    """The comparison, from all models' errors in each window."""
    first = next(iter(studies.values()))
    study, test = first.study, windows[0]
    space, dataset = study.space, study.dataset
    data, seed = space.data, space.study.seed
    block = paired_tests.block_length(dataset.step, data.horizon)
    pairs, metrics = _pairs(studies, test), paired_tests.paired_metrics(test)
    edges = breakdowns.find_level_edges(first.windows[0], dataset.level_edges)
    scores = test.scores()
    for name, each in studies.items():
        scores[name] = _beside_best_baseline(name, each.study, scores, test.has_series)
    names = [*studies, PERSISTENCE, *sorted(set(scores) - {*studies, PERSISTENCE})]
    comparison = Comparison(
        verdict="",
        data=_data_source(studies),
        target=data.target,
        unit=dataset.unit or "",
        step=dataset.step.name,
        train_from=f"{dataset.frame.index.min():%Y-%m-%d %H:%M}",
        validation_from=f"{data.validation_from:%Y-%m-%d %H:%M}",
        folds=data.folds,
        test_from=f"{protocol.windows[0].start:%Y-%m-%d}",
        test_until=f"{test.times.max():%Y-%m-%d %H:%M}",
        lead_times=list(range(1, data.horizon + 1)),
        rows=test.rows(),
        block=effective_block(test.hour_count, block),
        models={name: scores[name] for name in names},
        tests=[
            *paired_tests.paired_tests(test, pairs, metrics, block=block, seed=seed),
            *paired_tests.reference_tests(test, [*studies], block=block, seed=seed),
        ],
        finalists={name: _finalist(studies[name].study, each) for name, each in ranked.items()},
        studies={name: _study_facts(each.study) for name, each in studies.items()},
        settings=space.study.model_dump(mode="json"),
        breakdowns=breakdowns.break_down(
            test, [*studies, PERSISTENCE], edges, _categories(studies)
        ),
        worst=[
            error
            for name in studies
            for lead in sorted({1, data.horizon})
            for error in breakdowns.find_largest_errors(test, name, lead)
        ],
        years={
            window.label: YearResult(
                errors.rows(),
                {model: each.rmse for model, each in scores.items()},
                paired_tests.paired_tests(errors, pairs[:1], metrics[:1], block=block, seed=seed),
                {model: each.skill for model, each in scores.items()} if test.has_series else None,
            )
            for window, errors in zip(protocol.windows[1:], windows[1:], strict=True)
            for scores in [errors.scores()]
        },
        protocol_notes=protocol_notes(study, protocol, test),
        versions=library_versions(),
        command=list(command),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        coverage=[
            coverage
            for name, model in final_models.items()
            for coverage in breakdowns.measure_coverage(test, name, model, edges)
        ],
        by_series=test.scores_by_series(),
        left_out=tuple(left_out),
        coverage_by_series=breakdowns.measure_coverage_by_series(test, final_models),
    )
    held = [coverage_sentence(comparison, name) for name in final_models]
    return replace(
        comparison,
        verdict=write_verdict(comparison),
        protocol_notes=[*comparison.protocol_notes, *held],
    )


def _data_source(studies: Mapping[str, ComparedStudy]) -> DataSource:
    """Of the first study, with what was done to the cells of any."""
    tables = [each.study.dataset for each in studies.values()]
    return DataSource(
        tables[0].source,
        tables[0].simulated,
        tables[0].sha256,
        tables[0].warning or None,
        tuple(dict.fromkeys(str(repair) for table in tables for repair in table.repairs)),
        tuple(dict.fromkeys(doubt for table in tables for doubt in table.doubts)),
    )


def _beside_best_baseline(
    model: str, study: StudyView, scores: Mapping[str, ModelScores], has_series: bool
) -> ModelScores:
    """The model's scores with the best baseline on validation, and the skill beyond it."""
    best, gain = {}, {}
    for lead, error in scores[model].rmse.items():
        name = study.baselines.best_at(lead, lambda each: baseline_beside(each, model) in scores)
        best[lead] = baseline_beside(name, model)
        reference = scores[best[lead]].rmse[lead]
        if has_series:  # mean ratios to persistence, as everywhere
            error, reference = (1.0 - scores[each].skill[lead] for each in (model, best[lead]))
        gain[lead] = float(skill(np.array(error), np.array(reference)))
    return replace(scores[model], best_baseline=best, skill_best_baseline=gain)


def _pairs(studies: Mapping[str, ComparedStudy], test: ForecastErrors) -> list[tuple[str, str]]:
    """The question first: the model that reads more against the other, or against persistence;
    then each against persistence and what learns from the same features.
    """
    by_inputs = sorted(studies, key=lambda n: -len(studies[n].study.table.channels))
    pairs = [(by_inputs[0], by_inputs[1])] if len(by_inputs) > 1 else []
    for model in by_inputs:
        learned = [baseline_beside(each.name, model) for each in BASELINES if each.per_features]
        rivals = [PERSISTENCE, *learned, f"lightgbm_{model}", own_models_name(model)]
        pairs += [(model, rival) for rival in rivals if rival in test.errors]
    return pairs


def _finalist(study: StudyView, ranked: Sequence[RetrainedTrial]) -> Finalist:
    best, data = ranked[0], study.space.data
    return Finalist(
        trial=best.trial.id,
        config=best.trial.config,
        epochs=best.epochs,
        features=list(data.features),
        calendar=list(data.calendar),
        validation=best.score,
        by_seed=[SeedScore(run.seed, run.epoch, run.score) for run in best.runs],
        candidates=[
            Candidate(
                each.trial.id,
                each.trial.rmse,
                each.score.rmse,
                [run.score.rmse for run in each.runs],
                None if each.score.by_series is None else each.score.skill,
            )
            for each in ranked
        ],
        baselines=study.baselines,
    )


def _study_facts(study: StudyView) -> StudyFacts:
    counts = study.counts
    shares = hyperparameter_importances(study.trials.values(), study.space)
    return StudyFacts(
        folder=str(study.folder),
        space=study.space.name,
        trials={state: counts[state] for state in ("finished", "stopped_early", "failed")},
        importances=Importances(counts["finished"], shares) if shares else None,
    )


def _categories(studies: Mapping[str, ComparedStudy]) -> breakdowns.Categories:
    """The last known category of every row in its series, for each categorical feature of any
    study.
    """
    categories = {}
    for each in studies.values():
        dataset = each.study.dataset
        for group in each.study.table.encoders.of_others.categorical:
            column = dataset.frame[group.column]
            last = [column.iloc[rows].ffill().to_numpy(object) for _, rows in dataset.index]
            categories[group.column] = np.concatenate(last)
    return categories
