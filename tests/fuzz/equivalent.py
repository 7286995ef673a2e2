"""Mutants that do what their module does: no test can notice them, and why."""

from __future__ import annotations

from typing import Final

_TWO_WAYS: Final = "the pages of the range, or those that hold anything: both find the same"

EQUIVALENT: Final[dict[str, dict[tuple[str, str], str]]] = {
    "sanitizer/records": {
        (
            "_ByPage.near",
            "'end - start >> PAGE_SHIFT > len(self._pages)' -> 'end - start >> PAGE_SHIFT >= len(self._pages)'",
        ): _TWO_WAYS,
        (
            "_ByPage.near",
            "'end - start >> PAGE_SHIFT' -> 'end - start << PAGE_SHIFT'",
        ): _TWO_WAYS,
        ("_ByPage.near", "'end - start' -> 'end + start'"): _TWO_WAYS,
        ("Sanitizer.list_ends", "'1' -> '2'"): "nothing starts there on the next page",
    },
}
"""By module, the place and the change of each, and the reason."""
