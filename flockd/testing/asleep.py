"""Whether an agent sleeps: only time that passes lets it go on."""

from __future__ import annotations

import asyncio
from types import AsyncGeneratorType, CoroutineType
from typing import Any

_SLEEP = asyncio.sleep.__code__


def is_asleep(task: asyncio.Task[Any]) -> bool:
    """Whether a task stands in `asyncio.sleep`, however deep in what it awaits.

    What it has handed to tasks of its own (`gather`, `wait_for`) is not looked into.
    """
    awaited: Any = task.get_coro()
    while awaited is not None:
        match awaited:
            case CoroutineType():
                if awaited.cr_code is _SLEEP:
                    return True
                awaited = awaited.cr_await
            case AsyncGeneratorType():
                awaited = awaited.ag_await
            case _:
                return False
    return False
