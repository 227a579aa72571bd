"""The smallest agents of the demo: a query goes in, its text comes out in good order."""

import unicodedata

from pydantic import BaseModel, ConfigDict, Field

QUERY_MAX_CHARACTERS = 20_000

_EXAMPLE = ConfigDict(json_schema_extra={"examples": [{"query": "Hello, world!"}]})


class MyAgentInput(BaseModel):
    """A query."""

    model_config = _EXAMPLE

    query: str = Field(max_length=QUERY_MAX_CHARACTERS, description="The query to process")


class MyAgentOutput(BaseModel):
    """What became of a query."""

    result: str = Field(description="The processed result")


class StartAgentInput(BaseModel):
    """A query that a workflow begins with."""

    model_config = _EXAMPLE

    query: str = Field(max_length=QUERY_MAX_CHARACTERS, description="The query to process")


class StartAgentOutput(BaseModel):
    """The query in good order, for the next agent."""

    result: str = Field(description="The query in good order")


class FinishAgentOutput(BaseModel):
    """The end of the workflow."""

    result: str = Field(description="The processed result")


def tidy(query: str) -> str:
    """A query on one line: composed characters (NFC), single spaces, nothing that cannot be shown."""
    composed = unicodedata.normalize("NFC", query)
    shown = (character if character.isprintable() else " " for character in composed)
    return " ".join("".join(shown).split())


def processed(text: str) -> str:
    """The answer to a query that is in good order."""
    return f"Processed: {text}".rstrip()
