"""Features: the words and characters of an ask, the same for training and for serving."""

import re

# A Latin word, a number, one Chinese character (each says as much as a short word), or one mark.
_TOKEN = re.compile(r"[a-z]+(?:'[a-z]+)?|\d+|[\u3400-\u9fff]|```|[^\w\s]")
_NUMBER = re.compile(r"\d+")
HEAD, FIRST, LAST = 60, 400, 200  # characters of the head; tokens from the beginning and from the end
# Characters looked at: about as many as hold those tokens. Chinese has a token a character, English one in five or six.
_LONGEST_ASCII, _LONGEST = 3_600, 1_800

# An instruction that stands below what it is about. It counts as the head.
_LONG, _LINE = 400, 200  # characters from which on a text has a below, and that an instruction has at most
_INSTRUCTS = re.compile(
    r"\s*(?:please|pls|can you|could you|summari|translat|rewrite|rephrase|extract|classify|explain|list|give|answer|fix|find|"
    r"tell|write|turn|convert|what|why|how|who|when|where|which|is|are|does|do|"
    r"tl;?dr|请|帮|麻烦|把|将|总结|概括|翻译|根据|以上|上面|上文|上述|这段|这篇|为什么|怎么|如何|问题|用一|润色|改写|提取)",
    re.IGNORECASE,
)
_ASKS = re.compile(r"[?？]\s*$")


def tokens(text: str) -> list[str]:
    """Lower-case tokens; every number is `0`. Of a long text the first and the last ones."""
    longest = _LONGEST_ASCII if text.isascii() else _LONGEST
    if len(text) > longest:
        text = f"{text[: longest * 2 // 3]} {text[-longest // 3 :]}"
    found = _TOKEN.findall(_NUMBER.sub("0", text.lower()))
    return found if len(found) <= FIRST + LAST else found[:FIRST] + found[-LAST:]


def body(words: list[str]) -> list[str]:
    """Unigrams and bigrams of the whole text's tokens."""
    return words + [f"{a} {b}" for a, b in zip(["\x02", *words], words, strict=False)]  # \x02 is the beginning


def head(text: str) -> list[str]:
    """Unigrams and bigrams of the first 60 characters, apart: an instruction mostly stands first."""
    return body(tokens(text.lstrip()[:HEAD]))


def arranged(text: str) -> str:
    """The text with its instruction first, also where it stands below what was pasted above it."""
    if len(text) <= _LONG:
        return text
    text = text.rstrip()
    line = text.rfind("\n")
    last = text[line + 1 :]
    if line < 0 or len(last) > _LINE or not (_INSTRUCTS.match(last) or _ASKS.search(last)):
        return text
    first = text[: text.find("\n")]
    if len(first) <= _LINE and (_INSTRUCTS.match(first) or _ASKS.search(first)):
        return text
    return f"{last}\n{text[:line]}"


def says_something(word: str) -> bool:
    """Whether a token says anything by itself: a word or a Chinese character; no mark, number or single letter."""
    return len(word) > 1 or "\u3400" <= word <= "\u9fff"
