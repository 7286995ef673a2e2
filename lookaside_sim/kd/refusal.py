"""What the shell says instead of an answer."""

from __future__ import annotations


class Refusal(Exception):  # noqa: N818 - no error of the program: an answer in words
    """A command cannot be done; its text is what the shell prints."""


def unresolved(text: str) -> Refusal:
    """A name means nothing here, in the debugger's words."""
    return Refusal(f"Couldn't resolve error at '{text.strip()}'")


def syntax(text: str) -> Refusal:
    """A text is no expression, in the debugger's words."""
    rest = text.strip() or "<EOL>"
    return Refusal(f"Syntax error at '{rest}'")


def missing(text: str = "") -> Refusal:
    """An expression was expected, in the debugger's words."""
    return Refusal(f"Numeric expression missing from '{text.strip() or '<EOL>'}'")
