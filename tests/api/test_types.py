"""GET /api/v1/types."""

from __future__ import annotations

import jsonschema
import pytest

from .conftest import Api

PATH = "/api/v1/types"


async def test_every_type_with_its_schema(api: Api) -> None:
    answer = (await api.get(PATH)).ok()
    assert list(answer) == ["types", "total", "limit", "offset"]
    names = [one["name"] for one in answer["types"]]
    assert names == sorted(names)
    assert (answer["total"], len(names)) == (len(names), answer["total"])
    (order,) = [one for one in answer["types"] if one["name"] == "Order"]
    assert list(order) == ["name", "description", "version", "schema"]
    assert (order["description"], order["version"]) == ("What most tests publish.", 1)
    jsonschema.validate({"n": 1}, order["schema"])
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"n": "x"}, order["schema"])


async def test_pages(api: Api) -> None:
    every = (await api.get(PATH)).ok()["types"]
    page = (await api.get(f"{PATH}?limit=2&offset=1")).ok()
    assert page["types"] == every[1:3]
    assert (page["limit"], page["offset"], page["total"]) == (2, 1, len(every))
