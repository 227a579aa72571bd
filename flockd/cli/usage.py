"""`flockd usage` and `flockd budgets`: what calls of language models took, and what they may still take."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import click

from flockd.cli.daemon import connect
from flockd.cli.options import daemon_options, json_option
from flockd.cli.show import print_json

PAGE = 500
_DOUBTS = {"unpriced_requests": "no\nprice", "estimated_requests": "estimated"}
"""Of how many requests a sum does not say the truth, and the columns that say so, where there are any."""


@click.command(short_help="Show what calls of language models took.")
@click.option("--agent", help="Of this agent.")
@click.option("--model", help="Of this model.")
@click.option("--correlation-id", "--correlation", metavar="UUID", help="Of this workflow.")
@click.option("--from", "from_", metavar="TIME", help="Begun at this time or later (ISO 8601, UTC).")
@click.option("--to", metavar="TIME", help="Begun at this time or earlier.")
@daemon_options
@json_option
def usage(url: str, as_json: bool, **wanted: str | None) -> None:
    """Show what calls of language models took, by agent and by model.

    Where it is so, "no price" counts the requests whose cost is not in USD, and "estimated" those of which nobody
    knows what they took: they are charged the most that they might have taken.
    """
    query = [(name.rstrip("_"), value) for name, value in wanted.items() if value is not None]
    answer = asyncio.run(_get(url, "/api/v1/usage", query))
    print_json(answer) if as_json else _print_usage(answer)


@click.command(short_help="Show the budgets of language models and what they have left.")
@daemon_options
@json_option
def budgets(url: str, as_json: bool) -> None:
    """Show the budgets for calls of language models, and what is left of each."""
    answer = asyncio.run(_all_budgets(url))
    print_json(answer) if as_json else _print_budgets(answer["budgets"])


async def _get(url: str, path: str, query: list[tuple[str, str]]) -> Any:
    async with connect(url) as daemon:
        return await daemon.get(path, query)


async def _all_budgets(url: str) -> Any:
    """Every page of them, as one."""
    async with connect(url) as daemon:
        whole = await daemon.get("/api/v1/budgets", [("limit", str(PAGE))])
        found = whole["budgets"]
        while len(found) < whole["total"]:
            page = await daemon.get("/api/v1/budgets", [("limit", str(PAGE)), ("offset", str(len(found)))])
            if not page["budgets"]:
                break
            found += page["budgets"]
    return {**whole, "limit": len(found)}


def _print_usage(answer: Mapping[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    totals = answer["totals"]
    doubts = {key: name for key, name in _DOUBTS.items() if totals[key]}
    for title, sums in (("agent", answer["by_agent"]), ("model", answer["by_model"])):
        numbers = [
            Column(name, justify="right", no_wrap=True)
            for name in ("requests", "input\ntokens", "output\ntokens", "USD", "seconds", *doubts.values())
        ]
        whose = Column(title, overflow="fold")  # a long name is folded before a figure is cut
        table = Table(whose, *numbers, collapse_padding=True, pad_edge=False)
        for name, took in sums.items():
            table.add_row(*map(Text, (name, *_figures(took, doubts))))
        table.add_section()
        table.add_row(*map(Text, ("in all", *_figures(totals, doubts))))
        Console().print(table)


def _figures(took: Mapping[str, Any], doubts: Iterable[str]) -> tuple[str, ...]:
    tokens = (f"{took[key]:,}" for key in ("requests", "input_tokens", "output_tokens"))
    doubtful = (f"{took[key]:,}" if took[key] else "" for key in doubts)
    return *tokens, f"{took['cost_usd']:,.4f}", f"{took['seconds']:,.1f}", *doubtful


def _print_budgets(found: list[Mapping[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    if not found:
        click.echo("There are no budgets.")
        return
    numbers = [Column(name, justify="right", no_wrap=True) for name in ("limit", "spent", "reserved", "left")]
    table = Table(Column("budget of", no_wrap=True), "in each", Column("of", no_wrap=True), *numbers)
    for budget in found:
        for row in _rows(budget):
            table.add_row(*map(Text, row))
    Console().print(table)


def _rows(budget: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """A row for each bound; what each run or workflow has for itself has only its limit."""
    if budget["subject"] is None:
        whose = f"each {budget['scope']}" + (f", for {budget['name']}" if budget["name"] else "")
    else:
        whose = f"{budget['scope']} {budget['subject']}"
    for unit in ("requests", "tokens", "usd"):
        if (bound := budget[unit]) is not None:
            numbers = (bound[name] for name in ("limit", "spent", "reserved", "left"))
            yield whose, budget["per"] or "", unit, *("" if one is None else f"{one:,}" for one in numbers)
