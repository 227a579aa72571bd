"""`FlockAgent` and `FlockFactory`: an agent as documents 000 and 001 write one, by fields instead of models."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from flockd.domain.artifact_type import ArtifactType
from flockd.domain.fields import model_of
from flockd.flock.declaration import DeclarationError
from flockd.flock.declared_types import made


@dataclass(frozen=True)
class FlockAgent:
    """An agent that thinks with a language model; `flock.add_agent` declares it."""

    name: str
    input: str
    """Its fields as `name: type | description, …`, which make the type `<AgentName>Input`."""
    output: str
    """The same for `<AgentName>Output`."""
    hand_off: str | FlockAgent | Iterable[str | FlockAgent] | None = None
    """The agents that get its output as their input."""
    description: str = ""
    model: str | None = None
    """The language model that it thinks with. Default: that of the flock."""

    @property
    def hand_offs(self) -> tuple[str, ...]:
        """The names in `hand_off`."""
        given = self.hand_off
        if given is None:
            return ()
        listed = (given,) if isinstance(given, (str, FlockAgent)) else given
        return tuple(one.name if isinstance(one, FlockAgent) else one for one in listed)


class FlockFactory:
    """Makes agents, as document 001 does."""

    @staticmethod
    def create_default_agent(
        name: str,
        input: str,
        output: str,
        hand_off: str | FlockAgent | Iterable[str | FlockAgent] | None = None,
        description: str = "",
        model: str | None = None,
    ) -> FlockAgent:
        """The same as FlockAgent(…)."""
        return FlockAgent(name, input, output, hand_off, description, model)


def fields_type(owner: str, agent: str, option: str, fields: str) -> ArtifactType:
    """The type that the fields of an agent's `input` or `output` (`option`) make. Raises DeclarationError."""
    name = _camel_case(agent) + option.capitalize()
    try:
        return made(name, model_of(name, fields))
    except ValueError as error:
        raise DeclarationError(f"{owner}: {option}: {error}") from None


def _camel_case(name: str) -> str:
    """`text_analyzer` and `text-analyzer` as `TextAnalyzer`."""
    return "".join(part[0].upper() + part[1:] for part in re.split(r"[-_]+", name) if part)
