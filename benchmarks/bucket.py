"""What a bucket costs a study, beside a disk in the same run.

    python -m benchmarks.bucket
    python -m benchmarks.bucket --trials 100 --milliseconds 50

Trials that train nothing pass through a real study on a real Ray, as in benchmarks.growth: once to
a disk, and once to a bucket, whose server (moto's, in a process of its own) holds each request for
so long. There are seconds and requests of three things: the study, from its first report to the end
of its last trial; its end; and taking it up again, to the first suggestion. Beside them, how old
the bucket's lease became.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterable
from itertools import pairwise
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks.reporting import parser, table, write
from tuning.ray_backend import environment

environment.set_environment()

from benchmarks.growth import WORKERS, Clock, Data, Trivial  # noqa: E402
from tests.bucket_server import KEYS, Front, create_bucket  # noqa: E402
from tuning.ray_backend import runner  # noqa: E402
from tuning.ray_backend.runner import run_trials  # noqa: E402
from tuning.ray_backend.schedulers import create_scheduler  # noqa: E402
from tuning.ray_backend.session import ray_session  # noqa: E402
from tuning.ray_backend.stopping import StopRequest  # noqa: E402
from tuning.reporting.tensorboard.study_events import TensorBoard  # noqa: E402
from tuning.search.optuna_trials import Journal  # noqa: E402
from tuning.search.searcher import OptunaSearcher  # noqa: E402
from tuning.study.lock import CLAIM  # noqa: E402
from tuning.study.manifest import check_data, read_study_space  # noqa: E402
from tuning.study.resume import check_trials  # noqa: E402
from tuning.study.storage import StoragePath, parse_storage_path  # noqa: E402

PHASES = ("study", "end", "resume")


class Watched(Front):
    """Notes when the study's lease was renewed."""

    def __init__(self) -> None:
        super().__init__()
        self.renewals: list[float] = []

    def _answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[Any]:
        answer = super()._answer(environ, start_response)
        if environ["REQUEST_METHOD"] == "PUT" and f"/{CLAIM}-" in environ["PATH_INFO"]:
            self.renewals.append(time.monotonic())
        return answer


def serve(seconds: float, pipe: Connection) -> None:
    """A bucket, until the pipe ends. Tells its endpoint, and at each question what it counted."""
    front = Watched()
    create_bucket(front)
    pipe.send(front.endpoint)
    front.seconds = seconds
    while pipe.recv() == "count":
        pipe.send((front.requests.total(), list(front.renewals)))
    front.close()


def measure(
    data: Data, folder: StoragePath, trials: int, count: Callable[[], int]
) -> dict[str, dict[str, float]]:
    """Seconds and requests of each phase."""
    phases: dict[str, dict[str, float]] = {}
    begun, requests = time.monotonic(), count()

    def end_phase(name: str, seconds: float | None = None) -> None:
        nonlocal begun, requests
        now, total = time.monotonic(), count()
        took = now - begun if seconds is None else seconds
        phases[name] = {"seconds": took, "requests": total - requests}
        begun, requests = time.monotonic(), total

    study, clock = data.study(folder, trials, 1), Clock()
    study.create([])
    for listener in (Journal("bucket", study.space), TensorBoard(), clock):
        study.attach(listener)
    with mock.patch.object(runner, "Trainable", Trivial):
        run_trials(study, StopRequest(), concurrency=lambda: WORKERS, verbose=False)
    end_phase("study", clock.last - clock.first)
    study.finish("failed")  # without a model there are no figures to draw
    end_phase("end")

    space = read_study_space(folder)
    check_trials(folder, trials + 1)
    check_data(folder, data.table)
    again = data.study(folder, trials + 1, space.study.max_epochs)
    again.resume([])
    known = list(again.trials.values())
    assert sum(not trial.under_way for trial in known) >= trials - 1
    searcher = OptunaSearcher(
        again.space, concurrency=lambda: 1, stopping=lambda: False, past=known
    )
    create_scheduler(again.space.study, known)
    events = TensorBoard()
    events.on_study_start(again.view)
    assert searcher.suggest("next")
    end_phase("resume")
    events.close()
    again.release()
    return phases


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--trials", type=int, default=500)
    options.add_argument("--milliseconds", type=float, default=20.0, help="of each request")
    arguments = options.parse_args()
    os.environ.update(KEYS)
    data = Data()
    pipe, end_of_server = get_context("spawn").Pipe()
    server = get_context("spawn").Process(
        target=serve, args=(arguments.milliseconds / 1e3, end_of_server), daemon=True
    )
    server.start()
    os.environ["AWS_ENDPOINT_URL"] = pipe.recv()

    def counted() -> tuple[int, list[float]]:
        pipe.send("count")
        answer: tuple[int, list[float]] = pipe.recv()
        return answer

    bucket = parse_storage_path("s3://bucket/studies/growth")
    with tempfile.TemporaryDirectory() as folder, ray_session(None, verbose=False):
        disk = measure(data, Path(folder) / "growth", arguments.trials, lambda: 0)
        remote = measure(data, bucket, arguments.trials, lambda: counted()[0])
    renewals = counted()[1]
    ages = [later - earlier for earlier, later in pairwise(renewals)]
    pipe.send("end")
    server.join()
    rows = [
        [phase, f"{disk[phase]['seconds']:.1f} s", f"{remote[phase]['seconds']:.1f} s"]
        + [int(remote[phase]["requests"])]
        for phase in PHASES
    ]
    print(table(["", "disk", "bucket", "requests"], rows))
    print(f"the lease was renewed {len(renewals)} times, and at most {max(ages):.1f} s old")
    results = {
        "trials": arguments.trials,
        "milliseconds": arguments.milliseconds,
        "disk": disk,
        "bucket": remote,
        "oldest_lease_seconds": max(ages),
    }
    print(write("bucket", results, arguments.output))


if __name__ == "__main__":
    main()
