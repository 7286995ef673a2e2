"""A run as the page holds it: a table of the shapes that steps have, and columns of operands.

Steps of one *shape* are alike but for some addresses and numbers: the routine, the list, the
branch, the edits. A shape stands once in a table; a step is its number and its operands, and
what the fold knows by itself, such as the entry a list gives out, is no operand.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from pathlib import PurePath
from typing import Any, Final

from lookaside_sim.nt.bugchecks import BugCheckCode
from lookaside_sim.nt.layouts import PAGE_SIZE
from lookaside_sim.nt.types import NtStatus, PoolTag, PoolType
from lookaside_sim.page.columns import Column, pack
from lookaside_sim.page.dumps import Dumps
from lookaside_sim.page.explain import explain_scan
from lookaside_sim.page.routines import ROUTINES, SENTENCES
from lookaside_sim.page.still import Recording
from lookaside_sim.run import Step
from lookaside_sim.windbg.lookaside import pool_type_name

VERSION: Final = 1
_HERE: Final = PurePath(__file__).parent.parent
_LEAST_ADDRESS: Final = 0x1_0000
"""Numbers from here on are shown as addresses."""
_LARGEST_NUMBER: Final = 1 << 40
"""Fields that hold more are pointers."""
_MOST_BYTES: Final = 64
"""Bytes of one write that the page keeps."""
_MOST_SOURCE: Final = 400
"""Lines of a file that is embedded whole."""
_AROUND: Final = 12
"""Lines kept around each line that a step came from, of a longer file."""
_MICROSECONDS: Final = 1_000_000
_ADDRESSES: Final = frozenset({"Entry", "P", "Address", "ListHead", "ListEntry", "Irp", "Mdl"})
"""Arguments that are addresses, however small."""
_MACHINE: Final = -1
"""The object that machine-wide values belong to."""


class _At(int):
    """An address in a table: its number is known only once all addresses are."""


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
        self._focus = focus
        self._most_source = _MOST_SOURCE if whole_sources else 0
        self._shapes: dict[tuple[Any, ...], int] = {}
        self._ops: list[int] = []
        self._addresses: list[int] = []
        self._numbers = Column()
        self._times = Column()
        self._stacks_column = Column()
        self._texts: dict[str, int] = {}
        self._fields: dict[str, int] = {}
        self._lists: list[dict[str, Any]] = []
        self._list_at: dict[int, int] = {}
        self._values: list[dict[str, int]] = []
        self._chains: dict[tuple[int, ...], int] = {}
        self._writes: dict[tuple[str, str, int], int] = {}
        self._sites: dict[tuple[str, int, str], int] = {}
        self._stacks: dict[tuple[int, ...], int] = {(): 0}
        self._sizes: dict[tuple[int, int], int] = {}
        self._scans: dict[int, list[Any]] = {}
        self._stop: dict[str, Any] | None = None
        self._kernel = run.machine(0)
        self._dumps = Dumps(run, self._kernel.arch.pool_header.size) if bytes_too else None
        self._dumped: dict[str, int] = {}

    def payload(self) -> dict[str, Any]:
        """What the page's data says, ready for JSON."""
        start = self._start()
        steps = zip(self._run, self._run.all_edits(0, self._count), strict=False)
        for step, (number, edits) in steps:
            self._step(number, step, edits)
        return self._packed(start)

    # --- the state it begins with ----------------------------------------------------------

    def _start(self) -> dict[str, Any]:
        state = self._run.state(0)
        chains = []
        for address, each in state.lists.items():
            self._describe_list(address, each)
            chains.append(self._chain(each.entries))
        blocks = [
            (_At(address), each.size, self._text(_tag(each.tag)), int(each.pool_type))
            for address, each in state.blocks.items()
        ]
        for address, size, _, pool_type in blocks:
            self._take_size(size, pool_type)
            if self._dumps is not None:
                self._dumps.add(address, size)
        machine = [(self._field(name), int(value)) for name, value in state.machine.items()]
        return {"chains": chains, "blocks": blocks, "machine": machine}

    def _describe_list(self, address: int, of: Any) -> int:
        index = self._list_at[address] = len(self._lists)
        values = {name: int(value) for name, value in of.fields.items()}
        self._values.append(values)
        self._lists.append(
            {
                "label": of.name,
                "name": of.name or f"list {len(self._lists) + 1}",
                "address": _At(address),
                "size": of.size,
                "tag": _tag(of.tag),
                "tag_value": int(of.tag),
                "type": int(of.pool_type),
                "type_name": pool_type_name(int(of.pool_type)),
                "fields": [
                    (self._field(name), self._plain(value)) for name, value in values.items()
                ],
            }
        )
        return index

    # --- tables ------------------------------------------------------------------------------

    def _text(self, text: str) -> int:
        return self._texts.setdefault(text, len(self._texts))

    def _field(self, name: str) -> int:
        return self._fields.setdefault(name, len(self._fields))

    def _chain(self, entries: Iterable[int]) -> int:
        return self._chains.setdefault(tuple(entries), len(self._chains))

    def _plain(self, value: int) -> int:
        return value if value < _LARGEST_NUMBER else _At(value)

    def _take_size(self, size: int, pool_type: int) -> int:
        """Bytes that a block of a size occupies, as the pool plans it."""
        key = size, pool_type & 1
        taken = self._sizes.get(key)
        if taken is None:
            layout = self._kernel.arch.pool_header
            if size > layout.largest_request:
                taken = -(-size // PAGE_SIZE) * PAGE_SIZE
            else:
                plan = self._kernel.pool.plan(pool_type & 1, size, 1)
                taken = plan.units << layout.unit_shift
            self._sizes[key] = taken
        return taken

    def _stack(self, step: Any) -> int:
        stack = [each for each in step.stack if _is_program(each.path)]
        sites = tuple(
            self._sites.setdefault((each.path, each.line, each.function), len(self._sites))
            for each in stack
        )
        return self._stacks.setdefault(sites, len(self._stacks))

    # --- one step --------------------------------------------------------------------------

    def _step(self, number: int, step: Any, edits: Sequence[Any]) -> None:
        addresses: list[int] = []
        numbers: list[int] = []
        before = None
        if step.word == "tick":
            before = [dict(each) for each in self._values]
        shaped = tuple(
            [_EDITS[type(each).__name__](self, each, addresses, numbers) for each in edits]
        )
        if self._dumps is not None:
            shaped += self._dump(number, step, addresses, numbers)
        obj = self._list_at.get(step.obj, _MACHINE) if step.obj is not None else _MACHINE
        for each in edits:
            if type(each).__name__ == "List" and not each.appeared:
                del self._list_at[each.obj]
        if before is not None:
            self._explain(number, before)
        called = self._call(step, addresses, numbers)
        inner = tuple(self._inner(each, addresses, numbers) for each in step.inner)
        key, words = _kind(step, edits, obj, tuned=number in self._scans)
        shape = (key, words, obj, called, shaped, inner)
        self._ops.append(self._shapes.setdefault(shape, len(self._shapes)))
        self._addresses += addresses
        for each in numbers:
            self._numbers.put(each)
        self._times.put_step_to(round(step.time * _MICROSECONDS))
        self._stacks_column.put_step_to(self._stack(step))

    def _call(self, step: Any, addresses: list[int], numbers: list[int]) -> tuple[Any, ...]:
        arguments = tuple(
            (name, self._operand(name, value, addresses, numbers))
            for name, value in step.arguments.items()
            if not isinstance(value, (bytes, bytearray))
        )
        result = self._operand("", _result(step), addresses, numbers)
        error = self._text(step.error) if step.error else -1
        branch = step.branch.value if step.branch is not None else ""
        return step.word, self._text(step.routine), branch, arguments, result, error

    def _inner(
        self, step: Any, addresses: list[int], numbers: list[int], depth: int = 0
    ) -> tuple[Any, ...]:
        called = self._call(step, addresses, numbers)
        inside = tuple(self._inner(each, addresses, numbers, depth + 1) for each in step.inner)
        obj = self._list_at.get(step.obj, _MACHINE) if step.obj is not None else _MACHINE
        return obj, called, inside

    def _operand(
        self, name: str, value: Any, addresses: list[int], numbers: list[int]
    ) -> tuple[str, int]:
        """Where a value is found: among the step's addresses, its numbers, or the texts."""
        if isinstance(value, (bool, Enum, PoolTag)) or not isinstance(value, int):
            return "t", self._text(_said(name, value))
        if value >= _LEAST_ADDRESS or name in _ADDRESSES or value < 0:
            value &= (1 << 64) - 1
            if value not in addresses:
                addresses.append(value)
            return "a", addresses.index(value)
        # A block's size is said once; other numbers that are alike are so by chance.
        if name in ("Size", "NumberOfBytes") and value in numbers:
            return "n", numbers.index(value)
        numbers.append(value)
        return "n", len(numbers) - 1

    def _explain(self, number: int, before: list[dict[str, int]]) -> None:
        """Say how the rule came to each Depth that a scan set, where it is the rule's."""
        scans = []
        for index, (old, new) in enumerate(zip(before, self._values, strict=True)):
            if old == new or "LastTotalAllocates" not in new:
                continue
            mask = (1 << 32) - 1
            lines, depth = explain_scan(
                depth=old["Depth"],
                maximum_depth=old["MaximumDepth"],
                allocates=new["LastTotalAllocates"] - old["LastTotalAllocates"] & mask,
                misses=new["LastAllocateMisses"] - old["LastAllocateMisses"] & mask,
            )
            shown = [(self._text(text), int(ran), said) for text, ran, said in lines]
            if depth != new["Depth"]:
                shown = []
            scans.append((index, old["Depth"], new["Depth"], shown))
        if scans:
            self._scans[number] = scans

    # --- edits -------------------------------------------------------------------------------

    def _object(self, obj: int | None) -> int:
        return _MACHINE if obj is None else self._list_at[obj]

    def _add(self, edit: Any, addresses: list[int], numbers: list[int]) -> tuple[Any, ...]:
        index = self._object(edit.obj)
        if index >= 0:
            self._values[index][edit.field] += edit.n
        return "add", index, self._field(edit.field), edit.n

    def _set(self, edit: Any, addresses: list[int], numbers: list[int]) -> tuple[Any, ...]:
        index, old, new = self._object(edit.obj), int(edit.old), int(edit.new)
        if index >= 0:
            self._values[index][edit.field] = new
        if max(old, new) < _LARGEST_NUMBER:
            numbers.append(new - old)
            return "set", index, self._field(edit.field)
        addresses.append(new)
        return "point", index, self._field(edit.field)

    def _push(self, edit: Any, addresses: list[int], numbers: list[int]) -> tuple[Any, ...]:
        addresses.append(edit.entry)
        return "push", self._object(edit.obj)

    def _pop(self, edit: Any, addresses: list[int], numbers: list[int]) -> tuple[Any, ...]:
        return "pop", self._object(edit.obj)

    def _cut(self, edit: Any, addresses: list[int], numbers: list[int]) -> tuple[Any, ...]:
        return "cut", self._object(edit.obj)

    def _rechain(self, edit: Any, addresses: list[int], numbers: list[int]) -> tuple[Any, ...]:
        numbers.append(self._chain(edit.new))
        return "chain", self._object(edit.obj)

    def _born(self, edit: Any, addresses: list[int], numbers: list[int]) -> tuple[Any, ...]:
        addresses.append(edit.address)
        numbers.append(edit.size)
        self._take_size(edit.size, int(edit.pool))
        if self._dumps is not None:
            self._dumps.add(edit.address, edit.size)
        return "born", self._text(_tag(edit.tag)), int(edit.pool)

    def _died(self, edit: Any, addresses: list[int], numbers: list[int]) -> tuple[Any, ...]:
        addresses.append(edit.address)
        return ("died",)

    def _write(self, edit: Any, addresses: list[int], numbers: list[int]) -> tuple[Any, ...]:
        row = edit.old[:_MOST_BYTES].hex(), edit.new[:_MOST_BYTES].hex(), len(edit.new)
        addresses.append(edit.address)
        numbers.append(self._writes.setdefault(row, len(self._writes)))
        return ("write",)

    def _list(self, edit: Any, addresses: list[int], numbers: list[int]) -> tuple[Any, ...]:
        if edit.appeared:
            index = self._describe_list(edit.obj, edit.description)
            return "list", index, 1, self._chain(edit.description.entries)
        return "list", self._list_at[edit.obj], 0, 0

    def _stopped(self, edit: Any, addresses: list[int], numbers: list[int]) -> tuple[Any, ...]:
        code = int(edit.code)
        known = code in BugCheckCode._value2member_map_
        self._stop = {
            "name": BugCheckCode(code).name if known else f"{code:#x}",
            "code": f"{code:x}",
            "parameters": [f"{each:x}" for each in edit.parameters],
            "text": str(edit.text),
        }
        return ("stop",)

    def _dump(
        self, number: int, step: Step, addresses: list[int], numbers: list[int]
    ) -> tuple[Any, ...]:
        """The bytes of blocks that a step changed."""
        assert self._dumps is not None
        touched = [*addresses, step.result] if isinstance(step.result, int) else addresses
        changed = self._dumps.changes(number + 1, touched)
        for address, text in changed:
            addresses.append(address)
            numbers.append(self._dumped.setdefault(text, len(self._dumped)))
        return (("bytes",),) * len(changed)

    # --- all of it ---------------------------------------------------------------------------

    def _packed(self, start: dict[str, Any]) -> dict[str, Any]:
        lists = self._lists
        known = {0, self._focus or 0, *self._addresses}
        known.update(each for chain in self._chains for each in chain)
        known.update(_addresses_in((lists, start)))
        ordered = sorted(known)
        number_of = {address: number for number, address in enumerate(ordered)}
        pages, offsets = Column(), Column()
        for address in ordered:
            pages.put_step_to(address >> 12)
            offsets.put(address & 0xFFF)
        operands = Column()
        for address in self._addresses:
            operands.put_step_to(number_of[address])
        arch = self._kernel.arch
        span = 1 << arch.pool_region_shift - 12
        meta = {
            "arch": {
                "digits": arch.pointer_size * 2,
                "header": arch.pool_header.size,
                "unit": arch.pool_header.unit,
                "largest": arch.pool_header.largest_request,
            },
            "regions": [
                (each.name, each.base >> 12, int(each.paged), (each.base >> 12) + span)
                for each in self._kernel.pool.descriptors
            ],
            "lists": lists,
            "start": start,
            "shapes": list(self._shapes),
            "addresses": len(ordered),
            "texts": list(self._texts),
            "fields": list(self._fields),
            "offsets": _offsets(self._kernel.arch),
            "chains": [[number_of[each] for each in chain] for chain in self._chains],
            "writes": list(self._writes),
            "dumps": list(self._dumped),
            "sites": list(self._sites),
            "stacks": list(self._stacks),
            "files": _files(self._run, self._sites, self._most_source),
            "sizes": [(size, paged, taken) for (size, paged), taken in self._sizes.items()],
            "scans": self._scans,
            "notes": {
                str(position): "\n".join(texts)
                for position, texts in self._run.notes.items()
                if position <= self._count
            },
            "stop": self._stop,
            "routines": {name: ROUTINES[name] for name, *_ in self._shapes if name in ROUTINES},
            "sentences": {
                name: SENTENCES[name]
                for name in ("forged hit", *(row[1] for row in self._shapes))
            },
        }
        text = json.dumps(_numbered(meta, number_of), separators=(",", ":"), ensure_ascii=False)
        return {
            "v": VERSION,
            "focus": number_of[self._focus or 0],
            "n": self._count,
            "meta": pack(text.encode()),
            "ops": _ops(self._ops),
            "addresses": operands.packed(),
            "numbers": self._numbers.packed(),
            "times": self._times.packed(),
            "stacks": self._stacks_column.packed(),
            "pages": pages.packed(),
            "offsets": offsets.packed(),
        }


_EDITS: Final[dict[str, Any]] = {
    "Add": Encoder._add,
    "Set": Encoder._set,
    "Push": Encoder._push,
    "Pop": Encoder._pop,
    "Cut": Encoder._cut,
    "Chain": Encoder._rechain,
    "Born": Encoder._born,
    "Died": Encoder._died,
    "Write": Encoder._write,
    "List": Encoder._list,
    "Stop": Encoder._stopped,
}


def _is_program(path: str) -> bool:
    """Whether a line is the program's own: not Python's way into a script, nor this package."""
    return not path.startswith("<frozen ") and not PurePath(path).is_relative_to(_HERE)


def _kind(step: Any, edits: Sequence[Any], obj: int, *, tuned: bool) -> tuple[str, str]:
    """Which routine's lines are shown with a step, and which sentence."""
    names = {type(each).__name__ for each in edits}
    base = f"list {step.word}" if obj >= 0 else step.word
    outcome = step.outcome.value if step.outcome is not None else "returned"
    branch = step.branch.value if step.branch is not None else ""
    if "Stop" in names or outcome == "stopped":
        return base, "stopped"
    if step.word == "tick":
        return "tick", "tick tuned" if tuned else "tick"
    if outcome == "raised":
        return base, "raised"
    if step.word == "write" and "Chain" in names:
        return base, "forged write"
    for each in (f"{base} {outcome}", f"{base} {branch}", base):
        if each in SENTENCES:
            return base, each
    return base, ""


def _result(step: Any) -> Any:
    """What a step returned, as it is said: a status by its name."""
    result = step.result
    if step.word == "init" and isinstance(result, int):
        return NtStatus(result).name if result in NtStatus._value2member_map_ else result
    return result


def _said(name: str, value: Any) -> str:
    """A value that is no plain number, as C and the debugger write it."""
    if value is None:
        return "NULL" if name else ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, PoolTag):
        return f"'{value!s}'"
    if isinstance(value, PoolType):
        return pool_type_name(int(value))
    if isinstance(value, Enum):
        return str(value.name)
    named = getattr(value, "name", None)
    return str(named if named is not None else value)


