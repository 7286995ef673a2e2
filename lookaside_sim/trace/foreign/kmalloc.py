r"""Allocations of the Linux kernel: events of ``kmem`` as perf script, trace-cmd and bpftrace print them.

::

    ls  1234 [001]  5113.123456: kmem:kmalloc: call_site=alloc_fdtable+0x63 ptr=0xffff888003c4a000 bytes_req=192 bytes_alloc=192
    ls  1234 [001]  5113.123501: kmem:kfree: call_site=free_fdtable+0x1f ptr=0xffff888003c4a000

Recorded with ``perf record -e kmem:kmalloc -e kmem:kfree`` and shown by ``perf script``, or printed by a program for
bpftrace::

    tracepoint:kmem:kmalloc, tracepoint:kmem:kmem_cache_alloc {
        printf("%llu: %s: call_site=%s ptr=%p bytes_req=%llu\n",
               nsecs, probe, ksym(args->call_site), args->ptr, args->bytes_req);
    }
    tracepoint:kmem:kfree, tracepoint:kmem:kmem_cache_free {
        printf("%llu: %s: ptr=%p\n", nsecs, probe, args->ptr);
    }

What counts is the time (in seconds with a point, in nanoseconds without one), the event's name and ``name=value`` behind
it. Other events are passed over, and what the tools say between them: stacks, maps, how many probes there are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from lookaside_sim.trace.event import Event
from lookaside_sim.trace.foreign.heap import Heap

_EVENT: Final = re.compile(
    r"(?:.*\s)?(?P<time>\d+(?:\.\d+)?):\s+(?:\w+:)*(?P<name>\w+):\s*(?P<values>.*)\Z"
)
_NANOSECONDS: Final = 1000
"""Of a microsecond."""
_BETWEEN: Final = re.compile(
    r"#|@|\^C|Attach(?:ing|ed) \d+ probe|Lost \d+ events|(?:[0-9a-f]{6,16} )?\S+\+(?:0x[0-9a-f]+|\d+)(?: \(|\Z)"
    r"|[0-9a-f]{6,16} \[unknown\]"
)
"""What is no event: comments, maps, and lines of a stack."""
_VALUE: Final = re.compile(r"(\w+)=(\S+)")
_ALLOCATES: Final = frozenset(
    {"kmalloc", "kmalloc_node", "kmem_cache_alloc", "kmem_cache_alloc_node"}
)
_FREES: Final = frozenset({"kfree", "kmem_cache_free"})


def looks_so(line: str) -> bool:
    """Whether a line begins such a recording."""
    found = _EVENT.match(line.strip())
    return found is not None and found["name"] in _ALLOCATES | _FREES


def read(lines: Iterable[tuple[int, str]], heap: Heap) -> Iterator[Event]:
    """Read a recording.

    Args:
        lines: its lines, with numbers.
        heap: what keeps track.

    Yields:
        Its events.

    Raises:
        TraceError: a line that is none of such a recording.
    """
    for number, text in lines:
        line = text.strip()
        found = _EVENT.match(line)
        if found is None:
            if not line or _BETWEEN.match(line):
                continue
            raise heap.refuse(number, None, f"no event of the kernel: {line[:40]!r}")
        name = found["name"]
        if name not in _ALLOCATES and name not in _FREES:
            continue
        values = dict(_VALUE.findall(found["values"]))
        time = (
            heap.microseconds(number, "time", found["time"])
            if "." in found["time"]
            else int(found["time"]) // _NANOSECONDS
        )
        pointer = values.get("ptr", "")
        if pointer == "(nil)":
            continue
        try:
            address = int(pointer, 16)
        except ValueError:
            raise heap.refuse(number, "ptr", f"{pointer!r}: give an address") from None
        if name in _FREES:
            yield from heap.freed(number, time, address)
        elif address:
            size = heap.number(number, "bytes_req", values.get("bytes_req", ""))
            yield from heap.allocated(number, time, address, size, site=values.get("call_site"))
