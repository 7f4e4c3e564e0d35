"""Ray as a next release may have it. Python runs this where its folder is in PYTHONPATH.

NEXT_RELEASE is a JSON list of [old, new]: regular expressions, and what stands in Ray's sources
instead, in every process. A name is so another one wherever Ray itself has it.
"""

import json
import os
import re
import sys
from importlib.machinery import SourceFileLoader
from typing import Any

_CHANGES = [(re.compile(old), new) for old, new in json.loads(os.environ["NEXT_RELEASE"])]
_RAY = f"{os.sep}site-packages{os.sep}ray{os.sep}"
# What the script that sets a worker up would take. It is no module, so its source is not changed.
_OPTION = "--next-release"
_get_code = SourceFileLoader.get_code


def _of_next_release(self: SourceFileLoader, fullname: str) -> Any:
    path = self.get_filename(fullname)
    if _RAY not in path:
        return _get_code(self, fullname)
    with open(path, encoding="utf-8") as file:
        source = text = file.read()
    for old, new in _CHANGES:
        text = old.sub(new, text)
    return _get_code(self, fullname) if text == source else compile(text, path, "exec")


SourceFileLoader.get_code = _of_next_release  # type: ignore[method-assign, assignment]
_script = "".join(sys.orig_argv[1:2])
if _script.endswith("setup_worker.py") and _OPTION in sys.orig_argv:
    os.execv(sys.executable, [each for each in sys.orig_argv if each != _OPTION])
