"""Which model stands in for which, while a flock is tested."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from flockd.engines.llm.choice import canonical, chosen
from flockd.engines.outside import Outside
from flockd.flock import Flock
from flockd.testing.recorded import RecordedModel
from flockd.testing.scripted import Asked, ScriptedModel, Unscripted

if TYPE_CHECKING:
    from pydantic_ai.models import Model

    ModelForTests = ScriptedModel | RecordedModel | Model
else:
    ModelForTests = Any

_UNNAMED = "test:model"
"""What agents think with that name no model, nor their flock."""


def use_models(
    flock: Flock, outside: Outside, model: ModelForTests | None, models: Mapping[str, ModelForTests]
) -> None:
    """Let every agent that thinks with a language model ask one of these: by the name of its own, else `model`.

    Where there is neither, it fails instead of reaching for a network. Raises ValueError for a name in `models` that no
    agent thinks with, TypeError for what is no model.
    """
    for given in (model, *models.values()):
        if not (
            given is None or isinstance(given, (ScriptedModel, RecordedModel)) or hasattr(given, "request")
        ):
            raise TypeError(
                f"{given!r:.100} is no model: give it a ScriptedModel([…]), a RecordedModel(…), or one of pydantic-ai"
            )
    if outside.llm.model is None:
        outside.llm = outside.llm._replace(model=_UNNAMED)
    wanted = set()
    for engine in flock.llm_engines():
        choice = chosen(engine.thinking, engine.default_model, outside.llm)
        assert choice is not None, "one is set for all"
        wanted.add(choice.name)
    by_name = {canonical(name): given for name, given in models.items()}
    for name in by_name:
        if name not in {canonical(each) for each in wanted}:
            raise ValueError(
                f"no agent thinks with {name}: they think with {' and '.join(sorted(wanted)) or 'none'}"
            )
    made: dict[int, Model] = {}
    for name in sorted(wanted):
        given = by_name.get(canonical(name), model)
        if given is None:
            given = ScriptedModel(_refuse)
        if id(given) not in made:
            made[id(given)] = given.model() if isinstance(given, (ScriptedModel, RecordedModel)) else given
        outside.models.give(name, made[id(given)])


def _refuse(_asked: Asked) -> None:
    raise Unscripted(
        "the test gave it no model: say model=ScriptedModel([…]), or model=RecordedModel(…), in flock_test or test_run"
    )
