"""A full or read-only disk is survived in place, a failed fsync ends the process; neither loses anything."""

import asyncio
import contextlib
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from . import disk
from .client import Client, CutError
from .daemon import Daemon, DaemonEndedError
from .disk import Disk
from .tail import Tail

pytestmark = pytest.mark.timeout(180)
DISKS = [disk.full, disk.guarded, disk.readonly]
PADDING = "x" * 50_000
MOST_PUBLISHES = 1_500
"""More than the small disk holds."""
FSYNCS = "fsync,fdatasync,sync_file_range"


@pytest.mark.parametrize("kind", DISKS, ids=lambda kind: kind.__name__)
async def test_no_space_is_503_until_there_is_some(
    tmp_path: Path, kind: Callable[[Path], AbstractContextManager[Disk]]
) -> None:
    with kind(tmp_path) as disk:
        daemon = Daemon(tmp_path, store=disk.folder / "flockd.db")
        try:
            async with Client(daemon) as client, Tail(daemon) as tail:
                await daemon.start(settings=disk.settings, program=disk.program)
                await no_space(disk, daemon, client, tail)
        finally:
            await daemon.close()
            print(daemon.output)


async def no_space(disk: Disk, daemon: Daemon, client: Client, tail: Tail) -> None:
    """Spoil the disk under a working daemon, see it refuse, mend the disk, see it go on."""
    pid = daemon.pid
    (await client.publish_sync("A", {"n": 0})).accepted()
    slow = (await client.publish("Slow", {"n": -1, "seconds": 3})).accepted()
    await tail.until("run.started", correlation_id=slow["correlation_id"])

    disk.spoil()
    accepted = [0]
    for n in range(1, MOST_PUBLISHES):
        answer = await client.publish("A", {"n": n, "padding": PADDING})
        if answer.status != 200:
            break
        accepted.append(n)
    assert (answer.status, answer.body["error"]) == (503, "UNAVAILABLE")
    assert "Retry-After" in answer.headers
    await client.until_code("/ready", 503)
    assert await client.code("/health") == 200
    assert (await client.status(slow["correlation_id"]))["state"] != "not_found", "reading needs no space"
    await daemon.printed("slept: -1")

    disk.mend()
    async with asyncio.timeout(30):
        while (await client.publish("A", {"n": MOST_PUBLISHES})).status != 200:
            pass
    await client.until_code("/ready", 200)
    assert (await client.publish_sync("A", {"n": MOST_PUBLISHES + 1})).accepted()["completed"] is True
    assert daemon.pid == pid
    await tail.quiet()

    accepted += [MOST_PUBLISHES, MOST_PUBLISHES + 1]
    found = Counter((a["type"], a["payload"]["n"]) for a in await client.artifacts())
    expected = Counter((kind, n) for kind in "ABCD" for n in accepted)
    assert found == expected + Counter([("Slow", -1), ("Slept", -1)])
    await daemon.verify()


@pytest.mark.parametrize("by", ["kernel", "sqlite"])
async def test_a_failed_fsync_ends_the_process(
    tmp_path: Path, daemon: Daemon, client: Client, tail: Tail, by: str
) -> None:
    faulty = disk.faulty(tmp_path, "SQLITE_IOERR_FSYNC")
    await daemon.start(program=faulty.program)
    for n in range(5):
        (await client.publish_sync("A", {"n": n})).accepted()
    (await client.publish("Slow", {"n": 5, "seconds": 1})).accepted()

    async with failing_fsync(daemon) if by == "kernel" else contextlib.nullcontext(False) as failing:
        if not failing:
            faulty.spoil()
        with contextlib.suppress(CutError):
            answer = await client.publish("A", {"n": 99}, key="after-the-fault")
            assert (answer.status, answer.body["error"]) == (503, "OUTCOME_UNKNOWN")
        assert await daemon.wait() > 0
    assert "fsync" in daemon.output.replace(str(tmp_path), "").lower(), "it must say why it ended"
    if not failing:
        faulty.mend()
    await daemon.verify()

    await daemon.start()
    again = (await client.publish_sync("A", {"n": 99}, key="another-path")).accepted()
    repeated = (await client.publish("A", {"n": 99}, key="after-the-fault")).accepted()
    await tail.quiet()
    found = Counter((a["type"], a["payload"]["n"]) for a in await client.artifacts())
    expected = Counter((kind, n) for kind in "ABCD" for n in (*range(5), 99, 99))
    assert found == expected + Counter([("Slow", 5), ("Slept", 5)])
    assert again["correlation_id"] != repeated["correlation_id"]
    await daemon.verify()


@contextlib.asynccontextmanager
async def failing_fsync(daemon: Daemon) -> AsyncIterator[bool]:
    """Let the kernel answer every fsync of the daemon with EIO; False where this process may not trace it."""
    strace = shutil.which("strace")
    if strace is None:
        yield False
        return
    tracer = await asyncio.create_subprocess_exec(
        *(strace, "-f", "-p", str(daemon.pid), "-o", "/dev/null"),
        *("-e", f"trace={FSYNCS}", "-e", f"inject={FSYNCS}:error=EIO"),
        stderr=asyncio.subprocess.PIPE,
    )
    assert tracer.stderr is not None
    try:
        async with asyncio.timeout(20):
            said = await tracer.stderr.readline()
        yield b"attached" in said
    finally:
        if tracer.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                tracer.terminate()
        await tracer.communicate()


async def test_a_failed_fsync_while_it_starts_ends_the_process(tmp_path: Path, daemon: Daemon) -> None:
    faulty = disk.faulty(tmp_path, "SQLITE_IOERR_FSYNC")
    await daemon.start()
    daemon.terminate()
    assert await daemon.wait() == 0
    faulty.spoil()
    with pytest.raises(DaemonEndedError) as ended:
        await daemon.start(program=faulty.program)
    assert ended.value.code == 70
    assert "Mend the disk and start flockd again" in ended.value.output
    assert "Traceback" not in ended.value.output
    faulty.mend()
    await daemon.start()
    await daemon.verify()


async def test_a_failed_fsync_while_it_drains_ends_the_process(
    tmp_path: Path, daemon: Daemon, client: Client, tail: Tail
) -> None:
    faulty = disk.faulty(tmp_path, "SQLITE_IOERR_FSYNC")
    await daemon.start(program=faulty.program, settings={"FLOCKD_SHUTDOWN__GRACE_SECONDS": "600"})
    (await client.publish("Slow", {"n": 1, "seconds": 600})).accepted()
    await tail.until("run.started", agent="sleeper")
    faulty.spoil()
    daemon.terminate()  # the first thing that a drain does is to write
    assert await daemon.wait() == 70, "nothing that ends within the grace could be stored"
    assert "stopping" in daemon.output
    faulty.mend()
    await daemon.verify()
