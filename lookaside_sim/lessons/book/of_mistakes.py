"""Lessons on mistakes: IRQL, the forged link, double free and overrun, what tools see."""

from __future__ import annotations

import random
from typing import Final

from lookaside_sim.lessons.lesson import Lesson, Numbers
from lookaside_sim.lessons.scene import Scene
from lookaside_sim.machine.calls import Outcome
from lookaside_sim.run.step import Step

# --- paged, nonpaged, IRQL ---------------------------------------------------------------------

_IRQL: Final = """
from lookaside_sim import BugCheck, Kernel, PoolType, Verifier


def driver(kernel):
    names = kernel.lookaside_list("Names")
    names.initialize(pool_type=PoolType.PagedPool, size=$SIZE, tag=b"Name")
    events = kernel.lookaside_list("Events")
    events.initialize(pool_type=PoolType.NonPagedPool, size=$SIZE, tag=b"Evnt")
    for _ in range($COUNT):
        names.free(names.allocate())

    with kernel.raise_irql($LEVEL):
        event = events.allocate()  #? stop
        name = names.allocate()  #? stop! branch
        events.free(event)  #? stop


driver(Kernel())
try:
    driver(Kernel(verifier=Verifier.standard()))
except BugCheck as stop:
    print("*** STOP:", stop)
"""


def _irql_numbers(chance: random.Random) -> Numbers:
    return {
        "SIZE": chance.choice((32, 64, 128)),
        "COUNT": chance.randrange(1, 4),
        "LEVEL": 2,
    }


def _stopped(scenes: list[Scene]) -> tuple[Scene, Step]:
    """The call that stopped the machine, and whose run it is of."""
    for scene in scenes:
        for step in scene.run:
            if step.outcome is Outcome.STOPPED:
                return scene, step
    raise AssertionError("the program of this lesson stops")


def _irql_answer(scenes: list[Scene]) -> str:
    scene, step = _stopped(scenes)
    return (
        "No. The list had an entry, and its memory was there, so it worked by luck: on a busy"
        " machine paged memory is on the disk, and at DISPATCH_LEVEL nobody can fetch it. Driver"
        f" Verifier stops at {scene.line(step)}, whatever is in memory. What is used at"
        " DISPATCH_LEVEL or above comes from nonpaged pool."
    )


IRQL: Final = Lesson(
    name="irql",
    title="Paged, nonpaged, IRQL",
    learns="choose a pool for a routine",
    misconception="it worked, so it is right",
    text=(
        "Paged pool may be on the disk. At DISPATCH_LEVEL (2) and above, as under a spin lock, a"
        " page cannot be brought in, so only nonpaged pool may be touched there. The same driver"
        " runs twice: on machine 1 with nothing on, on machine 2 with Driver Verifier, Windows' own"
        " checker, which looks at the IRQL of each call and lets lists hold nothing."
    ),
    program=_IRQL,
    numbers=_irql_numbers,
    question="The first machine ran through. Is the driver right?",
    answer=_irql_answer,
)

# --- the forged link ---------------------------------------------------------------------------

_LINK: Final = """
from lookaside_sim import BugCheck, Kernel, PoolType

kernel = Kernel()
requests = kernel.lookaside_list("Requests")
requests.initialize(size=64, tag=b"Rqst")

victim = kernel.pool.allocate(PoolType.NonPagedPool, 64, b"Vctm")
kernel.write(victim, (0xFFFFB00041414140).to_bytes(8, "little"))

one = requests.allocate()
two = requests.allocate()
requests.free($FIRST)
requests.free($SECOND)

kernel.write($SECOND, victim.to_bytes(8, "little"))  #? stop

try:
    three = requests.allocate()  #? which stop
    four = requests.allocate()  #? which! stop!
    five = requests.allocate()  #? which stop
    six = requests.allocate()  #? stop
except BugCheck as stop:
    print("*** STOP:", stop)
"""


def _link_numbers(chance: random.Random) -> Numbers:
    order = ["one", "two"]
    chance.shuffle(order)
    return dict(zip(("FIRST", "SECOND"), order, strict=True))


def _link_answer(scenes: list[Scene]) -> str:
    scene, step = _stopped(scenes)
    write = [each for each in scene.run if each.word == "write"][-1]
    between = step.number - write.number
    return (
        f"It stops at {scene.line(step)}, {between} calls after the mistake at {scene.line(write)}."
        " The write put an address of its own into a free entry's link. The next allocation took"
        " that entry, the one after it got the victim's memory, which belongs to somebody else,"
        " and only the following ones met an address where nothing is. To find the write, go back"
        " in time: in `lookaside-sim kd`, break on access to the word (ba w8 and its address) and run"
        " backwards (g-)."
    )


LINK: Final = Lesson(
    name="link",
    title="The forged link",
    learns="predict where the allocation after the next lands",
    misconception="the crash is where the bug is",
    text=(
        "A free entry's first word is the list's link, and the list trusts it. Whoever writes to an"
        " entry that was freed chooses where the list goes on. The victim's block is somebody else's,"
        " straight from the pool; as the first that is allocated it is called A."
    ),
    program=_LINK,
    numbers=_link_numbers,
    question="Where does the machine stop, where is the mistake, and how do you get from the one"
    " to the other?",
    answer=_link_answer,
)

