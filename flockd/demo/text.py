"""The sentiment of an English text by the VADER lexicon, and its key phrases by RAKE.

RAKE: Rose, Engel, Cramer and Cowley, "Automatic Keyword Extraction from Individual Documents" (2010). Stop
words and punctuation cut the text into candidate phrases; a word scores its degree (how long the phrases are
that it stands in) over its frequency, a phrase the sum of its words.
"""

import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from stop_words import get_stop_words  # type: ignore[import-untyped]
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer  # type: ignore[import-untyped]

TEXT_MAX_CHARACTERS = 200_000
KEYWORDS_MAX = 10
PHRASE_MAX_WORDS = 3
WORD_MAX_CHARACTERS = 40

# The lexicon's authors score sentences: longer pieces saturate, and after a "but" VADER is quadratic.
_PIECE_MAX_CHARACTERS = 1_000
# The authors' thresholds on the compound score, which is within -1..1.
_SENTIMENT_THRESHOLD = 0.05

_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")
# A dot, hyphen or slash inside a word (node.js, e-mail, and/or) neither ends a phrase nor splits the word.
_PHRASE_END = re.compile(r"[^\w\s.'+#/-]+|\.(?!\w)|\n+|\s[-/]+\s")
_WORD = re.compile(r"\w(?:[\w.'/-]*\w)?[+#]*")


class TextAnalyzerInput(BaseModel):
    """An English text."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"text": "Flock makes building agents easy and fun!"}]}
    )

    text: str = Field(max_length=TEXT_MAX_CHARACTERS)


class TextAnalyzerOutput(BaseModel):
    """How a text sounds and what it is about, the most telling phrase first."""

    sentiment: Literal["positive", "neutral", "negative"]
    keywords: list[str]


def analyze_text(request: TextAnalyzerInput) -> TextAnalyzerOutput:
    """Analyse a text, in time linear in its length. An empty text is neutral and about nothing."""
    return TextAnalyzerOutput(sentiment=sentiment(request.text), keywords=keywords(request.text))


def sentiment(text: str) -> Literal["positive", "neutral", "negative"]:
    """The sign of the mean compound score of the sentences that are not neutral themselves."""
    scores = [_analyzer().polarity_scores(piece)["compound"] for piece in _pieces(text)]
    telling = [score for score in scores if abs(score) >= _SENTIMENT_THRESHOLD]
    mean = sum(telling) / len(telling) if telling else 0.0
    if mean >= _SENTIMENT_THRESHOLD:
        return "positive"
    return "negative" if mean <= -_SENTIMENT_THRESHOLD else "neutral"


def keywords(text: str) -> list[str]:
    """Up to `KEYWORDS_MAX` phrases in lower case, the best score first, equals in the order of the text."""
    candidates = _candidates(text.lower().replace("’", "'"))
    phrases = [phrase for phrase in candidates if len(phrase) <= PHRASE_MAX_WORDS]
    frequency = Counter(word for phrase in phrases for word in phrase)
    degree: Counter[str] = Counter()
    for phrase in phrases:
        for word in phrase:
            degree[word] += len(phrase)
    # A phrase that comes back says more about the text than its length does, so repetition weighs in.
    scores = {
        phrase: sum(degree[word] / frequency[word] for word in phrase) * count
        for phrase, count in Counter(phrases).items()
    }
    ranked = sorted(scores, key=lambda phrase: -scores[phrase])
    return [" ".join(phrase) for phrase in ranked[:KEYWORDS_MAX]]


def _pieces(text: str) -> Iterator[str]:
    """Sentences, the overlong ones cut."""
    for sentence in _SENTENCE_END.split(text):
        for start in range(0, len(sentence), _PIECE_MAX_CHARACTERS):
            yield sentence[start : start + _PIECE_MAX_CHARACTERS]


def _candidates(text: str) -> Iterator[tuple[str, ...]]:
    """Runs of words between stop words and punctuation. What is a number or too long ends a run too."""
    stop_words = _stop_words()
    for stretch in _PHRASE_END.split(text):
        phrase: list[str] = []
        for word in _WORD.findall(stretch):
            if word in stop_words or len(word) > WORD_MAX_CHARACTERS or not any(map(str.isalpha, word)):
                if phrase:
                    yield tuple(phrase)
                phrase = []
            else:
                phrase.append(word)
        if phrase:
            yield tuple(phrase)


@cache
def _analyzer() -> SentimentIntensityAnalyzer:
    """Made on first use: it reads a lexicon of 7,500 words, which not every daemon needs."""
    return SentimentIntensityAnalyzer()


@cache
def _stop_words() -> frozenset[str]:
    return frozenset(get_stop_words("en"))
