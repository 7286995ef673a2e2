"""Who wrote the bad word: from the addresses of a stop back to the program's line.

A list does not write links of its own making: what its header holds after a hit was the first
word of the entry that was handed out. So a word is followed from the header to the entry, and
from there on to whoever wrote it last.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

import attrs

from lookaside_sim.kernel import Kernel
from lookaside_sim.machine.calls import Branch
from lookaside_sim.run.recorder import held_lists
from lookaside_sim.run.run import Run
from lookaside_sim.run.state import Stopped
from lookaside_sim.run.step import Step

_ADDRESS: Final = re.compile(r"0x([0-9a-f]{5,16})\b")
_LONGEST_WAY: Final = 64
_MOST: Final = 3
_PROGRAM: Final = "program"
_WORD: Final = 8


@attrs.frozen
class Culprit:
    """A word that a stop is about, and the call that wrote it.

    Attributes:
        address: of the word.
        text: what the word is.
        step: the call that wrote it.
        block: address of the block whose header it is in; 0 for none.
    """

    address: int
    text: str
    step: Step
    block: int = 0

    @property
    def why(self) -> str:
        """What the step did, in a few words."""
        step, what = self.step, self.step.arguments
        if step.word == "write":
            start, data = what["Address"], what["Data"]
            if self.block:
                return f"it wrote over the header of the block at {self.block:#x}"
            if len(data) <= _WORD:
                return f"it wrote {int.from_bytes(data, 'little'):#x} over {start:#x}"
            return f"it wrote {len(data)} bytes over {start:#x}"
        if step.word == "free" and step.branch is Branch.HIT:
            return f"it put {what['Entry']:#x} on a list"
        if step.word == "free":
            freed = next((what[each] for each in ("P", "Entry") if each in what), self.address)
            return f"it freed {freed:#x}"
        if step.word == "alloc" and isinstance(step.result, int):
            return f"it allocated {step.result:#x}"
        return f"{step.routine} changed {self.address:#x}"


def stop_of(run: Run) -> Stopped | None:
    """How the machine stopped at the end of a run; None if it did not."""
    return run.state(len(run)).stop if len(run) else None


def culprit(run: Run, stop: Stopped | None = None) -> Culprit | None:
    """Find the step that led to the stop at a run's end.

    Args:
        run: the run.
        stop: the stop, if the caller knows it.

    Returns:
        The most likely one, see `culprits`; None if there is none, or no stop.
    """
    stop = stop_of(run) if stop is None else stop
    if stop is None:
        return None
    named = addresses_of(stop.parameters, stop.text)
    found = culprits(run, len(run), named, run.machine(len(run)))
    return found[0] if found else None


def addresses_of(values: Iterable[int], message: str) -> list[int]:
    """The addresses that a stop, or an exception, names: in its parameters and in words."""
    said = (int(each, 16) for each in _ADDRESS.findall(message))
    # Values that are small say a kind, a size or a level.
    return [each for each in dict.fromkeys((*values, *said)) if each >> 16]


def culprits(run: Run, position: int, named: list[int], kernel: Kernel) -> list[Culprit]:
    """The writes that a stop can be blamed on, those by the program itself first.

    Args:
        run: the recording.
        position: where it stopped.
        named: the addresses that the stop names.
        kernel: the machine as it stopped.
    """
    found: dict[int, Culprit] = {}
    for address, text in _words(named, kernel):
        traced = _origin(run, position - 1, address, kernel)
        if traced is not None:
            where, step = traced
            found.setdefault(step.number, Culprit(where, text, step))
    header = kernel.arch.pool_header.size
    for address, block in _headers(named, kernel):
        access = next(run.accesses(address, header, start=position - 1, back=True), None)
        if access is not None and access.step.word == "write":
            text = f"is in the header of the block at {block:#x}"
            step = access.step
            found.setdefault(step.number, Culprit(address, text, step, block))
    ordered = sorted(found.values(), key=lambda each: each.step.routine != _PROGRAM)
    return ordered[:_MOST]


def _words(named: list[int], kernel: Kernel) -> Iterator[tuple[int, str]]:
    """The words that may have been overwritten: those that lead to an address of the stop."""
    size = kernel.arch.pointer_size
    # A link that is followed is touched where it leads, or at the link back behind that.
    leads = {each - behind: each for behind in (size, 0) for each in named}
    for lookaside in held_lists(kernel):
        if lookaside.peek() is None:
            continue
        image = bytes(lookaside)
        for at in range(0, len(image) - size + 1, size):
            value = int.from_bytes(image[at : at + size], "little")
            if at < kernel.arch.slist_header_size:
                value &= ~kernel.arch.next_entry_lost_bits
            if value in leads:
                yield lookaside.address + at, f"leads to {leads[value]:#x}"
    for address in named:
        region = kernel.memory.region_at(address)
        if region is None or not region.executable:  # where code is was not written by mistake
            yield address, "is named by the stop"


def _headers(named: list[int], kernel: Kernel) -> Iterator[tuple[int, int]]:
    """The headers of the blocks that a stop names, by them or by what is behind them."""
    header = kernel.arch.pool_header.size
    for each in named:
        if kernel.pool.is_live(each):
            yield each - header, each
        elif kernel.pool.is_live(each + header):
            yield each, each + header


def _origin(run: Run, before: int, address: int, kernel: Kernel) -> tuple[int, Step] | None:
    """The word that the value at an address comes from, and the call that wrote it."""
    size = kernel.arch.pointer_size
    for _ in range(_LONGEST_WAY):
        access = next(run.accesses(address, size, start=before, back=True), None)
        if access is None:
            return None
        step = access.step
        popped = step.branch is Branch.HIT and step.word == "alloc" and step.obj is not None
        entry = step.result
        if not popped or not isinstance(entry, int) or entry == address:
            return address, step
        # The list took its new first entry from the one that it handed out.
        before, address = step.number, int(entry)
    return None