# --- double free and overrun --------------------------------------------------------------------

_TWICE: Final = """
from lookaside_sim import BugCheck, Kernel, PoolType

kernel = Kernel()
requests = kernel.lookaside_list("Requests")
requests.initialize(size=64, tag=b"Rqst")
entry = requests.allocate()
other = requests.allocate()
requests.free($ONCE)
requests.free(entry)
requests.free(entry)  #? stop branch
one = requests.allocate()  #? which
two = requests.allocate()  #? which!
three = requests.allocate()  #? which

kernel = Kernel()
names = sorted(kernel.pool.allocate(PoolType.NonPagedPool, 64, b"Name") for _ in range(4))
kernel.write(names[1], b"x" * (64 + $EXTRA))  #? stop!
try:
    kernel.pool.free(names[$INNOCENT])  #? stop
    kernel.pool.free(names[1])  #? stop!
except BugCheck as stop:
    print("*** STOP:", stop)
"""


def _twice_numbers(chance: random.Random) -> Numbers:
    return {
        "ONCE": "other",
        "EXTRA": chance.randrange(4, 9),
        "INNOCENT": chance.choice((0, 3)),
    }


def _twice_answer(scenes: list[Scene]) -> str:
    first = scenes[0]
    steps = [step for step in first.run if step.word == "alloc"][-3:]
    names = [first.name(step.result) for step in steps if isinstance(step.result, int)]
    scene, stop = _stopped(scenes)
    return (
        f"After the double free the list links the entry to itself: the allocations return"
        f" {', '.join(names)}, one entry with several owners, and nothing ever stops. The overrun"
        " destroyed the header of the block behind, which nobody looks at until a block beside it"
        f" is freed: {scene.line(stop)}. A ring in the chain means a double free; a header that"
        " does not fit means an overrun of the block in front of it."
    )


TWICE: Final = Lesson(
    name="twice",
    title="Double free and overrun",
    learns="tell a double free from an overrun",
    misconception="allocators check",
    text=(
        "Two mistakes that damage what ties blocks together: the links of a list, the headers of"
        " the pool. One, on machine 1, frees an entry twice; the other, on machine 2, writes a few"
        " bytes too many. Neither list nor pool looks when it happens."
    ),
    program=_TWICE,
    numbers=_twice_numbers,
    question="By what do you tell a double free from an overrun when you look at the machine?",
    answer=_twice_answer,
)

# --- verifier and sanitizer ------------------------------------------------------------------------

_TOOLS: Final = """
from lookaside_sim import BugCheck, Kernel, SanitizerError, Verifier


def driver(kernel):
    requests = kernel.lookaside_list("Requests")
    requests.initialize(size=$SIZE, tag=b"Rqst")  #? limit
    entry = requests.allocate()
    requests.free(entry)  #? branch
    $MISTAKE  #? report!
    requests.allocate()


for kernel in (
    Kernel(),
    Kernel(sanitizer=True),
    Kernel(verifier=Verifier.standard()),
):
    try:
        driver(kernel)
    except (BugCheck, SanitizerError) as error:
        print(type(error).__name__, error)
"""


def _tools_numbers(chance: random.Random) -> Numbers:
    mistakes = (
        "requests.free(entry)",
        'kernel.write(entry, b"too late")',
        "kernel.read(entry + 8, 8)",
        "requests.free(entry + 16)",
    )
    return {"SIZE": chance.choice((48, 64, 96)), "MISTAKE": chance.choice(mistakes)}


def _reported(wrong: Step | None) -> str:
    if wrong is None:
        return "there is no report"
    kind, _, text = wrong.error.partition(": ")
    what = text.partition(":")[0] if kind == "SanitizerError" else "it stops"
    return f"{what}, at the call of line {wrong.stack[0].line}"


def _tools_answer(scenes: list[Scene]) -> str:
    said = []
    for scene, tool in zip(
        scenes, ("nothing on", "the sanitizer", "Driver Verifier"), strict=True
    ):
        wrong = next((step for step in scene.run if step.error), None)
        said.append(f"with {tool} {_reported(wrong)}")
    (last,) = scenes[2].state(2).lists.values()
    return (
        f"Here {'; '.join(said)}. The verifier sets Depth to {last.fields['Depth']}, so every free goes"
        " to the pool and the list's own caching is never tried; the sanitizer keeps it, and does not"
        " see an overrun. So a run without a report says only that these checks found nothing."
    )


TOOLS: Final = Lesson(
    name="tools",
    title="Verifier and sanitizer",
    learns="say what verifier and sanitizer see and hide",
    misconception="no report means no bug",
    text=(
        "The same mistake three times: with nothing on, with this simulator's sanitizer, which checks"
        " each call of a list, and with Driver Verifier, which gives each block a page of its own"
        " and lets lists hold nothing."
    ),
    program=_TOOLS,
    numbers=_tools_numbers,
    question="Which of the three noticed the mistake, and what does each of them hide?",
    answer=_tools_answer,
)
