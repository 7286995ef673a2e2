"""Rules about pool: what may be asked for and freed, by whom, at which IRQL.

The layers over the pool call them, since requests that lists make are checked too.

Source:
    [doc] bug check 0xC4; docs/sources.md, pool sections 6 and 7.
"""

from __future__ import annotations

from typing import Final, NoReturn

from lookaside_sim.errors import NtStatusError
from lookaside_sim.nt.bugchecks import BugCheckCode
from lookaside_sim.nt.io_layouts import IO_TYPE_IRP
from lookaside_sim.nt.layouts import PAGE_SIZE
from lookaside_sim.nt.types import NONE_TAG, NtStatus, PoolTag, PoolType
from lookaside_sim.nt.violations import Violation
from lookaside_sim.pool.ledger import BlockRecord
from lookaside_sim.pool.values import PoolAllocation
from lookaside_sim.verifier.counters import PoolUse
from lookaside_sim.verifier.rule import LIST_OPTIONS
from lookaside_sim.verifier.rules.objects import objects_in_block
from lookaside_sim.verifier.settings import VerifierFlags, matches
from lookaside_sim.verifier.special_pool import SpecialBlock
from lookaside_sim.verifier.verification import Verification

_SLACK_PATTERN: Final = 0xB6
"""What the bytes behind a tracked block's data hold, up to the block's end. Choice."""
# BAD_POOL_CALLER, parameter 1.
_WRONG_TAG: Final = 0x0A
_TAG_LACKS_LETTERS: Final = 0x9D
_IRP_TAGS: Final = frozenset(map(PoolTag, (b"Irp ", b"Irps", b"Irpm", b"Irpl")))


def check_allocate(verification: Verification, pool_type: int, size: int, tag: int) -> None:
    """The checks of an allocating routine, in verified code.

    Raises:
        BugCheck: DRIVER_VERIFIER_DETECTED_VIOLATION (0 to 3, 0x61, 0x2000) or
            BAD_POOL_CALLER (0x9D).
    """
    gate = verification.machine.gate
    verification.counters.allocations_attempted += 1
    verification.counters.allocations_with_no_tag += tag in (0, NONE_TAG)
    asked = f"{size} bytes of pool type {pool_type:#x}, tag {PoolTag(tag)!s}"
    if not size:
        verification.stop(Violation.ZERO_BYTES, (gate, pool_type, 0), f"asked for {asked}")
    if pool_type & 1 and gate > 1:
        verification.stop(
            Violation.ALLOCATE_PAGED_ABOVE_APC_LEVEL,
            (gate, pool_type, size),
            f"asked for {asked}, at IRQL {gate}",
        )
    if gate > 2:
        verification.stop(
            Violation.ALLOCATE_ABOVE_DISPATCH_LEVEL,
            (gate, pool_type, size),
            f"asked for {asked}, at IRQL {gate}",
        )
    if pool_type & PoolType.NonPagedPoolMustSucceed and size > PAGE_SIZE:
        verification.stop(
            Violation.MUST_SUCCEED_TOO_LARGE,
            (0, 0, 0),
            f"asked for {asked}, more than a page of must-succeed pool",
        )
    executable = not pool_type & (PoolType.PagedPool | PoolType.NonPagedPoolNx)
    if executable and verification.has(VerifierFlags.CODE_INTEGRITY_CHECKS):
        verification.stop(
            Violation.EXECUTABLE_POOL,
            (verification.machine.program.call_site().address, pool_type, tag),
            f"asked for {asked}, which is executable",
        )
    if not verification.has(VerifierFlags.POOL_TRACKING):
        return
    driver = verification.machine.program.current
    if driver is not None and not driver.loaded:
        left = list(verification.ledger.owned_by(driver))
        paged = sum(each.size for each in left if each.pool_type.is_paged)
        verification.stop(
            Violation.ALLOCATE_WHILE_UNLOADING,
            (paged, sum(each.size for each in left) - paged, len(left)),
            f"asked for {asked}, after {driver.name} was unloaded",
        )
    text = int(tag).to_bytes(4, "little").decode("latin-1")
    if tag and not any(c.isascii() and c.isalnum() for c in text):
        verification.machine.stop(
            BugCheckCode.BAD_POOL_CALLER,
            (
                _TAG_LACKS_LETTERS,
                tag,
                pool_type,
                verification.machine.program.call_site().address,
            ),
            f"asked for {asked}, a tag without a letter or digit",
        )


