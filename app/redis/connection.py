"""Two ways to talk to Redis: patient for queues and pub/sub, hasty for whatever a request waits for."""

from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff, NoBackoff

from app.redis.link import Link

HASTY_S = 0.25
"""No request waits longer than this for Redis, in seconds."""


def patient(url: str, prefix: str | None = None) -> Link:
    """For workers and subscriptions: waits for Redis for ever, and a silent socket is no error.

    With a prefix, its keys are followed from node to node of a Redis Cluster.
    redis-py's own default of 5 s per read would stall the blocking wait of a worker, which has a socket of the pool.
    """
    retry = Retry(ExponentialWithJitterBackoff(base=0.05, cap=1), -1)
    return Link(_pool(url, socket_timeout=None, socket_connect_timeout=5, retry=retry), bound_s=None, prefix=prefix)


def hasty(url: str, prefix: str | None = None) -> Link:
    """For requests: each command is bounded, and fails at once while Redis is known to be away.

    With a prefix, its keys are followed from node to node of a Redis Cluster.
    """
    retry = Retry(NoBackoff(), 1)
    pool = _pool(url, socket_timeout=HASTY_S, socket_connect_timeout=HASTY_S, retry=retry)
    return Link(pool, bound_s=HASTY_S, prefix=prefix)


def _pool(url: str, **options: object) -> ConnectionPool:
    # RESP2, which the link speaks, and for which redis-py then shapes the replies.
    return ConnectionPool.from_url(url, decode_responses=True, protocol=2, **options)
