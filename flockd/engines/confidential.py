"""What is told to others in confidence and quoted by them: it is taken out of their words before those are kept.

Each function is to be asked before a text is cut: half of a secret is none that could be found.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

MARK = "***"
_LEAST_CHARACTERS = 6
"""What is shorter stays: it is no secret, and all kinds of words have it in them."""
_NAMED_LEAST_CHARACTERS = 8
"""As above, of a value that is taken for a secret by the name of its variable alone."""
_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSWORD", re.IGNORECASE)
_LOGIN = re.compile(r"(?<=://)[^\s/]+@")
"""Who an address is for, and the password."""


def without(text: str, values: Iterable[str]) -> str:
    """A text with `***` in place of these values and of each word in them: of "Bearer abcdef" the second alone, too."""
    return _cut(text, _with_words(values))


def without_secrets(text: str, key_variable: str | None = None) -> str:
    """A text without what the environment keeps secret, as far as names tell, and without the logins of addresses.

    Those are the values of variables that are named like secrets, and that of `key_variable` with each word in it,
    whatever it is called.
    """
    named = (value for name, value in os.environ.items() if _SECRET_NAME.search(name))
    secrets = {value for value in named if len(value) >= _NAMED_LEAST_CHARACTERS}
    if key_variable is not None:
        secrets |= _with_words([os.environ.get(key_variable, "")])
    return _LOGIN.sub(f"{MARK}@", _cut(text, secrets))


def _with_words(values: Iterable[str]) -> set[str]:
    values = tuple(values)
    return {*values, *(word for value in values for word in value.split())}


def _cut(text: str, secrets: Iterable[str]) -> str:
    """The longest first: one may be a part of another."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _LEAST_CHARACTERS:
            text = text.replace(secret, MARK)
    return text
