"""A model of formulas on tests: beams with and without the check, what needs no learning, and sympy (system M10)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from lowland.data.formulas.draws import INTEGRAL, Solved
from lowland.data.formulas.text import mathematics
from lowland.data.formulas.tokens import bare, tree_of
from lowland.data.formulas.trees import Tree
from lowland.energies.autoregressive import Autoregressive
from lowland.errors import LowlandError
from lowland.evaluation.formulas import agreed, copied, nearest_answers, right_answers, right_candidates, zeros
from lowland.evaluation.sympy_rival import Sympy
from lowland.training.formulas import Candidates, answered, as_tensors, best_gamma, checked

FORWARD = "forward"
"""The test of integrands that were drawn, and integrated by sympy; the others are named as their kind."""
BEAM = 10
"""The width of the beam whose answers are shown, and by which γ is chosen."""
_LISTED = 5


def judged(
    model: Autoregressive,
    kind: str,
    tests: Mapping[str, Sequence[Solved]],
    chosen: Sequence[Solved],
    train: Sequence[Solved],
    beams: Sequence[int],
    gammas: Sequence[float],
) -> dict[str, Any]:
    """Right answers of each method on each test in percent, the γ that was chosen, and what a beam of ten wrote.

    Args:
        model: of `proposal_energy`, trained.
        kind: of the problems.
        tests: problems by the name of their test; one without problems is left out.
        chosen: problems on which γ is chosen.
        train: problems that the model has learned from, for the answer of the nearest one.
        beams: widths.
        gammas: γ, to choose from.
    """
    x, _ = as_tensors(kind, chosen)
    _, lists = answered(checked(model, kind, 1.0), x, BEAM)
    gamma = best_gamma(lists, right_candidates(kind, x, lists.tokens), sorted(gammas))
    known, answers = as_tensors(kind, train)
    found: dict[str, Any] = {"rows": {}, "gamma": gamma}
    for part, problems in tests.items():
        if not problems:
            continue
        x, y = as_tensors(kind, problems)
        given = {"zero": zeros(kind, x), "copy": copied(kind, x), "nearest": nearest_answers(x, known, answers)}
        for width in sorted({1, BEAM, *beams}):
            best, lists = answered(checked(model, kind, gamma), x, width)
            given |= {f"beam {width}": lists.tokens[:, 0], f"checked {width}": best}
            if width == BEAM:
                found[part] = {"answer": best, **lists._asdict(), "lengths": (y >= 0).sum(dim=1)}
        right = {method: right_answers(kind, x, rows) for method, rows in given.items()}
        found[part] |= {"right": right[f"checked {BEAM}"], "greedy": right["beam 1"]}
        for method, good in right.items():
            found["rows"].setdefault(method, {})[part] = 100 * float(good.float().mean())
    return found


def rivalled(
    tests: Mapping[str, Sequence[Solved]], ours: Mapping[str, Mapping[str, Tensor]], seconds: float
) -> dict[str, Any]:
    """Sympy on the problems of tests, with our answers to the same ones, and how many of ours it judges as we do.

    Args:
        tests: problems by the name of their test.
        ours: of `judged`, by the name of the test.
        seconds: of the processor for each problem.
    """
    rows: dict[str, Any] = {}
    with Sympy(seconds) as rival:
        for part, problems in tests.items():
            kind, own = INTEGRAL if part == FORWARD else part, ours[part]
            count = len(problems)
            rows[part] = {
                "sympy": [rival.solve(kind, one.problem)[0] for one in problems],
                "beam of ten, checked": own["right"][:count].tolist(),
                "greedy": own["greedy"][:count].tolist(),
                "agreed": agreed(rival, kind, problems, own["answer"][:count], own["right"][:count]),
            }
    return rows


def by_length(ours: Mapping[str, Tensor], step: int = 4) -> dict[str, tuple[list[float], list[float]]]:
    """Right answers in percent by the tokens of the known answer, rounded up to a multiple of the step.

    >>> import torch
    >>> yes, no = torch.tensor([True, True, False]), torch.tensor([True, False, False])
    >>> by_length({"lengths": torch.tensor([3, 5, 8]), "right": yes, "greedy": no})["greedy"]
    ([4.0, 8.0], [100.0, 0.0])
    """
    lengths = (ours["lengths"] + step - 1) // step * step
    places = [float(place) for place in lengths.unique().tolist()]
    return {
        name: (places, [100 * float(ours[key][lengths == place].float().mean()) for place in places])
        for name, key in (("beam of ten, checked", "right"), ("greedy", "greedy"))
    }


def candidate_text(row: Tensor, way: Callable[[Tree], str]) -> str:
    """A formula (T,) as text of one way, `plain` or `mathematics`."""
    try:
        return way(tree_of(bare(row)))
    except LowlandError:
        return "\\mathrm{no\\ formula}" if way is mathematics else "no formula"


def candidate_texts(
    lists: Candidates, row: int, best: Tensor, way: Callable[[Tree], str], most: int = _LISTED
) -> list[tuple[str, float, float, bool]]:
    """The likeliest different candidates of a problem, with −log p, residual, and whether it is the chosen one.

    Args:
        lists: of a test.
        row: of the problem.
        best: the chosen formula (T,), which is always among those that are returned.
        way: how to write formulas.
        most: how many.
    """
    found: dict[str, tuple[float, float, bool]] = {}
    for place in lists.proposal[row].argsort().tolist():
        tokens = lists.tokens[row, place]
        one = float(lists.proposal[row, place]), float(lists.residual[row, place]), bool((tokens == best).all())
        text = candidate_text(tokens, way)
        if text not in found or one[2]:
            found[text] = one
    every = [(text, *one) for text, one in found.items()]
    some = every[:most]
    return some if any(one[3] for one in some) else some[: most - 1] + [one for one in every if one[3]]
