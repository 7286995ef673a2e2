"""The code of a compiled driver in a replay: its names, and what it did; no processor runs it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from lookaside_sim.drive.images import LoadedImage
from lookaside_sim.drive.pe import PeFile
from lookaside_sim.errors import LookasideSimError
from lookaside_sim.system.drivers import Driver


class RecordedCode:
    """What `lookaside_sim.drive.code.ImageCode` is on a machine that runs the code.

    Args:
        pe: the file.
        base: where the image lies.

    Attributes:
        log: empty: what the code printed was not recorded.
        driver_object: 0.
        missing: empty.
    """

    def __init__(self, pe: PeFile, base: int) -> None:
        self._image = LoadedImage(pe, base, pe.name)
        self.log: list[str] = []
        self.driver_object = 0
        self.missing: dict[str, int] = {}

    def _refuse(self) -> NoReturn:
        raise LookasideSimError(
            f"the recording has what the code of {self._image.name} did, and no processor runs it:"
            " load the file with Kernel.load_image to call it"
        )

    def check_entry(self) -> None:
        """Refuse."""
        self._refuse()

    def start(self, driver: Driver) -> int:
        """Refuse."""
        self._refuse()

    def unload(self) -> None:
        """Refuse."""
        self._refuse()

    def call(self, address: int, *arguments: int) -> int:
        """Refuse."""
        self._refuse()

    def add_export(self, name: str, function: Callable[..., Any]) -> None:
        """Refuse."""
        self._refuse()

    def run_queued(self) -> int:
        """Refuse."""
        self._refuse()

    def place_of(self, symbol: str) -> int | None:
        """The address of a symbol."""
        rva = self._image.places.get(symbol)
        return None if rva is None else self._image.base + rva

    def name_of(self, address: int) -> str:
        """What lies at an address; empty outside of the image."""
        return self._image.name_of(address) if self._image.holds(address) else ""

    @property
    def symbols(self) -> Sequence[str]:
        """The names of what lies in the image."""
        return sorted(self._image.places)
