"""The `local` provider, on ten articles written for this purpose, with key terms marked by hand."""

import os
import re
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from app.core.egress import Egress
from app.core.settings import Settings
from app.modules.ai.client import LONGEST_READ, Local, Order, ProviderError, provider_for
from app.modules.ai.local.prose import read, split
from app.modules.ai.local.ranking import examine
from app.modules.ai.local.words import base_forms, detect_language, fold
from tests.modules.ai import stage

CORPUS = Path(__file__).parent / "corpus"


class Article(msgspec.Struct):
    """`terms` holds, for each marked term, the forms of it that count as found."""

    language: str
    title: str
    terms: list[list[str]]
    markdown: str


def article(name: str) -> Article:
    _, front, markdown = (CORPUS / f"{name}.md").read_text("utf-8").split("---\n", 2)
    fields = dict(line.split(": ", 1) for line in front.splitlines() if ": " in line)
    terms = [line[4:].split(" | ") for line in front.splitlines() if line.startswith("  - ")]
    return Article(fields["language"], fields["title"], terms, markdown)


def plain(markdown: str) -> str:
    """The corpus as running text, taken out of its Markdown here and not by the code under test."""
    paragraphs = [part for part in markdown.split("\n\n") if not part.startswith(("#", "- "))]
    return " ".join(re.sub(r"[*_`]", "", " ".join(paragraphs)).split())


ARTICLES = sorted(path.stem for path in CORPUS.glob("*.md"))


def test_the_corpus_is_ten_articles_in_three_languages() -> None:
    languages = [article(name).language for name in ARTICLES]
    assert [languages.count(code) for code in ("en", "fa", "de")] == [4, 3, 3]
    for name in ARTICLES:
        assert len(plain(article(name).markdown).split()) >= 350
        assert len(article(name).terms) == 8


@pytest.mark.parametrize("name", ARTICLES)
async def test_a_summary_is_whole_sentences_of_the_text_and_under_a_fifth_of_it(name: str) -> None:
    source = article(name)
    text = plain(source.markdown)
    written = await stage.summarize(Local(), source.markdown, title=source.title)
    assert 0.05 * len(text) < len(written.text) < 0.2 * len(text)
    sentences = split(written.text, source.language)
    assert len(sentences) >= 3
    places = [text.find(sentence) for sentence in sentences]
    assert -1 not in places
    assert places == sorted(places)
    for sentence, place in zip(sentences, places, strict=True):
        assert sentence[-1] in ".!?؟", "a sentence ends with its own mark"
        assert place == 0 or text[place - 2] in '.!?؟:”"«»', "and begins where the one before it ends"


@pytest.mark.parametrize("name", ARTICLES)
async def test_a_summary_is_not_merely_the_first_sentences(name: str) -> None:
    source = article(name)
    text = plain(source.markdown)
    written = await stage.summarize(Local(), source.markdown, title=source.title)
    assert not text.startswith(written.text)
    last = split(written.text, source.language)[-1]
    assert text.find(last) > len(text) / 2, "the second half of the article has a say"


@pytest.mark.parametrize("name", ARTICLES)
async def test_half_of_the_marked_terms_are_among_twelve_key_words(name: str) -> None:
    source = article(name)
    written = await stage.summarize(Local(), source.markdown, title=source.title)
    assert len(written.keywords) == len(set(written.keywords)) == 12
    found = {fold(word) for word in written.keywords}
    hits = [forms[0] for forms in source.terms if found & {fold(form) for form in forms}]
    assert len(hits) >= len(source.terms) / 2, f"only {hits} in {written.keywords}"


@pytest.mark.parametrize("name", ARTICLES)
def test_the_language_of_an_article_is_recognised(name: str) -> None:
    source = article(name)
    assert read(source.markdown).language == source.language
    assert detect_language(plain(source.markdown)[:400]) == source.language


async def test_every_answer_says_that_local_wrote_it() -> None:
    source = article("en-bridges")
    models = {"summarize_article": "extractive-1", "seo_audit": "rules-1", "rewrite_article": "mending-1"}
    for kind, model in models.items():
        written = await Local().write(Order(kind=kind, title=source.title, text=source.markdown))
        assert (written.provider, written.model, written.finish_reason) == ("local", model, "stop")
        assert written.cost == Decimal(0)
        assert set((written.usage or {"none": 1}).values()) == {0}
        assert [message["role"] for message in written.messages] == ["user"]
        assert source.title in written.messages[0]["content"]


def test_the_same_text_gives_the_same_answer_in_every_process() -> None:
    program = (
        "import asyncio, sys; from app.modules.ai.client import Local, Order;"
        "orders = [Order(kind='summarize_article', title='x', text=open(name).read()) for name in sys.argv[1:]];"
        "told = [asyncio.run(Local().write(order)) for order in orders];"
        "sys.stdout.reconfigure(encoding='utf-8'); print(*(f'{w.text} {w.keywords}' for w in told), sep='\\n')"
    )

    def answers(seed: str) -> str:
        return subprocess.run(
            [sys.executable, "-c", program, *(str(CORPUS / f"{name}.md") for name in ("en-bridges", "fa-qanat"))],
            env=os.environ | {"PYTHONHASHSEED": seed},
            cwd=Path(__file__).parents[3],
            check=True,
            capture_output=True,
            encoding="utf-8",
        ).stdout

    first = answers("1")
    assert answers("2") == first and len(first.splitlines()) == 2


