"""Texts that took the summariser hours: it has to come back from each, with at most one sentence's worth."""

import pytest

from app.modules.ai.client import LONGEST_READ
from app.modules.ai.local.ranking import examine

EVIL = {
    "a row of dots": "." * LONGEST_READ + "x",
    "dots apart": ". " * (LONGEST_READ // 2),
    "rows of dots": ("." * 1000 + "x ") * (LONGEST_READ // 1002),
    "tiny sentences": "Bc d. " * (LONGEST_READ // 6),
    "list items": "- item here\n" * (LONGEST_READ // 12),
    "abbreviations": "z. B. " * (LONGEST_READ // 6),
    "brackets": "![[](" * (LONGEST_READ // 50),
}


@pytest.mark.parametrize("text", EVIL.values(), ids=EVIL.keys())
def test_no_text_keeps_the_summariser_for_ever(text: str) -> None:
    found = examine(text, "T", max_share=0.2, most_keywords=12)
    assert len(found.summary) <= 1200
