"""The floors of the house, and how a package opens a room only when somebody asks for it.

`FLOORS` is the one place that says which part may import which. A module imports from the floors
above its own line here, never from its own or a later one: parts of one floor do not know
each other, and inside a folder imports run in one direction too. Type checking and functions
are no exemption. The table of public names in a package's ``__init__`` stands outside of it,
and no module inside imports from it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, Final

FLOORS: Final = (
    ("rooms",),
    ("nt",),  # documented names, values, layouts; no behavior
    ("errors",),
    ("memory",),  # bytes, and what is mapped
    ("machine",),  # the gate, the stop, the clock, processors, whose code runs, calls
    ("pool",),  # blocks, pages, tags, and the one door to them
    ("lookaside",),  # one list, all lists, their tuning
    ("system",),  # what else owns, uses or is charged for memory
    ("verifier", "sanitizer"),
    ("clone",),  # copies them
    ("clonable",),  # imports that when a copy is asked for
    ("parts",),  # builds them all, hands them to each other
    ("kernel",),  # the public calls on them
    ("allocator", "ddi", "windbg", "trace"),
    ("drive",),  # runs compiled drivers on a machine
    ("run",),  # recordings that go to any point and back
    ("page", "kd"),  # a run as one HTML file; the debugger's shell over it
    ("lessons",),  # programs to predict, step by step
    ("advise",),  # which allocations should become a list
    ("testing",),
    ("cli",),
)
"""The parts, lowest floor first."""

_when_opened: list[Callable[[], None]] = []
_opened = False


def when_opened(call: Callable[[], None]) -> None:
    """Call a function when the first public name is asked for, or now if one has been."""
    if _opened:
        call()
    else:
        _when_opened.append(call)


def door(package: str, rooms: Mapping[str, str], names: dict[str, Any]) -> Callable[[str], Any]:
    """Make the ``__getattr__`` of a package whose names are imported when they are asked for.

    Args:
        package: its name.
        rooms: each public name and the module, below the package, that it lives in.
        names: the package's globals, which keep what was found.
    """

    def find(name: str) -> Any:
        global _opened
        room = rooms.get(name)
        if room is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = importlib.import_module(f"{package}.{room}")
        found = names[name] = module if room == name else getattr(module, name)
        _opened = True
        while _when_opened:
            _when_opened.pop()()
        return found

    return find


def from_above(module: str, name: str) -> Any:
    """What a method of a lower floor is done by above: imported by its name when it is called.

    For methods that users look for on `Kernel` and that need a part which stands on `Kernel`,
    such as one of an extra.

    Args:
        module: below the package.
        name: of what is in it.
    """
    return getattr(importlib.import_module(f"lookaside_sim.{module}"), name)


def as_html(thing: object) -> str:
    """A thing as a notebook shows it: the page that `lookaside_sim.page` makes of it.

    The parts of the house have pages and know nothing of them: the room that makes them is opened
    here, by name, when the first is shown.
    """
    made: str = from_above("page.notebook", "html_of")(thing)
    return made


def require(module: str, *, extra: str, who: str) -> ModuleType:
    """Import what an extra brings.

    Args:
        module: its name.
        extra: the extra.
        who: what needs it, with the verb.

    Returns:
        The module.

    Raises:
        ImportError: it is not installed; says how to get it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise ImportError(
            f"{who} {package}: pip install 'lookaside_sim[{extra}]'", name=package
        ) from error
