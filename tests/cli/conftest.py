"""The command, and a file for its trace."""

from __future__ import annotations

from pathlib import Path

import pytest

from lookaside_sim.cli import main
from tests.cli.helpers import Command


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """Run the command: its exit code, what it printed, and its errors."""

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        try:
            code: object = main([str(each) for each in arguments])
        except SystemExit as stop:
            code = stop.code
        assert isinstance(code, int)
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "test.jsonl"
