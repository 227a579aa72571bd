"""The files into which batches write their results (`write_to_csv`): each once its batch has ended."""

from __future__ import annotations

import asyncio
import csv
import io
import logging
import os
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, Self

import orjson
from aiohttp import web

from flockd.board import Board, Published
from flockd.dialects.runs.batch_folder import BatchFolder
from flockd.dialects.runs.batch_options import BatchOptions
from flockd.dialects.runs.batch_results import pages, result
from flockd.domain.result_table import ResultTable
from flockd.errors import InvalidInput, NotFound, Unavailable
from flockd.store.reads import ItemResult
from flockd.streams.hub import Hub

log = logging.getLogger(__name__)

RETRY_SECONDS = 30.0
"""Between attempts to write a file, where the disk is full, say."""


class BatchFiles:
    """Writes the results of batches that asked for it: whole and at once, by a rename, in the order in which they end.

    That one is still to be written stands in the batch's row from its start until the results are in place, so a
    process that dies in between leaves no file out, and none that its owner has taken away comes back.
    """

    def __init__(
        self,
        hub: Hub,
        board: Board,
        *,
        folder: Path | None,
        retry_seconds: float = RETRY_SECONDS,
    ) -> None:
        self._hub = hub
        self._board = board
        self._reads = board.reads
        self._folder = BatchFolder(folder)
        self._retry_seconds = retry_seconds
        self._turn = asyncio.Lock()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._starting: set[asyncio.Task[Published]] = set()

    async def __aenter__(self) -> Self:
        for batch_id in await self._reads.unwritten_batches():
            self._follow(batch_id)
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*self._starting, return_exceptions=True)
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def start(self, starting: Coroutine[Any, Any, Published]) -> Published:
        """Start a batch whose results are to be written.

        A client that leaves in between has started it all the same, and so it gets its file.
        """
        task = asyncio.get_running_loop().create_task(self._start(starting), name="batch with a file")
        self._starting.add(task)
        task.add_done_callback(self._started)
        return await asyncio.shield(task)

    async def _start(self, starting: Coroutine[Any, Any, Published]) -> Published:
        published = await starting
        if published.answer is None:  # else it was acknowledged before, and its file has been seen to
            self._follow(published.correlation_id)
        return published

    def _started(self, task: asyncio.Task[Published]) -> None:
        self._starting.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.debug("a batch with a file was refused: %s", task.exception())

    # -- one file -------------------------------------------------------------------------------------------

    def _follow(self, batch_id: str) -> None:
        if batch_id not in self._tasks:
            task = asyncio.get_running_loop().create_task(self._run(batch_id), name=f"batch file {batch_id}")
            self._tasks[batch_id] = task
            task.add_done_callback(lambda _: self._tasks.pop(batch_id, None))

    async def _run(self, batch_id: str) -> None:
        """From a batch that runs to its file; a shutdown leaves it to the next start."""
        while True:
            try:
                await self._ended(batch_id)
                async with self._turn:  # one at a time: at a start there may be many
                    await self._write(batch_id)
                await self._tell_written(batch_id)
                return
            except Unavailable:
                return
            except NotFound:
                log.warning("batch %s is no longer on the board; its file is not written", batch_id)
                return
            except InvalidInput as refused:  # its folder is gone, or a link leads it out of batch.dir
                log.error("the file of batch %s is not written: %s", batch_id, refused.message)
                return
            except Exception:
                log.exception("the file of batch %s cannot be written; trying again", batch_id)
                await asyncio.sleep(self._retry_seconds)

    async def _ended(self, batch_id: str) -> None:
        """Returns when the batch has ended. Raises NotFound where there is none, Unavailable at a shutdown."""
        with self._hub.watch_end(batch_id) as watch:
            correlation = await self._reads.correlation(batch_id)
            if correlation is None:
                raise NotFound
            if correlation.completed_at is None:
                await watch.ended(correlation.round, None)

    async def _tell_written(self, batch_id: str) -> None:
        """However long the store cannot write: the next start would bring back a file that its owner has taken away."""
        while True:
            try:
                return await self._board.batch_written(batch_id)
            except Unavailable:
                await asyncio.sleep(self._retry_seconds)

    async def _write(self, batch_id: str) -> None:
        batch = await self._reads.batch(batch_id)
        if batch is None:
            raise NotFound
        options = BatchOptions.load(batch.options)
        if options.write_to_csv is None:
            return
        target = await asyncio.to_thread(self._folder.target, options.write_to_csv)
        part = target.with_name(f".{batch_id}.part")
        table = ResultTable()
        async for page in pages(self._reads, batch_id):
            for one in _results(page, options.return_errors):
                table.see(one)
        await asyncio.to_thread(_begin, part, _csv([table.headings]))
        async for page in pages(self._reads, batch_id):
            lines = [table.line(one) for one in _results(page, options.return_errors)]
            await asyncio.to_thread(_append, part, _csv(lines))
        await asyncio.to_thread(_finish, part, target)
        log.info("batch %s: its results are in %s", batch_id, target)


BATCH_FILES: web.AppKey[BatchFiles] = web.AppKey("BATCH_FILES", BatchFiles)


def _results(page: Sequence[ItemResult], return_errors: bool) -> list[Any]:
    """The results of a page as plain data; a failed item is its error, or nothing."""
    return [orjson.loads(orjson.dumps(result(item, return_errors))) for item in page]


def _csv(lines: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue().encode()


def _begin(part: Path, text: bytes) -> None:
    """What an attempt before this one left is begun anew; a link that lies there is not followed."""
    part.unlink(missing_ok=True)
    with open(part, "xb") as file:
        file.write(text)


def _append(part: Path, text: bytes) -> None:
    with open(part, "ab") as file:
        file.write(text)


def _finish(part: Path, target: Path) -> None:
    """Into place, whole: whoever opens the target sees all of the results, or what was there before."""
    with open(part, "rb") as file:
        os.fsync(file.fileno())
    os.replace(part, target)
    _sync(target.parent)


def _sync(folder: Path) -> None:
    """Make what was renamed or made in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
