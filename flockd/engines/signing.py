"""Signed requests: the headers of the Standard Webhooks specification, by which a receiver knows who sent a body.

Its libraries, in many languages, verify them: https://www.standardwebhooks.com.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

PREFIX = "whsec_"
"""Of a secret that is base64; any other is taken as its UTF-8 bytes."""


def key_of(secret: str) -> bytes:
    """The key that a secret stands for. Raises ValueError, with a sentence that does not quote it."""
    if not secret.startswith(PREFIX):
        key = secret.encode()
    else:
        text = secret.removeprefix(PREFIX)
        try:
            key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
        except (binascii.Error, ValueError):
            raise ValueError(f"what follows {PREFIX} is not base64") from None
    if not key:
        raise ValueError("it is empty")
    return key


def signed_headers(secret: str, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers for one sending of a message; `timestamp` is in seconds since the epoch.

    A message keeps its id when it is sent again, and gets a new timestamp: receivers refuse old ones.
    Raises ValueError as `key_of`.
    """
    signed = b".".join([message_id.encode(), str(timestamp).encode(), body])
    digest = hmac.new(key_of(secret), signed, hashlib.sha256).digest()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }
