"""C's types as fields have them: integers, pointers, arrays; `lookaside_sim.ddi.structures` builds on them.

A type knows its size and alignment on both machines, and how the program reads and writes a
value of it at an address.

Source:
    [doc] Windows Data Types; LLP64: a LONG has 32 bits on both machines. [header] basetsd.h.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, Protocol

from lookaside_sim.kernel import current_kernel
from lookaside_sim.lookaside.list import LookasideList
from lookaside_sim.lookaside.routines import Routines
from lookaside_sim.nt.arguments import integer, shown
from lookaside_sim.nt.layouts import Architecture

__all__ = [
    "BOOLEAN",
    "CHAR",
    "DWORD",
    "HANDLE",
    "INT",
    "KIRQL",
    "KSPIN_LOCK",
    "LARGE_INTEGER",
    "LONG",
    "LONG64",
    "LONGLONG",
    "LONG_PTR",
    "NTSTATUS",
    "PVOID",
    "SHORT",
    "SIZE_T",
    "UCHAR",
    "UINT",
    "ULONG",
    "ULONG64",
    "ULONGLONG",
    "ULONG_PTR",
    "USHORT",
    "WCHAR",
    "sizeof",
]


class Toucher(Protocol):
    """Who reads and writes fields: a `Kernel` for the program, or NT's own code."""

    @property
    def arch(self) -> Architecture:
        """The machine's layouts."""

    @property
    def routines(self) -> Routines:
        """The addresses of routines."""

    def read(self, address: int, size: int) -> bytes:
        """Read memory."""

    def write(self, address: int, data: bytes) -> None:
        """Write memory."""

    def list_at(self, address: int) -> LookasideList:
        """The list at an address."""


