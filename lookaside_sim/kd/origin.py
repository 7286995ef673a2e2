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

from lookaside_sim.kd.symbols import Symbols
from lookaside_sim.kernel import Kernel
from lookaside_sim.machine.calls import Branch
from lookaside_sim.run.run import Run
from lookaside_sim.run.step import Step

_ADDRESS: Final = re.compile(r"0x([0-9a-f]{5,16})\b")
_LONGEST_WAY: Final = 64
_MOST: Final = 3
_PROGRAM: Final = "program"


@attrs.frozen
class Culprit:
    """A word that a stop is about, and the call that wrote it.

    Attributes:
        address: of the word.
        text: what the word is.
        step: the call that wrote it.
    """

    address: int
    text: str
    step: Step


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
    ordered = sorted(found.values(), key=lambda each: each.step.routine != _PROGRAM)
    return ordered[:_MOST]


def _words(named: list[int], kernel: Kernel) -> Iterator[tuple[int, str]]:
    """The words that may have been overwritten: those that lead to an address of the stop."""
    size = kernel.arch.pointer_size
    # A link that is followed is touched where it leads, or at the link back behind that.
    leads = {each - behind: each for behind in (size, 0) for each in named}
    for lookaside in Symbols(kernel).lists():
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
        yield address, "is named by the stop"


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
