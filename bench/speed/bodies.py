"""Requests to measure with: chat completions of any size and number of turns, varied, and the same in every run."""

import json
import random
from pathlib import Path
from typing import Any

from bench.speed.contestants import MODEL
from bench.static_upstream import BODIES, DIGITS

KILOBYTE = 1024
_VARIANTS = 4  # of each task, each with a text of its own

_WHO = (
    "the harbour master",
    "Mrs. Halvorsen",
    "a clerk of the archive",
    "the second engineer",
    "our neighbour",
    "the schoolteacher",
    "two surveyors",
    "the council",
    "an old fisherman",
    "the ferry company",
    "a student from the north",
    "the widow of the miller",
    "nobody",
    "the auditor",
)
_DID = (
    "wrote down",
    "repaired",
    "sold",
    "measured",
    "forgot",
    "painted over",
    "returned",
    "asked for",
    "could not find",
    "carried away",
    "counted",
    "insured",
    "photographed",
    "planned",
    "lost",
    "argued about",
)
_WHAT = (
    "the keys of the warehouse",
    "a crate of lamps",
    "the list of wages",
    "eleven boats",
    "the drawings of the bridge",
    "a letter from the ministry",
    "the price of salt",
    "the north wall",
    "three maps",
    "a bell without a name",
    "the water meter",
    "minutes of the meeting",
    "the lease",
    "a barrel of tar",
    "the timetable",
    "half of the archive",
)
_WHEN = (
    "in {y}",
    "before the winter of {y}",
    "on a Tuesday in {y}",
    "{n} days later",
    "when the tide was low",
    "after the fire of {y}",
    "at a quarter past {h}",
    "for {n} crowns",
    "without saying why",
    "although it rained",
    "as the contract of {y} demanded",
    "in spite of {n} complaints",
)


def prose(draw: random.Random, length: int) -> str:
    """Paragraphs without sense, of many words, with quotes and line breaks; `length` characters, all ASCII."""
    said: list[str] = []
    size = 0
    while size < length:
        when = draw.choice(_WHEN).format(y=draw.randint(1840, 2020), n=draw.randint(2, 9_000), h=draw.randint(1, 12))
        what = draw.choice(_WHAT)
        sentence = f"{draw.choice(_WHO)} {draw.choice(_DID)} {what} {when}."
        sentence = draw.choice(('"{}"', "{}", "{}", "{}")).format(sentence[0].upper() + sentence[1:])
        said.append(sentence + draw.choice(("\n", " ", " ", " ")))
        size += len(sentence)
    return "".join(said)[:length]


def of_size(size: int, model: str = MODEL) -> list[str]:
    """Lines of JSON with ten zeros in each, to be replaced by a number; `size` bytes each. 1 KB: those that are checked in."""
    given = [json.loads(line) for line in BODIES.read_text("utf-8").splitlines()]
    if size <= KILOBYTE:
        return [_line(body, model) for body in given]
    made = []
    for variant in range(max(1, min(_VARIANTS, 2**22 // size))):
        for n, body in enumerate(given):
            instruction, *_, page = body["messages"][-1]["content"].split("\n\n")
            text = prose(random.Random(variant * 100 + n), size)
            for _ in range(2):  # cut to what is left for it, which quotes and line breaks make less
                body["messages"][-1]["content"] = f"{instruction}\n\n{text}\n\n{page}"
                missing = size - len(_line(body, model).encode())
                text = text[:missing] if missing < 0 else text + "." * missing
            body["messages"][-1]["content"] = f"{instruction}\n\n{text}\n\n{page}"
            made.append(_line(body, model))
    return made


def of_turns(turns: int, model: str = MODEL) -> list[str]:
    """The 1 KB requests as the last turn of a conversation: `turns` - 1 questions and answers of 80 characters before it."""
    made = []
    for n, line in enumerate(BODIES.read_text("utf-8").splitlines()):
        body, draw = json.loads(line), random.Random(n)
        before = [
            {"role": role, "content": prose(draw, 80)} for _ in range(turns - 1) for role in ("user", "assistant")
        ]
        body["messages"] = [body["messages"][0], *before, *body["messages"][1:]]
        made.append(_line(body, model))
    return made


def conversation(size: int, turns: int = 20, model: str = MODEL) -> list[str]:
    """Conversations of so many turns that end with the 1 KB requests, `size` bytes each."""
    made = []
    for n, line in enumerate(BODIES.read_text("utf-8").splitlines()):
        body, draw = json.loads(line), random.Random(n)
        system, asked = body["messages"]
        before = [{"role": role, "content": ""} for _ in range(turns - 1) for role in ("user", "assistant")]
        body["messages"] = [system, *before, asked]
        room = size - len(_line(body, model).encode())
        for message in before:
            message["content"] = prose(draw, room // len(before)).replace("\n", " ").replace('"', "'")
        before[-1]["content"] += "." * (room % len(before))
        made.append(_line(body, model))
    return made


def written(folder: Path, name: str, lines: list[str]) -> Path:
    """A file of such lines, for the load."""
    file = folder / f"{name}.jsonl"
    file.write_text("\n".join(lines) + "\n", "utf-8")
    return file


def _line(body: dict[str, Any], model: str) -> str:
    body = body | {"model": model}
    if model != MODEL:
        del body["user"]  # TensorZero does not know the field, and would log a line about each request
    line = json.dumps(body, ensure_ascii=False)
    assert DIGITS in line
    return line
