"""The document of drivers: its blocks, and what each mode finds of each mistake.

``python -m tests.drive.docs`` writes the outputs and the table into it anew.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from lookaside_sim import BugCheck, Kernel, SanitizerError, Verifier
from lookaside_sim.cli import main as command
from tests.drive.helpers import sys_file

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "drivers.md"
PROGRAM = re.compile(r"(```python\n(.*?)```\n\nprints\n\n```text\n)(.*?)```", re.DOTALL)
COMMAND = re.compile(r"(```console\n\$ (.*?)\n)(.*?)```", re.DOTALL)
TABLE = re.compile(r"(\| mistake \| nothing on .*?\n\| --- .*?\n)((?:\| .*\n)*)")
MODES = ("nothing", "sanitizer", "verifier")
MISTAKES = {
    "Overrun": "a byte behind a pool block is written",
    "UseAfterFree": "a pool block is read after it was freed",
    "EntryAfterFree": "an entry is written after it was freed to its list",
    "EntryReadAfterFree": "an entry is read after it was freed to its list",
    "DoubleFree": "a pool block is freed twice",
    "EntryFreedTwice": "an entry is freed to its list twice",
    "WrongList": "an entry is freed to another list",
    "EntryToPool": "an entry is freed to the pool",
    "Leak": "a pool block is not freed by the unload",
    "PagedAtDispatch": "paged pool is written at DISPATCH_LEVEL",
    "NullField": "a field of NULL is read",
    "WriteToCode": "the driver's code is written",
    "ForgetLarge": "a list is not deleted by the unload",
    "Deep": "the kernel stack is used up",
    "FailEntry": "DriverEntry fails and gives nothing back",
}
AT_THE_LINE = {
    "Overrun": "Fill",
    "UseAfterFree": "First",
    "EntryAfterFree": "Fill",
    "EntryReadAfterFree": "First",
    "DoubleFree": "DoubleFree",
    "EntryFreedTwice": "EntryFreedTwice",
    "WrongList": "WrongList",
    "EntryToPool": "EntryToPool",
    "PagedAtDispatch": "Fill",
    "NullField": "First",
    "WriteToCode": "Fill",
    "Deep": "Deep",
}
"""The function that each mistake happens in."""


def found(mistake: str, mode: str) -> str:
    """What a mode finds of a mistake, in a few words."""
    verifier = Verifier.standard() if mode == "verifier" else None
    kernel = Kernel(verifier=verifier, sanitizer=mode == "sanitizer")
    driver = kernel.load_image(sys_file("mistakes"))
    try:
        if mistake == "FailEntry":
            kernel.write(driver.address_of("FailEntry"), b"\1")
        driver.start()
        arguments = {"ForgetLarge": (driver.driver_object,), "Deep": (100,)}.get(mistake, ())
        if mistake != "FailEntry":
            driver.call(mistake, *arguments)
        driver.unload()
        if driver.pool:
            return "at the unload: `driver.pool` names the line"
        kernel.tick(3)
    except (BugCheck, SanitizerError) as error:
        stack = error.__dict__.get("stack", ())
        name = "a report" if isinstance(error, SanitizerError) else f"{int(error.code):#x}"
        if stack and stack[0].function.endswith(f"!{AT_THE_LINE.get(mistake)}"):
            return f"line: {name}"
        leaks = error.leaks if isinstance(error, BugCheck) else ()
        return f"{'at the unload' if leaks or not stack else 'later'}: {name}"
    return "nothing"


def rows() -> str:
    """The rows of the table."""
    return "".join(
        f"| {text} | {' | '.join(found(mistake, mode) for mode in MODES)} |\n"
        for mistake, text in MISTAKES.items()
    )


def printed_by(program: str) -> str:
    """What a program of the document prints."""
    with contextlib.redirect_stdout(io.StringIO()) as printed, contextlib.chdir(ROOT):
        exec(compile(program, "drivers.md", "exec"), {})
    return printed.getvalue()


def said_by(line: str) -> str:
    """What a command of the document prints."""
    program, *arguments = shlex.split(line)
    assert program == "lookaside-sim"
    with contextlib.redirect_stdout(io.StringIO()) as printed, contextlib.chdir(ROOT):
        command(arguments)
    return printed.getvalue()


def blocks() -> Iterator[tuple[str, str, str]]:
    """The kind, the source and the output of each block."""
    text = DOCUMENT.read_text("utf-8")
    for _, source, output in PROGRAM.findall(text):
        yield "python", source, output
    for _, source, output in COMMAND.findall(text):
        yield "console", source, output


def write() -> None:
    """Write the outputs and the table anew."""
    text = DOCUMENT.read_text("utf-8")
    text = PROGRAM.sub(lambda block: f"{block[1]}{printed_by(block[2])}```", text)
    text = COMMAND.sub(lambda block: f"{block[1]}{said_by(block[2])}```", text)
    text = TABLE.sub(lambda table: table[1] + rows(), text)
    DOCUMENT.write_text(text, "utf-8")


if __name__ == "__main__":
    os.chdir(ROOT)
    write()
