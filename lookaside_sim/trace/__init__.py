"""Trace files: load, save, record and replay what programs do with pools and lists.

Two kinds of files come up. A *list trace* names lists and is a program for the simulator. A
*heap trace* has plain allocations and frees, as recorded from a real program; a replay may be
told which sizes to serve from lookaside lists.
"""

from lookaside_sim.trace.format import Event, Header, Trace, load, save
from lookaside_sim.trace.recorder import Recording, record
from lookaside_sim.trace.replay import Replay, replay

__all__ = [
    "Event",
    "Header",
    "Recording",
    "Replay",
    "Trace",
    "load",
    "record",
    "replay",
    "save",
]
