from __future__ import annotations

import subprocess
import sys

import pytest

from lookaside_sim.testing.extra import require


def test_what_is_installed_is_imported() -> None:
    assert require("pytest") is pytest


def test_what_is_not_says_how_to_get_it() -> None:
    with pytest.raises(ImportError, match=r"pip install 'lookaside_sim\[testing\]'") as caught:
        require("no_such_module_here")
    assert caught.value.name == "no_such_module_here"


def test_everything_is_imported_at_once_without_the_extra() -> None:
    # Hypothesis is there, but a finder in front says it is not.
    script = """
import importlib.util, sys
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "hypothesis" else find(name, *rest)
sys.modules["hypothesis"] = None
from lookaside_sim.testing import *
check_allocator, Contract
try:
    from lookaside_sim.testing import operations
except ImportError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert "pip install 'lookaside_sim[testing]'" in done.stdout
