"""SLISTs of a driver's own, against a Python list."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookaside_sim import Kernel, LookasideList, NtStatus, NtStatusError
from lookaside_sim.lookaside.slist import FlushSList, InitializeSList, PopEntry, PushEntry
from lookaside_sim.machine.calls import Call, Outcome
from tests.helpers import allocated, both_machines, fill, read_pointer, violation_of

SEQUENCE_BITS = {"x64": 48, "x86": 16}


def fields(kernel: Kernel, head: int) -> tuple[int, int, int]:
    """Depth, Sequence and NextEntry, from the bytes."""
    if kernel.arch.name == "x64":
        low, high = (int.from_bytes(kernel.read(head + at, 8), "little") for at in (0, 8))
        return low & 0xFFFF, low >> 16, high
    word = int.from_bytes(kernel.read(head, 8), "little")
    return word >> 32 & 0xFFFF, word >> 48, word & 0xFFFF_FFFF


def new_slist(kernel: Kernel) -> int:
    """An empty SLIST in a pool block."""
    head = allocated(kernel, 64)
    kernel.slists.initialize(head)
    return head


@given(
    arch=st.sampled_from(["x64", "x86"]),
    steps=st.lists(st.sampled_from(["push", "pop", "flush"]) | st.integers(0, 5)),
)
def test_it_behaves_as_a_stack(arch: str, steps: list[str | int]) -> None:
    kernel = Kernel(arch, windows="8")
    slists = kernel.slists
    head = new_slist(kernel)
    spare = [allocated(kernel, 32) for _ in range(6)]
    model: list[int] = []
    pushes = 0
    for step in steps:
        if step == "pop":
            assert slists.pop(head) == (model[-1] if model else 0)
            if model:
                spare.append(model.pop())
        elif step == "flush":
            entry = slists.flush(head)
            for expected in reversed(model):
                assert entry == expected
                entry = read_pointer(kernel, entry)
            assert entry == 0
            spare += model
            model.clear()
        elif spare:
            entry = spare.pop(step % len(spare) if isinstance(step, int) else -1)
            assert slists.push(head, entry) == (model[-1] if model else 0)
            model.append(entry)
            pushes += 1
        assert fields(kernel, head) == (len(model), pushes, model[-1] if model else 0)
        assert (slists.depth(head), slists.first(head)) == (
            len(model),
            model[-1] if model else 0,
        )
    kernel.check()


@both_machines
def test_depth_and_sequence_wrap(arch: str) -> None:
    kernel = Kernel(arch, windows="8")
    head, entry = new_slist(kernel), allocated(kernel, 32)
    full = (0xFFFF).to_bytes(2, "little")
    most = (1 << SEQUENCE_BITS[arch]) - 1
    if arch == "x64":
        kernel.write(head, full + most.to_bytes(6, "little"))
    else:
        kernel.write(head + 4, full + full)
    kernel.slists.push(head, entry)
    assert fields(kernel, head) == (0, 0, entry)
    assert kernel.slists.pop(head) == entry
    assert fields(kernel, head) == (0xFFFF, 0, 0)


@both_machines
def test_an_entry_keeps_its_link_and_all_its_other_bytes(arch: str) -> None:
    kernel = Kernel(arch, windows="8")
    head, width = new_slist(kernel), kernel.arch.pointer_size
    first, second = allocated(kernel, 32), allocated(kernel, 32)
    kernel.write(second, bytes(range(32)))
    kernel.slists.push(head, first)
    kernel.slists.push(head, second)
    assert kernel.slists.pop(head) == second
    assert kernel.read(second, 32) == first.to_bytes(width, "little") + bytes(range(width, 32))


@both_machines
def test_an_entry_pushed_twice_comes_off_for_ever(arch: str) -> None:
    kernel = Kernel(arch, windows="8")
    head, entry = new_slist(kernel), allocated(kernel, 32)
    kernel.slists.push(head, entry)
    assert kernel.slists.push(head, entry) == entry
    assert [kernel.slists.pop(head) for _ in range(3)] == [entry] * 3
    assert kernel.slists.depth(head) == 0xFFFF


def test_on_x64_an_entrys_low_bits_are_lost_and_reserved_bits_stay() -> None:
    kernel = Kernel()
    head, block = new_slist(kernel), allocated(kernel, 64)
    kernel.write(head + 8, b"\5")
    kernel.slists.push(head, block + 8)
    assert kernel.read(head + 8, 8) == (block | 5).to_bytes(8, "little")
    assert kernel.slists.first(head) == block


def test_a_misaligned_head() -> None:
    kernel = Kernel()
    head = allocated(kernel, 64) + 8
    before = kernel.read(head, 16)
    with pytest.raises(NtStatusError) as caught:
        kernel.slists.initialize(head)
    assert caught.value.status is NtStatus.STATUS_DATATYPE_MISALIGNMENT
    assert kernel.read(head, 16) == before
    kernel = Kernel("x86")
    head = allocated(kernel, 64) + 1
    kernel.slists.initialize(head)
    kernel.slists.push(head, allocated(kernel, 8))
    assert kernel.slists.depth(head) == 1


@pytest.mark.parametrize("what", ["head", "entry"])
def test_what_cannot_be_touched_changes_nothing(what: str) -> None:
    kernel = Kernel()
    head = 0x1000 if what == "head" else new_slist(kernel)
    touched = violation_of(lambda: kernel.slists.push(head, 0x2000))
    assert touched == ((0, 0x1000) if what == "head" else (1, 0x2000))
    if what == "entry":
        assert kernel.read(head, 16) == bytes(16)


def test_a_forged_link_is_followed() -> None:
    kernel = Kernel()
    head, entry = new_slist(kernel), allocated(kernel, 32)
    kernel.slists.push(head, entry)
    kernel.write(entry, (0x4000).to_bytes(8, "little"))
    assert kernel.slists.pop(head) == entry
    assert violation_of(lambda: kernel.slists.pop(head)) == (0, 0x4000)


@both_machines
def test_the_head_of_a_lookaside_list_is_one(arch: str) -> None:
    kernel = Kernel(arch, windows="8")
    lookaside = LookasideList(kernel)
    lookaside.initialize(size=32, tag=b"List")
    entries = fill(lookaside, 3)
    assert kernel.slists.depth(lookaside.address) == 3
    assert kernel.slists.pop(lookaside.address) == entries[-1]
    assert lookaside.allocate() == entries[-2]
    kernel.slists.push(lookaside.address, entries[-1])
    assert (lookaside.allocate(), lookaside.current_depth) == (entries[-1], 1)


def test_listeners_hear_of_each_call_once() -> None:
    kernel = Kernel()
    head, entry = allocated(kernel, 64), allocated(kernel, 32)
    heard: list[Call] = []
    kernel.listen(lambda call: heard.append(call) if call.is_over else None)
    kernel.slists.initialize(head)
    kernel.slists.push(head, entry)
    kernel.slists.pop(head)
    kernel.slists.pop(head)
    kernel.slists.flush(head)
    kinds = [InitializeSList, PushEntry, PopEntry, PopEntry, FlushSList]
    assert [type(call) for call in heard] == kinds
    assert [call.result for call in heard] == [None, 0, entry, 0, 0]
    assert heard[2].outcome is Outcome.RETURNED
    assert heard[3].outcome is Outcome.REFUSED


@pytest.mark.parametrize("bad", [-1, 1 << 64, "head", None])
def test_what_is_no_address_changes_nothing(bad: object) -> None:
    kernel = Kernel()
    head = new_slist(kernel)
    with pytest.raises((TypeError, ValueError), match="ListHead"):
        kernel.slists.pop(bad)  # type: ignore[arg-type]
    with pytest.raises((TypeError, ValueError), match="ListEntry"):
        kernel.slists.push(head, bad)  # type: ignore[arg-type]
    assert fields(kernel, head) == (0, 0, 0)
