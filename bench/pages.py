"""How long a page of the list takes, and that it takes as long at a million artifacts as at a thousand."""

import statistics
from contextlib import ExitStack
from dataclasses import dataclass

from bench.boards import BULK_TYPES, TREES, Board, filled
from bench.client import ask, get
from bench.load import Job, Outcome
from bench.report import Row
from bench.rounds import Bench
from bench.servers import Server, ceiling, flockd

SIZES = (1_000, 100_000, 1_000_000)
QUICK_SIZES = (1_000, 5_000)
OPEN_RUNS = 1_000
"""In the largest board, which the start is measured on, too."""
PAGE = 50
MOST_MS = 2.0
MOST_GROWTH = 1.5
"""How much longer a page may take on the largest board than on the smallest."""


@dataclass(frozen=True)
class Served:
    """A board that is being served, and what its queries name."""

    board: Board
    server: Server
    correlation_id: str
    middle_seq: int

    def queries(self) -> dict[str, str]:
        """The pages that are measured: what it is called → the query string. Every one is full."""
        return {
            "list": "",
            "list, by type": f"type={BULK_TYPES[0]}",
            "list, by producer": f"produced_by={TREES[0]}",
            "list, by type and producer": f"type=Leaf&produced_by={TREES[0]}",
            "list, by correlation": f"correlation_id={self.correlation_id}",
            "list, after the middle": f"after={self.middle_seq}",
        }


def largest(bench: Bench) -> Board:
    """The board with the most artifacts, and with open runs."""
    return filled(bench, (QUICK_SIZES if bench.quick else SIZES)[-1], OPEN_RUNS)


def measure_pages(bench: Bench) -> list[Row]:
    """`GET /api/v1/artifacts?limit=50` by one client, against as many prepared bytes from the bare server."""
    sizes = QUICK_SIZES if bench.quick else SIZES
    boards = [filled(bench, size, 0) for size in sizes[:-1]] + [largest(bench)]
    with ExitStack() as stack:
        served = [stack.enter_context(_serve(bench, board)) for board in boards]
        bare = stack.enter_context(ceiling(bench.directory / "pages" / "ceiling"))
        boards_served = [_look_at(board, server) for board, server in zip(boards, served, strict=True)]
        return [
            row
            for name in boards_served[0].queries()
            for row in _measure_page(bench, name, boards_served, bare)
        ]


def _measure_page(bench: Bench, name: str, boards: list[Served], bare: Server) -> list[Row]:
    """One kind of page on every board, in turn."""
    bench.progress(name)
    count = 30 if bench.quick else 300
    jobs = [_page(served, name, count) for served in boards]
    answer_bytes = [bench.client.run(job).answer_bytes for job in jobs]
    wire = (get(bare, f"/prepared/{statistics.median_low(answer_bytes)}"),)
    prepared = Job(bare.host, bare.port, wire, 1, count=count)
    bench.client.run(prepared)
    rounds: list[list[Outcome]] = []
    bare_p50: list[float] = []
    for _ in range(bench.rounds):
        rounds.append([bench.client.run(job) for job in jobs])
        bare_p50.append(bench.client.run(prepared).p50_ms)
    return [
        _row(name, served.board, boards[0].board, [r[at] for r in rounds], [r[0] for r in rounds], bare_p50)
        for at, served in enumerate(boards)
    ]


def _row(
    name: str,
    board: Board,
    smallest: Board,
    outcomes: list[Outcome],
    of_smallest: list[Outcome],
    bare_p50: list[float],
) -> Row:
    p50 = statistics.median(outcome.p50_ms for outcome in outcomes)
    p99 = statistics.median(outcome.p99_ms for outcome in outcomes)
    growth = statistics.median(
        here.p50_ms / there.p50_ms for here, there in zip(outcomes, of_smallest, strict=True)
    )
    grown = board is not smallest
    aimed_at = board.artifacts == SIZES[-1]
    return Row(
        part="pages",
        measure=f"{name}, {board.artifacts:,} artifacts, p50",
        unit="ms",
        flockd=p50,
        ceiling=statistics.median(bare_p50),
        ratios=tuple(bare / outcome.p50_ms for bare, outcome in zip(bare_p50, outcomes, strict=True)),
        note=f"p99 {p99:.2f} ms" + (f", {growth:.2f} × of {smallest.artifacts:,}" if grown else ""),
        aim=f"< {MOST_MS:.0f} ms, ≤ {MOST_GROWTH} ×" if aimed_at else "",
        met=p50 < MOST_MS and growth <= MOST_GROWTH if aimed_at else None,
    )


def _serve(bench: Bench, board: Board) -> Server:
    directory = bench.directory / "pages" / str(board.artifacts)
    return flockd(directory, board.copy_to(directory))


def _look_at(board: Board, server: Server) -> Served:
    """Finds a correlation with many artifacts and the middle of the log."""
    leaf = ask(server, "GET", "/api/v1/artifacts?type=Leaf&limit=1")["items"][0]
    newest = ask(server, "GET", "/api/v1/artifacts?order=desc&limit=1")["items"][0]
    return Served(board, server, leaf["correlation_id"], newest["seq"] // 2)


def _page(served: Served, name: str, count: int) -> Job:
    """Asks for one page `count` times; it must be full, or the boards would not compare."""
    path = f"/api/v1/artifacts?limit={PAGE}&{served.queries()[name]}".rstrip("&")
    items = len(ask(served.server, "GET", path)["items"])
    if items != PAGE:
        raise ValueError(f"{name} gives {items} artifacts on the board of {served.board.artifacts:,}")
    return Job(served.server.host, served.server.port, (get(served.server, path),), 1, count=count)
