"""Rules about lookaside lists.

Source:
    [doc] bug check 0xC4; docs/sources.md, lists section 9.
"""

from __future__ import annotations

from lookaside_sim.lookaside.calls import DeleteList, FlushList, InitializeList
from lookaside_sim.lookaside.on_memory import ListOnMemory
from lookaside_sim.nt.types import Irql
from lookaside_sim.nt.violations import Violation
from lookaside_sim.verifier.rule import LIST_OPTIONS, rule
from lookaside_sim.verifier.verification import Verification


@rule(InitializeList, LIST_OPTIONS)
def entry_too_small(verification: Verification, call: InitializeList) -> None:
    """Entries have room for a link (0xCD)."""
    minimum = verification.machine.arch.minimum_entry_size
    lookaside = call.lookaside
    if call.size < minimum:
        verification.stop(
            Violation.ENTRY_TOO_SMALL,
            (lookaside.address, call.size, minimum),
            f"the lookaside list {lookaside.name!r} at {lookaside.address:#x} is to have"
            f" entries of {call.size} bytes, and a link needs {minimum}",
        )


@rule(InitializeList, LIST_OPTIONS)
def initialized_twice(verification: Verification, call: InitializeList) -> None:
    """A list that is active is not initialized (0xCA)."""
    lookaside = call.lookaside
    if not call.is_refused and verification.registry.at(lookaside.address) is not None:
        verification.stop(
            Violation.LIST_INITIALIZED_TWICE,
            (lookaside.address, 0, 0),
            f"the lookaside list {lookaside.name!r} at {lookaside.address:#x} is active"
            " and was initialized again",
        )


@rule(DeleteList, LIST_OPTIONS)
def deleted_uninitialized(verification: Verification, call: DeleteList) -> None:
    """Only an active list is deleted (0xCB)."""
    lookaside = call.lookaside
    if verification.registry.at(lookaside.address) is None:
        verification.stop(
            Violation.DELETE_OF_UNINITIALIZED_LIST,
            (lookaside.address, 0, 0),
            f"the lookaside list {lookaside.name!r} at {lookaside.address:#x} was deleted"
            " and is not initialized",
        )


@rule(FlushList)
def flushed_irql(verification: Verification, call: FlushList) -> None:
    """A paged list is flushed at or below APC_LEVEL, any other below DISPATCH_LEVEL or at it.

    Choice of the codes, those of a free (0x11, 0x12) with the list's address: the entries are
    freed, and the documentation gives the routine no code of its own.
    """
    _check_irql(verification, call.lookaside, "flushed")


@rule(DeleteList)
def deleted_irql(verification: Verification, call: DeleteList) -> None:
    """Likewise for a list that is deleted."""
    _check_irql(verification, call.lookaside, "deleted")


def _check_irql(verification: Verification, lookaside: ListOnMemory, verb: str) -> None:
    gate, fields = verification.machine.gate, lookaside.peek()
    if fields is None:
        return
    paged = fields.type.is_paged
    if gate <= (Irql.APC_LEVEL if paged else Irql.DISPATCH_LEVEL):
        return
    verification.stop(
        Violation.FREE_PAGED_ABOVE_APC_LEVEL if paged else Violation.FREE_ABOVE_DISPATCH_LEVEL,
        (gate, int(paged), lookaside.address),
        f"the lookaside list {lookaside.name!r} at {lookaside.address:#x} was {verb} at IRQL"
        f" {gate}",
    )
