"""A search-space file's blocks, read with every mistake at its place."""

import os
from collections.abc import Mapping
from typing import Any

from lstm_model.configuration import HYPERPARAMETERS, DataSettings, Hyperparameter
from tuning.space.located_yaml import (
    UNREADABLE,
    KeyPath,
    Mistake,
    Position,
    format_value,
    key_name,
    missing,
    read_yaml,
    suggestion,
)
from tuning.space.schema import (
    M,
    ParameterRange,
    Resources,
    StudySettings,
    Value,
    coerce,
    distance_from_grid,
    format_number,
    validate_all,
)

BLOCKS = {
    "version": "the format of this file, which is 1",
    "data": "which table, what is forecast from which columns, and where the splits meet",
    "study": "how many trials and epochs, and which sampler and scheduler",
    "resources": "each trial's share of the machine",
    "search": "the hyperparameters to search",
    "fixed": "hyperparameters held at one value",
    "initial_trials": "points that are tried first",
}
ENTRY_KEYS = ("type", "low", "high", "log", "step", "choices", "when")


class Reader:
    """Reads one file's blocks, gathering mistakes instead of stopping at the first."""

    def __init__(self, text: str) -> None:
        self.yaml = read_yaml(text.removeprefix("\ufeff"))
        self.mistakes = list(self.yaml.mistakes)
        self.unreadable = {mistake.place for mistake in self.mistakes}
        self.faults = 0  # counts those that need no telling too
        self.blocks: dict[str, Any] = {}
        # What has to be chosen for an entry to exist, its parents' own conditions included.
        self.conditions: dict[str, dict[str, set[Value]]] = {}

    def parts(self, folder: str) -> dict[str, Any] | None:
        """The fields of a SearchSpace, or None where `mistakes` says why not."""
        blocks = self.yaml.data
        if not isinstance(blocks, dict):
            if not self.mistakes:
                came = "an empty file" if blocks is None else format_value(blocks)
                self.at(
                    Position(1, 1), f"must hold blocks such as data: and search:, but got {came}"
                )
            return None
        self.blocks = blocks
        self.top_level()
        data = self.settings("data", DataSettings)
        study = self.settings("study", StudySettings)
        resources = self.settings("resources", Resources)
        search = self.search()
        fixed = self.fixed()
        initial_trials = self.initial_trials(search)
        empty = missing(["search"], blocks, BLOCKS) or blocks.get("search", 0) in (None, {})
        if empty and study is not None and study.trials != 1:
            rule = "search must name a hyperparameter, or study.trials be 1"
            self.at_key(("search",), f"{rule}, but got {study.trials} trials of nothing")
        if self.mistakes or data is None or study is None or resources is None:
            return None
        beside = os.path.join(folder, data.source)
        if data.source not in ("beijing", "simulated") and os.path.exists(beside):
            data = data.model_copy(update={"source": beside})
        return {
            "data": data,
            "study": study,
            "resources": resources,
            "search": search,
            "fixed": fixed,
            "initial_trials": initial_trials,
        }

    # Where mistakes go

    def at_key(self, path: KeyPath, text: str) -> None:
        """Report at the path's key, or at the key of what a missing one is missing from."""
        while path and path not in self.yaml.keys:
            path = path[:-1]
        self.at(self.yaml.keys[path] if path else Position(1, 1), text)

    def at_value(self, path: KeyPath, text: str) -> None:
        self.at(self.yaml.values[path], text)

    def at(self, place: Position, text: str) -> None:
        self.faults += 1
        if place not in self.unreadable:  # its mistake has been told
            self.mistakes.append(Mistake(place, text))

    def broken(self, path: KeyPath, rule: str, value: object) -> None:
        self.at_value(path, f"{key_name(path)} {rule}, but got {format_value(value)}")

    # Blocks

    def top_level(self) -> None:
        for key in self.blocks:
            if key not in BLOCKS:
                self.at_key(
                    (key,),
                    f"no block {format_value(key)}{suggestion(key, BLOCKS, 'the blocks are')}",
                )
        for key in missing(["version", "data"], self.blocks, BLOCKS):
            self.at_key((key,), f"the file needs {key}: {BLOCKS[key]}")
        version = self.blocks.get("version", 1)
        if type(version) is not int or version != 1:
            self.broken(("version",), "must be 1", version)

    def block(self, name: str) -> dict[str, Any]:
        """A block's keys; one that is absent or left empty has none."""
        value = self.blocks.get(name)
        return {} if value is None else self.mapping((name,), value) or {}

    def mapping(self, path: KeyPath, value: object) -> dict[str, Any] | None:
        if isinstance(value, dict):
            return value
        also = "; a colon needs a space after it" if isinstance(value, str) and ":" in value else ""
        self.at_value(
            path, f"{key_name(path)} must be a block of keys, but got {format_value(value)}{also}"
        )
        return None

    def settings(self, name: str, model: type[M]) -> M | None:
        value = self.blocks.get(name, {} if name != "data" else UNREADABLE)
        if value is not None and not isinstance(value, dict):
            if name in self.blocks:
                self.mapping((name,), value)
            return None
        settings, faults = validate_all(model, name, value or {})
        for fault in faults:
            (self.at_key if fault.sentence else self.at_value)(fault.path, fault.text_for(False))
        return settings

    def search(self) -> dict[str, ParameterRange]:
        entries: dict[str, ParameterRange] = {}
        for name, value in self.block("search").items():
            if name not in HYPERPARAMETERS:
                self.unknown(("search", name))
                continue
            keys = self.mapping(("search", name), value)
            before = self.faults
            entry = None if keys is None else self.entry(name, keys, entries)
            if entry is not None and self.faults == before:
                entries[name] = entry
        return entries

    def unknown(self, path: KeyPath, where: str = "") -> None:
        name = str(path[-1])
        also = suggestion(name, HYPERPARAMETERS, "there are")
        self.at_key(path, f"{where}no hyperparameter {format_value(name)}{also}")

    def entry(
        self, name: str, keys: dict[str, Any], above: Mapping[str, ParameterRange]
    ) -> ParameterRange | None:
        path: KeyPath = ("search", name)
        legal = HYPERPARAMETERS[name]
        kinds = list(dict.fromkeys((legal.kind, "categorical")))
        for key in keys:
            if key not in ENTRY_KEYS:
                also = suggestion(key, ENTRY_KEYS, "its keys are")
                self.at_key((*path, key), f"no key {format_value(key)} in {key_name(path)}{also}")
        when = self.when(name, keys["when"], above) if "when" in keys else {}
        kind = keys.get("type")
        if "type" in keys and kind not in kinds:
            self.broken((*path, "type"), f"must be {' or '.join(kinds)}", kind)
        elif missing(["type"], keys, ENTRY_KEYS):
            self.at_key(path, f"{key_name(path)} needs type: {' or '.join(kinds)}")
        if (
            kind not in kinds
        ):  # what it meant is anyone's guess; its values are checked all the same
            kind = "categorical" if "choices" in keys else legal.kind
        else:
            ranged, listed = ["low", "high", "log", "step"], ["choices"]
            needed, foreign = (listed, ranged) if kind == "categorical" else (ranged[:2], listed)
            for key in missing(needed, keys, ENTRY_KEYS):
                self.at_key(path, f"{key_name(path)} needs {key}, as its type is {kind}")
            for key in foreign:
                if key in keys:
                    self.at_key((*path, key), f"{key_name((*path, key))} can't go with type {kind}")
        if kind == "categorical":
            choices = self.choices(legal, keys["choices"]) if "choices" in keys else ()
            return ParameterRange(name, "categorical", choices=choices, when=when)
        return self.ranged(legal, keys, when)

    def ranged(
        self, legal: Hyperparameter, keys: dict[str, Any], when: Mapping[str, tuple[Value, ...]]
    ) -> ParameterRange | None:
        path: KeyPath = ("search", legal.name)
        whole = legal.kind == "int"
        before = self.faults
        for key in ("low", "high"):
            if key in keys and (rule := legal.problem(keys[key])):
                self.broken((*path, key), rule, keys[key])
        log, step = keys.get("log", False), keys.get("step")
        if not isinstance(log, bool):
            self.broken((*path, "log"), "must be true or false", log)
        if "step" in keys and not _is_step(step, whole):
            rule = "must be a whole number of at least 1" if whole else "must be at least 1e-09"
            self.broken((*path, "step"), rule, step)
        elif "step" in keys and log is True:
            self.at_key((*path, "step"), f"{key_name((*path, 'step'))} can't go with log: true")
        if self.faults > before or legal.kind == "categorical" or not {"low", "high"} <= {*keys}:
            return None
        low, high = keys["low"], keys["high"]
        if low > high:
            self.broken(
                (*path, "low"), f"must be at most high, which is {format_number(high)}", low
            )
        elif step is not None and distance_from_grid(low, high, step):
            self.broken((*path, "step"), "must divide high - low into whole steps", step)
        if log and (low < 1 if whole else low <= 0):
            floor = "at least 1" if whole else "above 0"
            self.broken((*path, "low"), f"must be {floor} with log: true", low)
        convert = int if whole else float
        return ParameterRange(
            legal.name,
            legal.kind,
            low=convert(low),
            high=convert(high),
            log=log,
            step=None if step is None else convert(step),
            when=when,
        )

    def choices(self, legal: Hyperparameter, value: object) -> tuple[Value, ...]:
        path: KeyPath = ("search", legal.name, "choices")
        if not isinstance(value, list) or not value:
            self.broken(path, "must be a list of values", value)
            return ()
        found: list[Value] = []
        for index, choice in enumerate(value):
            if rule := legal.problem(choice):
                self.broken((*path, index), rule, choice)
            elif choice in found:
                self.broken((*path, index), "must differ from the others", choice)
            else:
                found.append(coerce(legal, choice))
        return tuple(found)

    def when(
        self, name: str, value: object, above: Mapping[str, ParameterRange]
    ) -> dict[str, tuple[Value, ...]]:
        path: KeyPath = ("search", name, "when")
        if not isinstance(value, dict) or not value:
            self.broken(path, "must name a parent and its value, as in {num_layers: 2}", value)
            return {}
        found = {}
        for parent, taken in value.items():
            here = (*path, parent)
            if parent not in HYPERPARAMETERS:
                self.unknown(here, f"{key_name(path)}: ")
            elif parent not in above:
                self.not_above(here, name, parent)
            elif taken == []:
                self.broken(here, "must be a value or a list of values", taken)
            else:
                listed = taken if isinstance(taken, list) else [taken]
                for index, one in enumerate(listed):
                    if rule := above[parent].problem(one):
                        self.broken((*here, index) if listed is taken else here, rule, one)
                        break
                else:
                    legal = HYPERPARAMETERS[parent]
                    found[parent] = tuple(dict.fromkeys(coerce(legal, one) for one in listed))
        self.holds(path, found)
        return found

    def not_above(self, here: KeyPath, name: str, parent: str) -> None:
        """Say why a parent isn't among the entries above, unless its own mistakes say it."""
        declared = list(self.block("search"))
        if parent == name:
            self.at_key(here, f"{key_name(here[:-1])} can't name {name} itself")
        elif parent in declared and declared.index(parent) > declared.index(name):
            self.at_key(here, f"{key_name(here[:-1])} needs {parent} to be declared above {name}")
        elif missing([parent], declared, HYPERPARAMETERS):
            self.at_key(here, f"{key_name(here[:-1])} names {parent}, which isn't searched")

    def holds(self, path: KeyPath, when: Mapping[str, tuple[Value, ...]]) -> None:
        """Report a condition that contradicts what its own parents need to exist."""
        needs = {parent: set(taken) for parent, taken in when.items()}
        for parent in when:
            for ancestor, taken in self.conditions.get(parent, {}).items():
                needs[ancestor] = needs.get(ancestor, taken) & taken
                if not needs[ancestor]:
                    listed = " or ".join(map(str, sorted(taken, key=str)))
                    self.at_key(
                        path,
                        f"{key_name(path)} can never hold: {parent} exists only where "
                        f"{ancestor} is {listed}",
                    )
                    return
        self.conditions[str(path[1])] = needs

    def fixed(self) -> dict[str, Value]:
        found: dict[str, Value] = {}
        searched = self.block("search")
        for name, value in self.block("fixed").items():
            path: KeyPath = ("fixed", name)
            if name not in HYPERPARAMETERS:
                self.unknown(path)
                continue
            if name in searched:
                line = self.yaml.keys["search", name].line
                self.at_key(path, f"fixed.{name} can't go with search.{name} on line {line}")
            if rule := HYPERPARAMETERS[name].problem(value):
                self.broken(path, rule, value)
            else:
                found[name] = coerce(HYPERPARAMETERS[name], value)
        return found

    def initial_trials(
        self, search: Mapping[str, ParameterRange]
    ) -> tuple[Mapping[str, Value], ...]:
        value = self.blocks.get("initial_trials")
        if value is not None and not isinstance(value, list):
            self.broken(("initial_trials",), "must be a list of points", value)
            return ()
        found: dict[int, dict[str, Value]] = {}
        for index, point in enumerate(value or ()):
            path: KeyPath = ("initial_trials", index)
            if not isinstance(point, dict) or not point:
                self.broken(path, "must give hyperparameters, as in {hidden_size: 64}", point)
                continue
            before = self.faults
            trial = self.initial_trial(path, point, search)
            if self.faults > before:
                continue
            for other, earlier in found.items():
                if trial == earlier:
                    line = self.yaml.values["initial_trials", other].line
                    self.at_value(path, f"this initial trial is the same as the one on line {line}")
                    break
            found[index] = trial
        return tuple(found.values())

    def initial_trial(
        self, path: KeyPath, point: dict[str, Any], search: Mapping[str, ParameterRange]
    ) -> dict[str, Value]:
        where = "in an initial trial, "
        searched, fixed = self.block("search"), self.block("fixed")
        trial: dict[str, Value] = {}
        for name, value in point.items():
            here = (*path, name)
            if name not in HYPERPARAMETERS:
                self.unknown(here, where)
            elif name in search:
                if rule := search[name].problem(value):
                    self.at_value(here, f"{where}{name} {rule}, but got {format_value(value)}")
                else:
                    trial[name] = coerce(HYPERPARAMETERS[name], value)
            elif name in fixed and name not in searched:
                self.at_key(here, f"{where}{name} can't be given: it is fixed")
            elif missing([name], searched, HYPERPARAMETERS):
                self.at_key(here, f"{where}{name} can't be given: it isn't searched")
        for name in trial:
            for parent, taken in search[name].when.items():
                if parent in trial and trial[parent] in taken:
                    continue
                if parent in trial or parent not in point:
                    came = f"it is {trial[parent]}" if parent in trial else "it isn't given"
                    listed = " or ".join(map(str, taken))
                    self.at_key(
                        (*path, name),
                        f"{where}{name} exists only where {parent} is {listed}, but {came}",
                    )
        return trial


def _is_step(value: object, whole: bool) -> bool:
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        return False
    return (1 if whole else 1e-9) <= value < float("inf")
