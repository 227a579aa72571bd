"""The benchmark suite runs: who breaks it finds out here, and not at the next measurement."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench.client import Client, UnexpectedAnswer, post
from bench.load import Job
from bench.servers import ceiling

from .daemon import ROOT

RESULTS = ROOT / "bench" / "RESULTS.md"
RATIO = r"\d+\.\d\d \(\d+\.\d\d–\d+\.\d\d\)"
LIMIT_SECONDS = 240.0
"""A limit, not an expectation: six short rounds on a machine that is shared."""


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the suite as `make bench` does."""
    return subprocess.run(
        (sys.executable, "-m", "bench", *arguments),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )


@pytest.mark.timeout(LIMIT_SECONDS)
def test_a_quick_run_prints_ratios_to_the_ceiling() -> None:
    before = RESULTS.read_bytes()

    run = bench("--quick", "--only", "publish")

    assert run.returncode == 0, run.stdout + run.stderr
    for clients in ("1 client", "16 clients", "64 clients"):
        assert re.search(rf"\| publishes, {clients} .* \| {RATIO} +\|", run.stdout), run.stdout
    assert RESULTS.read_bytes() == before, "only a full run may write the results"


def test_an_unknown_part_is_refused_with_the_known_ones() -> None:
    run = bench("--only", "publsh")

    assert run.returncode == 2
    assert "no part publsh; there are publish, chains" in run.stderr


def test_a_rate_of_wrong_answers_is_not_a_result(tmp_path: Path) -> None:
    with ceiling(tmp_path) as bare, Client() as client:
        unknown_route = Job(bare.host, bare.port, (post(bare, "/nowhere", {}),), clients=2, count=4)
        with pytest.raises(UnexpectedAnswer, match=r"4 of 4 answers were wrong, the first: HTTP/1.1 404"):
            client.run(unknown_route)

        other_text = Job(
            bare.host, bare.port, (post(bare, "/commits/1", {}),), 1, count=1, expect='"refused"'
        )
        with pytest.raises(UnexpectedAnswer, match="1 of 1 answers were wrong"):
            client.run(other_text)


def test_the_client_counts_every_answer_and_stamps_it(tmp_path: Path) -> None:
    with ceiling(tmp_path) as bare, Client() as client:
        job = Job(
            bare.host,
            bare.port,
            (post(bare, "/commits/3", {}),),
            4,
            count=20,
            expect='"accepted"',
            stamps=True,
        )
        outcome = client.run(job)

    assert outcome.requests == len(outcome.sent_ns) == len(outcome.answered_ns) == 20
    assert all(sent < answered for sent, answered in zip(outcome.sent_ns, outcome.answered_ns, strict=True))
