"""A server that speaks OpenAI's Chat Completions as its test tells it to, and keeps what it was asked.

Each request takes the next line of the script; without one it is answered `{}`. Of OpenAI's newer Responses it has as
much as an answer of text needs.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import orjson
from aiohttp import web

LIMIT_SECONDS = 20.0
MODEL = "tiny"


@dataclass
class Says:
    """The answer, token by token."""

    text: str = "{}"
    tokens: Sequence[str] = ()
    """Instead of `text`."""
    finish: str | None = "stop"
    """None: the answer just stops coming."""
    usage: tuple[int, int] | None = (11, 7)
    """Prompt and completion tokens; None: it does not say."""
    cached: int = 0
    """Of the prompt's tokens."""
    hold_after: int | None = None
    """So many tokens are sent, and the rest when the test says so (`Asked.go_on`)."""
    reasons: str = ""
    """What it thinks before it answers."""


@dataclass
class Calls:
    """Calls of tools: (name, arguments as JSON)."""

    calls: Sequence[tuple[str, str]]
    finish: str = "tool_calls"
    usage: tuple[int, int] | None = (11, 7)


@dataclass
class Refuses:
    """An error instead of an answer."""

    status: int
    message: str = "no"
    headers: dict[str, str] = field(default_factory=dict)
    code: str | None = None


@dataclass
class Breaks:
    """The connection breaks, after these tokens; without any before the first byte."""

    tokens: Sequence[str] = ()


@dataclass
class Hangs:
    """Nothing comes, ever."""


@dataclass
class Sends:
    """These chunks, whatever they are; then the stream ends well."""

    chunks: Sequence[bytes]
    """JSON, each the data of an event."""


@dataclass
class Page:
    """No answer at all, but whatever a proxy or a wrong address says."""

    body: bytes = b"<html>Please log in</html>"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


Line = Says | Calls | Refuses | Breaks | Hangs | Sends | Page


class Asked:
    """One request."""

    def __init__(self, body: dict[str, Any], headers: dict[str, str]) -> None:
        self.body = body
        self.headers = headers
        self.at = asyncio.get_running_loop().time()
        self.holding = asyncio.Event()
        """It has sent what it sends before it holds."""
        self.going_on = asyncio.Event()
        self.ended = asyncio.Event()
        self.closed = asyncio.Event()
        """The client closed the connection before the answer was whole."""

    @property
    def prompt(self) -> str:
        """What the user says, of all of its messages."""
        return "\n".join(one["content"] for one in self.body["messages"] if one["role"] == "user")

    def go_on(self) -> None:
        self.going_on.set()