@pytest.mark.parametrize(
    ("block", "language", "sentences"),
    [
        ("It cost 3.5 million. Dr. Who paid, e.g. in gold.", "en", 2),
        ("“Is it safe?” is asked daily. Nobody knows!", "en", 2),
        ("See fig. 3 and no. 7. The answer is no. Then stop.", "en", 3),
        ("He said: “It falls.” She ran. J. B. stayed…  and slept.", "en", 3),
        ("Am 3. Oktober, d. h. bald, kommen ca. 5 Mio. Gäste, z. B. aus Bonn. Danach ist Ruhe.", "de", 2),
        ("»Wann ist es so weit?«, fragt man. „Bald.“ Im Jahr 1990. Dann nie.", "de", 4),
        ("آیا می‌شود؟ بله، ۳.۵ متر است. «چرا نه؟» گفت او رفت!", "fa", 4),
        ("これは本です。あれは橋です。", "", 2),
        ("no mark at all", "en", 1),
        ("", "en", 0),
    ],
)
def test_sentences_end_where_a_reader_ends_them(block: str, language: str, sentences: int) -> None:
    parts = split(block, language)
    assert len(parts) == sentences, parts
    assert "".join("".join(parts).split()) == "".join(block.split()), "nothing is lost or changed"


def test_markdown_is_taken_off() -> None:
    prose = read(
        "# Title\n\nA [link](https://example.org/a) to **bold** and `code`.\n\n```\nprint('x. y.')\n```\n\n"
        "- one item\n- A whole one.\n\n| a | b |\n|---|---|\n| Cell. | c |\n\n![alt](x.png)\n\n> Quoted\n> text.\n"
    )
    assert prose.headings == ["Title"]
    assert prose.sentences == ["A link to bold and code.", "A whole one.", "Quoted text."]
    assert prose.fragments == ["one item"]


def test_forms_of_a_word_meet_in_the_form_that_the_text_has() -> None:
    assert base_forms(["shelves", "shelf", "news", "libraries", "library"], "en") == {
        "shelf": "shelf",
        "shelves": "shelf",
        "news": "news",
        "library": "library",
        "libraries": "library",
    }
    assert base_forms(["städte", "stadt", "busse", "bus", "moores", "moor"], "de")["städte"] == "stadt"
    assert base_forms([fold("قنات‌های"), fold("قنات"), fold("زمان")], "fa") == {
        fold("قنات"): fold("قنات"),
        fold("قنات‌های"): fold("قنات"),
        fold("زمان"): fold("زمان"),
    }


@pytest.mark.parametrize(
    ("text", "summary"),
    [
        ("Rain fell.", "Rain fell."),
        (
            "It rained. The bridge over the river was closed because the river had risen.",
            "The bridge over the river was closed because the river had risen.",
        ),
        ("# Only a heading\n\nand a line without a mark", "and a line without a mark"),
    ],
)
async def test_a_text_of_one_or_two_sentences_gives_its_best_sentence(text: str, summary: str) -> None:
    assert (await stage.summarize(Local(), text, title="The bridge")).text == summary


async def test_where_the_beginning_tells_most_the_summary_still_looks_beyond_it() -> None:
    beginning = (
        "The ferry to the island carries cars and people from the harbour. "
        "The harbour master lets the ferry leave the harbour only when the island reports calm water. "
    )
    rest = (
        "In winter storms close it for days. Bread then runs short. Children miss school. A tunnel was planned "
        "and given up. Some would like a bridge instead. Others fear crowds. Nobody has asked the seals."
    )
    found = examine(beginning + rest, "The ferry to the island", max_share=0.5, most_keywords=12)
    assert found.summary.startswith("The ferry to the island")
    assert split(found.summary, "en")[-1] in rest


async def test_a_summary_never_grows_into_an_article() -> None:
    source = article("en-compost")
    written = await stage.summarize(Local(), "\n\n".join([source.markdown] * 20), title=source.title)
    assert len(written.text) <= 1_200
    endless = await stage.summarize(Local(), "word and other words " * 5_000, title="")
    assert len(endless.text) <= 1_200


@pytest.mark.parametrize("text", ["", " \n\n", "```\ncode only\n```", "# Heading only"])
async def test_a_text_with_nothing_to_read_is_an_error_that_no_retry_cures(text: str) -> None:
    with pytest.raises(ProviderError) as caught:
        await stage.summarize(Local(), text, title="Empty")
    assert (caught.value.code, caught.value.retryable) == ("nothing_to_read", False)
    assert str(caught.value)


async def test_a_long_text_is_read_quickly_and_its_beginning_only() -> None:
    source = article("de-moore")
    text = (source.markdown * 10)[:20_000]
    await stage.summarize(Local(), text, title=source.title)  # word lists are read once
    started = time.process_time()
    await stage.summarize(Local(), text, title=source.title)
    assert time.process_time() - started < 0.25, "20 kB take some 30 ms; five times that is a defect"
    long = source.markdown * (LONGEST_READ // len(source.markdown) + 10)
    written = await stage.summarize(Local(), long, title=source.title)
    assert len(written.messages[0]["content"]) <= LONGEST_READ + len(source.title) + 2


def test_settings_choose_the_provider() -> None:
    egress = Egress()
    assert provider_for(Settings(ai_provider="local"), egress).name == "local"
    assert provider_for(Settings(ai_provider="openrouter", openrouter_api_key="k"), egress).name == "openrouter"
