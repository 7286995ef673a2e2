"""What each routine does, line by line, and one sentence on how it went: text, no behavior.

A template names what is looked up when it is shown: ``{Depth}`` is a field before the step and
``{Depth'}`` after it, ``{held}`` the entries on the list, ``{first}`` its newest one,
``{result}`` what came back, ``{entry}`` an argument. Which lines ran is told by the branch that
was recorded; nothing here or in the page works it out.

Source:
    docs/sources.md, lists sections 2 to 6 and pool section 3.
"""

from __future__ import annotations

from typing import Final, TypeAlias

Line: TypeAlias = tuple[str, str, dict[str, str]]
"""Text; the branches it runs in, blank separated, "" for all, "?" in front where it decides;
and by branch, or "*" for all, what is said of its values."""

_POOL_ALLOCATE: Final[tuple[Line, ...]] = (
    (
        "round up: header + Size, to whole units",
        "",
        {"*": "{header} + {size} bytes → {taken}"},
    ),
    ("take a free block that is large enough, else a new page", "", {}),
    ("split it; the rest is a free block of its own", "", {}),
    ("write the header: sizes, type, tag", "", {"*": "{tag}"}),
)
_POOL_FREE: Final[tuple[Line, ...]] = (
    ("look at the header: in use? do its neighbors agree?", "", {"*": "{taken} bytes, {tag}"}),
    ("merge with free neighbors", "", {}),
    ("put what is left on a free list; a page that is all free goes back", "", {}),
)


def _inside(lines: tuple[Line, ...], branch: str) -> tuple[Line, ...]:
    """Lines of a routine that another one calls in one of its branches."""
    return tuple(
        (f"    · {text}", branch, {branch: notes["*"]} if notes else {})
        for text, _, notes in lines
    )


ROUTINES: Final[dict[str, tuple[Line, ...]]] = {
    "list alloc": (
        (
            "Lookaside->TotalAllocates += 1;",
            "",
            {"*": "{TotalAllocates} → {TotalAllocates'}"},
        ),
        (
            "Entry = InterlockedPopEntrySList(&Lookaside->ListHead);",
            "",
            {"hit": "{first}", "miss": "NULL"},
        ),
        (
            "if (Entry == NULL) {",
            "?",
            {
                "hit": "{held} on the list: false, a hit",
                "miss": "{held} on the list: true, a miss",
            },
        ),
        (
            "  Lookaside->AllocateMisses += 1;",
            "miss",
            {"miss": "{AllocateMisses} → {AllocateMisses'}"},
        ),
        ("  Entry = Lookaside->AllocateEx(Type, Size, Tag, …);", "miss", {}),
        *_inside(_POOL_ALLOCATE, "miss"),
        ("}", "", {}),
        ("return Entry;", "", {"*": "{result}"}),
    ),
    "list free": (
        ("Lookaside->TotalFrees += 1;", "", {"*": "{TotalFrees} → {TotalFrees'}"}),
        (
            "if (ListHead.Depth >= Lookaside->Depth) {",
            "?",
            {
                "hit": "{held} >= {Depth} is false: there is room",
                "full": "{held} >= {Depth} is true: full, a miss",
            },
        ),
        (
            "  Lookaside->FreeMisses += 1;",
            "full",
            {"full": "{FreeMisses} → {FreeMisses'}"},
        ),
        ("  Lookaside->FreeEx(Entry, Lookaside);", "full", {}),
        *_inside(_POOL_FREE, "full"),
        ("} else {", "", {}),
        ("  Entry->Next = ListHead.Next;", "hit", {"hit": "{first}"}),
        ("  ListHead.Next = Entry;", "hit", {"hit": "{Entry}"}),
        ("  ListHead.Depth += 1;", "hit", {"hit": "{held} → {held'}"}),
        ("}", "", {}),
    ),
    "list init": (
        ("check Depth, Flags, PoolType", "", {"*": "{result}"}),
        ("ListHead.Next = NULL; all counters = 0;", "", {}),
        ("Size, Tag, Type, AllocateEx, FreeEx: from the arguments", "", {"*": "{Size'} bytes"}),
        (
            "Depth = ExMinimumLookasideDepth;",
            "",
            {"*": "{Depth'}; MaximumDepth {MaximumDepth'}"},
        ),
        ("link it into the system-wide list", "", {}),
    ),
    "list flush": (
        ("Entry = InterlockedFlushSList(&ListHead);", "", {"*": "{held} entries"}),
        ("while (Entry != NULL) {", "", {}),
        ("  Next = Entry->Next;", "", {}),
        ("  Lookaside->FreeEx(Entry, Lookaside);", "", {}),
        ("  Entry = Next;", "", {}),
        ("}", "", {}),
    ),
    "list delete": (
        ("unlink it from the system-wide list", "", {}),
        ("ExFlushLookasideListEx(Lookaside);", "", {"*": "{held} entries"}),
    ),
    "alloc": _POOL_ALLOCATE,
    "free": _POOL_FREE,
    "write": (("*(address) = data;", "", {"*": "{old} → {new}"}),),
    "irql": (("KeGetCurrentIrql()", "", {"*": "{Irql} → {Irql'}"}),),
}
"""By what is called; the lists' own first word is ``list``."""

