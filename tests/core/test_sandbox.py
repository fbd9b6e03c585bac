"""Texts with places to fill take neither memory nor time without end, whatever is written into them."""

import time

import pytest

from app.core.sandbox import SandboxedText, Unfit

LONG = {"rows": ["x" * 2_000] * 200}


@pytest.mark.parametrize(
    "source",
    [
        "{{ rows|join(rows|join(rows))|length }}",
        "{{ rows|join(rows|join(rows|join(rows|join)))|length }}",
        "{{ rows|first|join(rows|first)|length }}",
    ],
)
def test_what_is_joined_does_not_grow_without_end(source: str) -> None:
    with pytest.raises(Unfit, match="longer than 60,000"):
        SandboxedText(source).fill(LONG)


def test_a_loop_that_writes_nothing_ends_as_well() -> None:
    busy = "{% if a|title == b|upper %}{% endif %}" * 300
    text = SandboxedText("{% for a in rows %}{% for b in rows %}" + busy + "{% endfor %}{% endfor %}")
    for _ in range(2):
        started = time.process_time()
        with pytest.raises(Unfit, match="does too much"):
            text.fill(LONG)
        assert time.process_time() - started < 3


def test_lists_are_joined_as_jinja_does_it() -> None:
    values = {"rows": [{"name": "a"}, {"name": "b"}], "plain": ["c", 1]}
    text = SandboxedText("{{ rows|join('-', attribute='name') }} {{ plain|join }} {{ plain|join(', ') }}")
    assert [text.fill(values) for _ in range(2)] == ["a-b c1 c, 1"] * 2
