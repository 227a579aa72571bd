"""The bench of the streams runs, and its subscribers count what arrives, however it arrives."""

import asyncio
import re
from pathlib import Path

import pytest

from bench.audience import Audience
from bench.client import UnexpectedAnswer
from bench.servers import bare_streams
from bench.watchers import PUBLISHED, Crowd, OpenCrowd, Watcher, masked

from .test_bench import LIMIT_SECONDS, RATIO, bench


@pytest.mark.timeout(LIMIT_SECONDS)
def test_a_quick_run_prints_ratios_to_the_ceiling() -> None:
    run = bench("--quick", "--only", "fanout")

    assert run.returncode == 0, run.stdout + run.stderr
    for transport in ("SSE", "WebSocket"):
        for measure in ("20 subscribers", "100 subscribers", "replay of 6,000 events by one client"):
            assert re.search(rf"\| {transport}, {measure} .* \| {RATIO} +\|", run.stdout), run.stdout
    assert re.search(rf"\| publishes, 100 readers, one more stalled .* \| {RATIO} +\|", run.stdout)


@pytest.mark.parametrize("size", [1, 7, 26, 27, 28, 29, 1000])
async def test_a_subscriber_counts_whole_pieces_however_they_are_cut(size: int) -> None:
    crowd = OpenCrowd(Crowd("", 0, "", None))
    watcher = Watcher(crowd, asyncio.get_running_loop(), probe=False)
    greeting = b'HTTP/1.1 200 OK\r\n\r\ndata: {"kind":"hello"}\n\n'
    stream = greeting + f"data: {{{PUBLISHED}}}\n\n".encode() * 5
    complete = crowd.expect(5)
    for start in range(0, len(stream) - 4, size):
        assert not complete.done()
        watcher.data_received(stream[start : min(start + size, len(stream) - 4)])
    assert complete.done() == (PUBLISHED.encode() in stream[-4 - len(PUBLISHED) : -4])
    watcher.data_received(stream[-4:])
    assert complete.done()


def test_a_refused_subscriber_is_not_a_result(tmp_path: Path) -> None:
    with bare_streams(tmp_path) as bare, Audience() as audience:
        with pytest.raises(UnexpectedAnswer, match="a subscriber was cut off"):
            audience.open("nobody", Crowd(bare.host, bare.port, "/ws", None))
        audience.open("somebody", Crowd(bare.host, bare.port, "/events", None, count=3))


def test_a_client_s_message_is_masked() -> None:
    assert masked(b"go") == b"\x81\x82\x00\x00\x00\x00go"
    assert masked(b"x" * 200) == b"\x81\xfe\x00\xc8\x00\x00\x00\x00" + b"x" * 200
