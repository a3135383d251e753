"""What the user has not read yet of the value that a workflow returns.

Workflows often return what their agents have said: one text, several joined, a list or dict of them. An answer is cut
out where it is a paragraph or a long line of its own. Within a sentence or a list it stays: rather twice than torn.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from pydantic_core import to_jsonable_python

LONG = 40
"""Characters of a line that nobody repeats by chance."""
_HEADING = re.compile(r"#{1,6}\s.*|\*\*[^*]+\*\*:?|[\w ]{1,40}:|[-*_=#~|\s]+")
"""A line that only introduces or separates: a heading, a title in bold, a label, a rule."""
_BULLET = re.compile(r"(?:[-*+>]\s|\d+[.)]\s)*(?:\*\*[\w ]{1,40}:\*\*\s)?")
_LABEL = re.compile(r"(?:[-*+>]\s|\d+[.)]\s)*[\w ]{1,40}:\s")
"""Words before an answer. Before a short one they count: of "Wrong: yes", the first word is the news."""
_SEPARATORS = frozenset(" -–—*_|,;/·•=#")
_IDENTIFIER = re.compile(r"[!-~]*")
"""A text without spaces, in ASCII: a value for a program rather than a sentence."""


def news_in(value: Any, shown: Collection[str], known: Collection[str] = ()) -> Any:
    """Return the value without the texts in `shown`; "" if that leaves nothing for the user.

    What stands beside a shown text in a list or dict is returned only if it is a sentence, and not in `known`: numbers
    and names beside an answer are for a program. A value without any shown text is returned as it is.
    """
    answers = [lines for text in shown if (lines := _lines(text))]
    if not answers:
        return value
    if isinstance(value, str):
        return _news_in_text(value, answers)
    data = to_jsonable_python(value, fallback=str, serialize_unknown=True, bytes_mode="base64")
    return _news_beside(data, answers, known) if _has_answer(data, answers) else value


Answers = Sequence[Sequence[str]]
"""The lines of each shown text."""


def _has_answer(data: Any, answers: Answers) -> bool:
    match data:
        case str():
            return _news_in_text(data, answers) != data.strip()
        case dict():
            return any(_has_answer(entry, answers) for entry in data.values())
        case list():
            return any(_has_answer(entry, answers) for entry in data)
    return False


def _news_beside(data: Any, answers: Answers, known: Collection[str]) -> Any:
    """Return the news in JSON data that has an answer somewhere."""
    match data:
        case str():
            text = _news_in_text(data, answers)
            return "" if _IDENTIFIER.fullmatch(text) or text in known else text
        case dict():
            return {name: news for name, entry in data.items() if (news := _news_beside(entry, answers, known))} or ""
        case list():
            entries = [news for entry in data if (news := _news_beside(entry, answers, known))]
            return entries[0] if len(entries) == 1 else entries or ""
    return ""


def _news_in_text(text: str, answers: Answers) -> str:
    if _is_joined(" ".join(text.split()), answers):
        return ""
    lines = text.split("\n")
    places = [place for place, line in enumerate(lines) if line.strip()]
    words = [" ".join(lines[place].split()) for place in places]
    removed = [place for start, end in _removable(words, places, answers) for place in places[start:end]]
    if not removed:
        return text.strip()
    for place in removed:
        lines[place] = ""
    return re.sub(r"\n\s*\n", "\n\n", "\n".join(lines)).strip()


def _removable(lines: Sequence[str], places: Sequence[int], answers: Answers) -> Iterator[tuple[int, int]]:
    """Yield start and end of the answers that can be cut out, with the headings before them.

    `lines` are those that are not blank, and `places` their places in the text.
    """
    kinds = ""
    while (index := len(kinds)) < len(lines):
        if length := _answer_length(lines, index, answers):
            kinds += ("A" if length > 1 or len(lines[index]) >= LONG else "a") * length
        else:
            kinds += "h" if _HEADING.fullmatch(lines[index]) else "t"
    for run in re.finditer(r"h*[Aa](?:[hAa]*[Aa])?(?:h+$)?", kinds):
        start, end = run.span()
        is_first = not start or kinds[start] == "h" or places[start] - places[start - 1] > 1
        is_last = end == len(lines) or kinds[end] == "h" or places[end] - places[end - 1] > 1
        if "A" in run.group() or (is_first and is_last):
            yield start, end


def _answer_length(lines: Sequence[str], start: int, answers: Answers) -> int:
    """Return how many lines from `start` on are an answer; 0 if they are none."""
    first = lines[start]
    beginnings = {first, _BULLET.sub("", first, count=1)}
    if len(unlabelled := _LABEL.sub("", first, count=1)) >= LONG:
        beginnings.add(unlabelled)
    lengths = [
        len(answer)
        for answer in answers
        if answer[0] in beginnings and list(lines[start + 1 : start + len(answer)]) == list(answer[1:])
    ]
    return max(lengths, default=0) or int(not _HEADING.fullmatch(first) and _is_joined(first, answers))


def _lines(text: str) -> list[str]:
    """Return the lines that are not blank, with single spaces."""
    return [words for line in text.split("\n") if (words := " ".join(line.split()))]


def _is_joined(text: str, answers: Answers) -> bool:
    """Return whether a text is nothing but answers in a row, with or without something between them.

    Digits that meet are no such place: 1 and 2 are not 12.
    """
    joined = [" ".join(lines) for lines in answers]
    waiting, ends = [0], {0}
    while waiting:
        start = waiting.pop()
        following = {start + 1} if text[start : start + 1] in _SEPARATORS else set()
        if not (start and text[start - 1 : start + 1].isdigit()):
            following |= {start + len(answer) for answer in joined if text.startswith(answer, start)}
        waiting += following - ends
        ends |= following
    return len(text) in ends
