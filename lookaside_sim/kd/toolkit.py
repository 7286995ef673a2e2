"""The face for a terminal with ``prompt_toolkit``: a menu of completions, a bar below.

Only this file imports it, and only who asks for this face imports this file.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

try:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.completion import CompleteEvent, Completer, Completion
    from prompt_toolkit.document import Document
except ImportError as error:
    raise ImportError(
        "this face of kd needs prompt_toolkit: pip install 'lookaside_sim[kd]', or use --plain",
        name="prompt_toolkit",
    ) from error

from lookaside_sim.kd.completion import completions
from lookaside_sim.kd.session import Session
from lookaside_sim.kd.table import find

__all__ = ["Prompt", "Words"]


class Words(Completer):
    """Completes commands and names.

    Args:
        session: whose names are known.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def get_completions(self, document: Document, event: CompleteEvent) -> Iterator[Completion]:
        """The words that could stand at the cursor; a command says what it does."""
        begun, words = completions(self._session, document.text_before_cursor)
        for word in words:
            command = find(word)
            meta = "" if command is None else command.syntax
            yield Completion(word, start_position=-len(begun), display_meta=meta)


class Prompt:
    """Asks for lines.

    Args:
        session: the engine.
        options: for ``PromptSession``, such as another input and output.
    """

    def __init__(self, session: Session, **options: Any) -> None:
        self._session = session
        self._asker: PromptSession[str] = PromptSession(
            completer=Words(session),
            complete_while_typing=False,
            bottom_toolbar=self.toolbar,
            **options,
        )

    def ask(self) -> str:
        """Show the prompt and read a line."""
        return self._asker.prompt(self._session.prompt)

    def toolbar(self) -> str:
        """What the bar says: the position, what led to it, and whether a copy is shown."""
        return f" {self._session.status()} "
