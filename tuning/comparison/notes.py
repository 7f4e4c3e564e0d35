"""What a reader of a comparison has to know to judge its figures."""

from lstm_model.data.step import on_wall
from tuning.comparison.backtest import ComparisonProtocol, ForecastErrors
from tuning.study.view import StudyView


def protocol_notes(
    study: StudyView, protocol: ComparisonProtocol, test: ForecastErrors
) -> list[str]:
    """How the test was made, a sentence or two each."""
    notes = [
        f"The test hours were read once, after the finalists had been chosen; each model is the "
        f"mean of {protocol.seeds} trainings with seeds that no trial had.",
        "Validation figures are of the hours that trials, epochs and finalists were chosen on: "
        "they flatter every model.",
    ]
    first = study.table.folds[0]
    validated = [
        series.times[[series.validation_start]]
        for series in first.each_series()
        if series.validation_start < len(series.times)
    ]
    chosen_on = min(on_wall(start)[0] for start in validated)
    flattered = [window.label for window in protocol.windows[1:] if window.end > chosen_on]
    if flattered:
        notes.append(
            f"The configurations were chosen on hours of {', '.join(flattered)}: there both "
            "models look better than they are, and their difference may."
        )
    if test.has_series:
        notes += [
            "Of several series the question is the mean of each one's RMSE divided by that of "
            "persistence, so that large and small ones count alike. The bootstrap draws blocks of "
            "time, the same for all series.",
            "Each on its own is the finalist's configuration trained on one series alone, with "
            "the same inputs and seeds, for as many epochs as were best on that series' "
            "validation." + " It still reads the mean of the others." * study.space.data.neighbours,
        ]
        scored = [len(of_model) for of_model in (test.scores_by_series() or {}).values()]
        if min(scored) < max(scored):
            notes.append(
                f"Each on its own was trained for {min(scored):,} of the {max(scored):,} series "
                "that the test scores, evenly spaced by name: it is scored, and compared with the "
                "model of all series, on those alone."
            )
    if len(protocol.windows) > 1:
        notes.append(
            "Models for earlier years learned from fewer rows, with everything else as it is."
        )
    return notes
