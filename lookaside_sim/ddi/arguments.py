"""Arguments in which a C caller passes a pointer; see `lookaside_sim.ddi`."""

from __future__ import annotations

from typing import Protocol, SupportsIndex, TypeAlias

from lookaside_sim.kernel import current_kernel
from lookaside_sim.nt.arguments import shown, unsigned


class HasAddress(Protocol):
    """An object that stands for a structure in memory, such as a `SpinLock`."""

    @property
    def address(self) -> int:
        """Where the structure lies."""


Pointer: TypeAlias = int | HasAddress
"""A pointer to a structure: its address, or the object that stands for it."""


class Ref:
    """A variable of the caller's whose address is passed, as in ``&OldIrql``.

    Args:
        value: what it holds at first.

    Attributes:
        value: what it holds.
    """

    __slots__ = ("value",)

    def __init__(self, value: int = 0) -> None:
        self.value = value

    def __repr__(self) -> str:
        return f"Ref({self.value})"


Out: TypeAlias = int | Ref
"""Where a routine stores a result: an address in simulated memory, or a `Ref`."""


def address_of(name: str, pointer: Pointer) -> int:
    """The address that a pointer holds.

    Args:
        name: of the parameter.
        pointer: what was passed.

    Raises:
        TypeError: neither an address nor an object with one.
        ValueError: an address that the machine does not have.
    """
    address: object = getattr(pointer, "address", pointer)
    if isinstance(address, (bool, type)) or not isinstance(address, SupportsIndex):
        raise TypeError(f"{name} {shown(pointer)}: give an address, or an object with one")
    return unsigned(name, address, current_kernel().arch.address_bits)


def check_out(name: str, out: Out) -> None:
    """Refuse what nothing can be stored in, before the routine has an effect.

    Raises:
        TypeError: neither an address nor a `Ref`.
        ValueError: an address that the machine does not have.
    """
    if isinstance(out, Ref):
        return
    if isinstance(out, (bool, type)) or not isinstance(out, SupportsIndex):
        raise TypeError(f"{name} {shown(out)}: give an address, or a Ref")
    unsigned(name, out, current_kernel().arch.address_bits)


def store_byte(out: Out, value: int) -> None:
    """Store a result of one byte, as the caller's own code does.

    Raises:
        BugCheck: the address cannot be written.
    """
    if isinstance(out, Ref):
        out.value = value
    else:
        current_kernel().write(out, bytes((value,)))
