"""Scripts and style sheets without the blanks that only people read.

Strings, templates and regular expressions are left as they are. Line ends stay, so that an
error's line says something.
"""

from __future__ import annotations

import re
from typing import Final

_STRING: Final = re.compile(r"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'")
_REGEX: Final = re.compile(r"/(?:\\.|\[(?:\\.|[^\]\\])*\]|[^/\\\[\n])+/[a-z]*")
_COMMENT: Final = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_BLANKS: Final = re.compile(r"\s+")
_WORD: Final = re.compile(r"[\w$#@]+")
_BEFORE_REGEX: Final = frozenset("(,=:[!&|?{};>\n")
_STYLE_COMMENT: Final = re.compile(r"/\*.*?\*/", re.DOTALL)
_STYLE_BLANKS: Final = re.compile(r"\s*([{};,])\s*|(?<=:)\s+|(?<=[\w)%])\s+(?=!)")


def squeeze_script(text: str) -> str:
    """Drop comments and needless blanks of a script."""
    parts: list[str] = []
    at, last = 0, "\n"
    while at < len(text):
        found = _piece(text, at, last)
        if found is None:
            behind = _BLANKS.match(text, at)
            if behind is None:
                found = text[at]
            else:
                at = behind.end()
                joined = _between(last, text[at : at + 1], "\n" if "\n" in behind[0] else " ")
                if joined:
                    parts.append(joined)
                continue
        elif found.startswith(("//", "/*")):
            at += len(found)
            continue
        parts.append(found)
        at += len(found)
        last = found[-1]
    return "".join(parts)


def _piece(text: str, at: int, last: str) -> str | None:
    """What begins here and stays whole: a word, a string, a template, a regular expression."""
    first = text[at]
    if first in "\"'":
        match = _STRING.match(text, at)
    elif first == "`":
        return _template(text, at)
    elif text.startswith(("//", "/*"), at):
        match = _COMMENT.match(text, at)
    elif first == "/" and last in _BEFORE_REGEX:
        match = _REGEX.match(text, at)
    else:
        match = _WORD.match(text, at)
    return None if match is None else match[0]


def _template(text: str, at: int) -> str:
    end, depth = at + 1, 0
    while text[end] != "`" or depth:
        if text[end] == "\\":
            end += 1
        elif text.startswith("${", end):
            depth += 1
            end += 1
        elif text[end] == "}" and depth:
            depth -= 1
        elif text[end] == "`":
            end += len(_template(text, end)) - 1
        end += 1
    return text[at : end + 1]


def _between(last: str, following: str, blank: str) -> str:
    """What has to stand between two pieces that blanks parted."""
    if _WORD.match(last) and _WORD.match(following):
        return blank
    if last == following and last in "+-":
        return " "
    # Behind a closing brace or bracket a line's end may end a statement.
    return "\n" if blank == "\n" and (last in "})]\"'`" or _WORD.match(last)) else ""


def squeeze_style(text: str) -> str:
    """Drop comments and needless blanks of a style sheet."""
    plain = _BLANKS.sub(" ", _STYLE_COMMENT.sub("", text)).strip()
    return _STYLE_BLANKS.sub(lambda found: found[1] or "", plain).replace(";}", "}\n")
