"""A language model whose answers were recorded from a real one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from flockd.testing.scripted import ScriptedModel

if TYPE_CHECKING:
    from pydantic_ai.models import Model


class RecordedModel:
    """Answers from a file what was asked before; asked something new, it fails and says so.

    With `record`, a model or its name, it asks that one what is new, and keeps the answer in the file. The file is JSON
    with a readable question beside each answer, without keys, and is kept with the tests. Delete it to record anew.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        record: str | ScriptedModel | Model | None = None,
        base_url: str | None = None,
        api_key_env: str | None = None,
    ) -> None:
        """`base_url` and `api_key_env` say where the model to record is, as for an agent."""
        self.path = Path(path)
        self.record = record
        self.base_url = base_url
        self.api_key_env = api_key_env

    def model(self) -> Model:
        """The same as pydantic-ai knows models. Raises ValueError where the file is none of this kind."""
        from flockd.testing.replaying import Replaying

        return Replaying(self)