class FakeOpenAI:
    """The server; an async context manager."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.at_once = 0
        """The most requests that it had at one time."""
        self._script: deque[Line] = deque()
        self._working = 0
        self._bell = asyncio.Event()
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._answer)
        app.router.add_post("/v1/responses", self._answer)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"
        return self

    async def __aexit__(self, *_error: object) -> None:
        for asked in self.asked:
            asked.going_on.set()
        await self._runner.cleanup()

    def script(self, *lines: Line | str) -> None:
        """What it does with the next requests; a text is an answer."""
        self._script.extend(Says(line) if isinstance(line, str) else line for line in lines)

    async def request(self, number: int) -> Asked:
        """The n-th request, counted from 1, as soon as it is there."""
        async with asyncio.timeout(LIMIT_SECONDS):
            while len(self.asked) < number:
                self._bell.clear()
                await self._bell.wait()
        return self.asked[number - 1]

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        asked = Asked(orjson.loads(await request.read()), dict(request.headers))
        line = self._script.popleft() if self._script else Says()
        self.asked.append(asked)
        self._working += 1
        self.at_once = max(self.at_once, self._working)
        self._bell.set()
        try:
            return await self._perform(request, asked, line)
        except (asyncio.CancelledError, ConnectionResetError):
            asked.closed.set()
            raise
        finally:
            self._working -= 1
            asked.ended.set()

    async def _perform(self, request: web.Request, asked: Asked, line: Line) -> web.StreamResponse:
        if request.path == "/v1/responses" and isinstance(line, (Says, Breaks)):
            return await _respond(request, line)
        match line:
            case Refuses(status, message, headers, code):
                error = {"message": message, "type": "error", "code": code}
                return web.json_response({"error": error}, status=status, headers=headers)
            case Page(body, status, headers):
                return web.Response(body=body, status=status, content_type="text/html", headers=headers)
            case Sends(chunks):
                stream = await _open(request)
                for sent in chunks:
                    await stream.write(b"data: " + sent + b"\n\n")
                await stream.write_eof()
                return stream
            case Hangs():
                await asked.going_on.wait()
                raise web.HTTPGatewayTimeout
            case Breaks(tokens=()):
                assert request.transport is not None
                request.transport.abort()
                return web.Response()
            case Breaks(tokens):
                stream = await _open(request)
                for token in tokens:
                    await _send(stream, _delta(content=token))
                assert request.transport is not None
                request.transport.close()
                return stream
            case Calls(calls, finish, usage):
                stream = await _open(request)
                for chunk in _calls(calls):
                    await _send(stream, chunk)
                return await _end(stream, finish, usage)
            case Says():
                return await self._say(request, asked, line)

    async def _say(self, request: web.Request, asked: Asked, line: Says) -> web.StreamResponse:
        stream = await _open(request)
        if line.reasons:
            await _send(stream, _delta(reasoning_content=line.reasons))
        tokens = line.tokens or [line.text[at : at + 5] for at in range(0, len(line.text), 5)]
        for number, token in enumerate(tokens):
            if number == line.hold_after:
                asked.holding.set()
                await asked.going_on.wait()
            await _send(stream, _delta(content=token))
        if line.finish is None:
            await stream.write_eof()
            return stream
        return await _end(stream, line.finish, line.usage, line.cached)


async def _open(request: web.Request) -> web.StreamResponse:
    stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await stream.prepare(request)
    return stream


async def _send(stream: web.StreamResponse, chunk: dict[str, Any]) -> None:
    await stream.write(b"data: " + orjson.dumps(chunk) + b"\n\n")


async def _end(
    stream: web.StreamResponse, finish: str, usage: tuple[int, int] | None, cached: int = 0
) -> web.StreamResponse:
    await _send(stream, _chunk([{"index": 0, "delta": {}, "finish_reason": finish}]))
    if usage is not None:
        prompt, completion = usage
        told: dict[str, Any] = {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
        }
        if cached:
            told["prompt_tokens_details"] = {"cached_tokens": cached}
        await _send(stream, {**_chunk([]), "usage": told})
    await stream.write(b"data: [DONE]\n\n")
    await stream.write_eof()
    return stream


async def _respond(request: web.Request, line: Says | Breaks) -> web.StreamResponse:
    """As the Responses API does. One that breaks ends well for HTTP, but without the event that ends an answer."""
    stream = await _open(request)
    response = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1_795_219_200,
        "model": MODEL,
        "output": [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
    }
    item = {"id": "msg_1", "type": "message", "role": "assistant", "content": [], "status": "in_progress"}
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    text = {"type": "output_text", "text": "", "annotations": []}
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": {**response, "status": "in_progress"}},
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {"type": "response.content_part.added", "part": text, **place},
    ]
    tokens = line.tokens or (line.text if isinstance(line, Says) else "",)
    events += [
        {"type": "response.output_text.delta", "delta": token, "logprobs": [], **place} for token in tokens
    ]
    if isinstance(line, Says):
        whole = {**text, "text": "".join(tokens)}
        done = {**item, "content": [whole], "status": "completed"}
        events.append({"type": "response.output_item.done", "output_index": 0, "item": done})
        prompt, completion = line.usage or (0, 0)
        usage = {
            "input_tokens": prompt,
            "input_tokens_details": {"cached_tokens": line.cached},
            "output_tokens": completion,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": prompt + completion,
        }
        ended = {**response, "status": "completed", "output": [done], "usage": usage}
        events.append({"type": "response.completed", "response": ended})
    for number, event in enumerate(events):
        name = event["type"].encode()
        data = orjson.dumps({**event, "sequence_number": number})
        await stream.write(b"event: " + name + b"\ndata: " + data + b"\n\n")
    await stream.write_eof()
    return stream


def _calls(calls: Iterable[tuple[str, str]]) -> Iterable[dict[str, Any]]:
    """Each call as its name and then its arguments in two halves, as servers stream them."""
    for index, (name, arguments) in enumerate(calls):
        function = {"name": name, "arguments": ""}
        yield _delta(
            tool_calls=[{"index": index, "id": f"call_{index}", "type": "function", "function": function}]
        )
        middle = len(arguments) // 2
        for half in (arguments[:middle], arguments[middle:]):
            yield _delta(tool_calls=[{"index": index, "function": {"arguments": half}}])


def _delta(**delta: Any) -> dict[str, Any]:
    return _chunk([{"index": 0, "delta": {"role": "assistant", **delta}, "finish_reason": None}])


def _chunk(choices: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1_795_219_200,
        "model": MODEL,
        "choices": choices,
    }
