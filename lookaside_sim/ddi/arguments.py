"""Arguments of routines: pointers, results by reference, integers of C's types, tags."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, SupportsIndex, TypeAlias

from lookaside_sim.kernel import current_kernel
from lookaside_sim.nt.arguments import boolean, integer, shown, unsigned
from lookaside_sim.nt.types import PoolTag, TagLike

__all__ = ["Ref", "literal"]


class HasAddress(Protocol):
    """An object that stands for a structure in memory, such as a `SpinLock`."""

    @property
    def address(self) -> int:
        """Where the structure lies."""


Pointer: TypeAlias = Any
"""A pointer to a structure: its address, or the object that stands for it (`HasAddress`).

A routine gets the address as an integer.
"""


class Ref:
    """A variable of the caller's whose address is passed, as in ``&OldIrql``.

    Args:
        value: what it holds at first.

    Attributes:
        value: what it holds.
    """

    __slots__ = ("value",)

    def __init__(self, value: Any = 0) -> None:
        self.value = value

    def __repr__(self) -> str:
        return f"Ref({self.value})"


Out: TypeAlias = int | Ref
"""Where a routine stores a result: an address in simulated memory, or a `Ref`."""
Text: TypeAlias = Any
"""A pointer to a text, or a text that the program has as a constant; None is NULL."""
Constant: TypeAlias = Any
"""A pointer to bytes that are read, or bytes that the program has as a constant."""
Code: TypeAlias = Any
"""A pointer to a routine: a callable, the address of one, or 0 or None for NULL."""

# Integers of C, in the signatures of routines: `routine` checks each by its name.
Ulong: TypeAlias = int
Long: TypeAlias = int
Longlong: TypeAlias = int
Ushort: TypeAlias = int
Uchar: TypeAlias = int
Size: TypeAlias = int
Boolean: TypeAlias = int
Tag: TypeAlias = PoolTag | int | bytes


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
    address: object = getattr(out, "address", out)
    if isinstance(address, (bool, type)) or not isinstance(address, SupportsIndex):
        raise TypeError(f"{name} {shown(out)}: give an address, or a Ref")
    unsigned(name, address, current_kernel().arch.address_bits)


def taken_out(name: str, out: Out) -> Out:
    """A place for a result, checked: a `Ref`, or an address as a plain integer."""
    check_out(name, out)
    return out if isinstance(out, Ref) else address_of(name, out)


def store_byte(out: Out, value: int) -> None:
    """Store a result of one byte, as the caller's own code does.

    Raises:
        BugCheck: the address cannot be written.
    """
    store(out, value, 1)


def store(out: Out, value: int, size: int) -> None:
    """Store a result, as the caller's own code does.

    Args:
        out: where.
        value: what, any sign.
        size: its bytes.

    Raises:
        BugCheck: the address cannot be written.
    """
    if isinstance(out, Ref):
        out.value = value
    else:
        number = value & (1 << 8 * size) - 1
        current_kernel().write(out, number.to_bytes(size, "little"))


def store_optional(out: Out, value: int, size: int) -> None:
    """Store a result where the caller wants it: not at 0, which is NULL."""
    if isinstance(out, Ref) or out:
        store(out, value, size)


def store_pointer(out: Out, value: int) -> None:
    """Store a pointer as a result; see `store`."""
    store(out, value, current_kernel().arch.pointer_size)


def loaded(place: Out, size: int) -> int:
    """What a variable holds, without a sign."""
    if isinstance(place, Ref):
        return integer("value", place.value) & (1 << 8 * size) - 1
    return int.from_bytes(current_kernel().read(place, size), "little")


def call_code(code: Callable[..., Any] | int, *arguments: Any) -> Any:
    """Call a routine of the driver's, given itself or by its address.

    Raises:
        BugCheck: nothing lies at the address.
    """
    if isinstance(code, int):
        return current_kernel().routines.call(code, *arguments)
    return current_kernel().machine.hooks.run_inside(0, code, *arguments)


def code_address(code: Callable[..., Any] | int | None) -> int:
    """The address of a routine, as a field holds it; 0 for NULL."""
    if code is None or isinstance(code, int):
        return code or 0
    return current_kernel().routines.address_of(code)


# --- tags ----------------------------------------------------------------------------------


def literal(text: str) -> PoolTag:
    """The tag that a C literal stands for, as in ``literal("ypSM")`` for ``'ypSM'``.

    The compiler puts the first character into the highest byte, so in memory, and in every tool,
    the tag reads ``MSpy``.

    Raises:
        ValueError: not 1 to 4 printable characters.
    """
    return PoolTag.from_literal(text)


def tag_of(name: str, tag: TagLike) -> PoolTag:
    """Take a tag. A text is refused, since it does not say in which order it is meant.

    Raises:
        TypeError: a text, or nothing that a tag can be made of.
        ValueError: no tag of 32 bits.
    """
    if isinstance(tag, str):
        as_literal = f"literal({tag!r})"
        try:
            in_memory = tag.ljust(4)[::-1].encode("ascii")
        except UnicodeEncodeError:
            in_memory = b"...."
        raise TypeError(
            f"{name} {shown(tag)}: give {as_literal} for the C literal '{tag}', which lies in"
            f" memory as {in_memory!r}, or 4 bytes as they lie in memory"
        )
    return PoolTag(tag)


# --- by the name of the C type -------------------------------------------------------------


def _signed(name: str, value: SupportsIndex, bits: int) -> int:
    """An integer with a sign, given with or without it."""
    number = integer(name, value)
    if not -(1 << bits - 1) <= number < 1 << bits:
        raise ValueError(f"{name} {shown(number)}: give {bits} bits")
    return number - (1 << bits) if number >> bits - 1 == 1 else number


def _take_text(name: str, value: Text) -> int | str:
    if isinstance(value, str):
        return value
    return 0 if value is None else address_of(name, value)


def _take_constant(name: str, value: Constant) -> int | bytes:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    return address_of(name, value)


def _take_code(name: str, value: Code) -> Callable[..., Any] | int | None:
    if value is None or (isinstance(value, int) and value == 0):
        return None
    if not isinstance(value, (bool, type)):
        if isinstance(value, SupportsIndex):
            return address_of(name, value)
        if callable(value):
            found: Callable[..., Any] = value
            return found
    raise TypeError(f"{name} {shown(value)}: give a callable, its address, or 0 for NULL")


def _as_given(name: str, value: object) -> object:
    return value


TAKERS: dict[str, Callable[[str, Any], Any]] = {
    "Pointer": address_of,
    "Out": taken_out,
    "Text": _take_text,
    "Constant": _take_constant,
    "Code": _take_code,
    "Tag": tag_of,
    "Boolean": boolean,
    "Long": lambda name, value: _signed(name, value, 32),
    "Longlong": lambda name, value: _signed(name, value, 64),
    "Ulong": lambda name, value: unsigned(name, value, 32),
    "Ushort": lambda name, value: unsigned(name, value, 16),
    "Uchar": lambda name, value: unsigned(name, value, 8),
    "Size": lambda name, value: unsigned(name, value, current_kernel().arch.address_bits),
    "object": _as_given,
}
"""How a routine takes an argument, by the annotation of its parameter."""
