"""Patterns of pool tags, as the debugger's commands and the verifier take them.

Source:
    [doc] !poolfind, !poolused, Low Resources Simulation: ``*`` stands for any number of
    characters, ``?`` for one, everything else for itself; four characters unless it has a ``*``.
"""

from __future__ import annotations

import re
from functools import lru_cache


def tag_matches(tag: str, pattern: str) -> bool:
    """Whether a tag's four characters match a pattern; shorter patterns end in blanks."""
    return _compiled(pattern).fullmatch(tag) is not None


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    if "*" not in pattern:
        pattern = pattern.ljust(4)
    wild = {"*": ".*", "?": "."}
    return re.compile("".join(wild.get(c) or re.escape(c) for c in pattern), re.DOTALL)
