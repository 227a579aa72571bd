"""A flow that writes a poem: a plain class with a state and `kickoff`, which knows nothing of who runs it.

Its words come from a grammar in Tracery's notation (Compton, Kybartas and Mateas, 2015): `#symbol#` stands for one
of the symbol's rules, `#symbol.a#` for it with its article.
"""

from pydantic import BaseModel, ConfigDict, Field
from tracery import Grammar
from tracery.modifiers import base_english

SENTENCES_MAX = 100
"""Some three pages."""

_RULES = {
    "sentence": [
        "#place.capitalize#, #thing# #does# #manner#.",
        "#thing.capitalize# #does# #place#.",
        "#thing.capitalize# and #thing# #do# #place#, and #nobody# #notices#.",
        "#time.capitalize#, #mood# as #image#, #thing# #does#.",
        "I have seen #thing# that #does# #place#.",
        "Do not ask why #thing# #does# #time#.",
        "#time.capitalize# #nobody# remembers #thing#.",
        "There is #quality.a# #noun# #place#, and it #does# #manner#.",
    ],
    "thing": ["the #noun#", "the #quality# #noun#", "#quality.a# #noun#", "my #quality# #noun#"],
    "noun": [
        "river", "lantern", "heron", "orchard", "engine", "window", "letter", "island", "winter", "compass",
        "kettle", "ladder", "harbour", "moth", "staircase", "umbrella", "clock", "apple tree", "ferry", "owl",
    ],
    "quality": [
        "quiet", "patient", "silver", "unfinished", "early", "crooked", "amber", "hollow", "forgotten", "slow",
        "bright", "salt-white", "borrowed", "unopened",
    ],
    "does": [
        "sings", "waits", "drifts", "turns to light", "counts the hours", "keeps its promise", "learns to swim",
        "grows older", "hums", "forgives the rain", "leans into the wind", "goes out",
    ],
    "do": ["sing", "wait", "drift apart", "trade their names", "count the hours", "hum", "sleep", "grow older"],
    "manner": ["without a word", "as if for the last time", "like a held breath", "all night", "for nobody", "again"],
    "place": [
        "under the bridge", "behind the stars", "in the empty station", "at the edge of the map",
        "between two mirrors", "on the far shore", "above the snow", "in another room", "beside the sea",
    ],
    "time": ["at dusk", "before the rain", "in October", "every evening", "at the end of summer", "at four o'clock"],
    "mood": ["soft", "cold", "calm", "restless", "lonely", "golden"],
    "image": ["bread", "an unlit room", "old glass", "the first snow", "paper", "a bell under water"],
    "nobody": ["nobody", "no one", "hardly anyone"],
    "notices": ["notices", "minds", "asks", "answers"],
}  # fmt: skip


class PoemRequest(BaseModel):
    """How long the poem is to be."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"sentence_count": 3}]})

    sentence_count: int = Field(default=3, ge=1, le=SENTENCES_MAX)


class PoemResult(BaseModel):
    """A poem, one sentence a line."""

    sentence_count: int
    poem: str


class PoemState(BaseModel):
    """What the flow works on."""

    sentence_count: int = Field(default=1, ge=1, le=SENTENCES_MAX)
    poem: str = ""


class PoemFlow:
    """Writes `state.poem` of `state.sentence_count` sentences."""

    def __init__(self) -> None:
        self.state = PoemState()

    def kickoff(self) -> None:
        """Write the poem."""
        self.state.poem = "\n".join(_sentences(self.state.sentence_count))


def _sentences(count: int) -> list[str]:
    """As many different sentences."""
    grammar = Grammar(_RULES, modifiers=dict(base_english))
    found: dict[str, None] = {}
    while len(found) < count:
        grammar.clear_state()  # it keeps all that it ever expanded
        found[grammar.flatten("#sentence#")] = None
    return list(found)
