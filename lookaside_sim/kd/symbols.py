"""What has a name on a machine: its lists and their fields, its routines, its drivers.

Names are found whatever their case, as the debugger finds them, with or without the module
before the exclamation mark. Choice: a field follows its list with a dot, ``Requests.Depth``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

import attrs

from lookaside_sim.kernel import Kernel
from lookaside_sim.lookaside.list import LookasideList
from lookaside_sim.machine.program import Image
from lookaside_sim.system.compiled import CompiledDriver

NT: Final = "nt"
_LIST_HEAD_FIELDS: Final = ("ListHead", "ListHead.Depth", "ListHead.Next")


@attrs.frozen
class Symbol:
    """A name and what it stands for.

    Attributes:
        name: with its module, where it has one.
        address: where it begins.
        size: bytes of it.
    """

    name: str
    address: int
    size: int

    def at(self, address: int) -> str:
        """How an address in it is written."""
        offset = address - self.address
        return f"{self.name}+0x{offset:x}" if offset else self.name


class Symbols:
    """The names of one machine, as they are now.

    Args:
        kernel: the machine; only looked at.
        elsewhere: names of lists by address that it has at another time, perhaps.
    """

    def __init__(self, kernel: Kernel, elsewhere: Mapping[int, str] | None = None) -> None:
        self._kernel = kernel
        self._elsewhere = elsewhere or {}

    # --- what there is -------------------------------------------------------------------------

    def lists(self) -> list[LookasideList]:
        """Every list there is an object for, active or not, by address."""
        kernel = self._kernel
        found = {each.address: each for each in self._structures()}
        for each in kernel.lists.registry.all():
            if isinstance(each, LookasideList):
                found[each.address] = each
        return [found[address] for address in sorted(found)]

    def _structures(self) -> Iterator[LookasideList]:
        for each in self._kernel.memory.structures():
            if isinstance(each, LookasideList):
                yield each

    def list_at(self, address: int) -> LookasideList | None:
        """The list that begins at an address, None for none."""
        return next((each for each in self.lists() if each.address == address), None)

    def all(self) -> list[Symbol]:
        """Every symbol, by address."""
        kernel = self._kernel
        size = 2 * kernel.arch.pointer_size
        routines, registry = kernel.routines, kernel.registry
        found = [
            Symbol("nt!ExAllocatePoolWithTag", each, 1) for each in routines.default_allocates
        ]
        found += [Symbol("nt!ExFreePool", each, 1) for each in routines.default_frees]
        found += [
            Symbol("nt!ExNPagedLookasideListHead", registry.nonpaged.address, size),
            Symbol("nt!ExPagedLookasideListHead", registry.paged.address, size),
        ]
        lists = self.lists()
        found += [
            Symbol(self.name_of(each), each.address, each.image_size)
            for each in lists
            if each.name
        ]
        here = {each.address for each in lists}
        found += [
            Symbol(name, address, kernel.arch.lookaside_size)
            for address, name in self._elsewhere.items()
            if name and address not in here
        ]
        for image in kernel.drivers.all:
            if isinstance(image, CompiledDriver) and image.loaded:
                module = module_name(image)
                found += [
                    Symbol(f"{module}!{name}", image.address_of(name), 1)
                    for name in image.symbols
                ]
        # A list in a compiled driver has the name of the symbol there: it counts once.
        known = {(each.address, each.name): each for each in reversed(found)}
        return [known[each] for each in sorted(known)]

    def modules(self) -> list[Image]:
        """The drivers that are loaded, in that order."""
        return [each for each in self._kernel.drivers.all if each.loaded]

    @staticmethod
    def name_of(lookaside: LookasideList) -> str:
        """A list's name, with its driver's before it where it has none of its own."""
        owner = lookaside.owner
        if owner is None or "!" in lookaside.name:
            return lookaside.name
        return f"{module_name(owner)}!{lookaside.name}"

    # --- from a name to an address, and back ---------------------------------------------------

    def find(self, name: str) -> int | None:
        """The address of a symbol, a field of a list or a module; None for an unknown name."""
        known = [(each.name, each.address) for each in self.all()]
        known += [(module_name(each), each.image_base) for each in self.modules()]
        found = _of_name(name, known)
        if found is not None:
            return found
        # The longest list name counts: names may have dots in them.
        parts = name.split(".")
        for end in range(len(parts) - 1, 0, -1):
            start = _of_name(".".join(parts[:end]), known)
            offset = self._field(".".join(parts[end:]))
            if start is not None and offset is not None and self._is_list(start):
                return start + offset
        return None

    def _is_list(self, address: int) -> bool:
        return address in self._elsewhere or self.list_at(address) is not None

    def _field(self, name: str) -> int | None:
        arch = self._kernel.arch
        wide = arch.pointer_size == 8
        offsets = dict(
            zip(_LIST_HEAD_FIELDS, (0, 0 if wide else 4, 8 if wide else 0), strict=True)
        )
        offsets |= arch.lookaside_offsets
        folded = name.casefold()
        return next((at for each, at in offsets.items() if each.casefold() == folded), None)

    def matching(self, name: str) -> list[Symbol]:
        """The symbols whose name, or whose part behind the module, is the one given."""
        folded = name.casefold()
        return [
            each
            for each in self.all()
            if folded in (each.name.casefold(), each.name.partition("!")[2].casefold())
        ]

    def around(self, address: int) -> Symbol | None:
        """The symbol that an address lies in, else the module; None for none."""
        for each in self.all():
            if each.address <= address < each.address + each.size:
                return each
        for image in self._kernel.drivers.all:
            if image.loaded and image.holds(address):
                return Symbol(module_name(image), image.image_base, image.image_end)
        return None

    def text(self, address: int) -> str | None:
        """How an address is written with a symbol; None where none is near."""
        symbol = self.around(address)
        return None if symbol is None else symbol.at(address)


def module_name(image: Image) -> str:
    """What a debugger calls an image: its file's name without the extension.

    What no symbol may have in its name is an underscore, so that it can be typed.
    """
    return re.sub(r"\W", "_", image.name.rpartition(".")[0] or image.name)


def _of_name(name: str, known: list[tuple[str, int]]) -> int | None:
    """The address of the first of some names that matches best: by case, by name, by its end."""
    folded = name.casefold()
    exact = [address for each, address in known if each == name]
    whole = [address for each, address in known if each.casefold() == folded]
    ends = [address for each, address in known if each.partition("!")[2].casefold() == folded]
    return next(iter((*exact, *whole, *ends)), None)
