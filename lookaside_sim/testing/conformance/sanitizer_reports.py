"""What a sanitizer wrote, in a few words."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["first_report"]

_REPORT: Final = re.compile(
    r"ERROR: \w+Sanitizer: (?P<error>[^\n]+)|WARNING: \w+Sanitizer: (?P<warning>[^(\n]+)"
    r"|(?P<file>[^\s:]+):\d+:\d+: runtime error: (?P<undefined>[^\n]+)"
)
_END: Final = re.compile(r" on |[:(,]| 0x")
"""Where the kind of an error ends, and what is known of it begins."""
_ADDRESS: Final = re.compile(r"0x[0-9a-f]{6,}")


def first_report(text: str) -> str | None:
    """What a sanitizer found, without addresses.

    Args:
        text: what the process wrote on its standard error.
    """
    found = _REPORT.search(text)
    if found is None:
        return None
    kind = found["warning"] or found["undefined"] or _END.split(found["error"])[0]
    return _ADDRESS.sub("an address", kind.strip())
