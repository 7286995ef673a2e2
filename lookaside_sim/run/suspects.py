"""Which steps can have changed some bytes: found in the columns, so that others need no look.

Whoever watches bytes plays a run and looks after each step that can have changed them. Most can
not: a hit moves the header of its own list and one entry's link; the pool's calls write headers and
links of free blocks, so nothing in a block that lives on. Where that is not known for sure, as with
lists inside pool blocks, layers over the pool or the program's own writes, every step is a suspect.
"""

from __future__ import annotations

from array import array
from typing import Final

from lookaside_sim.nt.layouts import Architecture
from lookaside_sim.parts import KernelSettings
from lookaside_sim.run.rows import Rows, Shape

_NEVER: Final = 0
_ALWAYS: Final = 1
_LINK: Final = 2  # a list's free: the first word is an entry, whose link it writes
_POOL: Final = 3  # a call of the pool
_LIST_CALLS: Final = frozenset({"AllocateEntry", "FreeEntry"})
_POOL_CALLS: Final = frozenset({"AllocateBlock", "FreeBlock"})
_FREES: Final = frozenset({"FreeEntry", "FreeBlock"})


def suspects_of(
    rows: Rows, settings: KernelSettings, arch: Architecture, address: int, size: int
) -> array[int] | None:
    """The numbers of the steps that can have changed some bytes, in order.

    Args:
        rows: the run, begun on a fresh machine.
        settings: of its machine.
        arch: its layouts.
        address: of the first byte.
        size: how many.

    Returns:
        The numbers; None where every step is a suspect.
    """
    lists = dict(rows.names_made())
    in_pool = {each: _is_in_pool(arch, each) for each in lists}
    if any(in_pool.values()) or settings.verifier or settings.small_pool_lists:
        return None
    if settings.delayed_free:
        return None
    own = next(
        (
            each
            for each in lists
            if each <= address and address + size <= each + arch.lookaside_size
        ),
        None,
    )
    if own is not None:
        return _of_list(rows, own, address - own, size, arch)
    if _is_in_pool(arch, address) and _is_in_pool(arch, address + size - 1):
        return _of_pool(rows, address, size, arch)
    return None


def _is_in_pool(arch: Architecture, address: int) -> bool:
    starts = (arch.nonpaged_pool_start, arch.nonpaged_nx_pool_start, arch.paged_pool_start)
    special = arch.special_pool_start
    return address >= special or any(
        start <= address < start + arch.pool_region_size for start in starts
    )


def _unusual(rows: Rows) -> set[int]:
    """Rows in which the program's own code took part, or before which something was done."""
    return {*rows.inside, *rows.between}


def _is_plain(shape: Shape) -> bool:
    return shape.error < 0


# --- the fields of a list ----------------------------------------------------------------------------


def _of_list(rows: Rows, own: int, offset: int, size: int, arch: Architecture) -> array[int]:
    """Suspects for fields of a list that lies in memory of its own."""
    made = rows.lists_made()
    at = arch.lookaside_offsets
    moved = (
        (0, arch.slist_header_size),
        (at["TotalAllocates"], at["FreeMisses"] + 4),
    )
    hits_move = any(offset < end and start < offset + size for start, end in moved)
    wanted = set()
    for number, shape in enumerate(rows.shapes):
        if shape.kind in _POOL_CALLS and _is_plain(shape):
            continue
        is_call = shape.kind in _LIST_CALLS and _is_plain(shape)
        if not is_call or (made[shape.key[0]] == own and hits_move):
            wanted.add(number)
    unusual = _unusual(rows)
    shape_of = rows.columns()[0]
    found = {number for number, shape in enumerate(shape_of) if shape in wanted}
    return array("Q", sorted(found | {each for each in unusual if each < len(rows)}))


# --- bytes of the pool ---------------------------------------------------------------------------------


def _of_pool(rows: Rows, address: int, size: int, arch: Architecture) -> array[int]:
    """Suspects for bytes of a pool."""
    codes = [_code(shape) for shape in rows.shapes]
    counts = [shape.words for shape in rows.shapes]
    is_free = [shape.kind in _FREES for shape in rows.shapes]
    sizes = _sizes(rows)
    # Who writes over headers may make the pool take a live block for a free one.
    is_written = any(shape.kind == "WriteMemory" for shape in rows.shapes) or bool(rows.inside)
    first, last = address - arch.pointer_size + 1, address + size - 1
    unusual = _unusual(rows)
    shape_of, _, words = rows.columns()
    found = array("Q")
    body = 0  # of the live block that all the bytes lie in, 0 for none
    at = 0
    for number, shape in enumerate(shape_of):
        code = codes[shape]
        if code == _NEVER and number not in unusual:
            at += counts[shape]
            continue
        if number in unusual or code == _ALWAYS:
            found.append(number)
            body = 0
        elif code == _LINK:
            if first <= words[at] <= last:
                found.append(number)
        else:
            block = words[at]
            if not body or block == body:
                found.append(number)
                body = 0
                if not is_free[shape] and not is_written and block:
                    inside = block <= address and address + size <= block + sizes[shape]
                    body = block if inside else 0
        at += counts[shape]
    return found


def _code(shape: Shape) -> int:
    if not _is_plain(shape):
        return _ALWAYS
    if shape.kind in _LIST_CALLS and shape.branch == "hit":
        return _LINK if shape.kind == "FreeEntry" else _NEVER
    if shape.kind in _LIST_CALLS or shape.kind in _POOL_CALLS:
        return _POOL
    if shape.kind in ("ReadMemory", "Tick"):
        return _NEVER  # a tick changes fields of lists, and none of those lies in a pool
    return _ALWAYS


def _sizes(rows: Rows) -> list[int]:
    """The bytes that the block of each shape's calls was asked for with; 0 where unknown."""
    of_list: dict[int, int] = {}
    for shape in rows.shapes:
        if shape.kind == "InitializeList" and not shape.key[3]:
            number, asked = shape.key[0], shape.key[4][1]
            of_list[number] = min(of_list.get(number, asked), asked)
    return [
        shape.key[1]
        if shape.kind == "AllocateBlock"
        else of_list.get(shape.key[0], 0)
        if shape.kind == "AllocateEntry"
        else 0
        for shape in rows.shapes
    ]
