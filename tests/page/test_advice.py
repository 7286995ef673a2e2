from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

from lookaside_sim.advise import advise, curves
from lookaside_sim.page import advice_section, render
from lookaside_sim.trace import Event
from tests.page.runs import lifo

SQLITE = Path(__file__).parent.parent.parent / "examples" / "traces" / "sqlite.jsonl.gz"
SECOND = 1_000_000


def two_seconds() -> list[Event]:
    events = []
    for second in range(2):
        for number in range(300):
            identity = second * 300 + number
            events.append(Event("alloc", second * SECOND, identity, 64, site="<main> & co"))
            if number % 10 == 9:
                freed = range(identity - 9, identity + 1)
                events += [Event("free", second * SECOND, each) for each in freed]
    return events


def test_a_table_and_two_curves_for_each_list() -> None:
    lists = curves(advise(two_seconds(), by="site", by_second=True))
    section = ElementTree.fromstring(advice_section(lists))
    _, row = section.iter("tr")
    cells = [cell.text for cell in row]
    assert cells[0] == "64 bytes, None, <main> & co"
    assert cells[1] == "1,200"
    says = [title.text or "" for title in section.iter("title")]
    assert len(says) == 2
    assert says[0].startswith("Calls saved under each fixed depth from 0 to 10")
    assert says[1].startswith("The depth and the entries held, from second 0 to 1")
    for path in section.iter("path"):
        assert re.fullmatch(r"[MLHVZ0-9. ]+", path.attrib["d"])
    # Nothing that a page with a content security policy would not show.
    assert not any("style" in each.attrib for each in section.iter())


def test_a_curve_of_one_point_is_not_drawn() -> None:
    one = curves(advise([Event("alloc", 0, 1, 64)], depths=False))
    section = ElementTree.fromstring(advice_section(one))
    assert not list(section.iter("svg"))
    assert [cell.text for cell in list(section.iter("td"))] == ["1", "0 (0.0%)", "4", "0", None]


def test_no_lists_are_no_section() -> None:
    assert advice_section([]) == ""


def test_the_page_has_the_section_where_it_is_given() -> None:
    section = advice_section(curves(advise(SQLITE, by_second=True), 3))
    text = render(lifo(), section=section)
    assert section in text
    assert 'aria-label="Advice"' not in render(lifo())
