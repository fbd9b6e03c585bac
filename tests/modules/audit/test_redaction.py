"""No secret reaches a log line or an audit row, however deep it lies."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.logging import HIDDEN, redact
from app.core.secrets import Secret, new_secret

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
    ]
)


@pytest.mark.promise("S4-62")
@given(nested(PLAIN | BY_TYPE | UNDER_A_NAME | IN_TEXT))
def test_no_secret_survives_at_any_depth(value: Any) -> None:
    assert MARK not in json.dumps(redact({"value": value}), ensure_ascii=False)


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
    for prefix in ("tn_", "own_"):
        secret = str(new_secret(prefix))
        assert redact(f"sent {secret} twice") == f"sent {prefix}{HIDDEN} twice"
    assert redact("starts with tn_abcde") == "starts with tn_abcde"


@pytest.mark.parametrize("value", [None, True, False])
def test_whether_a_secret_is_set_may_be_said(value: bool | None) -> None:
    assert redact({"password": value}) == {"password": value}


def test_a_secret_does_not_show_itself_in_a_traceback() -> None:
    secret = new_secret("tn_")
    assert str(secret) not in repr({"secret": secret})
