"""What lies in memory beside drivers while their code runs: a stack, control blocks, shared data.

Nothing of it is more than compiled code looks at: the fields that macros of wdm.h read.

Source:
    [header] wdm.h (mingw-w64): KPCR, KUSER_SHARED_DATA. Choice: all addresses.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable
from functools import partial
from typing import Final

import attrs

from lookaside_sim.kernel import Kernel
from lookaside_sim.memory.notices import Changed
from lookaside_sim.memory.regions import Region
from lookaside_sim.nt.clock import BOOT_TIME, TICKS_A_SECOND, UNITS_A_SECOND
from lookaside_sim.nt.layouts import PAGE_SIZE

STACK_SIZE: Final = {"x64": 6 * PAGE_SIZE, "x86": 3 * PAGE_SIZE}
"""Bytes of a kernel stack. [doc] 24 KiB on x64, 12 KiB on x86."""


@attrs.frozen
class Places:
    """Where these things lie on one machine.

    Attributes:
        stack: lowest address of the stack; below it nothing is mapped.
        data: where objects lie that are the system's.
        data_size: bytes for them.
        shared: KUSER_SHARED_DATA.
    """

    stack: int
    data: int
    data_size: int
    shared: int


PLACES: Final = {
    "x64": Places(0xFFFF_FB00_0000_2000, 0xFFFF_FA80_0000_0000, 1 << 24, 0xFFFF_F780_0000_0000),
    "x86": Places(0xD000_2000, 0xC000_0000, 1 << 22, 0xFFDF_0000),
}

_SELF, _CURRENT_BLOCK, _BLOCK, _THREAD = 0x18, 0x20, 0x180, 0x188  # KPCR of x64
_NUMBER, _LEGACY_NUMBER, _NUMBER_86 = 0x1A4, 0x184, 0x51
_SELF_86, _CURRENT_BLOCK_86, _BLOCK_86, _THREAD_86 = 0x1C, 0x20, 0x120, 0x124
_TICK_MULTIPLIER, _INTERRUPT_TIME, _SYSTEM_TIME, _TICK_COUNT = 4, 8, 0x14, 0x320
_MAJOR, _MINOR = 0x26C, 0x270

_CODE, _DATA = 0x9B, 0x93  # access bytes of segments that are present
_WHOLE: Final = 0xFFFFF
_PAGES_32_BIT: Final = 0xC


class SystemMemory:
    """The system's memory of one machine that runs compiled code.

    Args:
        kernel: the machine.

    Attributes:
        stack_base: address behind the stack's highest byte.
        stack_limit: its lowest address.
        processor_block: the KPCR.
        descriptors: the table of segment descriptors, on x86.
        told: what changes without a store: by its address a buffer, and what says how much of
            it is in use.
    """

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        arch = kernel.arch
        self._pointer_size = arch.pointer_size
        places = PLACES[arch.name]
        stack = Region(places.stack, STACK_SIZE[arch.name])
        self._data = Region(places.data, places.data_size)
        self._shared = Region(places.shared, PAGE_SIZE, writable=False)
        for each in (stack, self._data, self._shared):
            kernel.memory.map(each)
        self._next = places.data
        self.told: dict[int, tuple[bytearray | mmap.mmap, Callable[[], int]]] = {
            stack.address: (stack.data, partial(len, stack.data)),
            self._data.address: (self._data.data, self._used),
            self._shared.address: (self._shared.data, partial(len, self._shared.data)),
        }
        self.stack = stack
        self.stack_limit, self.stack_base = stack.address, stack.end
        self.processor_block = self.place(0x3000, PAGE_SIZE)
        self.descriptors = self.place(PAGE_SIZE, PAGE_SIZE)
        self._fill_blocks()
        self.tell_who_runs()

    def _used(self) -> int:
        return self._next - self._data.address

    def place(self, size: int, alignment: int = 16) -> int:
        """Make room for an object of the system's; zeros.

        Args:
            size: bytes.
            alignment: a power of two, in bytes.

        Returns:
            Its address.

        Raises:
            MemoryError: there is no more room.
        """
        address = -(-self._next // alignment) * alignment
        if address + size > self._data.end:
            raise MemoryError("no room is left for objects of the system's")
        self._next = address + size
        return address

    def put(self, address: int, data: bytes) -> None:
        """Write an object of the system's; no call is told."""
        memory = self._kernel.memory
        memory.write(address, data)
        memory.notice(Changed.BYTES, address, len(data))

    def put_pointer(self, address: int, value: int) -> None:
        """Write one pointer of it."""
        self.put(address, value.to_bytes(self._pointer_size, "little"))

    def stack_put(self, address: int, value: int) -> None:
        """Write one pointer on the stack.

        Raises:
            ValueError: it would not lie there.
        """
        at, size = address - self.stack.address, self._pointer_size
        if not 0 <= at <= self.stack.size - size:
            raise ValueError(f"address {address:#x}: it does not lie on the stack")
        self.stack.data[at : at + size] = value.to_bytes(size, "little")
        self._kernel.memory.notice(Changed.BYTES, address, size)

    def unicode_string(self, text: str) -> int:
        """Make a UNICODE_STRING; returns its address."""
        raw = text.encode("utf-16-le")
        buffer = self.place(len(raw) + 2)
        self.put(buffer, raw)
        address = self.place(16)
        lengths = len(raw).to_bytes(2, "little") + (len(raw) + 2).to_bytes(2, "little")
        self.put(address, lengths)
        self.put_pointer(address + self._pointer_size, buffer)
        return address

    def _fill_blocks(self) -> None:
        block, put = self.processor_block, self.put_pointer
        if self._pointer_size == 8:
            put(block + _SELF, block)
            put(block + _CURRENT_BLOCK, block + _BLOCK)
            return
        put(block + _SELF_86, block)
        put(block + _CURRENT_BLOCK_86, block + _BLOCK_86)
        segments = (0, _segment(0, _CODE), _segment(0, _DATA), _segment(block, _DATA))
        self.put(self.descriptors, b"".join(each.to_bytes(8, "little") for each in segments))

    def tell_who_runs(self) -> None:
        """Let the blocks say which processor and thread run, and KUSER_SHARED_DATA what time it is."""
        kernel, wide = self._kernel, self._pointer_size == 8
        start = self.processor_block - self._data.address
        size = self._pointer_size
        _put(
            self._data.data,
            start + (_THREAD if wide else _THREAD_86),
            kernel.threads.current,
            size,
        )
        for at in (_NUMBER, _LEGACY_NUMBER) if wide else (_NUMBER_86,):
            _put(self._data.data, start + at, kernel.processor, 1)
        self._tell_time()

    def _tell_time(self) -> None:
        data, seconds = self._shared.data, self._kernel.seconds
        ticks = seconds * TICKS_A_SECOND
        _put(data, _TICK_MULTIPLIER, (1 << 24) * 1000 // TICKS_A_SECOND, 4)
        units = seconds * UNITS_A_SECOND
        for at, value in ((_INTERRUPT_TIME, units), (_SYSTEM_TIME, BOOT_TIME + units)):
            _put(data, at, value & 0xFFFF_FFFF_FFFF_FFFF, 8)
            _put(data, at + 8, value >> 32, 4)
        _put(data, _TICK_COUNT, ticks, 8)
        _put(data, _TICK_COUNT + 8, ticks >> 32, 4)
        _put(data, _MAJOR, 10, 4)
        _put(data, _MINOR, 0, 4)


def _put(data: object, at: int, value: int, size: int) -> None:
    memoryview(data)[at : at + size] = value.to_bytes(size, "little")  # type: ignore[arg-type]


def _segment(base: int, access: int) -> int:
    """A descriptor of a 32-bit segment of 4 GiB."""
    return (
        _WHOLE & 0xFFFF
        | (base & 0xFFFFFF) << 16
        | access << 40
        | _WHOLE >> 16 << 48
        | _PAGES_32_BIT << 52
        | (base >> 24) << 56
    )
