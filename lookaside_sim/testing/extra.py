"""What is imported only with the extra ``testing``."""

from __future__ import annotations

from functools import partial
from typing import Final

from lookaside_sim import rooms

__all__ = ["require"]

require: Final = partial(
    rooms.require, extra="testing", who="this part of lookaside_sim.testing needs"
)
"""Import a module of the extra; an ImportError says how to get it."""