SENTENCES: Final[dict[str, tuple[str, str, str]]] = {
    "list init returned": (
        "INIT",
        "plain",
        "An empty list. It may hold Depth {Depth'} entries for now; MaximumDepth is {MaximumDepth'}.",
    ),
    "list init refused": ("REFUSED", "miss", "The arguments are refused: {result}."),
    "list alloc hit": (
        "HIT",
        "hit",
        "The newest free entry comes off the list. The pool is not called.",
    ),
    "list alloc miss": (
        "MISS",
        "miss",
        "The list is empty: the allocate routine makes a new block of {size} bytes.",
    ),
    "list alloc refused": ("MISS", "miss", "The list is empty, and there is no memory left."),
    "list free hit": (
        "HIT",
        "hit",
        "There is room, {held'} of {Depth} now: the entry is linked in front. For the pool the"
        " block is still allocated.",
    ),
    "list free full": (
        "MISS",
        "miss",
        "The list is full, {held} of {Depth}: the block goes to the free routine.",
    ),
    "list flush": (
        "FLUSH",
        "plain",
        "All {held} free entries go to the free routine, newest first. No counter moves.",
    ),
    "list delete": (
        "DELETE",
        "plain",
        "Unlinked from the system-wide list, then flushed: {held} entries. What callers hold"
        " is not touched.",
    ),
    "list depth": ("DEPTH", "tune", "The debugger writes Depth: {Depth} → {Depth'}."),
    "list reset": ("RESET", "tune", "The debugger zeroes the counters."),
    "alloc": ("POOL", "plain", "{size} bytes asked for, {taken} taken: header and rounding."),
    "alloc refused": ("NULL", "miss", "The pool has nothing left to give."),
    "free": ("POOL", "plain", "The block goes back to the pool and is merged with free ones."),
    "write": ("WRITE", "write", "The program writes {count} bytes: {old} → {new}"),
    "tick": ("TICK", "tune", "The balance set manager scans. No Depth moves."),
    "tick tuned": ("TUNED", "tune", "The balance set manager scans: {scans}."),
    "irql": ("IRQL", "plain", "The IRQL is {Irql'} now."),
    "processor": ("CPU", "plain", "Processor {Processor'} runs from here on."),
    "forged hit": (
        "HIT",
        "write",
        "The list trusts its links: {result} comes off, and {first'} is next. No live block"
        " starts there.",
    ),
    "forged write": (
        "WRITE",
        "write",
        "{count} bytes over an entry on a list: {old} → {new}. They are its link now.",
    ),
    "twice": (
        "HIT",
        "write",
        "There is room, {held'} of {Depth} now, so it is linked in front. Nobody sees that it is on"
        " the list already: the chain leads back into itself.",
    ),
    "stopped": ("STOP", "stop", "{stop}"),
    "raised": ("RAISED", "miss", "It raised {error}."),
    "": ("CALL", "plain", ""),
}
"""By what is called and how it went: a badge, what kind it is, and a sentence."""
