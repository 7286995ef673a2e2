"""Listening changes nothing: a machine that is listened to does what another does."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookaside_sim import BugCheck, Kernel, LookasideList, NtStatusError, windbg
from lookaside_sim.lookaside.calls import FreeEntry
from lookaside_sim.machine.calls import Call
from tests.helpers import allocated, cached_link, new_list, take
from tests.machine.helpers import Heard

# --- hot paths ---------------------------------------------------------------------------


def test_entries_freed_before_and_after_listening_stay_in_order(
    kernel: Kernel, blank: LookasideList
) -> None:
    blank.initialize(size=32, tag=b"cach")
    entries = take(blank, 4)
    for entry in entries[:2]:
        blank.free(entry)
    heard = Heard(kernel)
    blank.free(entries[2])
    heard.stop()
    blank.free(entries[3])
    assert list(blank.entries()) == entries[::-1]
    assert take(blank, 4) == entries[::-1]
    assert heard.kinds == [FreeEntry]


def test_listening_ends_with_the_hot_path_back(kernel: Kernel) -> None:
    lookaside = new_list(kernel)
    (entry,) = take(lookaside, 1)
    first, second = Heard(kernel), Heard(kernel)
    lookaside.free(entry)
    assert kernel.memory.cached(entry) is None
    first.stop()
    assert not kernel.memory.caching
    second.stop()
    assert kernel.memory.caching
    assert kernel.machine.is_plain
    assert lookaside.allocate() == entry
    lookaside.free(entry)
    assert cached_link(kernel, entry) == 0


# --- the same, step by step ------------------------------------------------------------------

Held = list[int]


def allocate(_kernel: Kernel, lookaside: LookasideList, held: Held) -> object:
    entry = lookaside.allocate()
    if entry is not None:
        held.append(entry)
    return entry


def free_oldest(_kernel: Kernel, lookaside: LookasideList, held: Held) -> object:
    if held:
        lookaside.free(held.pop(0))
    return None


def free_newest(_kernel: Kernel, lookaside: LookasideList, held: Held) -> object:
    if held:
        lookaside.free(held.pop())
    return None


def write(kernel: Kernel, _lookaside: LookasideList, held: Held) -> object:
    if held:
        kernel.write(held[0], b"written!")
    return None


def request(kernel: Kernel, _lookaside: LookasideList, _held: Held) -> object:
    return kernel.pool.allocate(1, 100, b"same")


STEPS: dict[str, Callable[[Kernel, LookasideList, Held], object]] = {
    "allocate": allocate,
    "free newest": free_newest,
    "free oldest": free_oldest,
    "flush": lambda kernel, lookaside, held: lookaside.flush(),
    "tick": lambda kernel, lookaside, held: kernel.tick(),
    "depth": lambda kernel, lookaside, held: windbg.set_depth(lookaside, 2),
    "reset": lambda kernel, lookaside, held: windbg.reset_counters(lookaside),
    "write": write,
    "request": request,
}


def state(kernel: Kernel, lookaside: LookasideList, held: Held) -> object:
    """What can be seen of a machine without touching it: its pools' bytes too."""
    return (
        bytes(lookaside),
        list(lookaside.entries()),
        held[:],
        kernel.pool.rows(),
        kernel.seconds,
        [kernel.memory.read(address, 32) for address in held],
        repr(kernel),
    )


def scene(kernel: Kernel, place: str) -> tuple[Kernel, LookasideList, Held]:
    """A machine with a list in a driver's data or in a pool block, and nothing held."""
    address = allocated(kernel, 0x200) if place == "block" else None
    return kernel, new_list(kernel, address=address, size=32), []


PLACES = st.sampled_from(["data", "block"])


