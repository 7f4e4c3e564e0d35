"""What is changed in Ray, what each change gains, and what happens on a Ray that it doesn't fit.

Nobody else imports Ray's private modules. Each change names what it expects of them. A Ray that has
something else there runs without the change: its studies take longer and come to the same results.
`--plain-ray`, or LSTM_TUNING_PLAIN_RAY=1, leaves out all of them. LSTM_TUNING_PLAIN_RAY may also
name some, separated by commas: to measure what one gains, and to test a study without it.

Two kinds of change are made. Tune's controller is a subclass that a study makes an object of.
Ray's own start has no such place, so there names are replaced for as long as ray.init() takes.
"""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lstm_model.errors import InputError
from tuning.ray_backend.changes import Change, Changes, first_problem, look_up

if TYPE_CHECKING:
    from ray.tune import RunConfig, TuneConfig

    from tuning.ray_backend.trainable import ResetArguments

PLAIN = "LSTM_TUNING_PLAIN_RAY"

_TUNE = "ray.tune.execution.tune_controller:TuneController"
CONTROLLER = Change(
    "controller",
    "a worker takes on its next trial in one call, and Tune writes no snapshots that nobody reads",
    "1 to 3 ms a trial, and six requests where the study lies in a bucket (2026-11-28). Tune as"
    " it is has a trial whose worker dies before it begins fail for good",
    (
        f"{_TUNE}.__init__(search_alg, scheduler, stopper, callbacks, trial_checkpoint_config,"
        " storage, reuse_actors, ...)",
        f"{_TUNE}.setup_experiments(self, experiments, total_num_samples)",
        f"{_TUNE}.is_finished(self)",
        f"{_TUNE}.step(self)",
        f"{_TUNE}.cleanup(self)",
        f"{_TUNE}.checkpoint(self, force, wait)",
        f"{_TUNE}._schedule_trial_task"
        "(self, trial, method_name, args, kwargs, on_result, on_error, _return_future)",
        f"{_TUNE}._maybe_add_actors(self)",
        f"{_TUNE}._on_trial_reset(self, trial, success)",
        "ray.tune.experiment:Experiment.__init__(name, run, stop, num_samples, storage_path,"
        " storage_filesystem, checkpoint_config, trial_name_creator, trial_dirname_creator,"
        " max_failures, ...)",
        "ray.tune.search.search_generator:SearchGenerator.__init__(self, searcher)",
        "ray.tune.search.search_generator:SearchGenerator.add_configurations(self, experiments)",
    ),
    own=False,
)
ENVIRONMENT = Change(
    "environment",
    "workers have the command's environment, and none of Tune's making",
    "1 s of the start (2026-11-28)",
    ("ray.tune.execution.class_cache:_ActorClassCache.get(self, trainable_cls)",),
)
SESSION = Change(
    "session",
    "a signal to the command's process group lets trials end in order",
    "no time: after Ctrl-C or SIGTERM to the group trials end in order",
    ("ray._private.services:ConsolePopen",),
)
AGENTS = Change(
    "agents",
    "Ray starts without its two agents: for a dashboard, and for environments of workers' own",
    "2 s of the start (2026-11-28)",
    ("ray._private.services:ConsolePopen",),
    # A worker with an environment of its own waits for an agent, and Ray dies of it after 33 s.
    needs=(CONTROLLER, ENVIRONMENT),
)
PROCESSES = Change(
    "processes",
    "Ray starts without monitor, log monitor and API server",
    "1.1 s at the end, 0.1 s of the start (2026-11-28)",
    (
        "ray._private.node:Node.__init__(self, ray_params, ...)",
        "ray._private.node:Node.start_api_server(self, include_dashboard, raise_on_failure)",
        "ray._private.parameter:RayParams.__init__(no_monitor, include_log_monitor, ...)",
    ),
)
FORK = Change(
    "fork",
    "workers are forked from one process that has imported what they need",
    "1.2 s of the start (2026-11-28)",
    (
        "ray._private.node:Node.__init__(self, ray_params, ...)",
        "ray._private.parameter:RayParams.__init__(setup_worker_path, ...)",
        "ray._private.ray_constants:SETUP_WORKER_FILENAME",
    ),
)
# Of how Ray starts, and of how Tune runs trials. To look at Tune it has to be imported, for a
# second: Ray's workers start meanwhile.
OF_START, OF_TRIALS = (SESSION, AGENTS, PROCESSES, FORK), (CONTROLLER, ENVIRONMENT)
CHANGES = (*OF_START, *OF_TRIALS)


