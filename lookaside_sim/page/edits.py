"""Edits as a page has them: the part that many steps share, and the operands of one.

What the fold knows by itself is no operand: which entry a list gives out, what a field was.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import attrs

from lookaside_sim.nt.bugchecks import BugCheckCode
from lookaside_sim.page.tables import LARGEST_NUMBER, Tables
from lookaside_sim.run import (
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

MOST_BYTES: Final = 64
"""Bytes of one write that the page keeps."""

Code = tuple[Any, ...]
"""The shared part: a word, and what goes with it."""


@attrs.define
class Operands:
    """What is one step's own.

    Attributes:
        addresses: in the order of its edits, then of its arguments.
        numbers: likewise.
    """

    addresses: list[int] = attrs.field(factory=list)
    numbers: list[int] = attrs.field(factory=list)


def encoded(edit: Edit, tables: Tables, own: Operands) -> Code:
    """The shared part of an edit; its operands are appended.

    Args:
        edit: the edit.
        tables: take in what it refers to, and follow the lists' fields.
        own: the operands of its step.
    """
    return _ENCODERS[type(edit)](edit, tables, own)


def _add(edit: Add, tables: Tables, own: Operands) -> Code:
    number = tables.object(edit.obj)
    tables.values[number][edit.field] += edit.n
    return "add", number, tables.field(edit.field), edit.n


def _set(edit: Set, tables: Tables, own: Operands) -> Code:
    number = tables.object(edit.obj)
    if edit.obj is not None:
        tables.values[number][edit.field] = edit.new
    if max(edit.old, edit.new) < LARGEST_NUMBER:
        own.numbers.append(edit.new - edit.old)
        return "set", number, tables.field(edit.field)
    own.addresses.append(edit.new)
    return "point", number, tables.field(edit.field)


def _push(edit: Push, tables: Tables, own: Operands) -> Code:
    own.addresses.append(edit.entry)
    return "push", tables.object(edit.obj)


def _pop(edit: Pop, tables: Tables, own: Operands) -> Code:
    return "pop", tables.object(edit.obj)


def _cut(edit: Cut, tables: Tables, own: Operands) -> Code:
    return "cut", tables.object(edit.obj)


def _chain(edit: Chain, tables: Tables, own: Operands) -> Code:
    own.numbers.append(tables.chain(edit.new))
    return "chain", tables.object(edit.obj)


def _born(edit: Born, tables: Tables, own: Operands) -> Code:
    own.addresses.append(edit.address)
    own.numbers.append(edit.size)
    tables.take_size(edit.size, int(edit.pool))
    return "born", tables.text(str(edit.block.tag)), int(edit.pool)


def _died(edit: Died, tables: Tables, own: Operands) -> Code:
    own.addresses.append(edit.address)
    return ("died",)


def _write(edit: Write, tables: Tables, own: Operands) -> Code:
    row = edit.old[:MOST_BYTES].hex(), edit.new[:MOST_BYTES].hex(), len(edit.new)
    own.addresses.append(edit.address)
    own.numbers.append(tables.writes.setdefault(row, len(tables.writes)))
    return ("write",)


def _list(edit: List, tables: Tables, own: Operands) -> Code:
    if edit.appeared:
        number = tables.describe(edit.obj, edit.description)
        return "list", number, 1, tables.chain(edit.description.entries)
    return "list", tables.object(edit.obj), 0, 0


def _stop(edit: Stop, tables: Tables, own: Operands) -> Code:
    code = edit.code
    known = code in BugCheckCode._value2member_map_
    tables.stop = {
        "name": BugCheckCode(code).name if known else f"{code:#x}",
        "code": f"{code:x}",
        "parameters": [f"{each:x}" for each in edit.parameters],
        "text": edit.text,
    }
    return ("stop",)


_ENCODERS: Final[dict[type[Edit], Callable[[Any, Tables, Operands], Code]]] = {
    Add: _add,
    Set: _set,
    Push: _push,
    Pop: _pop,
    Cut: _cut,
    Chain: _chain,
    Born: _born,
    Died: _died,
    Write: _write,
    List: _list,
    Stop: _stop,
}
