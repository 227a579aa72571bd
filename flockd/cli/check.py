"""`flockd check`: whether the configuration and the agents load, and what they are."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flockd.cli.options import config_option, json_option, load_config, load_target
from flockd.cli.show import print_json
from flockd.domain.gathering import BatchSpec
from flockd.domain.timer import Publishes, Starts
from flockd.domain.where import shown

if TYPE_CHECKING:
    from flockd.config import Config
    from flockd.domain.agent import Agent
    from flockd.domain.subscription import Subscription
    from flockd.flock import Flock


@click.command(short_help="Load the configuration and the agents, and show them.")
@click.argument("target", metavar="[MODULE:ATTR]", required=False)
@config_option
@json_option
def check(target: str | None, config_file: Path | None, as_json: bool) -> None:
    """Load the configuration and the flock as `serve` does, and print what it declares."""
    from flockd.loading import llm_defaults, model_warnings

    settings = load_config(config_file)
    flock = load_target(settings, target)
    asyncio.run(_compose(settings, flock))
    warnings = flock.warnings(llm_defaults(settings)) + model_warnings(settings, flock)
    if as_json:
        print_json({**_document(flock), "warnings": warnings})
    else:
        _print_tables(flock)
    for warning in warnings:
        click.echo(f"Warning: {warning}", err=True)


async def _compose(settings: Config, flock: Flock) -> None:
    """Put the daemon together without starting it: what only shows then is refused here, too."""
    from flockd.app import make_app
    from flockd.flock.declaration import DeclarationError

    try:
        make_app(settings, flock)
    except DeclarationError as error:
        raise click.ClickException(str(error)) from None


def _document(flock: Flock) -> dict[str, Any]:
    """Types, agents (flows among them) and timers, in the shapes of their lists in the API, as far as declared.

    A subscription that gathers also says how, as `join` or `batch`.
    """
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
                "kind": agent.kind,
                "description": agent.description,
                "subscriptions": agent.subscription.documents(),
                "outputs": list(agent.outputs),
            }
            for agent in flock.agents().values()
        ],
        "workflows": [
            {
                "name": workflow.name,
                "description": workflow.description,
                "start": workflow.start,
                "phases": [{"name": phase.name, "types": list(phase.types)} for phase in workflow.phases],
            }
            for workflow in flock.workflows()
        ],
        "timers": [
            {
                "name": timer.name,
                "schedule": timer.schedule.text,
                "target": {
                    "publish": timer.target.type if isinstance(timer.target, Publishes) else None,
                    "run": timer.target.agent if isinstance(timer.target, Starts) else None,
                },
            }
            for timer in flock.timers()
        ],
    }


def _print_tables(flock: Flock) -> None:
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    def table(title: str, *columns: str, rows: Iterable[tuple[str, ...]]) -> Table:
        """The last column takes the room that is left."""
        *names, last = columns
        made = Table(
            *(Column(name, no_wrap=True) for name in names),
            Column(last, ratio=1),
            title=title,
            title_justify="left",
        )
        for row in rows:
            made.add_row(*map(Text, row))
        return made

    everyone = flock.agents().values()
    flows = [agent for agent in everyone if agent.kind == "flow"]
    console = Console()
    console.print(table("Types", "type", "fields", rows=_type_rows(flock)))
    console.print(
        table(
            "Agents",
            "agent",
            "wakes on",
            "publishes",
            "what it does",
            rows=(_agent_row(agent) for agent in everyone if agent.kind != "flow"),
        )
    )
    if flows:
        console.print(
            table("Flows", "flow", "request", "result", "what it does", rows=map(_agent_row, flows))
        )
    if flock.workflows():
        console.print(
            table(
                "Workflows", "workflow", "starts with", "phases", "what it does", rows=_workflow_rows(flock)
            )
        )
    if flock.timers():
        console.print(table("Timers", "timer", "what it does", "when", rows=_timer_rows(flock)))


def _type_rows(flock: Flock) -> Iterator[tuple[str, ...]]:
    for kind in flock.types().values():
        yield kind.name, "\n".join(field_lines(kind.schema))


def _agent_row(agent: Agent) -> tuple[str, ...]:
    name = agent.name if agent.kind in ("function", "flow") else f"{agent.name}\n({agent.kind})"
    wakes = "\n".join([_wakes_on(agent.subscription), *_conditions(agent.subscription)])
    return name, wakes, "\n".join(agent.outputs), agent.description


def _conditions(subscription: Subscription) -> Iterator[str]:
    """What artifacts of these types must be to wake it."""
    if subscription.where is not None:
        yield f"where {shown(subscription.where)}"
    if subscription.from_agents:
        yield f"from {', '.join(sorted(subscription.from_agents))}"
    if subscription.tags:
        yield f"tagged {', '.join(sorted(subscription.tags))}"


def _wakes_on(subscription: Subscription) -> str:
    between = " and\n" if subscription.mode == "all" else " or\n"
    types, gathering = between.join(subscription.types) or "nothing", subscription.gathering
    if gathering is None:
        return types
    if isinstance(gathering, BatchSpec):
        each = "" if gathering.by is None else f" of one {gathering.by}"
        return f"{types},\n{gathering.size} at once{each},\nor after {gathering.within_ms / 1000:g} s"
    by = (
        gathering.by
        if isinstance(gathering.by, str)
        else " = ".join(f"{n}.{p}" for n, p in gathering.by.items())
    )
    return f"{types}\nby {by}\nwithin {gathering.within_ms / 1000:g} s"


def _timer_rows(flock: Flock) -> Iterator[tuple[str, ...]]:
    for timer in flock.timers():
        target = timer.target
        does = f"starts {target.agent}" if isinstance(target, Starts) else f"publishes {target.type}"
        yield timer.name, does, timer.schedule.text


def _workflow_rows(flock: Flock) -> Iterator[tuple[str, ...]]:
    for workflow in flock.workflows():
        phases = (f"{phase.name}: " + ",\n  ".join(phase.types) for phase in workflow.phases)
        yield workflow.name, workflow.start, "\n".join(phases), workflow.description


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
