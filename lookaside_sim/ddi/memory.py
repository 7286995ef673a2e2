"""The documented routines that fill, copy and compare memory; import them from `lookaside_sim.ddi`.

They are macros over memset, memcpy and memmove: the driver's own code, which the driver pays for
with a fault of its own.

Source:
    [doc] the page of each routine (wdm.h). Choice: RtlCopyMemory of ranges that overlap, which the
    documentation forbids, copies as RtlMoveMemory does.
"""

from __future__ import annotations

from lookaside_sim.ddi.arguments import Constant, Long, Pointer, Size, Ulong
from lookaside_sim.ddi.routine import inlined
from lookaside_sim.kernel import current_kernel

__all__ = [
    "RtlCompareMemory",
    "RtlCompareMemoryUlong",
    "RtlCopyBytes",
    "RtlCopyMemory",
    "RtlEqualMemory",
    "RtlFillMemory",
    "RtlFillMemoryUlong",
    "RtlMoveMemory",
    "RtlSecureZeroMemory",
    "RtlZeroBytes",
    "RtlZeroMemory",
]


@inlined
def RtlZeroMemory(Destination: Pointer, Length: Size) -> None:
    """Fill memory with zeros.

    Args:
        Destination: where.
        Length: bytes.

    Raises:
        BugCheck: the memory cannot be written.
    """
    _write(Destination, bytes(Length))


@inlined
def RtlFillMemory(Destination: Pointer, Length: Size, Fill: Long) -> None:
    """Fill memory with a byte.

    Args:
        Destination: where.
        Length: bytes.
        Fill: the byte; of an int, the lowest one.
    """
    _write(Destination, bytes((Fill & 0xFF,)) * Length)


@inlined
def RtlCopyMemory(Destination: Pointer, Source: Constant, Length: Size) -> None:
    """Copy memory.

    Args:
        Destination: where to.
        Source: where from, or bytes that the program has as a constant.
        Length: bytes.
    """
    _write(Destination, _bytes("Source", Source, Length))


@inlined
def RtlMoveMemory(Destination: Pointer, Source: Constant, Length: Size) -> None:
    """Copy memory, whether or not the two overlap."""
    _write(Destination, _bytes("Source", Source, Length))


@inlined
def RtlCompareMemory(Source1: Constant, Source2: Constant, Length: Size) -> int:
    """How many bytes of two ranges are equal before the first that differ.

    Args:
        Source1: one, or bytes that the program has as a constant.
        Source2: the other.
        Length: bytes to compare.

    Returns:
        Length where all are.
    """
    one, other = _bytes("Source1", Source1, Length), _bytes("Source2", Source2, Length)
    for at, (left, right) in enumerate(zip(one, other, strict=True)):
        if left != right:
            return at
    return Length


@inlined
def RtlFillMemoryUlong(Destination: Pointer, Length: Size, Pattern: Ulong) -> None:
    """Fill memory with a ULONG.

    Args:
        Destination: where.
        Length: bytes, of which whole ULONGs count.
        Pattern: the ULONG.
    """
    _write(Destination, Pattern.to_bytes(4, "little") * (Length // 4))


@inlined
def RtlCompareMemoryUlong(Source: Pointer, Length: Size, Pattern: Ulong) -> int:
    """How many bytes of a range are equal to a ULONG again and again.

    Args:
        Source: the range.
        Length: bytes, of which whole ULONGs count.
        Pattern: the ULONG.
    """
    length, wanted = Length & ~3, Pattern.to_bytes(4, "little")
    found = _bytes("Source", Source, length)
    return next((at for at in range(0, length, 4) if found[at : at + 4] != wanted), length)


@inlined
def RtlEqualMemory(Destination: Constant, Source: Constant, Length: Size) -> bool:
    """Whether two ranges are equal."""
    return _bytes("Destination", Destination, Length) == _bytes("Source", Source, Length)


RtlSecureZeroMemory = RtlZeroMemory
RtlZeroBytes = RtlZeroMemory
RtlCopyBytes = RtlCopyMemory


def _write(address: int, data: bytes) -> None:
    """Write as the driver does; nothing at all is no touch."""
    if data:
        current_kernel().write(address, data)


def _bytes(name: str, source: Constant, length: int) -> bytes:
    """The bytes at an address, or the first of a constant's."""
    if isinstance(source, bytes):
        if len(source) < length:
            raise ValueError(
                f"{name}, a constant of {len(source)} bytes: give {length} or more"
            )
        return source[:length]
    return current_kernel().read(source, length) if length else b""
