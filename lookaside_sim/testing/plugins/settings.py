"""What the machine of a test can be made with, as the plugin's options and ini values name it.

Loaded in every project, so `Kernel` itself is not asked.
"""

from __future__ import annotations

from typing import Final

import pytest

NUMBER: Final = "int" if pytest.version_tuple >= (8, 4) else None
"""How an ini value that is a number is declared; pytest before 8.4 hands its text on."""

SETTINGS: Final = {
    "arch": (str, "simulated machine: x64 or x86"),
    "processors": (int, "number of its processors"),
    "nonpaged_pool_bytes": (int, "limit of NonPagedPool in bytes"),
    "paged_pool_bytes": (int, "limit of PagedPool in bytes"),
    "nonpaged_nx_pool_bytes": (int, "limit of NonPagedPoolNx in bytes"),
    "verifier": (str, "none, or standard for Driver Verifier's standard checks"),
    "sanitizer": (bool, "stop at misuse that NT does not notice"),
    "kasan": (bool, "let the sanitizer report accesses as KASAN does"),
    "seed": (int, "chooses the garbage in fresh memory, and programs of check_allocator"),
    "strict_pool_tags": (bool, "stop at any free with a wrong tag"),
    "small_pool_lists": (bool, "give the pool its small-block lookaside lists"),
    "delayed_free": (bool, "let freed blocks wait on delayed free lists"),
    "track_pool": (bool, "keep a ledger of who allocated each block where"),
    "pool": (str, "name of its pool manager"),
    "windows": (str, "version of Windows, such as 7 or 10-1809"),
}
"""The arguments of `Kernel` by name: the kind of value in options and ini files, and what it is."""

CHOICES: Final = {"arch": ("x64", "x86"), "verifier": ("none", "standard")}
"""The values that the options with a choice take."""

PAGES: Final = ("failed", "all", "none")
"""Of which tests a page of the run is left."""
