"""The images that are loaded: what lies where in them, and what their lines are called."""

from __future__ import annotations

from bisect import bisect_right
from functools import cached_property
from pathlib import Path

from lookaside_sim.drive.dwarf import Lines
from lookaside_sim.drive.pe import PeFile
from lookaside_sim.drive.pe_tables import Function, exports, functions, imports, symbols
from lookaside_sim.machine.call_site import CallSite
from lookaside_sim.machine.program import Image

_LONGEST_REACH = 0x10_0000
"""Bytes behind a symbol that are still shown as being in it."""


class LoadedImage:
    """An image in memory.

    Args:
        pe: the file.
        base: where it lies.
        name: of the driver.

    Attributes:
        pe: as given.
        base: as given.
        end: the first address behind it.
        name: as given.
        stem: the name without ``.sys``.
        owner: the driver, once it is made.
    """

    def __init__(self, pe: PeFile, base: int, name: str) -> None:
        self.pe = pe
        self.base = base
        self.end = base + pe.size
        self.name = name
        self.stem = name.rpartition(".")[0] or name
        self.owner: Image | None = None
        self._sites: dict[int, CallSite] = {}
        self._paths: dict[str, str] = {}
        self._code = [
            (base + each.rva, base + each.rva + each.size)
            for each in pe.sections
            if each.executable
        ]

    def holds(self, address: int) -> bool:
        """Whether an address lies in it."""
        return self.base <= address < self.end

    def holds_code(self, address: int) -> bool:
        """Whether an address lies in a section whose code may run."""
        return any(start <= address < end for start, end in self._code)

    @cached_property
    def symbols(self) -> dict[int, str]:
        """The name of what lies at each place, by its distance from the base."""
        return symbols(self.pe)

    @cached_property
    def _order(self) -> list[int]:
        return sorted(self.symbols)

    @cached_property
    def places(self) -> dict[str, int]:
        """Where in the image what has a name lies."""
        found = {name: rva for rva, name in sorted(self.symbols.items(), reverse=True)}
        return found | self.exports

    @cached_property
    def exports(self) -> dict[str, int]:
        """Where in the image what it exports lies."""
        return exports(self.pe)

    @cached_property
    def imported(self) -> frozenset[str]:
        """The names of what it imports."""
        return frozenset(each.name for each in imports(self.pe))

    @cached_property
    def import_slots(self) -> frozenset[int]:
        """Where in the image the addresses of what it imports go."""
        return frozenset(each.slot for each in imports(self.pe))

    def function_start(self, address: int) -> int:
        """Where the function begins that holds an address, by the symbols; 0 where they do not say."""
        at = bisect_right(self._order, address - self.base) - 1
        return self.base + self._order[at] if at >= 0 else 0

    @cached_property
    def functions(self) -> list[Function]:
        """Its functions, as it describes them for unwinding."""
        return functions(self.pe)

    def function_at(self, address: int) -> Function | None:
        """The function that holds an address."""
        rva = address - self.base
        at = bisect_right(self.functions, rva, key=lambda each: each.begin) - 1
        if at >= 0 and rva < self.functions[at].end:
            return self.functions[at]
        return None

    @cached_property
    def lines(self) -> Lines:
        """Its lines."""
        return Lines(self.pe)

    def name_of(self, address: int) -> str:
        """What lies at an address, as a debugger writes it."""
        rva = address - self.base
        name = self.symbols.get(rva)
        return f"{self.stem}!{name}" if name is not None else f"{self.stem}+{rva:#x}"

    def path_of(self, file: str) -> str:
        """Where a source file lies: where the compiler had it, or by the driver; "" for nowhere."""
        path = self._paths.get(file)
        if path is None:
            folder = self.pe.folder
            near = () if folder is None else (folder / file, folder.parent / file)
            known = self.lines.paths.get(file)
            there = [
                each for each in ((known,) if known else ()) + near if Path(each).is_file()
            ]
            path = self._paths[file] = str(there[0]) if file and there else ""
        return path

    def site_of(self, address: int, shown: int | None = None) -> CallSite:
        """The line of an instruction.

        Args:
            address: in the instruction.
            shown: the address that the site says; None for the same.
        """
        site = self._sites.get(address)
        if site is None:
            rva = address - self.base
            file, line = self.lines.at(rva)
            at = bisect_right(self._order, rva) - 1
            function = f"{self.stem}+{rva:#x}"
            if at >= 0 and rva - self._order[at] < _LONGEST_REACH:
                function = f"{self.stem}!{self.symbols[self._order[at]]}"
                if not line:
                    function += f"+{rva - self._order[at]:#x}"
            place = shown or address
            site = CallSite(file or self.name, line, function, place, self.path_of(file))
            self._sites[address] = site
        return site


class Images:
    """The images of one machine that are in memory."""

    def __init__(self) -> None:
        self._all: list[LoadedImage] = []

    def add(self, image: LoadedImage) -> None:
        """An image was loaded."""
        self._all.append(image)

    def at(self, address: int) -> LoadedImage | None:
        """The image that holds an address."""
        for each in self._all:
            if each.base <= address < each.end:
                return each
        return None

    def exported(self, library: str, name: str) -> int | None:
        """Where what an image exports lies; None where no loaded image of that name has it."""
        for each in self._all:
            is_loaded = each.owner is not None and each.owner.loaded
            if is_loaded and each.name.lower() == library.lower():
                rva = each.exports.get(name)
                return None if rva is None else each.base + rva
        return None
