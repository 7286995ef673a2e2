"""Scripts without blanks still say the same."""

from __future__ import annotations

import pytest

from lookaside_sim.page.squeeze import squeeze_script, squeeze_style


@pytest.mark.parametrize(
    ("text", "squeezed"),
    [
        ("const a = 1;  // one\nlet b = a + 2;\n", "const a=1;let b=a+2;"),
        ("a + +b - -c; i++ + 1", "a+ +b- -c;i++ +1"),
        ("return `a  ${ b + `c  d` } // e`;", "return`a  ${ b + `c  d` } // e`;"),
        ("f(\"a  // b\", 'c  d')", "f(\"a  // b\",'c  d')"),
        ('x.replace(/[/]  "/g, a / b)', 'x.replace(/[/]  "/g,a/b)'),
        ("/* all\nof it */ class A {\n  #b = 1;\n  c() {}\n}\n", "class A{#b=1;c(){}\n}\n"),
        ("do { a(); } while (b)\nc()", "do{a();}while(b)\nc()"),
    ],
)
def test_a_script_keeps_what_it_says(text: str, squeezed: str) -> None:
    assert squeeze_script(text) == squeezed


def test_a_style_sheet_keeps_what_it_says() -> None:
    text = "/* a */\nb > c, d :focus {\n  e: calc(1px + 2px);\n  f: g h !important;\n}\n"
    assert squeeze_style(text) == "b > c,d :focus{e:calc(1px + 2px);f:g h!important}\n"
