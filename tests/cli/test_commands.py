"""The table of subcommands: a module for each, imported when it is chosen."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys

import pytest

from lookaside_sim import cli
from lookaside_sim.cli.commands import COMMANDS
from tests.cli.helpers import Command


def test_each_module_of_a_subcommand_has_a_row_and_each_row_a_module() -> None:
    modules = [each.name for each in pkgutil.iter_modules(cli.__path__, f"{cli.__name__}.")]
    adding = {
        name.rpartition(".")[2].replace("_", "-")
        for name in modules
        if hasattr(importlib.import_module(name), "add_arguments")
    }
    assert adding == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_subcommand_describes_itself(command: Command, name: str) -> None:
    code, output, errors = command(name, "--help")
    assert (code, errors) == (0, "")
    usage, description = output.split("\n\n")[:2]
    assert usage.startswith(f"usage: lookaside-sim {name} ")
    assert len(description) > len(COMMANDS[name])


def test_the_help_opens_no_room_of_the_machine() -> None:
    program = (
        "import sys; from lookaside_sim.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: print(*sorted(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, encoding="utf-8"
    )
    shown = {line.split()[0] for line in done.stdout.splitlines() if line.startswith("    ")}
    assert set(COMMANDS) <= shown
    found = {name for name in done.stdout.split() if name.startswith("lookaside_sim")}
    assert found == {
        "lookaside_sim",
        "lookaside_sim.cli",
        "lookaside_sim.cli.commands",
        "lookaside_sim.rooms",
    }


def test_an_unknown_subcommand_is_one_line(command: Command) -> None:
    code, output, errors = command("walk")
    assert (code, output, errors.count("\n")) == (2, "", 1)
    assert "walk" in errors
    assert "'run'" in errors
