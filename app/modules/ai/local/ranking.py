"""Which words and which sentences say most about a text.

A word weighs as often as it occurs: more if the title or a heading has it too, less where its spelling or its place
speaks against a noun. A summary is put together step by step: each time the sentence is taken that tells most of
what has not been told yet, for the space it takes.
"""

from collections import Counter
from itertools import chain
from textwrap import shorten

import msgspec

from app.modules.ai.local.prose import Prose, read
from app.modules.ai.local.words import base_forms, fold, leans, runs

LONGEST_SUMMARY = 1_200  # characters; a longer summary is another article
IN_TITLE, IN_HEADING = 1.6, 1.3
NO_NOUN = 0.7  # how much of a word's weight an occurrence loses that looks like no noun
TOLD, LEANING = 0.3, 0.4
WORTH_SAYING = 0.1  # of what the best sentence tells; the summary stops before one that adds less
SHORT = 80  # characters; below this a sentence is not preferred for being short

Runs = list[list[str]]


class Findings(msgspec.Struct, frozen=True):
    """`summary` is whole sentences in the order of the text; `keywords` stand with the most telling first."""

    language: str
    summary: str
    keywords: list[str]


def examine(markdown: str, title: str, *, max_share: float, most_keywords: int) -> Findings:
    """Summarise a text and name its key words.

    The summary is shorter than `max_share` of the text's sentences and than 1,200 characters. A text of one or two
    sentences, or one in which no sentence is that short, gives its best sentence, cut only where that alone has more
    than 1,200 characters. A text without prose gives an empty summary.
    """
    prose = read(markdown)
    written = [runs(passage, prose.language) for passage in (*prose.sentences, *prose.fragments)]
    around = [runs(text, prose.language) for text in (title, *prose.headings)]
    bases = base_forms((fold(word) for word in _words(written + around)), prose.language)
    passages = [[[bases[fold(word)] for word in run] for run in passage] for passage in written]
    weights = _weights(prose, written, around, bases)
    return Findings(
        prose.language,
        _summary(prose, passages, weights, max_share),
        _keywords(passages, weights, _spellings(prose, written, bases), most_keywords),
    )


def _words(passages: list[Runs]) -> list[str]:
    return [word for passage in passages for run in passage for word in run]


def _weights(prose: Prose, written: list[Runs], around: list[Runs], bases: dict[str, str]) -> dict[str, float]:
    counts = Counter(bases[fold(word)] for word in _words(written))
    doubtful: Counter[str] = Counter()
    if prose.language == "de":  # nouns are written with a capital
        doubtful.update(bases[fold(word)] for word in _words(written) if word[0].islower())
    if prose.language == "fa":  # the verb stands last
        doubtful.update(bases[fold(passage[-1][-1])] for passage in written if passage)
    weights = {base: count - NO_NOUN * doubtful[base] for base, count in counts.items()}
    for factor, texts in ((IN_TITLE, around[:1]), (IN_HEADING, around[1:])):
        for base in {bases[fold(word)] for word in _words(texts)} & weights.keys():
            weights[base] *= factor
    return weights


def _spellings(prose: Prose, written: list[Runs], bases: dict[str, str]) -> dict[str, str]:
    """How to show each base form: as it is written most often, in English without the capital of a first word."""
    seen = Counter(word.removesuffix("\u0654") for word in _words(written))
    shown: dict[str, str] = {}
    for word in sorted(seen, key=lambda word: (prose.language == "en" and not word.islower(), -seen[word])):
        if bases[fold(word)] == fold(word):
            shown.setdefault(fold(word), word)
    return {base: shown.get(base, base) for base in bases.values()}


def _keywords(passages: list[Runs], weights: dict[str, float], shown: dict[str, str], most: int) -> list[str]:
    """Words, and pairs and triples that come back. What a phrase says is not counted for its words again."""
    counts = Counter(_words(passages))
    phrases: Counter[tuple[str, ...]] = Counter()
    for run in chain.from_iterable(passages):
        for size in (2, 3):
            phrases.update(tuple(run[at : at + size]) for at in range(len(run) - size + 1))
    left = dict(counts)
    scores: dict[tuple[str, ...], float] = {}
    for phrase in sorted(phrases, key=lambda phrase: (-len(phrase), -phrases[phrase])):
        together = min(phrases[phrase], *(left[base] for base in phrase))
        if together >= 2 and len(set(phrase)) == len(phrase):
            scores[phrase] = sum(weights[base] * together / counts[base] for base in phrase)
            for base in phrase:
                left[base] -= together
    for base, count in left.items():
        if count:
            scores[(base,)] = weights[base] * count / counts[base]
    best = sorted(scores, key=lambda phrase: -scores[phrase])[:most]
    return [" ".join(shown[base] for base in phrase) for phrase in best]


def _summary(prose: Prose, passages: list[Runs], weights: dict[str, float], max_share: float) -> str:
    texts = prose.sentences or prose.fragments
    if not texts:
        return ""
    words = [dict.fromkeys(chain.from_iterable(passage)) for passage in passages[: len(texts)]]
    scale: list[float] = [
        (LEANING if leans(text, prose.language) else 1) / max(len(text), SHORT) ** 0.8  # for the space it takes
        for text in texts
    ]
    # A word that occurs once says little about the whole: the least weight of what comes back is one.
    worth = {base: max(weight - 1, 0.1) for base, weight in weights.items()}
    chosen: list[int] = []
    least = 0.0
    room = min(sum(map(len, texts)) * max_share, LONGEST_SUMMARY) if len(texts) > 2 else 0

    def gain(at: int) -> float:
        return scale[at] * sum(worth[base] for base in words[at])

    while fitting := [at for at, text in enumerate(texts) if at not in chosen and len(text) < room]:
        best = max(fitting, key=gain)
        least = least or gain(best) * WORTH_SAYING
        if gain(best) < least or not words[best]:
            break
        chosen.append(best)
        room -= len(texts[best]) + 1
        for base in words[best]:
            worth[base] *= TOLD
    if len(chosen) > 1 and max(chosen) < len(chosen):  # the beginning and nothing else: look once beyond it
        last = chosen.pop()
        room += len(texts[last]) + 1
        beyond = [at for at in range(last + 1, len(texts)) if at not in chosen and len(texts[at]) < room]
        chosen.append(max(beyond, key=gain, default=last))
    if not chosen:
        return shorten(texts[max(range(len(texts)), key=gain)], LONGEST_SUMMARY, placeholder=" …")
    return " ".join(texts[at] for at in sorted(chosen))
