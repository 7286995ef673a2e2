"""The page in a real browser: it loads in silence, and every way to move does what it says."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lookaside_sim.advise import advise, curves
from lookaside_sim.page import Exam, Question, advice_section, render
from lookaside_sim.trace import Event
from tests.page.runs import double_free, lifo, overrun, use_after_free

sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
if CHROMIUM is None:
    pytest.skip("needs chromium", allow_module_level=True)

LISTS = curves(advise([Event("alloc", 0, 1, 64), Event("free", 0, 1)], by_second=True))
WIDE = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}
Open = Callable[..., Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    found = {}
    for name, run, step in (
        ("lifo", lifo(), 0),
        ("stop", use_after_free(), -1),
        ("ring", double_free(), 6),
        ("overrun", overrun(), -1),
    ):
        found[name] = folder / f"{name}.html"
        section = advice_section(LISTS) if name == "ring" else ""
        found[name].write_text(render(run, step=step, section=section), "utf-8")
    questions = (
        Question(1, "Where from?", ("the list", "the pool"), "the pool", "it was empty"),
        Question(1, "How many bytes?", (), "224", "a header and rounding"),
        Question(5, "How many are held then?", (), "2", "it has room"),
    )
    found["lesson"] = folder / "lesson.html"
    found["lesson"].write_text(render(lifo(), questions=questions), "utf-8")
    sheet = {"lesson": "one", "seed": 7, "name": "", "answers": {"1": "", "words": ""}}
    found["exam"] = folder / "exam.html"
    exam = Exam(questions, sheet, "Why?")
    found["exam"].write_text(render(lifo(), exam=exam), "utf-8")
    return found


@pytest.fixture
def open_page(browser: Any, files: dict[str, Path]) -> Iterator[Open]:
    """Open a page; at the end nothing was fetched and nothing was said on the console."""
    said: list[str] = []
    contexts = []

    def open_(
        name: str = "lifo", link: str = "", *, view: Any = WIDE, theme: str = "light"
    ) -> Any:
        context = browser.new_context(
            viewport=view, color_scheme=theme, reduced_motion="reduce"
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on(
            "request",
            lambda request: (
                said.append(request.url) if not request.url.startswith("file:") else None
            ),
        )
        page.goto(files[name].as_uri() + link)
        page.wait_for_function("() => document.body.dataset.ready !== undefined")
        return page

    yield open_
    for context in contexts:
        context.close()
    assert said == []


def step_of(page: Any) -> int:
    return int(page.input_value("#slider"))


def press(page: Any, *keys: str) -> int:
    for key in keys:
        page.keyboard.press(key)
    return step_of(page)


def test_keys_go_to_every_kind_of_step_and_back(open_page: Open) -> None:
    page = open_page()
    assert page.title() == "last in, first out"
    assert page.inner_text("#badge") == "START"
    assert press(page, "ArrowRight", "ArrowRight") == 2
    assert page.inner_text("#badge") == "MISS"
    assert press(page, "ArrowLeft") == 1
    assert press(page, "h") == 5
    assert page.inner_text("#badge") == "HIT"
    assert "…" in page.inner_text("#call")
    assert press(page, "m") > 5
    assert press(page, "M") == 4
    tuned = press(page, "t")
    assert page.inner_text("#badge") == "TUNED"
    assert "Depth 4 → " in page.inner_text("#why")
    assert press(page, "T") == tuned
    assert press(page, "End") == len(lifo())
    assert press(page, "PageUp") == len(lifo()) - 10
    assert press(page, "Home", "n") == 4
    assert page.inner_text("#notes") == "For the pool nothing is freed."
    press(page, "g", "7", "Enter")
    page.wait_for_function("() => document.getElementById('slider').value === '7'")
    assert page.url.endswith("#step=7")


def test_buttons_slider_and_play_move_too(open_page: Open) -> None:
    page = open_page(link="#step=3")
    assert step_of(page) == 3
    page.click("#next")
    page.click("#back")
    page.click("#miss")
    assert step_of(page) > 3
    page.evaluate("() => { slider.value = 50; slider.dispatchEvent(new Event('input')); }")
    assert page.inner_text("#position").startswith("50 /")
    page.click("#first")
    page.click("#play")
    page.wait_for_function("() => +document.getElementById('slider').value >= 1")
    page.click("#play")
    assert page.get_attribute("#play", "aria-pressed") == "false"


def test_a_block_can_be_followed_and_a_field(open_page: Open) -> None:
    page = open_page(link="#step=5")
    page.click("#picture [data-from]")
    assert page.is_visible("#block")
    assert press(page, "]") > 5
    assert press(page, "[") == 5
    page.click("[data-field='FreeMisses'][data-way='1']")
    assert page.inner_text("#badge") == "MISS"
    assert "FreeMisses" in page.inner_text(".changed >> nth=-1")
    for key, text in (
        ("2", "Max Alloc"),
        ("3", "Pool page"),
        ("4", "Rqst"),
        ("1", "ListHead.Depth"),
    ):
        page.keyboard.press(key)
        assert text in page.inner_text("#pane")


def test_predict_mode_asks_before_it_shows(open_page: Open) -> None:
    page = open_page()
    press(page, "p")
    assert press(page, "ArrowRight") == 1
    assert press(page, "ArrowRight") == 1
    assert "what comes back?" in page.inner_text("#quiz")
    assert press(page, "1") == 2
    assert "Right" in page.inner_text("#quiz")
    assert "1 of 1" in page.inner_text("#quiz")
    while "where does the block go?" not in page.inner_text("#quiz"):
        press(page, "ArrowRight")
    press(page, "2")
    assert "No: onto the list" in page.inner_text("#quiz")
    press(page, "p")
    assert page.is_hidden("#quiz")


def test_who_predicts_does_not_see_what_a_block_meets_later(open_page: Open) -> None:
    page = open_page(link="#step=5")
    page.click("#picture [data-from]")

    def last() -> int:
        said = page.locator("#block-lines li button").all_inner_texts()
        return max(int(each.removeprefix("step ")) for each in said)

    assert last() > 6
    press(page, "p")
    press(page, "ArrowLeft")
    assert last() <= step_of(page)


def test_a_lesson_is_taken_with_the_keyboard_alone(open_page: Open) -> None:
    page = open_page("lesson")
    assert page.is_hidden("#hit")
    right = []
    while step_of(page) < 8:
        before = page.inner_text("#quiz")
        if page.query_selector("#quiz input"):
            page.keyboard.type("224")
            page.keyboard.press("Enter")
        elif "Where from?" in before:
            press(page, "2")
        else:
            press(page, "ArrowRight")
            continue
        right.append(page.inner_text("#quiz b"))
        assert page.evaluate("document.activeElement.id") == "quiz-next"
    assert right == ["✓ Right", "✓ Right", "✗ No: 2"]
    assert "2 of 3" in page.inner_text("#quiz")


def test_an_exam_is_filled_in_and_saved(open_page: Open) -> None:
    page = open_page("exam")
    assert page.inner_text("#position") == "0 / 1"
    page.fill("#exam > label input", "Ada")
    page.check("#exam fieldset label:nth-of-type(2) input")
    page.fill("#exam li:nth-child(2) input", "224")
    page.fill("#exam textarea", "Because.")
    with page.expect_download() as download:
        page.click("#exam button")
    assert download.value.suggested_filename == "answers.json"
    assert json.loads(page.inner_text("#answers")) == {
        "lesson": "one",
        "seed": 7,
        "name": "Ada",
        "answers": {"1": "b", "2": "224", "words": "Because."},
    }


def test_the_stop_shows_who_led_there(open_page: Open) -> None:
    page = open_page("stop")
    assert page.inner_text("#badge") == "STOP"
    assert "PAGE_FAULT_IN_NONPAGED_AREA" in page.inner_text("#why")
    page.click("#why button")
    assert page.inner_text("#badge") == "WRITE"
    assert ".write(second" in page.inner_text("#source .now")
    assert "not a block" in page.text_content("#picture")


def test_a_chain_that_leads_back_is_a_ring(open_page: Open) -> None:
    page = open_page("ring")
    assert "a ring" in page.text_content("#picture")


def test_a_header_that_was_written_over_is_marked(open_page: Open) -> None:
    page = open_page("overrun")
    press(page, "ArrowLeft")
    assert "its header is overwritten" in page.text_content("#picture")
    assert page.is_hidden("#limit")
    press(page, "b", "3")
    assert "is not a valid header" in page.inner_text("#pane")


def test_help_theme_size_and_projector_are_keys(open_page: Open) -> None:
    page = open_page(link="#step=5")
    press(page, "d")
    assert page.get_attribute("html", "data-theme") == "dark"
    press(page, "f")
    assert page.is_hidden("#pane")
    press(page, "f", "+")
    assert page.is_visible("#pane")
    press(page, "?")
    assert page.is_visible("#help")
    page.keyboard.press("Escape")
    assert page.is_hidden("#help")


@pytest.mark.parametrize(
    ("name", "theme", "view"),
    [
        ("lifo", "light", WIDE),
        ("lifo", "dark", PHONE),
        ("stop", "dark", WIDE),
        ("ring", "light", PHONE),
        ("exam", "dark", PHONE),
    ],
)
def test_nothing_is_in_the_way_of_anybody(
    open_page: Open, name: str, theme: str, view: dict[str, int]
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe")
    page = open_page(name, "#step=6" if name == "lifo" else "", view=view, theme=theme)
    if theme == "dark" and name != "exam":
        press(page, "p", "ArrowRight")
    assert page.evaluate("document.documentElement.scrollWidth") <= view["width"]
    found = axe.Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
