"""Simulated memory: the only owner of bytes."""

from lookaside_sim.memory.address_space import Memory
from lookaside_sim.memory.arena import Arena
from lookaside_sim.memory.links import Uncached
from lookaside_sim.memory.notices import Change, Changed
from lookaside_sim.memory.pages import ArenaPage, NoPage, RegionPage, ServedPage
from lookaside_sim.memory.regions import Region
from lookaside_sim.memory.structures import Structure
from lookaside_sim.memory.touch import Reason, TouchFault

__all__ = [
    "Arena",
    "ArenaPage",
    "Change",
    "Changed",
    "Memory",
    "NoPage",
    "Reason",
    "Region",
    "RegionPage",
    "ServedPage",
    "Structure",
    "TouchFault",
    "Uncached",
]
