"""Two ways to talk to Redis: patient for queues and pub/sub, hasty for whatever a request waits for."""

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff, NoBackoff

HASTY_S = 0.25
"""No request waits longer than this for Redis, in seconds."""


def patient(url: str) -> Redis:
    """For workers and subscriptions: reconnects for ever, and a silent socket is no error.

    redis-py's own default of 5 s per read would stall BullMQ's blocking reads.
    """
    retry = Retry(ExponentialWithJitterBackoff(base=0.05, cap=1), -1)
    # A pool of its own: BullMQ's workers share the client, and closing one of them must not cut the others off.
    pool = ConnectionPool.from_url(
        url, decode_responses=True, socket_timeout=None, socket_connect_timeout=5, retry=retry
    )
    return Redis(connection_pool=pool)


def hasty(url: str) -> Redis:
    """For requests: one retry, because after a restart of Redis every pooled socket fails once."""
    return Redis.from_url(
        url,
        decode_responses=True,
        socket_timeout=HASTY_S,
        socket_connect_timeout=HASTY_S,
        retry=Retry(NoBackoff(), 1),
    )
