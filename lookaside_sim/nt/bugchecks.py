"""Bug check codes, each with what its four parameters mean."""

from __future__ import annotations

from enum import IntEnum


class BugCheckCode(IntEnum):
    """Stop codes of the modeled routines.

    Source:
        [doc] Bug Check Code Reference; docs/sources.md, pool section 6.
    """

    #: current IRQL, new IRQL, 0, 0: KeRaiseIrql to a lower level.
    IRQL_NOT_GREATER_OR_EQUAL = 0x09
    #: address or levels, IRQL, operation, code address.
    IRQL_NOT_LESS_OR_EQUAL = 0x0A
    #: P1 is the kind of damage: 3 free list link, 6 previous size, 0xE freed header,
    #: 0x20 next header disagrees, 0x22 no tracking entry; then addresses and values.
    BAD_POOL_HEADER = 0x19
    #: address, 0 read / 2 write / 0x10 execute, code address, fault type.
    PAGE_FAULT_IN_NONPAGED_AREA = 0x50
    #: P1 is the kind of misuse: 7 already freed (6, its twin, is not used here), 8 and 9 IRQL, 0xA tag,
    #: 0x46 invalid address, 0x9A must succeed, 0x9B tag 0, 0x9C tag 'BIG '.
    BAD_POOL_CALLER = 0xC2
    #: address, IRQL, 0 read / 1 write, code address: fault while walking the free lists.
    DRIVER_CORRUPTED_EXPOOL = 0xC5
    #: 3 for a corrupt LIST_ENTRY, trap frame, exception record, 0.
    KERNEL_SECURITY_CHECK_FAILURE = 0x139


# Aliases used where the code reads better with the documented name of the value.
FAST_FAIL_CORRUPT_LIST_ENTRY = 3
