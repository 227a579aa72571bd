"""What is done with a store of items: a dict of dicts by number, which the caller keeps."""

from typing import Any


def create_item(items: dict[int, dict[str, Any]], fields: dict[str, Any]) -> int:
    """Store a new item and return its number."""
    number = max(items, default=0) + 1
    items[number] = dict(fields)
    return number


def test_create_item() -> None:
    items: dict[int, dict[str, Any]] = {}
    assert create_item(items, {"name": "tea"}) == 1
    assert create_item(items, {"name": "milk"}) == 2
    assert items == {1: {"name": "tea"}, 2: {"name": "milk"}}


def read_item(items: dict[int, dict[str, Any]], number: int) -> dict[str, Any]:
    """One item, as a copy. Raises KeyError where there is none of this number."""
    return dict(items[number])


def test_read_item() -> None:
    items = {1: {"name": "tea"}}
    read_item(items, 1)["name"] = "coffee"
    assert read_item(items, 1) == {"name": "tea"}


def update_item(items: dict[int, dict[str, Any]], number: int, fields: dict[str, Any]) -> dict[str, Any]:
    """Change some fields of an item and return it. Raises KeyError where there is none of this number."""
    items[number] = {**items[number], **fields}
    return dict(items[number])


def test_update_item() -> None:
    items: dict[int, dict[str, Any]] = {1: {"name": "tea", "price": 2}}
    assert update_item(items, 1, {"price": 3}) == {"name": "tea", "price": 3}
    assert items[1]["price"] == 3


def delete_item(items: dict[int, dict[str, Any]], number: int) -> bool:
    """Remove an item; whether it was there."""
    return items.pop(number, None) is not None


def test_delete_item() -> None:
    items: dict[int, dict[str, Any]] = {1: {"name": "tea"}}
    assert delete_item(items, 1)
    assert not delete_item(items, 1)
    assert items == {}


def list_items(items: dict[int, dict[str, Any]]) -> list[dict[str, Any]]:
    """All items by number, each with its number as `id`."""
    return [{"id": number, **items[number]} for number in sorted(items)]


def test_list_items() -> None:
    items = {2: {"name": "milk"}, 1: {"name": "tea"}}
    assert list_items(items) == [{"id": 1, "name": "tea"}, {"id": 2, "name": "milk"}]


def search_items(items: dict[int, dict[str, Any]], wanted: str) -> list[int]:
    """The numbers of the items with a field that contains a text; case makes no difference."""
    needle = wanted.casefold()
    return [
        number
        for number in sorted(items)
        if any(needle in str(value).casefold() for value in items[number].values())
    ]


def test_search_items() -> None:
    items = {1: {"name": "Green tea"}, 2: {"name": "milk"}}
    assert search_items(items, "TEA") == [1]
    assert search_items(items, "coffee") == []
