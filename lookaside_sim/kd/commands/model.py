"""``dx``: questions to the whole recording.

Source:
    [doc] Microsoft, Debugging Tools for Windows: Introduction to Time Travel Debugging objects;
    ``dx (Display Debugger Object Model Expression)``. Choice: the arguments of Memory are MASM
    expressions, as everywhere in this shell; the tables have the columns that this machine knows.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from lookaside_sim.kd.refusal import Refusal, syntax
from lookaside_sim.kd.shell import Shell
from lookaside_sim.run.sites import Site

_QUERY: Final = re.compile(
    r"@\$cursession\.TTD\.(Calls|Memory|Lifetime)"
    r"(?:\((.*)\))?\s*\Z",
    re.IGNORECASE | re.DOTALL,
)
_CHOICE: Final = re.compile(
    r"(\.Count\(\)|\.First\(\)|\.Last\(\)|\[[^\]]+\])\s*\Z", re.IGNORECASE
)
_QUOTED: Final = re.compile(r'"([^"]*)"')
_MOST_ROWS: Final = 100
_CALLS: Final = ("TimeStart", "Function", "List", "ReturnValue", "Source")
_MEMORY: Final = ("TimeStart", "AccessType", "Value", "Overwritten", "Function", "Source")

Row = tuple[str, ...]
Rows = Callable[[int], Row]


def model(shell: Shell, arguments: str) -> str:
    """The command ``dx``."""
    text = arguments.strip()
    while text.startswith("-"):
        text = text.partition(" ")[2].strip()  # -g asks for the grid there always is
    choice = _CHOICE.search(text)
    query = text[: choice.start()] if choice else text
    found = _QUERY.match(query)
    if found is None:
        raise Refusal(
            f"Unable to bind name in '{text}': dx knows @$cursession.TTD.Calls(\"nt!Ex*\"),"
            ' .Memory(start, end, "w") and .Lifetime'
        )
    what, inner = found[1].lower(), found[2]
    if what == "lifetime":
        return f"{query} : [0:0, {len(shell.target.run):X}:0]"
    if inner is None:
        raise syntax(text)
    heading, count, row = (_calls if what == "calls" else _memory)(shell, inner)
    return _shown(shell, text, choice[1] if choice else "", heading, count, row)


def _shown(shell: Shell, text: str, choice: str, heading: Row, count: int, row: Rows) -> str:
    """The chosen rows of a table, or their number."""
    start, end = 0, count
    if choice.lower() == ".count()":
        return f"{text} : 0x{count:x}"
    if choice:
        last = count - 1 if choice.lower() == ".last()" else 0
        start = shell.evaluate(choice[1:-1]) if choice.startswith("[") else last
        if not 0 <= start < count:
            raise Refusal(f"Index out of range in '{text}': there are 0x{count:x}")
        end = start + 1
    behind = min(end, start + _MOST_ROWS)
    table = [("", *heading)]
    table += [(f"[0x{number:x}]", *row(number)) for number in range(start, behind)]
    lines = _grid(table)
    if behind < end:
        lines.append(f"... 0x{end - behind:x} more: ask for one as [n], or a narrower range")
    return "\n".join(lines)


def _grid(table: list[Row]) -> list[str]:
    """Rows with columns of the same width, each begun by an equals sign as ``dx -g`` does."""
    widths = [max(len(each[column]) for each in table) for column in range(len(table[0]))]
    lines = [
        "= " + " - ".join(f"{cell:<{width}}" for cell, width in zip(each, widths, strict=True))
        for each in table
    ]
    lines[0] = lines[0].replace(" - ", " = ")
    rule = "=" * max(map(len, lines))
    return [rule, lines[0].rstrip(), rule, *(line.rstrip() for line in lines[1:]), rule]


def _calls(shell: Shell, inner: str) -> tuple[Row, int, Rows]:
    patterns = _QUOTED.findall(inner)
    if not patterns:
        raise syntax(inner)
    run = shell.target.run
    positions = sorted(
        {each for pattern in patterns for each in shell.target.searches.calls(pattern)}
    )

    def row(number: int) -> Row:
        step = run[positions[number] - 1]
        result = step.result
        returned = shell.text(int(result)) if isinstance(result, int) else ""
        name = "" if step.obj is None else shell.target.list_names.get(step.obj, "")
        return f"{positions[number]:X}:0", step.routine, name, returned, _site(step.site)

    return _CALLS, len(positions), row


def _memory(shell: Shell, inner: str) -> tuple[Row, int, Rows]:
    quoted = _QUOTED.search(inner)
    if quoted is None:
        raise syntax(inner)
    ends = inner[: quoted.start()].rstrip().removesuffix(",").rsplit(",", 1)
    if len(ends) != 2:
        raise syntax(inner)
    start, end = (shell.evaluate_address(each) for each in ends)
    if end <= start:
        raise Refusal(f"Range error in '{inner}': it ends before it begins")
    kinds = quoted[1].lower()
    if not kinds or set(kinds) - set("rwuec"):
        raise Refusal(f'dx: access "{quoted[1]}": give r and w')
    found = [
        each
        for each in shell.target.searches.accesses(start, end - start, reads="r" in kinds)
        if each.kind in kinds
    ]

    def row(number: int) -> Row:
        access = found[number]
        kind = "Write" if access.kind == "w" else "Read"
        return (
            f"{access.step.number + 1:X}:0",
            kind,
            _bytes(shell, access.new),
            _bytes(shell, access.old) if access.kind == "w" else "",
            access.step.routine,
            _site(access.step.site),
        )

    return _MEMORY, len(found), row


def _bytes(shell: Shell, data: bytes) -> str:
    """The first bytes that were accessed, as the number they are."""
    if not data:
        return "?" * 8 if shell.pointer_size == 4 else "????????`????????"
    return shell.text(int.from_bytes(data[: shell.pointer_size], "little"))


def _site(site: Site | None) -> str:
    return "" if site is None else f"{site.file}:{site.line}"