def injects_failure(verification: Verification, pool_type: int, size: int, tag: int) -> bool:
    """Whether low resources simulation fails this allocation.

    Raises:
        NtStatusError: it does, and the type asks for an exception. Choice: NT's
            documentation does not exempt such requests.
    """
    if verification.low_resources is None:
        return False
    process = verification.processes.current.name
    if not verification.low_resources.fails(
        size, PoolTag(tag), verification.machine.seconds, process
    ):
        return False
    verification.counters.allocations_failed_deliberately += 1
    if pool_type & PoolType.POOL_RAISE_IF_ALLOCATION_FAILURE:
        raise NtStatusError(
            NtStatus.STATUS_INSUFFICIENT_RESOURCES,
            f"low resources simulation failed the request for {size} bytes",
        )
    return True


def allocate_special(
    verification: Verification, pool_type: int, size: int, tag: int, *, at_start: bool | None
) -> SpecialBlock | None:
    """Serve a request from special pool, if it can be.

    Args:
        verification: the verifier at work.
        pool_type: the type asked for.
        size: bytes.
        tag: tag.
        at_start: where in the page, None for what the settings say.
    """
    special = verification.special_pool
    if special is None or not matches(PoolTag(tag), verification.verifier.special_pool_tags):
        return None
    if at_start is None:
        at_start = verification.verifier.special_pool_start
    block = special.allocate(pool_type, size, tag, at_start=at_start)
    if block is not None:
        verification.counters.allocations_succeeded_special_pool += 1
    return block


def allocated(
    verification: Verification, record: BlockRecord, block: PoolAllocation | None
) -> None:
    """A verified allocation succeeded.

    Args:
        verification: the verifier at work.
        record: the ledger's entry.
        block: the block in the ordinary pool; None for one in special pool.
    """
    verification.counters.allocations_succeeded += 1
    for use in (verification.use, verification.use_of.setdefault(record.owner, PoolUse())):
        use.add(paged=record.pool_type.is_paged, size=record.size)
    if block is None or not verification.has(VerifierFlags.POOL_TRACKING):
        return
    arch = verification.machine.arch
    if record.size > arch.pool_header.largest_request:
        return
    slack = block.block_size - arch.pool_header.size - record.size
    if slack > 0:
        start = record.address + record.size
        verification.machine.memory.write(start, bytes([_SLACK_PATTERN]) * slack)
        verification.slack[record.address] = (start, slack)


def check_free(
    verification: Verification,
    address: int,
    record: BlockRecord | None,
    block: PoolAllocation | None,
    tag: int,
) -> None:
    """The checks of a freeing routine, in verified code or of a verified block.

    Args:
        verification: the verifier at work.
        address: what is freed.
        record: the ledger's entry of the live block there.
        block: the live block there, as the ordinary pool knows it.
        tag: what the routine was given, 0 for none.

    Raises:
        BugCheck: DRIVER_VERIFIER_DETECTED_VIOLATION; BAD_POOL_CALLER (0xA) for a wrong tag.
    """
    gate = verification.machine.gate
    ledger = verification.ledger
    described = ledger.describe(address)
    if record is not None:
        pool_type, size, owner = int(record.pool_type), record.size, record.tag
    elif block is not None:
        pool_type, size, owner = int(block.pool_type), block.size, block.tag
    else:
        _stop_unknown(verification, address, described)
    if pool_type & 1 and gate > 1:
        verification.stop(
            Violation.FREE_PAGED_ABOVE_APC_LEVEL,
            (gate, pool_type & 1, address),
            f"{described} was freed at IRQL {gate}",
        )
    if gate > 2:
        verification.stop(
            Violation.FREE_ABOVE_DISPATCH_LEVEL,
            (gate, pool_type & 1, address),
            f"{described} was freed at IRQL {gate}",
        )
    if tag and tag != owner and verification.has(VerifierFlags.POOL_TRACKING):
        # Choice: sources disagree on when a wrong tag matters; with pool tracking it does.
        verification.machine.stop(
            BugCheckCode.BAD_POOL_CALLER,
            (_WRONG_TAG, address, owner, tag),
            f"{described} was freed with the tag {PoolTag(tag)!s}",
        )
    if owner.unprotected in _IRP_TAGS:
        _check_irp(verification, address, described)
    _check_contents(verification, address, size, pool_type, described)


