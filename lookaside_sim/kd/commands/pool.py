"""Pool: ``!pool``, ``!poolused``, ``!poolfind``, ``!poolval``; and ``!verifier``, ``!irql``."""

from __future__ import annotations

import shlex
from typing import Final

from lookaside_sim import windbg
from lookaside_sim.errors import InvariantError
from lookaside_sim.kd.refusal import Refusal, missing
from lookaside_sim.kd.shell import Shell
from lookaside_sim.nt.layouts import PAGE_MASK
from lookaside_sim.nt.types import ULONG_MASK, Irql
from lookaside_sim.pool.check import PoolBlock

_BOTH_ORDERS: Final = 6  # flags 2 and 4, which exclude each other


def pool(shell: Shell, arguments: str) -> str:
    """The command ``!pool``."""
    reader = shell.reader(arguments)
    if not reader.rest:
        raise missing()
    address = reader.address()
    flags = reader.expression() & ULONG_MASK if reader.rest else 0
    reader.end()
    return windbg.pool(shell.kernel, address, flags)


def poolused(shell: Shell, arguments: str) -> str:
    """The command ``!poolused``."""
    flags, _, tag = arguments.strip().partition(" ")
    number = shell.evaluate(flags) & ULONG_MASK if flags else 0
    if number & _BOTH_ORDERS == _BOTH_ORDERS:
        raise Refusal(f"!poolused {flags}: 2 and 4 exclude each other")
    return windbg.poolused(shell.kernel, number, _tag(tag) or "*")


def _tag(text: str) -> str:
    """A tag as it was typed, perhaps in quotation marks since it may end in blanks."""
    text = text.strip()
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text


def poolfind(shell: Shell, arguments: str) -> str:
    """The command ``!poolfind``."""
    try:
        words = shlex.split(arguments, posix=False)
    except ValueError:
        raise missing(arguments) from None
    if not words:
        raise Refusal("!poolfind: give a tag, such as !poolfind Rqst")
    kind = shell.evaluate(" ".join(words[1:])) if words[1:] else 0
    if kind > 1:
        raise Refusal(f"!poolfind: pool type {kind:x}: give 0 for nonpaged, 1 for paged")
    return windbg.poolfind(shell.kernel, _tag(words[0]), paged=bool(kind))


def poolval(shell: Shell, arguments: str) -> str:
    """The command ``!poolval``: whether the headers of a page fit each other.

    Choice: no public transcript shows more than the first lines.
    """
    address = shell.evaluate_address(arguments)
    page = address & ~PAGE_MASK
    kernel = shell.kernel
    title = windbg.pool(kernel, address, 2).partition("\n")[0]
    lines = [title, "", f"Validating Pool headers for pool page: {shell.text(address)}", ""]
    blocks: list[PoolBlock] = []
    wrong = ""
    try:
        for block in kernel.pool.blocks_in_page(address):
            if blocks and block.previous_units != blocks[-1].units:
                wrong = (
                    f"the header at {shell.text(block.header)} says the block before has"
                    f" {block.previous_units:#x} units, and it has {blocks[-1].units:#x}"
                )
                break
            blocks.append(block)
    except InvariantError as error:
        wrong = str(error)
    state = f"Pool page [ {shell.text(page)} ]"
    if wrong:
        lines += [f"{state} is __inVALID.", "", wrong]
        if blocks:
            lines.append(f"The last header that fits is at {shell.text(blocks[-1].header)}.")
    elif blocks:
        lines.append(f"{state} is VALID: {len(blocks)} blocks.")
    else:
        lines.append(f"{state} has no pool headers.")
    return "\n".join(lines)


def verifier(shell: Shell, arguments: str) -> str:
    """The command ``!verifier``."""
    words = arguments.split()
    flags = shell.evaluate(words[0]) & ULONG_MASK if words else 0
    if len(words) > 2:
        raise Refusal(f"Extra character error in '{' '.join(words[2:])}'")
    return windbg.verifier(shell.kernel, flags, words[1] if len(words) > 1 else None)


def irql(shell: Shell, arguments: str) -> str:
    """The command ``!irql``."""
    kernel = shell.kernel
    number = shell.evaluate(arguments) if arguments.strip() else kernel.processor
    if number >= kernel.processors:
        raise Refusal(
            f"!irql {arguments.strip()}: the machine has {kernel.processors} processors"
        )
    level = kernel.machine.processors.irql_of(number)
    name = f" ({level.name})" if isinstance(level, Irql) else ""
    return f"Debugger saved IRQL for processor 0x{number:x} -- {int(level)}{name}"
