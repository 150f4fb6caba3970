"""Lines of a log as tokens: words, marks, and what changes from line to line, masked. Shape letters: T tokens."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

TOKENISER = "2"
"""Changes whenever a line would be cut into other tokens, so that a model of another one is refused."""
_MONTH = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_CLOCK = r"\d{1,2}[:.]\d{2}[:.]\d{2}(?:[.,]\d+)?"
_GROUPS = "(?:[0-9a-fA-F]{1,4}(?::[0-9a-fA-F]{1,4}){0,6})"
_PARTS = {
    "date": rf"\d{{4}}[-/.]\d{{2}}[-/.]\d{{2}}(?:[T -]{_CLOCK})?(?:Z|[+-]\d{{2}}:?\d{{2}})?(?![\w.])"
    rf"|(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? )?{_MONTH} +\d{{1,2}} +{_CLOCK}(?: \d{{4}})?(?!\w)"
    rf"|\d{{2}}/{_MONTH}/\d{{4}}:{_CLOCK}(?: [+-]\d{{4}})?",
    "time": r"\d{1,2}:\d{2}:\d{2}(?:[.,]\d+)?(?![\w:])",
    "uuid": r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}(?!\w)",
    "mac": r"(?:[0-9a-fA-F]{2}:){5,19}[0-9a-fA-F]{2}(?![\w:])",
    "address": r"(?:::(?:[fF]{4}:)?)?\d{1,3}(?:\.\d{1,3}){3}(?![\w.])"
    r"|(?:[0-9a-fA-F]{1,4}:){3,7}[0-9a-fA-F]{1,4}(?![\w:])"
    rf"|(?<![\w:])(?=[0-9a-fA-F:]{{0,39}}\d){_GROUPS}?::{_GROUPS}?(?![\w:])",
    # A number begins where no digit stands before it, so that each is looked at once, however long it is.
    "hex": r"0[xX][0-9a-fA-F]+(?!\w)|(?<![0-9a-fA-F])(?=[0-9a-fA-F]*\d)(?=\d*[a-fA-F])[0-9a-fA-F]{6,}(?!\w)",
    "number": r"\d+",
    "word": r"[^\W\d_]+",
    "mark": r"(\S)\10*",
}
_PATTERN = re.compile("|".join(f"(?P<{name}>{part})" for name, part in _PARTS.items()))
_DIGITS = 9
_OTHER = ("<other lower>", "<Other Capital>", "<OTHER UPPER>", "<oTher Mixed>", "<other number>", "<other mark>")


class Token(NamedTuple):
    """A token, and the characters of the line that it stands for: from `begin` to before `end`."""

    word: str
    begin: int
    end: int


def tokens_of(line: str) -> list[Token]:
    """The tokens of a line.

    Dates, times, addresses and hexadecimal numbers become their kind. A number below ten is itself; of a larger one the
    first digit and how many there are remain, so that 404 is `4xx` and 51,234 is `5xxxx`: it tells an unusual size. A
    mark that is repeated counts once.

    >>> [token.word for token in tokens_of("Nov 30 04:05:06 sshd[4312]: from 10.0.0.7 port 51234, 3 tries")]
    ['<date>', 'sshd', '[', '4xxx', ']', ':', 'from', '<address>', 'port', '5xxxx', ',', '3', 'tries']
    >>> [token.word for token in tokens_of("0x7ffe12 ---- sda1")]
    ['<hex>', '--', 'sda', '1']
    """
    found = []
    for match in _PATTERN.finditer(line):
        kind, text = match.lastgroup, match.group()
        if kind == "word":
            word = text
        elif kind == "mark":
            word = text[:2]
        elif kind == "number":
            word = text if len(text) == 1 else text[0] + "x" * (len(text) - 1) if len(text) <= _DIGITS else "<number>"
        else:
            word = f"<{kind}>"
        found.append(Token(word, match.start(), match.end()))
    return found


class Vocabulary:
    """Numbers for words. A word that it lacks has the number of its shape: small letters, capitals, number or mark.

    Args:
        words: in the order of their numbers, which begin after those of the shapes.

    >>> words = Vocabulary.of(["opened for root", "closed for root"], least=2)
    >>> words.words, words.numbers("failed for root")
    (['for', 'root'], [0, 6, 7])
    """

    def __init__(self, words: Sequence[str]) -> None:
        self.words = list(words)
        self._number = {word: len(_OTHER) + place for place, word in enumerate(self.words)}

    @classmethod
    def of(cls, lines: Iterable[str], least: int = 2, most: int = 4000) -> Vocabulary:
        """The words that these lines have at least so often, at most so many, the most frequent first.

        Words that are seen once stand for those that will be new, so that their shape has a probability.
        """
        counts = Counter(token.word for line in lines for token in tokens_of(line))
        kept = [word for word, count in counts.items() if count >= least]
        return cls(sorted(kept, key=lambda word: (-counts[word], word))[:most])

    def __len__(self) -> int:
        return len(_OTHER) + len(self.words)

    def number(self, word: str) -> int:
        """The number of a word, or of its shape."""
        found = self._number.get(word)
        return shape_of(word) if found is None else found

    def numbers(self, line: str) -> list[int]:
        """The numbers of the tokens of a line."""
        return [self.number(token.word) for token in tokens_of(line)]

    def name(self, number: int) -> str:
        """The word with this number, or the name of the shape."""
        return _OTHER[number] if number < len(_OTHER) else self.words[number - len(_OTHER)]


def shape_of(word: str) -> int:
    """The number of the shape of a word that a vocabulary lacks.

    >>> [shape_of(word) for word in ("user", "User", "USER", "uSer", "4xx", "?")]
    [0, 1, 2, 3, 4, 5]
    """
    if word[0].isdecimal() or word.startswith("<"):
        return 4
    if not word[0].isalpha():
        return 5
    if word.islower():
        return 0
    if word.isupper() and len(word) > 1:
        return 2
    return 1 if word[0].isupper() and (len(word) == 1 or word[1:].islower()) else 3
