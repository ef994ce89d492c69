"""Languages: which script and language an ask is in, as far as its task depends on it."""

import re

import numpy as np

from classifier.characters import CHINESE, FOREIGN, KIND, KINDS, LATIN, points

_LOOKED_AT = 300  # characters: the language of an ask shows early
# Kana, Hangul, Cyrillic, Greek, Arabic, Hebrew, the scripts of India and South-East Asia: letters that no feature stands for.
_FOREIGN = re.compile(r"[\u0370-\u1cff\u3040-\u30ff\uac00-\ud7af]+")
_CHINESE = re.compile(r"[\u3400-\u9fff]+")
_PLAIN = 60  # characters: a text that begins in Chinese is Chinese
_KANA = re.compile(r"[\u3040-\u30ff]")
# Where an instruction about foreign words stands, if there is one: characters from the beginning and to the end.
_BEGINNING, _END, _JAPANESE_END = 8, 24, 8
_WORD = re.compile(r"[^\W\d_]+")
_WORDS = 40

# Words that English asks are full of, and those of its neighbours. Words of both are in neither.
_ENGLISH_WORDS = (
    "the and to are for with that this it what how why who which when where does did can could would should you your we please "
    "write give make tell explain translate summarize summarise list find show create generate rewrite fix help from not about "
    "hi hello thanks"
)
_NEIGHBOUR_WORDS = (
    "el los las del una un por para que qué cómo está es en con y le les des du une est dans pour quelle quel vous je et sur au "
    "der das und ist eine einen einem ein nicht mit für auf wie ich zu im il lo gli che di della è per sono non o os uma "
    "não com de em da het een niet voor van ik jest nie się na jak hur och att det är inte bir ve bu için"
)
_ENGLISH_WORD = re.compile(rf"\b(?:{'|'.join(_ENGLISH_WORDS.split())})\b", re.IGNORECASE)
_NEIGHBOURS = frozenset(_NEIGHBOUR_WORDS.split())


def language_of(text: str) -> str:
    """`zh`, `en` or `other`. A Chinese or English ask stays one with code, names or foreign words to be translated in it."""
    if text.isascii():
        return _latin(text)
    head = text[:_PLAIN]
    if not _FOREIGN.search(head) and 4 * sum(map(len, _CHINESE.findall(head))) > len(head):
        return "zh"
    sample = text[:_LOOKED_AT]
    kinds = np.bincount(KIND.take(points(sample), mode="clip"), minlength=KINDS).tolist()
    chinese, latin, foreign = kinds[CHINESE], kinds[LATIN], kinds[FOREIGN]
    if not foreign:
        return "zh" if chinese * 4 > latin else _latin(text)
    begins, ends = sample.lstrip()[:_BEGINNING], text[-2 * _END :].rstrip()[-_END:]
    if foreign > chinese + latin and _FOREIGN.search(begins) and _FOREIGN.search(ends):
        return "other"
    if _KANA.search(begins) and _KANA.search(ends[-_JAPANESE_END:]):  # Japanese, however many Chinese characters it has
        return "other"
    return "zh" if chinese * 4 > latin else _latin(text)


def is_foreign(text: str, language: str) -> bool:
    """Whether a text has letters, but of a language that the features say nothing about."""
    return language == "other" and any(map(str.isalpha, text[:_LOOKED_AT]))


def _latin(text: str) -> str:
    if _ENGLISH_WORD.search(text, 0, _LOOKED_AT):
        return "en"
    words = _WORD.findall(text[:_LOOKED_AT].lower())[:_WORDS]
    if not words:
        return "other"
    return "other" if len(_NEIGHBOURS.intersection(words)) >= 2 else "en"
