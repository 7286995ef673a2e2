"""The page inside a notebook: what IPython asks a list, a kernel, a run or a pool page for.

`lookaside_sim.rooms.as_html` opens this module when the first of them is shown, so that what
lies below knows nothing of pages.
"""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any, Final

import attrs

from lookaside_sim import windbg
from lookaside_sim.kernel import Kernel
from lookaside_sim.lookaside.list import LookasideList
from lookaside_sim.nt.arguments import unsigned
from lookaside_sim.page.render import render
from lookaside_sim.page.still import Still
from lookaside_sim.rooms import as_html
from lookaside_sim.run import Run
from lookaside_sim.run.culprits import stop_of

RUN_HEIGHT: Final = 860
STILL_HEIGHT: Final = 520
"""Pixels of the frame in a notebook."""


@attrs.frozen
class PoolPage:
    """One page of pool, as ``!pool`` prints it, and as a picture in a notebook.

    Attributes:
        kernel: the machine.
        address: any address in the page.
    """

    kernel: Kernel
    address: int = attrs.field()

    @address.validator
    def _check(self, attribute: Any, value: int) -> None:
        unsigned("address", value, self.kernel.arch.address_bits)

    def __str__(self) -> str:
        return windbg.pool(self.kernel, self.address)

    def _repr_html_(self) -> str:
        return as_html(self)


def frame(text: str, height: int) -> str:
    """A page in a frame that may run its script and do nothing else.

    Args:
        text: the page.
        height: of the frame, in pixels.
    """
    return (
        f'<iframe srcdoc="{html.escape(text)}" sandbox="allow-scripts" title="lookaside_sim"'
        f' width="100%" height="{height}" style="border:0"></iframe>'
    )


def _run(run: Run) -> str:
    return frame(render(run, step=0 if stop_of(run) is None else -1), RUN_HEIGHT)


def _kernel(kernel: Kernel) -> str:
    return frame(render(Still.of_kernel(kernel)), STILL_HEIGHT)


def _list(lookaside: LookasideList) -> str:
    return frame(render(Still.of_list(lookaside)), STILL_HEIGHT)


def _page(page: PoolPage) -> str:
    block = page.kernel.pool.find(page.address)
    focus = page.address if block is None else block.address
    title = f"!pool {page.address:x}"
    still = Still.of_kernel(page.kernel, page.address)
    return frame(render(still, title=title, focus=focus), STILL_HEIGHT)


def html_of(thing: object) -> str | None:
    """The page of a thing, in a frame; None for what has none."""
    for kind, make in _KINDS:
        if isinstance(thing, kind):
            return make(thing)
    return None


_KINDS: Final[tuple[tuple[type[Any], Callable[[Any], str]], ...]] = (
    (Run, _run),
    (Kernel, _kernel),
    (LookasideList, _list),
    (PoolPage, _page),
)