@pytest.mark.parametrize("sanitizer", [False, True])
@given(
    arch=st.sampled_from(["x64", "x86"]),
    place=PLACES,
    steps=st.lists(
        st.tuples(st.sampled_from(sorted(STEPS)), st.sampled_from(["", "begin", "end"])),
        max_size=40,
    ),
)
def test_listening_changes_nothing(
    sanitizer: bool, arch: str, place: str, steps: list[tuple[str, str]]
) -> None:
    plain, heard = Kernel(arch, sanitizer=sanitizer), Kernel(arch, sanitizer=sanitizer)
    states = [scene(kernel, place) for kernel in (plain, heard)]
    listeners: list[Heard] = []
    expected = told = 0
    for step, change in steps:
        if change == "begin":
            listeners.append(Heard(heard))
        elif change == "end" and listeners:
            told += len(listeners[0].told)
            listeners.pop(0).stop()
        results = [STEPS[step](*each) for each in states]
        assert results[0] == results[1]
        assert state(*states[0]) == state(*states[1])
        if step not in ("free newest", "free oldest", "write"):  # with nothing held no call
            expected += 2 * len(listeners)
    assert told + sum(len(each.told) for each in listeners) >= expected
    for each in listeners:
        each.stop()
    assert heard.memory.caching
    for kernel in (plain, heard):
        kernel.check()
    assert state(*states[0]) == state(*states[1])


@given(
    arch=st.sampled_from(["x64", "x86"]),
    place=PLACES,
    steps=st.lists(st.sampled_from(sorted(STEPS)), max_size=30),
)
def test_stepping_through_changes_nothing(arch: str, place: str, steps: list[str]) -> None:
    plain, stepped = Kernel(arch), Kernel(arch)
    states = [scene(kernel, place) for kernel in (plain, stepped)]
    points: list[object] = []
    for step in steps:
        first = STEPS[step](*states[0])
        with stepped.step_through(lambda lookaside, point: points.append(point)):
            second = STEPS[step](*states[1])
        assert first == second
        assert state(*states[0]) == state(*states[1])
    stepped.check()
    assert bool(points) == any(step == "allocate" for step in steps)


# --- misuse --------------------------------------------------------------------------------

MISUSE = st.lists(
    st.tuples(
        st.sampled_from(["allocate", "free", "free", "link", "depth", "flush", "tick"]),
        st.integers(0, 3),
        st.integers(0, 3),
        st.sampled_from([0, 0, 0, 4, 8]),
    ),
    max_size=40,
)


def misuse(
    kernel: Kernel, lookaside: LookasideList, steps: list[tuple[str, int, int, int]]
) -> list[object]:
    """Free twice, free foreign blocks, forge links; what every call did, to the stop."""
    blocks = [kernel.pool.allocate(0, 32, b"miss") or 0 for _ in range(4)]
    outcome: list[object] = []
    for step, first, second, offset in steps:
        try:
            if step == "allocate":
                outcome.append(lookaside.allocate())
            elif step == "free":
                lookaside.free(blocks[first] + offset)
            elif step == "link":
                link = (blocks[second] + offset).to_bytes(kernel.arch.pointer_size, "little")
                kernel.write(blocks[first], link)
            elif step == "depth":
                windbg.set_depth(lookaside, first)
            elif step == "flush":
                lookaside.flush()
            else:
                kernel.tick()
        except BugCheck as stop:
            outcome.append((stop.code, stop.parameters))
            break
        except NtStatusError as error:
            outcome.append(error.information)
        outcome.append(bytes(lookaside))
        outcome.append([kernel.read(block, 32) for block in blocks])
    return [*outcome, bytes(lookaside)]


@given(arch=st.sampled_from(["x64", "x86"]), steps=MISUSE)
def test_misuse_has_the_same_consequences_while_somebody_listens(
    arch: str, steps: list[tuple[str, int, int, int]]
) -> None:
    def only_listen(call: Call) -> None:
        pass

    kernels = Kernel(arch), Kernel(arch), Kernel(arch)
    lists = [new_list(kernel, size=32) for kernel in kernels]
    expected = misuse(kernels[0], lists[0], steps)
    kernels[1].listen(only_listen)
    assert misuse(kernels[1], lists[1], steps) == expected
    with kernels[2].step_through(lambda lookaside, point: None):
        assert misuse(kernels[2], lists[2], steps) == expected
