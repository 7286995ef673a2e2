"""What exports find: the machine as compiled code sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import takewhile
from typing import Any, Final

from lookaside_sim.drive.processor import Processor
from lookaside_sim.drive.watch import Watch
from lookaside_sim.kernel import Kernel
from lookaside_sim.lookaside.list import LookasideList
from lookaside_sim.lookaside.place import InMemory

_LONGEST_TEXT: Final = 0x1_0000
_LOOK_AHEAD: Final = 128


class CompiledRoutine:
    """A routine of a driver's that lists call: as a callable, it runs the code at its address.

    Args:
        processor: what runs it.
        address: where it lies.
    """

    __slots__ = ("_processor", "address")

    def __init__(self, processor: Processor, address: int) -> None:
        self._processor = processor
        self.address = address

    def __call__(self, *arguments: Any) -> int:
        """Run it; lists are given as their addresses."""
        given = (int(getattr(each, "address", each)) for each in arguments)
        return self._processor.call_in_image(self.address, *given)

    def __repr__(self) -> str:
        return f"<CompiledRoutine {self._processor.name_of(self.address)}>"


class Environment:
    """What exports work on.

    Args:
        processor: what runs the code.

    Attributes:
        processor: as given.
        kernel: its machine.
        splits: whether an argument of 64 bits takes two slots.
        says: called with each text that a driver prints.
        export_address: gives the address of an export by its name, 0 for none.
        lists: the last list that compiled code initialized at each address.
        watch: makes the calls of inlined list code while somebody listens.
    """

    def __init__(self, processor: Processor) -> None:
        self.processor = processor
        self.kernel: Kernel = processor.kernel
        self.says = self.kernel.drivers.say
        self.pointer_size = self.kernel.arch.pointer_size
        self.splits = self.pointer_size == 4
        self.export_address: Callable[[str], int] = lambda name: 0
        self.lists: dict[int, LookasideList] = {}
        processor.stores.lists = self.lists
        self.watch = Watch(self)
        self._routines: dict[int, CompiledRoutine] = {}
        processor.when_called = self.watch.begin
        self.kernel.routines.elsewhere = self._code_at
        self._memory = self.kernel.memory

    # --- memory, as an export touches it for the driver ----------------------------------------

    def read(self, address: int, size: int) -> bytes:
        """Read memory as the program does."""
        return self.kernel.read(address, size)

    def write(self, address: int, data: bytes) -> None:
        """Write memory as the program does."""
        self.kernel.write(address, data)

    def number(self, address: int, size: int) -> int:
        """Read an integer without a sign."""
        return int.from_bytes(self.kernel.read(address, size), "little")

    def put(self, address: int, value: int, size: int) -> None:
        """Write an integer; what does not fit is cut off."""
        self.kernel.write(address, (value & (1 << 8 * size) - 1).to_bytes(size, "little"))

    def pointer(self, address: int) -> int:
        """Read a pointer."""
        return self.number(address, self.pointer_size)

    def put_pointer(self, address: int, value: int) -> None:
        """Write a pointer."""
        self.put(address, value, self.pointer_size)

    def text(self, address: int, width: int = 1, most: int = _LONGEST_TEXT) -> str:
        """Read characters up to one that is 0.

        Args:
            address: of the first one.
            width: bytes of a character, 1 or 2.
            most: characters that are read.
        """
        found = bytearray()
        end = -1
        while end < 0 and len(found) < most * width:
            # Look ahead first: what is behind the text may be another's, or nobody's.
            size = min(_LOOK_AHEAD, most * width - len(found))
            seen = self._memory.peek(address, size)
            here = bytes(takewhile(lambda each: each is not None, seen))  # type: ignore[arg-type]
            whole = len(here) - len(here) % width
            end = next(
                (at for at in range(0, whole, width) if not any(here[at : at + width])), -1
            )
            size = end + width if end >= 0 else whole or width
            found += self.kernel.read(address, size)[: end if end >= 0 else size]
            address += size
        return found.decode("latin-1" if width == 1 else "utf-16-le", "replace")

    def counted(self, address: int, width: int) -> str:
        """Read the text of a STRING (width 1) or UNICODE_STRING (width 2)."""
        size = self.number(address, 2)
        buffer = self.pointer(address + self.pointer_size)
        raw = self.read(buffer, size) if size else b""
        return raw.decode("latin-1" if width == 1 else "utf-16-le", "replace")

    def more_arguments(self, first: int) -> Iterator[int]:
        """The arguments of a variadic export from a slot on."""
        while True:
            yield self.processor.argument(first)
            first += 1

    def arguments_at(self, address: int) -> Iterator[int]:
        """The arguments that a va_list leads to."""
        while True:
            yield self.pointer(address)
            address += self.pointer_size

    # --- lists and routines --------------------------------------------------------------------

    def _code_at(self, address: int) -> CompiledRoutine | None:
        """The routine at an address in an image's code, or of an import."""
        image = self.processor.images.at(address)
        is_code = (
            self.processor.stubs.holds(address) if image is None else image.holds_code(address)
        )
        if not is_code:
            return None
        return CompiledRoutine(self.processor, address)

    def new_list(self, address: int) -> LookasideList:
        """Take memory for a list that is to be initialized."""
        place = InMemory(self.kernel.machine, address)
        made = LookasideList(self.kernel, self.processor.name_of(address), place)
        self.lists[address] = made
        return made

    def list_at(self, address: int) -> LookasideList:
        """The list that lies at an address, whatever it is."""
        found = self.kernel.list_at(address)
        return found if found.is_active else self.lists.get(address, found)

    def routine(
        self, address: int, *, older: bool, allocates: bool
    ) -> Callable[..., Any] | None:
        """A routine by its address, as the fields AllocateEx and FreeEx hold it.

        Args:
            address: of the routine.
            older: whether a list of the older families has it.
            allocates: whether it is an allocate routine.

        Returns:
            None for NULL, and for a default.
        """
        if not address:
            return None
        routines = self.kernel.routines
        if address in routines.default_allocates or address in routines.default_frees:
            return None
        found = self._routines.get(address)
        if found is None:
            found = self._routines[address] = CompiledRoutine(self.processor, address)
            routines.place_at(address, found)
            self.watch.watch_routine(address, older=older, allocates=allocates)
        return found
