"""A run as the page holds it: a table of the shapes that steps have, and columns of operands.

Steps of one *shape* are alike but for some addresses and numbers: the routine, the list, the
branch, the edits. A shape stands once in a table; a step is its number and its operands.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import Enum
from typing import Any, Final

from lookaside_sim.nt.layouts import PAGE_SHIFT
from lookaside_sim.nt.types import ULONG_MASK, PoolTag
from lookaside_sim.page.columns import Column, pack
from lookaside_sim.page.dumps import Dumps
from lookaside_sim.page.edits import Operands, encoded
from lookaside_sim.page.explain import explain_scan
from lookaside_sim.page.routines import ROUTINES, SENTENCES
from lookaside_sim.page.sources import MOST_LINES
from lookaside_sim.page.still import Recording
from lookaside_sim.page.tables import MACHINE, At, Tables, addresses_in, numbered
from lookaside_sim.page.words import is_address, kind_of, result_of, said
from lookaside_sim.run import Edit, List, Step

VERSION: Final = 1
_MICROSECONDS: Final = 1_000_000
_ADDRESS_MASK: Final = (1 << 64) - 1
_OFFSET_MASK: Final = (1 << PAGE_SHIFT) - 1


class Encoder:
    """Takes a run apart.

    Args:
        run: the run.
        end: steps of it to take; None for all.
        focus: address of a block that is chosen when the page opens, or None.
        bytes_too: whether to look at what lies in the blocks, which takes time and room.
        whole_sources: whether sources of some hundred lines are there whole.
    """

    def __init__(
        self,
        run: Recording,
        end: int | None = None,
        focus: int | None = None,
        *,
        bytes_too: bool = False,
        whole_sources: bool = True,
    ) -> None:
        self._run = run
        self._count = len(run) if end is None else end
        self._focus = focus or 0
        self._most_lines = MOST_LINES if whole_sources else 0
        self._shown = run.machine(0)
        self._tables = Tables(self._shown)
        self._dumps = Dumps(run, self._shown.arch.pool_header.size) if bytes_too else None
        self._shapes: dict[tuple[Any, ...], int] = {}
        self._scans: dict[int, list[Any]] = {}
        self._addresses: list[int] = []
        self._ops = Column()
        self._numbers = Column()
        self._times = Column()
        self._stacks = Column()

    def payload(self) -> dict[str, Any]:
        """What the page's data says, ready for JSON."""
        start = self._start()
        steps = zip(self._run, self._run.all_edits(0, self._count), strict=False)
        for step, (_, edits) in steps:
            self._step(step, edits)
        return self._packed(start)

    # --- the state it begins with ----------------------------------------------------------

    def _start(self) -> dict[str, Any]:
        state, tables = self._run.state(0), self._tables
        chains = []
        for address, each in state.lists.items():
            tables.describe(address, each)
            chains.append(tables.chain(each.entries))
        blocks = []
        for address, block in state.blocks.items():
            pool_type = int(block.pool_type)
            blocks.append((At(address), block.size, tables.text(str(block.tag)), pool_type))
            tables.take_size(block.size, pool_type)
            if self._dumps is not None:
                self._dumps.add(address, block.size)
        machine = [(tables.field(name), value) for name, value in state.machine.items()]
        return {"chains": chains, "blocks": blocks, "machine": machine}

    # --- one step --------------------------------------------------------------------------

    def _step(self, step: Step, edits: Sequence[Edit]) -> None:
        tables, own = self._tables, Operands()
        before = [dict(each) for each in tables.values] if step.word == "tick" else None
        codes = tuple([encoded(each, tables, own) for each in edits])
        if self._dumps is not None:
            codes += self._dump(step, edits, own)
        obj = tables.object(step.obj)
        for each in edits:
            if isinstance(each, List) and not each.appeared:
                del tables.list_at[each.obj]
        if before is not None:
            self._explain(step.number, before)
        called = self._call(step, own)
        inner = tuple(self._inner(each, own) for each in step.inner)
        words = kind_of(step, edits, on_list=obj != MACHINE, tuned=step.number in self._scans)
        shape = (*words, obj, called, codes, inner)
        self._ops.put(self._shapes.setdefault(shape, len(self._shapes)))
        self._addresses += own.addresses
        for number in own.numbers:
            self._numbers.put(number)
        self._times.put_step_to(round(step.time * _MICROSECONDS))
        self._stacks.put_step_to(tables.sources.number_of(step.stack))

    def _call(self, step: Step, own: Operands) -> tuple[Any, ...]:
        """Word, routine, branch, arguments, result and error of a call."""
        tables = self._tables
        arguments = tuple(
            (name, self._operand(name, value, own))
            for name, value in step.arguments.items()
            if not isinstance(value, (bytes, bytearray))
        )
        result = self._operand("", result_of(step), own)
        error = tables.text(step.error) if step.error else -1
        branch = "" if step.branch is None else step.branch.value
        return step.word, tables.text(step.routine), branch, arguments, result, error

    def _inner(self, step: Step, own: Operands) -> tuple[Any, ...]:
        called = self._call(step, own)
        inside = tuple(self._inner(each, own) for each in step.inner)
        return self._tables.object(step.obj), called, inside

    def _operand(self, name: str, value: Any, own: Operands) -> tuple[str, int]:
        """Where a value is found: among the step's addresses, its numbers, or the texts."""
        if isinstance(value, (bool, Enum, PoolTag)) or not isinstance(value, int):
            return "t", self._tables.text(said(name, value))
        if is_address(name, value):
            value &= _ADDRESS_MASK
            if value not in own.addresses:
                own.addresses.append(value)
            return "a", own.addresses.index(value)
        # A block's size is said once; other numbers that are alike are so by chance.
        if name in ("Size", "NumberOfBytes") and value in own.numbers:
            return "n", own.numbers.index(value)
        own.numbers.append(value)
        return "n", len(own.numbers) - 1

    def _dump(self, step: Step, edits: Sequence[Edit], own: Operands) -> tuple[Any, ...]:
        """The bytes of blocks, and the pages, that a step changed, as edits."""
        assert self._dumps is not None
        self._dumps.follow(edits)
        touched = [*own.addresses]
        if isinstance(step.result, int):
            touched.append(step.result)
        dumps, rows = self._dumps.changes(step.number + 1, touched)
        tables = self._tables
        for address, text in dumps:
            own.addresses.append(address)
            own.numbers.append(tables.dumps.setdefault(text, len(tables.dumps)))
        for page, told in rows:
            own.addresses.append(page)
            own.numbers.append(tables.rows.setdefault(told, len(tables.rows)))
        return (("bytes",),) * len(dumps) + (("rows",),) * len(rows)

    def _explain(self, number: int, before: list[dict[str, int]]) -> None:
        """Say how the rule came to each Depth that a scan set, where it is the rule's."""
        scans = []
        for index, (old, new) in enumerate(zip(before, self._tables.values, strict=True)):
            if old == new:
                continue
            lines, depth = explain_scan(
                depth=old["Depth"],
                maximum_depth=old["MaximumDepth"],
                allocates=new["LastTotalAllocates"] - old["LastTotalAllocates"] & ULONG_MASK,
                misses=new["LastAllocateMisses"] - old["LastAllocateMisses"] & ULONG_MASK,
            )
            # Several scans in one step, or another minimum, do not come to the rule's Depth.
            shown = lines if depth == new["Depth"] else []
            told = [(self._tables.text(text), int(ran), value) for text, ran, value in shown]
            scans.append((index, old["Depth"], new["Depth"], told))
        if scans:
            self._scans[number] = scans

    # --- all of it ---------------------------------------------------------------------------

    def _packed(self, start: dict[str, Any]) -> dict[str, Any]:
        tables = self._tables
        known = {0, self._focus, *self._addresses, *addresses_in((tables.lists, start))}
        known.update(each for chain in tables.chains for each in chain)
        ordered = sorted(known)
        number_of = {address: number for number, address in enumerate(ordered)}
        pages, offsets, operands = Column(), Column(), Column()
        for address in ordered:
            pages.put_step_to(address >> PAGE_SHIFT)
            offsets.put(address & _OFFSET_MASK)
        for address in self._addresses:
            operands.put_step_to(number_of[address])
        meta = {
            **self._about_machine(),
            **self._about_steps(),
            "lists": numbered(tables.lists, number_of),
            "start": numbered(start, number_of),
            "addresses": len(ordered),
            "chains": [[number_of[each] for each in chain] for chain in tables.chains],
        }
        text = json.dumps(meta, separators=(",", ":"), ensure_ascii=False)
        return {
            "v": VERSION,
            "n": self._count,
            "focus": number_of[self._focus],
            "meta": pack(text.encode()),
            "ops": self._ops.packed(),
            "addresses": operands.packed(),
            "numbers": self._numbers.packed(),
            "times": self._times.packed(),
            "stacks": self._stacks.packed(),
            "pages": pages.packed(),
            "offsets": offsets.packed(),
        }

    def _about_machine(self) -> dict[str, Any]:
        arch = self._shown.arch
        span = 1 << arch.pool_region_shift - PAGE_SHIFT
        sizes = self._tables.sizes.items()
        return {
            "arch": {
                "digits": arch.pointer_size * 2,
                "header": arch.pool_header.size,
                "unit": arch.pool_header.unit,
                "largest": arch.pool_header.largest_request,
            },
            "regions": [
                (each.name, first := each.base >> PAGE_SHIFT, int(each.paged), first + span)
                for each in self._shown.pool.descriptors
            ],
            "offsets": dict(arch.lookaside_offsets),
            "sizes": [(size, paged, taken) for (size, paged), taken in sizes],
        }

    def _about_steps(self) -> dict[str, Any]:
        tables, sources = self._tables, self._tables.sources
        routines = dict.fromkeys(row[0] for row in self._shapes)
        sentences = dict.fromkeys(("forged hit", "twice", *(row[1] for row in self._shapes)))
        return {
            "shapes": list(self._shapes),
            "texts": list(tables.texts),
            "fields": list(tables.fields),
            "writes": list(tables.writes),
            "dumps": list(tables.dumps),
            "rows": list(tables.rows),
            "sites": list(sources.sites),
            "stacks": list(sources.stacks),
            "files": sources.files(self._run.sources, self._most_lines),
            "scans": self._scans,
            "notes": {
                str(position): "\n".join(texts)
                for position, texts in self._run.notes.items()
                if position <= self._count
            },
            "stop": tables.stop,
            "routines": {name: ROUTINES[name] for name in routines if name in ROUTINES},
            "sentences": {name: SENTENCES[name] for name in sentences},
        }
