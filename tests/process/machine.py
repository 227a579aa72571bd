"""The machine of somebody who reads a page of the documentation and does what it says."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from .daemon import READY, ROOT, environment

ADDRESS = "localhost:8344"
"""Where the pages say that the daemon is."""
END_SECONDS = 60.0
"""A limit, not an expectation."""

VARIES = (
    (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", "TIME"),
    (r"\d\d:\d\d:\d\d\.\d{3}", "TIME"),
    (r" +#\d+", " #SEQ"),
    (r"^id: \d+", "id: SEQ"),
    (r'"(seq|head|position|duration_ms)": ?\d+', r'"\1": N'),
    (r"\d+ ms\b", "N ms"),
    (r"127\.0\.0\.1:\d+", "HOST:PORT"),
)

# Where a machine has no curl: what the pages use of it.
CURL = """\
#!{python}
import sys, urllib.request
words, headers, data, url = iter(sys.argv[1:]), {{}}, None, ""
for word in words:
    if word == "-H":
        name, _, headers[name] = next(words).partition(": ")
    elif word == "-d":
        data = next(words).encode()
    elif word not in ("-s", "-sN"):
        url = word
with urllib.request.urlopen(urllib.request.Request("http://" + url, data, headers)) as answer:
    while piece := answer.read1():
        sys.stdout.write(piece.decode())
        sys.stdout.flush()
"""


def plain(output: str) -> list[str]:
    """The lines that a command printed, as they may be compared: blank ones left out, and what varies made equal."""
    for pattern, word in VARIES:
        output = re.sub(pattern, word, output, flags=re.MULTILINE)
    return [line.rstrip() for line in output.splitlines() if line.strip()]


class Machine:
    """A folder with the files of the pages, `flockd` and `curl` on the path, and at most one daemon."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "docs").mkdir()
        shutil.copy(ROOT / "docs" / "example.py", folder / "docs")
        programs = folder / "bin"
        programs.mkdir()
        self._write(programs / "flockd", f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m flockd "$@"\n')
        if shutil.which("curl") is None:
            self._write(programs / "curl", CURL.format(python=sys.executable))
        path = (str(programs), str(Path(sys.executable).parent), os.environ["PATH"])
        self.environment = environment() | {"PATH": os.pathsep.join(path), "NO_PROXY": "*"}
        self.url = ""
        self.daemon: subprocess.Popen[str] | None = None

    @staticmethod
    def _write(path: Path, text: str) -> None:
        path.write_text(text, "utf-8")
        path.chmod(0o755)

    def serve(self, command: str) -> str:
        """Start a daemon on a free port in place of the one that runs; its ready line."""
        self.stop()
        process = self._start(f"exec {command}", {"FLOCKD_SERVER__PORT": "0"})
        self.daemon = process
        assert process.stdout is not None
        ready = process.stdout.readline()
        found = READY.search(ready)
        assert found is not None, ready + process.communicate()[0]
        self.url = found[1]
        return ready

    def stop(self) -> None:
        """Ctrl-C, which a daemon takes well."""
        if self.daemon is not None:
            process, self.daemon = self.daemon, None
            process.send_signal(signal.SIGINT)
            output, _ = process.communicate(timeout=END_SECONDS)
            assert process.returncode == 0, output

    def run(self, command: str) -> str:
        """A command that ends by itself."""
        process = self._start(command, self._daemon_settings())
        output, _ = process.communicate(timeout=END_SECONDS)
        assert process.returncode == 0, output
        return output

    def watch(self, command: str, wanted: int) -> str:
        """The first lines of one that does not, blank ones not counted."""
        process = self._start(f"exec {command}", self._daemon_settings())
        assert process.stdout is not None
        seen: list[str] = []
        while len(seen) < wanted and (line := process.stdout.readline()):
            seen += [line] if line.strip() else []
        process.terminate()
        process.communicate(timeout=END_SECONDS)
        return "".join(seen)

    def close(self) -> None:
        if self.daemon is not None:
            self.daemon.kill()
            self.daemon.communicate()

    def _daemon_settings(self) -> dict[str, str]:
        return {"FLOCKD_SERVER__PORT": self.url.rpartition(":")[2]}

    def _start(self, command: str, settings: dict[str, str]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["sh", "-c", command.replace(ADDRESS, self.url.removeprefix("http://"))],
            cwd=self.folder,
            env=self.environment | settings,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
        )
