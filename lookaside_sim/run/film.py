"""The edits of steps: a player watched from outside, step by step.

What a step changed is found by looking at what it can have changed: the lists its calls are
on, the blocks that came through the pool's door. All lists are looked at where memory was
written in a way that no list knows of: after the program's writes, ticks, and while a chain holds
what is no live block of its own.
"""

from __future__ import annotations

from typing import ClassVar, Final

from lookaside_sim.kernel import Kernel
from lookaside_sim.lookaside.list import LookasideList
from lookaside_sim.pool.plans import PoolPlan
from lookaside_sim.pool.requests import Layer, Order
from lookaside_sim.run.edits import (
    Add,
    Born,
    Chain,
    Cut,
    Died,
    Edit,
    List,
    Pop,
    Push,
    Set,
    Stop,
    Write,
)
from lookaside_sim.run.kinds_of_machine import data_of
from lookaside_sim.run.player import Player
from lookaside_sim.run.rows import Row, Shape, rows_in
from lookaside_sim.run.state import (
    COUNTERS,
    MACHINE_FIELDS,
    ListState,
    Stopped,
    active,
    chain_from,
    counters_of,
    fields_of,
    live_blocks,
    look,
    look_at,
    machine_fields,
)

_LINKS_ONLY: Final = frozenset({"AllocateEntry", "FreeEntry"})
"""Calls that change the chain of their own list alone, while all chains are sound."""
_NO_CHAIN: Final = frozenset({"AllocateBlock", "FreeBlock", "ReadMemory"})
"""Calls that change no chain, while all chains are sound."""
_DEEPEST_PEEK: Final = 1 << 20


class _Watch(Layer):
    """Notes the addresses that come through the pool's door."""

    __slots__ = ("seen",)

    order: ClassVar[Order] = Order.FAULTS

    def __init__(self) -> None:
        self.seen: dict[int, bool] = {}

    def allocate(self, plan: PoolPlan) -> int:
        """Serve, then note whether the address was seen before."""
        address = self.below.allocate(plan)
        self.seen[address] = address in self.seen
        return address

    def free(self, address: int, tag: int = 0) -> None:
        """Note, then free."""
        self.seen.setdefault(address, False)
        self.below.free(address, tag)


