"""One model for eight stations against one for each, and against neuralforecast's AutoLSTM.

    LSTM_TUNING_DATA=DIR python -m benchmarks.stations --earlier

The same rows, features and machine for all, one after the other: PM2.5 one hour ahead at eight
stations of Beijing, trained on what comes before 2015-03-01, chosen on the year from there on,
scored on the year after it. With --earlier all dates lie a year before: for work on the method, as
the last year is for the figures that are told.

(c) neuralforecast's AutoLSTM on Ray, ten random trials, a core each, on all stations by their
    `unique_id`. Each step draws its windows from one station's: by default it would lay out those
    of all eight in every step, for as many drawn, and take eight times as long. Its time is that
    from the command's start until the best model has been chosen and trained; its error is that
    model's.
(a) `python -m tuning.run` with stations.yaml for as long as (c) took. While it runs, its best/ is
    copied whenever it changes; each copy is scored afterwards.
(p) the same with --search trials, however long it takes; (s) the same search on each station alone:
    as many trials, with a study and a model of its own.

What counts is the mean over the stations of the skill, 1 - RMSE / persistence's RMSE.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.reporting import parser, table, write
from benchmarks.time_to_quality import HERE, Copy, copied, handed_over, run_neuralforecast
from lstm_model.data.encoded_table import EncodedTable
from lstm_model.data.sources import Dataset, load_dataset
from lstm_model.inference.predictor import TrainedForecaster
from lstm_model.inference.table_checks import OutOfRangeWarning
from tuning.space.search_space import SearchSpace, read_space

SPACE = HERE.parent / "search_spaces" / "stations.yaml"
FASTER, BETTER = 15.0, 0.02  # the goals: times, skill
YEAR = pd.DateOffset(years=1)


class Judge:
    """Scores one-hour forecasts of the year from the space's `test_from` on."""

    def __init__(self, dataset: Dataset, space: SearchSpace) -> None:
        target, start = space.data.target, pd.Timestamp(space.data.test_from)
        names = np.array(dataset.index.names)[dataset.index.numbers]
        self.frame = dataset.frame.assign(station=names)
        # A model settles within days, and reads means of a week at most.
        self._scored = self.frame[self.frame.index >= start - pd.Timedelta(days=60)]
        self._observed, self._persistence = {}, {}
        for name, rows in dataset.index:
            series = dataset.frame[target].iloc[rows]
            scored = (series.index >= start) & (series.index < start + YEAR)
            known = scored & series.notna() & series.ffill().shift(1).notna()
            self._observed[name] = series[known]
            self._persistence[name] = _rmse((series.ffill().shift(1) - series)[known].to_numpy())

    def __call__(self, forecasts: dict[str, "pd.Series[float]"]) -> dict[str, float]:
        """The skill of each station; forecasts are indexed by the hour that is forecast."""
        skills = {}
        for name, observed in self._observed.items():
            error = (forecasts[name].reindex(observed.index) - observed).to_numpy()
            assert np.isfinite(error).all(), "a forecast of an observed hour is missing"
            skills[name] = 1 - _rmse(error) / self._persistence[name]
        return skills

    def of_model(self, folder: Path) -> dict[str, float]:
        """Of a model that was trained on all stations."""
        forecasts = TrainedForecaster.load(folder).forecast(self._scored).table()
        return self(
            {
                str(name): rows.set_index("valid_time")["forecast"]
                for name, rows in forecasts.groupby("series")
            }
        )

    def of_single_models(self, folders: dict[str, Path]) -> dict[str, float]:
        """Of a model for each station."""
        forecasts = {}
        for name, folder in folders.items():
            alone = self._scored[self._scored["station"] == name].drop(columns="station")
            found = TrainedForecaster.load(folder).forecast(alone).table()
            forecasts[name] = found.set_index("valid_time")["forecast"]
        return self(forecasts)


def _rmse(errors: npt.NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(errors**2)))


def rival(given: Any, judge: Judge, dataset: Dataset, space: SearchSpace, folder: Path) -> Any:
    """(c): its time, its skills and its settings."""
    encoded = EncodedTable.from_table(dataset.frame, dataset.step, space.data, dataset.index)
    tables = []
    for series, (name, rows) in zip(encoded.series, dataset.index, strict=True):
        made = handed_over(dataset.frame.iloc[rows], series, space.data.target)
        tables.append(made.assign(unique_id=name))
    dates = (str(space.data.validation_from), str(space.data.test_from))
    study, forecasts, begun = run_neuralforecast(
        given, pd.concat(tables), folder, *dates, "--series", "1"
    )
    by_station = {str(name): rows["forecast"] for name, rows in forecasts.groupby("unique_id")}
    return {
        **{key: study[key] for key in ("settings", "versions", "best")},
        "seconds": study["chosen"] - begun,
        "skills": judge(by_station),
    }


