"""Lessons on lists: hits and order, the three depths, tuning, what an entry holds."""

from __future__ import annotations

import random
from typing import Final

from lookaside_sim.lessons.lesson import Lesson, Numbers
from lookaside_sim.lessons.scene import Scene
from lookaside_sim.machine.calls import Branch

# --- hit, miss, LIFO ------------------------------------------------------------------------------

_LIFO: Final = """
from lookaside_sim import Kernel

kernel = Kernel()
requests = kernel.lookaside_list("Requests")
requests.initialize(size=64, tag=b"Rqst")

one = requests.allocate()  #? branch
two = requests.allocate()  #? branch
three = requests.allocate()

requests.free($FIRST)  #? branch
requests.free($SECOND)
requests.free($THIRD)

four = requests.allocate()  #? branch which!
five = requests.allocate()  #? which
requests.free(four)
six = requests.allocate()  #? which
seven = requests.allocate()  #? which branch
eight = requests.allocate()  #? branch which
"""


def _lifo_numbers(chance: random.Random) -> Numbers:
    order = ["one", "two", "three"]
    chance.shuffle(order)
    return dict(zip(("FIRST", "SECOND", "THIRD"), order, strict=True))


def _lifo_answer(scenes: list[Scene]) -> str:
    scene = scenes[0]
    steps = [step for step in scene.run if step.word in ("alloc", "free")]
    misses = sum(step.branch is Branch.MISS for step in steps)
    freed = [step for step in steps if step.word == "free"]
    tags = scene.outstanding(len(scene.run), "Rqst")
    return (
        f"No. The pool was asked {misses} times, for the allocations that found the list empty. The"
        f" {len(freed)} frees put entries on the list and told the pool nothing: it still counts"
        f" {tags} blocks of the tag as allocated. The entry freed last comes back first."
    )


LIFO: Final = Lesson(
    name="lifo",
    title="Hit, miss, last in, first out",
    learns="predict each call's result",
    misconception="freed to a list is freed to the pool",
    text=(
        "A lookaside list keeps entries that were freed and hands them out again. An allocation that"
        " finds one is a hit; one that finds the list empty is a miss, and asks the pool."
    ),
    program=_LIFO,
    numbers=_lifo_numbers,
    question="An entry is freed to a list that has room. Has the pool got its memory back?",
    answer=_lifo_answer,
)

# --- three depths ------------------------------------------------------------------------------

_DEPTHS: Final = """
from lookaside_sim import Kernel

kernel = Kernel()
requests = kernel.lookaside_list("Requests")
requests.initialize(size=64, tag=b"Rqst")  #? limit maximum

entries = [requests.allocate() for _ in range($COUNT)]
for entry in entries:
    requests.free(entry)  #? branch held

requests.set_depth($DEPTH)  #? held! limit! maximum

again = [requests.allocate() for _ in range($TAKEN)]
for entry in again:
    requests.free(entry)  #? branch held
"""


def _depths_numbers(chance: random.Random) -> Numbers:
    return {
        "COUNT": chance.randrange(6, 9),
        "DEPTH": chance.choice((1, 2, 3)),
        "TAKEN": chance.choice((3, 4)),
    }


def _depths_answer(scenes: list[Scene]) -> str:
    scene = scenes[0]
    change = next(step for step in scene.run if step.word == "depth")
    (before,) = scene.state(change.number).lists.values()
    (after,) = scene.state(change.number + 1).lists.values()
    fields = after.fields
    return (
        f"ListHead.Depth is how many entries the list holds ({fields['ListHead.Depth']} after the"
        f" change); the debugger says Current Depth. Depth is how many it may hold: set_depth moved"
        f" it from {before.fields['Depth']} to {fields['Depth']}, and the entries stayed until"
        " somebody took them; the debugger says Max Depth. MaximumDepth"
        f" ({fields['MaximumDepth']}) is how far tuning may ever raise Depth, and !lookaside does"
        " not show it."
    )


DEPTHS: Final = Lesson(
    name="depths",
    title="Three depths",
    learns="name held, Depth and MaximumDepth, and the debugger's words for them",
    misconception="Max Depth is MaximumDepth",
    text=(
        "Three numbers of a list are called depth. ListHead.Depth counts the entries it holds, Depth"
        " is how many it may hold now, MaximumDepth is where Depth may go. A list that was just"
        " initialized has 0, 4 and 256. The debugger's command !lookaside shows the first two, under"
        " other names: Current Depth and Max Depth."
    ),
    program=_DEPTHS,
    numbers=_depths_numbers,
    question="Depth is set below what the list holds. What happens to the entries, and what does"
    " the debugger call the number that changed?",
    answer=_depths_answer,
)

