"""A payload from the command line: `--data` for the whole of it, `--set` for single fields.

`--set KEY=VALUE` follows one rule. A field that the type's schema says is text takes VALUE as it stands; any
other takes it as JSON if it is JSON (`3`, `true`, `["a"]`), else as text. `KEY=@FILE` takes the text of the
file; `@@` at the start is one `@`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import click
import orjson

from flockd.cli.daemon import Daemon

Verb = Callable[..., None]


def payload_options(verb: Verb) -> Verb:
    """`--data` and `--set`, which reach the verb as `data` and `settings`."""
    verb = click.option(
        "--set",
        "settings",
        multiple=True,
        metavar="KEY=VALUE",
        help="One field of the payload: text where the type says text, else JSON if it is JSON. "
        "KEY=@FILE reads a file.",
    )(verb)
    return click.option(
        "--data", metavar="JSON|@FILE|-", help="The payload as a JSON object; - reads standard input."
    )(verb)


async def build_payload(
    daemon: Daemon, type_name: str, data: str | None, settings: Iterable[str]
) -> dict[str, Any]:
    """The payload of an artifact of this type: `data` with the fields of `settings` over it."""
    payload = _whole(data) if data is not None else {}
    pairs = [_pair(setting) for setting in settings]
    if pairs:
        schema = await _schema(daemon, type_name)
        payload |= {key: _value(schema, key, text) for key, text in pairs}
    return payload


def _whole(data: str) -> dict[str, Any]:
    text = sys.stdin.read() if data == "-" else _read(data[1:]) if data.startswith("@") else data
    try:
        payload = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise click.BadParameter(f"this is not JSON: {error}.", param_hint="--data") from None
    if not isinstance(payload, dict):
        raise click.BadParameter("a payload is a JSON object, {…}.", param_hint="--data")
    return payload


def _pair(setting: str) -> tuple[str, str]:
    key, separator, text = setting.partition("=")
    if not separator or not key:
        raise click.BadParameter(f"{setting!r} is not KEY=VALUE.", param_hint="--set")
    return key, text


async def _schema(daemon: Daemon, type_name: str) -> Mapping[str, Any]:
    """The JSON Schema of a type; empty for an unknown one, which the daemon refuses in better words."""
    listed = await daemon.get("/api/v1/types", [("limit", "500")])
    return next((known["schema"] for known in listed["types"] if known["name"] == type_name), {})


def _value(schema: Mapping[str, Any], key: str, text: str) -> Any:
    if text.startswith("@@"):
        text = text[1:]
    elif text.startswith("@"):
        return _read(text[1:])
    if is_text(schema, schema.get("properties", {}).get(key, {})):
        return text
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def is_text(root: Mapping[str, Any], field: Mapping[str, Any]) -> bool:
    """Whether a field's schema takes text and, but for null, nothing else. References point into `root`."""
    if "$ref" in field:
        return is_text(root, root.get("$defs", {}).get(field["$ref"].rpartition("/")[2], {}))
    choices = field.get("anyOf") or field.get("oneOf")
    if choices:
        others = [choice for choice in choices if choice.get("type") != "null"]
        return bool(others) and all(is_text(root, choice) for choice in others)
    types = field.get("type")
    return types == "string" or (isinstance(types, list) and set(types) - {"null"} == {"string"})


def _read(name: str) -> str:
    try:
        return Path(name).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise click.ClickException(f"There is no file {name}.") from None
    except UnicodeDecodeError:
        raise click.ClickException(f"{name} is not UTF-8 text.") from None
    except OSError as error:
        raise click.ClickException(f"{name} cannot be read: {error.strerror}.") from None
