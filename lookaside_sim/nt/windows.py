"""Versions of Windows with the classic pool, and what differs between them.

Source:
    docs/sources.md, lists section 11: [header] public symbol layouts, [book].
"""

from __future__ import annotations

from typing import Final

import attrs

DEFAULT_WINDOWS: Final = "10-1809"


@attrs.frozen(cache_hash=True)  # a key of caches
class Windows:
    """One version.

    Attributes:
        name: what `Kernel` is told.
        has_nx_pool: whether NonPagedPoolNx exists, and the system's lists use it.
        has_quota_cookie: whether ProcessBilled is scrambled, on x64.
        x86_slist_has_sequence: whether the last word of an SLIST on x86 is Sequence; else CpuId.
        pairs: P/L pairs in a processor's control block.
        tracker_size: bytes of a POOL_TRACKER_TABLE on x64.
        big_entry: what an entry of the big page table holds on x64, in 0x18 bytes.
    """

    name: str
    has_nx_pool: bool = True
    has_quota_cookie: bool = True
    x86_slist_has_sequence: bool = False
    pairs: int = 9
    tracker_size: int = 0x28
    big_entry: str = "bitfields"


_VERSIONS: Final = {
    each.name: each
    for each in (
        Windows("vista", False, False, True, 8, big_entry="type and bytes"),
        Windows("7", False, False, True, big_entry="type and bytes"),
        Windows("8", x86_slist_has_sequence=True, big_entry="type and bytes"),
        Windows("8.1", big_entry="type and bytes"),
        Windows("10-1507"),
        Windows("10-1607"),
        Windows("10-1709", tracker_size=0x38),
        Windows(DEFAULT_WINDOWS, tracker_size=0x38),
    )
}
WINDOWS_NAMES: Final = tuple(_VERSIONS)
"""The versions, oldest first."""


def windows_version(name: str) -> Windows:
    """Look a version up.

    Raises:
        ValueError: none with the classic pool has this name.
    """
    try:
        return _VERSIONS[name]
    except (KeyError, TypeError):
        raise ValueError(
            f"windows={name!r}: give one with the classic pool, {', '.join(WINDOWS_NAMES)}"
        ) from None


def check_driver_loads(driver: str, built_for: str, running: Windows) -> None:
    """Refuse a driver that imports what this version does not export.

    Built for Windows 11 22H2 or later, a driver imports ExAllocateFromNPagedLookasideList and the
    like, which were inline before.

    Args:
        driver: its name.
        built_for: the version its build targets, such as ``10-1809`` or ``11-22H2``.
        running: the version that shall load it.

    Raises:
        ValueError: it does not load, or no version has the name.
    """
    if built_for in _VERSIONS or built_for in _LATER_INLINE:
        return
    if built_for not in _EXPORTING:
        known = (*_VERSIONS, *_LATER_INLINE, *_EXPORTING)
        raise ValueError(f"built_for={built_for!r}: give one of {', '.join(known)}")
    raise ValueError(
        f"driver {driver!r}: it was built for Windows {built_for} and does not load on"
        f" {running.name}: from Windows 11 22H2 on the routines that allocate from and free to"
        " NPAGED_ and PAGED_LOOKASIDE_LISTs are exports of the kernel, which older versions do"
        " not have. Set the target OS version of its build to the oldest one it must run on"
    )


_LATER_INLINE: Final = ("10-1903", "10-22H2", "11-21H2")
_EXPORTING: Final = ("11-22H2", "11-23H2", "11-24H2")
