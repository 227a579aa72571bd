"""Identifiers: UUIDv7 in canonical text form.

Time-ordered ids keep index inserts at the right edge of their tree. Order is never read from an id: order is `seq`.
"""

from __future__ import annotations

import os
import re
import threading
import time
from functools import lru_cache
from uuid import UUID

_CANONICAL = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class _Noise:
    """Random bytes from the system, fetched some at a time: a system call for each id would cost more than the id."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._hex = ""
        self._at = 0

    def take(self) -> str:
        """Twenty random hex digits, never handed out before; for any thread."""
        with self._lock:
            if self._at >= len(self._hex):
                self._hex, self._at = os.urandom(5120).hex(), 0
            self._at += 20
            return self._hex[self._at - 20 : self._at]


_noise = _Noise()


def new_id() -> str:
    """A new UUIDv7 (RFC 9562): 48 bits of Unix milliseconds, then 74 random bits."""
    digits = f"{time.time_ns() // 1_000_000:012x}"
    noise = _noise.take()
    return f"{digits[:8]}-{digits[8:]}-7{noise[:3]}-{'89ab'[int(noise[3], 16) & 3]}{noise[4:7]}-{noise[7:19]}"


def parse_id(text: str) -> str | None:
    """The canonical form of a UUID of any version, or None where `text` is not one."""
    if _CANONICAL.fullmatch(text):
        return text
    try:
        return str(UUID(text))
    except ValueError:
        return None


@lru_cache(maxsize=4096)
def id_bytes(text: str) -> bytes:
    """The 16 bytes under which an id is stored. One that is stored comes in a dozen rows of its group."""
    return bytes.fromhex(text.replace("-", ""))


def id_text(raw: bytes) -> str:
    """The canonical text of 16 stored bytes."""
    digits = raw.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
