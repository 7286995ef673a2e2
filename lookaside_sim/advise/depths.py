"""What calls do to a list of every fixed depth at once, in one pass.

Let n(D) be what a list of depth D holds. n(D + 1) - n(D) is always 0 or 1: check the two calls in the
four cases. So a row of bits d0, d1, d2, ... is the state under all depths, n(D) being the ones among
the first D. A free sets the lowest zero, an allocate clears the lowest one. The position of that bit is
the *distance* of the call: it hits under D exactly if its distance is below D. Two histograms of distances
are the answer for every depth (what Mattson's stack distances are for caches).

The rest is speed. In A^i F^k A^j with k <= i and k <= j, the k frees and the first k allocates behind
them have the distances 0 to k - 1 whatever came before, and A^(i + j - k) is what remains of them; and
likewise with A and F exchanged. So closed cycles are taken out as they come up, as fatigue analysis
counts load cycles (rainflow counting). What cannot be reduced, runs that grow and then shrink, is
short, and goes through the bits at the end.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from itertools import accumulate
from typing import Final

import attrs

from lookaside_sim.advise.words import ALLOCATE, FREE
from lookaside_sim.nt.types import EX_MAXIMUM_LOOKASIDE_DEPTH_LIMIT

MOST_DEPTH: Final = EX_MAXIMUM_LOOKASIDE_DEPTH_LIMIT
"""The deepest that a list can be made."""

_A: Final = bytes([ALLOCATE])
_F: Final = bytes([FREE])
_AT_ONCE: Final = 1 << 14
_CYCLES: Final = (
    (_A + (_F + _A) * 8, _A, 1),  # a block that is taken and given back, again and again
    *(
        (one * width + other * width + one * width, one * width, width)
        for width in (1, 2, 3)
        for one, other in ((_A, _F), (_F, _A))
    ),
)
"""Short closed cycles, what remains of them, and their range."""
_WORTH: Final = 5
"""A pass that takes out less than a part in 2**5 is the last."""


@attrs.frozen
class AllDepths:
    """Counters of a list under every fixed depth.

    Attributes:
        allocates: allocate calls.
        frees: free calls.
        allocate_hits: by distance: allocates that hit under each depth above it.
        free_hits: by distance: frees that hit under each depth above it.
    """

    allocates: int
    frees: int
    allocate_hits: tuple[int, ...]
    free_hits: tuple[int, ...]

    def allocate_misses(self, depth: int) -> int:
        """Allocates that find a list of a fixed depth empty.

        Args:
            depth: in entries.
        """
        return self.allocates - sum(self.allocate_hits[: _depth(depth)])

    def free_misses(self, depth: int) -> int:
        """Frees that find a list of a fixed depth full.

        Args:
            depth: in entries.
        """
        return self.frees - sum(self.free_hits[: _depth(depth)])

    def pool_calls_saved(self) -> list[int]:
        """Hits of both kinds under each depth, from 0 on; all that follow are as the last."""
        both = zip(self.allocate_hits, self.free_hits, strict=True)
        return list(accumulate(map(sum, both), initial=0))

    def least_depth(self, share: float = 1.0) -> int:
        """The least depth that saves a share of the pool calls that any can save.

        Args:
            share: above 0, up to 1.

        Returns:
            The depth, in entries.
        """
        if not 0 < share <= 1:
            raise ValueError(f"share {share!r}: give more than 0, up to 1")
        saved = self.pool_calls_saved()
        enough = saved[-1] * share
        return next(depth for depth, each in enumerate(saved) if each >= enough)


def _depth(depth: int) -> int:
    if depth < 0:
        raise ValueError(f"depth {depth}: give a number of entries, 0 or more")
    return depth


class Depths:
    """Counts calls for all depths at once.

    Args:
        most: the largest depth that is told apart.
    """

    __slots__ = ("_allocates", "_buffer", "_cycles", "_first", "_frees", "_most", "_runs")

    def __init__(self, most: int = MOST_DEPTH) -> None:
        self._most = most
        self._buffer = bytearray()
        # Runs of alike calls that no cycle could be taken out of, and whether the first of
        # them allocates: taking cycles out keeps the kind of the outermost.
        self._runs: list[int] = []
        self._first = ALLOCATE
        # By range; those that no depth told apart can close are of the range most + 1.
        self._cycles: dict[int, int] = defaultdict(int)
        self._allocates = 0
        self._frees = 0

    def feed(self, stream: bytes) -> None:
        """Count calls, `ALLOCATE` and `FREE`, a byte each."""
        buffer = self._buffer
        buffer += stream
        if len(buffer) >= _AT_ONCE:
            self._reduce()

    def _reduce(self) -> None:
        """Take closed cycles out of the calls not looked at yet."""
        calls = bytes(self._buffer)
        self._buffer.clear()
        allocates = calls.count(ALLOCATE)
        self._allocates += allocates
        self._frees += len(calls) - allocates
        cycles, most = self._cycles, self._most
        for cycle, rest, width in _CYCLES:
            before = -1
            while before - len(calls) > before >> _WORTH or before < 0:
                before = len(calls)
                calls = calls.replace(cycle, rest)
                cycles[min(width, most + 1)] += (before - len(calls)) // (2 * width)
        runs = self._runs  # something is left: a cycle leaves its outer calls
        lengths = list(map(len, _runs(calls)))
        if not runs:
            self._first = calls[0]
        elif calls[0] == self._first ^ (len(runs) & 1 ^ 1):
            lengths[0] += runs.pop()  # goes on with what came last
        push = runs.append
        pop = runs.pop
        for length in lengths:
            while len(runs) > 1 and runs[-1] <= length and runs[-1] <= runs[-2]:
                width = pop()
                cycles[width if width <= most else most + 1] += 1
                length += pop() - width
            push(length)

    def result(self) -> AllDepths:
        """The counters of all calls so far."""
        if self._buffer:
            self._reduce()
        cycles = self._cycles
        # Nobody holds more than was freed.
        most = min(self._most, self._frees)
        # A cycle of a range has every distance below it, once for either call.
        widest = max(cycles, default=0)
        wider = list(accumulate(cycles.get(width, 0) for width in range(widest, 0, -1)))
        allocate_hits = wider[::-1][:most]
        allocate_hits += [0] * (most - len(allocate_hits))
        free_hits = allocate_hits[:]
        held, full = 0, (1 << most) - 1
        allocates = bool(self._first)
        for length in self._runs:
            left = length
            while left and (held if allocates else held != full):
                changed = held & -held if allocates else ~held & (held + 1)
                hits = allocate_hits if allocates else free_hits
                hits[changed.bit_length() - 1] += 1
                held ^= changed
                left -= 1
            allocates = not allocates
        used = most
        while used and not allocate_hits[used - 1] and not free_hits[used - 1]:
            used -= 1
        return AllDepths(
            self._allocates, self._frees, tuple(allocate_hits[:used]), tuple(free_hits[:used])
        )


def _runs(calls: bytes) -> list[bytes]:
    """Cut calls where their kind changes."""
    apart = calls.replace(_A + _F, b"\1 \0").replace(_F + _A, b"\0 \1")
    return apart.split(b" ")


def all_depths(ops: bytes | str | Iterable[int | str], most: int = MOST_DEPTH) -> AllDepths:
    """Count what calls do under every fixed depth, in one pass.

    Args:
        ops: the calls in order: the letters ``A`` (allocate) and ``F`` (free) as bytes or
            text, or anything that gives True and False, or the words ``alloc`` and ``free``.
        most: the largest depth that is told apart.

    Returns:
        The counters under every depth up to that.

    Raises:
        ValueError: something that is no call.
    """
    if type(most) is not int or most < 0:
        raise ValueError(f"most {most!r}: give a number of entries, 0 or more")
    if isinstance(ops, bytes | bytearray):
        stream = bytes(ops)
    else:
        named = [_NAMES.get(call, call) for call in ops]
        at = next((at for at, call in enumerate(named) if call not in (0, 1)), None)
        if at is not None:
            raise ValueError(f"call {at} is {named[at]!r}: give 'A' or 'F'")
        stream = bytes(map(int, named))
    letters = stream.translate(_LETTERS)
    if letters.translate(None, _A + _F):
        at = next(at for at, call in enumerate(letters) if call > 1)
        raise ValueError(f"call {at} is {stream[at : at + 1]!r}: give b'A' or b'F'")
    depths = Depths(most)
    depths.feed(letters)
    return depths.result()


_LETTERS: Final = bytes.maketrans(b"AF", bytes([ALLOCATE, FREE]))
_NAMES: Final[dict[int | str, int | str]] = {
    "A": ALLOCATE,
    "F": FREE,
    "alloc": ALLOCATE,
    "free": FREE,
}
