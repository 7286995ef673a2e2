"""The modes that a suite can be run in: what is on, and on which machine.

Loaded in every project, so nothing of the simulator is asked.
"""

from __future__ import annotations

from typing import Any, Final

import pytest

MODES: Final[dict[str, dict[str, Any]]] = {
    "plain": {"sanitizer": False, "verifier": "none"},
    "sanitizer": {"sanitizer": True, "verifier": "none"},
    "verifier": {"sanitizer": False, "verifier": "standard"},
    "both": {"sanitizer": True, "verifier": "standard"},
    "x86": {"arch": "x86", "sanitizer": False, "verifier": "none"},
}
"""What each mode sets."""
MODE: Final = "lookaside_mode"
"""The fixture that a test gets its mode by."""
_MACHINES: Final = frozenset({"lookaside_kernel", "lookaside_each_fault"})
"""Fixtures that make machines."""


def wanted_modes(config: pytest.Config) -> list[str]:
    """The modes that the option, or else the ini file, asks for; empty for none.

    Raises:
        pytest.UsageError: no such mode.
    """
    given = config.getoption("lookaside_modes") or config.getini("lookaside_modes")
    names = [name for name in str(given).replace(",", " ").split() if name]
    if names == ["all"]:
        return list(MODES)
    unknown = [name for name in names if name not in MODES]
    if unknown:
        raise pytest.UsageError(
            f"lookaside_modes {', '.join(unknown)}: give all, or some of {', '.join(MODES)}"
        )
    return names


def put_into_modes(metafunc: pytest.Metafunc) -> None:
    """Have a test that uses a machine run once in each mode."""
    modes = wanted_modes(metafunc.config)
    if not modes or not _MACHINES & set(metafunc.fixturenames):
        return
    if MODE not in metafunc.fixturenames:
        metafunc.fixturenames.append(MODE)
    metafunc.parametrize(MODE, modes, indirect=True)


def mode_of(item: Any) -> dict[str, Any]:
    """What the mode of a test sets; nothing where it has none."""
    callspec = getattr(item, "callspec", None)
    name = None if callspec is None else callspec.params.get(MODE)
    return {} if name is None else MODES[name]
