"""The page as a file: what it may do, how large it is, what is refused."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from importlib.resources import files
from typing import Any, cast

import pytest

from lookaside_sim import Kernel
from lookaside_sim.page import render
from lookaside_sim.page.assemble import asset, script
from lookaside_sim.run import Run, record
from tests.page.runs import lifo, random_run, use_after_free

_DECLARED = re.compile(
    r"^(?:export )?(?:async )?(?:function|class|const|let) (\w+)", re.MULTILINE
)
ROOM = 100_000
A_STEP = 4
"""Bytes that a page may have, and for each step."""


def data(text: str) -> dict[str, Any]:
    """What a page's data says."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text)
    assert found is not None
    packed: dict[str, Any] = json.loads(found[1])
    return packed


def hashed(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def unpacked(column: str) -> bytes:
    return zlib.decompress(base64.b64decode(column), -15)


def test_a_page_may_run_its_own_script_and_nothing_else() -> None:
    text = render(lifo(), title="</title><script>alert(1)</script>", story='<img src="x">')
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    allowed = dict(each.split(" ", 1) for each in policy.split("; "))
    assert allowed.keys() == {"default-src", "script-src", "style-src"}
    assert allowed["default-src"] == "'none'"
    inline = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    (code,) = re.findall(r'<script type="text/plain" id="code">(.*?)</script>', text)
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    assert allowed["script-src"].split() == [hashed(*inline), hashed(unpacked(code).decode())]
    assert allowed["style-src"] == hashed(style)
    assert "alert(1)</script>" not in text
    assert "<img" not in text
    assert not re.search(r"\b(?:src|href|style|on[a-z]+)=[\"']", text.partition("<script")[0])


def test_text_of_the_program_cannot_leave_the_data() -> None:
    kernel = Kernel()
    with record(kernel, "<b>&</b>") as run:
        lookaside = kernel.lookaside_list("</script><script>alert(2)</script>")
        lookaside.initialize(size=8, tag=b"</sc")
        run.note("<!-- <script> -->")
    text = render(run)
    assert "alert(2)" not in text
    assert "<title>&lt;b&gt;&amp;&lt;/b&gt;</title>" in text
    assert "alert(2)" in unpacked(data(text)["meta"]).decode()


@pytest.mark.parametrize(
    "run",
    [lifo(), use_after_free(), random_run("verifier", "x64", 2, 60)],
    ids=lambda run: run.title,
)
def test_a_page_keeps_within_its_room(run: Run) -> None:
    assert len(render(run).encode()) <= ROOM + A_STEP * len(run)


def test_a_step_of_a_long_run_takes_few_bytes() -> None:
    kernel = Kernel()
    with record(kernel, "long", source=False) as run:
        lookaside = kernel.lookaside_list("busy")
        lookaside.initialize(size=48, tag=b"Busy")
        entries: list[int | None] = []
        for number in range(3000):
            if number * number % 7 < 4 or not entries:
                entries.append(lookaside.allocate())
            else:
                lookaside.free(entries.pop(number % len(entries)))
    small = len(render(run, end=1))
    assert len(render(run)) - small <= A_STEP * len(run)


def test_what_lies_behind_the_end_is_not_in_the_page() -> None:
    run = use_after_free()
    shown = data(render(run, end=4, step=-1))
    assert (shown["n"], shown["step"], shown["culprit"]) == (4, 4, None)
    meta = unpacked(shown["meta"]).decode()
    assert "PAGE_FAULT" not in meta
    assert "write" not in {shape[3][0] for shape in json.loads(meta)["shapes"]}


@pytest.mark.parametrize(
    ("name", "value"), [("step", 9), ("step", -10), ("end", 9), ("end", -10)]
)
def test_a_position_that_is_none_is_refused(name: str, value: int) -> None:
    run, show = use_after_free(), cast("Any", render)
    with pytest.raises(ValueError, match=f"{name} {value}: give 0 to {len(run)}"):
        show(run, **{name: value})
    with pytest.raises(TypeError, match=f"{name} '1': give a whole number"):
        show(run, **{name: "1"})


def test_the_scripts_use_each_name_once() -> None:
    # They share one scope, in which a name that is declared twice is an error.
    folder = files("lookaside_sim.page").joinpath("assets")
    modules = [path.read_text("utf-8") for path in folder.iterdir() if path.name[-3:] == ".js"]
    names = [name for module in modules for name in _DECLARED.findall(module)]
    assert len(names) == len(set(names)) > 40
    assert not re.search(r"^(?:import|export) ", script(), re.MULTILINE)
    assert asset("page.html").startswith("<!DOCTYPE html>")
