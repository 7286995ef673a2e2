"""The kinds of calls of memory, time, processors and spin locks; see `lookaside_sim.run.kinds`."""

from __future__ import annotations

from typing import Any, Final

from lookaside_sim.machine import calls as machine
from lookaside_sim.nt.bugchecks import BugCheckCode
from lookaside_sim.run.kind import Kind, Notebook, Stage
from lookaside_sim.run.rows import Key

_WORD: Final = 8
"""Bytes that a word holds."""


def data_word(book: Notebook, data: bytes) -> int:
    """A word that says what some bytes are: they themselves, or their number."""
    return int.from_bytes(data, "little") if len(data) <= _WORD else book.blob(data)


def data_of(stage: Stage, size: int, word: int) -> bytes:
    """The bytes that a word says, of which there are so many."""
    return word.to_bytes(size, "little") if size <= _WORD else stage.blob(word)


def _read_is_same(stage: Stage, word: int, result: bytes) -> bool:
    return data_of(stage, len(result), word) == result


def _take(stage: Stage, key: Key, words: tuple[int, ...]) -> Any:
    locks = stage.kernel.spin_locks
    return locks.acquire_at_dpc_level(key[0]) if key[2] else locks.acquire(key[0])


def _release(stage: Stage, key: Key, words: tuple[int, ...]) -> Any:
    locks = stage.kernel.spin_locks
    if key[2]:
        return locks.release_from_dpc_level(key[0])
    return locks.release(key[0], key[3])


def _stop(stage: Stage, key: Key, words: tuple[int, ...]) -> Any:
    one, two, three, four = words
    stage.kernel.machine.stop(BugCheckCode(key[0]), (one, two, three, four), key[1])


MACHINE: Final = (
    Kind(
        machine.StopMachine,
        "KeBugCheckEx",
        _stop,
        lambda book, call: (call.code, call.message),
        lambda book, call: call.parameters,
        arguments=lambda key, words: {
            "BugCheckCode": key[0],
            **{f"BugCheckParameter{number}": each for number, each in enumerate(words, 1)},
        },
        takes=(int, str),
        operand_count=4,
    ),
    Kind(
        machine.ReadMemory,
        "program",
        lambda stage, key, words: stage.kernel.read(words[0], key[0]),
        lambda book, call: (call.size,),
        lambda book, call: (call.address,),
        has_result=True,
        result=data_word,
        is_same=_read_is_same,
        arguments=lambda key, words: {"Address": words[0], "Size": key[0]},
        takes=(int,),
        operand_count=1,
    ),
    Kind(
        machine.WriteMemory,
        "program",
        lambda stage, key, words: stage.kernel.write(
            words[0], data_of(stage, key[0], words[1])
        ),
        lambda book, call: (len(call.data),),
        lambda book, call: (call.address, data_word(book, call.data)),
        arguments=lambda key, words: {"Address": words[0], "Size": key[0]},
        takes=(int,),
        operand_count=2,
    ),
    Kind(
        machine.TouchMemory,
        "program",
        lambda stage, key, words: stage.kernel.touch_fault(words[0], key[0]),
        lambda book, call: (call.operation,),
        lambda book, call: (call.address,),
        arguments=lambda key, words: {"Address": words[0], "Operation": key[0]},
        takes=(int,),
        operand_count=1,
    ),
    Kind(
        machine.Tick,
        "time",
        lambda stage, key, words: stage.kernel.tick(key[0]),
        lambda book, call: (call.seconds,),
        arguments=lambda key, words: {"Seconds": key[0]},
        takes=(int,),
    ),
    Kind(
        machine.RaiseIrql,
        "KeRaiseIrql",
        lambda stage, key, words: stage.kernel.raise_irql(key[0]).previous,
        lambda book, call: (call.level,),
        has_result=True,
        arguments=lambda key, words: {"NewIrql": key[0]},
        takes=(int,),
    ),
    Kind(
        machine.LowerIrql,
        "KeLowerIrql",
        lambda stage, key, words: stage.kernel.lower_irql(key[0]),
        lambda book, call: (call.level,),
        arguments=lambda key, words: {"NewIrql": key[0]},
        takes=(int,),
    ),
    Kind(
        machine.SwitchProcessor,
        "processor",
        lambda stage, key, words: stage.kernel.machine.processors.switch_to(key[0]),
        lambda book, call: (call.number,),
        arguments=lambda key, words: {"Number": key[0]},
        takes=(int,),
    ),
    Kind(
        machine.InitializeLock,
        "KeInitializeSpinLock",
        lambda stage, key, words: stage.kernel.spin_locks.initialize(key[0], key[1]),
        lambda book, call: (call.lock, call.name),
        arguments=lambda key, words: {"SpinLock": key[0]},
        takes=(int, str),
    ),
    Kind(
        machine.AcquireLock,
        "KeAcquireSpinLock",
        _take,
        lambda book, call: (call.lock, call.name, int(call.at_dpc_level)),
        has_result=True,
        arguments=lambda key, words: {"SpinLock": key[0]},
        takes=(int, str, int),
    ),
    Kind(
        machine.ReleaseLock,
        "KeReleaseSpinLock",
        _release,
        lambda book, call: (call.lock, call.name, int(call.at_dpc_level), call.irql),
        arguments=lambda key, words: {"SpinLock": key[0], "NewIrql": key[3]},
        takes=(int, str, int, int),
    ),
)
