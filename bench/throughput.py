"""How much flockd takes: durable publishes, two-agent chains, and publishes beside an agent that computes."""

import statistics
from concurrent.futures import ThreadPoolExecutor

from bench.client import ask, post
from bench.load import Job, Outcome
from bench.report import Row
from bench.rounds import Bench
from bench.servers import Server

CLIENTS = (1, 16, 64)
MANY = 64
CHAIN_COMMITS = 3
LEAST_RATIO = 0.6

_TEXT = "a sentence of about the length that somebody would type into a form, " * 2
_BURN_MARGIN_SECONDS = 0.5


def measure_publishes(bench: Bench) -> list[Row]:
    """`POST /api/v1/artifacts` of a type that wakes nobody, against one commit of the bare server."""
    with bench.pair("publish") as (flockd, bare):
        return [
            _compared(
                bench,
                "publish",
                "publishes",
                clients,
                _publishes(bench, flockd, clients),
                _rows(bench, bare, clients),
            )
            for clients in CLIENTS
        ]


def measure_chains(bench: Bench) -> list[Row]:
    """`POST /api/v1/artifacts/sync` through two agents, against the bare server making the three commits."""
    with bench.pair("chains") as (flockd, bare):
        return [
            _compared(
                bench,
                "chains",
                "chains",
                clients,
                _chains(bench, flockd, clients),
                _rows(bench, bare, clients, CHAIN_COMMITS),
            )
            for clients in CLIENTS
        ]


def measure_beside(bench: Bench) -> list[Row]:
    """64 publishers beside one plain-`def` agent that computes, against the bare server beside such a thread.

    Two threads that want one interpreter lock slow each other down in any program: the ceiling shows it.
    """
    work = {"seconds": bench.seconds + _BURN_MARGIN_SECONDS}
    with bench.pair("beside") as (flockd, bare), ThreadPoolExecutor(1) as pool:

        def beside(server: Server, job: Job, path: str, body: object) -> Outcome:
            computing = pool.submit(ask, server, "POST", path, body)
            outcome = bench.client.run(job)
            if computing.done():
                computing.result()
                raise RuntimeError("the agent ended before the load did: nothing was measured beside it")
            computing.result()
            return outcome

        ours, theirs = _publishes(bench, flockd, MANY), _rows(bench, bare, MANY)
        alone = bench.compare(ours, theirs)
        our_rates, bare_rates = [], []
        for _ in range(bench.rounds):
            publication = {"type": "Work", "payload": work, "timeout": 60}
            our_rates.append(beside(flockd, ours, "/api/v1/artifacts/sync", publication).rate)
            bare_rates.append(beside(bare, theirs, "/burn", work).rate)
    our_rate, bare_rate = statistics.median(our_rates), statistics.median(bare_rates)
    kept, bare_kept = our_rate / alone.our_rate, bare_rate / alone.bare_rate
    return [
        Row(
            part="beside",
            measure=f"publishes, {MANY} clients, beside a CPU-bound agent",
            unit="/s",
            flockd=our_rate,
            ceiling=bare_rate,
            ratios=tuple(our / their for our, their in zip(our_rates, bare_rates, strict=True)),
            note=f"{kept:.2f} of its rate without, the ceiling {bare_kept:.2f}",
        )
    ]


def _compared(bench: Bench, part: str, what: str, clients: int, ours: Job, theirs: Job) -> Row:
    measure = f"{what}, {clients} client{'s' if clients > 1 else ''}"
    bench.progress(measure)
    comparison = bench.compare(ours, theirs)
    aimed_at = clients == MANY
    return Row(
        part=part,
        measure=measure,
        unit="/s",
        flockd=comparison.our_rate,
        ceiling=comparison.bare_rate,
        ratios=comparison.rate_ratios,
        note=comparison.our_times,
        aim=f"ratio ≥ {LEAST_RATIO}" if aimed_at else "",
        met=statistics.median(comparison.rate_ratios) >= LEAST_RATIO if aimed_at else None,
    )


def _publishes(bench: Bench, flockd: Server, clients: int) -> Job:
    body = {"type": "Ping", "payload": {"n": 1, "text": _TEXT}}
    return Job(
        flockd.host,
        flockd.port,
        (post(flockd, "/api/v1/artifacts", body),),
        clients,
        seconds=bench.seconds,
        expect='"accepted"',
    )


def _chains(bench: Bench, flockd: Server, clients: int) -> Job:
    body = {"type": "A", "payload": {"n": 1}, "timeout": 60}
    return Job(
        flockd.host,
        flockd.port,
        (post(flockd, "/api/v1/artifacts/sync", body),),
        clients,
        seconds=bench.seconds,
        expect='"completed":true',
    )


def _rows(bench: Bench, bare: Server, clients: int, commits: int = 1) -> Job:
    """The bare server storing the body of a publish once, or several times in sequence."""
    body = {"type": "Ping", "payload": {"n": 1, "text": _TEXT}}
    wire = (post(bare, f"/commits/{commits}", body),)
    return Job(bare.host, bare.port, wire, clients, seconds=bench.seconds, expect='"accepted"')