def _check_irp(verification: Verification, address: int, described: str) -> None:
    """An IRP is not freed as pool (0x105): IoFreeIrp leaves nothing with an IRP's Type."""
    seen = verification.machine.memory.peek_bytes(address, 2)
    if seen is not None and int.from_bytes(seen, "little") == IO_TYPE_IRP:
        verification.stop(
            Violation.IRP_FREED_AS_POOL,
            (address, 0, 0),
            f"{described} is an IRP and was freed with ExFreePool",
        )


def _check_contents(
    verification: Verification, address: int, size: int, pool_type: int, described: str
) -> None:
    """Look for what must not be in a block that is freed."""
    extent = _extent(verification, address)
    if verification.has(LIST_OPTIONS):
        for lookaside in verification.registry.embedded():
            if address <= lookaside.address < address + size:
                verification.stop(
                    Violation.FREE_WITH_ACTIVE_LIST,
                    (lookaside.address, *extent),
                    f"{described} was freed with the active lookaside list"
                    f" {lookaside.name!r} at {lookaside.address:#x} in it",
                )
    objects_in_block(verification, address, size, pool_type, extent, described)
    slack = verification.slack.get(address)
    if slack is not None:
        start, length = slack
        found = verification.machine.memory.read(start, length)
        for at, byte in enumerate(found):
            if byte != _SLACK_PATTERN:
                verification.stop(
                    Violation.WRITTEN_PAST_END,
                    (address, start + at, size),
                    f"{described} was written {start + at - address - size} bytes past"
                    f" its end, at {start + at:#x}; noticed on the free",
                )


def _extent(verification: Verification, address: int) -> tuple[int, int]:
    """Where the header of a live block lies, and its BlockSize in bytes with the header.

    Choice: a block of whole pages has no header; its own address and its pages stand for them.
    """
    header_size = verification.machine.arch.pool_header.size
    special = verification.special_pool
    block = None if special is None else special.blocks.get(address)
    if special is not None and block is not None:
        return special.header_of(block), block.size + header_size
    found = verification.pool.find(address)
    if found is None:
        return address - header_size, 0
    if found.size > verification.machine.arch.pool_header.largest_request:
        return address, found.block_size
    return address - header_size, found.block_size


def _stop_unknown(verification: Verification, address: int, described: str) -> NoReturn:
    """Stop for a free of what is no live block.

    Choice: 0x16 for NULL and addresses below system space, 0x10 for others.
    """
    arch = verification.machine.arch
    ledger = verification.ledger
    if address in ledger.freed:
        header = address - arch.pool_header.size
        contents = 0
        if not verification.machine.memory.is_unmapped(header, 4):
            contents = int.from_bytes(verification.machine.memory.read(header, 4), "little")
        verification.stop(
            Violation.FREED_TWICE,
            (0, header, contents),
            f"a second free of {described}",
        )
    if address < 1 << (arch.address_bits - 1):
        verification.stop(
            Violation.FREE_OF_BAD_ADDRESS,
            (0, address, 0),
            f"a free of {address:#x}, which is no address in system space",
        )
    for record in ledger.live.values():
        if record.address < address < record.address + record.size:
            described = f"{address:#x}, {address - record.address} bytes into {record}"
            break
    else:
        described = f"{address:#x}"
    verification.stop(
        Violation.FREE_OF_UNKNOWN_ADDRESS,
        (address, 0, 0),
        f"a free of {described}, which no allocation returned",
    )


def freed(verification: Verification, record: BlockRecord) -> None:
    """A block allocated under watch was freed."""
    verification.slack.pop(record.address, None)
    for use in (verification.use, verification.use_of[record.owner]):
        use.remove(paged=record.pool_type.is_paged, size=record.size)
