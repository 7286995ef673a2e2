"""Names and numbers: ``x``, ``ln``, ``lm``, ``?``, ``.formats``, ``r``, ``n``, ``.echo``."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import Final

from lookaside_sim.kd.numbers import all_formats, evaluated
from lookaside_sim.kd.refusal import Refusal
from lookaside_sim.kd.shell import Shell
from lookaside_sim.kd.symbols import module_name
from lookaside_sim.pool.values import PoolAllocation

_ASSIGNMENT: Final = re.compile(r"@?(\$t[0-9]+)\s*=(?!=)\s*", re.IGNORECASE)
_RADIXES: Final = (8, 10, 16)


def examine(shell: Shell, arguments: str) -> str:
    """The command ``x``."""
    pattern = arguments.strip().lower()
    if not pattern:
        raise Refusal("x: give a pattern, such as x *!* or x nt!Ex*")
    if "!" not in pattern:
        pattern = f"*!{pattern}"
    lines = []
    for symbol in shell.symbols.all():
        # A name without a module matches as one of any module.
        name = symbol.name if "!" in symbol.name else f"!{symbol.name}"
        if fnmatchcase(name.lower(), pattern):
            is_list = shell.symbols.list_at(symbol.address) is not None
            kind = " = struct _LOOKASIDE_LIST_EX" if is_list else ""
            lines.append(f"{shell.text(symbol.address)} {symbol.name}{kind}")
    if pattern == "*!*":
        lines += [
            f"{shell.text(each.address)} <a list without a name>"
            for each in shell.symbols.lists()
            if not each.name
        ]
    return "\n".join(lines)


def nearest(shell: Shell, arguments: str) -> str:
    """The command ``ln``."""
    address = shell.evaluate_address(arguments)
    symbol = shell.symbols.around(address)
    if symbol is not None:
        behind = [each for each in shell.symbols.all() if each.address > address]
        after = f"   |  ({shell.text(behind[0].address)})   {behind[0].name}" if behind else ""
        line = f"({shell.text(symbol.address)})   {symbol.at(address)}{after}"
        exact = symbol.address == address
        return f"{line}\nExact matches:\n    {symbol.name}" if exact else line
    block = shell.kernel.pool.find(address)
    if block is not None:
        return _block_text(shell, block, address)
    return f"{shell.text(address)}: no symbol and no block of pool is there"


def _block_text(shell: Shell, block: PoolAllocation, address: int) -> str:
    offset = address - block.address
    at = f"{shell.text(block.address)}{f'+0x{offset:x}' if offset else ''}"
    return f"{at}: in the {block.size}-byte pool block {block.tag!s}; !pool shows its page"


def modules(shell: Shell, arguments: str) -> str:
    """The command ``lm``."""
    pattern = arguments.removeprefix("m").strip().lower() or "*"
    width = 2 * shell.pointer_size + (shell.pointer_size == 8)
    lines = [f"{'start':<{width}} {'end':<{width}} module name"]
    gone = []
    for image in shell.kernel.drivers.all:
        if not fnmatchcase(module_name(image).lower(), pattern):
            continue
        ends = f"{shell.text(image.image_base)} {shell.text(image.image_end)}"
        if image.loaded:
            lines.append(f"{ends} {module_name(image)}")
        else:
            gone.append(f"{ends} {image.name}")
    return "\n".join([*lines, *(["", "Unloaded modules:", *gone] if gone else [])])


def evaluate(shell: Shell, arguments: str) -> str:
    """The command ``?``."""
    return evaluated(shell.evaluate(arguments), shell.pointer_size)


def formats(shell: Shell, arguments: str) -> str:
    """The command ``.formats``."""
    return all_formats(shell.evaluate(arguments), shell.pointer_size)


def registers(shell: Shell, arguments: str) -> str:
    """The command ``r``: pseudo-registers, since the machine runs no instructions."""
    text = arguments.removeprefix("?").strip()
    if not text:
        kernel = shell.kernel
        return (
            f"processor={kernel.processor:x} irql={int(kernel.irql):x}"
            f" seconds={kernel.seconds:x} $retreg={shell.text(shell.register('$retreg') or 0)}"
        )
    assigned = _ASSIGNMENT.match(text)
    if assigned is not None:
        shell.set_register(assigned[1].lower(), shell.evaluate(text[assigned.end() :]))
        return ""
    name = text.lstrip("@").lower()
    value = shell.register(name)
    if value is None:
        raise Refusal(f"Bad register error at '{text}'")
    return f"{name}={shell.text(value)}"


def number_base(shell: Shell, arguments: str) -> str:
    """The command ``n``."""
    text = arguments.strip()
    if text:
        if not text.isdecimal() or int(text) not in _RADIXES:
            raise Refusal(f"n {text}: give 8, 10 or 16")
        shell.radix = int(text)
    return f"base is {shell.radix}"


def echo(shell: Shell, arguments: str) -> str:
    """The command ``.echo``."""
    text = arguments.strip()
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text


def leave(shell: Shell, arguments: str) -> str:
    """The command ``q``."""
    shell.quits = True
    return ""
