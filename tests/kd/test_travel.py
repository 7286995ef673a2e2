"""Moving in a recording: steps, breakpoints, questions to the whole of it."""

from __future__ import annotations

import pytest

from lookaside_sim import Kernel, PoolType
from lookaside_sim.kd import Session
from lookaside_sim.run import Run, record
from tests.kd.helpers import session, transcript

SECOND = "ffffd200`00001fc0"
STOP = """
*** Fatal System Error: 0x00000050
                       (ffffffffc0000120,0000000000000000,0000000000000000,0000000000000000)

A fatal system error has occurred.

Time Travel Position: B:0
nt!ExAllocateFromLookasideListEx(mydrv!Requests)   *hit*
helpers.py @ """


def test_g_goes_to_the_stop() -> None:
    shell = session()
    assert shell.execute("g").startswith(STOP)
    assert shell.execute("g").startswith(STOP)
    assert shell.status() == "B:0 of B:0   nt!ExAllocateFromLookasideListEx"


def test_steps() -> None:
    shell = session()
    assert shell.execute("p") == (
        "Time Travel Position: 1:0\n"
        "nt!ExInitializeLookasideListEx(mydrv!Requests, 200, 40, 'Rqst', 100)"
        " -> 00000000`00000000\n"
        'helpers.py @ 22: self.list.initialize(pool_type=512, size=64, tag=b"Rqst")'
    )
    assert shell.execute("p 2").splitlines()[:2] == [
        "Time Travel Position: 3:0",
        "program writes(ffffd200`00001010, 00 00 00 00 00 00 00 00)",
    ]
    assert shell.execute("p-").splitlines()[1] == (
        "nt!ExAllocateFromLookasideListEx(mydrv!Requests) -> ffffd200`00001010   *miss*"
    )
    assert shell.execute("p- 5") == "TTD: Start of trace reached.\nTime Travel Position: 0:0"
    assert shell.execute("p 100").startswith("TTD: End of trace reached.\n\n*** Fatal")


def test_traveling() -> None:
    shell = session()
    assert shell.execute("!tt 50").startswith(
        "Setting position: 5:0\nTime Travel Position: 5:0"
    )
    assert shell.execute("!tt A:0").startswith("Setting position: A:0\n")
    assert shell.execute("!tt a:").startswith("Setting position: A:0\n")
    assert shell.execute("!tt 0").splitlines() == [
        "Setting position: 0:0",
        "TTD: Start of trace reached.",
        "Time Travel Position: 0:0",
    ]
    assert shell.execute("!tt 100").startswith("Setting position: B:0\nTTD: End of trace")
    assert shell.execute("!tt C:0") == "!tt C:0: the last position is B:0"
    assert "give a position such as A:0" in shell.execute("!tt 101")
    assert shell.shell.target.position == 11


def test_views_show_the_position() -> None:
    shell = session()
    depths = []
    for line in ["!tt 1:0", *["p"] * 10]:
        shell.execute(line)
        known = shell.execute("? low(dwo(mydrv!Requests))")
        depths.append(known[-1:])
    assert depths == ["0", "0", "0", "0", "0", "1", "2", "2", "1", "1", "1"]


def test_breakpoints_on_routines() -> None:
    shell = session()
    assert shell.execute("bp nt!ExFreeTo*; bl") == " 0 e nt!ExFreeTo* 0001 (0001)"
    said = transcript(shell, "g", "g", "g")
    assert [each.splitlines()[0] for each in said[:2]] == ["Breakpoint 0 hit"] * 2
    assert [each.splitlines()[1] for each in said[:2]] == [
        "Time Travel Position: 6:0",
        "Time Travel Position: 7:0",
    ]
    assert said[2].startswith(STOP)
    assert [each.splitlines()[1] for each in transcript(shell, "g-", "g-", "g-")] == [
        "Time Travel Position: 7:0",
        "Time Travel Position: 6:0",
        "Time Travel Position: 0:0",
    ]


