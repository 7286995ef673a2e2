"""Simulated memory: the only owner of bytes."""

from lookaside_sim.memory.address_space import Memory, Structure
from lookaside_sim.memory.arena import Arena

__all__ = ["Arena", "Memory", "Structure"]
