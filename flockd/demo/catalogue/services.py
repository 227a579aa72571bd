"""A small service over HTTP, and what is done with the formats and units that come in."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.util import setup_testing_defaults


def create_api() -> Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]:
    """A WSGI application that keeps items in memory: GET and POST /items, GET, PUT and DELETE /items/NUMBER.

    Serve it with wsgiref.simple_server.make_server("127.0.0.1", 8000, application).serve_forever().
    """
    items: dict[int, Any] = {}

    def collection(method: str, body: bytes) -> tuple[str, Any]:
        if method == "GET":
            return "200 OK", items
        if method != "POST":
            return "405 Method Not Allowed", {"error": "there are GET and POST"}
        number = max(items, default=0) + 1
        items[number] = json.loads(body)
        return "201 Created", {"id": number}

    def member(number: int, method: str, body: bytes) -> tuple[str, Any]:
        if number not in items:
            return "404 Not Found", {"error": "no such item"}
        if method not in ("GET", "PUT", "DELETE"):
            return "405 Method Not Allowed", {"error": "there are GET, PUT and DELETE"}
        if method == "PUT":
            items[number] = json.loads(body)
        return "200 OK", items.pop(number) if method == "DELETE" else items[number]

    def answer(method: str, path: str, body: bytes) -> tuple[str, Any]:
        found = re.fullmatch(r"/items(?:/(\d{1,9}))?", path)
        if found is None:
            return "404 Not Found", {"error": "no such path"}
        try:
            return member(int(found[1]), method, body) if found[1] else collection(method, body)
        except ValueError:
            return "400 Bad Request", {"error": "the body is not JSON"}

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        status, content = answer(environ["REQUEST_METHOD"], environ["PATH_INFO"], body)
        start_response(status, [("Content-Type", "application/json")])
        return [json.dumps(content).encode()]

    return application


def test_create_api() -> None:
    application = create_api()

    def call(method: str, path: str, body: bytes = b"") -> tuple[str, Any]:
        environ: dict[str, Any] = {"REQUEST_METHOD": method, "PATH_INFO": path}
        environ |= {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
        setup_testing_defaults(environ)
        told: list[str] = []
        content = b"".join(application(environ, lambda status, headers: told.append(status)))
        return told[0], json.loads(content)

    assert call("GET", "/items") == ("200 OK", {})
    assert call("POST", "/items", b'{"name": "tea"}') == ("201 Created", {"id": 1})
    assert call("GET", "/items/1") == ("200 OK", {"name": "tea"})
    assert call("PUT", "/items/1", b'{"name": "milk"}') == ("200 OK", {"name": "milk"})
    assert call("DELETE", "/items/1") == ("200 OK", {"name": "milk"})
    for method, path, body, status in (
        ("GET", "/items/1", b"", "404"),
        ("GET", "/", b"", "404"),
        ("GET", "/items/x", b"", "404"),
        ("POST", "/items", b"{", "400"),
        ("DELETE", "/items", b"", "405"),
        ("POST", "/items/2", b"{}", "404"),
    ):
        assert call(method, path, body)[0].startswith(status)


def convert(value: float, unit: str, target: str) -> float:
    """A value in another unit: of length (mm cm m km in ft yd mi), of mass (g kg oz lb) or of temperature
    (C F K). Raises ValueError for units that do not fit each other."""
    scales = (
        {
            "mm": 0.001,
            "cm": 0.01,
            "m": 1.0,
            "km": 1000.0,
            "in": 0.0254,
            "ft": 0.3048,
            "yd": 0.9144,
            "mi": 1609.344,
        },
        {"g": 0.001, "kg": 1.0, "oz": 0.028349523125, "lb": 0.45359237},
    )
    kelvins = {"K": (1.0, 0.0), "C": (1.0, 273.15), "F": (5 / 9, 459.67 * 5 / 9)}
    for factors in scales:
        if unit in factors and target in factors:
            return value * factors[unit] / factors[target]
    if unit in kelvins and target in kelvins:
        kelvin = value * kelvins[unit][0] + kelvins[unit][1]
        return (kelvin - kelvins[target][1]) / kelvins[target][0]
    raise ValueError(f"{unit} cannot be converted to {target}")


def test_convert() -> None:
    assert convert(1, "km", "m") == 1000
    assert round(convert(26.2, "mi", "km"), 2) == 42.16
    assert round(convert(5, "lb", "kg"), 3) == 2.268
    assert round(convert(100, "C", "F"), 6) == 212
    assert round(convert(32, "F", "K"), 6) == 273.15
    try:
        convert(1, "kg", "m")
    except ValueError:
        pass
    else:
        raise AssertionError("a mass is no length")


def read_csv(text: str) -> list[dict[str, str]]:
    """The rows of CSV text whose first line names the columns."""
    return [dict(row) for row in csv.DictReader(io.StringIO(text))]


def test_read_csv() -> None:
    assert read_csv('name,price\n"tea, green",2\n') == [{"name": "tea, green", "price": "2"}]
    assert read_csv("") == []


def to_json(value: Any) -> str:
    """A value as JSON text, with its keys in order. Raises TypeError for what JSON has no form for."""
    return json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True)


def test_to_json() -> None:
    assert json.loads(to_json({"b": [1, None], "a": "é"})) == {"a": "é", "b": [1, None]}
