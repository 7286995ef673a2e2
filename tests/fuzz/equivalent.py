"""Mutants that do what their module does: no test can notice them, and why."""

from __future__ import annotations

from typing import Final

_SLOWER: Final = "the checked path does the same on memory, only slower"
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
    "sanitizer/list": {
        ("", "'1' -> '2'"): "any IRQL below 0 is none",
        (
            "SanitizedList.__exit__",
            "'0' -> '1'",
        ): "an exception has both a type and a value, or neither",
        (
            "SanitizedList._report_entry",
            "'each.entry < address < each.entry + each.owner.entry_size' -> 'each.entry <= address < each.entry + each.owner.entry_size'",
        ): "an entry that starts there was found before",
        (
            "SanitizedList.allocate",
            "'if held:\\n    slot = self._head\\n    link = slot.flink\\n    if ' -> 'nothing'",
        ): _SLOWER,
        (
            "SanitizedList.allocate",
            "'if held:\\n    slot = self._head\\n    link = slot.flink\\n    if ' -> 'if not held:\\n    slot = self._head\\n    link = slot.flink\\n   '",
        ): _SLOWER,
        (
            "SanitizedList.free",
            "'if held < self._depth:\\n    try:\\n        slot = self._slots[e' -> 'nothing'",
        ): _SLOWER,
        (
            "SanitizedList.free",
            "'slot.used is entry or (slot.used and type(entry) is int)' -> 'slot.used is entry and (slot.used and type(entry) is int)'",
        ): _SLOWER,
    },
}
"""By module, the place and the change of each, and the reason."""
