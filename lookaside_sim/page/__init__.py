"""The page: a run as one HTML file, and the same page in a notebook."""

from lookaside_sim.page.render import render

__all__ = ["render"]
