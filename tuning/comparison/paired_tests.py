"""Which pairs of models are tested against each other, in which metrics and at which lead times."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lstm_model.data.encoded_table import EncodedTable
from lstm_model.data.step import WEEK, Step
from lstm_model.errors import TableError
from lstm_model.evaluation.baselines import BASELINES, BY_NAME, PERSISTENCE
from tuning.comparison.backtest import ForecastErrors
from tuning.comparison.result import PairedTest
from tuning.comparison.significance import (
    RELATIVE,
    SQUARED,
    Metric,
    check_observations,
    diebold_mariano,
    effective_block,
    holm,
    paired_difference,
    paired_relative_difference,
    relative_losses,
)

# One model for each series is trained for so many at most: each of them takes seconds or more.
MOST_ON_THEIR_OWN = 50


def paired_metrics(errors: ForecastErrors) -> tuple[Metric, Metric]:
    """What the models are tested in; the first is of the question itself.

    Of several series the mean of each one's error by persistence's, so that large ones and small
    ones count alike.
    """
    return ("relative_rmse", "relative_mae") if errors.has_series else ("rmse", "mae")


def paired_tests(
    errors: ForecastErrors,
    pairs: Sequence[tuple[str, str]],
    metrics: Sequence[Metric],
    *,
    block: int,
    seed: int,
) -> list[PairedTest]:
    """Each pair's difference in each metric at every lead time.

    Holm's correction covers the lead times of one pair in one metric: one question.

    Args:
        block: rows of a block of the bootstrap, and the bandwidth of Diebold-Mariano; both are cut
            in a short period.
        seed: of the bootstrap.
    """
    return [
        test
        for a, b in pairs
        for metric in metrics
        for test in _test_family(errors, [(a, b, metric)], block, seed)
    ]


def reference_tests(
    errors: ForecastErrors, models: Sequence[str], *, block: int, seed: int
) -> list[PairedTest]:
    """Each model's difference from the baselines that read no features, but persistence.

    Holm's correction covers all of them and all lead times of one model: they are a question of
    their own, and what they answer moves no other answer.
    """
    metric, _ = paired_metrics(errors)
    references = [
        baseline.name
        for baseline in BASELINES
        if baseline.name in errors.errors and baseline.name != PERSISTENCE
    ]
    return [
        test
        for model in models
        for test in _test_family(
            errors, [(model, name, metric) for name in references], block, seed
        )
    ]


def baseline_beside(baseline: str, model: str) -> str:
    """A baseline's name in a comparison: one that reads features stands beside each model."""
    return f"{baseline}_{model}" if BY_NAME[baseline].per_features else baseline


def own_models_name(model: str) -> str:
    """In a comparison, of the models of each series alone, beside one that learns from all."""
    return f"each_on_its_own_{model}"


def sample_own_models(table: EncodedTable) -> list[str]:
    """Which series of a test period get a model of their own: those that it scores, of more than
    MOST_ON_THEIR_OWN so many, evenly spaced by name.
    """
    not_scored = {each.series for each in table.left_out if each.split == "validation"}
    names = sorted(set(table.index.names) - not_scored)
    count = min(len(names), MOST_ON_THEIR_OWN)
    return [names[number * len(names) // count] for number in range(count)]


def describe_own_models(model: str, table: EncodedTable, seeds: int) -> str:
    """How many trainings they take, to be told before."""
    count = len(sample_own_models(table))
    return (
        f"{model} on each series alone: {count:,} of {len(table.index):,} series, up to "
        f"{2 * seeds * count:,} trainings ({seeds} for the epochs and {seeds} final models each)"
    )


def bootstrap_replicates(horizon: int) -> int:
    """How many replicates the bootstrap needs.

    Its smallest p-value times the lead times, which Holm's correction may come to, is at most 0.01.
    """
    return max(4000, 100 * horizon)


def block_length(step: Step, horizon: int) -> int:
    """Rows of a block: errors at neighbouring hours are alike, for days; those of one long forecast
    for its length.
    """
    return max(round(WEEK / step.duration), 7 * horizon)


def check_test_observations(table: EncodedTable, label: str, seed: int) -> None:
    """Raises TableError where too little of a test period was observed for paired_tests(), before
    anything is trained for it.
    """
    own = own_models_name("")
    sampled = {own: sample_own_models(table)} if len(table.index) > 1 else {}
    nothing_yet = ForecastErrors.of(table, {}, sampled)
    block = block_length(table.step, table.horizon)
    replicates = bootstrap_replicates(table.horizon)
    for lead in range(1, table.horizon + 1):
        try:
            for models in ((), (own,)) if sampled else ((),):
                observed = nothing_yet.hours_by_series(lead, models).observed
                check_observations(observed, seed=seed, block=block, replicates=replicates)
        except ValueError as error:
            raise TableError(
                f"the test period {label} can't be used, {lead} rows ahead: {error}; "
                "move test_from, or leave the year out of --test-years"
            ) from None


def _test_family(
    errors: ForecastErrors, pairs: Sequence[tuple[str, str, Metric]], block: int, seed: int
) -> list[PairedTest]:
    """The pairs at every lead time, with Holm's correction for all of these tests."""
    block = effective_block(errors.hour_count, block)
    tests = [
        _paired_test(errors, a, b, metric, lead, block, seed)
        for a, b, metric in pairs
        for lead in range(1, errors.horizon + 1)
    ]
    asymptotic = holm([test.p_value for test in tests])
    bootstrap = holm([test.p_value_bootstrap for test in tests])
    return [
        replace(test, p_value_holm=dm, p_value_bootstrap_holm=p)
        for test, dm, p in zip(tests, asymptotic, bootstrap, strict=True)
    ]


def _paired_test(
    errors: ForecastErrors, a: str, b: str, metric: Metric, lead: int, block: int, seed: int
) -> PairedTest:
    """One test, not corrected for others."""
    errors_a, errors_b = (errors.errors[model][:, :, lead - 1] for model in (a, b))
    replicates = bootstrap_replicates(errors.horizon)
    if metric in RELATIVE:
        hours = errors.hours_by_series(lead, (a, b))
        bootstrap = paired_relative_difference(
            errors_a, errors_b, metric, hours, seed=seed, block=block, replicates=replicates
        )
        losses = [relative_losses(each, hours, metric) for each in (errors_a, errors_b)]
    else:
        bootstrap = paired_difference(
            errors_a, errors_b, metric, seed=seed, block=block, replicates=replicates
        )
        loss = np.square if metric in SQUARED else np.abs
        losses = [loss(seeds.mean(axis=0)) for seeds in (errors_a, errors_b)]
    asymptotic = diebold_mariano(*losses, bandwidth=block)
    return PairedTest(
        a=a,
        b=b,
        metric=metric,
        lead_time=lead,
        difference=bootstrap.difference,
        ci95=(bootstrap.low, bootstrap.high),
        p_value_bootstrap=bootstrap.p_value,
        dm_statistic=asymptotic.statistic,
        p_value=asymptotic.p_value,
        p_value_holm=asymptotic.p_value,
        p_value_bootstrap_holm=bootstrap.p_value,
    )
