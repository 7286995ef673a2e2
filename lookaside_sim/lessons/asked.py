"""Kinds of questions about the next call: each makes a prediction with its answer from the run.

A kind is a function of a scene, the call that is asked about, and the argument behind the
colon of the mark. It gives None where there is nothing to ask.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from lookaside_sim.lessons.prediction import Prediction
from lookaside_sim.lessons.scene import Scene
from lookaside_sim.machine.calls import Branch, Outcome
from lookaside_sim.run.state import ListState
from lookaside_sim.run.step import Step
from lookaside_sim.windbg.pool import pool_rows

Ask = Callable[[Scene, Step, str], "Prediction | None"]

YES_NO: Final = ("yes", "no")
_NEW: Final = "a block that no call returned before"
_MOST_CHOICES: Final = 6


def _made(
    scene: Scene,
    step: Step,
    kind: str,
    question: str,
    choices: tuple[str, ...],
    answer: str,
    why: str,
) -> Prediction:
    text = f"{scene.line(step)}: {question}"
    return Prediction(scene.number, step.number, kind, text, choices, answer, why)


def _list_before(scene: Scene, step: Step) -> ListState | None:
    return None if step.obj is None else scene.state(step.number).lists.get(step.obj)


def _entries(count: int) -> str:
    return f"{count} {'entry' if count == 1 else 'entries'}"


# --- lists: which way, which entry, how many -------------------------------------------------------


def branch(scene: Scene, step: Step, argument: str) -> Prediction | None:
    """Whether the list serves a call, or the pool has to."""
    before = _list_before(scene, step)
    if step.branch is None or before is None:
        return None
    held, depth = before.fields["ListHead.Depth"], before.fields["Depth"]
    if step.word == "alloc":
        choices = ("hit: the list has an entry", "miss: the pool is asked")
        answer = choices[step.branch is Branch.MISS]
        why = (
            f"the list holds {_entries(held)}, so it need not ask the pool"
            if step.branch is Branch.HIT
            else "the list is empty"
        )
        return _made(scene, step, "branch", "hit or miss?", choices, answer, why)
    choices = ("onto the list", "to the pool")
    answer = choices[step.branch is Branch.FULL]
    full = step.branch is Branch.FULL
    why = f"the list holds {_entries(held)}, and its Depth is {depth}" + (
        ": no less, so the pool gets it" if full else ": there is room"
    )
    return _made(scene, step, "branch", "where does the entry go?", choices, answer, why)


def which(scene: Scene, step: Step, argument: str) -> Prediction | None:
    """Which address an allocation returns, by the letter of who had it first."""
    before = _list_before(scene, step)
    if before is None or not isinstance(step.result, int) or not step.result:
        return None
    seen = [
        name
        for address, name in scene.names.items()
        if any(
            each.word == "alloc" and each.result == address for each in scene.run[: step.number]
        )
    ]
    is_new = scene.name(step.result) not in seen
    answer = _NEW if is_new else scene.name(step.result)
    shown = seen[-(_MOST_CHOICES - 1) :]
    if not is_new and answer not in shown:
        shown = [answer, *shown[1:]]
    choices = (*sorted(shown), _NEW)
    if len(choices) < 2:
        return None
    chain = " ".join(map(scene.name, before.entries))
    if is_new:
        why = "the list is empty, so the pool gives a block"
    else:
        why = f"the list holds [{chain}], newest first, and gives the newest"
        if before.entries and before.entries[0] != step.result:
            why = f"the list's header leads to {answer}"
    question = (
        "whose memory does it return? (A is what the first allocation returned, and so on)"
    )
    return _made(scene, step, "which", question, choices, answer, why)


def _field(name: str, called: str) -> Ask:
    """Make the question for a field of a list after a call."""

    def ask(scene: Scene, step: Step, argument: str) -> Prediction | None:
        after = scene.state(step.number + 1).lists
        before = scene.state(step.number).lists
        for address, each in after.items():
            if step.obj not in (None, address) or (argument and each.name != argument):
                continue
            value = each.fields[name]
            was = before[address].fields[name] if address in before else 0
            change = f"it stays {value}" if was == value else f"it was {was}, and is {value}"
            why = f"{change}; {_limits(each)}"
            return _made(
                scene, step, name, f"what is {called} afterwards?", (), str(value), why
            )
        return None

    return ask


def _limits(each: ListState) -> str:
    fields = each.fields
    return (
        f"ListHead.Depth {fields['ListHead.Depth']}, Depth {fields['Depth']},"
        f" MaximumDepth {fields['MaximumDepth']}"
    )


held = _field("ListHead.Depth", "ListHead.Depth, the debugger's Current Depth,")
limit = _field("Depth", "Depth, the debugger's Max Depth,")
maximum = _field("MaximumDepth", "MaximumDepth")


def trend(scene: Scene, step: Step, argument: str) -> Prediction | None:
    """Whether the scan makes a list deeper."""
    before, after = scene.state(step.number).lists, scene.state(step.number + 1).lists
    for address, each in after.items():
        if address not in before:
            continue
        old, new = before[address].fields, each.fields
        allocates = old["TotalAllocates"] - old["LastTotalAllocates"]
        misses = old["AllocateMisses"] - old["LastAllocateMisses"]
        choices = ("it grows", "it shrinks", "it stays")
        change = new["Depth"] - old["Depth"]
        answer = choices[0 if change > 0 else 1 if change < 0 else 2]
        why = (
            f"{misses} of {allocates} allocations missed since the last scan:"
            f" {_permille(misses, allocates)} in a thousand; Depth {old['Depth']} becomes"
            f" {new['Depth']}"
        )
        return _made(scene, step, "trend", "what happens to Depth?", choices, answer, why)
    return None


def _permille(misses: int, allocates: int) -> int:
    return 1000 * misses // allocates if allocates else 0


# --- pool: sizes, tags --------------------------------------------------------------------------------


def size(scene: Scene, step: Step, argument: str) -> Prediction | None:
    """How many bytes of its page a block takes."""
    if step.word != "alloc" or not isinstance(step.result, int):
        return None
    found = scene.machine(step.number + 1).pool.find(step.result)
    if found is None:
        return None
    header = scene.machine(step.number).arch.pool_header
    why = (
        f"{header.size} bytes of header and {found.size} asked for, rounded up to a multiple"
        f" of {header.unit}"
    )
    question = "how many bytes of the page does the block take?"
    return _made(scene, step, "size", question, (), str(found.block_size), why)


def freed(scene: Scene, step: Step, argument: str) -> Prediction | None:
    """How large the free block is that a freed one becomes."""
    address = step.arguments.get("P")
    if step.word != "free" or not isinstance(address, int):
        return None
    machine = scene.machine(step.number + 1)
    row = next((each for each in pool_rows(machine, address) if each.marked), None)
    own = scene.machine(step.number).pool.find(address)
    if row is None or own is None or row.state != "Free":
        return None
    merged = row.size != own.block_size
    why = f"the block had {own.block_size} bytes" + (
        f", and it merged with its free neighbors: {row.size}"
        if merged
        else ", no neighbor is free"
    )
    question = "how many bytes has the free block that lies there afterwards?"
    return _made(scene, step, "freed", question, (), str(row.size), why)


def stale(scene: Scene, step: Step, argument: str) -> Prediction | None:
    """What a read of freed memory finds."""
    if step.word != "read" or not isinstance(step.result, bytes):
        return None
    written = _last_written(scene, step)
    choices = ("what was written there", "zeros", "something else")
    answer = choices[2]
    if written == step.result:
        answer = choices[0]
    elif not any(step.result):
        answer = choices[1]
    why = f"it reads {step.result!r}: freeing changes the header and the first bytes, no more"
    return _made(scene, step, "stale", "what does it find?", choices, answer, why)


def _last_written(scene: Scene, step: Step) -> bytes | None:
    """What the program wrote last where a call reads."""
    start, length = step.arguments["Address"], step.arguments["Size"]
    for each in reversed(scene.run[: step.number]):
        at = each.arguments.get("Address")
        if each.word == "write" and isinstance(at, int):
            data = each.arguments["Data"]
            if at <= start and start + length <= at + len(data):
                return bytes(data[start - at : start - at + length])
    return None


def count(scene: Scene, step: Step, argument: str) -> Prediction | None:
    """How many blocks of a tag are out after a call."""
    number = scene.outstanding(step.number + 1, argument)
    usage = scene.machine(step.number + 1).pool.tags()
    row = next((each for tag, each in usage.items() if str(tag) == argument), None)
    if row is None:
        return None
    why = (
        f"{row.nonpaged_allocs + row.paged_allocs} were allocated,"
        f" {row.nonpaged_frees + row.paged_frees} freed"
    )
    question = f"how many blocks with the tag {argument} are not freed by then?"
    return _made(scene, step, f"count {argument}", question, (), str(number), why)


def growing(scene: Scene, step: Step, argument: str) -> Prediction | None:
    """Which tag grew between this call and the one like it before."""
    ticks = [each.number for each in scene.run[: step.number] if each.word == step.word]
    if not ticks:
        return None
    tags = tuple(str(tag) for tag in scene.machine(step.number).pool.tags())
    grown = [
        tag
        for tag in tags
        if scene.outstanding(step.number, tag) > scene.outstanding(ticks[-1], tag)
    ]
    if len(grown) != 1 or len(tags) < 2:
        return None
    why = (
        f"{grown[0]} went from {scene.outstanding(ticks[-1], grown[0])} to"
        f" {scene.outstanding(step.number, grown[0])} blocks; the others did not grow"
    )
    question = "which tag grew since the second before?"
    return _made(scene, step, "growing", question, tags, grown[0], why)


# --- bytes, stops, reports -----------------------------------------------------------------------------


def word(scene: Scene, step: Step, argument: str) -> Prediction | None:
    """What a word of an entry holds when it comes back."""
    offset = int(argument or "0")
    entry = step.result
    if step.word != "alloc" or not isinstance(entry, int):
        return None
    value = scene.word(step.number + 1, entry + offset)
    if value is None:
        return None
    choices = (
        "zeros",
        "what its last owner wrote",
        "the address of another entry",
        "bytes that nobody of this program wrote",
    )
    owned = _owner_wrote(scene, step, entry + offset)
    if value == owned:
        answer = choices[1]
    elif not value:
        answer = choices[0]
    elif value in scene.names and value != entry:
        answer = choices[2]
    else:
        answer = choices[3]
    which_word = "the first 8 bytes" if not offset else f"the 8 bytes at offset {offset}"
    why = f"they are {value:#x}" + (
        f", the address of {scene.name(value)}" if answer == choices[2] else ""
    )
    if not offset:
        why += "; the first word of a free entry is the list's link"
    question = f"what are {which_word} of it?"
    return _made(scene, step, f"word {offset}", question, choices, answer, why)


def _owner_wrote(scene: Scene, step: Step, address: int) -> int | None:
    """The word that the program wrote last at an address."""
    for each in reversed(scene.run[: step.number]):
        at = each.arguments.get("Address")
        if each.word == "write" and isinstance(at, int):
            data = each.arguments["Data"]
            if at <= address and address + 8 <= at + len(data):
                return int.from_bytes(data[address - at : address - at + 8], "little")
    return None


def stop(scene: Scene, step: Step, argument: str) -> Prediction | None:
    """Whether the machine stops at a call."""
    stopped = step.outcome is Outcome.STOPPED
    why = scene.call(step) if stopped else "no check stops it here"
    answer = YES_NO[not stopped]
    question = "does the machine stop here?"
    return _made(scene, step, "stop", question, YES_NO, answer, why)


def report(scene: Scene, step: Step, argument: str) -> Prediction | None:
    """What notices a mistake."""
    choices = ("nothing notices", "the sanitizer refuses it", "the machine stops")
    answer = choices[0]
    if step.outcome is Outcome.STOPPED:
        answer = choices[2]
    elif step.error.startswith("SanitizerError"):
        answer = choices[1]
    settings = scene.run.settings
    with_what = "nothing on"
    if settings["verifier"] is not None:
        with_what = "Driver Verifier on"
    elif settings["sanitizer"]:
        with_what = "the sanitizer on"
    unseen = "nobody checks" if with_what == "nothing on" else "that is not what it looks for"
    why = step.error.partition("\n")[0] or unseen
    question = f"with {with_what}, what happens?"
    return _made(scene, step, "report", question, choices, answer, why)


KINDS: Final[Mapping[str, Ask]] = {
    "branch": branch,
    "count": count,
    "freed": freed,
    "growing": growing,
    "held": held,
    "limit": limit,
    "maximum": maximum,
    "report": report,
    "size": size,
    "stale": stale,
    "stop": stop,
    "trend": trend,
    "which": which,
    "word": word,
}
"""By the name that a mark says."""
