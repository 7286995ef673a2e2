"""Lessons on pool: a page of it, tags and leaks."""

from __future__ import annotations

import random
from typing import Final

from lookaside_sim.lessons.lesson import Lesson, Numbers
from lookaside_sim.lessons.scene import Scene
from lookaside_sim.nt.types import PoolTag

# --- a page of pool ------------------------------------------------------------------------------

_PAGE: Final = """
from lookaside_sim import Kernel, PoolType

kernel = Kernel()


def allocate(size, tag):
    return kernel.pool.allocate(PoolType.NonPagedPool, size, tag)


# The first block lies at the start of the page, the others come down from its end.
first = allocate($FIRST, b"Frst")  #? size
second = allocate($SECOND, b"Scnd")  #? size
third = allocate($THIRD, b"Thrd")  #? size
fourth = allocate(64, b"Frth")  #? size

kernel.write(third + 32, b"a secret")
kernel.pool.free(third)  #? freed
print("after the free:", kernel.read(third + 32, 8))  #? stale!

kernel.pool.free($NEIGHBOR)  #? freed
kernel.pool.free($OTHER)  #? freed
"""


def _page_numbers(chance: random.Random) -> Numbers:
    neighbors = ["second", "fourth"]
    chance.shuffle(neighbors)
    sizes = [chance.randrange(1, 240) for _ in range(2)]
    return {
        "FIRST": sizes[0],
        "SECOND": sizes[1],
        "THIRD": chance.randrange(48, 300),
        "NEIGHBOR": neighbors[0],
        "OTHER": neighbors[1],
    }


def _page_answer(scenes: list[Scene]) -> str:
    run = scenes[0].run
    sizes = []
    for step in run:
        if step.word == "alloc" and isinstance(step.result, int):
            found = scenes[0].machine(step.number + 1).pool.find(step.result)
            if found is not None:
                sizes.append(f"{found.size} bytes take {found.block_size}")
    return (
        "A block has a header of 16 bytes in front, and its size is rounded up to a multiple of"
        f" 16: here {', '.join(sizes)}. So a request of 1 byte takes 32 and wastes 15 of them"
        " beside the header. Freeing writes the header and links into the first bytes of the"
        " block, and leaves the rest: whoever still reads there finds the old bytes."
    )


PAGE: Final = Lesson(
    name="page",
    title="A page of pool",
    learns="compute a block's size, and say what freeing it leaves",
    misconception="the size asked for is the size used; freeing clears",
    text=(
        "Small requests are served from pages of 4096 bytes. Each block begins with a header of 16"
        " bytes that says how large it is and how large the one before it is; with the header, sizes"
        " are multiples of 16. A block that is freed merges with free neighbors."
    ),
    program=_PAGE,
    numbers=_page_numbers,
    question="How much memory does a request of 1 byte take, and what does freeing it clear?",
    answer=_page_answer,
)

# --- tags and leaks ------------------------------------------------------------------------------

_TAGS: Final = """
from lookaside_sim import Kernel, PoolType

kernel = Kernel()


def allocate(tag, count, size):
    pool = kernel.pool
    return [pool.allocate(PoolType.NonPagedPool, size, tag) for _ in range(count)]


def free(blocks):
    for block in blocks:
        kernel.pool.free(block)


cache = allocate(b"Cach", $CACHE, 512)  # filled once, and kept
queue = []
for second in range(4):
    work = allocate(b"Work", $WORK, 96)
    queue += allocate(b"Evnt", $IN, 64)
    free(work)
    free(queue[:$OUT])
    del queue[:$OUT]
    kernel.tick()  #? growing count:Evnt count:Cach count:Work
"""


def _tags_numbers(chance: random.Random) -> Numbers:
    into = chance.randrange(4, 9)
    return {
        "CACHE": chance.randrange(30, 60),
        "WORK": chance.randrange(10, 30),
        "IN": into,
        "OUT": into - chance.randrange(1, 3),
    }


def _tags_answer(scenes: list[Scene]) -> str:
    scene = scenes[0]
    ticks = [step.number for step in scene.run if step.word == "tick"]
    events = [scene.outstanding(at, "Evnt") for at in ticks]
    cached = scene.outstanding(ticks[-1], "Cach")
    usage = scene.machine(ticks[-1]).pool.tags()[PoolTag("Work")]
    return (
        f"Cach has the most blocks, {cached}, and it is no leak: the number stays. Work had"
        f" {usage.nonpaged_allocs} allocations, the most, and none is left. Evnt has {events[-1]}"
        f" blocks, and second by second there were {', '.join(map(str, events))}: that is the leak."
        " One snapshot shows what is large or busy; only two, with time between them, show"
        " what grows."
    )


TAGS: Final = Lesson(
    name="tags",
    title="Tags and leaks",
    learns="find a leak from two !poolused",
    misconception="one snapshot shows a leak",
    text=(
        "Every request for pool names a tag of four characters, and the pool counts for each tag how"
        " many blocks were allocated and freed; the debugger's command !poolused shows the counts."
        " kernel.tick() lets a second pass. Three kinds of users: one that keeps what it has, one that"
        " is busy, and one that leaks."
    ),
    program=_TAGS,
    numbers=_tags_numbers,
    question="Which tag leaks, and why do you need two looks at !poolused to say so?",
    answer=_tags_answer,
)
