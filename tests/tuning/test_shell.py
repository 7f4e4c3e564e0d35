"""How commands are typed in the user's shell."""

import sys
from pathlib import Path

import pytest

from tuning.shell import command_for_shell


def test_a_program_is_typed_by_its_name_where_that_leads_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two environments made of one interpreter, as venv makes them."""
    for name in ("one", "the other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "python").symlink_to(sys.executable)
        (tmp_path / name / "python3").symlink_to("python")
        (tmp_path / name / "tensorboard").touch(mode=0o755)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    one, other = tmp_path / "one", tmp_path / "the other"
    monkeypatch.setattr(sys, "executable", str(one / "python3"))
    monkeypatch.setenv("PATH", str(one))
    assert (command_for_shell(), command_for_shell("tensorboard")) == ("python", "tensorboard")
    for elsewhere in (other, tmp_path):
        monkeypatch.setenv("PATH", str(elsewhere))
        assert command_for_shell() == "../one/python3"
        assert command_for_shell("tensorboard") == "../one/tensorboard"
    monkeypatch.setattr(sys, "executable", str(other / "python"))
    monkeypatch.setenv("PATH", str(one))
    assert command_for_shell() == "'../the other/python'"
    # Of another environment, where this one has none.
    (other / "tensorboard").unlink()
    assert command_for_shell("tensorboard") == "tensorboard"