def test_a_miss_is_a_call_of_the_pool() -> None:
    shell = session()
    shell.execute("bp ExAllocatePoolWithTag")
    assert [each.splitlines()[1][-3:] for each in transcript(shell, "g", "g")] == ["2:0", "4:0"]


def test_breakpoints_on_memory() -> None:
    shell = session()
    shell.execute(f"g; ba w8 {SECOND}")
    positions = [each.splitlines()[1][22:] for each in transcript(shell, *["g-"] * 6)]
    # The first is where the page came to be: a fresh one holds what it held before.
    assert positions == ["A:0", "8:0", "7:0", "5:0", "2:0", "0:0"]
    # A list has a name before it is there, so that its first change is met too.
    shell.execute("bc *; !tt 1:0; ba w2 mydrv!Requests")
    positions = [each.splitlines()[1][22:] for each in transcript(shell, *["g"] * 3)]
    assert positions == ["6:0", "7:0", "9:0"]


def test_breakpoints_on_a_line() -> None:
    shell = session()
    shell.execute("bp `helpers.py:33`")
    said = shell.execute("g")
    assert said.splitlines()[-1].startswith("helpers.py @ 33: self.list.free(request)")
    assert shell.execute("bl") == " 0 e `helpers.py:33` 0001 (0001)"


def test_passes_commands_and_states() -> None:
    shell = session()
    shell.execute('bp ExAllocateFrom* 3 ".echo third; ? 1+1"')
    assert shell.execute("bl") == ' 0 e nt!ExAllocateFrom* 0003 (0003) ".echo third; ? 1+1"'
    said = shell.execute("g").splitlines()
    assert said[1] == "Time Travel Position: 9:0"
    assert said[-2:] == ["third", "Evaluate expression: 2 = 00000000`00000002"]
    shell.execute("!tt 0; bd 0")
    assert shell.execute("bl").startswith(" 0 d nt!")
    assert shell.execute("g").startswith(STOP)
    shell.execute("be 0; bp ExFree*; bp ExInit*")
    shell.execute("bc 0-1")
    assert shell.execute("bl") == " 2 e nt!ExInit* 0001 (0001)"
    assert shell.execute("bc 7") == "Breakpoint 7 does not exist; bl lists them"
    assert shell.execute("bc").startswith("Give the numbers of breakpoints")


def test_commands_that_go_on_end_at_the_stop() -> None:
    shell = session()
    shell.execute('bp ExAllocateFrom* "g"')
    said = shell.execute("g")
    assert said.count("Breakpoint 0 hit") == 4
    assert said.count("*** Fatal System Error") == 2


def test_commands_that_run_each_other_end() -> None:
    shell = session()
    shell.execute('bp ExAllocateFrom* "g-; g"')
    assert "run inside each other too often" in shell.execute("g")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("bp", "Numeric expression missing from '<EOL>'"),
        ("bp ExNothing", "Couldn't resolve error at 'ExNothing'"),
        ("bp mydrv!ExFreePool", "Couldn't resolve error at 'mydrv!ExFreePool'"),
        ("bp ExFreePool 0", "Passes 0x0: give 1 to ffff"),
        ("ba w3 0", "ba w3 0: give w or r and 1, 2, 4 or 8, then an address"),
        ("ba e1 0", "ba e: no instructions run here; bp stops for a routine"),
        ("ba w8 mydrv!Requests+1", "Data breakpoint must be aligned: fffff80a`1d253001 by 8"),
        ("ba w8", "Numeric expression missing from '<EOL>'"),
    ],
)
def test_what_no_breakpoint_can_be(line: str, said: str) -> None:
    shell = session()
    shell.execute("!tt 100")
    assert shell.execute(line) == said
    assert shell.execute("bl") == ""


