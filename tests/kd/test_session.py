"""The engine: commands in a line, repetition, unknown words, help, names, numbers."""

from __future__ import annotations

import pytest

from lookaside_sim import Kernel
from lookaside_sim.kd import Session
from lookaside_sim.kd.session import split
from lookaside_sim.kd.table import COMMANDS, NAMES, find
from tests.kd.helpers import live, session


def test_an_empty_line_repeats_the_last_one() -> None:
    shell = session()
    shell.execute("p")
    assert shell.execute("").startswith("Time Travel Position: 2:0")
    shell.execute("p; .echo and on")
    assert shell.execute("").endswith("and on")
    assert shell.shell.target.position == 4
    assert session().execute("") == ""


def test_semicolons_join_commands() -> None:
    _, shell = live()
    assert shell.execute('.echo a; .echo "b;c"; ? 1') == (
        "a\nb;c\nEvaluate expression: 1 = 00000000`00000001"
    )
    assert split(' a ;; "x;y" ') == ["a", '"x;y"']


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("foo", "        ^ Syntax error in 'foo'"),
        ("!foo", "No export foo found"),
        ("??", "Couldn't resolve error at '?'"),
        ("$<file", "        ^ Syntax error in '$<file'"),
        ("?", "Numeric expression missing from '<EOL>'"),
        (".help foo", ".help foo: no such command; .help lists them"),
        ("n 7", "n 7: give 8, 10 or 16"),
        ("r $rax", "Bad register error at '$rax'"),
        ("r $t20 = 1", "Bad register error at '$t20': $t0 to $t19 can be set"),
        ("bl 1", "Extra character error in '1'"),
    ],
)
def test_what_it_does_not_know(line: str, said: str) -> None:
    _, shell = live()
    assert shell.execute(line) == said


@pytest.mark.parametrize("command", COMMANDS, ids=lambda each: each.name)
def test_every_command_has_help_and_survives_alone(command: object) -> None:
    name = command.name  # type: ignore[attr-defined]
    for shell in (live()[1], session()):
        said = shell.execute(f".help {name}")
        assert said.splitlines()[0] == find(name).syntax  # type: ignore[union-attr]
        assert len(said.splitlines()) > 1
        assert isinstance(shell.execute(name), str)
        assert isinstance(shell.execute(f"{name} 0"), str)
        assert isinstance(shell.execute(f"{name} Requests junk ("), str)


def test_the_list_of_commands() -> None:
    _, shell = live()
    said = shell.execute(".help")
    assert all(f"  {each.syntax} " in said for each in COMMANDS)
    assert max(map(len, said.splitlines())) <= 100
    assert len(NAMES) == len(set(NAMES)) == sum(1 + len(each.aliases) for each in COMMANDS)


def test_names() -> None:
    _, shell = live()
    assert shell.execute("x mydrv!*") == (
        "fffff80a`30020000 mydrv!Requests = struct _LOOKASIDE_LIST_EX"
    )
    assert shell.execute("x requests") == shell.execute("x *!REQ*")
    assert shell.execute("x nt!ExFree*") == "fffff80a`1d241040 nt!ExFreePool"
    assert shell.execute("ln Requests+12").startswith(
        "(fffff80a`30020000)   mydrv!Requests+0x12"
    )
    assert shell.execute("ln Requests").endswith("Exact matches:\n    mydrv!Requests")
    assert shell.execute("ln ffffd200`00001fc4") == (
        "ffffd200`00001fc0+0x4: in the 64-byte pool block Rqst; !pool shows its page"
    )
    assert shell.execute("ln 0").endswith("no symbol and no block of pool is there")
    assert shell.execute("ln mydrv+10").startswith("(fffff80a`30000000)   mydrv+0x10")
    assert shell.execute("lm").splitlines()[1] == "fffff80a`30000000 fffff80a`30040000 mydrv"


