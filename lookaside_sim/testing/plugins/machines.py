"""The machine of one test: what it is made of, how it is watched, what is told of it.

The pytest plugin opens this module when a test asks for one of its fixtures, not before.
"""

from __future__ import annotations

import re
import unittest
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from lookaside_sim import windbg
from lookaside_sim.kernel import Kernel
from lookaside_sim.testing.leaks import LeakTracker
from lookaside_sim.trace import Recording
from lookaside_sim.verifier.settings import Verifier

__all__ = ["LEAKS", "Setting", "Watched", "make_kernel", "setting_of", "watched_machine"]

LEAKS: Final = ("error", "warn", "ignore")
"""What may be done about leaks."""


class Setting(NamedTuple):
    """What a test's machine is made of."""

    arch: str = "x64"
    processors: int = 1
    verifier: Any = None
    sanitizer: bool = False
    leaks: str = "error"


def setting_of(request: pytest.FixtureRequest) -> Setting:
    """The marker's word, else the option's, else the ini file's.

    Args:
        request: of the test.

    Raises:
        pytest.UsageError: an argument that the marker does not have, or a wrong value.
    """
    config = request.config
    found: dict[str, Any] = {}
    for name in Setting._fields:
        given = config.getoption(f"lookaside_{name}")
        found[name] = config.getini(f"lookaside_{name}") if given is None else given
    # The closest marker comes first, and its word counts.
    for marker in reversed(list(request.node.iter_markers("lookaside"))):
        unknown = [*map(repr, marker.args), *sorted(marker.kwargs.keys() - found.keys())]
        if unknown:
            raise pytest.UsageError(f"{_of(request)}: no such argument: {', '.join(unknown)}")
        found.update(marker.kwargs)
    try:
        processors = int(found["processors"])
    except (TypeError, ValueError):
        raise pytest.UsageError(
            f"{_of(request)}: processors={found['processors']!r}: give a number"
        ) from None
    setting = Setting(**{**found, "processors": processors})
    if setting.leaks not in LEAKS:
        raise pytest.UsageError(
            f"{_of(request)}: leaks={setting.leaks!r}: give one of {', '.join(LEAKS)}"
        )
    return setting


def _of(request: pytest.FixtureRequest) -> str:
    return f"marker or settings lookaside of {request.node.nodeid}"


def make_kernel(setting: Setting) -> Kernel:
    """Make the machine.

    Args:
        setting: what it is made of.

    Raises:
        TypeError: something that is no verifier.
        ValueError: no such machine, or no such number of processors.
    """
    verifier = setting.verifier
    if verifier in (False, "none"):
        verifier = None
    elif verifier in (True, "standard"):
        verifier = Verifier.standard()
    return Kernel(
        setting.arch, setting.processors, verifier=verifier, sanitizer=setting.sanitizer
    )


class Watched:
    """A test's machine, and who listens to it.

    Args:
        kernel: the machine.
        tracker: knows who allocated what.
    """

    def __init__(self, kernel: Kernel, tracker: LeakTracker) -> None:
        self.kernel = kernel
        self.tracker = tracker
        self._recording: Recording | None = None
        self._saved: Path | None = None

    @contextmanager
    def record(self) -> Iterator[Recording]:
        """Record what the test does inside."""
        recording = self._recording = Recording(self.kernel)
        stop = self.kernel.listen(recording.hear)
        try:
            yield recording
        finally:
            stop()

    def leaks(self) -> str | None:
        """The report of what was left behind, or None for nothing.

        After a stop nothing can be freed, so nothing is blamed either.
        """
        if self.kernel.bugcheck is not None:
            return None
        leaks = self.tracker.leaks()
        return self.tracker.report(leaks) if leaks else None

    def state(self, error: BaseException | None) -> str:
        """The debugger's view, and where the addresses of a stop come from.

        Args:
            error: what the test failed with.
        """
        lists = self.tracker.lists or self.kernel.lookaside_lists
        lines = [repr(self.kernel), *(windbg.lookaside(each) for each in lists)]
        parameters: Sequence[object] = getattr(error, "parameters", ())
        address = getattr(error, "address", None)
        for each in dict.fromkeys([*parameters, address]):
            known = self.tracker.describe(each) if isinstance(each, int) else None
            if known is not None:
                lines.append(known)
        return "\n".join(lines)

    def save_trace(self, item: pytest.Item) -> Path | None:
        """Save what was recorded, once.

        Args:
            item: the test, whose name the file gets.

        Returns:
            The file; None if nothing was recorded, or the file is written already.
        """
        if self._recording is None or self._saved is not None:
            return None
        config = item.config
        given = config.getoption("lookaside_traces") or config.getini("lookaside_traces")
        folder = Path(config.rootpath, str(given))
        folder.mkdir(parents=True, exist_ok=True)
        name = re.sub(r"[^\w.-]+", "-", item.nodeid).strip("-")
        self._saved = folder / f"{name[-150:]}.jsonl"
        self._recording.save(self._saved, f"pytest {item.nodeid}")
        return self._saved


def watched_machine(request: pytest.FixtureRequest) -> tuple[Setting, Watched]:
    """Make the machine of a test; a ``unittest.TestCase`` gets it as an attribute.

    Args:
        request: of the test.

    Returns:
        What it is made of, and the machine, to which nobody listens yet.
    """
    setting = setting_of(request)
    kernel = make_kernel(setting)
    if isinstance(request.instance, unittest.TestCase):
        request.instance.lookaside_kernel = kernel  # type: ignore[attr-defined]
    return setting, Watched(kernel, LeakTracker(kernel))
