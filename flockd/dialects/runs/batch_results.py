"""The results of a batch, read page by page: others have the loop in between."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import orjson

from flockd.domain.batch import ItemState
from flockd.store.reads import ItemResult, Reads

_PAGE = 500


async def pages(reads: Reads, batch_id: str) -> AsyncIterator[list[ItemResult]]:
    """All items of a batch, in their order."""
    after = -1
    while page := await reads.batch_items(batch_id, after, _PAGE):
        yield page
        after = page[-1].item


def result(item: ItemResult, return_errors: bool) -> Any:
    """An item's place in `results`: the last artifact of its workflow, as /run/flock has it; null if there is none.

    Ready for orjson.
    """
    if item.state is ItemState.failed and return_errors:
        return {"error": item.error}
    return orjson.Fragment(item.outputs[-1].payload) if item.outputs else None
