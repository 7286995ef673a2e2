"""A touch of memory: what it is about to do, and why it can fail."""

from __future__ import annotations

from enum import Enum
from typing import Final, NoReturn, Protocol

READ: Final = 0
WRITE: Final = 2
EXECUTE: Final = 0x10
"""Operations, as PAGE_FAULT_IN_NONPAGED_AREA reports them on Windows 10."""


class Reason(Enum):
    """Why a touch failed."""

    UNMAPPED = "nothing is mapped there"
    NOT_PERMITTED = "the page does not permit it"


class TouchFault(Protocol):
    """What memory calls for a touch that fails; it does not return."""

    def __call__(
        self, address: int, operation: int, reason: Reason = Reason.UNMAPPED, /
    ) -> NoReturn:
        """Stop the machine, or raise.

        Args:
            address: the first one that could not be touched.
            operation: READ, WRITE or EXECUTE.
            reason: why not; left out where nothing is mapped.
        """
