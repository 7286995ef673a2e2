"""Which formats there are, and opening a recording in any of them."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

from lookaside_sim.errors import TraceEndError, TraceError
from lookaside_sim.trace import packed
from lookaside_sim.trace.event import Event, Header
from lookaside_sim.trace.foreign import heaptrack, kmalloc, malloc, poolmon, windows, wpa
from lookaside_sim.trace.foreign.heap import Heap
from lookaside_sim.trace.foreign.zstd import ZSTD_SUFFIX, open_zstd
from lookaside_sim.trace.format import Trace
from lookaside_sim.trace.lines import open_to_read

_SNIFFED: Final = 50
"""Lines of a recording that are looked at to tell its format."""
_LINE_CHARACTERS: Final = 1 << 16


class Format(NamedTuple):
    """One kind of recordings."""

    says: str
    """What it is, for help."""
    looks_so: Callable[[str], bool]
    """Whether a line begins one."""
    read: Callable[[Iterable[tuple[int, str]], Heap], Iterator[Event]]
    """Reads numbered lines."""


FORMATS: Final = {
    "malloc": Format(
        "calls of malloc and free, as ltrace prints", malloc.looks_so, malloc.read
    ),
    "heaptrack": Format("raw data of heaptrack", heaptrack.looks_so, heaptrack.read),
    "kmalloc": Format("kmem events of the Linux kernel", kmalloc.looks_so, kmalloc.read),
    "windows": Format("pool events of Windows, CSV or JSON", windows.looks_so, windows.read),
    "wpa": Format("WPA's pool table, CSV", wpa.looks_so, wpa.read),
}

POOLMON: Final = "poolmon"
"""A text of counts, not of calls: `load_counts` reads it."""


class Recording:
    """A recording in a foreign format, read anew by every iteration.

    Args:
        path: the file, plain, ``.gz`` or ``.zst``.
        kind: one of `FORMATS`.
        partial: whether a damaged or wrong line at the very end is left out.
        site_name: what a call site that a line names is called.

    Attributes:
        name: its name, as errors show it.
        header: a header for it.
        ended: with ``partial``, the error that ended the last iteration too early, or None.
        unknown: frees in the last iteration of what was allocated before the recording.
    """

    def __init__(
        self,
        path: Path,
        kind: str,
        *,
        partial: bool = False,
        site_name: Callable[[str], str] = str,
    ) -> None:
        self.path = path
        self.name = str(path)
        self.kind = kind
        self.header = Header(f"{FORMATS[kind].says}: {path.name}")
        self.ended: TraceEndError | None = None
        self.unknown = 0
        self._partial = partial
        self._site_name = site_name

    def __iter__(self) -> Iterator[Event]:
        heap = Heap(self.name, self._site_name)
        self.ended = None
        lines = _Lines(self.path, self.name)
        try:
            yield from FORMATS[self.kind].read(lines, heap)
        except TraceError as error:
            if not self._partial or not (isinstance(error, TraceEndError) or lines.is_last):
                raise
            self.ended = TraceEndError(*error.args)
        finally:
            self.unknown = heap.unknown
            lines.close()


class _Lines:
    """The numbered lines of a file, and whether the last one was read."""

    def __init__(self, path: Path, name: str) -> None:
        self._name = name
        is_zstd = path.name.endswith(ZSTD_SUFFIX)
        self._file = open_zstd(path) if is_zstd else open_to_read(path)
        self._what = "zstd" if is_zstd else "gzip"
        self._number = 0
        self.is_last = False

    def __iter__(self) -> Iterator[tuple[int, str]]:
        try:
            while line := self._file.readline(_LINE_CHARACTERS):
                self._number += 1
                self.is_last = not line.endswith(b"\n")
                if self.is_last and len(line) == _LINE_CHARACTERS:
                    problem = f"longer than {_LINE_CHARACTERS:,} bytes"
                    raise TraceError(self._name, self._number, None, problem)
                yield self._number, line.decode("utf-8-sig", "replace")
        except EOFError as error:
            problem = f"damaged {self._what} file: {error}"
            raise TraceEndError(self._name, self._number + 1, None, problem) from None
        except (gzip.BadGzipFile, zlib.error) as error:
            problem = f"damaged {self._what} file: {error}"
            raise TraceError(self._name, self._number + 1, None, problem) from None

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def load_any(
    path: str | Path, kind: str | None = None, *, partial: bool = False
) -> Trace | Recording:
    """Open a trace, or a recording of another tool.

    Args:
        path: the file.
        kind: one of `FORMATS`; None to see for oneself.
        partial: whether a file that ends in the middle is used until there.

    Returns:
        It; iteration gives events.

    Raises:
        OSError: the file cannot be opened.
        TraceError: it begins as none of them.
        ValueError: no such format.
    """
    path = Path(path)
    if kind is None:
        kind = _kind_of(path)
    elif kind not in FORMATS and kind != POOLMON:
        raise ValueError(f"format {kind!r}: give one of {', '.join([*FORMATS, POOLMON])}")
    if kind == POOLMON:
        problem = "counts of poolmon, not calls: only lookaside-sim advise takes them"
        raise TraceError(str(path), 1, None, problem)
    if kind is None:
        if path.name.endswith(ZSTD_SUFFIX) or not _may_be_trace(path):
            known = ", ".join([*FORMATS, POOLMON])
            problem = (
                f"not a JSON object, nor begun as one of {known}: name its format with --from"
            )
            raise TraceError(str(path), 1, None, problem)
        return Trace(path, partial=partial)
    return Recording(path, kind, partial=partial)


def load_counts(path: str | Path, kind: str | None = None) -> list[poolmon.TagCounts] | None:
    """Read a text of poolmon, if a file is one.

    Args:
        path: the file.
        kind: its format; None to see for oneself.

    Returns:
        What happened with each tag; None for a file with calls.

    Raises:
        OSError: the file cannot be opened.
        TraceError: it is not valid.
    """
    path = Path(path)
    if (_kind_of(path) if kind is None else kind) != POOLMON:
        return None
    lines = _Lines(path, str(path))
    try:
        return poolmon.read(lines, Heap(str(path)))
    finally:
        lines.close()


def _may_be_trace(path: Path) -> bool:
    """Whether a file's first line is an object, or cannot be read: that is told by who reads it."""
    if packed.is_packed(path):
        return True
    lines = _Lines(path, str(path))
    try:
        return next(iter(lines), (1, ""))[1].lstrip()[:1] == "{"
    except TraceError:
        return True
    finally:
        lines.close()


def _kind_of(path: Path) -> str | None:
    """Which format a file is in, by its first lines; None for a trace, or nothing known."""
    if packed.is_packed(path):
        return None
    lines = _Lines(path, str(path))
    first: list[str] = []
    try:
        first.extend(line for _, line in islice(lines, _SNIFFED))
    except TraceError:
        if path.name.endswith(ZSTD_SUFFIX) and not first:
            raise
        # Otherwise told by who reads it.
    finally:
        lines.close()
    if any(map(poolmon.looks_so, first)):
        return POOLMON
    return next(
        (name for name, each in FORMATS.items() if any(map(each.looks_so, first))), None
    )
