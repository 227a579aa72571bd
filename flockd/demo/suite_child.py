"""Runs a module's tests, in a process of its own; a script that imports nothing of this package.

It takes one JSON object on stdin: `module`, `code`, `tests`, `seconds`, `memory_bytes`, `output_bytes`. It puts the
files into the working directory, limits itself, runs each `test_` function once and answers one JSON object on
stdout: `run`, `skipped`, `failures: [[test, message]]`, `output` (the end of what the tests printed). When a
limit is reached the process ends without an answer.
"""

import contextlib
import importlib
import json
import os
import resource
import signal
import sys
import unittest
from pathlib import Path
from typing import Any

MESSAGE_MAX_CHARACTERS = 2_000
OUTPUT_KEPT_BYTES = 4_000


def main() -> None:
    """Takes the order, runs the tests, answers."""
    signal.alarm(60)  # whoever started this may be dead before it says what to do
    order = json.load(sys.stdin.buffer)
    folder = Path.cwd()
    folder.joinpath(f"{order['module']}.py").write_text(order["code"], encoding="utf-8")
    name = f"test_{order['module']}"
    folder.joinpath(f"{name}.py").write_text(order["tests"], encoding="utf-8")
    with os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8") as answer:
        with open(folder / "output.txt", "w+b") as output:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
        limit(order["seconds"], order["memory_bytes"], order["output_bytes"])
        sys.path.insert(0, str(folder))
        report = run(name)
        with contextlib.suppress(OSError):  # more than the file may hold
            sys.stdout.flush()
        printed = (folder / "output.txt").read_bytes()[-OUTPUT_KEPT_BYTES:]
        json.dump({**report, "output": printed.decode(errors="replace")}, answer)


def limit(seconds: float, memory_bytes: int, output_bytes: int) -> None:
    """Limits of this process: the time on the clock and of the processor, memory, the size of a file; no further
    processes (of users other than root) and no core dump."""
    signal.setitimer(signal.ITIMER_REAL, seconds)
    whole = max(int(seconds), 1)
    limits = {
        resource.RLIMIT_CPU: (whole, whole + 1),
        resource.RLIMIT_AS: (memory_bytes, memory_bytes),
        resource.RLIMIT_FSIZE: (output_bytes, output_bytes),
        resource.RLIMIT_NOFILE: (64, 64),
        resource.RLIMIT_NPROC: (0, 0),
        resource.RLIMIT_CORE: (0, 0),
    }
    for kind, bounds in limits.items():
        # macOS refuses some of them; the time on the clock holds everywhere
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, bounds)


def run(name: str) -> dict[str, Any]:
    """Import the tests and run them, in their order."""
    try:
        tests = importlib.import_module(name)
    except Exception as error:
        message = f"the tests cannot be loaded: {type(error).__name__}: {error}"
        return {"run": 0, "skipped": 0, "failures": [[name, message[:MESSAGE_MAX_CHARACTERS]]]}
    suite = unittest.TestSuite(
        unittest.FunctionTestCase(test, description=key)
        for key, test in vars(tests).items()
        if key.startswith("test_") and callable(test)
    )
    result = unittest.TestResult()
    suite.run(result)
    failures = [
        [test.shortDescription() or str(test), trace[-MESSAGE_MAX_CHARACTERS:]]
        for test, trace in [*result.failures, *result.errors]
    ]
    return {"run": result.testsRun, "skipped": len(result.skipped), "failures": failures}


if __name__ == "__main__":
    main()
