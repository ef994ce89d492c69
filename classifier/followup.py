"""Follow-ups: short words that go on with what the conversation was about."""

import re

_SHORT = 40  # characters; a Chinese one counts as three
_CJK = re.compile(r"[\u3400-\u9fff]")

# The whole of it is a follow-up.
_EN = re.compile(
    r"^\W*((ok(ay)?|yes|no|sure|please|and|now|but|hm+|great|cool|perfect|nice|can you|could you)\W+)*"
    r"((go on|continue|keep going|more|again|another( one)?|one more|next|retry|try again|regenerate|redo|elaborate|thanks?|thank you|thx|ty|"
    r"(make (it|that|this|them) )?(much |a bit |a little |even )?(shorter|longer|simpler|better|faster|clearer|funnier|more \w+|less \w+)|"
    r"(that'?s )?(wrong|not (right|correct|what i (asked|meant|wanted)))|why|how so|really|are you sure|what about (it|that|this)|"
    r"same (thing )?(again|for \w+)|in (english|chinese|french|german|spanish|one sentence)|without \w+|fix (it|that)|explain( it| that)?|"
    r"got it|i see|understood|makes sense|"
    r"(ok(ay)?|yes|no|sure|great|cool|perfect|nice|good))\b.{0,20})$",
    re.IGNORECASE | re.DOTALL,
)
_ZH = re.compile(
    r"^\W*(好的?|嗯+|请|那|行|可以|对)?\W*(继续|接着|再来一?[个遍次段篇首]?|再[写给说试生]\S{0,4}|重新?[写来生做试]\S{0,4}|换一?[个种]\S{0,4}|下一[个步]|"
    r"[更再]?[短长简详]\S{0,2}一?[点些]\S{0,3}|[太]?[短长]了\S{0,4}|不对|错了|不是这[个样]|谢谢\S{0,4}|感谢|多谢|为什么|详细\S{0,4}|"
    r"展开\S{0,4}|还有[呢吗]?|然后呢?|具体\S{0,4}|改[一]?[下改]|优化一?下|用[中英]文|不错|很好|太棒了|完美|明白了?|知道了|懂了|收到|"
    r"好的?|嗯+|是的?|可以)\W*(了|吧|呢|啊|一下)?\W*$"
)
_CHOICE = re.compile(r"^\W*([a-z]|\d{1,3})?\W*$", re.IGNORECASE)  # "2", "b)", "?!": one of what was offered

# It begins like one, and goes on with something of its own, but names no new task.
_BEGINS = re.compile(
    r"\W*(?:(?:ok(?:ay)?|yes|no|please|now|can you|could you)\W+)*(?:"
    r"(?:and|also|but|what about|how about|add|remove|drop|include|use|replace|change|rename|make (?:it|that|this|them))\b|"
    r"改成|改为|换成|变成|写成|加上?|去掉|删掉|不够|太|也|那|还要|要|别|不要|用)",
    re.IGNORECASE,
)
_NEW = re.compile(
    r"\b(?:write|translate|summari[sz]e|classify|extract|generate|create|compose|solve|calculate|rewrite|brainstorm|"
    r"poem|story|essay|e-?mail|hello|hi|python|java|javascript|sql)\b|代码|函数|翻译|总结|概括|写一|写个|写封|写篇|提取|分类|计算|求解|解方程|你好|起名|讲个",
    re.IGNORECASE,
)


def is_short(text: str) -> bool:
    """Whether a text is too short to stand alone."""
    return len(text) <= _SHORT and length(text) <= _SHORT


def length(text: str) -> int:
    """Characters, of which a Chinese one counts as three: it says about as much as that many Latin ones."""
    return len(text) if text.isascii() else len(text) + 2 * len(_CJK.findall(text))


def is_follow_up(text: str) -> bool:
    """Whether a text only makes sense after something else."""
    text = text.strip()
    if not text or not is_short(text):
        return False
    if _EN.match(text) or _ZH.match(text) or _CHOICE.match(text):
        return True
    return _BEGINS.match(text) is not None and _NEW.search(text) is None
