"""Whose code runs: call sites."""

from __future__ import annotations

from lookaside_sim.machine.program import CallSite, calling_site, calling_stack


def test_call_sites_name_the_programs_line() -> None:
    site = calling_site(0x10)
    assert (site.file, site.function, site.address) == (
        "test_program.py",
        "test_call_sites_name_the_programs_line",
        0x10,
    )
    assert str(site) == f"{site.function} (test_program.py:{site.line})"
    assert CallSite("a", 1, "f", 1) == CallSite("a", 1, "f", 2)
    assert calling_stack()[0].function == site.function
