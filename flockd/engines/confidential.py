"""What is told to others in confidence and quoted by them: it is taken out of their words before those are kept."""

from __future__ import annotations

from collections.abc import Iterable

MARK = "***"
_LEAST_CHARACTERS = 6
"""What is shorter stays: it is no secret, and all kinds of words have it in them."""


def without(text: str, values: Iterable[str]) -> str:
    """A text with `***` in place of these values and of each word in them: of "Bearer abcdef" the second alone, too.

    To be asked before a text is cut: half of a secret is none that could be found.
    """
    values = tuple(values)
    words = (word for value in values for word in value.split())
    for secret in sorted({*values, *words}, key=len, reverse=True):
        if len(secret) >= _LEAST_CHARACTERS:
            text = text.replace(secret, MARK)
    return text
