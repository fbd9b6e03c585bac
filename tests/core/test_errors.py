"""What people are told of input that does not fit its shape."""

from typing import Annotated, Any

import msgspec
import pytest
from msgspec import Meta, Struct, convert

from app.core.errors import FieldError


class Step(Struct, forbid_unknown_fields=True):
    key: str
    waits: Annotated[int, Meta(ge=0)] = 0


class Plan(Struct, forbid_unknown_fields=True, rename="camel"):
    first_step: Step
    steps: list[Step] = []
    values: dict[Annotated[str, Meta(max_length=3)], int] = {}


FIRST = {"firstStep": {"key": "a"}}


@pytest.mark.parametrize(
    ("given", "field", "message"),
    [
        ([], "plan", "Expected `object`, got `array`"),
        ({}, "firstStep", "is wanted"),
        ({"firstStep": {}}, "firstStep.key", "is wanted"),
        (FIRST | {"more": 1}, "more", "is not known here"),
        (FIRST | {"steps": [{"key": "a"}, {"key": 7}]}, "steps[1].key", "Expected `str`, got `int`"),
        (FIRST | {"steps": [{"key": "a", "waits": -1}]}, "steps[0].waits", "Expected `int` >= 0"),
        (FIRST | {"values": {"long": 1}}, "values", "Expected `str` of length <= 3"),
        (FIRST | {"values": {"a": "b"}}, "values", "Expected `int`, got `str`"),
    ],
)
def test_the_field_that_does_not_fit_is_named_as_the_caller_wrote_it(given: Any, field: str, message: str) -> None:
    with pytest.raises(msgspec.ValidationError) as refused:
        convert(given, Plan)
    found = FieldError.of_misfit(refused.value, "plan")
    assert (found.field, found.message) == (field, message), str(refused.value)
