"""The keys that a message tells to say in the data block, as a space file would have them."""

import re
from typing import Any

from tuning.space.located_yaml import read_yaml

KEYS = "missing|fill|types|decimal"


def keys_of(message: str) -> dict[str, Any]:
    """`... say so in the data block: missing: {x: ["?"]}` as {"missing": {"x": ["?"]}}."""
    hint = message.rpartition("in the data block: ")[2].splitlines()[0].partition("; if")[0]
    assert re.match(KEYS, hint), message
    located = read_yaml(hint)
    assert not located.problems
    assert isinstance(located.data, dict)
    return located.data
