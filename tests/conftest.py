"""What has to be so before any test module is imported."""

import re

import pytest
import torch

from tuning.ray_backend import environment

# Ray reads its settings when it is imported.
environment.set_environment()
# As in a trial; and on a busy machine a second thread waits longer for the first than it helps.
torch.set_num_threads(1)

# Tests that start Ray come one after the other, whichever else run beside them (`make test`).
STARTS_RAY = re.compile(
    r"tests/(cluster|test_(formats|pandas_alone|readme|table_studies)"
    r"|tuning/(ray_backend|test_(api|compare|contract|faults|notebooks|or_resume|run)"
    r"|comparison/test_(finalists|pipeline)|reporting/test_(in_browser|mlflow)))"
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if STARTS_RAY.search(item.path.as_posix()):
            item.add_marker(pytest.mark.xdist_group("ray"))
        elif item.path.name == "test_wheel.py":  # one environment for all; most of it is pip's time
            item.add_marker(pytest.mark.xdist_group("wheel"))
