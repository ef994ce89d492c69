"""Envelopes: what harnesses wrap around the human ask, taken off so that the ask is what is classified."""

import re

# Blocks that programs add: reminders, file contents, environments, outputs of tools. Nobody asked for them.
_HARNESS = re.compile(
    r"<(system-reminder|environment_details|environment_context|local-command-stdout|command-[\w-]+|tool_result|function_results|"
    r"attached_files?|file_content|ide_selection|ide_opened_file|user_info|project_layout|additional_data|open_and_recently_viewed_files)\b[^>]*>"
    r".*?(</\1\s*>|\Z)",
    re.DOTALL | re.IGNORECASE,
)
# Quoted material: the instruction stands outside of it.
_QUOTED = re.compile(
    r"<(documents?|context|article|transcript|passage|source|search_results|retrieved|知识库|资料)\b[^>]*>.*?</\1\s*>",
    re.DOTALL | re.IGNORECASE,
)
# Where a harness marks the human's own words, only they count.
_ASK = re.compile(
    r"<(user_query|user_message|task|question|query|instructions?|feedback)\b[^>]*>(.*?)</\1\s*>",
    re.DOTALL | re.IGNORECASE,
)

LONGEST = 24_000  # characters looked at: the head and the tail, where the instruction stands


def opened(text: str) -> str:
    """The human ask in a user message. What is left empty by this was nobody's ask."""
    text = bounded(text)
    if "<" not in text:
        return text.strip()
    text = _HARNESS.sub(" ", text)
    asked = [m[2] for m in _ASK.finditer(text)]
    if asked:
        return "\n".join(asked).strip()
    unquoted = _QUOTED.sub(" ", text).strip()
    return unquoted or text.strip()


def bounded(text: str) -> str:
    """A long text by its head and tail."""
    return text if len(text) <= LONGEST else text[: LONGEST * 2 // 3] + "\n" + text[-LONGEST // 3 :]
