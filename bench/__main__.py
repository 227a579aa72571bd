"""`python -m bench`: measures, prints the table, and writes bench/RESULTS.md after a full run."""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import click

from bench import report
from bench.client import Client
from bench.fanout import measure_fanout
from bench.latency import measure_hops, measure_start
from bench.llm import measure_llm
from bench.machine import look_at_machine
from bench.match import measure_match
from bench.pages import measure_pages
from bench.report import Row
from bench.rounds import Bench
from bench.schedule import measure_schedule
from bench.startup import measure_startup
from bench.throughput import measure_beside, measure_chains, measure_publishes

HERE = Path(__file__).resolve().parent
COMMAND = "make bench"

PARTS: dict[str, Callable[[Bench], list[Row]]] = {
    "publish": measure_publishes,
    "chains": measure_chains,
    "start": measure_start,
    "hops": measure_hops,
    "beside": measure_beside,
    "pages": measure_pages,
    "startup": measure_startup,
    "fanout": measure_fanout,
    "match": measure_match,
    "llm": measure_llm,
    "schedule": measure_schedule,
}


def _named_parts(context: click.Context, option: click.Parameter, value: str) -> list[str]:
    """Splits `--only`; raises `BadParameter` for a part that does not exist."""
    names = [name.strip() for name in value.split(",") if name.strip()]
    if unknown := [name for name in names if name not in PARTS]:
        raise click.BadParameter(f"no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    return names or list(PARTS)


@click.command()
@click.option(
    "--quick", is_flag=True, help="Short rounds and small boards: shows that it works, not how fast it is."
)
@click.option(
    "--only",
    default="",
    callback=_named_parts,
    metavar="PART,…",
    help=f"Only these parts: {', '.join(PARTS)}.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of the table.")
def main(quick: bool, only: list[str], as_json: bool) -> None:
    """Measures flockd against ceilings of the same run. A full run writes bench/RESULTS.md."""
    cache = HERE / ".cache"
    cache.mkdir(exist_ok=True)
    # Not in the system's temporary folder, which may be in memory: there fsync costs nothing.
    with tempfile.TemporaryDirectory(prefix="run-", dir=cache) as directory, Client() as client:
        machine = look_at_machine(Path(directory))
        bench = Bench(client, Path(directory), cache, quick, progress=_say)
        rows = [row for name in only for row in PARTS[name](bench)]
    print(report.json(rows, machine) if as_json else report.text(rows, machine))
    if not quick and set(only) == set(PARTS):
        (HERE / "RESULTS.md").write_text(report.markdown(rows, machine, COMMAND), encoding="utf-8")


def _say(text: str) -> None:
    """Progress goes to standard error, so that the output can be piped."""
    print(f"… {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
