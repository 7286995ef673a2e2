"""Without the extra the error names it."""

from __future__ import annotations

import sys

import pytest

from lookaside_sim import Kernel
from lookaside_sim.cli import main
from lookaside_sim.drive.extra import require
from tests.drive.helpers import sys_file


def test_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "unicorn", None)
    with pytest.raises(ImportError, match=r"pip install 'lookaside_sim\[drive\]'"):
        Kernel().load_image(sys_file("families"))
    with pytest.raises(ImportError, match="compiled drivers need elftools_of_nobody"):
        require("elftools_of_nobody.dwarf")


def test_so_does_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "unicorn", None)
    assert main(["drive", str(sys_file("families"))]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "lookaside_sim[drive]" in said