# --- depth follows load ------------------------------------------------------------------------

_LOAD: Final = """
from lookaside_sim import Kernel

kernel = Kernel()
requests = kernel.lookaside_list("Requests")
requests.initialize(size=64, tag=b"Rqst")


def load(rounds, at_a_time):
    for _ in range(rounds):
        entries = [requests.allocate() for _ in range(at_a_time)]
        for entry in entries:
            requests.free(entry)


# Each list is looked at every third second: its allocations since then, and its misses.
load(rounds=$ROUNDS, at_a_time=$MANY)
kernel.tick(3)  #? trend limit
load(rounds=$ROUNDS, at_a_time=$MANY)
kernel.tick(3)  #? trend limit
load(rounds=$CALM, at_a_time=2)
kernel.tick(3)  #? trend! limit
load(rounds=2, at_a_time=2)
kernel.tick(3)  #? trend limit
"""


def _load_numbers(chance: random.Random) -> Numbers:
    return {
        "ROUNDS": chance.randrange(8, 14),
        "MANY": chance.choice((10, 12, 15)),
        "CALM": chance.randrange(40, 60),
    }


def _load_answer(scenes: list[Scene]) -> str:
    scene = scenes[0]
    depths = []
    for step in scene.run:
        if step.word == "tick":
            (each,) = scene.state(step.number + 1).lists.values()
            depths.append(each.fields["Depth"])
    return (
        f"No: Depth went {', '.join(map(str, depths))}. It grows when 5 of 1000 allocations or more"
        " missed since the last scan. When fewer did it shrinks by 1, however good that is: a list"
        " that always hits has more room than it needs. When there were fewer than 75 allocations"
        " in the three seconds it shrinks by 10. It never falls below 4."
    )


LOAD: Final = Lesson(
    name="load",
    title="Depth follows load",
    learns="compute a scan",
    misconception="100 % hits make it grow",
    text=(
        "Every third second the balance set manager looks at a list. Depth begins at 4, and"
        " MaximumDepth is 256. With 75 allocations or more since the last time, and 5 of 1000 or more"
        " of them misses, Depth grows: take the misses in a thousand allocations, times what is left"
        " from Depth to MaximumDepth, divided by 2000, and add 5; it grows by that, and never by more"
        " than 30 at once. With fewer misses it shrinks by 1, with fewer allocations by 10, never"
        " below 4."
    ),
    program=_LOAD,
    numbers=_load_numbers,
    question="A list has not missed once since the last scan. Does that make its Depth grow?",
    answer=_load_answer,
)

# --- whose bytes are these? -------------------------------------------------------------------

_BYTES: Final = """
from lookaside_sim import Kernel

kernel = Kernel()
sessions = kernel.lookaside_list("Sessions")
sessions.initialize(size=64, tag=b"Sess")

alice = sessions.allocate()  #? word:0
bob = sessions.allocate()
kernel.write(alice, b"alice..." b"password")
kernel.write(bob, b"bob....." b"12345678")

sessions.free($FIRST)
sessions.free($SECOND)

carol = sessions.allocate()  #? which word:0! word:8!
print("Carol finds:", kernel.read(carol + 8, 8))
dave = sessions.allocate()  #? word:0 word:8
erin = sessions.allocate()  #? word:8
"""


def _bytes_numbers(chance: random.Random) -> Numbers:
    order = ["alice", "bob"]
    chance.shuffle(order)
    return dict(zip(("FIRST", "SECOND"), order, strict=True))


def _bytes_answer(scenes: list[Scene]) -> str:
    scene = scenes[0]
    read = next(step for step in scene.run if step.word == "read")
    found = read.result if isinstance(read.result, bytes) else b""
    return (
        f"Carol reads {found.decode('ascii', 'replace')!r}: nothing clears an entry, neither the free"
        " nor the allocation. Only its first 8 bytes are the list's, which keeps the link to the"
        " next free entry there. So a driver clears what is secret before it frees, and sets every"
        " field that it reads after it allocates."
    )


BYTES: Final = Lesson(
    name="bytes",
    title="Whose bytes are these?",
    learns="say what an entry holds when it comes back",
    misconception="memory comes zeroed",
    text=(
        "The list keeps no memory of its own: a free entry's first pointer is the link to the next"
        " free entry. The rest is what it was. A fresh page is full of old bytes too."
    ),
    program=_BYTES,
    numbers=_bytes_numbers,
    question="What can Carol read of the session before hers, and who should have prevented it?",
    answer=_bytes_answer,
)