def test_questions_to_the_recording() -> None:
    shell = session()
    said = shell.execute('dx -g @$cursession.TTD.Calls("nt!ExFree*")').splitlines()
    assert said[1].split() == ["=", "=", "TimeStart", "=", "Function", "=", "List", "=",
                               "ReturnValue", "=", "Source"]  # fmt: skip
    assert [line.split(" - ")[:3] for line in said[3:5]] == [
        ["= [0x0]", "6:0      ", "ExFreeToLookasideListEx"],
        ["= [0x1]", "7:0      ", "ExFreeToLookasideListEx"],
    ]
    assert shell.execute('dx @$cursession.TTD.Calls("nt!ExA*", "nt!ExF*").Count()').endswith(
        " : 0x6"
    )
    assert shell.execute("dx @$cursession.TTD.Lifetime") == (
        "@$cursession.TTD.Lifetime : [0:0, B:0]"
    )


def test_accesses_to_memory() -> None:
    shell = session()
    query = f'dx -g @$cursession.TTD.Memory({SECOND}, {SECOND}+8, "w")'
    rows = [line.split(" - ") for line in shell.execute(query).splitlines()[3:-1]]
    assert [(row[1].strip(), row[3], row[5].strip()) for row in rows] == [
        ("2:0", rows[0][3], "ExAllocateFromLookasideListEx"),
        ("5:0", "00000000`00000001", "program"),
        ("7:0", "ffffd200`00001010", "ExFreeToLookasideListEx"),
        ("8:0", "ffffffff`c0000120", "program"),
        ("A:0", "00000000`00000002", "program"),
    ]
    last = shell.execute(f"{query}.Last()").splitlines()
    assert last[3].startswith("= [0x4] - A:0")
    assert shell.execute(f"{query}[1]").splitlines()[3].startswith("= [0x1] - 5:0")
    assert shell.execute(f"{query}[9]").startswith("Index out of range")


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("@$curthread.TTD", "Unable to bind name in '@$curthread.TTD'"),
        ("@$cursession.TTD.Calls()", "Syntax error at '<EOL>'"),
        ("@$cursession.TTD.Memory(1, 0, \"w\")", "Range error"),
        ("@$cursession.TTD.Memory(0, 1, \"z\")", 'dx: access "z": give r and w'),
        ("@$cursession.TTD.Memory(0, 1)", "Syntax error at '0, 1'"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked(query: str, said: str) -> None:
    assert session().execute(f"dx -g {query}").startswith(said)


def test_why_it_stopped() -> None:
    shell = session()
    shell.execute("g")
    said = shell.execute("!analyze -v").splitlines()
    assert said[6:8] == [
        "PAGE_FAULT_IN_NONPAGED_AREA (50)",
        "0xffffffffc0000120 was read, and nothing is mapped there",
    ]
    assert said[9] == "Arg1: ffffffff`c0000120, memory referenced"
    assert said[-4:] == [
        f"FAULTING_WORD:  {SECOND} leads to 0xffffffffc0000120",
        f"WRITTEN_BY:  8:0  program writes({SECOND}, 20 01 00 c0 ff ff ff ff)",
        '    helpers.py @ 35: self.kernel.write(request, CANCELLED.to_bytes(8, "little")[:size])'
        "  # too late",
        "FOLLOWUP:  !tt 8:0",
    ]
    assert (
        shell.execute("!analyze").splitlines()[6] == "BugCheck 50, {ffffffffc0000120, 0, 0, 0}"
    )
    assert shell.execute(".lastevent") == (
        "Last event: Bug Check 50: PAGE_FAULT_IN_NONPAGED_AREA"
    )
    assert shell.execute("? $bug_param1").endswith("c0000120")
    assert shell.execute(".bugcheck").startswith("*** Fatal System Error: 0x00000050")
    assert shell.execute("k 3").splitlines()[:2] == [
        " # Call Site",
        "00 nt!ExAllocateFromLookasideListEx",
    ]
    assert shell.execute("lsa .").splitlines()[5].startswith(">")


def test_what_if_is_dropped_by_a_move() -> None:
    shell = session()
    shell.execute("!tt 7:0")
    assert shell.execute(".call mydrv!Requests.allocate()") == (
        f"What if: a copy of the machine at 7:0 is changed.\n.call returns {SECOND}   *hit*"
    )
    assert shell.execute("? poi(mydrv!Requests+8)").endswith("ffffd200`00001010")
    assert shell.status().endswith("what if")
    assert shell.execute("p-").startswith(
        "What if: 1 change dropped.\nTime Travel Position: 6:0"
    )
    assert shell.execute("p; ? poi(mydrv!Requests+8)").endswith(SECOND)


def test_calls_on_a_copy() -> None:
    shell = session()
    shell.execute("!tt 7:0")
    # The same entry once more: a ring, and two owners.
    said = transcript(
        shell,
        f".call nt!ExFreeToLookasideListEx(mydrv!Requests, {SECOND})",
        ".call mydrv!Requests.allocate()",
        ".call mydrv!Requests.allocate()",
    )
    assert said[0].endswith(".call returns   *hit*")
    assert said[1] == said[2] == f".call returns {SECOND}   *hit*"
    said = transcript(
        shell,
        '.call pool.allocate(0, 20, "abcd")',
        ".call nt!ExAllocatePoolWithTag(0, 0n32, 64636261)",
        ".call tick(3)",
        ".call mydrv!Requests.flush()",
        ".call nt!ExFreePool(1234)",
        ".call pool.free(1234)",
    )
    assert said[0].startswith(".call returns ffffc900`")
    assert said[2] == ".call returns"
    assert said[4].startswith("*** Fatal System Error: 0x000000c2")
    assert said[5] == said[4]
    assert shell.execute("!analyze -v").splitlines()[6] == "BAD_POOL_CALLER (c2)"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (".call", "Syntax error at '<EOL>'"),
        (".call foo(1)", "Couldn't resolve error at 'foo': .call knows"),
        (".call mydrv!Requests.free()", "it takes 2 arguments"),
        (".call mydrv!Requests.free(nothing)", "Couldn't resolve error at 'nothing'"),
        ('.call pool.allocate(0, 1, "abcde")', "give 1 to 4 characters"),
        (".call mydrv!Requests.set_depth(10000)", "depth 65536"),
    ],
)
def test_calls_that_cannot_be_made(line: str, said: str) -> None:
    shell = session()
    shell.execute("!tt 7:0")
    assert said in shell.execute(line)
    assert shell.shell.what_if is None