class Film:
    """A player and the state it stands in.

    Args:
        player: becomes the film's, and its pool is watched from now on.

    Attributes:
        player: as given.
        state: the state now.
    """

    def __init__(self, player: Player) -> None:
        self.player = player
        self.state = look(player.kernel, player.block)
        self._watch = _Watch()
        player.kernel.pool.requests.put(self._watch)
        self._held = self._find_held()

    def play(self, number: int, row: Row) -> tuple[Edit, ...]:
        """Play a row, inside `Player.playing`, and say what it changed.

        Raises:
            RunError: it came out otherwise than in the recording.
        """
        player, kernel = self.player, self.player.kernel
        writes = [each for each in rows_in(row) if each.shape.kind == "WriteMemory"]
        before = [_peek(kernel, each) for each in writes]
        seen = self._watch.seen
        seen.clear()
        player.play(number, row)
        edits: list[Edit] = []
        for each, old in zip(writes, before, strict=True):
            edits += self._write(kernel, each, old)
        edits += self._lists(kernel, row, writes)
        edits += self._blocks(kernel, seen, number)
        edits += self._machine(kernel)
        for edit in edits:
            edit.apply(self.state)
        self._stays_sound(row, edits)
        return tuple(edits)

    # --- the program's writes ----------------------------------------------------------------

    def _write(self, kernel: Kernel, row: Row, old: bytes) -> list[Edit]:
        address = row.words[0]
        new = data_of(self.player, row.shape.key[0], row.words[1])[: len(old)]
        if row.shape.error >= 0:
            now = bytes(_known(kernel.peek(address, len(old))))
            new = now[: len(old)]
        return [Write(address, old, new)] if old != new or row.shape.error < 0 else []

    # --- lists ---------------------------------------------------------------------------------

    def _lists(self, kernel: Kernel, row: Row, writes: list[Row]) -> list[Edit]:
        kind = row.shape.kind
        held = self._held
        if held is not None and not row.inside and not writes and row.shape.error < 0:
            if kind in _NO_CHAIN:
                return []
            pushed = row.words[0] if kind == "FreeEntry" else 0
            if kind == "AllocateEntry" or (
                pushed and pushed not in held and pushed in self.state.blocks
            ):
                return self._list(self.player.lists[row.shape.key[0]], quick=row.shape)
        edits: list[Edit] = []
        found: set[int] = set()
        for lookaside in active(kernel):
            found.add(lookaside.address)
            edits += self._list(lookaside)
        for address, known in self.state.lists.items():
            if address not in found:
                edits.append(List(address, known.copy(), appeared=False))
        return edits

    def _list(self, lookaside: LookasideList, *, quick: Shape | None = None) -> list[Edit]:
        address = lookaside.address
        known = self.state.lists.get(address)
        fields = lookaside.peek()
        if known is None or fields is None:
            return self._came_or_went(lookaside, known, quick=quick)
        edits: list[Edit] = []
        values = fields_of(fields) if quick is None else counters_of(fields)
        for name, new in values.items():
            old = known.fields[name]
            if old != new:
                if name in COUNTERS:
                    edits.append(Add(address, name, new - old))
                else:
                    edits.append(Set(address, name, old, new))
        edits += self._chain(lookaside, known, fields.first, quick=quick)
        return edits

    def _came_or_went(
        self, lookaside: LookasideList, known: ListState | None, *, quick: Shape | None
    ) -> list[Edit]:
        """A list is active that was not, or its memory is gone."""
        seen = None if quick is not None else look_at(lookaside)
        if known is not None:
            return [List(known.address, known.copy(), appeared=False)]
        return [] if seen is None else [List(lookaside.address, seen, appeared=True)]

    def _chain(
        self, lookaside: LookasideList, known: ListState, first: int, *, quick: Shape | None
    ) -> list[Edit]:
        address, old = known.address, known.entries
        if quick is not None:
            if quick.branch != "hit":
                return []
            if quick.kind == "AllocateEntry":
                return [Pop(address, old[0])]
            return [Push(address, first)]
        new = chain_from(lookaside, first)
        if new == old:
            return []
        if not new:
            return [Pop(address, old[0])] if len(old) == 1 else [Cut(address, old)]
        if new[1:] == old:
            return [Push(address, new[0])]
        if old[1:] == new:
            return [Pop(address, old[0])]
        return [Chain(address, old, new)]

    # --- blocks, the machine -----------------------------------------------------------------------

    def _blocks(self, kernel: Kernel, seen: dict[int, bool], number: int) -> list[Edit]:
        edits: list[Edit] = []
        if kernel.bugcheck is not None:  # what was cut short may have changed any
            others = self.state.blocks.keys() ^ set(live_blocks(kernel))
            seen = {**dict.fromkeys(others, False), **seen}
        blocks, is_live = self.state.blocks, kernel.pool.is_live
        for address, made_again in seen.items():
            known = blocks.get(address)
            lives = address != 0 and is_live(address)
            if known is not None and (made_again or not lives):
                edits.append(Died(address, known, number))
                known = None
            if lives and known is None:
                edits.append(Born(address, self.player.block(address)))
        return edits

    def _machine(self, kernel: Kernel) -> list[Edit]:
        edits: list[Edit] = []
        old = self.state.machine
        new = machine_fields(kernel)
        if new != old:
            edits += [
                Set(None, name, old[name], new[name])
                for name in MACHINE_FIELDS
                if old[name] != new[name]
            ]
        if kernel.bugcheck is not None and self.state.stop is None:
            edits.append(Stop(Stopped.of(kernel.bugcheck)))
        return edits

    # --- soundness -----------------------------------------------------------------------------------

    def _stays_sound(self, row: Row, edits: list[Edit]) -> None:
        """Keep `_held` true after a row, or find it anew."""
        kind = row.shape.kind
        held = self._held
        usual = kind in (_LINKS_ONLY | _NO_CHAIN) and not row.inside and row.shape.error < 0
        if held is not None and usual and self.player.is_tame:
            for edit in edits:
                if isinstance(edit, Push):
                    if edit.entry in held or edit.entry not in self.state.blocks:
                        break
                    held.add(edit.entry)
                elif isinstance(edit, Pop):
                    held.discard(edit.entry)
                elif isinstance(edit, Chain) or (
                    isinstance(edit, Died) and edit.address in held
                ):
                    break
            else:
                return
        if edits or held is None:
            self._held = self._find_held()

    def _find_held(self) -> set[int] | None:
        """The entries of all chains, each a live block and on one list once; None if not so."""
        blocks = self.state.blocks
        held: set[int] = set()
        if not self.player.is_tame:
            return None
        for each in self.state.lists.values():
            for entry in each.entries:
                if entry in held or entry not in blocks:
                    return None
                held.add(entry)
        return None if any(each.is_embedded for each in active(self.player.kernel)) else held


def _peek(kernel: Kernel, row: Row) -> bytes:
    """The bytes where a row writes, as far as memory is mapped there."""
    size = min(row.shape.key[0], _DEEPEST_PEEK)
    bits = kernel.arch.address_bits
    size = min(size, (1 << bits) - row.words[0])
    return bytes(_known(kernel.peek(row.words[0], size)))


def _known(seen: list[int | None]) -> list[int]:
    known: list[int] = []
    for each in seen:
        if each is None:
            break
        known.append(each)
    return known
