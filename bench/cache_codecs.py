"""What a cached value costs as JSON, as MessagePack, and compressed: bytes, and microseconds for both ways."""

import time
import zlib
from collections.abc import Callable
from typing import Any

import msgspec

from bench.peers.cache_program import VALUE

ITEMS = (1, 25, 100, 500, 2500)


def _us(do: Callable[[], object], times: int) -> float:
    do()
    began = time.perf_counter()
    for _ in range(times):
        do()
    return (time.perf_counter() - began) / times * 1e6


def measure(times: int) -> list[dict[str, Any]]:
    one: list[Any] = VALUE["items"]  # type: ignore[assignment]
    rows = []
    for items in ITEMS:
        value = {"items": [{**one[n % 25], "words": n} for n in range(items)]}
        rounds = max(times // items, 5)
        for name, codec in (("JSON", msgspec.json), ("MessagePack", msgspec.msgpack)):
            body = codec.encode(value)  # type: ignore[attr-defined]
            small = zlib.compress(body, 1)
            rows.append(
                {
                    "name": f"{name}, {items} items",
                    "bytes": len(body),
                    "encode_us": _us(lambda: codec.encode(value), rounds),  # type: ignore[attr-defined] # noqa: B023
                    "decode_us": _us(lambda: codec.decode(body), rounds),  # type: ignore[attr-defined] # noqa: B023
                    "compressed": len(small),
                    "compress_us": _us(lambda: zlib.compress(body, 1), rounds),  # noqa: B023
                    "decompress_us": _us(lambda: zlib.decompress(small), rounds),  # noqa: B023
                }
            )
    return rows
