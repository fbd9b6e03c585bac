"""No secret reaches a log line or an audit row, however deep it lies."""

import io
import json
import time
from contextlib import redirect_stderr
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from app.core.logging import HIDDEN, configure, is_hidden, redact
from app.core.secrets import Secret, new_secret
from app.core.settings import Settings

MARK = "open-sesame-0f3a"
SECRET_NAMES = st.sampled_from(
    [
        "password", "Password", "newPassword", "password_hash", "passphrase", "pass", "secret", "clientSecret",
        "token", "accessToken", "access_token", "token_hash", "apiKey", "api_key", "OPENROUTER_API_KEY",
        "Authorization", "cookie", "Set-Cookie", "credentials", "private_key", "otp", "csrf", "_csrf_token",
        "DATABASE_DSN", "tokens",
    ]
)  # fmt: skip
PLAIN_NAMES = st.sampled_from(["name", "title", "status", "author", "compass", "count", "scopes", "é"])
PLAIN = st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.sampled_from(["", "Harbour", "two\nlines", "Süd"])


def nested(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(PLAIN_NAMES, inner, max_size=3),
        max_leaves=8,
    )


# A secret by its type, a secret under a telling name (in whatever shape), and a secret within running text.
BY_TYPE = st.just(Secret(MARK))
UNDER_A_NAME = st.builds(lambda name, value: {name: value}, SECRET_NAMES, st.just(MARK) | st.just([MARK, MARK]))
IN_TEXT = st.sampled_from(
    [
        f"postgresql://app:{MARK}@db/x",
        f"curl -H 'Authorization: Bearer {MARK}{MARK}'",
        f"GET /setup/own_{MARK}{MARK} 200",
        f"https://app.example/back?next=/&access_token={MARK}&page=2#top",
        f"refused: cs_{MARK}{MARK}",
        f"an exchange gave eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIx{MARK}In0.{MARK} today",
        f"postgresql+asyncpg://app:{MARK}@db.internal:5432/x?sslmode=require",
    ]
)


@dataclass
class Setting:
    value: Any
    password: str = MARK


# What carries text without being it: bytes, errors and what caused them, dataclasses, keys.
IN_TYPES = st.one_of(
    st.builds(lambda text: text.encode(), IN_TEXT),
    st.builds(lambda text: bytearray(text.encode()), IN_TEXT),
    st.builds(lambda text: OSError(5, text), IN_TEXT),
    st.builds(lambda text: ValueError({"asked": [text]}), IN_TEXT),
    st.builds(lambda text: ExceptionGroup("both", [ValueError(text), KeyError(text)]), IN_TEXT),
    st.builds(Setting, IN_TEXT | BY_TYPE),
    st.builds(lambda text: {text: 1}, IN_TEXT | BY_TYPE),
    st.builds(lambda text: (text, frozenset([text])), IN_TEXT | BY_TYPE),
    UNDER_A_NAME.map(lambda named: {name: str(value).encode() for name, value in named.items()}),
)


@pytest.mark.promise("S4-62")
@given(nested(PLAIN | BY_TYPE | UNDER_A_NAME | IN_TEXT | IN_TYPES))
def test_no_secret_survives_at_any_depth_and_in_any_type(value: Any) -> None:
    assert MARK not in json.dumps(redact({"value": value}), ensure_ascii=False, default=repr)


@given(IN_TEXT, st.integers(0, 3))
def test_no_secret_survives_in_the_traceback_of_a_log_line(settings: Settings, text: str, depth: int) -> None:
    configure(settings)

    def fails(left: int) -> None:
        try:
            raise ValueError(text) if not left else fails(left - 1)  # type: ignore[misc]
        except ValueError as error:
            raise OSError(f"could not: {error}") from error

    written = io.StringIO()
    with redirect_stderr(written):
        try:
            fails(depth)
        except OSError as error:
            structlog.get_logger().error("it.failed", exc_info=error, cause=error, url=text)
    line = written.getvalue()
    assert "it.failed" in line and "could not" in line and MARK not in line


@pytest.mark.parametrize(
    "piece",
    [
        "x",
        "tn_",
        "eyJ",
        "-eyJ.",
        "x://a:",
        "a://",
        "?a=",
        "&token=",
        "Bearer ",
        "otp_=",
        "\u0660",
        "://",
        "a://b:",
        "-cs_",
        "a://b:c",
        "a@",
    ],
)
def test_a_long_text_of_any_kind_is_gone_through_once(piece: str) -> None:
    """Sixteen times the text takes about sixteen times as long, and not 256 times: a megabyte would take hours."""

    def cost(length: int) -> float:
        text = piece * (length // len(piece))
        times = []
        for _ in range(3):
            started = time.thread_time()
            redact({"value": text, "error": ValueError(text)})
            is_hidden(text)
            times.append(time.thread_time() - started)
        return min(times)

    cost(1_000)
    assert cost(400_000) < 64 * max(cost(25_000), 0.0005)


def test_plain_bytes_and_errors_stay_what_they_are() -> None:
    assert redact({"body": b"\xff\x00plain"}) == {"body": b"\xff\x00plain"}
    assert redact(OSError(5, "a disk")) == "OSError(5, 'a disk')"
    assert redact("/articles?status=draft&compass=1&next=/a?b=c") == "/articles?status=draft&compass=1&next=/a?b=c"
    assert (
        redact("eyJ is how a JWT begins; eyJhbGciOi alone is none")
        == "eyJ is how a JWT begins; eyJhbGciOi alone is none"
    )


@given(nested(PLAIN))
def test_what_is_no_secret_stays_as_it_is(value: Any) -> None:
    assert redact({"value": value}) == {"value": value}


@given(st.dictionaries(SECRET_NAMES, st.dictionaries(PLAIN_NAMES, st.just(MARK), min_size=1), min_size=1))
def test_a_whole_branch_under_a_secret_name_goes(value: dict[str, Any]) -> None:
    names = [name for name in value if name != "tokens"]
    shown = redact(value)
    assert all(shown[name] == HIDDEN for name in names)


def test_counted_tokens_are_no_secret() -> None:
    assert redact({"inputTokens": 812, "tokens": {"out": 7}}) == {"inputTokens": 812, "tokens": {"out": 7}}


class Login(msgspec.Struct):
    user: str
    password: str
    key: Secret


def test_structs_are_looked_into() -> None:
    assert redact([Login("ann", MARK, Secret(MARK))]) == [{"user": "ann", "password": HIDDEN, "key": HIDDEN}]


def test_our_own_tokens_are_found_in_running_text() -> None:
    for prefix in ("tn_", "cs_", "own_", "otp_", "whsec_"):
        secret = str(new_secret(prefix))
        assert redact(f"sent {secret} twice") == f"sent {prefix}{HIDDEN} twice"
    assert redact("starts with tn_abcde") == "starts with tn_abcde"


@pytest.mark.parametrize("value", [None, True, False])
def test_whether_a_secret_is_set_may_be_said(value: bool | None) -> None:
    assert redact({"password": value}) == {"password": value}


def test_a_secret_does_not_show_itself_in_a_traceback() -> None:
    secret = new_secret("tn_")
    assert str(secret) not in repr({"secret": secret})
