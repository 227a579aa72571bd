"""What a model is told: the instructions of its agent, and the agent's inputs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from flockd.domain.artifact import Artifact


def instructions_of(agent: str, instructions: str, outputs: Iterable[str]) -> str:
    """What the author says; where that is nothing, the names say what is wanted."""
    return instructions.strip() or f"You are {agent}. From what you are given, make {' or '.join(outputs)}."


def prompt_of(inputs: Sequence[Artifact], seen: str, *, as_list: bool = False) -> str:
    """Each type's name and its value as JSON, in the order in which the inputs came; several of a type are a list, and
    so is a single one with `as_list`: what comes in batches looks the same, however many there are.

    `seen` is what the agent sees of the board beside them; it stands first, so that the inputs are what is asked about.
    """
    by_type: dict[str, list[str]] = {}
    for artifact in inputs:
        by_type.setdefault(artifact.type, []).append(artifact.payload.decode())
    parts = [f"{name}:\n{_values(values, as_list)}" for name, values in by_type.items()]
    return "\n\n".join([seen, *parts] if seen else parts)


def _values(values: Sequence[str], as_list: bool) -> str:
    return values[0] if len(values) == 1 and not as_list else "[\n" + ",\n".join(values) + "\n]"
