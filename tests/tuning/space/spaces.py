"""Search-space files that are right, and what is said of those that aren't."""

from pathlib import Path

import pytest

from tuning.space.search_space import SearchSpace, SpaceError, read_space

GOOD = """\
version: 1
data:
  features: [pm2.5, TEMP]
  validation_from: 2013-01-01
  test_from: 2014-01-01
study:
  trials: 5
resources: {cpu: 1}
search:
  num_layers: {type: int, low: 1, high: 3}
  dropout: {type: float, low: 0.0, high: 0.4, when: {num_layers: [2, 3]}}
  loss: {type: categorical, choices: [mse, huber]}
fixed:
  context_length: 24
initial_trials:
  - {num_layers: 2, dropout: 0.1}
"""

CONTRACT = """\
# Eight features -> the next hour's PM2.5
#   python -m tuning.run --space multivariate.yaml
version: 1

data:
  source: beijing              # beijing | simulated | path to a CSV
  fallback: simulated          # used, with a warning, where the source can't be reached
  target: pm2.5
  features: [pm2.5, DEWP, TEMP, PRES, cbwd, Iws, Is, Ir]
  calendar: []                 # known ahead: hour_of_day, day_of_week, day_of_year
  horizon: 1                   # lead times 1..horizon
  validation_from: 2013-01-01  # splits go by the hour that is forecast
  test_from: 2014-01-01

study:
  trials: 50
  max_epochs: 40
  sampler: tpe                 # tpe | gp | random
  scheduler: asha              # asha | median | none
  seed: 0

resources: {cpu: 1, gpu: 0}    # each trial's share

search:                        # bounds are inclusive
  hidden_size:   {type: int, low: 16, high: 128, log: true}
  num_layers:    {type: int, low: 1, high: 2}
  dropout:       {type: float, low: 0.0, high: 0.4, when: {num_layers: 2}}
  learning_rate: {type: float, low: 1e-3, high: 2e-2, log: true}
  loss:          {type: categorical, choices: [mse, huber, mae]}

fixed:
  context_length: 24

initial_trials:                # tried first; each must lie in the space
  - {hidden_size: 64, num_layers: 1, learning_rate: 5e-3, loss: huber}
"""


def space_of(text: str | bytes) -> SearchSpace:
    Path("s.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_space("s.yaml")


def problems_of(text: str | bytes) -> list[str]:
    """The lines of the error, without the file's name."""
    with pytest.raises(SpaceError, match=r"^s\.yaml:") as caught:
        space_of(text)
    lines = str(caught.value).split("\n")
    assert all(line.startswith("s.yaml:") for line in lines)
    return [line.removeprefix("s.yaml:") for line in lines]


def changed(old: str, new: str) -> str:
    assert GOOD.count(old) == 1, old
    return GOOD.replace(old, new)


def searching(entries: str) -> str:
    """GOOD with other entries, the first of them on line 10, and no initial trials."""
    head, _, rest = GOOD.partition("  num_layers: {type")
    rest = rest[rest.index("fixed:") : rest.index("initial_trials")]
    return head + entries + "\n" + rest.replace("context_length: 24", "chunk_length: 96")
