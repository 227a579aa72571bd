"""Run flockd with timers and a crash point: `python -m tests.process.timed STEP COMMAND serve …`; see crashing.py."""

import sys
from typing import Any

from flockd import works
from flockd.board import Board
from flockd.cli import main
from flockd.domain.schedule import Every
from flockd.domain.timer import Publishes, Timer

from .crashing import arm

TIMERS = (
    Timer("chain", Every("1s", max_repeats=3), Publishes("A", b'{"n":1}')),
    Timer("word", Every("1s", max_repeats=3), Publishes("Word", b'{"n":2,"text":"tick"}')),
)


def timed_board(*arguments: Any, **named: Any) -> Board:
    """A board with these timers, whatever the flock declares."""
    return Board(*arguments, **{**named, "timers": TIMERS})


if __name__ == "__main__":
    vars(works)["Board"] = timed_board
    arm(*sys.argv[1:3])
    main(sys.argv[3:], prog_name="flockd")
