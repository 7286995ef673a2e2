"""The register CR8, which is the IRQL on x64: KeGetCurrentIrql and its like read and write it.

No engine has it, so the instructions are looked for in the code, and each is done in Python.

Source:
    [doc] Intel SDM: MOV from and to control registers. Choice: bytes that look like such an
    instruction and are none, such as the end of another, are never stopped at, as no code goes there.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from lookaside_sim.drive.engine import Register
from lookaside_sim.drive.images import LoadedImage
from lookaside_sim.drive.processor import Processor

_PREFIXES: Final = (0x44, 0x45)  # REX.R; with REX.B the register is r8 to r15
_READS: Final = 0x20
_LENGTH: Final = 4


def watch_cr8(processor: Processor, image: LoadedImage, memory: bytearray) -> None:
    """Stop at each instruction of an image that reads or writes CR8."""
    for section in image.pe.sections:
        if not section.executable:
            continue
        end = section.rva + section.size
        for second in (_READS, _READS | 2):
            at = memory.find(bytes((0x0F, second)), section.rva + 1, end)
            while at >= 0:
                prefix, register = memory[at - 1], memory[at + 2 : at + 3]
                if prefix in _PREFIXES and register and register[0] & 0xF8 == 0xC0:
                    number = Register(register[0] & 7 | (prefix & 1) << 3)
                    address = image.base + at - 1
                    reached = partial(_reached, processor, address, number, second == _READS)
                    processor.engine.stop_at(address, reached)
                at = memory.find(bytes((0x0F, second)), at + 1, end)


def _reached(processor: Processor, address: int, register: Register, reads: bool) -> None:
    """Do the instruction."""
    with processor.at_instruction(address):
        engine, kernel = processor.engine, processor.kernel
        if reads:
            engine.put(register, int(kernel.irql))
        else:
            level = engine.get(register) & 0xF
            if level >= kernel.irql:
                kernel.raise_irql(level)
            else:
                kernel.lower_irql(level)
    engine.go_on_at(address + _LENGTH)
