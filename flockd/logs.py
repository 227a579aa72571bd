"""Logs: one line each on standard output, as text or as JSON."""

from __future__ import annotations

import logging
import sys
from typing import Literal

import orjson

from flockd.domain.moment import iso

_TALKATIVE = ("aiosqlite", "httpx", "httpx2", "mcp", "openai")
"""Libraries that tell every statement and every request, URLs and all: one may hold a key."""


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "at": iso(int(record.created * 1000)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name in ("run_id", "correlation_id", "request_id"):
            value = getattr(record, name, None)
            if value is not None:
                line[name] = value
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()


def set_up_logs(level: str, form: Literal["text", "json"]) -> None:
    """Send every logger's records to standard output, in place of what was set up before."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        _JsonFormatter()
        if form == "json"
        else logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    )
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel("WARNING")