def test_fields_follow_their_list() -> None:
    kernel, shell = live()
    assert shell.execute("? Requests.Depth - Requests").endswith(" = 00000000`00000010")
    assert shell.execute("? mydrv!Requests.ListHead.Next - mydrv!Requests").endswith("00000008")
    assert shell.execute("? wo(Requests.maximumdepth)").endswith("00000100")
    assert shell.execute("? Requests.Nothing") == "Couldn't resolve error at 'Requests.Nothing'"
    lookaside = kernel.lookaside_list("a.b")
    lookaside.initialize(size=16, tag=b"dots")
    assert shell.execute("? a.b.Depth - a.b").endswith("10")


def test_an_unloaded_driver_is_listed_as_one() -> None:
    kernel, shell = live()
    kernel.drivers.named("mydrv.sys").unload()
    assert "Unloaded modules:" in shell.execute("lm")
    assert shell.execute("lm m other").count("\n") == 0


def test_registers() -> None:
    _, shell = live()
    assert shell.execute("r $t3 = 10+1; r $t3") == "$t3=00000000`00000011"
    assert shell.execute("r? $t4 = @$t3*2; ? $t4 + $ptrsize").endswith("0000002a")
    assert shell.execute("r") == "processor=0 irql=0 seconds=0 $retreg=00000000`00000000"
    assert shell.execute("ba w8 Requests; ? $bp0 - Requests").endswith("00000000")
    assert shell.execute("? $bug_code").endswith(" = 00000000`00000000")


def test_the_base_of_numbers() -> None:
    _, shell = live()
    assert shell.execute("n") == "base is 16"
    assert shell.execute("n 10; ? 10") == (
        "base is 10\nEvaluate expression: 10 = 00000000`0000000a"
    )


def test_formats() -> None:
    _, shell = live(arch="x86")
    assert shell.execute(".formats 1c407e62") == (
        "Evaluate expression:\n"
        "  Hex:     1c407e62\n"
        "  Decimal: 473988706\n"
        "  Octal:   03420077142\n"
        "  Binary:  00011100 01000000 01111110 01100010\n"
        "  Chars:   .@~b\n"
        "  Time:    Mon Jan 07 23:31:46 1985\n"
        "  Float:   low 6.36908e-22 high 0\n"
        "  Double:  2.34182e-315"
    )
    _, shell = live()
    assert "  Decimal: -1\n" in shell.execute(".formats -1")
    assert "  Time:    ***** Invalid FILETIME\n" in shell.execute(".formats -1")
    assert "  Time:    Thu May 29 12:01:27.994 1980 (UTC)\n" in (
        shell.execute(".formats 01a95d1a`5b0a0000")
    )


def test_a_live_machine_has_no_past() -> None:
    kernel, shell = live()
    for line in ("g", "g-", "p", "p-", "t", "!tt 0", 'dx @$cursession.TTD.Calls("*")'):
        assert shell.execute(line).startswith("This machine is live: there is no recording")
    assert shell.execute("k") == "No call has been made at now: there is no stack"
    assert shell.execute(".lastevent") == "Last event: none at now"
    assert shell.execute("!analyze -v") == "The machine runs: no bug check."
    kernel.tick(3661)
    assert shell.execute(".time") == "System Uptime: 0 days 1:01:01.000"
    assert shell.execute("vertarget").splitlines()[-1] == "Live machine"
    assert shell.greeting().startswith("Windows 10-1809 Kernel, simulated, 1 procs x64\n")
    assert shell.status() == "live machine"


def test_q_ends_it() -> None:
    _, shell = live()
    assert shell.execute(".echo a; q; .echo b") == "a"
    assert shell.has_ended


def test_what_is_looked_at_is_a_run_or_a_machine() -> None:
    with pytest.raises(TypeError, match="give a Run or a Kernel"):
        Session("a file")  # type: ignore[arg-type]


def test_two_shells_share_nothing() -> None:
    kernel = Kernel()
    first, second = Session(kernel), Session(kernel)
    first.execute("r $t0 = 5; n 10")
    assert second.execute("? $t0 + 10").endswith("00000010")
