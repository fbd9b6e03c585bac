import cProfile
import pstats
import time

from app import registry
from app.core.database import Plane
from app.core.ids import PLATFORM_TENANT
from app.core.policy import Actor
from app.core.settings import load
from app.main import create_app
from app.modules.tokens.service import TokenService
from bench.servers import ground


async def call(app, path, headers):
    out = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(m):
        out.append(m)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "scheme": "http",
        "root_path": "",
        "state": {},
    }
    await app(scope, receive, send)
    assert out[0]["status"] == 200, out
    return out


async def main():
    async with ground() as g:
        app = create_app(load(g.environment))
        async with app.lifespan():
            op = Actor("cli", None, "cli:x", frozenset(registry.permissions()), Plane.PLATFORM)
            async with app.state.database.transaction(op.scope) as s:
                _, secret = await TokenService(s, op).create(PLATFORM_TENANT, name="b", scopes=["queues:read"])
            h = [(b"authorization", b"Bearer " + secret.encode()), (b"host", b"x")]
            L = "/api/owner/queues"
            for p, hd in (("/health", []), (L, h)):
                for _ in range(50):
                    await call(app, p, hd)
                a = time.process_time()
                w = time.perf_counter()
                N = 1000
                for _ in range(N):
                    await call(app, p, hd)
                print(p, "cpu ms", (time.process_time() - a) / N * 1e3, "wall ms", (time.perf_counter() - w) / N * 1e3)
            auth = app.state.policy._authenticate
            a = time.process_time()
            w = time.perf_counter()
            for _ in range(1000):
                await auth.token(secret)
            print("auth cpu ms", (time.process_time() - a), "wall", (time.perf_counter() - w))
            pr = cProfile.Profile()
            pr.enable()
            for _ in range(1000):
                await call(app, L, h)
            pr.disable()
            pstats.Stats(pr).sort_stats("cumtime").print_stats(70)


import uvloop

uvloop.run(main())
