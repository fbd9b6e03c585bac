"""What monitoring may ask for: modules name sources, and `exposition` writes it as Prometheus reads it."""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Literal

from sqlalchemy.ext.asyncio import AsyncSession

PREFIX = "teknav_"
MEDIA_TYPE = "text/plain; version=0.0.4"


@dataclass(frozen=True, slots=True)
class Sample:
    """One number; labels tell it from the others of its metric, and in a histogram the end of its name."""

    value: float
    labels: Mapping[str, str] = field(default_factory=dict)
    suffix: Literal["", "_bucket", "_sum", "_count"] = ""


@dataclass(frozen=True, slots=True)
class Metric:
    """A counter only grows while its process lives, and its name ends with `_total`; a gauge is as it is now."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    samples: Sequence[Sample]


class Requests:
    """The answers of this process, by method, route and status."""

    BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

    def __init__(self) -> None:
        self._answers: Counter[tuple[str, str, int]] = Counter()
        self._within: dict[tuple[str, str], list[int]] = {}
        self._seconds: defaultdict[tuple[str, str], float] = defaultdict(float)

    def count(self, method: str, route: str, status: int, took_s: float) -> None:
        """`route` is a template, `/api/v1/articles/{article_id}`: an address would make a line for each."""
        self._answers[method, route, status] += 1
        within = self._within.setdefault((method, route), [0] * (len(self.BOUNDS_S) + 1))
        within[bisect_left(self.BOUNDS_S, took_s)] += 1
        self._seconds[method, route] += took_s

    def metrics(self) -> list[Metric]:
        answers = [
            Sample(number, {"method": method, "route": route, "status": str(status)})
            for (method, route, status), number in sorted(self._answers.items())
        ]
        return [
            Metric("http_requests_total", "counter", "Answers of this process", answers),
            Metric("http_request_seconds", "histogram", "Until the answer had left", [*self._timed()]),
        ]

    def _timed(self) -> Iterator[Sample]:
        for (method, route), within in sorted(self._within.items()):
            labels = {"method": method, "route": route}
            reached = list(accumulate(within))
            for bound, number in zip((*map("{:g}".format, self.BOUNDS_S), "+Inf"), reached, strict=True):
                yield Sample(number, labels | {"le": bound}, "_bucket")
            yield Sample(self._seconds[method, route], labels, "_sum")
            yield Sample(reached[-1], labels, "_count")


Source = Callable[[AsyncSession], Awaitable[Sequence[Metric]]]
"""Asked at each scrape, in a transaction of the platform."""


def exposition(metrics: Sequence[Metric]) -> str:
    lines: list[str] = []
    for metric in metrics:
        name = PREFIX + metric.name
        lines += [f"# HELP {name} {_escaped(metric.help)}", f"# TYPE {name} {metric.kind}"]
        for sample in metric.samples:
            labels = ",".join(f'{label}="{_quoted(text)}"' for label, text in sample.labels.items())
            lines.append(f"{name}{sample.suffix}{f'{{{labels}}}' if labels else ''} {sample.value:.15g}")
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _quoted(text: str) -> str:
    return _escaped(text).replace('"', '\\"')
