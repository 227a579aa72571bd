"""Signed requests, verified by the specification's own library."""

import base64
import time

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from flockd.engines.signing import key_of, signed_headers

BODY = '{"text":"grüße"}'.encode()
SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()


@pytest.mark.parametrize("secret", [SECRET, SECRET.rstrip("=")])
def test_the_librarys_receiver_takes_it(secret: str) -> None:
    headers = signed_headers(secret, "msg-1", int(time.time()), BODY)
    assert Webhook(SECRET).verify(BODY, headers) == {"text": "grüße"}


def test_another_secret_is_taken_as_its_bytes() -> None:
    headers = signed_headers("hunter2 ü", "msg-1", int(time.time()), BODY)
    assert Webhook("hunter2 ü".encode()).verify(BODY, headers) == {"text": "grüße"}


def test_the_example_of_the_specification() -> None:
    headers = signed_headers(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
    )
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


@pytest.mark.parametrize("change", ["body", "id", "timestamp", "secret"])
def test_whatever_is_changed_is_found(change: str) -> None:
    now = int(time.time())
    headers = signed_headers(SECRET, "msg-1", now, BODY)
    if change == "id":
        headers["webhook-id"] = "msg-2"
    if change == "timestamp":
        headers["webhook-timestamp"] = str(now + 1)
    receiver = Webhook(b"another") if change == "secret" else Webhook(SECRET)
    with pytest.raises(WebhookVerificationError):
        receiver.verify(b"{}" if change == "body" else BODY, headers)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_hunter2!", "whsec_ü"])
def test_a_secret_that_is_none_is_refused_and_not_quoted(secret: str) -> None:
    with pytest.raises(ValueError) as refused:
        key_of(secret)
    assert "hunter2" not in str(refused.value)
