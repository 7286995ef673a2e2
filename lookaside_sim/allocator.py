"""A typed, fixed-size allocator in front of one lookaside list, after the crate win-lookaside.

What it adds to a `LookasideList`: the layout of every request must be the one given to
`LookasideAllocator.init`, growing and shrinking are refused, and destroying is safe to
repeat. The crate trusts the caller in all three: a larger layout overruns the block there,
and an explicit ``destroy`` followed by the drop of the value deletes the list twice, which
stops the machine.

The crate serializes its calls with a spinning mutex that leaves the IRQL alone. One kernel
here runs one call at a time, so there is nothing to take.

Source:
    docs/sources.md, lists section 10; the documentation of the crate win-lookaside 0.1.0.
"""

from __future__ import annotations

import ctypes
import operator
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self

import attrs

from lookaside_sim.errors import (
    AllocError,
    InitError,
    LayoutError,
    LookasideSimError,
    NotSupportedError,
)
from lookaside_sim.lookaside.list import LookasideList
from lookaside_sim.lookaside.routines import AllocateRoutine, FreeRoutine
from lookaside_sim.nt.arguments import unsigned
from lookaside_sim.nt.types import NtStatus, PoolTag, PoolType, TagLike

if TYPE_CHECKING:
    from lookaside_sim.kernel import Kernel

DEFAULT_TAG: Final = PoolTag(b"srLL")
"""Tag of a list that was given none; ``'LLrs'`` as a C literal."""


@attrs.frozen
class Layout:
    """Size and alignment of a value.

    Args:
        size: bytes, 0 or more.
        align: alignment in bytes, a power of two.

    Raises:
        LayoutError: a negative size, or an alignment that is no power of two.
    """

    size: int = attrs.field(converter=operator.index)
    align: int = attrs.field(default=1, converter=operator.index)

    def __attrs_post_init__(self) -> None:
        if self.size < 0:
            raise LayoutError(f"size {self.size}: give 0 bytes or more")
        if self.align < 1 or self.align & (self.align - 1):
            raise LayoutError(f"alignment {self.align}: give a power of two")

    @classmethod
    def for_type(cls, ctype: Any) -> Layout:
        """The layout of a ctypes type.

        Args:
            ctype: a ctypes type, such as ``ctypes.c_uint32`` or a Structure.

        Raises:
            TypeError: no ctypes type.
        """
        return cls(ctypes.sizeof(ctype), ctypes.alignment(ctype))


@attrs.frozen
class Allocation:
    """What `LookasideAllocator.allocate` hands out.

    Attributes:
        pointer: address of the memory.
        layout: the layout it was asked for with.
    """

    pointer: int
    layout: Layout


