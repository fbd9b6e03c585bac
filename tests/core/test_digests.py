"""Digests that outlive the values they were made of."""

import pytest

from app.core.digests import ERASED, Marks, record_digest

SALT = "00112233445566778899aabbccddeeff"
PUBLIC = {"id": "1", "fields": ["a", "b"]}
PERSONAL = {"name": "Wanda", "ip": None, "after.n": 1.0, "after.deep": {"b": [1], "a": "ü"}}


def test_the_digest_is_the_same_whatever_was_erased() -> None:
    whole = record_digest(PUBLIC, PERSONAL, Marks(SALT))
    for names in ({"name"}, {"after.deep", "ip"}, set(PERSONAL)):
        marks = Marks(SALT).without(PERSONAL, names)
        assert marks.salt is None and marks.salts.keys() == PERSONAL.keys() - names
        left = {name: ERASED if name in names else value for name, value in PERSONAL.items()}
        assert record_digest(PUBLIC, left, marks) == whole
        twice = marks.without(left, set(PERSONAL))
        assert not twice.salts and record_digest(PUBLIC, dict.fromkeys(PERSONAL), twice) == whole


def test_the_digest_tells_values_names_and_records_apart() -> None:
    whole = record_digest(PUBLIC, PERSONAL, Marks(SALT))
    others = [
        record_digest(PUBLIC, PERSONAL, Marks("ff" * 16)),
        record_digest(PUBLIC | {"id": "2"}, PERSONAL, Marks(SALT)),
        record_digest(PUBLIC, PERSONAL | {"name": "wanda"}, Marks(SALT)),
        record_digest(PUBLIC, PERSONAL | {"ip": ""}, Marks(SALT)),
        record_digest(PUBLIC, PERSONAL | {"more": None}, Marks(SALT)),
    ]
    assert len({whole, *others}) == 6
    reordered = dict(reversed(PERSONAL.items()))
    assert record_digest(dict(reversed(PUBLIC.items())), reordered, Marks(SALT)) == whole


def test_the_same_value_has_another_digest_in_another_place() -> None:
    """Else who knows one digest could find the value elsewhere."""
    marks = Marks(SALT)
    assert marks.digest("name", "Wanda") != marks.digest("label", "Wanda")


def test_marks_that_do_not_fit_are_refused() -> None:
    marks = Marks(SALT).without(PERSONAL, {"name"})
    with pytest.raises(ValueError, match="name has a value"):
        record_digest(PUBLIC, PERSONAL, marks)
    with pytest.raises(ValueError, match="more has no salt"):
        record_digest(PUBLIC, PERSONAL | {"name": ERASED, "more": 1}, marks)
