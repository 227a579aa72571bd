"""Generated tests are really run: with limits, in a folder that goes, in a process that does not outlive its run."""

import asyncio
import os
import signal
import sys
import tempfile
from pathlib import Path

import pytest

from flockd.demo import suite_child
from flockd.demo.assemble import GeneratedCode, assemble
from flockd.demo.catalogue import OPERATIONS
from flockd.demo.plan import Plan, Step, make_plan
from flockd.demo.requirements import Requirements
from flockd.demo.suite import SuiteReport, run_suite

LIMIT_SECONDS = 20.0


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the folders are made."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def code(tests: str, module: str = "") -> GeneratedCode:
    return GeneratedCode(module="made", generated_code=module, generated_tests=tests, unimplemented=[])


async def ran(tests: str, module: str = "", seconds: float = 10.0) -> SuiteReport:
    return await run_suite(code(tests, module), seconds=seconds)


async def test_the_whole_catalogue_passes_its_tests(scratch: Path) -> None:
    steps = [Step(name=f"do_{name}", sentence=name, operation=name) for name in OPERATIONS]
    report = await run_suite(assemble(Plan(title="All", module="all_of_it", steps=steps)))
    assert report == SuiteReport(
        tests_run=len(OPERATIONS), tests_passed=len(OPERATIONS), tests_skipped=0, failed_tests=[]
    )
    assert os.listdir(scratch) == []


async def test_what_is_not_implemented_is_skipped() -> None:
    plan = make_plan(Requirements(requirements="Add numbers. Fly to the moon. 对列表排序"))
    report = await run_suite(assemble(plan))
    assert (report.tests_run, report.tests_passed, report.tests_skipped) == (3, 1, 2)


async def test_hostile_requirements_make_modules_that_load_and_pass(scratch: Path) -> None:
    mark = scratch / "mark"
    hostile = f"""'''; open({str(mark)!r}, 'w'); '''
        \"\"\" + __import__('os').system('touch {mark}') + \"\"\"
        import os; class X: pass; def add(): os.abort()
        Add \x00 numbers \\N{{BULLET}} {{mark}} %s \u202e \ud7ff \U0001f600
        对列表排序。 __import__ __builtins__ None True self subject unittest test_x
    """
    text = hostile + "Sort what nobody has sorted before, and sort it well! " * 2_000
    code = assemble(make_plan(Requirements(requirements=text)))
    report = await run_suite(code)
    assert (report.failed_tests, report.tests_stopped) == ([], None)
    assert report.tests_run == report.tests_passed + len(code.unimplemented) >= 8
    assert os.listdir(scratch) == []


async def test_failures_are_told_with_their_traceback_and_what_was_printed() -> None:
    report = await ran(
        "import made\n"
        "def test_good(): print('hear ye')\n"
        "def test_bad(): assert made.two() == 3\n"
        "def test_exit(): raise SystemExit(0)\n",
        "def two(): return 2\n",
    )
    assert (report.tests_run, report.tests_passed, report.tests_stopped) == (3, 1, None)
    assert [failed.test for failed in report.failed_tests] == ["test_bad", "test_exit"]
    assert "made.two() == 3" in report.failed_tests[0].message
    assert report.tests_output == "hear ye\n"


@pytest.mark.parametrize(
    ("tests", "said"),
    [
        ("import nowhere", "No module named 'nowhere'"),
        ("def test_x(:", "invalid syntax"),
        ("1/0", "division"),
    ],
)
async def test_tests_that_cannot_be_loaded_are_a_failure(tests: str, said: str) -> None:
    report = await ran(tests)
    (failed,) = report.failed_tests
    assert "the tests cannot be loaded" in failed.message
    assert said in failed.message
    assert report.tests_passed == 0


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("while True: pass", "they took more than 1 s"),
        ("import time; time.sleep(600)", "they took more than 1 s"),
        ("import signal, time; signal.setitimer(signal.ITIMER_REAL, 0)\n while True: pass", "processor time"),
        ("import os; os._exit(0)", "their process ended without an answer (status 0)"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "they were killed"),
    ],
    ids=["computes", "sleeps", "no clock", "exits", "killed"],
)
async def test_tests_that_never_come_to_their_end_are_stopped(scratch: Path, body: str, said: str) -> None:
    report = await ran(f"def test_x():\n {body}\n", seconds=1.0)
    assert report.tests_stopped is not None
    assert said in report.tests_stopped
    assert (report.tests_run, report.failed_tests) == (0, [])
    assert os.listdir(scratch) == []


@pytest.mark.skipif(os.uname().sysname != "Linux", reason="macOS does not limit the address space")
async def test_memory_is_limited() -> None:
    (failed,) = (await ran("def test_x(): bytearray(1 << 30)")).failed_tests
    assert failed.message.endswith("MemoryError\n")


async def test_what_is_printed_is_limited() -> None:
    report = await ran("def test_x():\n while True: print('x' * 1000)\ndef test_y(): pass\n")
    assert (report.tests_run, report.tests_passed) == (2, 1)
    assert len(report.tests_output) <= 4_000


async def test_it_is_cut_off_from_this_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "x")
    report = await ran(
        "import os, sys\n"
        "def test_environment(): assert 'SECRET' not in os.environ\n"
        "def test_packages(): assert not any('site-packages' in path for path in sys.path)\n"
        "def test_session(): assert os.getpid() == os.getsid(0) == os.getpgid(0)\n"
    )
    assert report.tests_passed == 3, report


async def test_cancelling_kills_the_process_and_all_that_it_started(scratch: Path) -> None:
    """The child of the test reports itself alive by holding a pipe that is passed by name."""
    fifo = scratch / "alive"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    loop = asyncio.get_running_loop()
    try:
        task = asyncio.create_task(
            ran(
                "import os, signal, time\n"
                "def test_x():\n"
                f" pipe = os.open({str(fifo)!r}, os.O_WRONLY)\n"
                " try: child = os.fork() == 0\n"  # refused where the limit of processes holds
                " except OSError: child = False\n"
                " os.write(pipe, f'{os.getpid()}\\n'.encode())\n"
                " time.sleep(600)\n"
            )
        )
        began = asyncio.Event()
        loop.add_reader(reader, began.set)
        async with asyncio.timeout(LIMIT_SECONDS):
            await began.wait()
        loop.remove_reader(reader)
        assert int(os.read(reader, 100).split()[0]) > 0
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        ended = asyncio.Event()

        def look() -> None:
            if os.read(reader, 100) == b"":  # nobody holds the other end
                ended.set()

        loop.add_reader(reader, look)
        async with asyncio.timeout(LIMIT_SECONDS):
            await ended.wait()
    finally:
        loop.remove_reader(reader)
        os.close(reader)
    assert os.listdir(scratch) == ["alive"]


async def test_a_child_that_gets_no_order_ends_by_itself() -> None:
    """As after a crash of the daemon between its start and its order."""

    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-S", suite_child.__file__,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.close()
    async with asyncio.timeout(LIMIT_SECONDS):
        assert await process.wait() not in (0, -signal.SIGALRM)
