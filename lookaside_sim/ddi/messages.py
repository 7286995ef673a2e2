"""What a driver says: DbgPrint and its like; import them from `lookaside_sim.ddi`.

What a driver says is in its `Driver.log`; what code outside any driver says is in `Drivers.log`.

Source:
    [doc] DbgPrint, KdPrint. Choice: drivers count as built checked, so KdPrint prints, and every
    component is enabled for DbgPrintEx.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from lookaside_sim.ddi.arguments import Text, address_of
from lookaside_sim.ddi.printf import formatted
from lookaside_sim.kernel import current_kernel
from lookaside_sim.nt.arguments import shown, unsigned
from lookaside_sim.nt.types import NtStatus

__all__ = ["DbgPrint", "DbgPrintEx", "KdPrint", "KdPrintEx"]


def DbgPrint(Format: Text, *Arguments: Any) -> NtStatus:
    """Print a text.

    Args:
        Format: as C's printf has it, with ``%wZ`` for a UNICODE_STRING: a text, or its address.
        *Arguments: integers, addresses, and what stands for them; for ``%s`` and ``%ws`` also texts.

    Returns:
        STATUS_SUCCESS.

    Raises:
        TypeError: too few arguments, or one that C could not pass there.
    """
    kernel = current_kernel()
    kernel.check_running()
    env = _Reader()
    text = Format if isinstance(Format, str) else env.text(address_of("Format", Format))
    kernel.drivers.say(formatted(env, text, _taken(text, Arguments)))
    return NtStatus.STATUS_SUCCESS


def DbgPrintEx(ComponentId: int, Level: int, Format: Text, *Arguments: Any) -> NtStatus:
    """Print a text; see `DbgPrint`.

    Args:
        ComponentId: has no effect.
        Level: has no effect.
        Format: as for `DbgPrint`.
        *Arguments: likewise.
    """
    unsigned("ComponentId", ComponentId, 32)
    unsigned("Level", Level, 32)
    return DbgPrint(Format, *Arguments)


KdPrint = DbgPrint
KdPrintEx = DbgPrintEx


def _taken(text: str, given: Sequence[Any]) -> Iterator[int | str]:
    """The arguments behind a format, each when it is asked for."""
    for index, each in enumerate(given):
        if isinstance(each, str):
            yield each
            continue
        value = getattr(each, "address", each)
        if isinstance(value, bool):
            value = int(value)
        if not isinstance(value, int):
            raise TypeError(
                f"argument {index} {shown(each)}: give an integer, an address or a text"
            )
        yield value
    raise TypeError(f"Format {shown(text)}: it asks for more than {len(given)} arguments")


class _Reader:
    """Reads the texts that arguments lead to, as NT's own code does."""

    splits = False

    def __init__(self) -> None:
        kernel = current_kernel()
        self.pointer_size = kernel.arch.pointer_size
        self._memory = kernel.memory

    def text(self, address: int, width: int = 1, most: int = 0x1_0000) -> str:
        """Read characters up to one that is 0."""
        found = bytearray()
        while len(found) < most * width:
            character = self._memory.read(address + len(found), width)
            if not any(character):
                break
            found += character
        return found.decode("latin-1" if width == 1 else "utf-16-le", "replace")

    def counted(self, address: int, width: int) -> str:
        """Read the text of an ANSI_STRING or UNICODE_STRING."""
        size = int.from_bytes(self._memory.read(address, 2), "little")
        buffer = self._memory.read_pointer(address + self.pointer_size)
        raw = self._memory.read(buffer, size) if size else b""
        return raw.decode("latin-1" if width == 1 else "utf-16-le", "replace")
