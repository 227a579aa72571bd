"""A plan: the sentences of the requirements, each as a step that becomes one function."""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Self

from pydantic import BaseModel, Field, field_validator, model_validator

from flockd.demo.catalogue import FAMILIES, OPERATIONS, Family
from flockd.demo.names import FunctionName, ModuleName, function_name, module_name, telling
from flockd.demo.requirements import Requirements, sentences_of, words_of

STEPS_MAX = 40
"""Steps of one plan: some 1,500 lines of code, which the tests and the reviewers are through in seconds."""

# "a list", "the store": the thing, not the deed.
_BEFORE_NOUNS = frozenset(words_of("a an the this that its their one each every do todo shopping task"))
_NOUNS = frozenset(words_of("list lists store order orders count search sort complete"))
# "Create a calculator": what every requirement may begin with, and a deed only where it is about items.
_BUILDING = frozenset(words_of("create creates creating show shows"))


class Step(BaseModel):
    """One function that is to be written."""

    name: FunctionName
    sentence: str = Field(max_length=300, description="What the requirements say of it")
    operation: str | None = Field(
        default=None, description="What it does, of the operations that the coder knows; null if none of them"
    )

    @field_validator("operation")
    @classmethod
    def _known(cls, operation: str | None) -> str | None:
        if operation is not None and operation not in OPERATIONS:
            raise ValueError(f"the coder knows {', '.join(OPERATIONS)}")
        return operation


class Plan(BaseModel):
    """The steps of a module, in the order of the requirements."""

    title: str = Field(max_length=300)
    module: ModuleName
    steps: list[Step] = Field(min_length=1, max_length=STEPS_MAX)
    omitted_steps: int = Field(default=0, ge=0, description="Steps beyond the most that one plan may have")

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if len({step.name for step in self.steps}) < len(self.steps):
            raise ValueError("two steps have the same name")
        return self


def make_plan(requirements: Requirements, on_step: Callable[[Step], None] = lambda step: None) -> Plan:
    """Plan the requirements, in time linear in their length. No text raises.

    A sentence that names operations of the catalogue, or a product made of some, becomes a step for each;
    any other one step that nobody knows how to write. `on_step` hears of each.
    """
    sentences = list(sentences_of(requirements.requirements))
    title = sentences[0] if sentences else "Nothing in particular"
    steps: dict[str, Step] = {}
    omitted = 0
    for sentence, operations in _by_sentence(sentences or [title]):
        for operation in operations:
            if len(steps) == STEPS_MAX:
                omitted += 1
                continue
            words = [operation] if operation and len(operations) > 1 else telling(words_of(sentence))
            step = Step(name=function_name(words, steps), sentence=sentence, operation=operation)
            steps[step.name] = step
            on_step(step)
    return Plan(
        title=title,
        module=module_name(words_of(requirements.module or title)),
        steps=list(steps.values()),
        omitted_steps=omitted,
    )


def _by_sentence(sentences: list[str]) -> Iterator[tuple[str, tuple[str | None, ...]]]:
    """Each sentence with the operations that it asks for; one that only repeats what is there is left out."""
    # What a long text is about is said in its first sentences.
    about = [_families(words_of(sentence)) for sentence in sentences[:STEPS_MAX]]
    whole = [family for family in FAMILIES if any(family in families for families in about)]
    built: set[str] = set()
    """What belongs to a product, or was named together with others: under its own name, once."""
    for sentence in sentences:
        words = words_of(sentence)
        named = _operations(words, whole)
        operations = [operation for operation in named if operation not in built]
        if len(named) > 1:
            built.update(named)
        if not named:
            yield sentence, (None,)
        elif operations:
            yield sentence, tuple(operations)


def _operations(words: list[str], whole: list[Family]) -> list[str]:
    """The operations that a sentence names, in its order; else those that its product is made of.

    A word that several families know is of the one that the sentence speaks of, else the whole text.
    """
    here = _families(words)
    products = [family for family in here if not family.products.isdisjoint(words)]
    found: dict[str, None] = {}
    for before, word in pairwise(["", *words]):
        if (word in _NOUNS and before in _BEFORE_NOUNS) or (word in _BUILDING and products):
            continue
        families = here if word in _BUILDING else [*here, *whole, *FAMILIES]
        if operation := _operation(word, families):
            found[operation] = None
    for family in products:
        # "a calculator that adds and subtracts" has said which; "a calculator" has not.
        if not any(operation.name in found for operation in family.operations):
            found.update(dict.fromkeys(family.whole))
    return list(found)


def _operation(word: str, families: list[Family]) -> str | None:
    for family in families:
        for operation in family.operations:
            if word in operation.words:
                return operation.name
    return None


def _families(words: list[str]) -> list[Family]:
    """Those of which these words speak."""
    return [family for family in FAMILIES if not (family.context | family.products).isdisjoint(words)]