class FieldType:
    """A C type. Times a number it is an array, as in ``WCHAR * 16``.

    Args:
        name: as C spells it.
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def size_on(self, arch: Architecture) -> int:
        """Bytes of a value on a machine."""
        raise NotImplementedError

    def alignment_on(self, arch: Architecture) -> int:
        """What its address is a multiple of, in bytes."""
        raise NotImplementedError

    def load(self, kernel: Toucher, address: int) -> Any:
        """Read a value as the program does."""
        raise NotImplementedError

    def store(self, kernel: Toucher, address: int, value: Any) -> None:
        """Write a value as the program does."""
        raise NotImplementedError

    def __mul__(self, count: int) -> ArrayType:
        return ArrayType(self, count)

    def __repr__(self) -> str:
        return self.name


class IntegerType(FieldType):
    """An integer, or a pointer, which is an address.

    Args:
        name: as C spells it.
        size: bytes; 0 for those of a pointer.
        signed: whether it has a sign.
    """

    __slots__ = ("_signed", "_size")

    def __init__(self, name: str, size: int, *, signed: bool = False) -> None:
        super().__init__(name)
        self._size = size
        self._signed = signed

    def size_on(self, arch: Architecture) -> int:
        """Bytes of a value on a machine."""
        return self._size or arch.pointer_size

    alignment_on = size_on

    def load(self, kernel: Toucher, address: int) -> int:
        """Read an integer."""
        raw = kernel.read(address, self.size_on(kernel.arch))
        return int.from_bytes(raw, "little", signed=self._signed)

    def store(self, kernel: Toucher, address: int, value: Any) -> None:
        """Write an integer, or the address of what has one; into a pointer also of a routine.

        Raises:
            TypeError: neither.
            ValueError: more bits than the type has; a sign may be missing or given.
        """
        size = self.size_on(kernel.arch)
        if isinstance(value, bool):
            value = int(value)
        if not self._size and callable(value):
            value = kernel.routines.address_of(value)
        number = integer(self.name, getattr(value, "address", value))
        if not -(1 << 8 * size - 1) <= number < 1 << 8 * size:
            raise ValueError(f"{self.name} {shown(number)}: give {8 * size} bits")
        kernel.write(address, (number & (1 << 8 * size) - 1).to_bytes(size, "little"))


class ArrayType(FieldType):
    """So many values of one type.

    Args:
        of: their type.
        count: how many.

    Raises:
        TypeError, ValueError: no number of 1 or more.
    """

    __slots__ = ("count", "of")

    def __init__(self, of: FieldType, count: int) -> None:
        self.of = of
        self.count = integer("count", count)
        if self.count < 1:
            raise ValueError(f"count {self.count}: give 1 or more")
        super().__init__(f"{of.name}[{self.count}]")

    def size_on(self, arch: Architecture) -> int:
        """Bytes of all of them."""
        return self.count * self.of.size_on(arch)

    def alignment_on(self, arch: Architecture) -> int:
        """That of one."""
        return self.of.alignment_on(arch)

    def load(self, kernel: Toucher, address: int) -> Array:
        """The array at an address."""
        return Array(self, kernel, address)

    def store(self, kernel: Toucher, address: int, value: Any) -> None:
        """Write the first values, or raw bytes.

        Raises:
            ValueError: more than it has room for.
        """
        if isinstance(value, (bytes, bytearray)):
            if len(value) > self.size_on(kernel.arch):
                raise ValueError(
                    f"{len(value)} bytes: give at most the {self.size_on(kernel.arch)} of {self}"
                )
            kernel.write(address, bytes(value))
            return
        values: Sequence[Any] = list(value)
        if len(values) > self.count:
            raise ValueError(f"{len(values)} values: give at most {self.count}, for {self}")
        for at, each in enumerate(values):
            self.of.store(kernel, address + at * self.of.size_on(kernel.arch), each)


class Array:
    """An array in memory. Its address is that of its first item.

    Args:
        type: of the array.
        kernel: the machine.
        address: where it lies.

    Attributes:
        address: as given.
    """

    __slots__ = ("_kernel", "_type", "address")

    def __init__(self, type: ArrayType, kernel: Toucher, address: int) -> None:
        self._type = type
        self._kernel = kernel
        self.address = address

    def __len__(self) -> int:
        return self._type.count

    def _place(self, index: int) -> int:
        number = integer("index", index)
        if not 0 <= number < self._type.count:
            raise IndexError(f"index {number}: give 0 to {self._type.count - 1}")
        return self.address + number * self._type.of.size_on(self._kernel.arch)

    def __getitem__(self, index: int) -> Any:
        return self._type.of.load(self._kernel, self._place(index))

    def __setitem__(self, index: int, value: Any) -> None:
        self._type.of.store(self._kernel, self._place(index), value)

    def __iter__(self) -> Iterator[Any]:
        return (self[index] for index in range(len(self)))

    def __bytes__(self) -> bytes:
        return self._kernel.read(self.address, self._type.size_on(self._kernel.arch))

    def __repr__(self) -> str:
        return f"<{self._type} at {self.address:#x}>"


UCHAR: Final = IntegerType("UCHAR", 1)
CHAR: Final = IntegerType("CHAR", 1, signed=True)
BOOLEAN: Final = IntegerType("BOOLEAN", 1)
KIRQL: Final = IntegerType("KIRQL", 1)
USHORT: Final = IntegerType("USHORT", 2)
SHORT: Final = IntegerType("SHORT", 2, signed=True)
WCHAR: Final = IntegerType("WCHAR", 2)
ULONG: Final = IntegerType("ULONG", 4)
LONG: Final = IntegerType("LONG", 4, signed=True)
UINT: Final = IntegerType("UINT", 4)
INT: Final = IntegerType("INT", 4, signed=True)
DWORD: Final = IntegerType("DWORD", 4)
NTSTATUS: Final = IntegerType("NTSTATUS", 4)
ULONGLONG: Final = IntegerType("ULONGLONG", 8)
ULONG64: Final = IntegerType("ULONG64", 8)
LONGLONG: Final = IntegerType("LONGLONG", 8, signed=True)
LONG64: Final = IntegerType("LONG64", 8, signed=True)
LARGE_INTEGER: Final = IntegerType("LARGE_INTEGER", 8, signed=True)
PVOID: Final = IntegerType("PVOID", 0)
HANDLE: Final = IntegerType("HANDLE", 0)
SIZE_T: Final = IntegerType("SIZE_T", 0)
ULONG_PTR: Final = IntegerType("ULONG_PTR", 0)
LONG_PTR: Final = IntegerType("LONG_PTR", 0, signed=True)
KSPIN_LOCK: Final = IntegerType("KSPIN_LOCK", 0)


def sizeof(type: FieldType) -> int:
    """Bytes of a value of a type, on the current kernel's machine."""
    return type.size_on(current_kernel().arch)
