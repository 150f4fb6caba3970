"""Questions in English about scenes of blocks, each with its program and its answer.

A question is a tree of phrases: "the red thing that is left of the metal ball" is a set of blocks, described by values
and by a relation to another block. Nouns, values and sentences have synonyms.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import torch

from lowland.data.block_programs import ANSWERS, FUNCTIONS, RELATIONS, Facts, chain, outcome, parsed, tree
from lowland.data.block_scenes import ATTRIBUTES, Scene
from lowland.errors import OptionError

LONGEST_QUESTION, LONGEST_PROGRAM = 40, 26
KINDS = ("count", "exist", "query", "compare numbers", "compare values")
"""Kinds of questions."""
_WORDS = {
    "cube": ("cube", "block", "box"),
    "sphere": ("sphere", "ball", "globe"),
    "cylinder": ("cylinder", "tube", "drum"),
    "metal": ("metal", "metallic", "shiny"),
    "rubber": ("rubber", "matte"),
    "large": ("large", "big", "huge"),
    "small": ("small", "tiny", "little"),
    "": ("thing", "object", "item"),
}
_PLACES = {
    "left": ("left of", "to the left of", "on the left side of"),
    "right": ("right of", "to the right of", "on the right side of"),
    "front": ("in front of", "before"),
    "behind": ("behind", "at the back of"),
}
_ORDER = ("size", "colour", "material", "shape")
_SHARES = {"yes": 0.52, "no": 0.52, "large": 0.6, "small": 0.6, "metal": 0.6, "rubber": 0.6}
_TRIES = 3_000
Phrase: TypeAlias = tuple[str, str, int]
"""Words, a program, and the set of blocks, as bits."""


class BlockQuestion(NamedTuple):
    """A question about a scene: its words, its program, its answer, and the number of the scene."""

    words: tuple[str, ...]
    program: tuple[int, ...]
    answer: str
    scene: int

    @property
    def depth(self) -> int:
        """How many relations follow one another."""
        return chain(tree(self.program))

    @property
    def kind(self) -> str:
        """What is asked, one of `KINDS`."""
        first = FUNCTIONS[self.program[0]]
        if first.kind in ("greater", "less") or first.name == "equal":
            return "compare numbers"
        return "compare values" if first.kind == "equal" else first.kind


class _IllPosedError(Exception):
    """What was drawn so far cannot become a question."""


class _Writer:
    """Draws phrases that are true of one scene."""

    def __init__(self, facts: Facts, draw: np.random.Generator) -> None:
        self.facts, self.draw = facts, draw

    def pick(self, *words: str) -> str:
        return words[int(self.draw.integers(len(words)))]

    def describe(self, values: dict[str, str], plural: bool) -> tuple[str, str, int]:
        """Adjectives and a noun, the filters in this order, and the blocks that have the values."""
        words = [self.pick(*_WORDS.get(values[a], (values[a],))) for a in _ORDER[:3] if a in values]
        noun = self.pick(*_WORDS[values.get("shape", "")])
        noun = (f"{noun}es" if noun.endswith("x") else f"{noun}s") if plural else noun
        having = self.facts.whole
        for value in values.values():
            having &= self.facts.having[value]
        return " ".join([*words, noun]), " ".join(f"filter[{values[a]}]" for a in _ORDER if a in values), having

    def related(self, depth: int) -> Phrase:
        """What stands in a relation to a block, or shares a value with it: "left of the ball"."""
        if self.draw.random() < 0.25:
            attribute = self.pick(*ATTRIBUTES)
            words, program, one = self.the(depth - 1)
            text = f"{self.pick('of', 'with')} the same {attribute} as {words}"
            return text, f"same[{attribute}] {program}", self.facts.sets[attribute][one]
        relation = self.pick(*RELATIONS)
        words, program, one = self.the(depth - 1)
        return (
            f"{self.pick(*_PLACES[relation])} {words}",
            f"relate[{relation}] {program}",
            self.facts.sets[relation][one],
        )

    def base(self, depth: int, plural: bool) -> Phrase:
        """What is said behind the noun, if anything: relations of this depth, at times two at once."""
        if depth == 0:
            return "", "scene", self.facts.whole
        that = self.pick("that are ", "which are ", "") if plural else self.pick("that is ", "which is ", "")
        words, program, blocks = self.related(depth)
        if depth == 1 and self.draw.random() < 0.2:
            more, other, others = self.related(1)
            words, program, blocks = f"{words} and {more}", f"and {program} {other}", blocks & others
        return f"{that}{words}", program, blocks

    def values(self, block: int, count: int, without: str = "") -> dict[str, str]:
        """Some values of a block."""
        chosen = [name for name in self.draw.permutation(_ORDER).tolist() if name != without][:count]
        return {name: self.facts.scene[block].value(name) for name in chosen}

    def the(self, depth: int, without: str = "") -> Phrase:
        """One block, described so that it is the only one: "the red cube that is behind the ball"; its number, too."""
        words, program, blocks = self.base(depth, plural=False)
        those = [bit for bit in range(len(self.facts.scene)) if blocks >> bit & 1]
        if not those:
            raise _IllPosedError
        block = int(self.draw.choice(those))
        for count in range(int(self.draw.integers(1, 3)), 5):
            noun, filters, having = self.describe(self.values(block, count, without), plural=False)
            # Were the noun enough, it would not matter whether what follows it is understood.
            if having & blocks == 1 << block and (depth == 0 or having != 1 << block):
                return f"the {noun} {words}".strip(), f"unique {filters} {program}", block
        raise _IllPosedError

    def some(self, depth: int, plural: bool = True) -> Phrase:
        """A set of blocks: "red things that are behind the ball", and at times "cubes or red balls"."""
        if depth == 0 and plural and self.draw.random() < 0.25:
            (one, first, these), (other, second, those) = self.some_of(0, True), self.some_of(0, True)
            if these & ~those and those & ~these:
                return f"{one} or {other}", f"or {first} {second}", these | those
            raise _IllPosedError
        return self.some_of(depth, plural)

    def some_of(self, depth: int, plural: bool) -> Phrase:
        """A set of blocks without an "or"."""
        words, program, blocks = self.base(depth, plural)
        count = int(self.draw.integers(0 if depth else 1, 3))
        values = self.values(int(self.draw.integers(len(self.facts.scene))), count)
        if depth == 0 and self.draw.random() < 0.5:  # of no block, as the case may be
            values = {name: self.pick(*ATTRIBUTES[name]) for name in values}
        noun, filters, having = self.describe(values, plural)
        if depth and having & blocks == having:
            raise _IllPosedError
        return f"{noun} {words}".strip(), f"{filters} {program}".strip(), having & blocks

    def question(self, kind: str, depth: int) -> tuple[str, str]:
        """The words and the program of a question."""
        if kind in ("count", "exist"):
            plural = kind == "count" or bool(self.draw.random() < 0.5)
            words, program, _ = self.some(depth, plural)
            if kind == "count":
                form = self.pick(
                    "how many {} are there", "what number of {} are there", "count the {}", "how many {} do you see"
                )
            elif plural:
                form = self.pick("are there any {}", "do you see any {}", "are any {} there")
            else:
                form = self.pick("is there a {}", "do you see a {}", "is a {} there")
            return form.format(words), f"{kind} {program}"
        if kind == "query":
            attribute = self.pick(*ATTRIBUTES)
            words, program, _ = self.the(depth, attribute)
            forms = ["what {1} is {0}", "what is the {1} of {0}", "tell the {1} of {0}", "{0} is of what {1}"]
            forms += ["what is {0} made of"] if attribute == "material" else []
            return self.pick(*forms).format(words, attribute), f"query[{attribute}] {program}"
        own = (depth, int(self.draw.integers(0, depth + 1)))
        one, two = own if self.draw.random() < 0.5 else own[::-1]
        if kind == "compare numbers":
            (words, first, _), (more, second, _) = self.some_of(one, True), self.some_of(two, True)
            name, forms = (
                ("greater", ("are there more {} than {}", "is the number of {} greater than the number of {}")),
                ("less", ("are there fewer {} than {}", "is the number of {} less than the number of {}")),
                ("equal", ("are there as many {} as {}", "is the number of {} the same as the number of {}")),
            )[int(self.draw.integers(3))]
            return self.pick(*forms).format(words, more), f"{name} count {first} count {second}"
        attribute = self.pick(*ATTRIBUTES)
        (words, first, block), (more, second, other) = self.the(one, attribute), self.the(two, attribute)
        if block == other:
            raise _IllPosedError
        form = self.pick(
            "does {0} have the same {2} as {1}",
            "do {0} and {1} have the same {2}",
            "is the {2} of {0} the same as that of {1}",
        )
        asked = f"query[{attribute}]"
        return form.format(words, more, attribute), f"equal[{attribute}] {asked} {first} {asked} {second}"


def ask(
    scenes: Sequence[Scene], count: int, generator: torch.Generator, depths: Sequence[int] = (0, 1, 2)
) -> list[BlockQuestion]:
    """So many questions about scenes, with programs and answers; kinds and depths in turn.

    A question that has no answer, such as one about "the red ball" where there are two, is not asked, nor one in which
    a relation changes nothing. No answer has more than a fixed share of the questions of its kind: 52 % for yes and no,
    60 % for two values, 40 % for three, 24 % for six colours, and 30 % for a number.

    Args:
        scenes: what to ask about.
        count: how many.
        generator: draws everything.
        depths: how many relations may follow one another.

    Raises:
        OptionError: for fewer than one question, no scenes, or a depth outside 0 … 4, and where questions of a depth
            cannot be found.

    >>> from lowland.data.block_scenes import draw_blocks
    >>> drawn = draw_blocks(3, torch.Generator().manual_seed(0))
    >>> asked = ask(drawn.scenes, 2, torch.Generator().manual_seed(1))
    >>> [question.kind for question in asked]
    ['count', 'exist']
    """
    if count < 1 or not scenes or not depths or not all(0 <= depth <= 4 for depth in depths):
        raise OptionError(
            f"Questions need a count of at least 1, scenes and depths from 0 to 4, not {count}, {depths}."
        )
    draw = np.random.default_rng(int(torch.randint(2**31, (), generator=generator)))
    facts, given, found = [Facts(scene) for scene in scenes], Counter(), []
    tries = 0
    while len(found) < count:
        kind, depth = KINDS[len(found) % len(KINDS)], depths[len(found) // len(KINDS) % len(depths)]
        tries += 1
        if tries > _TRIES:
            raise OptionError(
                f"No question of depth {depth} was found for these scenes: give more of them, or larger ones."
            )
        number = int(draw.integers(len(scenes)))
        try:
            text, written = _Writer(facts[number], draw).question(kind, depth)
        except _IllPosedError:
            continue
        words, program = tuple(text.split()), tuple(parsed(written))
        answer, _ = outcome(program, facts[number])
        if answer is None or len(words) > LONGEST_QUESTION or len(program) > LONGEST_PROGRAM:
            continue
        asked = program[0] if kind == "query" else kind
        said = ANSWERS[answer]
        if given[asked, said] > _share(said) * given[asked] + 1:
            continue
        given[asked, said] += 1
        given[asked] += 1
        found.append(BlockQuestion(words, program, said, number))
        tries = 0
    return found


def _share(answer: str) -> float:
    """The largest share of an answer among the questions of its kind."""
    if answer.isdigit():
        return 0.3
    return _SHARES.get(answer, 0.24 if answer in ATTRIBUTES["colour"] else 0.4)