def _tag(tag: int) -> str:
    return str(PoolTag(tag))


def _ops(ops: list[int]) -> str:
    column = Column()
    for each in ops:
        column.put(each)
    return column.packed()


def _addresses_in(value: Any) -> Iterable[int]:
    if isinstance(value, _At):
        yield int(value)
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _addresses_in(each)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _addresses_in(each)


def _numbered(meta: dict[str, Any], number_of: Mapping[int, int]) -> dict[str, Any]:
    """Put each address's number in its place: negative, since fields hold numbers too."""

    def go(value: Any) -> Any:
        if isinstance(value, _At):
            return -1 - number_of[int(value)]
        if isinstance(value, dict):
            return {name: go(each) for name, each in value.items()}
        if isinstance(value, (list, tuple)):
            return [go(each) for each in value]
        return value

    return {**meta, "lists": go(meta["lists"]), "start": go(meta["start"])}


def _offsets(arch: Any) -> dict[str, int]:
    """Where each field of a list lies; what the debugger calls the two depths stands beside."""
    return dict(arch.lookaside_offsets)


def _files(run: Recording, sites: Iterable[tuple[str, int, str]], most: int) -> list[Any]:
    """The sources that sites lie in: whole when short, else the lines around what ran."""
    used: dict[str, set[int]] = {}
    for file, line, _ in sites:
        used.setdefault(file, set()).add(line)
    sources = run.sources
    found = []
    for file, numbers in used.items():
        lines = sources.get(file, "").splitlines()
        kept: list[tuple[int, list[str]]] = []
        if len(lines) <= most:
            kept = [(1, lines)]
        else:
            wanted = sorted(
                {
                    each
                    for number in numbers
                    for each in range(number - _AROUND, number + _AROUND + 1)
                    if 1 <= each <= len(lines)
                }
            )
            for each in wanted:
                if kept and kept[-1][0] + len(kept[-1][1]) == each:
                    kept[-1][1].append(lines[each - 1])
                else:
                    kept.append((each, [lines[each - 1]]))
        found.append([file, PurePath(file).name, kept])
    return found
