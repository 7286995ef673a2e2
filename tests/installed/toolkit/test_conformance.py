"""A ready test class, the first import of the package in its file."""

from lookaside_sim.testing import AllocatorConformance
from lookaside_sim.testing.adapters import FreeList


class TestFreeList(AllocatorConformance):
    factory = FreeList
    level = "memory"
    max_examples = 60
