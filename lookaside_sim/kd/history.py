"""Who touched some memory: the accesses of a recording, call by call."""

from __future__ import annotations

import attrs

from lookaside_sim.run.run import Run
from lookaside_sim.run.sites import Site


@attrs.frozen
class Access:
    """One access to some memory.

    Attributes:
        step: number of the call that made it.
        kind: ``w`` or ``r``.
        address: of the first byte that is watched.
        old: the bytes before; empty where nothing was mapped.
        new: the bytes afterwards, likewise.
        routine: of the call.
        site: the line that made it.
    """

    step: int
    kind: str
    address: int
    old: bytes
    new: bytes
    routine: str
    site: Site | None


def history(run: Run, address: int, size: int, *, reads: bool = False) -> list[Access]:
    """The accesses to some memory, in order.

    Args:
        run: the recording.
        address: of the first byte.
        size: bytes.
        reads: whether the program's reads count too.
    """
    found = []
    old = run.machine(0).memory.peek_bytes(address, size) or b""
    for number, step in enumerate(run):
        new = run.machine(number + 1).memory.peek_bytes(address, size) or b""
        at = step.arguments.get("Address")
        reaches = (
            isinstance(at, int)
            and at < address + size
            and address < at + step.arguments.get("Size", 1)
        )
        if new != old or (reaches and step.word == "write"):
            found.append(Access(number, "w", address, old, new, step.routine, step.site))
        elif reads and reaches and step.word == "read":
            found.append(Access(number, "r", address, old, new, step.routine, step.site))
        old = new
    return found
