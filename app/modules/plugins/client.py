"""One call of a receiver: signed as Standard Webhooks wants it, bounded in time and size, and what came of it."""

import hmac
import secrets
import time
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import msgspec

from app.core.egress import Egress, EgressError, Refused
from app.core.logging import HIDDEN, redact
from app.core.secrets import Secret

TIMEOUT_S = 20.0
"""Less than the queue's 30 s, so that what came of a slow call can still be written down."""
READ, KEPT = 8_192, 2_048
"""Bytes that are read of an answer, and characters that are kept of it once secrets are hidden."""
GONE = 410
PREFIX = "whsec_"


def new_signing_secret() -> Secret:
    """A fresh secret of 256 random bits in the form that libraries for Standard Webhooks take."""
    return Secret(PREFIX + b64encode(secrets.token_bytes(32)).decode())


def signature(secret: str, message: UUID, timestamp: int, body: bytes) -> str:
    """`v1,` and the base64 of HMAC-SHA256 over id, timestamp and body with dots between."""
    signed = b".".join((str(message).encode(), str(timestamp).encode(), body))
    return "v1," + b64encode(hmac.digest(b64decode(secret.removeprefix(PREFIX)), signed, "sha256")).decode()


@dataclass(frozen=True, slots=True)
class Call:
    """What is to be sent, and where. It is signed with each of `secrets`; none of `hidden` may be kept."""

    url: str
    message: UUID
    body: bytes
    secrets: Sequence[str]
    hidden: Sequence[str]


@dataclass(frozen=True, slots=True)
class Result:
    """How a call went; `error` is None where the message was taken. With `final` trying again cannot help."""

    http_code: int | None
    latency_ms: int
    response: str | None
    error: str | None
    final: bool = False

    @property
    def gone(self) -> bool:
        """The receiver says that it will never want anything again."""
        return self.http_code == GONE


async def send(egress: Egress, call: Call) -> Result:
    """POST it. An answer of 200 to 299 means that it was taken; redirects are not followed."""
    timestamp = int(time.time())
    headers = {"webhook-id": str(call.message), "webhook-timestamp": str(timestamp)}
    if call.secrets:
        every = (signature(one, call.message, timestamp, call.body) for one in call.secrets)
        headers["webhook-signature"] = " ".join(every)
    began = time.monotonic()
    try:
        answer = await egress.request(
            "POST", call.url, json=msgspec.Raw(call.body), headers=headers, timeout=TIMEOUT_S, cut_at=READ
        )
    except EgressError as error:
        return Result(None, _since(began), None, str(error), final=isinstance(error, Refused))
    refusal = None if 200 <= answer.status < 300 else f"the receiver answered {answer.status}"
    said = readable(answer.body, call.hidden)
    return Result(answer.status, _since(began), said, refusal, final=answer.status == GONE)


def readable(body: bytes, hidden: Sequence[str]) -> str:
    """The beginning of an answer as text, without what it repeats of our secrets."""
    text = body.decode(errors="replace").replace("\0", "\ufffd")
    for secret in filter(None, hidden):
        text = text.replace(secret, HIDDEN)
    return str(redact(text))[:KEPT]


def _since(began: float) -> int:
    return round((time.monotonic() - began) * 1000)
