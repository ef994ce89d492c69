"""The shipped classifier on everyday prompts, written before it was trained and not copies of its examples."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifier.ask import read_messages, read_text
from classifier.errors import ArtefactError
from classifier.keywords import Keywords
from classifier.linear import Linear
from classifier.model import ARTEFACT, FILES, INSTRUCTIONS, REMEMBERED, Classifier
from classifier.verdict import GENERAL

EVERYDAY = [
    ("Can you write a JavaScript function to debounce a callback?", "code"),
    ("my docker container exits with code 137, how do I find out why", "code"),
    ("Solve the equation x^2 - 5x + 6 = 0", "math"),
    ("If 5 machines make 5 widgets in 5 minutes, how long do 100 machines take for 100 widgets?", "math"),
    ("Extract the names and birth dates from this text as JSON: Ada Lovelace, born 10 December 1815.", "extraction"),
    ("Classify this tweet as positive or negative: worst service ever", "classification"),
    ("Who painted the Mona Lisa?", "open_qa"),
    ("Why do leaves change colour in autumn?", "open_qa"),
    (
        "Summarize this article in two sentences: The mayor opened the new library on Monday. It has 40,000 books.",
        "summarization",
    ),
    ("Translate to German: I would like a glass of water.", "translation"),
    ("Rewrite this sentence in a more formal tone: can u send me that thing", "rewriting"),
    ("Write a short story about a lighthouse keeper", "creative_writing"),
    ("Write a poem about the rain in November", "creative_writing"),
    ("Write an email to my boss asking for a day off on Friday", "professional_writing"),
    ("Write a cover letter for a nursing position", "professional_writing"),
    ("Give me 10 ideas for a birthday party", "brainstorming"),
    ("Suggest names for my new bakery", "brainstorming"),
    ("hello", "chat"),
    ("Hi! How are you doing today?", "chat"),
    ("I'm feeling sad today", "chat"),
    ("用Java写一个单例模式", "code"),
    ("这段代码为什么会报空指针异常?", "code"),
    ("小明有5个苹果,吃了2个,还剩几个?", "math"),
    ("解不等式 3x-7>8", "math"),
    ("请从下面的文本中提取公司名称和成立时间:腾讯成立于1998年11月。", "extraction"),
    ("判断下面这条评论的情感是积极还是消极:质量太差了", "classification"),
    ("长城有多长?", "open_qa"),
    ("为什么海水是咸的", "open_qa"),
    ("请总结下面这段话的主要内容:今天上午,市长为新图书馆揭幕,馆内藏书四万册。", "summarization"),
    ("把这句话翻译成英语:明天会下雨吗", "translation"),
    ("请把这句话改写得更礼貌一些:快点回复我", "rewriting"),
    ("写一个关于月亮的童话故事", "creative_writing"),
    ("写一首描写春天的现代诗", "creative_writing"),
    ("帮我写一封辞职信", "professional_writing"),
    ("写一份关于市场调研的报告", "professional_writing"),
    ("给我的宠物店起几个名字", "brainstorming"),
    ("推荐几个适合周末去的地方", "brainstorming"),
    ("你好", "chat"),
    ("我今天心情不好,陪我聊聊吧", "chat"),
    ("根据下面的短文回答:小明几点起床?短文:小明每天六点半起床,七点吃早饭。", "closed_qa"),
]


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier.load()


def test_everyday_prompts_get_their_task(classifier: Classifier) -> None:
    wrong = [
        (text, task, said) for text, task in EVERYDAY if (said := classifier.classify(read_text(text)).task) != task
    ]
    assert len(wrong) <= 0.15 * len(EVERYDAY), wrong


def test_it_beats_the_keyword_rules_on_them(classifier: Classifier) -> None:
    rules = Keywords.load()
    right = sum(classifier.classify(read_text(text)).task == task for text, task in EVERYDAY)
    assert right > sum(rules.classify(read_text(text)).task == task for text, task in EVERYDAY)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "🙂🙂",
        "ﷺ",
        "Ω",
        "\u0000",
        "ъъъъ",
        "?!",
        "x",
        "7",
        "Как дела, друг? Расскажи.",
        "안녕하세요, 날씨 어때요?",
        "Quelle est la capitale de la France ?",
    ],
)
def test_without_evidence_it_does_not_guess(classifier: Classifier, text: str) -> None:
    verdict = classifier.classify(read_text(text))
    assert (verdict.task, verdict.source) == (GENERAL, "abstained")


def test_a_follow_up_takes_the_conversations_task(classifier: Classifier) -> None:
    def said(*asks: str) -> str:
        messages = [m for a in asks for m in ({"role": "user", "content": a}, {"role": "assistant", "content": "..."})]
        return classifier.classify(read_messages(messages[:-1])).task

    assert said("Write a Python function that reverses a list", "shorter please") == "code"
    assert said("写一首关于秋天的诗", "继续") == "creative_writing"
    assert said("写一首关于秋天的诗", "再来一个", "谢谢") == "creative_writing"
    assert said("写一首关于秋天的诗", "把下面这句话翻译成英文:我们明天见") == "translation"


@pytest.mark.parametrize(
    ("follow_up", "task"),
    [
        ("what about a list of lists?", "code"),
        ("can you make it longer?", "code"),
        ("2", "code"),
        ("now use recursion", "code"),
        ("好的,换一种写法", "code"),
        ("Thanks! Now write a poem about cats", "creative_writing"),
        ("translate it to German", "translation"),
    ],
)
def test_a_follow_up_says_otherwise_only_if_it_names_another_task(
    classifier: Classifier, follow_up: str, task: str
) -> None:
    asks = ["Write a Python function that reverses a list", follow_up]
    assert classifier.classify(read_messages([{"role": "user", "content": a} for a in asks])).task == task


ARTICLE = (
    "The town council met on Monday to settle the question of the old mill, which has stood empty since the flood. Three bids "
    "were on the table. The first would turn it into flats, the second into a school of music, and the third into a brewery with "
    "rooms for guests upstairs. After two hours the members sent all of them back and asked for figures on traffic and noise. "
    "Neighbours had filled the gallery, and most of them left before the vote, saying that they had heard it all in spring.\n"
)


@pytest.mark.parametrize(
    ("instruction", "task"),
    [("Summarize the above in two sentences.", "summarization"), ("Please translate this into French.", "translation")],
)
def test_an_instruction_counts_as_much_below_a_long_text_as_above(
    classifier: Classifier, instruction: str, task: str
) -> None:
    above, below = (
        classifier.classify(read_text(t)) for t in (f"{instruction}\n{ARTICLE}", f"{ARTICLE}\n{instruction}")
    )
    assert (above.task, below.task) == (task, task)


def test_a_verdict_without_doubt_is_well_above_the_threshold(classifier: Classifier) -> None:
    verdict = classifier.classify(read_text("Write a short story about a lighthouse keeper"))
    assert verdict.task == "creative_writing"
    assert verdict.confidence > classifier.manifest["threshold"]


@given(st.text(max_size=400))
def test_any_text_gets_a_verdict_with_a_probability(text: str) -> None:
    verdict = SHIPPED.classify(read_text(text))
    assert 0 <= verdict.confidence <= 1
    assert verdict.task in (*SHIPPED.tasks, GENERAL)
    assert SHIPPED.classify(read_text(text)) == verdict


SHIPPED = Classifier.load()


def test_the_manifest_names_sources_licences_and_scores() -> None:
    manifest = json.loads((ARTEFACT / "manifest.json").read_text("utf-8"))
    assert all(s["source"] and s["license"] and s["rows"] > 0 for s in manifest["sources"])
    assert manifest["scores_on_sources_left_out"]["all"]["accuracy"] > 0.5
    assert set(manifest["labels"]) == set(SHIPPED.tasks)


def test_the_artefact_is_small_and_holds_no_pickle() -> None:
    assert sum(f.stat().st_size for f in ARTEFACT.iterdir()) < 2_000_000
    assert {f.suffix for f in ARTEFACT.iterdir()} == {".npz", ".json", ".gz"}


def test_a_folder_that_is_no_artefact_says_so(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="setpoint train"):
        Classifier.load(tmp_path)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["nonsense", "cut", "flipped"])
def test_a_damaged_artefact_says_so(tmp_path: Path, name: str, damage: str) -> None:
    for file in ARTEFACT.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    whole = (ARTEFACT / name).read_bytes()
    flipped = whole[:300] + bytes(b ^ 255 for b in whole[300:360]) + whole[360:]
    broken = {"nonsense": b"PK nonsense", "cut": whole[: len(whole) // 2], "flipped": flipped}
    (tmp_path / name).write_bytes(broken[damage])
    with pytest.raises(ArtefactError, match="not a classifier artefact"):
        Classifier.load(tmp_path)


LABELS = list(SHIPPED.tasks)


@pytest.mark.parametrize(
    "change",
    [
        {"format": 0},
        {"labels": None},
        {"labels": ["code"]},
        {"labels": [*LABELS[1:], LABELS[1]]},
        {"labels": [*LABELS[1:], GENERAL]},
        {"labels": [*LABELS[1:], "a\r\nset-cookie: b"]},
        {"labels": [*LABELS[1:], ""]},
        {"temperature": 0},
        {"temperature": float("nan")},
        {"temperature": 1e-9},
        {"temperature": 10**400},
        {"threshold": "high"},
        {"threshold": -0.1},
        {"threshold": 1.5},
        {"threshold": True},
    ],
)
def test_a_manifest_that_does_not_fit_says_so(tmp_path: Path, change: dict[str, object]) -> None:
    for file in ARTEFACT.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    manifest = json.loads((ARTEFACT / "manifest.json").read_text("utf-8"))
    (tmp_path / "manifest.json").write_text(json.dumps(manifest | change), "utf-8")
    with pytest.raises(ArtefactError, match="train it again"):
        Classifier.load(tmp_path)


@pytest.mark.parametrize(
    ("name", "value"),
    [("targets", -1), ("targets", 10**6), ("of_body", -1), ("keys", SHIPPED.linear.keys[:, None])],
)
def test_arrays_that_do_not_fit_say_so(tmp_path: Path, name: str, value: object) -> None:
    with np.load(ARTEFACT / "model.npz") as arrays:
        changed: dict[str, Any] = {**arrays, name: np.array(value)}
    np.savez(tmp_path / "model.npz", **changed)
    manifest = json.loads((ARTEFACT / "manifest.json").read_text("utf-8"))
    manifest.pop("model_sha256", None)
    (tmp_path / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    with pytest.raises(ArtefactError, match="train it again"):
        Classifier.load(tmp_path)


def test_a_manifest_nested_without_end_says_so(tmp_path: Path) -> None:
    (tmp_path / "model.npz").write_bytes((ARTEFACT / "model.npz").read_bytes())
    (tmp_path / "manifest.json").write_text("[" * 100_000)
    with pytest.raises(ArtefactError, match="not a classifier artefact"):
        Classifier.load(tmp_path)


def test_the_rows_of_a_model_are_lines_of_the_processors_cache_however_its_weights_were_kept() -> None:
    """Each verdict takes a hundred rows: column by column that is six times as slow."""
    one = np.ones(3, np.float32)
    weights = np.asfortranarray(np.ones((3, 2), np.float32))
    linear = Linear(np.arange(1, 4, dtype=np.uint64) << np.uint64(60), one, one, weights, one[:2], 2)
    assert linear._rows.flags.c_contiguous
    assert {64} == {linear._rows.strides[0], 64 + linear._rows.ctypes.data % 64}
    assert linear.scores(*linear.places(linear.keys)) == pytest.approx([1 + 2 / 2**0.5 + 1] * 2)


def test_each_known_feature_counts_once_and_those_of_the_head_apart() -> None:
    linear = SHIPPED.linear
    body, head = linear.keys[[5, 3]], linear.keys[[linear.of_body + 7]]
    unknown = np.array([1, int(body[0]) ^ 1], np.uint64)  # the last where a known one is looked up
    places, of_body = linear.places(np.concatenate([body, unknown, body, head, head, unknown]))
    assert (places.tolist(), of_body) == ([4, 6, linear.of_body + 8], 2)
    assert linear.places(unknown)[0].tolist() == []


def test_prompts_and_system_prompts_are_remembered_up_to_a_number() -> None:
    model = Classifier.load()
    for n in range(REMEMBERED + 100):
        system = {"role": "system", "content": f"You translate. {n}"}
        said = model.classify(read_messages([system, {"role": "user", "content": f"A mill at the river {n}"}]))
    assert (len(model._seen), len(model._instructions) <= INSTRUCTIONS) == (REMEMBERED, True)
    assert model.classify(read_messages([system, {"role": "user", "content": f"A mill at the river {n}"}])) == said
