"""A project that has nothing to do with the package, in an environment that has it."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st


@given(st.integers())
def test_something(number: int) -> None:
    assert number == int(str(number))


def test_the_plugin_is_there(pytestconfig: pytest.Config) -> None:
    assert pytestconfig.pluginmanager.has_plugin("lookaside_sim")
    assert pytestconfig.getini("lookaside_leaks") == "error"


def test_nothing_of_the_simulator_is_imported() -> None:
    assert "lookaside_sim.kernel" not in sys.modules
    assert {name for name in sys.modules if name.partition(".")[0] == "lookaside_sim"} == {
        "lookaside_sim",
        "lookaside_sim.rooms",
        "lookaside_sim.testing",
        "lookaside_sim.testing.plugins",
        "lookaside_sim.testing.plugins.hypothesis",
        "lookaside_sim.testing.plugins.modes",
        "lookaside_sim.testing.plugins.pytest",
        "lookaside_sim.testing.plugins.settings",
    }
