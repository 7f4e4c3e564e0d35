"""study.json: what a study was resolved to, written when it begins and read when it goes on."""

import json
import platform
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from pydantic import ValidationError

from lstm_model import __version__
from lstm_model.configuration import DataSettings
from lstm_model.data.sources import Dataset
from lstm_model.errors import InputError, os_error_text
from lstm_model.files import read_bytes, read_json, write_file
from lstm_model.series_rules import SERIES_KEYS
from tuning.space.search_space import Resources, SearchSpace, StudySettings, parse_space
from tuning.study.storage import StoragePath, to_json_bytes
from tuning.study.summary import summarize_data
from tuning.study.view import StudyView

MANIFEST = "study.json"
# Format 3 knew one series alone, of which format 4 says nothing more.
STUDY_FORMAT, LAST_STUDY_FORMAT = 4, 3
LIBRARIES = ("torch", "ray", "optuna", "numpy", "pandas")


def library_versions() -> dict[str, str]:
    """Of Python, of this project, and of what it computes with."""
    own = {"python": platform.python_version(), "lstm-tuning": __version__}
    return own | {name: version(name) for name in LIBRARIES}


def space_as_json(space: SearchSpace) -> dict[str, object]:
    """What trials are drawn from."""
    return {
        "search": {name: entry.to_json() for name, entry in space.search.items()},
        "fixed": dict(space.fixed),
        "initial_trials": [dict(point) for point in space.initial_trials],
    }


def make_manifest(
    study: StudyView, command: Sequence[str], ray: Mapping[str, object] | None
) -> dict[str, object]:
    """study.json of a study that begins.

    Args:
        ray: what is done otherwise than Ray does it.
    """
    space = study.space
    manifest: dict[str, object] = {
        "format": STUDY_FORMAT,
        "study": study.name,
        "space": space.name,
        "data": summarize_data(study).to_json() | {"settings": space.data.model_dump(mode="json")},
        "settings": space.study.model_dump(mode="json"),
        "resources": space.resources.model_dump(mode="json"),
        **space_as_json(space),
        "defaults": space.defaults,
        "input_channels": list(study.table.channels),
        "seed": space.study.seed,
        "versions": library_versions(),
        "command": list(command),
        "commit": _commit(),
        "created": _now(),
    }
    return manifest | ({"ray": dict(ray)} if ray else {})


def extend_manifest(
    study: StudyView, command: Sequence[str], ray: Mapping[str, object] | None
) -> None:
    """Write down that the study goes on, and with which budget and resources."""
    manifest, space = read_json(study.folder / MANIFEST), study.space
    manifest["format"] = STUDY_FORMAT
    manifest["settings"]["trials"] = space.study.trials
    manifest["resources"] = space.resources.model_dump(mode="json")
    manifest["data"]["settings"] = space.data.model_dump(mode="json")
    again = {"command": list(command), "at": _now()} | ({"ray": dict(ray)} if ray else {})
    manifest.setdefault("resumed", []).append(again)
    write_file(study.folder / MANIFEST, to_json_bytes(manifest))


def read_study_space(folder: StoragePath) -> SearchSpace:
    """The search space of a study, with the settings that it was begun with.

    Raises:
        InputError: a file of the study is missing, damaged or of another format.
    """
    manifest = read_json(folder / MANIFEST)
    if manifest.get("format") not in (STUDY_FORMAT, LAST_STUDY_FORMAT):
        raise InputError(
            f"{folder / MANIFEST}: the format must be {STUDY_FORMAT} or {LAST_STUDY_FORMAT}, "
            f"but got {manifest.get('format')!r}; go on with the version that wrote it"
        )
    file = folder / "space.yaml"
    try:
        space = parse_space(read_bytes(file), str(file), str(folder))
    except OSError as error:
        raise InputError(f"{file} can't be read: {os_error_text(error)}") from error
    try:
        # As JSON would give it back: lists for tuples.
        now = json.loads(json.dumps(space_as_json(space)))
        if other := [key for key, value in now.items() if manifest[key] != value]:
            raise InputError(
                f"{file} must be as the study was begun with it (study.json says "
                f"how), but its {', '.join(other)} changed; put it back, or begin another study"
            )
        data = manifest["data"]["settings"]
        for kind, saved in (
            (DataSettings, data),
            (StudySettings, manifest["settings"]),
            (Resources, manifest["resources"]),
        ):
            known = (*saved, *SERIES_KEYS)  # the latter are left out where they say nothing
            if lacking := [name for name in kind.model_fields if name not in known]:
                raise KeyError(", ".join(lacking))  # defaults would make another study of it
        if not isinstance(manifest["space"], str) or not isinstance(
            manifest["data"]["sha256"], str
        ):
            raise TypeError("space and sha256 must be text")
        return space.resolved(
            name=manifest["space"],
            data=DataSettings(**data),
            study=StudySettings(**manifest["settings"]),
            resources=Resources(**manifest["resources"]),
        )
    except (KeyError, TypeError, ValidationError) as error:
        raise InputError(
            f"{folder / MANIFEST} is damaged: {error}; the trials' records beside it can still "
            "be read, but not gone on with; bring it back, or begin another study"
        ) from error


def check_data(folder: StoragePath, table: Dataset) -> None:
    """Raises InputError where the table is not the one that the study was begun with."""
    before = read_json(folder / MANIFEST)["data"]
    if before.get("sha256") != table.sha256:
        raise InputError(
            f"{folder} was begun with other data: {before.get('source')} of SHA-256 "
            f"{str(before.get('sha256'))[:12]}..., but {table.source} now has "
            f"{table.sha256[:12]}...; bring back the first, or begin another study"
        )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _commit() -> str | None:
    """The project's commit where it runs from a checkout."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None
    asked = subprocess.run(
        ["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    return asked.stdout.strip() or None
