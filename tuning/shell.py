"""How commands are typed in the user's shell."""

import os
import shlex
import shutil
import sys
from pathlib import Path


def command_for_shell(name: str = "python") -> str:
    """How to type this interpreter, or a program that was installed beside it, from here.

    That is its bare name where the PATH leads to it, else its path.
    """
    beside = Path(sys.executable)
    if name != "python":
        beside = beside.with_name(name)
    if program := shutil.which(name):
        # Two environments may share an interpreter: the folder tells them apart.
        same_folder = Path(program).parent.resolve() == beside.parent.resolve()
        if not beside.exists() or (same_folder and os.path.samefile(program, beside)):
            return name
    return shlex.quote(os.path.relpath(beside))


def resume_command(folder: object) -> str:
    """How to type the command that goes on with a study."""
    return f"{command_for_shell()} -m tuning.run --resume {shlex.quote(str(folder))}"
