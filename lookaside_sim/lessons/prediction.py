"""A prediction: a question about the next call, with its answer read off the run."""

from __future__ import annotations

from typing import Final

import attrs

LETTERS: Final = "abcdefgh"


@attrs.frozen
class Prediction:
    """One question.

    Attributes:
        scene: which machine of the program, from 0.
        position: the question stands before the call that follows this position.
        kind: what is asked for.
        text: the question.
        choices: what can be chosen; empty where a number is asked for.
        answer: the right choice, or the number in decimal digits.
        why: the reason, with the values of this run.
    """

    scene: int
    position: int
    kind: str
    text: str
    choices: tuple[str, ...]
    answer: str
    why: str

    @property
    def letter(self) -> str:
        """The letter of the right choice; the number where there are none."""
        return LETTERS[self.choices.index(self.answer)] if self.choices else self.answer

    def is_right(self, given: str) -> bool:
        """Whether an answer is right: a letter, the words of a choice, or a number.

        Args:
            given: as somebody typed it.
        """
        if self.choices:
            return self._chosen(given) == self.letter
        try:
            return int(_typed(given).removesuffix(" bytes"), 0) == int(self.answer)
        except ValueError:
            return False

    def is_answer(self, given: str) -> bool:
        """Whether a text is an answer at all, right or wrong."""
        if self.choices:
            return bool(self._chosen(given))
        try:
            int(_typed(given).removesuffix(" bytes"), 0)
        except ValueError:
            return False
        return True

    def _chosen(self, given: str) -> str:
        """The letter of the choice that an answer means; "" for none.

        A letter, as it is or with a bracket, a choice in words, or both.
        """
        typed = _typed(given)
        for letter, choice in zip(LETTERS, self.choices, strict=False):
            words = _typed(choice)
            if typed in (letter, words, f"{letter}) {words}"):
                return letter
        return ""

    def options(self) -> list[str]:
        """The choices with their letters."""
        pairs = zip(LETTERS, self.choices, strict=False)
        return [f"{letter}) {choice}" for letter, choice in pairs]

    @property
    def wants(self) -> str:
        """What an answer is, for a prompt."""
        if self.choices:
            return f"a to {LETTERS[len(self.choices) - 1]}"
        return "a number"


def _typed(given: str) -> str:
    """An answer without what does not count: case, and brackets and stops at its ends."""
    return given.strip().lower().strip("().").strip().replace(",", "")
