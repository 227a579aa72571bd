"""The flock of the daemons of these tests; the provider that it asks is in their environment."""

import os

from pydantic import BaseModel

from flockd import Flock

from .verdicts import Verdict

PROVIDER = "FLOCKD_TEST_PROVIDER"
NOWHERE = "http://127.0.0.1:1/v1"
LOOKUPS = "FLOCKD_TEST_LOOKUPS"
"""A file that gets a line for each call of the tool."""


class Text(BaseModel):
    text: str


def lookup(word: str) -> int:
    """Looks a word up."""
    with open(os.environ[LOOKUPS], "a", encoding="utf-8") as lookups:
        lookups.write(f"{word}\n")
    return len(word)


flock = Flock("openai:tiny")
flock.llm_agent(
    "reader", consumes=Text, publishes=Verdict, base_url=os.environ.get(PROVIDER, NOWHERE), tools=[lookup]
)
