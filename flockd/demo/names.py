"""Names of generated functions and modules: identifiers, made of words of the requirements."""

import builtins
import keyword
import re
import sys
import unicodedata
from collections.abc import Collection, Iterable
from typing import Annotated

from pydantic import AfterValidator

from flockd.demo.requirements import words_of

NAME_WORDS_MAX = 4
NAME_MAX_CHARACTERS = 40

# Words that carry no meaning in a name of three or four words.
_EMPTY = frozenset(
    words_of(
        "a an and are as at be been by can each every for from has have if in into is it its let of on one or our"
        " shall should so some such that the their them then there they this to us was we were when which who"
        " will with you your must may could would please whether"
    )
)
# What is said of building, and not of what is built.
_BUILDING = frozenset(
    words_of(
        "create creates build builds make makes write implement develop design provide provides program"
        " application app system user users want wants need needs allow allows support supports function module"
        " python script tool simple small"
    )
)
_KINDS = frozenset(words_of("function method program script"))
_TAKEN = frozenset(
    {*keyword.kwlist, *keyword.softkwlist, *dir(builtins), *sys.stdlib_module_names, "subject"}
)


def telling(words: list[str]) -> list[str]:
    """The first words that carry a meaning; where none does, the first words."""
    for kind in _KINDS.intersection(words[:4]):  # "Write a function that …": what it does is said behind
        words = words[words.index(kind) + 1 :] or words
    return ([word for word in words if word not in _EMPTY] or words)[:NAME_WORDS_MAX]


def function_name(words: Iterable[str], taken: Collection[str] = ()) -> str:
    """An identifier of these words, different from those in `taken` and from every name that the generated
    module may use itself (keywords, builtins, modules)."""
    name = _identifier(words, "step")
    if name in _TAKEN:
        name = f"do_{name}"
    unique, number = name, 1
    while unique in taken:
        number += 1
        unique = f"{name}_{number}"
    return unique


def module_name(words: Iterable[str]) -> str:
    """A module's name, in ASCII since it is also a file's."""
    words = [word for word in words if word.isascii()]
    content = [word for word in words if word not in _EMPTY | _BUILDING]
    name = _identifier(content[:3], "generated")
    return f"{name}_module" if name in _TAKEN else name


def _identifier(words: Iterable[str], default: str) -> str:
    """The words with `_` between them, cut where they grow too long."""
    name = ""
    for word in words:
        longer = f"{name}_{word}" if name else word[:NAME_MAX_CHARACTERS]
        if len(longer) > NAME_MAX_CHARACTERS:
            break
        name = longer
    if name and not name.isidentifier():
        name = f"{default}_{name}"
    # Python reads identifiers in compatibility form, and so must whoever compares them.
    name = unicodedata.normalize("NFKC", name)
    return name if name.isidentifier() else default


def _check_function(name: str) -> str:
    if len(name) > NAME_MAX_CHARACTERS + 10 or not name.isidentifier() or name[0] == "_" or name in _TAKEN:
        raise ValueError("it is not a name that a generated function may have")
    if unicodedata.normalize("NFKC", name) != name:
        raise ValueError("it is not in the form in which Python reads identifiers (NFKC)")
    return name


def _check_module(name: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,49}", name) or name in _TAKEN:
        raise ValueError("it is not a name that a generated module may have")
    return name


FunctionName = Annotated[str, AfterValidator(_check_function)]
ModuleName = Annotated[str, AfterValidator(_check_module)]
