"""The `teknav` command, on the servers of the tests."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from litestar import Litestar

from app.cli import main
from app.core.settings import Settings

Teknav = Callable[..., Awaitable[str]]


@pytest.fixture
def teknav(app: Litestar, settings: Settings, tmp_path: Path) -> Teknav:
    """What a command prints; `code` is how it must end, and then what it complains about is returned."""
    names = ("database_url", "platform_database_url", "redis_url", "secret_key", "jwt_secret", "encryption_key")
    environment = {name.upper(): str(getattr(settings, name)) for name in names}
    environment |= {"APP_ENV": "test", "LOG_LEVEL": settings.log_level, "TEKNAV_DATA_DIR": str(tmp_path)}

    async def run(*arguments: str, code: int = 0, input: str | None = None) -> str:
        # In a thread, where the command can have an event loop of its own.
        done = await asyncio.to_thread(CliRunner().invoke, main, arguments, env=environment, input=input)
        assert done.exit_code == code, done.output
        return done.stderr if code else done.stdout

    return run
