"""The violations of bug check 0xC4 that the simulator can find."""

from __future__ import annotations

from enum import IntEnum


class Violation(IntEnum):
    """Parameter 1 of DRIVER_VERIFIER_DETECTED_VIOLATION; the comment says what 2 to 4 are.

    Source:
        [doc] Bug Check 0xC4; docs/sources.md, pool section 6.
    """

    #: IRQL, pool type, 0.
    ZERO_BYTES = 0x00
    #: IRQL, pool type, bytes.
    ALLOCATE_PAGED_ABOVE_APC_LEVEL = 0x01
    #: IRQL, pool type, bytes.
    ALLOCATE_ABOVE_DISPATCH_LEVEL = 0x02
    #: 0, 0, 0.
    MUST_SUCCEED_TOO_LARGE = 0x03
    #: address, 0, 0.
    FREE_OF_UNKNOWN_ADDRESS = 0x10
    #: IRQL, pool type, address.
    FREE_PAGED_ABOVE_APC_LEVEL = 0x11
    #: IRQL, pool type, address.
    FREE_ABOVE_DISPATCH_LEVEL = 0x12
    #: 0, pool header, its contents.
    FREED_TWICE = 0x13
    #: timer, pool type, address freed.
    FREE_WITH_ACTIVE_TIMER = 0x15
    #: 0, address, 0.
    FREE_OF_BAD_ADDRESS = 0x16
    #: ERESOURCE, pool type, address freed.
    FREE_WITH_ACTIVE_RESOURCE = 0x17
    #: IRQL, new IRQL, 0.
    RAISE_TO_LOWER_IRQL = 0x30
    #: IRQL, new IRQL, 0.
    LOWER_TO_HIGHER_IRQL = 0x31
    #: IRQL, spin lock, 0.
    RELEASE_SPIN_LOCK_IRQL = 0x32
    #: IRQL, fast mutex, 0.
    ACQUIRE_FAST_MUTEX_IRQL = 0x33
    #: IRQL, fast mutex, 0.
    RELEASE_FAST_MUTEX_IRQL = 0x34
    #: IRQL, critical regions of the thread, ERESOURCE.
    ACQUIRE_RESOURCE_APCS_ENABLED = 0x37
    #: IRQL, critical regions of the thread, ERESOURCE.
    RELEASE_RESOURCE_APCS_ENABLED = 0x38
    #: IRQL, critical regions of the thread, fast mutex.
    ACQUIRE_UNSAFE_APCS_ENABLED = 0x39
    #: IRQL, critical regions of the thread, fast mutex.
    RELEASE_UNSAFE_APCS_ENABLED = 0x3A
    #: handle, object type, 0.
    REFERENCE_BY_BAD_HANDLE = 0x3C
    #: 0, 0, 0.
    LEAVE_CRITICAL_REGION = 0x3E
    #: object, new reference count, 0.
    REFERENCE_COUNT = 0x3F
    #: IRQL, spin lock, 0.
    ACQUIRE_AT_DPC_LEVEL_IRQL = 0x40
    #: IRQL, spin lock, 0.
    RELEASE_FROM_DPC_LEVEL_IRQL = 0x41
    #: IRQL, spin lock, 0.
    ACQUIRE_SPIN_LOCK_IRQL = 0x42
    #: base of the block, first changed address, bytes charged.
    WRITTEN_PAST_END = 0x51
    #: paged bytes, nonpaged bytes, blocks not freed.
    ALLOCATE_WHILE_UNLOADING = 0x61
    #: address of the driver's name, 0, blocks not freed.
    UNLOAD_WITH_POOL = 0x62
    #: IRQL, MDL, access mode.
    LOCK_PAGES_IRQL = 0x70
    #: MDL, its flags, 0: they were never locked.
    UNLOCK_PAGES_NOT_LOCKED = 0x7C
    #: MDL, its flags, 0: they are nonpaged pool's.
    UNLOCK_PAGES_OF_NONPAGED_POOL = 0x7D
    #: IRQL, MDL, its flags.
    BUILD_MDL_FOR_PAGED_POOL = 0x7F
    #: IRQL, event, 0.
    SET_EVENT_IRQL = 0x80
    #: MDL, its flags, flags that are wrong.
    LOCK_PAGES_FLAGS = 0xB0
    #: lookaside list, 0, 0.
    LIST_INITIALIZED_TWICE = 0xCA
    #: lookaside list, 0, 0.
    DELETE_OF_UNINITIALIZED_LIST = 0xCB
    #: lookaside list, the block's header, its BlockSize in bytes with the header.
    FREE_WITH_ACTIVE_LIST = 0xCC
    #: lookaside list, size given, minimum.
    ENTRY_TOO_SMALL = 0xCD
    #: ERESOURCE, 0, 0.
    RESOURCE_INITIALIZED_TWICE = 0xD0
    #: ERESOURCE, 0, 0.
    DELETE_OF_UNINITIALIZED_RESOURCE = 0xD1
    #: ERESOURCE, the block's header, its BlockSize in bytes with the header.
    FREE_WITH_RESOURCE = 0xD2
    #: IRP, 0, 0: ExFreePool instead of IoFreeIrp.
    IRP_FREED_AS_POOL = 0x105
    #: 0, 0, 0: quota charged to the Idle process.
    QUOTA_OF_IDLE_PROCESS = 0x10A
    #: 0, 0, 0: quota charged in a DPC routine.
    QUOTA_IN_DPC = 0x10B
    #: code address, pool type, tag.
    EXECUTABLE_POOL = 0x2000
