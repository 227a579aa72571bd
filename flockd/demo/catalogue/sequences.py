"""What is done with a list of values."""

from collections.abc import Iterable, Sequence
from typing import Any


def sort(values: Iterable[Any], descending: bool = False) -> list[Any]:
    """The values in order."""
    return sorted(values, reverse=descending)


def test_sort() -> None:
    assert sort([3, 1, 2]) == [1, 2, 3]
    assert sort(["b", "c", "a"], descending=True) == ["c", "b", "a"]


def reverse(values: Sequence[Any]) -> Sequence[Any]:
    """The values from the last to the first; a text stays a text."""
    return values[::-1]


def test_reverse() -> None:
    assert reverse([1, 2, 3]) == [3, 2, 1]
    assert reverse("abc") == "cba"


def count(values: Iterable[Any]) -> dict[Any, int]:
    """How often each value occurs, the most frequent first."""
    counts: dict[Any, int] = {}
    for value in values:
        counts[value] = counts.get(value, 0) + 1
    return dict(sorted(counts.items(), key=lambda pair: -pair[1]))


def test_count() -> None:
    assert count(["a", "b", "b"]) == {"b": 2, "a": 1}
    assert count([]) == {}


def search(values: Iterable[Any], wanted: Any) -> list[int]:
    """The positions, from 0, at which a value stands."""
    return [position for position, value in enumerate(values) if value == wanted]


def test_search() -> None:
    assert search(["a", "b", "a"], "a") == [0, 2]
    assert search([], "a") == []


def maximum(values: Iterable[Any]) -> Any:
    """The largest value. Raises ValueError where there is none."""
    return max(values)


def test_maximum() -> None:
    assert maximum([2, 9, 4]) == 9


def minimum(values: Iterable[Any]) -> Any:
    """The smallest value. Raises ValueError where there is none."""
    return min(values)


def test_minimum() -> None:
    assert minimum([2, 9, 4]) == 2


def average(values: Sequence[float]) -> float:
    """The mean. Raises ZeroDivisionError where there is no value."""
    return sum(values) / len(values)


def test_average() -> None:
    assert average([1, 2, 6]) == 3


def total(values: Iterable[float]) -> float:
    """The sum of all values."""
    return sum(values)


def test_total() -> None:
    assert total([1, 2, 6]) == 9
    assert total([]) == 0


def unique(values: Iterable[Any]) -> list[Any]:
    """The values without repetitions, in the order of their first occurrence."""
    return list(dict.fromkeys(values))


def test_unique() -> None:
    assert unique([3, 1, 3, 2, 1]) == [3, 1, 2]