def choose_changes(
    plain: bool = False, *, own: bool = True, among: Sequence[Change] = CHANGES
) -> Changes:
    """Which of some changes this Ray bears and the user wants.

    Args:
        plain: the user wants none.
        own: whether the Ray is the command's own, and no cluster.

    Raises:
        InputError: LSTM_TUNING_PLAIN_RAY names what is no change.
    """
    unwanted = unwanted_changes()
    reasons: dict[str, str] = {}
    candidates = [change for change in among if own or not change.own]
    for change in candidates:
        named = unwanted & {needed.name for needed in (change, *change.needs)}
        if plain or named:
            reasons[change.name] = "--plain-ray" if plain else f"{PLAIN} names {min(named)}"
        elif problem := first_problem(change):
            reasons[change.name] = problem
    return Changes(frozenset(change.name for change in candidates) - set(reasons), reasons)


def unwanted_changes() -> set[str]:
    """The names of those that the environment leaves out.

    Raises:
        InputError: it names what is no change.
    """
    names = {change.name for change in CHANGES}
    unwanted = {part.strip() for part in os.environ.get(PLAIN, "").split(",") if part.strip()}
    if unwanted <= {"0", "no", "false"}:
        return set()
    if unwanted <= {"1", "yes", "true"}:
        return names
    if unknown := unwanted - names:
        raise InputError(
            f"{PLAIN} must be 1, or name some of {', '.join(sorted(names))}, but got "
            f"{', '.join(sorted(unknown))}"
        )
    return unwanted


@contextmanager
def changed_start(changes: Changes, *, logs: bool) -> Iterator[None]:
    """While ray.init() runs: Ray starts with the changes to its own processes.

    Args:
        logs: of the workers, shown by the command.
    """
    with ExitStack() as stack:
        if SESSION in changes or AGENTS in changes:
            process = process_class(changes)
            stack.enter_context(_replace("ray._private.services", "ConsolePopen", process))
        if PROCESSES in changes or FORK in changes:
            node = _smaller_node(changes, logs)
            stack.enter_context(_replace("ray._private.node", "Node", node))
        yield


# A raylet's options for agents that are not there.
NO_AGENTS = {
    "--dashboard_agent_command": "cat",
    "--runtime_env_agent_command": "cat",
    "--metrics-agent-port": "-1",
    "--metrics_export_port": "-1",
    "--runtime_env_agent_port": "-1",
}
# One more, which Ray leaves to the agent to say.
LISTEN_PORT = "--dashboard_agent_listen_port=-1"


def process_class(changes: Changes) -> type:
    class Process(subprocess.Popen[bytes]):
        """One of Ray's, in a session of its own: Ctrl-C, `timeout` and batch systems signal to a
        whole process group, and the command ends its trials in order before Ray.

        The raylet starts no worker before both agents have told it their ports, which takes them
        seconds. It insists on a process for each, and ends when one of them does: `cat` lives
        until the raylet does.
        """

        def __init__(self, command: list[str], **options: Any) -> None:
            names = {part.partition("=")[0] for part in command}
            # The last of an option given twice counts. A raylet without one of them is another one.
            if AGENTS in changes and names >= set(NO_AGENTS):
                instead = [f"{name}={value}" for name, value in NO_AGENTS.items()]
                command = [*command, *instead, LISTEN_PORT]
            super().__init__(command, start_new_session=SESSION in changes, **options)

    return Process


def _smaller_node(changes: Changes, logs: bool) -> type:
    node: type = look_up("ray._private.node:Node")

    class SmallerNode(node):  # type: ignore[misc]
        """No nodes will join, nobody looks at workers' logs, and there is no dashboard that the
        API server would serve. Each of these processes takes a second to start or to end.
        """

        def __init__(self, ray_params: Any, *args: Any, **options: Any) -> None:
            if PROCESSES in changes:
                ray_params.no_monitor = True
                ray_params.include_log_monitor = logs
            if FORK in changes:
                from tuning.ray_backend import fork_server

                ray_params.setup_worker_path = fork_server.__file__
            super().__init__(ray_params, *args, **options)

        def start_api_server(self, **options: Any) -> None:
            if PROCESSES not in changes:
                super().start_api_server(**options)

    return SmallerNode


