"""One page out of the files in ``assets``: modules joined, hashes told, nothing fetched.

The modules are written as modules of their own, with imports. Here they are put behind one
another in the order their imports ask for, in one scope: each name is used once in all of them.
The page has them deflated, and a loader of a few lines that unpacks them.
"""

from __future__ import annotations

import hashlib
import html
import json
import re
from base64 import b64encode
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

from lookaside_sim.page.columns import pack

LAST_MODULE: Final = "keys.js"
"""The module that opens the run; all others are reached from it."""
_IMPORT: Final = re.compile(r"import\s*\{[^}]*\}\s*from\s*\"\./([\w.]+)\";\n", re.DOTALL)
_EXPORT_LIST: Final = re.compile(r"^export \{[^}]*\};\n", re.MULTILINE)
_EXPORT: Final = re.compile(r"^export (?=async |function |class |const )", re.MULTILINE)


@cache
def asset(name: str) -> str:
    """The text of a file in ``assets``."""
    return files("lookaside_sim.page").joinpath("assets", name).read_text("utf-8")


@cache
def script(*wanted: str) -> str:
    """Modules and what they need, as one text.

    Args:
        *wanted: names of modules; none for the one that opens the run.
    """
    parts: dict[str, str] = {}

    def add(name: str) -> None:
        if name in parts:
            return
        text = asset(name)
        parts[name] = ""  # its place is kept only once what it imports has come
        for needed in _IMPORT.findall(text):
            add(needed)
        del parts[name]
        text = _EXPORT_LIST.sub("", _IMPORT.sub("", text))
        parts[name] = _EXPORT.sub("", text)

    for each in wanted or (LAST_MODULE,):
        add(each)
    return "".join(parts.values())


@cache
def packed_script() -> str:
    """What opens the run, deflated."""
    return pack(script().encode())


def _hash(text: str) -> str:
    digest = b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
    return f"sha256-{digest}"


def page(payload: Mapping[str, Any], *, title: str, story: str, section: str = "") -> str:
    """Put a page together.

    Args:
        payload: what `encode` made of the run.
        title: of the page.
        story: one line below it.
        section: HTML behind the columns.
    """
    data = json.dumps(payload, separators=(",", ":")).replace("<", "\\u003c")
    style, loader = asset("style.css"), asset("loader.js")
    parts = {
        "title": html.escape(title),
        "story": html.escape(story),
        "style": style,
        "loader": loader,
        "code": packed_script(),
        "style-hash": _hash(style),
        "loader-hash": _hash(loader),
        "code-hash": _hash(script()),
        "section": section,
        "data": data,
    }
    return re.sub(r"\{([a-z-]+)\}", lambda found: parts[found[1]], asset("page.html"))
