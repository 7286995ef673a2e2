"""What is imported only with the extra ``drive``."""

from __future__ import annotations

from functools import partial
from typing import Final

from lookaside_sim import rooms

__all__ = ["require"]

require: Final = partial(rooms.require, extra="drive", who="compiled drivers need")
"""Import a module of the extra; an ImportError says how to get it."""
