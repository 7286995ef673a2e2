"""What Driver Verifier is told to do."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntFlag
from typing import Final, Self, TypeAlias

import attrs

from lookaside_sim.nt.bugchecks import BugCheckCode
from lookaside_sim.nt.tag_patterns import tag_matches
from lookaside_sim.nt.types import PoolTag

DEFAULT_PROBABILITY: Final = 600
"""Allocations of 10,000 that low resources simulation fails. [doc]"""
DEFAULT_DELAY: Final = 480
"""Seconds after boot before it fails any. [doc] One page says 8 minutes, another 7; Choice: 8."""


_UNDELETED_LISTS: Final = (
    BugCheckCode.DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS,
    BugCheckCode.TIMER_OR_DPC_INVALID,
)


class VerifierFlags(IntFlag):
    """The option bits, as ``verifier /flags`` takes them.

    Options that no pool or list call can reach are accepted and printed, and check nothing.

    Source:
        [doc] Driver Verifier options; docs/sources.md, pool section 7.
    """

    AUTOMATIC_CHECKS = 0x0
    SPECIAL_POOL = 0x1
    FORCE_IRQL_CHECKING = 0x2
    LOW_RESOURCES_SIMULATION = 0x4
    POOL_TRACKING = 0x8
    IO_VERIFICATION = 0x10
    DEADLOCK_DETECTION = 0x20
    ENHANCED_IO_VERIFICATION = 0x40
    DMA_CHECKING = 0x80
    SECURITY_CHECKS = 0x100
    FORCE_PENDING_IO = 0x200
    IRP_LOGGING = 0x400
    MISCELLANEOUS_CHECKS = 0x800
    INVARIANT_MDL_CHECKING_STACK = 0x2000
    INVARIANT_MDL_CHECKING_DRIVER = 0x4000
    POWER_FRAMEWORK_DELAY_FUZZING = 0x8000
    PORT_MINIPORT_CHECKING = 0x10000
    DDI_COMPLIANCE_CHECKING = 0x20000
    SYSTEMATIC_LOW_RESOURCES = 0x40000
    DDI_COMPLIANCE_CHECKING_ADDITIONAL = 0x80000
    NDIS_WIFI_VERIFICATION = 0x200000
    KERNEL_SYNCHRONIZATION_DELAY_FUZZING = 0x800000
    VM_SWITCH_VERIFICATION = 0x1000000
    CODE_INTEGRITY_CHECKS = 0x2000000
    STANDARD = 0x209BB


Names: TypeAlias = str | bytes | Iterable[str | bytes | PoolTag]
"""One text, blank separated as on the command line, or several; tags in memory order."""


def _names(value: Names) -> tuple[str, ...]:
    """A tuple of texts: from one text (blank separated, as on the command line) or several."""
    if isinstance(value, bytes):
        return (value.decode("ascii"),)
    if isinstance(value, str):
        return tuple(value.split())
    if not isinstance(value, Iterable):
        raise TypeError(f"{value!r}: give texts")
    names = []
    for each in value:
        if isinstance(each, PoolTag):
            each = str(each)
        elif isinstance(each, bytes):
            each = each.decode("ascii")
        if not isinstance(each, str):
            raise TypeError(f"{each!r}: give a text")
        names.append(each)
    return tuple(names)


def _names_or_none(value: Names | None) -> tuple[str, ...] | None:
    return None if value is None else _names(value)


def _flags(value: int) -> VerifierFlags:
    return VerifierFlags(int(value))


@attrs.frozen
class Verifier:
    """Settings of Driver Verifier.

    Args:
        flags: the options. The automatic checks are always on.
        drivers: names of the drivers to verify; None for all, and for the code outside any.
        seed: of the randomized low resources simulation.
        probability: of 10,000 allocations, how many it fails on the average.
        tags: tags of the allocations that it may fail, ``*`` and ``?`` as wildcards; None
            for all.
        delay_seconds: simulated seconds since boot before it fails any. The systematic
            variant has no delay.
        applications: names of the processes in which it may fail any; None for all.
        special_pool_start: put special pool blocks at the start of their page, to catch
            underruns, instead of at the end.
        special_pool_tags: tags to which special pool is limited, with wildcards.
        special_pool_pages: pages special pool may have; None for as many as its address
            range holds.
        undeleted_lists: the stop for a driver that is unloaded with active lists, on which
            two official pages differ: 0xCE, whose own page names lookaside lists, or 0xC7, as
            the page on the automatic checks has it.

    Raises:
        ValueError: a probability, delay or number that is none.

    Source:
        [doc] Driver Verifier command syntax; docs/sources.md, pool section 7.
    """

    flags: VerifierFlags = attrs.field(default=VerifierFlags.STANDARD, converter=_flags)
    drivers: tuple[str, ...] | None = attrs.field(default=None, converter=_names_or_none)
    seed: int = 0
    probability: int = DEFAULT_PROBABILITY
    tags: tuple[str, ...] | None = attrs.field(default=None, converter=_names_or_none)
    delay_seconds: int = DEFAULT_DELAY
    applications: tuple[str, ...] | None = attrs.field(default=None, converter=_names_or_none)
    special_pool_start: bool = False
    special_pool_tags: tuple[str, ...] | None = attrs.field(
        default=None, converter=_names_or_none
    )
    special_pool_pages: int | None = None
    undeleted_lists: int = BugCheckCode.DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS

    def __attrs_post_init__(self) -> None:
        if not 0 <= self.probability <= 10_000:
            raise ValueError(f"probability {self.probability}: give 0 to 10000 of 10000")
        if self.delay_seconds < 0:
            raise ValueError(f"delay_seconds={self.delay_seconds}: give 0 or more")
        if self.special_pool_pages is not None and self.special_pool_pages < 0:
            raise ValueError(f"special_pool_pages={self.special_pool_pages}: give 0 or more")
        if self.undeleted_lists not in _UNDELETED_LISTS:
            raise ValueError(f"undeleted_lists={self.undeleted_lists!r}: give 0xCE or 0xC7")

    @classmethod
    def standard(cls, drivers: Iterable[str] | None = None) -> Self:
        """The standard settings, ``verifier /standard``: flags 0x209BB.

        Args:
            drivers: whom to verify, as for the class.
        """
        return cls(flags=VerifierFlags.STANDARD, drivers=drivers)

    def covers(self, name: str | None) -> bool:
        """Whether a driver, or None for the code outside any, is verified."""
        return self.drivers is None or (name is not None and name in self.drivers)

    def may_fail_tag(self, tag: PoolTag) -> bool:
        """Whether low resources simulation may fail an allocation with a tag."""
        return matches(tag, self.tags)


def matches(tag: PoolTag, patterns: tuple[str, ...] | None) -> bool:
    """Whether a tag matches one of some patterns, None matching all."""
    return patterns is None or any(tag_matches(str(tag), each) for each in patterns)
