"""The artifact types of one flock while it is being declared: which class has which name."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping
from typing import Any, cast, is_typeddict

from jsonschema.exceptions import SchemaError
from pydantic import BaseModel
from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError

from flockd.domain import fields
from flockd.domain.agent_error import AGENT_ERROR
from flockd.domain.artifact_type import ArtifactType, Types
from flockd.errors import nearest
from flockd.flock.declaration import DeclarationError

TypeChoice = type[Any] | ArtifactType | str
"""An artifact type as an author names it: its class, what `flock.type` returned, or its name."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,127}")


class DeclaredTypes:
    """Grows as classes are decorated or named by agents. Whatever is wrong raises DeclarationError."""

    def __init__(self) -> None:
        self._by_name: dict[str, ArtifactType] = {}
        self._name_by_class: dict[Any, str] = {}

    def __len__(self) -> int:
        return len(self._by_name)

    def types(self) -> Types:
        """The types so far."""
        return Types(self._by_name.values())

    def add(self, artifact_type: ArtifactType) -> ArtifactType:
        """Take a type that is already made, and return the one in use: the same declaration again is fine."""
        name, model = artifact_type.name, artifact_type.model
        if not _NAME.fullmatch(name):
            raise DeclarationError(
                f"artifact type {name!r}: a name begins with a letter and has up to 128 letters, digits, "
                "_, . and -: "
                'give it another with @flock.type("Name")'
            )
        if name == AGENT_ERROR.name and _declaration(artifact_type) != _declaration(AGENT_ERROR):
            raise DeclarationError(
                f"artifact type {name}: this name is flockd's own, for runs that failed for good: import it from "
                'flockd, or give yours another with @flock.type("OtherName")'
            )
        known = self._by_name.get(self._name_by_class.get(model, name))
        if known is None:
            self._by_name[name] = artifact_type
            if model is not None:
                self._name_by_class[model] = name
            return artifact_type
        if _declaration(known) == _declaration(artifact_type):
            return known
        if model is not None and known.model is model:
            raise DeclarationError(
                f"artifact type {name}: {_origin(artifact_type)} is already declared as {known.name} version "
                f"{known.version}: put @flock.type on the class, above the agents that name it"
            )
        raise DeclarationError(
            f"artifact type {name}: {_origin(known)} and {_origin(artifact_type)} both have this name: "
            'give one of them another with @flock.type("OtherName")'
        )

    def add_class(
        self, cls: Any, name: str | None = None, version: int = 1, description: str | None = None
    ) -> str:
        """Make a type of a class and return its name."""
        name = cls.__name__ if name is None else name
        if not inspect.isclass(cls) or is_typeddict(cls):
            raise DeclarationError(
                f"artifact type {name}: values of {cls!r} cannot be told from others: make it a pydantic "
                "model, or "
                "give its JSON Schema"
            )
        return self.add(made(name, cls, version=version, description=description)).name

    def is_type(self, annotation: Any) -> bool:
        """Whether an annotation is an artifact type: a pydantic model, or another class that was declared."""
        return inspect.isclass(annotation) and (
            annotation in self._name_by_class
            or (issubclass(annotation, BaseModel) and annotation is not BaseModel)
        )

    def names(self, owner: str, option: str, choices: TypeChoice | Iterable[TypeChoice]) -> tuple[str, ...]:
        """The names of the types that a declaration names; models that are new become types by that.

        `owner` is who names them, in words: "agent bug_detector".
        """
        single = isinstance(choices, (str, ArtifactType)) or not isinstance(choices, Iterable)
        listed = cast(Iterable[TypeChoice], (choices,) if single else choices)
        return tuple(self._name(owner, option, choice) for choice in listed)

    def named(self, owner: str, name: str) -> ArtifactType:
        """The type of this name, which `owner` names. AgentError is one as soon as it is named."""
        found = self._by_name.get(name)
        if found is None and name == AGENT_ERROR.name:
            return self.add(AGENT_ERROR)
        if found is None:
            near = nearest(name, self._by_name)
            hint = f"did you mean {near}?" if near else "declare it first with @flock.type"
            raise DeclarationError(f"{owner}: there is no artifact type {name}: {hint}")
        return found

    def _name(self, owner: str, option: str, choice: TypeChoice) -> str:
        if isinstance(choice, str):
            return self.named(owner, choice).name
        if not isinstance(choice, ArtifactType) and not self.is_type(choice):
            raise DeclarationError(
                f"{owner}: {option}= has {choice!r}, which is no artifact type: name a pydantic model, "
                "a class under @flock.type, or what flock.type returned"
            )
        try:
            if isinstance(choice, ArtifactType):
                return self.add(choice).name
            return self._name_by_class.get(choice) or self.add_class(choice)
        except DeclarationError as error:
            raise DeclarationError(f"{owner}: {error}") from error.__cause__


def made(
    name: str,
    model: Any = None,
    *,
    schema: Mapping[str, Any] | None = None,
    version: int = 1,
    description: str | None = None,
) -> ArtifactType:
    """A type from a class or from a JSON Schema. Raises DeclarationError where that is not possible."""
    if version < 1:
        raise DeclarationError(
            f"artifact type {name}: version is {version!r}: give it a whole number, 1 or more"
        )
    try:
        return ArtifactType(name, model, schema=schema, description=description, version=version)
    except SchemaError as error:
        raise DeclarationError(f"artifact type {name}: this is no JSON Schema: {error.message}") from error
    except (PydanticUserError, PydanticUndefinedAnnotation) as error:
        raise DeclarationError(
            f"artifact type {name}: it has no JSON Schema: {error.message.splitlines()[0].rstrip('.')}: "
            "give its fields types that JSON has, and define the classes that it names above it"
        ) from error


def _declaration(artifact_type: ArtifactType) -> tuple[Any, ...]:
    """What two declarations of one type have in common."""
    return artifact_type.name, artifact_type.version, artifact_type.model, artifact_type.schema


def _origin(artifact_type: ArtifactType) -> str:
    model = artifact_type.model
    if not inspect.isclass(model):
        return "a JSON Schema"
    if model.__module__ == fields.__name__:
        return "a list of fields"
    return f"{model.__module__}.{model.__qualname__}"
