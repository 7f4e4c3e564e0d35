"""A search-space file's text -> its blocks, with every problem at its place."""

from lstm_model.configuration import HYPERPARAMETERS
from tuning.space.located_yaml import Located, Position, Problem, end_of, read_yaml
from tuning.space.schema import (
    ENTRY_KEYS,
    Document,
    ParameterRange,
    SpaceFile,
    StudySettings,
    Value,
    kinds_of,
    read_entry,
    read_value,
)
from tuning.space.validation import missing, unknown_key, validate_all
from tuning.wording import KeyPath, format_value, key_name

# Blocks that are left empty.
_EMPTY: Document = {name: {} for name in SpaceFile.model_fields if name != "version"} | {
    "initial_trials": []
}


def read_blocks(raw: bytes) -> tuple[Document, list[tuple[Position, str]]]:
    """The blocks of a file, and what is wrong with it, in its order."""
    try:
        located = read_yaml(raw.decode().removeprefix("\ufeff"))
    except UnicodeDecodeError as error:
        rule = f"must be UTF-8 text, but got the byte 0x{raw[error.start]:02x}"
        return {}, [(end_of(raw[: error.start].decode()), rule)]
    problems: list[Problem] = []
    blocks: Document = {}
    if isinstance(located.data, dict):
        blocks, problems = check_document(located.data)
    elif not located.problems:
        came = "an empty file" if located.data is None else format_value(located.data)
        rule = f"must hold blocks such as data: and search:, but got {came}"
        problems.append(Problem((), rule, sentence=True))
    unreadable = {problem.place for problem in located.problems}  # told once
    lines = {(problem.place or Position(1, 1), problem.text): None for problem in located.problems}
    for problem in problems:
        place = _place(located, problem)
        if place not in unreadable:
            beside = f" on line {located.begin(problem.other).line}" if problem.other else ""
            lines[place, problem.text + beside] = None
    return blocks, sorted(lines, key=lambda line: line[0])


def check_document(document: Document) -> tuple[Document, list[Problem]]:
    """The blocks of plain data, of a file or from Python; and every rule that is broken."""
    document = {
        name: _EMPTY.get(name) if value is None else value for name, value in document.items()
    }
    file, problems = validate_all(document)
    rules = _CrossRules(document)
    rules.check({problem.path[:2] for problem in problems})
    problems += rules.problems
    if file is None or problems:
        return {}, problems
    blocks = {name: getattr(file, name) for name in _EMPTY}
    return blocks | {"initial_trials": tuple(rules.trials.values())}, []


def _place(located: Located, problem: Problem) -> Position:
    """Of a clause the value; of a sentence the key, or that of what a missing one misses from."""
    path = problem.path
    if problem.at_value or not problem.sentence:
        while path and path not in located.values:  # a default that breaks a rule
            path = path[:-1]
        return located.values.get(path, Position(1, 1))
    while path and path not in located.keys:
        path = path[:-1]
    return located.keys.get(path, Position(1, 1))


