"""The `openrouter` provider against a server that speaks the protocol over a real socket."""

import json
import socket
import time
import traceback
from collections.abc import AsyncIterator
from decimal import Decimal

import pytest
import structlog

from app import __version__
from app.core.egress import Egress
from app.core.settings import Settings
from app.modules.ai.client import OpenRouter, Provider, ProviderError, provider_for
from tests.modules.ai import stage
from tests.modules.ai.openai_server import OpenAIServer

KEY = "sk-or-v1-0123456789-not-a-real-key"
TEXT = "The weir was built in spring. Trout pass it by a ladder of nine pools."
TITLE = "A ladder for trout"


@pytest.fixture
async def server() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer(key=KEY) as running:
        yield running


@pytest.fixture
async def egress() -> AsyncIterator[Egress]:
    way_out = Egress()
    yield way_out
    await way_out.aclose()


def settings(url: str, key: str = KEY, timeout: float = 5.0) -> Settings:
    return Settings(
        ai_provider="openrouter",
        ai_model="acme/writer-2",
        openrouter_api_key=key,
        openrouter_base_url=url,
        ai_timeout_s=timeout,
    )


@pytest.fixture
def provider(server: OpenAIServer, egress: Egress) -> Provider:
    return provider_for(settings(server.url), egress)


async def failure(provider: Provider) -> ProviderError:
    """The error of a failing call, after a look that neither key nor text is in it or in what it was raised from."""
    with pytest.raises(ProviderError) as caught:
        await stage.summarize(provider, TEXT, title=TITLE, run_id="run-1")
    told = "".join(traceback.format_exception(caught.value)) + repr(caught.value.__dict__)
    assert str(caught.value)
    assert KEY not in told
    assert "ladder of nine pools" not in told
    return caught.value


@pytest.mark.promise("S4-65")
async def test_a_summary_comes_with_key_words_usage_and_cost(server: OpenAIServer, provider: Provider) -> None:
    written = await stage.summarize(provider, TEXT, title=TITLE, run_id="run-1")
    assert written.text == "The weir was built in spring."
    assert written.keywords == ["The", "weir", "was"]
    assert (written.provider, written.model, written.finish_reason) == ("openrouter", "acme/writer-2", "stop")
    assert written.cost == Decimal("0.000123")
    usage = written.usage
    assert usage is not None
    assert (usage["cache_read_tokens"], usage["cache_write_tokens"], usage["reasoning_tokens"]) == (20, 10, 7)
    sent = json.loads(server.received[0].body)
    words = len(sent["messages"][-1]["content"].split())
    assert usage["input_tokens"] == words, "tokens from and into the cache are counted once"
    assert written.messages == sent["messages"]
    assert [message["role"] for message in written.messages] == ["system", "user"]
    assert TEXT in written.messages[1]["content"]
    assert TITLE in written.messages[1]["content"]


async def test_the_request_carries_key_run_and_request_id(server: OpenAIServer, provider: Provider) -> None:
    with structlog.contextvars.bound_contextvars(request_id="req-42"):
        await stage.summarize(provider, TEXT, title=TITLE, run_id="run-7")
    headers = server.received[0].headers
    assert headers["authorization"] == f"Bearer {KEY}"
    assert headers["idempotency-key"] == "run-7"
    assert headers["x-request-id"] == "req-42"
    assert headers["user-agent"] == f"TekNav/{__version__}"
    assert json.loads(server.received[0].body)["model"] == "acme/writer-2"


async def test_a_server_that_does_not_count_leaves_usage_and_cost_unknown(
    server: OpenAIServer, provider: Provider
) -> None:
    server.behaviour = "no_usage"
    written = await stage.summarize(provider, TEXT, title=TITLE)
    assert (written.usage, written.cost) == (None, None)


@pytest.mark.parametrize(
    ("behaviour", "code", "retryable"),
    [
        ("400", "bad_request", False),
        ("401", "unauthorized", False),
        ("402", "no_credit", False),
        ("403", "forbidden", False),
        ("404", "not_found", False),
        ("408", "timed_out", True),
        ("413", "too_long", False),
        ("418", "refused", False),
        ("429", "rate_limited", True),
        ("500", "unavailable", True),
        ("503", "unavailable", True),
    ],
)
async def test_a_status_says_whether_to_try_again(
    server: OpenAIServer, provider: Provider, behaviour: str, code: str, retryable: bool
) -> None:
    server.behaviour = behaviour
    error = await failure(provider)
    assert (error.code, error.retryable) == (code, retryable)
    assert f"127.0.0.1:{server.port} answered {behaviour}" in str(error)
    assert len(server.received) == 1, "trying again is the queue's business"


