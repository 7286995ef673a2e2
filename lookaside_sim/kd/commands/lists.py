"""Lists and structures: ``!lookaside``, ``!slist``, ``!pplookaside``, ``dt``."""

from __future__ import annotations

from typing import Final

from lookaside_sim import windbg
from lookaside_sim.kd.commands.memory import what_if
from lookaside_sim.kd.refusal import Refusal, unresolved
from lookaside_sim.kd.shell import Shell
from lookaside_sim.kd.structures import STRUCTURE_NAMES, Shown, structure_name
from lookaside_sim.lookaside.slist_header import unpack
from lookaside_sim.nt.types import USHORT_MASK

_RESET: Final = 1
_SET_DEPTH: Final = 2
"""Options of ``!lookaside``."""
_MOST_ENTRIES: Final = 0x400
_CONTENTS: Final = 16


def lookaside(shell: Shell, arguments: str) -> str:
    """The command ``!lookaside``."""
    reader = shell.reader(arguments)
    if not reader.rest:
        return windbg.lookasides(shell.kernel)
    address = reader.address()
    option = reader.expression() if reader.rest else 0
    depth = reader.expression() if reader.rest else None
    reader.end()
    if not option:
        return windbg.lookaside(shell.list_of(f"0x{address:x}"))
    if option not in (_RESET, _SET_DEPTH) or (option == _SET_DEPTH) != (depth is not None):
        raise Refusal(f"!lookaside {arguments.strip()}: give 1, or 2 and a depth")
    if depth is not None and depth > USHORT_MASK:
        raise Refusal(f"!lookaside: depth 0x{depth:x}: give 0 to ffff")
    if shell.list_of(f"0x{address:x}").peek() is None:
        return windbg.lookaside(shell.list_of(f"0x{address:x}"))
    first = shell.what_if is None
    kernel = shell.changed_copy(f"!lookaside {arguments}")
    changed = kernel.list_at(address)
    if kernel.bugcheck is not None:
        raise Refusal("!lookaside: the machine has stopped: nothing in it runs any more")
    if depth is None:
        windbg.reset_counters(changed)
    else:
        windbg.set_depth(changed, depth)
    text = windbg.lookaside(changed)
    return f"{what_if(shell)}\n{text}" if first else text


def pplookaside(shell: Shell, arguments: str) -> str:
    """The command ``!pplookaside``."""
    shell.reader(arguments).end()
    # Looking may not make the lists of the I/O manager, which a fresh machine has not needed.
    kernel = shell.kernel
    return windbg.pplookaside(kernel if shell.what_if is not None else kernel.clone())


def slist(shell: Shell, arguments: str) -> str:
    """The command ``!slist``."""
    address = shell.evaluate_address(arguments)
    arch = shell.kernel.arch
    image = shell.peek(address, arch.slist_header_size)
    if image is None:
        raise Refusal(f"Memory access error at '{arguments.strip()}'")
    header = unpack(arch, image)
    alignment = int.from_bytes(image[:8], "little")
    lines = ["SLIST HEADER:", f"   +0x000 Alignment          : {alignment:x}"]
    if arch.pointer_size == 8:
        lines += [
            f"   +0x000 Depth              : {header.depth:x}",
            f"   +0x002 Sequence           : {header.sequence:x}",
            f"   +0x008 NextEntry          : {header.first:x}",
        ]
    else:
        last = "Sequence" if arch.slist_has_sequence else "CpuId"
        word = header.sequence if arch.slist_has_sequence else header.reserved
        lines += [
            f"   +0x000 Next               : {header.first:x}",
            f"   +0x004 Depth              : {header.depth:x}",
            f"   +0x006 {last:<18} : {word:x}",
        ]
    return "\n".join([*lines, "", "SLIST CONTENTS:", *_chain(shell, header.first)])


def _chain(shell: Shell, first: int) -> list[str]:
    """A line for each entry, up to where the chain ends, breaks or comes back."""
    arch = shell.kernel.arch
    entry, seen, lines = first, dict[int, int](), list[str]()
    while entry:
        if entry in seen:
            lines.append(f"{shell.text(entry)}  <a ring: entry {seen[entry]:x} again>")
            break
        if len(seen) == _MOST_ENTRIES:
            lines.append(f"... more than {_MOST_ENTRIES:#x} entries")
            break
        seen[entry] = len(seen)
        link = shell.peek(entry, arch.pointer_size)
        if link is None:
            lines.append(f"{shell.text(entry)}  <not mapped>")
            break
        data = shell.peek(entry, _CONTENTS)
        words = [] if data is None else [data[at : at + 4] for at in range(0, _CONTENTS, 4)]
        shown = " ".join(f"{int.from_bytes(word, 'little'):08x}" for word in words)
        lines.append(f"{shell.text(entry)}  {shown}".rstrip())
        entry = int.from_bytes(link, "little") & ~arch.next_entry_lost_bits
    return lines


def display_type(shell: Shell, arguments: str) -> str:
    """The command ``dt``."""
    words = arguments.split()
    deep = 0
    while words and words[0].startswith("-r"):
        deep = int(words.pop(0)[2:3] or "9", 16)
    if not words:
        return "\n".join(f"          nt!{name}" for name in STRUCTURE_NAMES)
    name = structure_name(words[0])
    if name is None:
        # A list's name stands for the list, as a symbol with a type does.
        address = shell.symbol(words[0])
        if address is None or shell.symbols.list_at(address) is None:
            raise Refusal(f"Symbol {words[0]} not found.")
        name, rest = "_LOOKASIDE_LIST_EX", words
    else:
        rest = words[1:]
    address, wanted = _address_and_field(shell, rest)
    shown = Shown(shell.kernel.arch, address, shell.peek, shell.symbols.text)
    rows = shown.rows(name, wanted, deep=deep)
    if not rows:
        raise Refusal(f"Cannot find specified field members: nt!{name}.{wanted}")
    return "\n".join([f"nt!{name}", *rows])


def _address_and_field(shell: Shell, words: list[str]) -> tuple[int | None, str]:
    """The address and the field that stand behind a type, in either order."""
    address: int | None = None
    wanted = ""
    for word in words:
        try:
            value = shell.evaluate_address(word)
        except Refusal:
            if wanted:
                raise unresolved(word) from None
            wanted = word
        else:
            address = value
    return address, wanted.lstrip("+.")