class _CrossRules:
    """The rules across blocks and entries: conditions, what is fixed, and initial trials.

    Attributes:
        problems: what check() finds.
        search: the entries that break no rule.
        trials: the initial trials that break none, by their path.
    """

    def __init__(self, document: Document) -> None:
        self.document = document
        self.problems: list[Problem] = []
        self.search: dict[str, ParameterRange] = {}
        self.trials: dict[KeyPath, dict[str, Value]] = {}
        # What has to be chosen for an entry to exist, its parents' own conditions included.
        self.conditions: dict[str, dict[str, set[Value]]] = {}

    def check(self, broken: set[KeyPath]) -> None:
        """broken: the paths, of two keys at most, at which a problem is known already."""
        searched = self.block("search")
        for name, keys in searched.items():
            before = len(self.problems)
            if name in HYPERPARAMETERS and isinstance(keys, dict):
                self.entry(name, keys)
            sound = len(self.problems) == before and ("search", name) not in broken
            if sound and name in HYPERPARAMETERS:
                self.search[name] = read_entry(HYPERPARAMETERS[name], keys)
        for name in self.block("fixed"):
            if name in HYPERPARAMETERS and name in searched:
                text = f"fixed.{name} can't go with search.{name}"
                self.report(("fixed", name), text, other=("search", name))
        points = self.document.get("initial_trials")
        for index, point in enumerate(points if isinstance(points, list) else ()):
            if isinstance(point, dict) and point:
                self.initial_trial(("initial_trials", index), point)
        if any(path[0] == "study" for path in broken):
            return
        trials = StudySettings.model_validate(self.document.get("study", {})).trials
        blocks = SpaceFile.model_fields
        empty = missing(["search"], self.document, blocks) or self.document.get("search") == {}
        if empty and trials != 1:
            rule = "search must name a hyperparameter, or study.trials be 1"
            self.report(("search",), f"{rule}, but got {trials} trials of nothing")

    def block(self, name: str) -> Document:
        block = self.document.get(name)
        return block if isinstance(block, dict) else {}

    def report(self, path: KeyPath, text: str, at_value: bool = False, other: KeyPath = ()) -> None:
        self.problems.append(Problem(path, text, True, at_value=at_value, other=other))

    def entry(self, name: str, keys: Document) -> None:
        path: KeyPath = ("search", name)
        if missing(["type"], keys, ENTRY_KEYS):
            self.report(path, f"{key_name(path)} needs type: {' or '.join(kinds_of(name))}")
        when = keys.get("when")
        path = (*path, "when")
        needs: dict[str, set[Value]] = {}
        for parent, taken in (when if isinstance(when, dict) else {}).items():
            here = (*path, parent)
            if parent not in HYPERPARAMETERS:
                self.problems.append(unknown_key(here, f"{key_name(path)}: "))
            elif parent not in self.search:
                self.not_above(here, name, parent)
            elif taken == []:
                rule = "must be a value or a list of values, but got an empty list"
                self.problems.append(Problem(here, rule))
            else:
                values = taken if isinstance(taken, list) else [taken]
                for index, value in enumerate(values):
                    if broken := self.search[parent].problem(value):
                        at = (*here, index) if values is taken else here
                        rule = f"{broken}, but got {format_value(value)}"
                        self.problems.append(Problem(at, rule))
                        break
                else:
                    needs[parent] = {read_value(HYPERPARAMETERS[parent], value) for value in values}
        self.conditions[name] = needs
        for parent in list(needs):
            for ancestor, taken in self.conditions[parent].items():
                needs[ancestor] = needs.get(ancestor, taken) & taken
                if not needs[ancestor]:
                    listed = " or ".join(map(str, sorted(taken, key=str)))
                    why = f"{parent} exists only where {ancestor} is {listed}"
                    self.report(path, f"{key_name(path)} can never hold: {why}")
                    return

    def not_above(self, here: KeyPath, name: str, parent: str) -> None:
        """Say why a parent isn't among the entries above, unless its own problems say it."""
        declared = list(self.block("search"))
        if parent == name:
            self.report(here, f"{key_name(here[:-1])} can't name {name} itself")
        elif parent in declared and declared.index(parent) > declared.index(name):
            self.report(here, f"{key_name(here[:-1])} needs {parent} to be declared above {name}")
        elif missing([parent], declared, HYPERPARAMETERS):
            self.report(here, f"{key_name(here[:-1])} names {parent}, which isn't searched")

    def initial_trial(self, path: KeyPath, point: Document) -> None:
        where, before = "in an initial trial, ", len(self.problems)
        searched, fixed = self.block("search"), self.block("fixed")
        trial: dict[str, Value] = {}
        for name, value in point.items():
            here = (*path, name)
            if name not in HYPERPARAMETERS:
                self.problems.append(unknown_key(here, where))
            elif name in self.search:
                if rule := self.search[name].problem(value):
                    text = f"{where}{name} {rule}, but got {format_value(value)}"
                    self.report(here, text, at_value=True)
                else:
                    trial[name] = read_value(HYPERPARAMETERS[name], value)
            elif name in fixed and name not in searched:
                self.report(here, f"{where}{name} can't be given: it is fixed")
            elif missing([name], searched, HYPERPARAMETERS):
                self.report(here, f"{where}{name} can't be given: it isn't searched")
        for name in trial:
            for parent, taken in self.search[name].when.items():
                if parent not in self.search or trial.get(parent) in taken:
                    continue
                if parent in trial or parent not in point:
                    came = f"it is {trial[parent]}" if parent in trial else "it isn't given"
                    rule = f"exists only where {parent} is {' or '.join(map(str, taken))}"
                    self.report((*path, name), f"{where}{name} {rule}, but {came}")
        if len(self.problems) == before and len(trial) == len(point):  # else an entry is broken
            if trial in self.trials.values():
                same = next(at for at, other in self.trials.items() if other == trial)
                text = "this initial trial is the same as the one"
                self.report(path, text, at_value=True, other=same)
            self.trials[path] = trial
