"""A machine that runs many programs about scenes of blocks at once, in tensors.

`lowland.data.block_programs.execute` runs one, and says what is wrong with it; this one only says that something is.

Legend: N programs, T functions of each, M blocks of a scene, F numbers of a block, D places of the stack.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lowland.data.block_programs import ANSWERS, FUNCTIONS, Function
from lowland.data.block_scenes import ATTRIBUTES, MOST, Block

_TYPES = ("", "blocks", "block", "number", "truth", *ATTRIBUTES)
_MAKE = ("scene", "filter", "relate", "same", "and", "or")
"""Kinds of functions whose result is a set of blocks."""
_COUNT = ("unique", "count", "exist", "query", "greater", "less", "equal")
"""Those whose result is a number: of a block, of blocks, of a value, or 1 for what is true."""
_SIDES = {"left": ("column", -1.0), "right": ("column", 1.0), "front": ("row", 1.0), "behind": ("row", -1.0)}
_VALUES = {value: number for values in ATTRIBUTES.values() for number, value in enumerate(values)}
_OF = {value: attribute for attribute, values in ATTRIBUTES.items() for value in values}
_FIRST = torch.tensor([0, 0, 0, 2, 0, *(ANSWERS.index(values[0]) for values in ATTRIBUTES.values())])
"""The number of the first answer of each type."""


def _row(function: Function) -> list[float]:
    """Of a function its kind, the types of its result and arguments, their count, a feature, a value and a sign."""
    about = function.about
    feature, sign = _SIDES.get(about, (_OF.get(about, about), 1.0))
    place = Block._fields.index(feature) if feature in Block._fields else 0
    arguments = [_TYPES.index(name) for name in (*function.arguments, "", "")[:2]]
    makes = _MAKE.index(function.kind) if function.kind in _MAKE else 0
    counts = _COUNT.index(function.kind) if function.kind in _COUNT else len(_COUNT)
    kinds, result = (makes, counts), _TYPES.index(function.result)
    return [*kinds, result, *arguments, len(function.arguments), place, _VALUES.get(about, 0), sign]


_TABLE = torch.tensor([_row(function) for function in FUNCTIONS])


def answers_of(programs: Tensor, scenes: Tensor) -> Tensor:
    """The numbers of the answers of programs about scenes, (N,) int64, −1 for a program that has none.

    Args:
        programs: (N, T) numbers of functions, −1 behind the end.
        scenes: (N, M · F), the six numbers of each block, −1 where there is none.

    >>> from lowland.data.block_programs import parsed
    >>> scene = torch.tensor([[0.0, 5, 1, 0, 3, 9, 2, 5, 0, 1, 4, 2] + [-1.0] * 48])
    >>> ANSWERS[int(answers_of(torch.tensor([parsed("count filter[grey] scene")]), scene))]
    '2'
    """
    blocks = scenes.unflatten(1, (MOST, len(Block._fields)))
    there, table = blocks[:, :, 0] >= 0, _TABLE.to(scenes)
    count, length = programs.shape
    deep = length // 2 + 2
    numbers = programs.nan_to_num(0.0).clamp(0, len(FUNCTIONS) - 1).long()
    right = ((programs < 0) | ((programs < len(FUNCTIONS)) & (programs == programs.round()))).all(dim=1)
    sets = torch.zeros(count, deep, MOST, dtype=torch.bool, device=scenes.device)
    values, types = (torch.zeros(count, deep, dtype=scenes.dtype, device=scenes.device) for _ in range(2))
    top = torch.zeros_like(numbers[:, 0])
    slots = torch.arange(deep, device=scenes.device)
    for place in reversed(range(length)):
        used = programs[:, place] >= 0
        makes, counts, result, first, second, arity, feature, value, sign = table[numbers[:, place]].unbind(dim=1)
        one, two = (top - back for back in (1, 2))
        given = [_at(at, sets, values, types) for at in (one, two)]
        fits = (top >= arity) & ((arity < 1) | (given[0][2] == first)) & ((arity < 2) | (given[1][2] == second))
        found = _applied((makes, counts), (feature, value, sign), [part[:2] for part in given], blocks, there)
        right = right & (~used | (fits & found[2]))
        to = (top - arity.long()).clamp(0, deep - 1)
        here = (slots == to[:, None]) & (used & right)[:, None]
        sets = (here[:, :, None] & found[0][:, None]) | (~here[:, :, None] & sets)  # ONNX has no `where` of booleans
        values, types = torch.where(here, found[1][:, None], values), torch.where(here, result[:, None], types)
        top = torch.where(used & right, to + 1, top)
    kind, number = types[:, 0].long(), values[:, 0].long()
    number = torch.where(kind == _TYPES.index("truth"), 1 - number, number)
    said = _FIRST.to(kind.device)[kind] + number
    return torch.where(right & (top == 1) & (kind > _TYPES.index("block")), said, -1)


def _at(at: Tensor, sets: Tensor, values: Tensor, types: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What lies at a place of each stack."""
    at = at.clamp_min(0)[:, None]
    own = sets.gather(1, at[:, :, None].expand(-1, -1, sets.shape[2]))[:, 0]
    return own, values.gather(1, at)[:, 0], types.gather(1, at)[:, 0]


def _applied(
    kinds: tuple[Tensor, Tensor],
    about: tuple[Tensor, Tensor, Tensor],
    given: list[tuple[Tensor, Tensor]],
    blocks: Tensor,
    there: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """A set of blocks (N, M), a number (N,), and whether there is a result (N,), of one function of each row.

    The set says nothing where the result is a number, and the other way round: types tell which is meant.
    """
    (those, number), (others, other) = given
    feature, value, sign = about
    own = blocks.gather(2, feature.long()[:, None, None].expand(-1, blocks.shape[1], 1))[:, :, 0]
    block = number.long().clamp(0, MOST - 1)[:, None]
    reference = own.gather(1, block)
    alone = torch.arange(MOST, device=block.device) != block
    size = those.sum(dim=1).to(number)
    beyond = there & (sign[:, None] * (own - reference) > 0)
    equal = there & (own == reference) & alone
    made = torch.stack([there, those & (own == value[:, None]), beyond, equal, those & others, those | others], dim=1)
    first = those.to(number).argmax(dim=1).to(number)
    compared = [each.to(number) for each in (number > other, number < other, number == other)]
    counted = torch.stack([first, size, (size > 0).to(number), reference[:, 0], *compared, 0 * size], dim=1)
    makes, counts = (kind.long()[:, None] for kind in kinds)
    found = made.gather(1, makes[:, :, None].expand(-1, -1, MOST))[:, 0]
    return found, counted.gather(1, counts)[:, 0], (counts[:, 0] != _COUNT.index("unique")) | (size == 1)
