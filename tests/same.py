"""Whether two machines are the same: every byte, every view, every object behind them."""

from __future__ import annotations

import io
import mmap
import pickletools
from collections.abc import Callable
from typing import Any

import attrs

from lookaside_sim import Kernel, windbg
from lookaside_sim.clone import _Writer
from lookaside_sim.ddi.information import (
    system_lookaside_information,
    system_pooltag_information,
)
from lookaside_sim.machine.call_site import CallSite
from lookaside_sim.memory.arena import RETURNED
from lookaside_sim.nt.layouts import PAGE_SHIFT, PAGE_SIZE
from lookaside_sim.pool.ledger import BlockRecord
from lookaside_sim.sanitizer.records import NotedEntries
from lookaside_sim.system.drivers import OwnedRoutine


class _InOrder(_Writer):
    """Writes the entries of sets of a class of their own in order; see also `_operations`."""

    def reducer_override(self, each: Any) -> Any:
        if isinstance(each, NotedEntries):
            reduced: Any = each.__reduce__()
            kind, (entries,), state = reduced
            return kind, (sorted(entries),), state
        return super().reducer_override(each)


def written(kernel: Kernel) -> tuple[bytes, list[object]]:
    """All objects of a machine, written down in order, and those that are not written out."""
    stream = io.BytesIO()
    writer = _InOrder(stream, kernel, {**vars(kernel), "_tokens": []})
    writer.dump(kernel)
    return stream.getvalue(), [_plain(each) for each in writer.kept]


def _plain(each: object) -> object:
    if isinstance(each, mmap.mmap):
        return each[:]
    if isinstance(each, OwnedRoutine):
        return each._address, each._routine
    if isinstance(each, BlockRecord):
        return each.address, each.serial, str(each), each.verified
    return attrs.asdict(each) if isinstance(each, CallSite) else each


def memory_of(kernel: Kernel) -> dict[int, object]:
    """What is mapped and its bytes, by address, looked at and not touched."""
    memory = kernel.memory
    found: dict[int, object] = {}
    for arena in dict.fromkeys(memory._arenas._by_region.values()):
        for page, state in enumerate(arena.states):
            if state > RETURNED:
                address = arena.base + (page << PAGE_SHIFT)
                found[address] = (state, memory.peek_bytes(address, PAGE_SIZE))
        found[arena.base + 1] = bytes(arena.marks)
    for each in memory.structures():
        found[each.address] = memory.peek_bytes(each.address, each.image_size)
    for region in memory._regions._all:
        permits = (region.writable, region.executable)
        found[region.address] = (memory.peek_bytes(region.address, region.size), permits)
    return found


def views_of(kernel: Kernel) -> dict[str, object]:
    """What a debugger prints; the error where it cannot."""
    views: dict[str, Callable[[], object]] = {
        "lookasides": lambda: windbg.lookasides(kernel),
        "each list": lambda: [windbg.lookaside(each) for each in _lists(kernel)],
        "poolused": lambda: windbg.poolused(kernel),
        "pplookaside": lambda: windbg.pplookaside(kernel),
        "verifier": lambda: windbg.verifier(kernel, 7),
        "poolfind": lambda: windbg.poolfind(kernel, "*"),
        "information": lambda: system_lookaside_information(kernel),
        "tags": lambda: system_pooltag_information(kernel),
        "rows": lambda: dict(kernel.pool.rows()),
        "repr": lambda: repr(kernel),
        "stop": lambda: str(kernel.bugcheck),
        "check": kernel.check,
    }
    return {name: result_of(view) for name, view in views.items()}


def _lists(kernel: Kernel) -> list[Any]:
    return list(kernel.registry.all())


def result_of(call: Callable[[], object]) -> object:
    """What a call returns, or what it raises, as something that can be compared."""
    try:
        return call()
    except Exception as error:
        return type(error), str(error), getattr(error, "parameters", None)


def assert_same(one: Kernel, other: Kernel) -> None:
    """Fail unless two machines are the same in all that can be seen, and all that cannot."""
    assert memory_of(one) == memory_of(other)
    assert views_of(one) == views_of(other)
    (one_bytes, one_kept), (other_bytes, other_kept) = written(one), written(other)
    assert one_kept == other_kept
    assert one_bytes == other_bytes or _operations(one_bytes) == _operations(other_bytes)


def _operations(data: bytes) -> list[tuple[str, object]]:
    """What was written, whichever equal strings are one object."""
    found: list[tuple[str, object]] = []
    memo: list[tuple[str, object]] = []
    objects = 0
    for operation, argument, _ in pickletools.genops(data):
        name = operation.name
        if name == "FRAME":
            continue
        if name == "MEMOIZE":
            if isinstance(argument_before := found[-1][1], (str, bytes)):
                memo.append(("VALUE", argument_before))
                found[-1] = memo[-1]
            else:
                memo.append(("OBJECT", objects))
                objects += 1
        else:
            if name == "ADDITEMS":  # a set of addresses has no order
                mark = len(found) - found[::-1].index(("MARK", None))
                found[mark:] = sorted(found[mark:], key=repr)
            found.append(memo[int(argument or 0)] if "GET" in name else (name, argument))
    return found
