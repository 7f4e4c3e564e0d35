"""Studies of many trials: search spaces, Ray Tune, Optuna and what comes of them.

run_study         search a space, and keep the best model
load_study        a study that there is
compare_studies   settle which model is better
read_space        a search-space file

Importing the package starts nothing and imports neither Ray nor torch: what is named here is
imported when it is asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tuning.api import compare_studies, load_study, run_study
    from tuning.comparison.result import Comparison
    from tuning.space.schema import Choices, FloatRange, IntRange
    from tuning.space.search_space import SearchSpace, read_space
    from tuning.workflows.saved_study import SavedStudy

__all__ = [
    "Choices",
    "Comparison",
    "FloatRange",
    "IntRange",
    "SavedStudy",
    "SearchSpace",
    "compare_studies",
    "load_study",
    "read_space",
    "run_study",
]
_HOMES = {
    "tuning.api": ("compare_studies", "load_study", "run_study"),
    "tuning.comparison.result": ("Comparison",),
    "tuning.space.schema": ("Choices", "FloatRange", "IntRange"),
    "tuning.space.search_space": ("SearchSpace", "read_space"),
    "tuning.workflows.saved_study": ("SavedStudy",),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(home), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