def setup_worker_script() -> Path:
    """Ray's own script that sets up a worker and becomes it."""
    services = look_up("ray._private.services:__file__")
    name = look_up("ray._private.ray_constants:SETUP_WORKER_FILENAME")
    return Path(services).parent / "workers" / str(name)


@contextmanager
def _replace(module: str, name: str, value: Any) -> Iterator[None]:
    owner = import_module(module)
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def run_controller(
    changes: Changes, trainable: type, tune_config: "TuneConfig", run_config: "RunConfig"
) -> None:
    """As tune.Tuner(...).fit(), by a controller that asks a worker less often."""
    from ray.tune.experiment import Experiment
    from ray.tune.search.search_generator import SearchGenerator

    experiment = Experiment(
        run_config.name,
        trainable,
        stop=run_config.stop,
        num_samples=tune_config.num_samples,
        storage_path=run_config.storage_path,
        storage_filesystem=run_config.storage_filesystem,
        checkpoint_config=run_config.checkpoint_config,
        trial_name_creator=tune_config.trial_name_creator,
        trial_dirname_creator=tune_config.trial_dirname_creator,
        max_failures=run_config.failure_config.max_failures,
    )
    search = SearchGenerator(tune_config.search_alg)
    controller = _controller_class(changes)(
        search_alg=search,
        scheduler=tune_config.scheduler,
        stopper=experiment.stopper,
        callbacks=run_config.callbacks,
        trial_checkpoint_config=experiment.checkpoint_config,
        storage=experiment.storage,
        reuse_actors=tune_config.reuse_actors,
    )
    search.add_configurations([experiment])
    controller.setup_experiments([experiment], total_num_samples=search.total_samples)
    try:
        while not controller.is_finished():
            controller.step()
    except Exception:
        controller.cleanup()
        raise
    controller.cleanup()


def _controller_class(changes: Changes) -> type:
    base: type = look_up("ray.tune.execution.tune_controller:TuneController")

    class Controller(base):  # type: ignore[misc]
        """Tune's, but that a worker takes on a new trial with the call to train, or to go on from a
        checkpoint. Tune makes a call of its own for that, and waits for the answer.
        """

        def __init__(self, **options: Any) -> None:
            # By trial: what the worker is reset with before its first call.
            self._resets: dict[Any, ResetArguments] = {}
            super().__init__(**options)
            if ENVIRONMENT in changes:
                self._class_cache = _ActorClasses()

        def checkpoint(self, force: bool = False, wait: bool = False) -> None:
            """Nothing: nobody restores a study from Tune's snapshot."""

        def _schedule_trial_task(
            self,
            trial: Any,
            method_name: str,
            args: tuple[object, ...] | None = None,
            kwargs: dict[str, object] | None = None,
            **callbacks: Any,
        ) -> Any:
            args, kwargs = args or (), kwargs or {}
            if method_name == "reset":
                self._resets[trial] = (args, kwargs)
                return None
            if trial in self._resets:
                kwargs = kwargs | {"reset_first": self._resets.pop(trial)}
            return super()._schedule_trial_task(trial, method_name, args, kwargs, **callbacks)

        def _maybe_add_actors(self) -> None:
            super()._maybe_add_actors()
            # Not earlier: Tune has yet to count them among the trials that it prepares.
            for trial in list(self._resets):
                self._on_trial_reset(trial, success=True)

    return Controller


class _ActorClasses:
    """As Tune's cache of them, which asks for workers with more variables in their environment, and
    so for others than those that wait. A Ray of our own has our environment anyway.
    """

    def __init__(self) -> None:
        self._classes: dict[type, Any] = {}

    def get(self, trainable: type) -> Any:
        if trainable not in self._classes:
            self._classes[trainable] = import_module("ray").remote(trainable)
        return self._classes[trainable]
