"""The checks for every test fail the tests that they should: each is shown on a small test of its own."""

import asyncio
import os
import shutil
import sys
from pathlib import Path

import pytest

from . import ROOT

SKIPPED = "import pytest\n\n@pytest.mark.skip(reason='no such thing here')\ndef test_it(): ...\n"
SKIPPED_MODULE = "import pytest\n\npytest.importorskip('no_such_module')\n"
EXPECTED_FAILURE = "import pytest\n\n@pytest.mark.xfail\ndef test_it(): assert False\n"
LEFT_TASK = """\
import asyncio
tasks = []
async def test_it():
    tasks.append(asyncio.create_task(asyncio.Event().wait(), name="forgotten"))
"""
ENDED_TASK = LEFT_TASK + "    tasks[0].cancel()\n"
LEFT_FILE = "files = []\ndef test_it(tmp_path):\n    files.append((tmp_path / 'forgotten').open('w'))\n"


async def _pytest(folder: Path, source: str, *, strict: bool = False) -> tuple[int, str]:
    """Runs `source` under our conftest in a process of its own: its exit code and what it printed."""
    shutil.copy(ROOT / "tests" / "conftest.py", folder)
    (folder / "test_source.py").write_text(source)
    (folder / "pytest.ini").write_text("[pytest]\nasyncio_mode = auto\n")
    process = await asyncio.create_subprocess_exec(
        *(
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:schemathesis",
            "--basetemp=temporary",
        ),
        cwd=folder,
        env=os.environ | {"FLOCKD_TEST_STRICT": "1" if strict else ""},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


@pytest.mark.parametrize("source", [SKIPPED, SKIPPED_MODULE])
async def test_a_skip_fails_if_strict(tmp_path: Path, source: str) -> None:
    code, output = await _pytest(tmp_path, source, strict=True)
    assert code in (pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.INTERRUPTED)
    assert "FLOCKD_TEST_STRICT=1 allows no skipped test: " in output


async def test_a_skip_is_a_skip_otherwise(tmp_path: Path) -> None:
    code, output = await _pytest(tmp_path, SKIPPED)
    assert (code, "1 skipped" in output) == (pytest.ExitCode.OK, True)


async def test_an_expected_failure_is_no_skip(tmp_path: Path) -> None:
    code, output = await _pytest(tmp_path, EXPECTED_FAILURE, strict=True)
    assert (code, "1 xfailed" in output) == (pytest.ExitCode.OK, True)


@pytest.mark.parametrize("source", [LEFT_TASK, LEFT_FILE])
async def test_what_is_left_behind_fails_the_test(tmp_path: Path, source: str) -> None:
    code, output = await _pytest(tmp_path, source)
    assert code == pytest.ExitCode.TESTS_FAILED
    assert "forgotten" in output


async def test_a_task_that_was_told_to_end_may_do_so(tmp_path: Path) -> None:
    code, output = await _pytest(tmp_path, ENDED_TASK)
    assert (code, "1 passed" in output) == (pytest.ExitCode.OK, True)
