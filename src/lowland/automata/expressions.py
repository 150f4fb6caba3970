"""Regular expressions, read into the positions of their letters and which may follow which (Glushkov 1961).

The automaton of positions has no arcs that read nothing, one state for each letter of the expression.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from lowland.errors import DomainError, OptionError

MOST = 2000
"""Most positions of an expression, repetitions written out."""
_DEEPEST = 100
_CLASSES = {"d": string.digits, "w": string.ascii_letters + string.digits + "_", "s": " \t\n\r\f\v"}


@dataclass
class Positions:
    """What an expression is: `letters` of each position, which `follow` it, and which are `first` and `last`."""

    letters: list[list[int]] = field(default_factory=list)
    follow: list[set[int]] = field(default_factory=list)
    first: set[int] = field(default_factory=set)
    last: set[int] = field(default_factory=set)
    optional: bool = True


class _Part(NamedTuple):
    """A part of an expression: where it may begin and end, and whether it may be left out."""

    first: set[int]
    last: set[int]
    optional: bool


_NOTHING = _Part(set(), set(), True)


def parse(expression: str, alphabet: Sequence[str]) -> Positions:
    """The positions of a regular expression; see `lowland.automata.regular` for what it may hold.

    >>> found = parse("ab?", "ab")
    >>> found.first, found.last, found.follow
    ({0}, {0, 1}, [{1}, set()])
    """
    reader = _Reader(expression, alphabet)
    part = reader.either()
    if reader.at < len(expression):
        raise reader.error("has a ) without a (")
    found = reader.found
    found.first, found.last, found.optional = part
    return found


class _Reader:
    """Recursive descent: alternatives of sequences of repeated atoms."""

    def __init__(self, expression: str, alphabet: Sequence[str]) -> None:
        self.text, self.at, self.depth, self.found = expression, 0, 0, Positions()
        self.number = {letter: k for k, letter in enumerate(alphabet)}

    def error(self, what: str) -> OptionError:
        return OptionError(f"The expression {self.text!r} {what}, at character {self.at + 1}.")

    def next(self) -> str:
        return self.text[self.at : self.at + 1]

    def take(self) -> str:
        letter = self.next()
        if not letter:
            raise self.error("ends too early")
        self.at += 1
        return letter

    def either(self) -> _Part:
        part = self.sequence()
        while self.next() == "|":
            self.at += 1
            other = self.sequence()
            part = _Part(part.first | other.first, part.last | other.last, part.optional or other.optional)
        return part

    def sequence(self) -> _Part:
        part = _NOTHING
        while self.next() not in ("", "|", ")"):
            part = self.joined(part, self.repeated())
        return part

    def joined(self, one: _Part, other: _Part) -> _Part:
        for place in one.last:
            self.found.follow[place] |= other.first
        first = one.first | other.first if one.optional else one.first
        last = one.last | other.last if other.optional else other.last
        return _Part(first, last, one.optional and other.optional)

    def repeated(self) -> _Part:
        begin = self.at
        part = self.atom()
        end = self.at
        while (mark := self.next()) and mark in "*+?{":
            least, most = self.bounds()
            after = self.at
            copies = [part]
            for _ in range(max(least, most or least, 1) - 1):
                self.at = begin
                copies.append(self.inner(end))
            self.at = after
            part = self.times(copies, least, most)
            if self.next() and self.next() in "*+?{":
                raise self.error("repeats a repetition, which needs a group (…)")
        return part

    def inner(self, end: int) -> _Part:
        """Another copy of the atom that was just read."""
        part = self.atom()
        assert self.at == end
        return part

    def times(self, copies: list[_Part], least: int, most: int | None) -> _Part:
        if most == 0:
            return _NOTHING
        if most is None:
            last = copies[-1]
            for place in last.last:
                self.found.follow[place] |= last.first
        found = _NOTHING
        for i, part in enumerate(copies):
            found = self.joined(found, part if i < least else part._replace(optional=True))
        return found

    def bounds(self) -> tuple[int, int | None]:
        mark = self.take()
        if mark != "{":
            return {"*": (0, None), "+": (1, None), "?": (0, 1)}[mark]
        close = self.text.find("}", self.at)
        inside = self.text[self.at : close] if close >= 0 else ""
        least, comma, most = inside.partition(",")
        if not least.isdecimal() or (most and not most.isdecimal()):
            raise self.error("has a { that is not {m}, {m,} or {m,n}")
        self.at = close + 1
        low, high = int(least), int(most) if most else (None if comma else int(least))
        if max(low, high or 0) > MOST:
            raise self.error(f"repeats more than {MOST} times")
        if high is not None and high < low:
            raise self.error(f"has {{{inside}}}, whose second number is below its first")
        return low, high

    def atom(self) -> _Part:
        letter = self.take()
        if letter == "(":
            self.depth += 1
            if self.depth > _DEEPEST:
                raise self.error(f"has more than {_DEEPEST} groups inside one another")
            part = self.either()
            self.depth -= 1
            if self.next() != ")":
                raise self.error("has a ( without a )")
            self.at += 1
            return part
        if letter == "[":
            return self.position(self.group())
        if letter == ".":
            return self.position(set(self.number))
        if letter in "*+?{":
            raise self.error(f"has a {letter} with nothing before it to repeat")
        return self.position(self.escaped() if letter == "\\" else {letter})

    def escaped(self) -> set[str]:
        letter = self.take()
        if letter in _CLASSES:
            return {*_CLASSES[letter]} & {*self.number}
        if letter.isalnum():
            raise self.error(f"has \\{letter}, which is none of \\d, \\w and \\s")
        return {letter}

    def group(self) -> set[str]:
        other = self.next() == "^"
        self.at += other
        members: set[str] = set()
        begun = self.at
        while self.next() != "]" or self.at == begun:
            letter = self.take()
            if letter == "\\":
                members |= self.escaped()
            elif self.next() == "-" and self.text[self.at + 1 : self.at + 2] not in ("]", ""):
                self.at += 1
                last = self.take()
                if last == "\\":
                    raise self.error("has a range that ends in a \\")
                if last < letter:
                    raise self.error(f"has the range {letter}-{last}, whose end is before its start")
                members |= {each for each in self.number if letter <= each <= last}
            else:
                members.add(letter)
        self.at += 1
        return {*self.number} - members if other else members

    def position(self, members: set[str]) -> _Part:
        missing = sorted(members - set(self.number))
        if missing:
            raise DomainError(
                f"The expression {self.text!r} names {', '.join(map(repr, missing))}, which the alphabet lacks."
            )
        place = len(self.found.letters)
        if place == MOST:
            raise self.error(f"has more than {MOST} letters, repetitions written out")
        self.found.letters.append(sorted(self.number[letter] for letter in members))
        self.found.follow.append(set())
        return _Part({place}, {place}, False)
