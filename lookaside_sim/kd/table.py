"""Every command of the shell: its name, how it is written, what it does, what runs it."""

from __future__ import annotations

import textwrap
from typing import Final

import attrs

from lookaside_sim.kd.commands import breaks, inspect, lists, memory, model, pool, stop, travel
from lookaside_sim.kd.commands import what_if as calls
from lookaside_sim.kd.refusal import Refusal
from lookaside_sim.kd.shell import Handler, Shell


@attrs.frozen
class Command:
    """One command.

    Attributes:
        name: as it is typed.
        syntax: how it is written, with its arguments.
        help: what it does, in a short sentence.
        run: does it.
        aliases: other names of it.
        group: the heading it is listed under.
        more: what else there is to say.
        goes_on: whether repeating it goes on where it ended.
    """

    name: str
    syntax: str
    help: str
    run: Handler
    aliases: tuple[str, ...] = ()
    group: str = ""
    more: str = ""
    goes_on: bool = False


_MOVE: Final = "Moving in time"
_BREAK: Final = "Breakpoints"
_LOOK: Final = "Memory"
_NAME: Final = "Names and numbers"
_LIST: Final = "Lists and pool"
_WHY: Final = "What happened"
_WHAT_IF: Final = "What if: on a copy of the machine"
_SHELL: Final = "The shell"


def help_text(shell: Shell, arguments: str) -> str:
    """The command ``.help``."""
    name = arguments.strip()
    if name:
        found = find(name.partition(" ")[0])
        if found is None:
            raise Refusal(f".help {name}: no such command; .help lists them")
        lines = [found.syntax, f"    {found.help}"]
        lines += [f"    {line}" for line in textwrap.wrap(found.more, 88)]
        if found.aliases:
            lines.append(f"    Also: {', '.join(found.aliases)}")
        return "\n".join(lines)
    lines = []
    group = ""
    for each in COMMANDS:
        if each.group != group:
            group = each.group
            lines += ["", f"{group}:"] if lines else [f"{group}:"]
        lines.append(f"  {each.syntax:<36}  {each.help}")
    return "\n".join([*lines, "", _NOTES])


_NOTES: Final = """Numbers are hexadecimal; 0n10 is ten. A grave accent may stand in an address. An empty line
repeats the last command; a semicolon joins commands. .help COMMAND says more of one."""


