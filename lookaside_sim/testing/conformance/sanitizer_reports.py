"""What a sanitizer wrote, in a few words."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["first_report"]

_REPORT: Final = re.compile(
    r"ERROR: \w+Sanitizer: (?P<error>[\w-]+)|WARNING: \w+Sanitizer: (?P<warning>[^(\n]+)"
    r"|(?P<file>[^\s:]+):\d+:\d+: runtime error: (?P<undefined>[^\n]+)"
)
_ADDRESS: Final = re.compile(r"0x[0-9a-f]{6,}")


def first_report(text: str) -> str | None:
    """What a sanitizer found, without addresses.

    Args:
        text: what the process wrote on its standard error.
    """
    found = _REPORT.search(text)
    if found is None:
        return None
    kind = found["error"] or found["warning"] or found["undefined"]
    return _ADDRESS.sub("an address", kind.strip())