class LookasideAllocator:
    """The crate's ``LookasideAlloc``: not initialized until `init`.

    As a context manager it destroys itself on exit.

    Args:
        kernel: the machine to allocate on.
        name: symbol of its list, as `LookasideList` takes it.
        address: where its list lies, likewise.
    """

    def __init__(self, kernel: Kernel, *, name: str = "", address: int | None = None) -> None:
        self._kernel = kernel
        self._lookaside = LookasideList(kernel, name, address)
        self._size: int | None = None
        self._was_destroyed = False

    def init(
        self,
        size: int,
        pool_type: PoolType | int,
        tag: TagLike | None = None,
        flags: int | None = None,
        allocate: AllocateRoutine | None = None,
        free: FreeRoutine | None = None,
    ) -> None:
        """Initialize the list; from now on ``size`` is the only size.

        Args:
            size: bytes of every allocation; 0 is allowed.
            pool_type: pool the entries come from.
            tag: pool tag, None for ``srLL``.
            flags: as ExInitializeLookasideListEx takes them, None for 0.
            allocate: the list's allocate routine, None for the default.
            free: the list's free routine, None for the default.

        Raises:
            InitError: the status ExInitializeLookasideListEx failed with, or
                STATUS_ALREADY_INITIALIZED when the list is in use (NT would corrupt its
                system-wide list).
            TypeError, ValueError: an argument no caller could pass.
        """
        self._kernel.check_running()
        if self._size is not None:
            raise InitError(
                NtStatus.STATUS_ALREADY_INITIALIZED, "the allocator is initialized already"
            )
        size = unsigned("size", size, 32)  # more than the list's field keeps would be cut
        status = self._lookaside.initialize(
            pool_type=pool_type,
            size=size,
            tag=DEFAULT_TAG if tag is None else tag,
            flags=0 if flags is None else flags,
            allocate=allocate,
            free=free,
        )
        if not status.is_success:
            raise InitError(status, "the lookaside list could not be initialized")
        self._size = size
        self._was_destroyed = False

    def alloc(self) -> int | None:
        """Take one entry.

        Returns:
            Its address, or None when there is no memory left.

        Raises:
            LookasideSimError: not initialized, or destroyed.
        """
        self._check_initialized()
        return self._lookaside.allocate()

    def free(self, pointer: int | None) -> None:
        """Give one entry back.

        Args:
            pointer: what `alloc` or `allocate` gave.

        Raises:
            LookasideSimError: not initialized, or destroyed.
        """
        self._check_initialized()
        self._lookaside.free(pointer)

    def allocate(self, layout: Layout) -> Allocation:
        """Allocate memory for a layout.

        Args:
            layout: its size must be the one given to `init`, its alignment at most 16 on
                x64 or 8 on x86.

        Returns:
            The allocation.

        Raises:
            LayoutError: another layout; nothing was touched.
            AllocError: there is no memory left.
            LookasideSimError: not initialized, or destroyed.
        """
        self._check_layout(layout)
        pointer = self.alloc()
        if pointer is None:
            raise AllocError(f"no memory left for {layout.size} bytes")
        return Allocation(pointer, layout)

    def deallocate(self, pointer: int, layout: Layout) -> None:
        """Give memory back that `allocate` gave.

        Args:
            pointer: the allocation's.
            layout: the one it was allocated with.

        Raises:
            LayoutError: a layout it cannot have been allocated with; nothing was touched.
            LookasideSimError: not initialized, or destroyed.
        """
        self._check_layout(layout)
        self._lookaside.free(pointer)

    def grow(self, pointer: int, old_layout: Layout, new_layout: Layout) -> NoReturn:
        """Refuse: an entry has one size. The allocation stays as it is.

        Raises:
            NotSupportedError: always.
        """
        self._refuse()

    def grow_zeroed(self, pointer: int, old_layout: Layout, new_layout: Layout) -> NoReturn:
        """Refuse, as `grow` does.

        Raises:
            NotSupportedError: always.
        """
        self._refuse()

    def shrink(self, pointer: int, old_layout: Layout, new_layout: Layout) -> NoReturn:
        """Refuse, as `grow` does.

        Raises:
            NotSupportedError: always.
        """
        self._refuse()

    def box(self, value: bytes) -> Box:
        """Allocate memory for a value and write the value there.

        Args:
            value: as many bytes as given to `init`.

        Returns:
            The owner of the memory.

        Raises:
            LayoutError: another number of bytes; nothing was touched.
            AllocError: there is no memory left.
            LookasideSimError: not initialized, or destroyed.
        """
        value = bytes(memoryview(value))
        pointer = self.allocate(Layout(len(value))).pointer
        self._kernel.write(pointer, value)
        return Box.from_raw(pointer, self)

    def destroy(self) -> None:
        """Delete the list; repeated, or before `init`, it does nothing.

        The crate's own ``destroy`` leaves its mark set, so its drop deletes the list a second
        time, which NT stops the machine for (KERNEL_SECURITY_CHECK_FAILURE, 3).
        """
        self._kernel.check_running()
        if self._size is not None:
            self._lookaside.delete()
            self._size = None
            self._was_destroyed = True

    @property
    def lookaside(self) -> LookasideList:
        """The list behind it."""
        return self._lookaside

    @property
    def layout(self) -> Layout:
        """The one layout `allocate` serves: the size given to `init`, the largest alignment.

        Raises:
            LookasideSimError: not initialized, or destroyed.
        """
        return Layout(self._check_initialized(), self._kernel.arch.maximum_alignment)

    @property
    def kernel(self) -> Kernel:
        """The machine it allocates on."""
        return self._kernel

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._kernel.bugcheck is None:
            self.destroy()

    def _refuse(self) -> NoReturn:
        self._kernel.check_running()
        raise NotSupportedError("Not supported")

    def _check_initialized(self) -> int:
        self._kernel.check_running()
        if self._size is None:
            raise LookasideSimError(
                "the allocator was destroyed: its list takes nothing back and has nothing left"
                if self._was_destroyed
                else "the allocator is not initialized: call init first"
            )
        return self._size

    def _check_layout(self, layout: Layout) -> None:
        served = self.layout
        if layout.size != served.size:
            raise LayoutError(
                f"{layout.size} bytes: this list serves {served.size} bytes and nothing else"
            )
        if layout.align > served.align:
            raise LayoutError(
                f"alignment {layout.align}: entries are aligned to {served.align} bytes"
            )


class Box:
    """Owns the memory of one value; as a context manager it gives it back on exit.

    Made by `LookasideAllocator.box` or `Box.from_raw`.
    """

    __slots__ = ("_allocator", "_pointer")

    def __init__(self, pointer: int, allocator: LookasideAllocator) -> None:
        self._allocator = allocator
        self._pointer: int | None = pointer

    @classmethod
    def from_raw(cls, pointer: int, allocator: LookasideAllocator) -> Box:
        """Take ownership of memory again that `into_raw` let go.

        Args:
            pointer: its address.
            allocator: where it came from; never checked, as in Rust.
        """
        return cls(pointer, allocator)

    @property
    def pointer(self) -> int:
        """Address of the value.

        Raises:
            LookasideSimError: the box no longer owns it.
        """
        if self._pointer is None:
            raise LookasideSimError("the box is empty: its memory was given back or let go")
        return self._pointer

    @property
    def value(self) -> bytes:
        """The value's bytes now.

        Raises:
            LookasideSimError: the box no longer owns it.
        """
        allocator = self._allocator
        return allocator.kernel.read(self.pointer, allocator.layout.size)

    def into_raw(self) -> int:
        """Let the memory go without giving it back.

        Returns:
            Its address; whoever has it must free it.

        Raises:
            LookasideSimError: the box no longer owns it.
        """
        pointer = self.pointer
        self._pointer = None
        return pointer

    def close(self) -> None:
        """Give the memory back; repeated, it does nothing."""
        if self._pointer is not None:
            self._allocator.free(self._pointer)
            self._pointer = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._allocator.kernel.bugcheck is None:
            self.close()
