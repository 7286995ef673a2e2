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
    #: address or levels, IRQL, operation, code address: also pageable memory that the kernel
    #: touched at DISPATCH_LEVEL or above.
    IRQL_NOT_LESS_OR_EQUAL = 0x0A
    #: spin lock, 0, 0, 0: it is acquired by the processor that owns it.
    SPIN_LOCK_ALREADY_OWNED = 0x0F
    #: spin lock, 0, 0, 0: it is released and nobody owns it.
    SPIN_LOCK_NOT_OWNED = 0x10
    #: object type, object, reason, counts: a reference is given back that nobody has.
    REFERENCE_BY_POINTER = 0x18
    #: P1 is the kind of damage: 3 free list link, 6 previous size, 0xE freed header,
    #: 0x20 next header disagrees, 0x22 no tracking entry; then addresses and values.
    BAD_POOL_HEADER = 0x19
    #: status, code address, its parameters 0 and 1: raised in a DPC routine, and caught by nobody.
    KMODE_EXCEPTION_NOT_HANDLED = 0x1E
    #: IRP, 0, 0, 0: it is sent on, and has no stack location left.
    NO_MORE_IRP_STACK_LOCATIONS = 0x35
    #: IRP, reserved, 0, 0: an IRP is freed or completed a second time.
    MULTIPLE_IRP_COMPLETE_REQUESTS = 0x44
    #: address, 0 read / 2 write / 0x10 execute, code address, fault type.
    PAGE_FAULT_IN_NONPAGED_AREA = 0x50
    #: status, code address, exception record, context record: raised in a system thread, and
    #: caught by nobody.
    SYSTEM_THREAD_EXCEPTION_NOT_HANDLED = 0x7E
    #: number of the trap, 0, 0, 0: 8 for a double fault, as a stack that is used up gives.
    UNEXPECTED_KERNEL_MODE_TRAP = 0x7F
    #: thread, new thread, stack address, 0: a thread was to wait where it cannot.
    ATTEMPTED_SWITCH_FROM_DPC = 0xB8
    #: address, page table entry, 0, 0: a write to memory that may only be read.
    ATTEMPTED_WRITE_TO_READONLY_MEMORY = 0xBE
    #: three values, then the kind in P4: 0x20 not allocated, 0x21 size mismatch, 0x23 bytes in
    #: front of or around the data, 0x24 bytes behind it, 0x30 and 0x31 IRQL.
    SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION = 0xC1
    #: P1 is the kind of misuse: 6 and 7 already freed, 8 and 9 IRQL, 0xA tag,
    #: 0x40 user address, 0x46 invalid address, 0x9A must succeed, 0x9B tag 0, 0x9C tag 'BIG '.
    BAD_POOL_CALLER = 0xC2
    #: P1 is the violation; see `lookaside_sim.nt.violations`.
    DRIVER_VERIFIER_DETECTED_VIOLATION = 0xC4
    #: address, IRQL, 0 read / 1 write, code address: fault while walking the free lists.
    DRIVER_CORRUPTED_EXPOOL = 0xC5
    #: 0 timer / 1 DPC, its address, start and end of the memory freed.
    TIMER_OR_DPC_INVALID = 0xC7
    #: address, 0 read / 1 write, code address, 0: freed special pool, touched by the kernel.
    PAGE_FAULT_IN_FREED_SPECIAL_POOL = 0xCC
    #: the same, behind the end of a live special pool block.
    PAGE_FAULT_BEYOND_END_OF_ALLOCATION = 0xCD
    #: address, 0 read / 1 write, code address, 0: memory of an unloaded driver touched.
    DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS = 0xCE
    #: address, IRQL, 0 read / 1 write / 8 execute, code address: pageable memory that a driver
    #: touched at DISPATCH_LEVEL or above.
    DRIVER_IRQL_NOT_LESS_OR_EQUAL = 0xD1
    #: address, IRQL, 0 read / 1 write, code address: as 0xCE, at a raised IRQL.
    SYSTEM_SCAN_AT_RAISED_IRQL_CAUGHT_IMPROPER_DRIVER_UNLOAD = 0xD4
    #: address, 0 read / 1 write, code address, 0: freed special pool, touched by a driver.
    DRIVER_PAGE_FAULT_IN_FREED_SPECIAL_POOL = 0xD5
    #: the same, behind the end of a live special pool block.
    DRIVER_PAGE_FAULT_BEYOND_END_OF_ALLOCATION = 0xD6
    #: worker routine, IRQL, work item, 0: it returned at a raised IRQL.
    WORKER_THREAD_RETURNED_AT_BAD_IRQL = 0xE1
    #: ERESOURCE, thread, owner table, 0: it is released by a thread that does not own it.
    RESOURCE_NOT_OWNED = 0xE3
    #: 0, work item, start and end of a block: it is queued, and freed or queued again.
    WORKER_INVALID = 0xE4
    #: address, page table entry, 0, 0: a jump to memory that holds no code.
    ATTEMPTED_EXECUTE_OF_NOEXECUTE_MEMORY = 0xFC
    #: kind of mistake, handle, 0, 0: 5 for a handle that is wrong.
    WDF_VIOLATION = 0x10D
    #: 3 for a corrupt LIST_ENTRY, trap frame, exception record, 0.
    KERNEL_SECURITY_CHECK_FAILURE = 0x139
    #: address, bytes touched, code address, KASAN's code of the memory with 0x100 for a write.
    KASAN_ILLEGAL_ACCESS = 0x1F2

    @classmethod
    def _missing_(cls, value: object) -> BugCheckCode | None:
        """A code that no modeled routine has, as a driver may give KeBugCheckEx any."""
        if not isinstance(value, int) or not 0 <= value < 1 << 32:
            return None
        code = int.__new__(cls, value)
        code._name_ = f"BUG_CHECK_{value:X}"
        code._value_ = value
        return code


# Aliases used where the code reads better with the documented name of the value.
FAST_FAIL_CORRUPT_LIST_ENTRY = 3
