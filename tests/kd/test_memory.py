"""Memory: how it is shown, searched, and changed on a copy."""

from __future__ import annotations

import pytest

from tests.kd.helpers import live

ENTRY = "ffffd200`00001f70"


def test_bytes_and_characters() -> None:
    kernel, shell = live()
    assert shell.execute(f"db {ENTRY} L13") == (
        f"{ENTRY}  48 65 6c 6c 6f 2c 20 6b-65 72 6e 65 6c 21 00 {kernel.peek(0xFFFFD20000001F7F, 1)[0]:02x}"
        f"  Hello, kernel!.{_printed(kernel.peek(0xFFFFD20000001F7F, 1)[0])}\n"
        "ffffd200`00001f80  "
        + " ".join(f"{byte:02x}" for byte in kernel.peek(0xFFFFD20000001F80, 3))
        + " " * 39
        + "  "
        + "".join(map(_printed, kernel.peek(0xFFFFD20000001F80, 3)))
    )


def _printed(byte: int | None) -> str:
    return chr(byte) if byte is not None and 0x20 <= byte < 0x7F else "."


def test_words_of_every_size() -> None:
    _, shell = live()
    assert shell.execute(f"dw {ENTRY} L4") == f"{ENTRY}  6548 6c6c 2c6f 6b20"
    assert shell.execute(f"dd {ENTRY} L2") == f"{ENTRY}  6c6c6548 6b202c6f"
    assert shell.execute(f"dq {ENTRY} L1") == f"{ENTRY}  6b202c6f`6c6c6548"
    assert shell.execute(f"dc {ENTRY} L2") == (
        f"{ENTRY}  6c6c6548 6b202c6f                    Hello, k"
    )
    assert shell.execute(f"da {ENTRY}") == f'{ENTRY}  "Hello, kernel!"'
    assert shell.execute(f"db {ENTRY} L1; ? $p").endswith(" 72 = 00000000`00000048")


def test_pointers_with_symbols() -> None:
    _, shell = live()
    assert shell.execute("dps Requests+30 L3") == (
        "fffff80a`30020030  fffff80a`1d241000 nt!ExAllocatePoolWithTag\n"
        "fffff80a`30020038  fffff80a`1d241040 nt!ExFreePool\n"
        "fffff80a`30020040  fffff806`6c4f2a40 nt!ExNPagedLookasideListHead"
    )


def test_what_is_not_mapped() -> None:
    _, shell = live()
    assert shell.execute("dq 0 L2") == "00000000`00000000  ????????`???????? ????????`????????"
    assert shell.execute("dd 0 L1") == "00000000`00000000  ????????"
    assert shell.execute("db 0 L2") == (
        "00000000`00000000  ?? ??                                            ??"
    )
    assert shell.execute("da 0 L3") == '00000000`00000000  "???"'
    # Half of a word is mapped: the word cannot be shown.
    end = "ffffd200`00002000"
    assert shell.execute(f"dq {end}-4 L1") == "ffffd200`00001ffc  ????????`????????"


def test_the_last_address_is_the_end() -> None:
    _, shell = live()
    assert shell.execute("db ffffffff`ffffffff") == ("ffffffff`ffffffff  ??" + " " * 45 + "  ?")
    assert shell.execute("eb ffffffff`ffffffff 1 2").startswith("Memory access error in 'eb")


def test_x86_addresses_have_eight_digits() -> None:
    _, shell = live(arch="x86")
    assert shell.execute("dd Requests+8 L2") == "8d020008  01000004 00000003"
    assert shell.execute("dps Requests+28 L1") == "8d020028  8c240f80 nt!ExAllocatePoolWithTag"
    assert shell.execute("? Requests") == "Evaluate expression: -1929248768 = 8d020000"


def test_it_goes_on_where_it_ended() -> None:
    _, shell = live()
    first = shell.execute(f"db {ENTRY} L10")
    assert first.startswith(f"{ENTRY}  48 65")
    assert shell.execute("").startswith("ffffd200`00001f80  ")
    assert shell.execute("dq").startswith("ffffd200`00002000  ")


def test_a_range_with_an_end_holds_it() -> None:
    _, shell = live()
    assert shell.execute(f"db {ENTRY} {ENTRY}+4").split("  ")[1] == "48 65 6c 6c 6f"
    assert shell.execute(f"dd {ENTRY} {ENTRY}+7") == f"{ENTRY}  6c6c6548 6b202c6f"


@pytest.mark.parametrize(
    ("command", "hits"),
    [
        ('s -a ffffd200`00000000 L10000 "kernel"', ["ffffd200`00001f77"]),
        ("s ffffd200`00000000 L10000 6b 65 72", ["ffffd200`00001f77"]),
        ('s ffffd200`00000000 L10000 "ker"', ["ffffd200`00001f77"]),
        ("s -d ffffd200`00000000 L?4000 6c6c6548", [ENTRY]),
        ("s -w ffffd200`00001f70 L8 6548 6c6c", [ENTRY]),
        ("s -q ffffd200`00000000 L?40000000 6b202c6f`6c6c6548", [ENTRY]),
        ("s -b 0 L?10000 0", []),
    ],
)
def test_searching(command: str, hits: list[str]) -> None:
    _, shell = live()
    printed = shell.execute(command)
    assert [line.partition("  ")[0] for line in printed.splitlines()] == hits


def test_a_change_is_made_on_a_copy() -> None:
    kernel, shell = live()
    before = kernel.peek(0xFFFFD20000001F70, 16)
    assert (
        shell.execute(f"eb {ENTRY} 4a 45")
        == "What if: a copy of the machine at now is changed."
    )
    assert shell.execute(f'eb {ENTRY}+2 "XY" 5a') == ""
    assert shell.execute(f"da {ENTRY}") == f'{ENTRY}  "JEXYZ, kernel!"'
    assert shell.execute(f"ew {ENTRY} 4142; ed {ENTRY}+2 43444546; eq {ENTRY}+6 0") == ""
    assert shell.execute(f"da {ENTRY}") == f'{ENTRY}  "BAFEDC"'
    assert kernel.peek(0xFFFFD20000001F70, 16) == before


@pytest.mark.parametrize(
    "command",
    ["eb 0 1", "eq ffffd200`00001ffc 1", "eb Requests-1 1", "ed nothing 1", "eb Requests"],
)
def test_what_cannot_be_written_changes_nothing(command: str) -> None:
    kernel, shell = live()
    said = shell.execute(command)
    assert "error" in said or "missing" in said
    assert shell.shell.what_if is None
    assert kernel.bugcheck is None
