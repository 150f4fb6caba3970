"""A functional language of questions about blocks: its words, its types, and what a program answers.

A program is the sequence of its functions in the order in which a tree is read from its root: `count filter[red]
scene` is `count(filter[red](scene))`. This is the language of CLEVR (Johnson et al., "CLEVR: a diagnostic dataset for
compositional language and elementary visual reasoning", 2017), with the prefix order of Johnson et al., "Inferring and
executing programs for visual reasoning" (2017).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from lowland.data.block_scenes import ATTRIBUTES, MOST, Scene
from lowland.errors import DataError

RELATIONS = ("left", "right", "front", "behind")
_BLOCKS, _ONE, _NUMBER, _TRUTH = "blocks", "block", "number", "truth"


class Function(NamedTuple):
    """A function: its name with what it is about, the type of its result and those of its arguments."""

    name: str
    result: str
    arguments: tuple[str, ...]

    @property
    def kind(self) -> str:
        """The name without what it is about, as "filter" in "filter[red]"."""
        return self.name.split("[")[0]

    @property
    def about(self) -> str:
        """What it is about, or ""."""
        return self.name.partition("[")[2].rstrip("]")


def _language() -> tuple[Function, ...]:
    found = [Function("scene", _BLOCKS, ()), Function("unique", _ONE, (_BLOCKS,))]
    found += [Function(f"filter[{v}]", _BLOCKS, (_BLOCKS,)) for values in ATTRIBUTES.values() for v in values]
    found += [Function(f"relate[{relation}]", _BLOCKS, (_ONE,)) for relation in RELATIONS]
    found += [Function(f"same[{attribute}]", _BLOCKS, (_ONE,)) for attribute in ATTRIBUTES]
    found += [Function(name, _BLOCKS, (_BLOCKS, _BLOCKS)) for name in ("and", "or")]
    found += [Function("count", _NUMBER, (_BLOCKS,)), Function("exist", _TRUTH, (_BLOCKS,))]
    found += [Function(f"query[{attribute}]", attribute, (_ONE,)) for attribute in ATTRIBUTES]
    found += [Function(name, _TRUTH, (_NUMBER, _NUMBER)) for name in ("greater", "less", "equal")]
    found += [Function(f"equal[{attribute}]", _TRUTH, (attribute, attribute)) for attribute in ATTRIBUTES]
    return tuple(found)


FUNCTIONS = _language()
"""All functions; the number of one is its place here."""
NUMBERS = {function.name: number for number, function in enumerate(FUNCTIONS)}
ANSWERS = ("yes", "no", *map(str, range(MOST + 1)), *(value for values in ATTRIBUTES.values() for value in values))
"""All answers; the number of one is its place here."""
_ANSWER = {answer: number for number, answer in enumerate(ANSWERS)}
_ATTRIBUTE = {value: attribute for attribute, values in ATTRIBUTES.items() for value in values}


class Facts:
    """What is to be known of a scene, as sets of its blocks: bit i of a number stands for block i.

    Args:
        scene: its blocks.

    >>> from lowland.data.block_scenes import Block
    >>> Facts((Block(0, 0, 0, 0, 1, 5), Block(1, 0, 0, 0, 2, 3))).sets["left"]
    [0, 1]
    """

    def __init__(self, scene: Scene) -> None:
        self.scene, self.whole = scene, (1 << len(scene)) - 1
        self.having: dict[str, int] = dict.fromkeys(_ATTRIBUTE, 0)
        for bit, block in enumerate(scene):
            for attribute, values in ATTRIBUTES.items():
                self.having[values[getattr(block, attribute)]] |= 1 << bit
        self.sets: dict[str, list[int]] = {
            "left": self._where(lambda a, b: b.column < a.column),
            "right": self._where(lambda a, b: b.column > a.column),
            "front": self._where(lambda a, b: b.row > a.row),
            "behind": self._where(lambda a, b: b.row < a.row),
        }
        for attribute in ATTRIBUTES:
            values = [self.having[block.value(attribute)] & ~(1 << bit) for bit, block in enumerate(scene)]
            self.sets[attribute] = values

    def _where(self, holds: object) -> list[int]:
        assert callable(holds)
        return [sum(1 << i for i, other in enumerate(self.scene) if holds(block, other)) for block in self.scene]


def _apply(function: Function, facts: Facts, given: list[tuple[str, int | str]]) -> int | str | None:
    """The result: a set of blocks as bits, the number of a block, a number, a value or "yes"; None where none is."""
    kind, about = function.kind, function.about
    values = [value for _, value in given]
    one = values[0] if values else 0
    if kind == "scene":
        return facts.whole
    if kind in ("equal", "greater", "less"):
        first, second = values
        holds = first == second if kind == "equal" else (int(first) > int(second)) == (kind == "greater")
        return "yes" if holds and (kind == "equal" or first != second) else "no"
    assert isinstance(one, int)
    if kind == "unique":
        return one.bit_length() - 1 if one.bit_count() == 1 else None
    if kind == "filter":
        return one & facts.having[about]
    if kind in ("relate", "same"):
        return facts.sets[about][one]
    if kind == "query":
        return facts.scene[one].value(about)
    if kind == "count":
        return one.bit_count()
    if kind == "exist":
        return "yes" if one else "no"
    other = values[1]
    assert isinstance(other, int)
    return one & other if kind == "and" else one | other


def outcome(program: Sequence[int], facts: Facts) -> tuple[int | None, str]:
    """The number of the answer of a program and "", or None and why it has none.

    A program is run from its last function to its first, with a stack of results.

    Args:
        program: numbers of functions.
        facts: of the scene.
    """
    stack: list[tuple[str, int | str]] = []
    for number in reversed(program):
        if not 0 <= number < len(FUNCTIONS):
            return None, f"there is no function with the number {number}"
        function = FUNCTIONS[number]
        count = len(function.arguments)
        given = stack[len(stack) - count :][::-1] if count else []
        if tuple(kind for kind, _ in given) != function.arguments:
            has = " and ".join(kind for kind, _ in given) or "nothing"
            return None, f"{function.name} needs {' and '.join(function.arguments)}, but is followed by {has}"
        result = _apply(function, facts, given)
        if result is None:
            return None, f"{function.name} needs exactly one block"
        del stack[len(stack) - count :]
        stack.append((function.result, result))
    if len(stack) != 1:
        return None, f"it leaves {len(stack)} results, not one"
    kind, result = stack[0]
    if kind in (_BLOCKS, _ONE):
        return None, "it ends in blocks, not in an answer"
    return _ANSWER[str(result)], ""


def execute(program: Sequence[int], scene: Scene) -> str:
    """What a program answers about a scene.

    Args:
        program: numbers of functions, see `parsed`.
        scene: its blocks.

    Raises:
        DataError: for a program that has no answer: ill-formed, or with `unique` where there is not exactly one.

    >>> from lowland.data.block_scenes import Block
    >>> execute(parsed("count filter[red] scene"), (Block(0, 0, 0, 0, 1, 5), Block(1, 2, 0, 0, 2, 3)))
    '1'
    """
    answer, why = outcome(program, Facts(scene))
    if answer is None:
        raise DataError(f"The program {spelled(program)!r} has no answer: {why}.")
    return ANSWERS[answer]


def parsed(text: str) -> list[int]:
    """The numbers of the functions of a program.

    Raises:
        DataError: for a function that is not known.

    >>> spelled(parsed("exist filter[cube] scene"))
    'exist filter[cube] scene'
    """
    unknown = [name for name in text.split() if name not in NUMBERS]
    if unknown:
        raise DataError(
            f"There is no function {unknown[0]!r}: the language has {', '.join(list(NUMBERS)[:6])} and more."
        )
    return [NUMBERS[name] for name in text.split()]


def spelled(program: Sequence[int]) -> str:
    """The names of the functions of a program; a number without a function stays one."""
    return " ".join(FUNCTIONS[n].name if 0 <= n < len(FUNCTIONS) else str(n) for n in program)


class Node(NamedTuple):
    """A function and what it is applied to."""

    name: str
    arguments: tuple[Node, ...]


def tree(program: Sequence[int]) -> Node:
    """A program as a tree.

    Raises:
        DataError: if it is not one tree.

    >>> tree(parsed("count scene"))
    Node(name='count', arguments=(Node(name='scene', arguments=()),))
    """
    stack: list[Node] = []
    for number in reversed(program):
        count = len(FUNCTIONS[number].arguments) if 0 <= number < len(FUNCTIONS) else len(stack) + 1
        if count > len(stack):
            raise DataError(f"The program {spelled(program)!r} is no tree: {spelled([number])} lacks an argument.")
        given = tuple(stack.pop() for _ in range(count))
        stack.append(Node(FUNCTIONS[number].name, given))
    if len(stack) != 1:
        raise DataError(f"The program {spelled(program)!r} is {len(stack)} trees, not one.")
    return stack[0]


def chain(node: Node) -> int:
    """How many relations follow one another in a program: the depth of a question."""
    own = node.name.startswith(("relate", "same"))
    return own + max((chain(argument) for argument in node.arguments), default=0)
