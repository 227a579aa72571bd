"""What is done with a text."""

import re


def reverse_text(text: str) -> str:
    """The text from its last character to its first."""
    return text[::-1]


def test_reverse_text() -> None:
    assert reverse_text("abc") == "cba"


def count_words(text: str) -> dict[str, int]:
    """How often each word occurs, in lower case, the most frequent first."""
    counts: dict[str, int] = {}
    for word in re.findall(r"\w+(?:'\w+)?", text.lower()):
        counts[word] = counts.get(word, 0) + 1
    return dict(sorted(counts.items(), key=lambda pair: -pair[1]))


def test_count_words() -> None:
    assert count_words("It is what it is.") == {"it": 2, "is": 2, "what": 1}
    assert count_words("") == {}


def search_text(text: str, wanted: str) -> list[int]:
    """The positions, from 0, at which `wanted` begins; case makes no difference. Raises ValueError if it is
    empty."""
    if not wanted:
        raise ValueError("there is nothing to search for")
    return [match.start() for match in re.finditer(re.escape(wanted), text, re.IGNORECASE)]


def test_search_text() -> None:
    assert search_text("Ship ahoy, ship!", "ship") == [0, 11]
    assert search_text("a.b", ".") == [1]


def is_palindrome(text: str) -> bool:
    """Whether the letters and digits read the same backwards; case makes no difference."""
    letters = [character for character in text.casefold() if character.isalnum()]
    return letters == letters[::-1]


def test_is_palindrome() -> None:
    assert is_palindrome("A man, a plan, a canal: Panama")
    assert not is_palindrome("palindrome")


def upper_case(text: str) -> str:
    """The text in capital letters."""
    return text.upper()


def test_upper_case() -> None:
    assert upper_case("shout") == "SHOUT"


def lower_case(text: str) -> str:
    """The text in small letters."""
    return text.lower()


def test_lower_case() -> None:
    assert lower_case("Hush") == "hush"


def is_email(text: str) -> bool:
    """Whether a text has the form of an e-mail address; not whether anybody reads it there."""
    return re.fullmatch(r"[^@\s]+@[^@\s.]+(?:\.[^@\s.]+)+", text) is not None


def test_is_email() -> None:
    assert is_email("ada@example.org")
    for wrong in ("ada", "ada@", "@example.org", "ada@example", "a da@example.org", "ada@example..org"):
        assert not is_email(wrong)


def greet(name: str = "world") -> str:
    """A greeting."""
    return f"Hello, {name}!"


def test_greet() -> None:
    assert greet() == "Hello, world!"
    assert greet("Ada") == "Hello, Ada!"