def with_routines() -> Run:
    """A run in which the program's own routines allocate and free."""
    kernel = Kernel()
    with record(kernel) as run:
        lookaside = kernel.lookaside_list("Own")
        lookaside.initialize(
            size=64,
            tag=b"Own ",
            allocate=lambda kind, size, tag, _: kernel.pool.allocate(PoolType(kind), size, tag),
            free=lambda entry, _: kernel.pool.free(entry),
        )
        entries = [lookaside.allocate() for _ in range(5)]
        for entry in entries:
            lookaside.free(entry)
    return run


def test_t_shows_the_calls_inside() -> None:
    shell = Session(with_routines())
    said = shell.execute("t 2").splitlines()
    assert said[1].startswith("nt!ExAllocateFromLookasideListEx(Own) -> ")
    assert said[-1].startswith("    nt!ExAllocatePoolWithTag(0, 40, 'Own ') -> ffffc900`")
    assert len(shell.execute("t-").splitlines()) == 3


def test_calls_that_the_programs_routines_make_are_met() -> None:
    shell = Session(with_routines())
    shell.execute("bp nt!ExFreePool")
    assert shell.execute("g").splitlines()[1] == "Time Travel Position: B:0"
    assert shell.execute('dx @$cursession.TTD.Calls("nt!ExAllocatePool*").Count()').endswith(
        "0x5"
    )


def test_a_position_is_that_of_the_machine_at_any_time() -> None:
    shell = session()
    run = shell.shell.target.run
    for position in (0, 11, 5, 6, 4, 10, 1):
        shell.execute(f"!tt {position:x}:0")
        assert shell.shell.kernel.pool.rows() == run.machine(position).pool.rows()
