"""``.call``: make a call on a copy of the machine: what if?

Source:
    [doc] Microsoft, Debugging Tools for Windows: ``.call (Call Function)``. Choice: the routine
    is named as in NT or as in this package, and it runs at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from lookaside_sim.errors import BugCheck, LookasideSimError, NtStatusError, SanitizerError
from lookaside_sim.kd.commands.memory import what_if
from lookaside_sim.kd.refusal import Refusal, syntax
from lookaside_sim.kd.shell import Shell
from lookaside_sim.kd.where import banner
from lookaside_sim.kernel import Kernel
from lookaside_sim.machine.calls import Call
from lookaside_sim.nt.types import PoolTag

_CALL: Final = re.compile(r"\s*(.+?)\(([^()]*(?:\([^()]*\)[^()]*)*)\)\s*\Z")

Words = list[str]
Make = Callable[[Shell, Kernel, Words], object]


def _number(shell: Shell, text: str) -> int:
    return shell.evaluate(text)


def _address(shell: Shell, text: str) -> int:
    return shell.evaluate_address(text)


def _tag(shell: Shell, text: str) -> PoolTag:
    """A tag in quotation marks as it lies in memory, else a number."""
    text = text.strip()
    if len(text) > 2 and text[0] == text[-1] and text[0] in "'\"":
        return PoolTag(text[1:-1])
    return PoolTag(shell.evaluate(text) & 0xFFFF_FFFF)


def _allocate_block(shell: Shell, kernel: Kernel, words: Words) -> object:
    return kernel.pool.allocate(
        _number(shell, words[0]), _number(shell, words[1]), _tag(shell, words[2])
    )


def _free_block(shell: Shell, kernel: Kernel, words: Words) -> None:
    kernel.pool.free(_address(shell, words[0]))


def _free_tagged(shell: Shell, kernel: Kernel, words: Words) -> None:
    kernel.pool.free(_address(shell, words[0]), _tag(shell, words[1]))


def _tick(shell: Shell, kernel: Kernel, words: Words) -> None:
    kernel.tick(_number(shell, words[0]) if words else 1)


def _allocate(shell: Shell, kernel: Kernel, words: Words) -> object:
    return kernel.list_at(_address(shell, words[0])).allocate()


def _free(shell: Shell, kernel: Kernel, words: Words) -> None:
    kernel.list_at(_address(shell, words[0])).free(_address(shell, words[1]))


def _flush(shell: Shell, kernel: Kernel, words: Words) -> None:
    kernel.list_at(_address(shell, words[0])).flush()


def _delete(shell: Shell, kernel: Kernel, words: Words) -> None:
    kernel.list_at(_address(shell, words[0])).delete()


def _set_depth(shell: Shell, kernel: Kernel, words: Words) -> None:
    kernel.list_at(_address(shell, words[0])).set_depth(_number(shell, words[1]))


_ROUTINES: Final[dict[str, tuple[int, Make]]] = {
    "exallocatefromlookasidelistex": (1, _allocate),
    "exfreetolookasidelistex": (2, _free),
    "exflushlookasidelistex": (1, _flush),
    "exdeletelookasidelistex": (1, _delete),
    "exallocatepoolwithtag": (3, _allocate_block),
    "exfreepool": (1, _free_block),
    "exfreepoolwithtag": (2, _free_tagged),
    "pool.allocate": (3, _allocate_block),
    "pool.free": (1, _free_block),
    "tick": (1, _tick),
}
_METHODS: Final[dict[str, tuple[int, Make]]] = {
    "allocate": (1, _allocate),
    "free": (2, _free),
    "flush": (1, _flush),
    "delete": (1, _delete),
    "set_depth": (2, _set_depth),
}
ROUTINES: Final = (
    "LIST.allocate(), LIST.free(entry), LIST.flush(), LIST.delete(), LIST.set_depth(n),"
    ' pool.allocate(type, size, "tag"), pool.free(address), tick(seconds), or the NT routine'
)


def call(shell: Shell, arguments: str) -> str:
    """The command ``.call``."""
    found = _CALL.match(arguments)
    if found is None:
        raise syntax(arguments)
    name, words = found[1].strip(), _split(found[2])
    count, make = _made(name, words)
    if len(words) != count:
        raise Refusal(f".call {arguments.strip()}: it takes {count} arguments")
    # What cannot be evaluated is refused before there is a copy.
    first = shell.what_if is None
    kernel = shell.what_if or shell.target.kernel.clone()
    heard: list[Call] = []
    returned = 0
    stop_listening = kernel.listen(heard.append)
    try:
        result = make(shell, kernel, words)
        returned = int(result) if isinstance(result, int) else 0
        told = _told(shell, result, heard)
    except BugCheck as stop:
        told = banner(stop).strip("\n")
    except (LookasideSimError, NtStatusError, SanitizerError) as error:
        told = f".call raises {type(error).__name__}: {error}"
    except (TypeError, ValueError) as error:
        raise Refusal(f".call {arguments.strip()}: {error}") from None
    finally:
        stop_listening()
    shell.called, shell.returned = True, returned
    shell.keep_copy(kernel, f".call {arguments.strip()}")
    return f"{what_if(shell)}\n{told}" if first else told


def _made(name: str, words: Words) -> tuple[int, Make]:
    """What a name means; a list in front of the dot becomes the first argument."""
    folded = name.lower().removeprefix("nt!")
    if folded in _ROUTINES:
        return _ROUTINES[folded]
    lookaside, _, method = name.rpartition(".")
    if lookaside and method.lower() in _METHODS:
        words.insert(0, lookaside)
        return _METHODS[method.lower()]
    raise Refusal(f"Couldn't resolve error at '{name}': .call knows {ROUTINES}")


def _split(text: str) -> Words:
    """The arguments: at commas outside of parentheses."""
    words, depth, word = [], 0, ""
    for each in text:
        depth += (each == "(") - (each == ")")
        if each == "," and not depth:
            words.append(word)
            word = ""
        else:
            word += each
    return [*words, word] if word.strip() or words else []


def _told(shell: Shell, result: object, heard: list[Call]) -> str:
    outermost = [each for each in heard if each.outer is None and each.is_over]
    branch = outermost[-1].branch if outermost else None
    text = ".call returns"
    if isinstance(result, int):
        text += f" {shell.text(int(result))}"
    elif outermost and outermost[-1].word == "alloc":
        text += " NULL"
    return text + (f"   *{branch.value}*" if branch is not None else "")