def run_study(folder: Path, name: str, text: str, *options: str) -> tuple[float, list[Copy]]:
    """Run a study; its seconds, and what its best/ held when."""
    (folder / f"{name}.yaml").write_text(text)
    command = [sys.executable, "-m", "tuning.run", "--space", str(folder / f"{name}.yaml")]
    command += ["--runs", str(folder / "runs"), "--name", name, "--quiet", *options]
    begun = time.monotonic()
    with open(folder / f"{name}.log", "w") as log:
        process = subprocess.Popen(command, cwd=HERE.parent, stdout=log, stderr=log)
        copies = list(
            copied(process, begun, folder / "runs" / name / "best", folder / f"of {name}")
        )
    if process.returncode or not copies:
        raise SystemExit((folder / f"{name}.log").read_text()[-3000:])
    return time.monotonic() - begun, copies


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--earlier", action="store_true", help="all dates a year before")
    options.add_argument("--trials", type=int, default=10, help="of neuralforecast (10)")
    options.add_argument("--max-steps", type=int, help="of its trials, instead of 500 or 1000")
    options.add_argument("--search", type=int, default=20, help="trials of (p) and (s) (20)")
    options.add_argument("--without-rival", action="store_true", help="(p) and (s) alone")
    options.add_argument("--environment", type=Path, metavar="DIR", help="neuralforecast's")
    options.add_argument("--keep", type=Path, metavar="DIR", help="leave studies and logs there")
    given = options.parse_args()
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    warnings.simplefilter("ignore", OutOfRangeWarning)

    text = SPACE.read_text()
    if given.earlier:
        text = text.replace("2015-03-01", "2014-03-01").replace("2016-03-01", "2015-03-01")
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "space.yaml").write_text(text)
        space = read_space(str(folder / "space.yaml"))
        dataset = load_dataset(space.data)
        judge = Judge(dataset, space)
        results: dict[str, Any] = {"source": dataset.source, "test_from": str(space.data.test_from)}
        rows = []
        if not given.without_rival:
            theirs = rival(given, judge, dataset, space, folder)
            whole, goal = theirs["seconds"], float(np.mean(list(theirs["skills"].values())))
            budget = ("--time-budget", f"{round(whole)}s", "--trials", "1000")
            _, copies = run_study(folder, "all-in-its-time", text, *budget)
            curve = [(copy.seconds, judge.of_model(copy.folder)) for copy in copies]
            means = [(seconds, float(np.mean(list(s.values())))) for seconds, s in curve]
            soon = next((seconds for seconds, mean in means if mean >= goal), None)
            then = [mean for seconds, mean in means if seconds <= whole][-1]
            results |= {
                "c_neuralforecast": theirs,
                "a_study": {"curve": curve},
                "times_sooner": whole / soon if soon else None,
                "times_sooner_asked": FASTER,
                "more_skill_in_the_same_time": then - goal,
                "more_skill_asked": BETTER,
            }
            rows += [
                ["(c) AutoLSTM, 10 trials", f"{whole:.0f}", f"{goal:.2%}", "1"],
                [
                    "(a) tuning.run, in its time",
                    f"{soon:.1f} until its skill" if soon else "never as good",
                    f"{then:.2%}",
                    f"{whole / soon:.1f}" if soon else "-",
                ],
            ]
        trials = ("--trials", str(given.search))
        seconds, copies = run_study(folder, "all", text, *trials)
        together = judge.of_model(copies[-1].folder)
        singles, spent = {}, 0.0
        for name in dataset.index.names:
            alone = folder / f"{name}.csv"
            mine = judge.frame[judge.frame["station"] == name].drop(columns="station")
            mine.rename_axis("time").to_csv(alone)
            lines = text.replace("beijing_stations", str(alone)).splitlines()
            kept = [
                line
                for line in lines
                if not line.strip().startswith(("series:", "fallback:", "neighbours:"))
            ]
            kept.insert(kept.index("data:") + 1, "  time: time")
            its, copies = run_study(folder, f"only-{name}", "\n".join(kept) + "\n", *trials)
            spent += its
            singles[name] = copies[-1].folder
        apart = judge.of_single_models(singles)
        results |= {
            "trials": given.search,
            "p_together": {"seconds": seconds, "skills": together},
            "s_apart": {"seconds": spent, "skills": apart},
        }
        for label, its_seconds, skills in (
            (f"(p) one model, {given.search} trials", seconds, together),
            (f"(s) one each, {given.search} trials each", spent, apart),
        ):
            rows.append([label, f"{its_seconds:.0f}", f"{np.mean(list(skills.values())):.2%}", ""])
    print(table(("", "seconds", "mean skill", "times sooner"), rows))
    print(json.dumps(results, indent=1))
    print(f"Figures: {write('stations', results, given.output)}")


if __name__ == "__main__":
    main()
