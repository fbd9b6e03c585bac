"""Words of a text: which language they are in, which of them carry meaning, which are forms of one another."""

import re
import unicodedata
from collections.abc import Iterable
from functools import cache, lru_cache
from importlib.resources import files

LANGUAGES = ("en", "de", "fa")
ENOUGH_STOP_WORDS = 0.15  # a text with a smaller share of them is in none of our languages

MARKS = "".join(char for char in map(chr, range(0x300, 0x3000)) if unicodedata.category(char).startswith("M"))
WORD = re.compile(rf"[\w{MARKS}]+(?:[\u200c'’-][\w{MARKS}]+)*")
NO_LETTER = re.compile(r"[\d_]")
_MARK = r"""[.,;:!?…()\[\]{}"„“”«»‹›—–/|،؛؟۔。、！？]"""
# Only from the start of a run, and never back into it: else a long row of marks takes the square of its length.
CLAUSE_MARKS = re.compile(rf"""(?<!{_MARK}){_MARK}++(?=\s|$)|\s["'„“‚‘«»‹›(\[—–]++|\s-\s""")
FOLDED = str.maketrans({"ي": "ی", "ك": "ک", "ۀ": "ه", "ـ": "", "’": "'"} | dict.fromkeys("ًٌٍَُِّْٔ", ""))

# Endings of word forms, and what stands in the base form instead. A form is led back only to a base that occurs in
# the same text, so that `news` does not become `new` and زمان does not become زم.
ENDINGS = {
    "en": ["ies y", "ves f", "ves fe", "es", "s", "'s"],
    "de": ["ern", "sen", "se", "en", "er", "es", "em", "en e", "n", "e", "s"],
    "fa": ["\u200cهایی", "\u200cهای", "\u200cها", "\u200cای", "هایی", "های", "ها", "یان", "ان", "ی"],
}
UMLAUTS = str.maketrans("äöü", "aou")

# A sentence that begins with one of these leans on the sentence before it.
LEANING = {
    "en": "this that these those it its they them their he she his her such both but and so then however also "
    "therefore yet even thus hence instead otherwise too there here",
    "de": "dies diese dieser dieses diesem diesen er sie es ihr ihre dazu dafür dabei damit danach dann aber auch dort "
    "darum deshalb daher denn doch sonst so solche solcher beide hier dagegen darunter darüber",
    "fa": "این آن آنها همین همان چنین پس سپس اما ولی بلکه همچنین او چون زیرا نیز",
}


@lru_cache(maxsize=8_192)
def fold(word: str) -> str:
    """The form in which words are compared: no capitals, no vowel signs, one kind of Persian yeh and kaf."""
    return unicodedata.normalize("NFC", word).casefold().translate(FOLDED)


@cache
def stop_words(language: str) -> frozenset[str]:
    """Words without a subject of their own; none for an unknown language."""
    if language not in LANGUAGES:
        return frozenset()
    text = files(__package__).joinpath("stopwords", f"{language}.txt").read_text("utf-8")
    return frozenset(map(fold, text.split()))


def detect_language(text: str) -> str:
    """`en`, `de`, `fa`, or an empty string: the language whose stop words are most frequent in the text."""
    words = [fold(word) for word in WORD.findall(text[:5_000])]
    share = {code: sum(word in stop_words(code) for word in words) / (len(words) or 1) for code in LANGUAGES}
    best = max(LANGUAGES, key=lambda code: share[code])
    return best if share[best] >= ENOUGH_STOP_WORDS else ""


def leans(sentence: str, language: str) -> bool:
    """Whether a sentence is hard to understand, or no statement, when it stands alone."""
    first = WORD.search(sentence)
    opening = fold(first[0]) if first else ""
    return opening in LEANING.get(language, "").split() or "?" in sentence or "؟" in sentence


def runs(passage: str, language: str) -> list[list[str]]:
    """Words that carry meaning, as written, in groups with neither a stop word nor a mark between them."""
    found: list[list[str]] = []
    for clause in CLAUSE_MARKS.split(passage):
        found.append([])
        for word in WORD.findall(clause):
            if _carries_meaning(word, language):
                found[-1].append(word)
            else:
                found.append([])
    return [run for run in found if run]


def _carries_meaning(word: str, language: str) -> bool:
    shortest = {"": 4, "fa": 2}.get(language, 3)  # without a list of stop words, short words are taken for them
    return len(word) >= shortest and not NO_LETTER.search(word) and fold(word) not in stop_words(language)


def base_forms(folded: Iterable[str], language: str) -> dict[str, str]:
    """For each folded word its base form, which is one of the words too."""
    bases: dict[str, str] = {}
    words = set(folded)
    for word in sorted(words, key=lambda word: (len(word), word)):
        candidates = (form for form in _shorter(word, language) if form in words and form != word)
        base = next(candidates, word)
        bases[word] = bases.get(base, base)
    return bases


def _shorter(word: str, language: str) -> Iterable[str]:
    for ending in ENDINGS.get(language, ()):
        end, _, instead = ending.partition(" ")
        if word.endswith(end) and len(word) > len(end) + 1:
            base = word.removesuffix(end) + instead
            yield base
            yield base.translate(UMLAUTS)
