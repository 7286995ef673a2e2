"""Runs: record what is done with a machine, go to any point of it, and back; see docs/run.md."""

from lookaside_sim.run.edits import (
    Add,
    Born,
    Chain,
    Cut,
    Died,
    Edit,
    List,
    Pop,
    Push,
    Set,
    Stop,
    Write,
)
from lookaside_sim.run.export_formats import export
from lookaside_sim.run.run import Run, record
from lookaside_sim.run.script import open_run, record_script
from lookaside_sim.run.sites import Site
from lookaside_sim.run.state import Block, ListState, State, Stopped
from lookaside_sim.run.step import Step
from lookaside_sim.run.watch import Access

__all__ = [
    "Access",
    "Add",
    "Block",
    "Born",
    "Chain",
    "Cut",
    "Died",
    "Edit",
    "List",
    "ListState",
    "Pop",
    "Push",
    "Run",
    "Set",
    "Site",
    "State",
    "Step",
    "Stop",
    "Stopped",
    "Write",
    "export",
    "open_run",
    "record",
    "record_script",
]
