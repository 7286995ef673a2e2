"""Stacks of x86 code, which has no tables to unwind by: what looks like a return, and fits.

A word of the stack may be a return address that a call left behind which is over. What is one
follows a call, of the function that the next inner frame is in; and the frames end at the routine
that was called from outside. Where nothing fits so, as where a function ended by jumping
into another, everything is told that looks like a return.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Final

import attrs

from lookaside_sim.drive.images import Images, LoadedImage
from lookaside_sim.memory.regions import Region

_MOST: Final = 64
"""Words that are looked at for one call; the rest is told as it is."""
_CALL: Final = 0xE8
_INDIRECT_SIZES: Final = (2, 3, 4, 6, 7)
_THROUGH_SLOT: Final = b"\xff\x15"


@attrs.frozen
class Entered:
    """A call from outside.

    Attributes:
        routine: its address.
        sp: where on the stack the address lies that it returns to.
        outer: where the top of the stack was for whoever called; below it lies nothing of theirs.
    """

    routine: int
    sp: int
    outer: int


@attrs.frozen
class Return:
    """What looks like a return address.

    Attributes:
        address: it.
        function: where the function begins that it lies in.
        called: the function that was called; 0 for one that is not known, None for an import.
    """

    address: int
    function: int
    called: int | None

    def fits(self, inner: int) -> bool:
        """Whether it may be the return from a function, or from an import (0)."""
        return not inner or self.called in (0, inner)


def returns(
    images: Images, stack: Region, sp: int, ip: int, entered: tuple[Entered, ...]
) -> Iterator[int]:
    """The return addresses on a stack of x86 code, innermost first.

    Args:
        images: what is loaded.
        stack: the stack.
        sp: where its top is.
        ip: the instruction that runs; 0 while an import runs.
        entered: the calls from outside that are under way, innermost last.
    """
    image = images.at(ip) if ip else None
    inner = 0 if image is None else image.function_start(ip)
    for each in reversed(entered):
        found = list(_within(images, stack, sp, each.sp))
        start = images.at(each.routine)
        chain = None
        if start is not None:
            chain = _chain(found[:_MOST], inner, each.routine)
        yield from (one.address for one in (found if chain is None else chain))
        sp, inner = each.outer, 0


def _within(images: Images, stack: Region, sp: int, end: int) -> Iterator[Return]:
    """What looks like a return address in a part of a stack."""
    at = max(sp - stack.address, 0) & -4  # a stack that is used up has its top below
    last = min(max(end - stack.address, 0), stack.size)
    for word in memoryview(stack.data).cast("I")[at // 4 : last // 4]:
        image = images.at(word)
        if image is not None and image.holds_code(word):
            called = _called(image, word)
            if called != word:
                yield Return(word, image.function_start(word - 1), called)


def _called(image: LoadedImage, address: int) -> int | None:
    """What the call in front of an address calls, as in `Return`; the address where there is none."""
    rva = address - image.base
    before = bytes(image.pe.image[max(rva - 7, 0) : rva])
    if before[-5:-4] == bytes((_CALL,)):
        return address + int.from_bytes(before[-4:], "little", signed=True) & 0xFFFF_FFFF
    if before[-6:-4] == _THROUGH_SLOT:
        # The slot is relocated in memory only.
        slot = int.from_bytes(before[-4:], "little") - image.pe.preferred_base
        return None if slot in image.import_slots else 0
    if any(
        len(before) >= size and before[-size] == 0xFF and before[-size + 1] >> 3 & 7 == 2
        for size in _INDIRECT_SIZES
    ):
        return 0
    return address


def _chain(found: list[Return], inner: int, outermost: int) -> list[Return] | None:
    """The returns that lead from a function out to the one that was called; None for no way.

    Args:
        found: what looks like returns, innermost first.
        inner: the function that runs; 0 while an import does.
        outermost: the function that was called from outside.
    """

    @cache
    def way(first: int, function: int) -> tuple[Return, ...] | None:
        fitting = [at for at in range(first, len(found)) if found[at].fits(function)]
        if function == outermost:  # which may call itself
            fitting = [at for at in fitting if found[at].called]
        # What says whom it called goes before what may have called anybody.
        for at in sorted(fitting, key=lambda at: not found[at].called):
            rest = way(at + 1, found[at].function)
            if rest is not None:
                return (found[at], *rest)
        return () if function == outermost else None

    if inner:
        chain = way(0, inner)
    else:  # an import returns to the innermost word
        rest = way(1, found[0].function) if found else None
        chain = None if rest is None else (found[0], *rest)
    return None if chain is None else list(chain)
