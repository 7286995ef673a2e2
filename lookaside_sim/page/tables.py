"""The tables of a page: what many steps have in common, each thing once, by number."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from lookaside_sim.nt.layouts import PAGE_SIZE
from lookaside_sim.page.sources import Sources
from lookaside_sim.page.still import Shown
from lookaside_sim.run import ListState
from lookaside_sim.windbg.lookaside import pool_type_name

MACHINE: Final = -1
"""The object that machine-wide values belong to."""
LARGEST_NUMBER: Final = 1 << 40
"""Fields that hold more are pointers."""


class At(int):
    """An address in a table: its number is known only once all addresses are."""


class Tables:
    """What steps refer to.

    Args:
        shown: the machine.

    Attributes:
        texts: texts.
        fields: names of fields.
        chains: entries of a list, newest first.
        writes: bytes before and after a write, in hexadecimal digits, and how many they are.
        dumps: bytes of blocks, likewise.
        rows: headers of pages that are not what their live blocks make them; the first is none.
        sizes: bytes that a block occupies, by bytes asked for and whether they are paged.
        lists: what each list is, as the page has it.
        list_at: the number of the list at an address.
        values: the fields of each list now.
        sources: where steps came from.
        stop: how the machine stopped, or None.
    """

    def __init__(self, shown: Shown) -> None:
        self._shown = shown
        self.texts: dict[str, int] = {}
        self.fields: dict[str, int] = {}
        self.chains: dict[tuple[int, ...], int] = {}
        self.writes: dict[tuple[str, str, int], int] = {}
        self.dumps: dict[str, int] = {}
        self.rows: dict[tuple[Any, ...], int] = {(): 0}
        self.sizes: dict[tuple[int, int], int] = {}
        self.lists: list[dict[str, Any]] = []
        self.list_at: dict[int, int] = {}
        self.values: list[dict[str, int]] = []
        self.sources = Sources()
        self.stop: dict[str, Any] | None = None

    def text(self, text: str) -> int:
        """The number of a text."""
        return self.texts.setdefault(text, len(self.texts))

    def field(self, name: str) -> int:
        """The number of a field's name."""
        return self.fields.setdefault(name, len(self.fields))

    def chain(self, entries: Iterable[int]) -> int:
        """The number of a chain."""
        return self.chains.setdefault(tuple(entries), len(self.chains))

    def object(self, obj: int | None) -> int:
        """The number of the list at an address; `MACHINE` for none."""
        return MACHINE if obj is None else self.list_at.get(obj, MACHINE)

    def describe(self, address: int, of: ListState) -> int:
        """Take a list in; its number, which it has from now on."""
        number = self.list_at[address] = len(self.lists)
        self.values.append(dict(of.fields))
        self.lists.append(
            {
                "label": of.name,
                "name": of.name or f"list {number + 1}",
                "address": At(address),
                "size": of.size,
                "tag": str(of.tag),
                "tag_value": int(of.tag),
                "type": int(of.pool_type),
                "type_name": pool_type_name(int(of.pool_type)),
                "fields": [
                    (self.field(name), value if value < LARGEST_NUMBER else At(value))
                    for name, value in of.fields.items()
                ],
            }
        )
        return number

    def take_size(self, size: int, pool_type: int) -> None:
        """Note how many bytes a block of a size occupies, as the pool plans it."""
        key = size, pool_type & 1
        if key not in self.sizes:
            layout = self._shown.arch.pool_header
            if size > layout.largest_request:
                self.sizes[key] = -(-size // PAGE_SIZE) * PAGE_SIZE
            else:
                plan = self._shown.pool.plan(pool_type & 1, size, 1)
                self.sizes[key] = plan.units << layout.unit_shift


def addresses_in(value: Any) -> Iterator[int]:
    """The addresses in tables, wherever they stand."""
    if isinstance(value, At):
        yield int(value)
    elif isinstance(value, dict):
        for each in value.values():
            yield from addresses_in(each)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from addresses_in(each)


def numbered(value: Any, number_of: Mapping[int, int]) -> Any:
    """Put each address's number in its place: negative, since fields hold numbers too."""
    if isinstance(value, At):
        return -1 - number_of[int(value)]
    if isinstance(value, dict):
        return {name: numbered(each, number_of) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [numbered(each, number_of) for each in value]
    return value