@pytest.mark.parametrize("behaviour", ["429", "503"])
async def test_retry_after_is_passed_on(server: OpenAIServer, provider: Provider, behaviour: str) -> None:
    server.behaviour, server.retry_after = behaviour, "17"
    assert (await failure(provider)).retry_after == 17.0
    server.retry_after = "Wed, 21 Oct 2026 07:28:00 GMT"
    assert (await failure(provider)).retry_after is None


async def test_a_wrong_key_is_refused_by_the_server_itself(server: OpenAIServer, egress: Egress) -> None:
    other = OpenRouter(settings(server.url, key=KEY + "x"), egress)
    assert (await failure(other)).code == "unauthorized"
    without = OpenRouter(settings(server.url, key=""), egress)
    assert (await failure(without)).code == "unauthorized"
    assert "authorization" not in server.received[-1].headers


@pytest.mark.parametrize("behaviour", ["malformed", "prose", "truncated"])
async def test_an_answer_that_cannot_be_read_is_worth_another_try(
    server: OpenAIServer, provider: Provider, behaviour: str
) -> None:
    server.behaviour = behaviour
    error = await failure(provider)
    assert (error.code, error.retryable) == ("bad_answer", True)
    assert behaviour != "truncated" or "finish reason length" in str(error)


async def test_an_error_inside_a_200_is_an_error(server: OpenAIServer, provider: Provider) -> None:
    server.behaviour = "error_in_200"
    error = await failure(provider)
    assert (error.code, error.retryable) == ("unavailable", True)
    assert "reported error 502" in str(error)


async def test_a_dripping_answer_is_cut_at_the_deadline(server: OpenAIServer, egress: Egress) -> None:
    server.behaviour = "drip"
    started = time.monotonic()
    error = await failure(OpenRouter(settings(server.url, timeout=0.4), egress))
    assert 0.3 < time.monotonic() - started < 3
    assert (error.code, error.retryable) == ("timed_out", True)
    assert "within 0.4 s" in str(error)


async def test_a_huge_answer_is_not_read(server: OpenAIServer, provider: Provider) -> None:
    server.behaviour = "huge"
    error = await failure(provider)
    assert (error.code, error.retryable) == ("not_possible", False)
    assert "4,194,304 bytes" in str(error)


async def test_a_connection_that_is_closed_or_refused_is_worth_another_try(
    server: OpenAIServer, provider: Provider, egress: Egress
) -> None:
    server.behaviour = "hang_up"
    assert (await failure(provider)).code == "unreachable"
    with socket.socket() as nobody:  # bound and not listening: nobody else can take the port meanwhile
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        error = await failure(OpenRouter(settings(f"http://127.0.0.1:{port}/v1"), egress))
    assert (error.code, error.retryable) == ("unreachable", True)
    assert f"127.0.0.1:{port}" in str(error)


async def test_a_name_without_address_is_worth_another_try(egress: Egress) -> None:
    error = await failure(OpenRouter(settings("https://models.invalid/v1"), egress))
    assert (error.code, error.retryable) == ("unreachable", True)
    assert "models.invalid" in str(error)


async def test_a_key_that_no_header_can_carry_is_not_quoted(server: OpenAIServer, egress: Egress) -> None:
    with pytest.raises(ProviderError) as caught:
        await stage.summarize(OpenRouter(settings(server.url, key=KEY + "\nx"), egress), TEXT, title=TITLE)
    assert (caught.value.code, caught.value.retryable) == ("not_possible", False)
    assert KEY not in "".join(traceback.format_exception(caught.value))
    assert server.received == []


async def test_nothing_is_asked_about_an_empty_article(server: OpenAIServer, provider: Provider) -> None:
    with pytest.raises(ProviderError) as caught:
        await stage.summarize(provider, " \n", title=TITLE)
    assert caught.value.code == "nothing_to_read"
    assert server.connections == 0
