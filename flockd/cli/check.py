"""`flockd check`: whether the configuration and the agents load, and what they are."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flockd.cli.options import config_option, json_option, load_config, load_target
from flockd.cli.show import print_json

if TYPE_CHECKING:
    from flockd.config import Config
    from flockd.flock import Flock


@click.command(short_help="Load the configuration and the agents, and show them.")
@click.argument("target", metavar="[MODULE:ATTR]", required=False)
@config_option
@json_option
def check(target: str | None, config_file: Path | None, as_json: bool) -> None:
    """Load the configuration and the flock as `serve` does, and print its types and agents."""
    settings = load_config(config_file)
    flock = load_target(settings, target)
    asyncio.run(_compose(settings, flock))
    if as_json:
        print_json(_document(flock))
    else:
        _print_tables(flock)


async def _compose(settings: Config, flock: Flock) -> None:
    """Put the daemon together without starting it: what only shows then is refused here, too."""
    from flockd.app import make_app
    from flockd.flock.declaration import DeclarationError

    try:
        make_app(settings, flock)
    except DeclarationError as error:
        raise click.ClickException(str(error)) from None


def _document(flock: Flock) -> dict[str, Any]:
    """Types and agents in the shapes of `GET /api/v1/types` and `GET /api/v1/agents`."""
    return {
        "types": [
            {
                "name": kind.name,
                "version": kind.version,
                "description": kind.description,
                "schema": kind.schema,
            }
            for kind in flock.types().values()
        ],
        "agents": [
            {
                "name": agent.name,
                "description": agent.description,
                "subscriptions": [{"types": list(agent.subscription.types), "mode": agent.subscription.mode}],
                "outputs": list(agent.outputs),
            }
            for agent in flock.agents().values()
        ],
    }


def _print_tables(flock: Flock) -> None:
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    types = Table(Column("type", no_wrap=True), "fields", title="Types", title_justify="left")
    for kind in flock.types().values():
        types.add_row(Text(kind.name), Text("\n".join(field_lines(kind.schema))))
    agents = Table(
        Column("agent", no_wrap=True),
        Column("wakes on", no_wrap=True),
        Column("publishes", no_wrap=True),
        Column("what it does", ratio=1),
        title="Agents",
        title_justify="left",
    )
    for agent in flock.agents().values():
        between = " and\n" if agent.subscription.mode == "all" else " or\n"
        agents.add_row(
            Text(agent.name),
            Text(between.join(agent.subscription.types)),
            Text("\n".join(agent.outputs)),
            Text(agent.description),
        )
    console = Console()
    console.print(types)
    console.print(agents)


def field_lines(schema: Mapping[str, Any]) -> list[str]:
    """The fields of a JSON Schema, one a line: `name: type`, with `= default` or `(optional)`."""
    required = schema.get("required", [])
    lines = []
    for name, field in schema.get("properties", {}).items():
        default = (
            f" = {field['default']!r}" if "default" in field else "" if name in required else " (optional)"
        )
        lines.append(f"{name}: {type_word(field)}{default}")
    return lines


def type_word(field: Mapping[str, Any] | bool) -> str:
    """A field's schema in a word or two: `string`, `list[Finding]`, `error | warning`, `integer | null`."""
    if isinstance(field, bool) or not field:
        return "anything"
    if "$ref" in field:
        return str(field["$ref"]).rpartition("/")[2]
    if "const" in field:
        return str(field["const"])
    if "enum" in field:
        return " | ".join(map(str, field["enum"]))
    for choice in ("anyOf", "oneOf", "allOf"):
        if choice in field:
            return (" & " if choice == "allOf" else " | ").join(map(type_word, field[choice]))
    kind = field.get("type", "anything")
    if kind == "array":
        return f"list[{type_word(field.get('items', {}))}]"
    return " | ".join(kind) if isinstance(kind, list) else str(kind)
