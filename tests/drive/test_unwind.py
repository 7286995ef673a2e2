"""Unwinding by descriptions that are made by hand, so that each operation comes up."""

from __future__ import annotations

import struct

import pytest

from lookaside_sim import Kernel
from lookaside_sim.drive.engine import Register
from lookaside_sim.drive.images import Images, LoadedImage
from lookaside_sim.drive.pe import read_pe
from lookaside_sim.drive.pe_tables import Function
from lookaside_sim.drive.unwind import Frame, Unwinder
from lookaside_sim.memory.regions import Region
from tests.drive.helpers import sys_file

BASE = 0xFFFF_F80A_4000_0000
STACK = 0xFFFF_FB10_0000_0000
INFO = 0x800

PUSH, LARGE, SMALL, SET_FRAME, SAVE, SAVE_FAR, SAVE_XMM = 0, 1, 2, 3, 4, 5, 8
HANDLER, CHAINED = 1, 4


def code(offset: int, operation: int, info: int, *more: int) -> bytes:
    """One operation, with the 16-bit words behind it."""
    return struct.pack("<BB", offset, operation | info << 4) + struct.pack(
        f"<{len(more)}H", *more
    )


def described(codes: bytes, *, flags: int = 0, frame: int = 0, tail: bytes = b"") -> bytes:
    """An UNWIND_INFO."""
    count = len(codes) // 2
    padding = bytes(2 * (count % 2))
    return struct.pack("<BBBB", 1 | flags << 3, 0x10, count, frame) + codes + padding + tail


class Scene:
    """A function of 0x100 bytes, its description, and a stack whose words are their addresses."""

    def __init__(self, info: bytes) -> None:
        kernel = Kernel()
        self.image = LoadedImage(read_pe(sys_file("families")), BASE, "made.sys")
        self.image.functions = [Function(0x100, 0x200, INFO)]
        images = Images()
        images.add(self.image)
        kernel.memory.map(Region(BASE, 0x1000, contents=bytes(INFO) + info))
        words = b"".join((STACK + 8 * i).to_bytes(8, "little") for i in range(0x2000))
        self.stack = Region(STACK, len(words), contents=words)
        kernel.memory.map(self.stack)
        self.unwinder = Unwinder(images, kernel.memory)

    def unwound(self, at: int = 0x80, frame: int = STACK) -> tuple[Frame, tuple[int, ...], int]:
        """The frame, the caller's registers, and where it goes on."""
        registers = [0] * 16
        registers[Register.SP], registers[Register.BP] = STACK, frame
        step = self.unwinder._step(self.image, BASE + 0x100 + at, tuple(registers))
        return step[0], step[2], step[1]


def test_a_function_without_a_description_is_a_leaf() -> None:
    scene = Scene(b"")
    scene.image.functions = []
    _, registers, back = scene.unwound()
    assert (registers[Register.SP], back) == (STACK + 8, STACK)


@pytest.mark.parametrize(
    ("codes", "size"),
    [
        (code(4, SMALL, 4), 40),
        (code(8, LARGE, 0, 0x20), 0x100),
        (code(8, LARGE, 1, 0x1000, 0), 0x1000),
        (code(8, SMALL, 0) + code(4, PUSH, Register.BX), 16),
        (code(8, SAVE_XMM, 6, 2) + code(4, SMALL, 1), 16),
    ],
)
def test_room_on_the_stack_is_given_back(codes: bytes, size: int) -> None:
    _, registers, back = Scene(described(codes)).unwound()
    assert (registers[Register.SP], back) == (STACK + size + 8, STACK + size)


def test_registers_come_back_from_where_they_were_saved() -> None:
    codes = code(9, SAVE, Register.SI, 2) + code(8, SAVE_FAR, Register.DI, 0x18, 0)
    codes += code(4, SMALL, 7) + code(1, PUSH, Register.BX)
    _, registers, _ = Scene(described(codes)).unwound()
    assert registers[Register.SI] == STACK + 0x10
    assert registers[Register.DI] == STACK + 0x18
    assert registers[Register.BX] == STACK + 0x40


def test_what_has_not_happened_yet_is_not_undone() -> None:
    codes = code(5, SMALL, 3) + code(1, PUSH, Register.BX)
    _, registers, _ = Scene(described(codes)).unwound(at=1)
    assert registers[Register.SP] == STACK + 8 + 8
    _, registers, _ = Scene(described(codes)).unwound(at=0)
    assert registers[Register.SP] == STACK + 8


def test_a_frame_pointer_says_where_the_frame_is() -> None:
    codes = code(8, SET_FRAME, 0) + code(4, SMALL, 3)
    info = described(codes, frame=Register.BP | 2 << 4)
    frame, registers, _ = Scene(info).unwound(frame=STACK + 0x120)
    assert frame.establisher == STACK + 0x100
    assert registers[Register.SP] == STACK + 0x100 + 32 + 8


def test_a_handler_stands_behind_the_operations() -> None:
    tail = struct.pack("<II", 0x300, 7)
    info = described(code(4, SMALL, 1), flags=HANDLER, tail=tail)
    frame, _, _ = Scene(info).unwound()
    assert frame.handler is not None
    assert (frame.handler.address, frame.handler.data) == (BASE + 0x300, BASE + INFO + 12)
    assert Scene(info).unwound(at=2)[0].handler is None  # in the prologue


def test_a_chained_description_is_undone_too() -> None:
    second = described(code(4, PUSH, Register.BX))
    first = described(
        code(4, SMALL, 1), flags=CHAINED, tail=struct.pack("<III", 0, 0, INFO + 64)
    )
    _, registers, _ = Scene(first.ljust(64, b"\0") + second).unwound()
    assert registers[Register.BX] == STACK + 16
    assert registers[Register.SP] == STACK + 16 + 8 + 8


def test_descriptions_in_a_ring_end_the_walk() -> None:
    tail = struct.pack("<III", 0, 0, INFO)
    scene = Scene(described(code(4, SMALL, 1), flags=CHAINED, tail=tail))
    registers = [0] * 16
    registers[Register.SP] = STACK
    assert list(scene.unwinder.frames(BASE + 0x180, tuple(registers))) == []


def test_a_stack_that_is_not_there_ends_the_walk() -> None:
    scene = Scene(described(code(4, SMALL, 1)))
    registers = [0] * 16
    registers[Register.SP] = STACK - 0x1000
    assert list(scene.unwinder.frames(BASE + 0x180, tuple(registers))) == []
