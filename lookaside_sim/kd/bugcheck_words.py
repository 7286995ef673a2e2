"""What the four parameters of a stop mean, as ``!analyze -v`` says it.

Source:
    [doc] Microsoft, Bug Check Code Reference; docs/sources.md, pool section 6.
"""

from __future__ import annotations

from typing import Final

from lookaside_sim.nt.bugchecks import BugCheckCode as Code

_FAULT: Final = (
    "memory referenced",
    "0 for a read, 2 for a write, 10 for an execute",
    "address of the code that referenced it",
    "kind of the fault",
)
_TOUCH: Final = (
    "memory referenced",
    "0 for a read, 1 for a write",
    "address of the code that referenced it",
    "reserved",
)
_AT_IRQL: Final = (
    "memory referenced",
    "IRQL",
    "0 for a read, 1 for a write, 8 for an execute",
    "address of the code that referenced it",
)
_LOCK: Final = ("address of the spin lock", "reserved", "reserved", "reserved")
_PARAMETERS: Final[dict[Code, tuple[str, str, str, str]]] = {
    Code.IRQL_NOT_GREATER_OR_EQUAL: ("current IRQL", "new IRQL", "reserved", "reserved"),
    Code.IRQL_NOT_LESS_OR_EQUAL: _AT_IRQL,
    Code.SPIN_LOCK_ALREADY_OWNED: _LOCK,
    Code.SPIN_LOCK_NOT_OWNED: _LOCK,
    Code.MULTIPLE_IRP_COMPLETE_REQUESTS: (
        "address of the IRP",
        "reserved",
        "reserved",
        "reserved",
    ),
    Code.PAGE_FAULT_IN_NONPAGED_AREA: _FAULT,
    Code.ATTEMPTED_WRITE_TO_READONLY_MEMORY: (
        "memory written",
        "page table entry",
        "reserved",
        "reserved",
    ),
    Code.ATTEMPTED_EXECUTE_OF_NOEXECUTE_MEMORY: (
        "memory executed",
        "page table entry",
        "reserved",
        "reserved",
    ),
    Code.DRIVER_CORRUPTED_EXPOOL: _AT_IRQL,
    Code.TIMER_OR_DPC_INVALID: (
        "0 for a timer, 1 for a DPC",
        "address of it",
        "start of the memory freed",
        "end of the memory freed",
    ),
    Code.PAGE_FAULT_IN_FREED_SPECIAL_POOL: _TOUCH,
    Code.PAGE_FAULT_BEYOND_END_OF_ALLOCATION: _TOUCH,
    Code.DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS: _TOUCH,
    Code.DRIVER_IRQL_NOT_LESS_OR_EQUAL: _AT_IRQL,
    Code.SYSTEM_SCAN_AT_RAISED_IRQL_CAUGHT_IMPROPER_DRIVER_UNLOAD: _AT_IRQL,
    Code.DRIVER_PAGE_FAULT_IN_FREED_SPECIAL_POOL: _TOUCH,
    Code.DRIVER_PAGE_FAULT_BEYOND_END_OF_ALLOCATION: _TOUCH,
    Code.KERNEL_SECURITY_CHECK_FAILURE: (
        "3: a LIST_ENTRY is corrupt",
        "address of the trap frame",
        "address of the exception record",
        "reserved",
    ),
    Code.SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION: (
        "address that was freed",
        "depends on the kind",
        "depends on the kind",
        "kind: 20 not allocated, 21 size, 23 and 24 bytes around the data, 30 and 31 IRQL",
    ),
    Code.DRIVER_VERIFIER_DETECTED_VIOLATION: (
        "subclass of the violation",
        "depends on the subclass",
        "depends on the subclass",
        "depends on the subclass",
    ),
}
_HEADER: Final[dict[int, tuple[str, str, str]]] = {
    0x3: ("pool entry being checked", "its Flink or Blink, read back", "what it should be"),
    0x20: ("pool entry that should have been found", "the next pool entry", "reserved"),
}
_CALLER: Final[dict[int, tuple[str, str, str]]] = {
    0x6: ("reserved", "contents of the pool header", "address that is freed"),
    0x7: ("reserved", "contents of the pool header", "address that is freed"),
    0x8: ("IRQL", "pool type", "size"),
    0x9: ("IRQL", "pool type", "address of the pool"),
    0xA: ("address that is freed", "tag of the block", "tag that was given"),
    0x46: ("address that is freed", "reserved", "reserved"),
}


def parameter_words(code: Code, first: int) -> tuple[str, str, str, str]:
    """What the parameters of a stop are.

    Args:
        code: the stop.
        first: its first parameter, on which the meaning of the others may depend.
    """
    unsaid = ("depends on the kind",) * 3
    if code == Code.BAD_POOL_HEADER:
        return ("kind of the damage", *_HEADER.get(first, unsaid))
    if code == Code.BAD_POOL_CALLER:
        return ("kind of the misuse", *_CALLER.get(first, unsaid))
    return _PARAMETERS.get(code, ("depends on the stop", *unsaid))
