"""Descriptors that this process alone is to hold: what an agent forks closes its copies of them.

A forked process has a copy of every descriptor of its parent, and may outlive it, as the workers of a
ProcessPoolExecutor do when the daemon is killed. As long as one of them has the lock or listens, no other daemon can
start; and no client sees that its connection has ended.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

Descriptors = Callable[[], Iterable[int]]

_alone: list[Descriptors] = []


@contextmanager
def held_alone(descriptors: Descriptors) -> Iterator[None]:
    """Within this block no process that is forked keeps a copy of these. It is the one that asks which they are."""
    _alone.append(descriptors)
    try:
        yield
    finally:
        _alone.remove(descriptors)


def _let_go() -> None:
    """In the forked process, before anything else of it runs."""
    for descriptors in _alone:
        for descriptor in descriptors():
            with suppress(OSError):
                os.close(descriptor)
    _alone.clear()


os.register_at_fork(after_in_child=_let_go)
