"""How much is tried where nobody says: the run's options, Hypothesis' profile, or a default."""

from __future__ import annotations

import os
import sys
from typing import Any, Final

__all__ = ["EXAMPLES_VARIABLE", "SEED_VARIABLE", "examples_to_run", "seed_to_use"]

DEFAULT_EXAMPLES: Final = 200
_HYPOTHESIS_DEFAULT: Final = 100
_DIRECTED: Final = 160
"""Room for the directed programs, which cost little and are not left out by a quick profile."""
EXAMPLES_VARIABLE: Final = "LOOKASIDE_SIM_EXAMPLES"
"""Environment variable for ``max_examples``; ``--lookaside-examples`` sets it."""
SEED_VARIABLE: Final = "LOOKASIDE_SIM_SEED"
"""Environment variable for ``seed``; ``--lookaside-seed`` sets it."""


def examples_to_run(asked: int | None) -> int:
    """How many programs a check runs.

    Args:
        asked: what its caller said, which counts first.

    Returns:
        What was asked, else the run's option, else 200, and as many times more or less as
        Hypothesis' profile has than its default of 100, but all directed ones.

    Raises:
        ValueError: less than 1.
    """
    if asked is None:
        text = os.environ.get(EXAMPLES_VARIABLE)
        asked = _number(EXAMPLES_VARIABLE, text) if text else _of_profile()
    if asked < 1:
        raise ValueError(f"max_examples={asked}: give 1 or more")
    return asked


def seed_to_use(asked: int | None) -> int | None:
    """Which seed a check uses.

    Args:
        asked: what its caller said, which counts first.
    """
    text = os.environ.get(SEED_VARIABLE)
    return _number(SEED_VARIABLE, text) if asked is None and text else asked


def _number(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{name}={text!r}: give a whole number") from None


def _of_profile() -> int:
    # Only a program that uses Hypothesis has a profile; it is not imported for this.
    hypothesis: Any = sys.modules.get("hypothesis")
    if hypothesis is None:
        return DEFAULT_EXAMPLES
    profile: int = hypothesis.settings().max_examples
    return max(_DIRECTED, profile * DEFAULT_EXAMPLES // _HYPOTHESIS_DEFAULT)
