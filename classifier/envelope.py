"""Envelopes: what harnesses wrap around the human ask, taken off so that the ask is what is classified.

Every step is linear in the text: a prompt made of opening tags costs no more than another.
"""

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import islice

# Blocks that programs add: reminders, file contents, environments, outputs of tools. Nobody asked for them.
_HARNESS_NAMES = (
    "system-reminder environment_details environment_context local-command-stdout tool_result function_results "
    "attached_file attached_files file_content ide_selection ide_opened_file user_info project_layout additional_data "
    "open_and_recently_viewed_files"
)
_COMMAND = "command-"  # <command-name>, <command-args>, ...: Claude Code's record of a slash command
# Quoted material: the instruction stands outside of it.
_QUOTED_NAMES = (
    "document documents context file files article transcript passage source search_results retrieved chat_history "
    "conversation conversation_history 知识库 资料"
)
# Where a harness marks the human's own words, only they count. Marks that people write too do so beside little else: what
# stands in a tag of three words under a page of text is no more the ask than the page.
_OWN_NAMES = "user_query user_message"
_ASKED_NAMES = "task question query instruction instructions feedback"
_HARNESS, _QUOTED, _OWN, _ASKED = (
    frozenset(n.split()) for n in (_HARNESS_NAMES, _QUOTED_NAMES, _OWN_NAMES, _ASKED_NAMES)
)
_TAG = re.compile(r"<(/?)([^\W\d_][\w-]{1,40})(?:\s[^<>]{0,300})?>")

# Chat programs ask for a title of the conversation in words of their own, and paste it behind them.
_OF_CHAT = ("onversation", "hat", "essage", "ialogue", "对话", "会话", "聊天")
_PASTED = re.compile(
    r"^[# \t]*(?:conversation|chat history|transcript|messages?|user|human|对话|会话|聊天记录|用户)\s*[::]",
    re.IGNORECASE | re.MULTILINE,
)

LONGEST = 12_000  # characters looked at: the head and the tail, where the instruction stands
_TAGS = 1_000  # tags looked at: more are markup that somebody asks about
_BLANKS = (" ", "\n", "\t", "\r")
_MAYBE_HARNESS = ("", "<", *_BLANKS)
_SEAM = LONGEST * 2 // 3
_TITLE_HEAD = 300  # characters in which a housekeeping prompt says what it is

Span = tuple[int, int, int, int]  # where a block begins, its inside begins, its inside ends, it ends


def opened(text: str) -> str:
    """The human ask in a user message. What is left empty by this was nobody's ask."""
    cut = len(text) > LONGEST
    text = bounded(text)
    if "<" in text:
        text = _unwrapped(text, _SEAM if cut else None)
    return _untitled(text).strip()


def is_harness(text: str) -> bool:
    """Whether a message is a harness's blocks and nothing else, or nothing at all. Costs one search a block."""
    if speaks(text):
        return False
    text, at = text.strip(), 0
    for _ in range(_TAGS):
        if at == len(text):
            return True
        tag = _TAG.match(text, at)
        if tag is None or tag[1] or not _of_harness(tag[2].lower()):
            return False
        end = text.find(f"</{tag[2]}>", tag.end())
        if end < 0:  # it lasts to the end of the message
            return True
        at = end + len(f"</{tag[2]}>")
        while text.startswith(_BLANKS, at):
            at += 1
    return False


def speaks(text: str) -> bool:
    """Whether a message shows with its first character that it is no harness's, as nearly all do."""
    return text[:1] not in _MAYBE_HARNESS and not text[0].isspace()


def bounded(text: str) -> str:
    """A long text by its head and tail."""
    return text if len(text) <= LONGEST else text[:_SEAM] + "\n" + text[_SEAM - LONGEST :]


def _unwrapped(text: str, seam: int | None) -> str:
    if not any(map(_known, _names(text))):
        return text
    text = _without(text, _of_harness, seam, unclosed=True)
    own = _inside(text, _OWN)
    if own:
        return own
    asked, unquoted = _inside(text, _ASKED), _without(text, _QUOTED.__contains__)
    if asked and len(_without(unquoted, _ASKED.__contains__).strip()) <= len(asked):
        return asked
    return unquoted if unquoted.strip() else text


def _inside(text: str, names: frozenset[str]) -> str:
    return "\n".join(text[start:end] for _, start, end, _ in _blocks(text, names.__contains__))


def _untitled(text: str) -> str:
    """A request for a title without the conversation that it is for."""
    head = text[:_TITLE_HEAD]
    if ("itle" in head or "标题" in head or "主题" in head) and any(map(head.__contains__, _OF_CHAT)):
        pasted = _PASTED.search(text)
        if pasted and text[: pasted.start()].strip():
            return text[: pasted.start()]
    return text


def _without(text: str, named: Callable[[str], bool], seam: int | None = None, unclosed: bool = False) -> str:
    kept, at = [], 0
    for start, _, _, end in _blocks(text, named, seam, unclosed):
        kept.append(text[at:start])
        at = end
    return " ".join([*kept, text[at:]])


def _blocks(text: str, named: Callable[[str], bool], seam: int | None = None, unclosed: bool = False) -> Iterator[Span]:
    """Blocks in order, none inside another. One that is not closed lasts to the end, or to where a long text was cut."""
    opens: list[tuple[str, int, int]] = []
    closes: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for m in islice(_TAG.finditer(text), _TAGS):
        name = m[2].lower()
        if named(name):
            if m[1]:
                closes[name].append(m.span())
            else:
                opens.append((name, *m.span()))
    at = 0
    for name, start, inside in opens:
        if start < at:
            continue
        ends = closes[name]
        nth = bisect_left(ends, (inside, 0))
        if nth < len(ends):
            at = ends[nth][1]
            yield start, inside, ends[nth][0], at
        elif unclosed:
            at = seam if seam is not None and start < seam else len(text)
            yield start, inside, at, at


def _names(text: str) -> Iterator[str]:
    return (m[2].lower() for m in islice(_TAG.finditer(text), _TAGS))


def _known(name: str) -> bool:
    return _of_harness(name) or name in _QUOTED or name in _OWN or name in _ASKED


def _of_harness(name: str) -> bool:
    return name in _HARNESS or name.startswith(_COMMAND)
