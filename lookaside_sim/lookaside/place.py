"""Where the fields of a list lie between two calls.

A list in a driver's data of its own is the object: its place is None, its fields are the memory,
and a hit touches nothing else. A list inside memory that somebody else owns, such as a pool block, is
not kept in the object, since whoever frees or overwrites that memory changes the list: each
routine *fetches* the fields, works on them and *puts them back*, and in between the object
*rests*: its fields look like those of a list that is empty and full at once, so that no call
can take a hot path.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from lookaside_sim.errors import LookasideSimError
from lookaside_sim.lookaside.fields import ListFields

if TYPE_CHECKING:
    from lookaside_sim.kernel import Kernel


class Resting(Protocol):
    """A list, as its place sees it."""

    def load_image(self, image: bytes) -> None:
        """Take every field over from the structure's bytes."""

    def store_image(self) -> bytes:
        """Render the fields."""

    def rest(self) -> None:
        """Let no call take a hot path."""


class InMemory:
    """The fields are bytes that somebody else owns.

    Args:
        kernel: whose memory.
        address: where.
    """

    __slots__ = ("_address", "_kernel", "links_are_known")

    def __init__(self, kernel: Kernel, address: int, *, links_are_known: bool = False) -> None:
        self._kernel = kernel
        self._address = address
        self.links_are_known = links_are_known

    @property
    def is_mapped(self) -> bool:
        """Whether there still is memory."""
        return self._kernel.memory.is_mapped(self._address, self._kernel.arch.lookaside_size)

    def fetch(self, of: Resting) -> None:
        """Read the fields, as code that runs on the machine does."""
        kernel, size = self._kernel, self._kernel.arch.lookaside_size
        if kernel.verification is not None:
            kernel.verification.check_touch(self._address, size, 0, by_driver=False)
        of.load_image(kernel.memory.read(self._address, size))

    def put_back(self, of: Resting) -> None:
        """Write the fields, and let the object rest."""
        self._kernel.memory.write(self._address, of.store_image())
        of.rest()

    def look(self) -> bytes:
        """Read the structure as a debugger does: that it is gone does not stop the machine."""
        if not self.is_mapped:
            raise LookasideSimError(
                f"the pool block with the lookaside list at {self._address:#x} was freed, and"
                " nothing is mapped there any more"
            )
        return self._kernel.memory.read(self._address, self._kernel.arch.lookaside_size)

    def fields(self) -> ListFields:
        """The fields as they lie there now."""
        return ListFields.of_image(self._kernel.arch, self.look())
