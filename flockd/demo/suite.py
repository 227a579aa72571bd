"""The tests of generated code, run for real: in a process with limits, in a folder that is removed."""

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

from flockd.demo.assemble import GeneratedCode

SUITE_SECONDS = 10.0
"""What the tests of one module may take. Those of the catalogue take some milliseconds each."""

SUITE_MEMORY_BYTES = 512 << 20
"""Address space of the process, of which Python itself takes a tenth."""

SUITE_OUTPUT_BYTES = 1 << 20
"""The size of each file that it writes, and of what it prints."""

# A script, and not imported: it needs a module that only Unix has.
_CHILD = Path(__file__).with_name("suite_child.py")
# A process that is slow to start has its time all the same; past this it is stuck.
_START_SECONDS = 20.0
_ANSWER_MAX_BYTES = 1 << 20
_SIGNALS: dict[int, str] = {
    signal.SIGALRM: "they took more than {seconds:g} s",
    signal.SIGXCPU: "they took more than {seconds:g} s of processor time",
    signal.SIGKILL: "they were killed",
}


class FailedTest(BaseModel):
    """One test that failed, with the end of its traceback."""

    test: str
    message: str


class SuiteReport(BaseModel):
    """What the tests of a module said."""

    tests_run: int = Field(ge=0, description="Skipped ones included")
    tests_passed: int = Field(ge=0)
    tests_skipped: int = Field(ge=0, description="Of functions that are not implemented")
    failed_tests: list[FailedTest]
    tests_output: str = Field(default="", description="The end of what they printed")
    tests_stopped: str | None = Field(default=None, description="Why they did not come to their end")


class _Answer(BaseModel):
    """What the child says."""

    run: int
    skipped: int
    failures: list[tuple[str, str]]
    output: str


class _Order(BaseModel):
    """What the child is told."""

    module: str
    code: str
    tests: str
    seconds: float
    memory_bytes: int = SUITE_MEMORY_BYTES
    output_bytes: int = SUITE_OUTPUT_BYTES


async def run_suite(code: GeneratedCode, *, seconds: float = SUITE_SECONDS) -> SuiteReport:
    """Run the tests of a module. Failing and endless tests are a report, too.

    The caller answers for what is run: the limits bound mistakes, they are no prison. When the caller is
    cancelled, the process and all that it started are killed and the folder is removed; where the daemon itself
    is killed, the process ends at its own limit of time, and the folder stays with the system's temporary files.
    """
    order = _Order(module=code.module, code=code.generated_code, tests=code.generated_tests, seconds=seconds)
    answer = b""
    async with _folder() as folder, _process(folder) as process:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds + _START_SECONDS):
                answer = await _converse(process, order.model_dump_json().encode())
    return _report(answer, process.returncode or 0, seconds)


def _report(answer: bytes, status: int, seconds: float) -> SuiteReport:
    try:
        said = _Answer.model_validate_json(answer)
    except ValidationError:
        reason = _SIGNALS.get(-status, f"their process ended without an answer (status {status})")
        return SuiteReport(
            tests_run=0,
            tests_passed=0,
            tests_skipped=0,
            failed_tests=[],
            tests_stopped=reason.format(seconds=seconds),
        )
    failed = [FailedTest(test=test, message=message) for test, message in said.failures]
    return SuiteReport(
        tests_run=said.run,
        tests_passed=max(said.run - said.skipped - len(failed), 0),
        tests_skipped=said.skipped,
        failed_tests=failed,
        tests_output=said.output,
    )


@asynccontextmanager
async def _folder() -> AsyncIterator[Path]:
    folder = tempfile.mkdtemp(prefix="flockd-suite-")
    try:
        yield Path(folder)
    finally:
        # In a thread, since nobody knows how much the tests have left there; shielded, since it must go.
        await asyncio.shield(asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True))


@asynccontextmanager
async def _process(folder: Path) -> AsyncIterator[Process]:
    """A child that waits for its order. It ends by itself if none comes, since its stdin is closed then."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-I", "-S", "-B", "-X", "utf8", str(_CHILD)),
        cwd=folder,
        env={},
        stdin=PIPE,
        stdout=PIPE,
        stderr=DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        # After its answer, too: what the tests have left running shall not stay.
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        await asyncio.shield(_reap(process))


async def _reap(process: Process) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    while await process.stdout.read(_ANSWER_MAX_BYTES):
        pass
    await process.wait()


async def _converse(process: Process, order: bytes) -> bytes:
    """Say what to do and take what it answers; an answer beyond all measure is cut."""
    assert process.stdin is not None
    assert process.stdout is not None
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.write(order)
        await process.stdin.drain()
    process.stdin.close()
    answer = b""
    while len(answer) < _ANSWER_MAX_BYTES and (chunk := await process.stdout.read(_ANSWER_MAX_BYTES)):
        answer += chunk
    return answer
