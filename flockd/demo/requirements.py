"""The requirements that a workflow begins with, and the sentences and words in them."""

import re
import unicodedata
from collections.abc import Iterator
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from flockd.demo.source import clip

REQUIREMENTS_MAX_CHARACTERS = 200_000

# A sentence ends at its mark or its line; Chinese and Japanese write no space after the mark.
_SENTENCE_END = re.compile(r"(?<=[.!?;])\s+|(?<=[。！？])|[\r\n]+")
_BULLET = re.compile(r"\A\s*(?:[-*+•>#]+|\d{1,3}[.)])\s+")
_WORD = re.compile(r"[^\W_]+")


class Requirements(BaseModel):
    """What is to be built, one sentence for each thing that it shall do."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"requirements": "Create a calculator"}, {"requirements": "Sort a list of numbers."}]
        }
    )

    requirements: str = Field(min_length=1, max_length=REQUIREMENTS_MAX_CHARACTERS)
    language: Literal["python"] = Field(default="python", description="What the code is written in")
    module: str | None = Field(
        default=None, max_length=60, description="What to call the module; left out, the first sentence says"
    )


def sentences_of(text: str) -> Iterator[str]:
    """The sentences of a text without bullets and repetitions, each on one line and shortened to 300
    characters. What holds neither letter nor digit is none."""
    seen: set[str] = set()
    for piece in _SENTENCE_END.split(text):
        sentence = clip(" ".join(_printable(_BULLET.sub("", piece)).split()))
        if sentence.casefold() not in seen and _WORD.search(sentence):
            seen.add(sentence.casefold())
            yield sentence


def words_of(sentence: str) -> list[str]:
    """The words of a sentence, in lower case and compatibility form: letters and digits alone."""
    return _WORD.findall(unicodedata.normalize("NFKC", sentence).casefold())


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)
