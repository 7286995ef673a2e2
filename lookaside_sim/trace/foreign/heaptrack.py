"""The raw data of heaptrack: ``heaptrack.PROGRAM.PID.gz``, or the ``.zst`` once ``zstd -d`` has been at it.

Its lines refer to lines before by number: an allocation (``+``) and a free (``-``) to a kind (``a``: bytes
and a stack), a stack (``t``) to an instruction and the stack it was called from, an instruction (``i``)
to strings (``s``). Addresses are left out, so which of several live blocks of a kind was freed is
not known: the newest is taken. For counters of lists that makes no difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lookaside_sim.trace.event import Event
from lookaside_sim.trace.foreign.heap import Heap

_MILLISECOND = 1000


def looks_so(line: str) -> bool:
    """Whether a line begins such a recording."""
    parts = line.split()
    return len(parts) == 3 and parts[0] == "v" and all(part.isalnum() for part in parts[1:])


def read(lines: Iterable[tuple[int, str]], heap: Heap) -> Iterator[Event]:
    """Read a recording.

    Args:
        lines: its lines, with numbers.
        heap: what keeps track.

    Yields:
        Its events; the call site is the function that called malloc.

    Raises:
        TraceError: a line that is none of such a recording.
    """
    strings: list[str] = [""]
    functions: list[str] = [""]
    stacks: list[str] = [""]
    kinds: list[tuple[int, str]] = []
    live: dict[int, list[int]] = {}
    blocks = 0
    time = 0
    for number, text in lines:
        mark, _, rest = text.rstrip("\r\n").partition(" ")
        parts = rest.split()
        try:
            if mark == "+":
                kind = int(parts[0], 16)
                size, site = kinds[kind]
                blocks += 1
                live.setdefault(kind, []).append(blocks)
                yield from heap.allocated(number, time, blocks, size, site=site)
            elif mark == "-":
                yield from heap.freed(number, time, live[int(parts[0], 16)].pop())
            elif mark == "a":
                kinds.append((int(parts[0], 16), stacks[int(parts[1], 16)]))
            elif mark == "t":
                stacks.append(functions[int(parts[0], 16)])
            elif mark == "i":
                function = strings[int(parts[2], 16)] if len(parts) > 2 else ""
                functions.append(function or f"0x{int(parts[0], 16):x}")
            elif mark == "s":
                _, _, said = rest.partition(" ")
                strings.append(said)
            elif mark == "c":
                time = int(parts[0], 16) * _MILLISECOND
            elif len(mark) > 1 or (not mark and rest):
                raise ValueError
        except (ValueError, IndexError, KeyError):
            raise heap.refuse(
                number, None, f"no line of heaptrack's raw data: {text.strip()[:40]!r}"
            ) from None
