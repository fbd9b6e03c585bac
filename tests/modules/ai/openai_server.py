"""A server that speaks OpenAI's chat protocol, for tests: real sockets, answers made from the text that was sent.

    python -m tests.modules.ai.openai_server --port 8099

serves `http://127.0.0.1:8099/v1` until it is stopped; any bearer key is accepted unless `--key` is given.
"""

import argparse
import asyncio
import json
from dataclasses import dataclass, field
from typing import Any, Self


@dataclass
class Received:
    """One request as it arrived; header names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class OpenAIServer:
    """Listens on loopback while it is entered. `behaviour` says how it answers:

    `ok`, a status such as `503`, `prose`, `truncated`, `malformed`, `error_in_200`, `no_usage`, `drip` (a byte at a
    time, without end), `huge` (5 MB), `hang_up` (closes without an answer), `redirect` (302 to `location`).
    """

    key: str = ""
    port: int = 0
    behaviour: str = "ok"
    retry_after: str = ""
    location: str = ""
    received: list[Received] = field(default_factory=list)
    connections: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def __aenter__(self) -> Self:
        self._open: set[asyncio.StreamWriter] = set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._open:
            writer.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open.add(writer)
        try:
            while request := await self._request(reader):
                self.received.append(request)
                if not await self._answer(request, writer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            return  # the caller has gone, as a caller with a deadline does
        finally:
            self._open.discard(writer)
            writer.close()

    async def _request(self, reader: asyncio.StreamReader) -> Received | None:
        head = await reader.readline()
        if not head:
            return None
        method, path, _ = head.decode().split(" ", 2)
        headers: dict[str, str] = {}
        while line := (await reader.readline()).decode("latin-1").strip():
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        return Received(method, path, headers, body)

    async def _answer(self, request: Received, writer: asyncio.StreamWriter) -> bool:
        """Write an answer; False closes the connection."""
        match self.behaviour:
            case "hang_up":
                return False
            case "drip":
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n")
                while True:  # until the caller hangs up
                    writer.write(b" ")
                    await writer.drain()
                    await asyncio.sleep(0.02)
            case "huge":
                status, body = 200, b'{"choices": "' + b"x" * 5_000_000 + b'"}'
            case "malformed":
                status, body = 200, b'{"choices": [{"mess'
            case "redirect":
                status, body = 302, b""
            case behaviour if behaviour.isdigit():
                # Real servers quote what they were sent; a good client does not pass that on.
                quoted = request.headers.get("authorization", "") + request.body.decode()
                status, body = int(behaviour), _json({"error": {"code": int(behaviour), "message": quoted}})
            case behaviour:
                status, body = self._chat(request, behaviour)
        head = [f"HTTP/1.1 {status} Status", "content-type: application/json", f"content-length: {len(body)}"]
        if self.retry_after:
            head.append(f"retry-after: {self.retry_after}")
        if self.location:
            head.append(f"location: {self.location}")
        writer.write("\r\n".join(head).encode() + b"\r\n\r\n" + body)
        await writer.drain()
        return True

    def _chat(self, request: Received, behaviour: str) -> tuple[int, bytes]:
        asked_for = (request.method, request.path)
        if asked_for not in (("POST", "/v1/chat/completions"), ("GET", "/v1/models")):
            return 404, _json({"error": {"code": 404, "message": "no such address"}})
        bearer = request.headers.get("authorization", "")
        if not bearer.startswith("Bearer ") or (self.key and bearer != f"Bearer {self.key}"):
            return 401, _json({"error": {"code": 401, "message": "no such key"}})
        if request.method == "GET":
            return 200, _json({"object": "list", "data": [{"id": "acme/writer-2", "object": "model"}]})
        try:
            asked = json.loads(request.body)
            text = str(asked["messages"][-1]["content"])
            model = str(asked["model"])
        except (ValueError, LookupError, TypeError):
            return 400, _json({"error": {"code": 400, "message": "model and messages are needed"}})
        if behaviour == "error_in_200":
            return 200, _json({"error": {"code": 502, "message": text}})
        last = text.strip().splitlines()[-1]
        content = _json(_written(str(asked["messages"][0]["content"]), last)).decode()
        content = {"prose": last, "truncated": content[:20]}.get(behaviour, f"```json\n{content}\n```")
        answer: dict[str, Any] = {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "model": model,
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": content},
                    "finish_reason": "length" if behaviour == "truncated" else "stop",
                }
            ],
        }
        if behaviour != "no_usage":
            given, made = len(text.split()), len(content.split())
            answer["usage"] = {
                "prompt_tokens": given + 30,
                "completion_tokens": made + 7,
                "total_tokens": given + made + 37,
                "cost": 0.000123,
                "prompt_tokens_details": {"cached_tokens": 20, "cache_write_tokens": 10},
                "completion_tokens_details": {"reasoning_tokens": 7},
            }
        return 200, _json(answer)


def _written(rules: str, last: str) -> dict[str, Any]:
    """An answer with the fields that the rules ask for, made of the last line of the text."""
    sentence = last.split(". ")[0].rstrip(".") + "."
    if '"findings"' in rules:
        return {"findings": [{"level": "warning", "message": f"No source: {sentence}"}, {"message": "Well told."}]}
    if '"description"' in rules:
        slug = "-".join(last.lower().split()[:3])
        return {"title": "A  better title", "description": sentence, "slug": slug, "keywords": last.split()[:3]}
    if '"body"' in rules:
        return {"title": "A new title", "body": f"## Anew\n\n{sentence}", "note": "Shortened."}
    return {"summary": sentence, "keywords": last.split()[:3]}


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


async def _main() -> None:
    parser = argparse.ArgumentParser(description="An OpenAI-compatible server for tests, on loopback.")
    parser.add_argument("--port", type=int, default=8099)
    parser.add_argument("--key", default="", help="the only bearer key that is accepted")
    chosen = parser.parse_args()
    async with OpenAIServer(port=chosen.port, key=chosen.key) as server:
        print(f"listening at {server.url}", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main())
