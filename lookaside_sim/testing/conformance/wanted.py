"""Programs for a contract: what they should have in them, and how bytes become one."""

from __future__ import annotations

from lookaside_sim.testing.conformance.contract import Contract
from lookaside_sim.testing.conformance.stating import check_threads
from lookaside_sim.testing.programs.drawn import program_from_bytes
from lookaside_sim.testing.programs.steps import Program
from lookaside_sim.testing.programs.wants import Wants

__all__ = ["operations_from_bytes", "wants_of"]


def operations_from_bytes(
    data: bytes, most_steps: int = 50, *, contract: Contract | None = None, threads: int = 1
) -> Program:
    """Decode a program from bytes, for coverage-guided fuzzers.

    Every byte string is a program, nearby strings are similar programs, and longer ones have
    longer programs. The size of the entries is drawn too; `reuse_from_bytes` draws reuse.

    Args:
        data: any bytes.
        most_steps: the most steps it may have, besides the creation.
        contract: what the allocator promises: its sizes are drawn, and requests with a size,
            realloc and misuse where it says so. None is a list of any size.
        threads: how many threads use it at once, as in `check_allocator`.

    Returns:
        A program for `run_program`.

    Raises:
        ValueError: so many threads cannot use it.
    """
    check_threads(threads, sized=contract is not None and contract.sized)
    wants = None if contract is None else wants_of(contract)
    return program_from_bytes(data, most_steps, wants, threads)


def wants_of(contract: Contract) -> Wants:
    """What programs for an allocator should have.

    Args:
        contract: what it promises.
    """
    return Wants(
        lists=contract.depth == "policy",
        sizes=contract.sizes,
        sized=contract.sized,
        aligned=contract.aligned,
        realloc=contract.realloc,
        misuse=tuple(
            name
            for name in ("double_free", "foreign_free", "interior_free")
            if getattr(contract, name) is not None
        ),
        depth=contract.depth if isinstance(contract.depth, int) else None,
        capacity=contract.capacity if contract.capacity is not True else None,
    )
