"""The page in a notebook: in a frame of its own that may run its script and nothing else."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest

from lookaside_sim import Kernel, LookasideList, windbg
from lookaside_sim.page import PoolPage
from lookaside_sim.testing.conformance.differences import AllocatorDifference
from lookaside_sim.testing.programs.steps import Allocate, Create, Free
from tests.page.runs import lifo, use_after_free


def framed(thing: Any) -> str:
    """The page inside the frame that a notebook is given."""
    found = re.search(r'<iframe srcdoc="([^"]*)" sandbox="allow-scripts"', thing._repr_html_())
    assert found is not None
    return html.unescape(found[1])


def used() -> tuple[Kernel, LookasideList, int]:
    kernel = Kernel()
    lookaside = kernel.lookaside_list("mydrv!Requests")
    lookaside.initialize(size=100, tag=b"Rqst")
    entry = lookaside.allocate()
    assert entry is not None
    lookaside.free(entry)
    return kernel, lookaside, entry


def test_a_kernel_a_list_and_a_page_of_pool_are_pages() -> None:
    kernel, lookaside, entry = used()
    before = bytes(lookaside), kernel.machine.hooks.listening
    for thing, title in (
        (kernel, repr(kernel)),
        (lookaside, repr(lookaside)),
        (PoolPage(kernel, entry), f"!pool {entry:x}"),
    ):
        assert f"<title>{html.escape(title)}</title>" in framed(thing)
    assert (bytes(lookaside), kernel.machine.hooks.listening) == before
    assert str(PoolPage(kernel, entry)) == windbg.pool(kernel, entry)


def test_what_is_gone_or_stopped_is_shown_too() -> None:
    kernel, *_ = used()
    machine = use_after_free().machine(len(use_after_free()))
    assert machine.bugcheck is not None
    assert "stopped" in framed(machine)
    block = kernel.pool.allocate(0, 0x100, b"DExt")
    placed = LookasideList(kernel, "placed", block)
    placed.initialize(size=8, tag=b"Plac")
    assert "placed" in framed(placed)
    with pytest.raises(ValueError, match="address"):
        PoolPage(kernel, -1)


def test_a_run_opens_at_its_stop() -> None:
    assert '"step":0' in framed(lifo())
    assert f'"step":{len(use_after_free())}' in framed(use_after_free())


def test_a_difference_shows_its_program_on_the_simulator() -> None:
    program = [Create(size=64), Allocate(count=2), Free(count=1)]
    difference = AllocatorDifference("it differs", program, {"result": 1}, {"result": 2})
    assert "it differs" in framed(difference)
    assert difference._repr_html_().startswith("<pre>it differs")


def test_a_notebook_shows_all_of_them() -> None:
    nbclient = pytest.importorskip("nbclient", reason="needs nbclient")
    nbformat = pytest.importorskip("nbformat", reason="needs nbformat")
    pytest.importorskip("ipykernel", reason="needs ipykernel")
    cells = [
        "from lookaside_sim import Kernel, LookasideList\n"
        "from lookaside_sim.run import record\n"
        "from lookaside_sim.page import PoolPage\n"
        "kernel = Kernel()\n"
        "with record(kernel) as run:\n"
        "    requests = kernel.lookaside_list('mydrv!Requests')\n"
        "    requests.initialize(size=64, tag=b'Rqst')\n"
        "    requests.free(requests.allocate())\n"
        "kernel",
        "requests",
        "run",
        "PoolPage(kernel, requests.first)",
    ]
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell) for cell in cells]
    )
    nbclient.NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
    for cell in notebook.cells:
        (output,) = cell.outputs
        assert "<iframe srcdoc=" in output.data["text/html"]
        assert output.data["text/plain"]