COMMANDS: Final = (
    # --- moving in time ---------------------------------------------------------------------
    Command(
        "g",
        "g",
        "Go on to the next breakpoint, the stop, or the end.",
        travel.go(back=False),
        group=_MOVE,
    ),
    Command(
        "g-",
        "g-",
        "Go back to the last breakpoint, or to the start.",
        travel.go(back=True),
        group=_MOVE,
        more="From a stop, ba on the bad word and g- lead to the call that wrote it.",
    ),
    Command(
        "p",
        "p [count]",
        "One call on.",
        travel.step(back=False),
        aliases=("pa",),
        group=_MOVE,
        more="A position is the moment after a call: A:0 is the one after the tenth.",
    ),
    Command("p-", "p- [count]", "One call back.", travel.step(back=True), group=_MOVE),
    Command(
        "t",
        "t [count]",
        "One call on, with the calls made inside it.",
        travel.step(back=False, inside=True),
        group=_MOVE,
        more="Inside are those that the program's own allocate, free and unload routines made.",
    ),
    Command(
        "t-",
        "t- [count]",
        "One call back, with the calls made inside it.",
        travel.step(back=True, inside=True),
        group=_MOVE,
    ),
    Command(
        "!tt",
        "!tt position | percent",
        "Travel to a position such as A:0, or to a percentage.",
        travel.travel,
        group=_MOVE,
        more="!tt 0 is the start, !tt 50 the middle, !tt 100 the end.",
    ),
    # --- breakpoints ------------------------------------------------------------------------
    Command(
        "bp",
        'bp nt!Routine [passes] ["commands"]',
        "Stop after calls of a routine, or of a line.",
        breaks.on_routine,
        aliases=("bu", "bm"),
        group=_BREAK,
        more="* and ? are wildcards. nt!ExAllocatePoolWithTag stops for a list's miss too, and"
        " nt!ExFreePool for a full list, since both call them. bp `file.py:12` stops for the"
        " calls made on a line of the program. With passes it stops at that one of the calls;"
        " commands are executed when it stops.",
    ),
    Command(
        "ba",
        "ba w|r size address [passes]",
        "Stop where memory is written, or read.",
        breaks.on_access,
        group=_BREAK,
        more="size is 1, 2, 4 or 8, and the address aligned to it. r stops for reads and writes."
        " ba w2 Requests.Depth stops for a change of the depth; ba w8 poi(Requests+8) for a"
        " write to the first free entry's link.",
    ),
    Command("bl", "bl", "List the breakpoints.", breaks.listed, group=_BREAK),
    Command("bc", "bc numbers | *", "Clear breakpoints.", breaks.clear, group=_BREAK),
    Command("bd", "bd numbers | *", "Disable breakpoints.", breaks.disable, group=_BREAK),
    Command("be", "be numbers | *", "Enable breakpoints.", breaks.enable, group=_BREAK),
    # --- what happened ----------------------------------------------------------------------
    Command(
        "!analyze",
        "!analyze [-v]",
        "Explain the stop.",
        stop.analyze,
        group=_WHY,
        more="With -v: what the parameters mean, the stack, and the call that wrote the word the"
        " machine stumbled over.",
    ),
    Command(
        "k",
        "k [frames]",
        "The stack of the call that led here.",
        stop.stack,
        aliases=("kc", "kb", "kp", "kn"),
        group=_WHY,
    ),
    Command("lsa", "lsa .", "The program's lines around that call.", stop.source, group=_WHY),
    Command(
        "dx",
        "dx [-g] @$cursession.TTD...",
        "Ask the whole recording.",
        model.model,
        group=_WHY,
        more='@$cursession.TTD.Calls("nt!ExFree*") for calls,'
        ' @$cursession.TTD.Memory(start, end, "rw") for accesses up to but not including end;'
        " .Count(), .First(), .Last() or [n] may stand behind. @$cursession.TTD.Lifetime says"
        " where it begins and ends.",
    ),
    Command(
        ".lastevent", ".lastevent", "The last thing that happened.", stop.last_event, group=_WHY
    ),
    Command(
        ".bugcheck", ".bugcheck", "The stop and its parameters.", stop.stop_banner, group=_WHY
    ),
    Command(".time", ".time", "How long the machine has been up.", stop.time, group=_WHY),
    Command(
        "vertarget",
        "vertarget",
        "Which machine this is.",
        stop.version,
        aliases=("version",),
        group=_WHY,
    ),
    # --- lists and pool ---------------------------------------------------------------------
    Command(
        "!lookaside",
        "!lookaside [address [1 | 2 depth]]",
        "A lookaside list, or all of them.",
        lists.lookaside,
        group=_LIST,
        more="Max Depth is the field Depth, Current Depth the field ListHead.Depth. 1 resets the"
        " counters and 2 sets the depth, both on a copy of the machine.",
    ),
    Command(
        "!slist",
        "!slist address",
        "The header and the entries of an SLIST.",
        lists.slist,
        group=_LIST,
        more="A lookaside list begins with one.",
    ),
    Command(
        "dt",
        "dt [-r] [nt!type] [address] [field]",
        "The fields of a structure.",
        lists.display_type,
        group=_LIST,
        more="Without an address their types; without anything the structures that are known."
        " The name of a list stands for the list: dt Requests Depth.",
    ),
    Command(
        "!pool",
        "!pool address [1 | 2]",
        "The pool page around an address.",
        pool.pool,
        group=_LIST,
        more="1 shows what each block begins with, 2 only the block at the address.",
    ),
    Command(
        "!poolused",
        "!poolused [flags [tag]]",
        "Pool in use by tag.",
        pool.poolused,
        group=_LIST,
        more="1 is verbose, 2 sorts by nonpaged use, 4 by paged use.",
    ),
    Command(
        "!poolfind",
        "!poolfind tag [0 | 1]",
        "The blocks with a tag.",
        pool.poolfind,
        group=_LIST,
        more="* and ? are wildcards. 0 searches nonpaged pool, 1 paged pool.",
    ),
    Command(
        "!poolval",
        "!poolval address",
        "Whether a pool page's headers fit each other.",
        pool.poolval,
        group=_LIST,
    ),
    Command(
        "!pplookaside",
        "!pplookaside",
        "The processors' own lists.",
        lists.pplookaside,
        group=_LIST,
        more="Those of small pool, where it has them, and of IRPs and MDLs.",
    ),
    Command(
        "!verifier",
        "!verifier [flags [image]]",
        "Driver Verifier's state.",
        pool.verifier,
        group=_LIST,
        more="1 adds its drivers, 2 their pool, 4 the newest injected faults.",
    ),
    Command("!irql", "!irql [processor]", "The IRQL of a processor.", pool.irql, group=_LIST),
    # --- memory -----------------------------------------------------------------------------
    *(
        Command(
            name,
            f"{name} [range]",
            f"Memory as {what}.",
            memory.display(name),
            group=_LOOK,
            more="A range is address, address L count, or first last. ?? stands where nothing is"
            " mapped. Without a range it goes on where the last one ended.",
            goes_on=True,
        )
        for name, what in (
            ("db", "bytes and characters"),
            ("dw", "words of 2 bytes"),
            ("dd", "words of 4 bytes"),
            ("dq", "words of 8 bytes"),
            ("dc", "words of 4 bytes and characters"),
            ("dp", "pointers"),
            ("dps", "pointers with symbols"),
            ("dds", "words of 4 bytes with symbols"),
            ("dqs", "words of 8 bytes with symbols"),
        )
    ),
    Command(
        "da",
        "da [range]",
        "Memory as text, up to the first zero.",
        memory.display_text(1),
        group=_LOOK,
        goes_on=True,
    ),
    Command(
        "du",
        "du [range]",
        "Memory as text of 2 byte characters.",
        memory.display_text(2),
        group=_LOOK,
        goes_on=True,
    ),
    Command(
        "s",
        "s [-b|-w|-d|-q|-a|-u] range pattern",
        "Search memory for values, or for text.",
        memory.search,
        group=_LOOK,
        more="-b bytes, -w, -d and -q words of 2, 4 and 8 bytes, -a and -u text in quotation"
        " marks. A range of more than 256 MB takes L? instead of L.",
    ),
    # --- names and numbers ------------------------------------------------------------------
    Command(
        "?",
        "? expression",
        "Evaluate an expression.",
        inspect.evaluate,
        group=_NAME,
        more="+ - * / % << >> >>> & ^ | not, comparisons, poi() by() wo() dwo() qwo(), hi, low,"
        " $vvalid(address, size); symbols, a field as Requests.Depth; $t0 to $t19, $p the last"
        " value shown, $retreg what the call returned, $bug_code, $bug_param1 to 4, $bp0.",
    ),
    Command(
        ".formats",
        ".formats expression",
        "A value in every format.",
        inspect.formats,
        group=_NAME,
    ),
    Command(
        "x",
        "x pattern",
        "Symbols that match, such as x *!*.",
        inspect.examine,
        group=_NAME,
    ),
    Command(
        "ln",
        "ln address",
        "The symbol, or the pool block, at an address.",
        inspect.nearest,
        group=_NAME,
    ),
    Command(
        "lm", "lm [m pattern]", "The drivers.", inspect.modules, aliases=("lmm",), group=_NAME
    ),
    Command(
        "r",
        "r [register [= value]]",
        "Pseudo-registers.",
        inspect.registers,
        aliases=("r?",),
        group=_NAME,
        more="$t0 to $t19 can be set. Alone it shows the processor, its IRQL, the seconds, and"
        " what the last call returned.",
    ),
    Command("n", "n [8 | 10 | 16]", "The base of numbers.", inspect.number_base, group=_NAME),
    # --- what if ----------------------------------------------------------------------------
    *(
        Command(
            name,
            f"{name} address values",
            f"Write {what}.",
            memory.enter(name, size),
            group=_WHAT_IF,
            more="A text in quotation marks is its characters. Views show the copy until you"
            " move; the recording does not change.",
        )
        for name, size, what in (
            ("eb", 1, "bytes"),
            ("ew", 2, "words of 2 bytes"),
            ("ed", 4, "words of 4 bytes"),
            ("eq", 8, "words of 8 bytes"),
            ("ep", 0, "pointers"),
        )
    ),
    Command(
        ".call",
        ".call LIST.free(entry)",
        "Make a call.",
        calls.call,
        group=_WHAT_IF,
        more=f"{calls.ROUTINES}: .call nt!ExFreePool(ffffd200`00001010).",
    ),
    # --- the shell --------------------------------------------------------------------------
    Command(
        ".help", ".help [command]", "This list, or more on a command.", help_text, group=_SHELL
    ),
    Command(".echo", ".echo text", "Print a text.", inspect.echo, group=_SHELL),
    Command("q", "q", "Leave.", inspect.leave, aliases=("qq", "qd"), group=_SHELL),
)
"""The commands, by heading."""

_BY_NAME: Final = {name: each for each in COMMANDS for name in (each.name, *each.aliases)}
NAMES: Final = tuple(sorted(_BY_NAME))


def find(name: str) -> Command | None:
    """The command of a name, whatever its case; None for none."""
    return _BY_NAME.get(name) or _BY_NAME.get(name.lower())
