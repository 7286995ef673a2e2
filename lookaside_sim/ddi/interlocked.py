"""The documented interlocked operations on variables; import them from `lookaside_sim.ddi`.

They are single instructions in the driver's own code. A variable is at an address, or a `Ref`.
LONGs have a sign, and go round.

Source:
    [doc] the page of each routine (wdm.h).
"""

from __future__ import annotations

from collections.abc import Callable

from lookaside_sim.ddi.arguments import Long, Longlong, Out, Size, loaded, store
from lookaside_sim.ddi.routine import inlined
from lookaside_sim.kernel import current_kernel

__all__ = [
    "InterlockedAdd",
    "InterlockedAdd64",
    "InterlockedAnd",
    "InterlockedBitTestAndReset",
    "InterlockedBitTestAndSet",
    "InterlockedCompareExchange",
    "InterlockedCompareExchange64",
    "InterlockedCompareExchangePointer",
    "InterlockedDecrement",
    "InterlockedDecrement16",
    "InterlockedDecrement64",
    "InterlockedExchange",
    "InterlockedExchange64",
    "InterlockedExchangeAdd",
    "InterlockedExchangeAdd64",
    "InterlockedExchangePointer",
    "InterlockedIncrement",
    "InterlockedIncrement16",
    "InterlockedIncrement64",
    "InterlockedOr",
    "InterlockedXor",
]


def _change(place: Out, size: int, change: Callable[[int], int]) -> tuple[int, int]:
    """Change a variable; what it held and what it holds, with their signs."""
    bits = 8 * size
    before = loaded(place, size)
    after = change(before) & (1 << bits) - 1
    store(place, _signed(after, bits), size)
    return _signed(before, bits), _signed(after, bits)


def _signed(number: int, bits: int) -> int:
    return number - (1 << bits) if number >> bits - 1 else number


@inlined
def InterlockedIncrement(Addend: Out) -> int:
    """Add 1 to a LONG; returns what it holds now."""
    return _change(Addend, 4, lambda value: value + 1)[1]


@inlined
def InterlockedDecrement(Addend: Out) -> int:
    """Take 1 from a LONG; returns what it holds now."""
    return _change(Addend, 4, lambda value: value - 1)[1]


@inlined
def InterlockedAdd(Addend: Out, Value: Long) -> int:
    """Add to a LONG; returns what it holds now."""
    return _change(Addend, 4, lambda value: value + Value)[1]


@inlined
def InterlockedExchangeAdd(Addend: Out, Value: Long) -> int:
    """Add to a LONG; returns what it held."""
    return _change(Addend, 4, lambda value: value + Value)[0]


@inlined
def InterlockedExchange(Target: Out, Value: Long) -> int:
    """Set a LONG; returns what it held."""
    return _change(Target, 4, lambda value: Value)[0]


@inlined
def InterlockedCompareExchange(Destination: Out, ExChange: Long, Comperand: Long) -> int:
    """Set a LONG if it holds a value.

    Args:
        Destination: the variable.
        ExChange: what it is set to.
        Comperand: what it has to hold.

    Returns:
        What it held.
    """
    wanted = Comperand & 0xFFFF_FFFF
    return _change(Destination, 4, lambda value: ExChange if value == wanted else value)[0]


@inlined
def InterlockedAnd(Destination: Out, Value: Long) -> int:
    """AND into a LONG; returns what it held."""
    return _change(Destination, 4, lambda value: value & Value)[0]


@inlined
def InterlockedOr(Destination: Out, Value: Long) -> int:
    """OR into a LONG; returns what it held."""
    return _change(Destination, 4, lambda value: value | Value)[0]


@inlined
def InterlockedXor(Destination: Out, Value: Long) -> int:
    """XOR into a LONG; returns what it held."""
    return _change(Destination, 4, lambda value: value ^ Value)[0]


@inlined
def InterlockedBitTestAndSet(Base: Out, Bit: Long) -> int:
    """Set a bit of a LONG, 0 to 31; returns what it was, 0 or 1."""
    return _change(Base, 4, lambda value: value | 1 << (Bit & 31))[0] >> (Bit & 31) & 1


@inlined
def InterlockedBitTestAndReset(Base: Out, Bit: Long) -> int:
    """Clear a bit of a LONG, 0 to 31; returns what it was, 0 or 1."""
    return _change(Base, 4, lambda value: value & ~(1 << (Bit & 31)))[0] >> (Bit & 31) & 1


@inlined
def InterlockedIncrement16(Addend: Out) -> int:
    """Add 1 to a SHORT; returns what it holds now."""
    return _change(Addend, 2, lambda value: value + 1)[1]


@inlined
def InterlockedDecrement16(Addend: Out) -> int:
    """Take 1 from a SHORT; returns what it holds now."""
    return _change(Addend, 2, lambda value: value - 1)[1]


@inlined
def InterlockedIncrement64(Addend: Out) -> int:
    """Add 1 to a LONG64; returns what it holds now."""
    return _change(Addend, 8, lambda value: value + 1)[1]


@inlined
def InterlockedDecrement64(Addend: Out) -> int:
    """Take 1 from a LONG64; returns what it holds now."""
    return _change(Addend, 8, lambda value: value - 1)[1]


@inlined
def InterlockedAdd64(Addend: Out, Value: Longlong) -> int:
    """Add to a LONG64; returns what it holds now."""
    return _change(Addend, 8, lambda value: value + Value)[1]


@inlined
def InterlockedExchangeAdd64(Addend: Out, Value: Longlong) -> int:
    """Add to a LONG64; returns what it held."""
    return _change(Addend, 8, lambda value: value + Value)[0]


@inlined
def InterlockedExchange64(Target: Out, Value: Longlong) -> int:
    """Set a LONG64; returns what it held."""
    return _change(Target, 8, lambda value: Value)[0]


@inlined
def InterlockedCompareExchange64(
    Destination: Out, ExChange: Longlong, Comperand: Longlong
) -> int:
    """Set a LONG64 if it holds a value; see `InterlockedCompareExchange`."""
    wanted = Comperand & 0xFFFF_FFFF_FFFF_FFFF
    return _change(Destination, 8, lambda value: ExChange if value == wanted else value)[0]


@inlined
def InterlockedExchangePointer(Target: Out, Value: Size) -> int:
    """Set a pointer; returns what it held."""
    size = current_kernel().arch.pointer_size
    before = loaded(Target, size)
    store(Target, Value, size)
    return before


@inlined
def InterlockedCompareExchangePointer(Destination: Out, ExChange: Size, Comperand: Size) -> int:
    """Set a pointer if it holds a value; returns what it held."""
    size = current_kernel().arch.pointer_size
    before = loaded(Destination, size)
    if before == Comperand:
        store(Destination, ExChange, size)
    return before
