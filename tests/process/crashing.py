"""Run flockd with one crash point armed: `python -m tests.process.crashing STEP COMMAND serve …`.

The process kills itself with SIGKILL the first time that the write door reaches STEP with a group that holds
a COMMAND. In the writer's thread it first gives the rest of the process a moment, so that an answer or event
that is sent too early gets out and is seen.
"""

import os
import signal
import sys
import threading
import time

from flockd.cli import main
from flockd.store import writer

MOMENT_SECONDS = 0.2


def arm(step: str, command: str) -> None:
    """Let the write door's probe end the process at this step of the first group with this command."""

    def probe(reached: str, commands: tuple[str, ...]) -> None:
        if reached == step and command in commands:
            if threading.current_thread() is not threading.main_thread():
                time.sleep(MOMENT_SECONDS)
            os.kill(os.getpid(), signal.SIGKILL)

    vars(writer)["probe"] = probe


if __name__ == "__main__":
    arm(*sys.argv[1:3])
    main(sys.argv[3:], prog_name="flockd")
