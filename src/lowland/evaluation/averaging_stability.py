"""Where elastic averaging and ADMM are stable on the unit quadratic ½ x², measured and as published.

Shape letters: R rates η, P pulls ρ, A elastic rates α.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lowland.errors import check_number
from lowland.training.averaging.rules import ADMM, Elastic
from lowland.training.averaging.stability import radii

_SLACK = 1e-9
_STATED = ([0.001], [2.5])
_MOST = {"η": 0.01, "ρ": 10.0, "large η": 2.0, "α": 1.2}
"""Ends of the axes of maps; the first two are those of the paper's figure."""


def admm_radii(members: int, rates: Sequence[float], pulls: Sequence[float]) -> Tensor:
    """Largest absolute eigenvalue of a round of ADMM in which p workers take turns, (P, R), float64.

    Source: Zhang, Choromanska & LeCun 2015, "Deep learning with elastic averaging SGD", section 3, figure 1 (D4).

    Args:
        members: p.
        rates: η.
        pulls: ρ.

    Raises:
        OptionError: for fewer than one member.

    >>> admm_radii(3, [0.001], [2.5])
    tensor([[1.0010]], dtype=torch.float64)
    """
    return torch.stack(
        [torch.cat([radii(ADMM(pull=pull, rate=rate), members, [rate]) for rate in rates]) for pull in pulls]
    )


def easgd_radii(members: int, rates: Sequence[float], pulls: Sequence[float]) -> Tensor:
    """The same of EASGD with τ = 1 and α = ηρ, (P, R).

    Args:
        members, rates, pulls: as for `admm_radii`.

    Raises:
        OptionError: for fewer than one member, or α that is not positive.

    >>> easgd_radii(3, [0.001], [2.5])
    tensor([[0.9993]], dtype=torch.float64)
    """
    return torch.stack(
        [
            torch.cat([radii(Elastic(1, rate=members * rate * pull), members, [rate]) for rate in rates])
            for pull in pulls
        ]
    )


def published_bound(rate: float, members: int, turns: bool) -> float:
    """The largest stable α of EASGD for η = `rate` in [0, 2].

    (4 − 2η) / (4 − η) where workers take turns, for any p; (4 − 2η) / (2 + p (2 − η)) where all meet at once.

    Source: Zhang, Choromanska & LeCun 2015, section 3 and its appendix (systems D1, D4).

    Args:
        rate: η.
        members: p.
        turns: whether workers take turns.

    Raises:
        OptionError: for η below 0, or fewer than one member.

    >>> published_bound(1.0, members=2, turns=False), round(published_bound(1.0, members=2, turns=True), 3)
    (0.5, 0.667)
    """
    check_number("rate", rate, least=0)
    check_number("members", members, least=1, whole=True)
    return (4 - 2 * rate) / (4 - rate if turns else 2 + members * (2 - rate))


def easgd_region(members: int, rates: Sequence[float], elastic: Sequence[float], turns: bool) -> Tensor:
    """Largest absolute eigenvalue of a round of EASGD with τ = 1, (A, R) in float64.

    Args:
        members: p.
        rates: η.
        elastic: α.
        turns: whether workers take turns, or all meet the centre at once.

    Raises:
        OptionError: for fewer than one member, or α that is not positive.

    >>> bool(easgd_region(3, [0.5], [0.5], turns=False) <= 1), bool(easgd_region(3, [0.5], [0.5], True) <= 1)
    (False, True)
    """
    return torch.stack([radii(Elastic(1, rate=members * alpha), members, rates, turns=turns) for alpha in elastic])


def disagreements(members: int, turns: bool, count: int = 50, margin: float = 0.005) -> int:
    """How often EASGD is unstable just below the published bound, or stable just above it; 0 if the region is right.

    Args:
        members: p.
        turns: whether workers take turns.
        count: rates η, evenly spaced inside (0, 2).
        margin: how far below and above the bound α is tried, as a share of it.

    Raises:
        OptionError: for fewer than one member.

    >>> disagreements(3, turns=True, count=5)
    0
    """
    wrong = 0
    for rate in torch.linspace(0, 2, count + 2, dtype=torch.float64)[1:-1].tolist():
        bound = published_bound(rate, members, turns)
        for share, stable in ((1 - margin, True), (1 + margin, False)):
            rule = Elastic(1, rate=members * bound * share)
            wrong += bool(radii(rule, members, [rate], turns=turns)[0] <= 1 + _SLACK) is not stable
    return wrong


def stability_report(cells: int = 40, crowds: Sequence[int] = (3, 8)) -> dict[str, Any]:
    """Everything above for a page: maps, their axes and published borders, and numbers, as plain dictionaries.

    "eigenvalues" over "axes" "η" and "ρ", and "regions" over "large η" and "α" with "borders", by title; "numbers" by
    title: "radius" at η = 0.001 and ρ = 2.5, where the paper states it, the share "unstable" of the map, in percent,
    and "otherwise", of `disagreements`.

    Args:
        cells: rows and columns of a map.
        crowds: numbers of workers.

    Raises:
        OptionError: for fewer than two cells.

    >>> report = stability_report(cells=4)
    >>> report["numbers"]["EASGD in turns, p = 8"], report["eigenvalues"]["ADMM, p = 3"].shape
    ({'otherwise': 0}, torch.Size([4, 4]))
    """
    check_number("cells", cells, least=2, whole=True)
    steps = torch.arange(1, cells + 1, dtype=torch.float64) / cells
    axes = {name: (steps * most).tolist() for name, most in _MOST.items()}
    found: dict[str, Any] = {"axes": axes, "eigenvalues": {}, "regions": {}, "borders": {}, "numbers": {}}
    for name, measure in {"ADMM": admm_radii, "EASGD": easgd_radii}.items():
        for members in crowds:
            title, one = f"{name}, p = {members}", measure(members, axes["η"], axes["ρ"])
            found["eigenvalues"][title] = one
            unstable = 100 * float((one > 1 + _SLACK).double().mean())
            found["numbers"][title] = {"radius": float(measure(members, *_STATED)), "unstable": unstable}
    for way, turns in {"in turns": True, "all at once": False}.items():
        for members in crowds:
            title, rates = f"EASGD {way}, p = {members}", axes["large η"]
            found["regions"][title] = easgd_region(members, rates, axes["α"], turns)
            found["borders"][title] = [published_bound(rate, members, turns) for rate in rates]
            found["numbers"][title] = {"otherwise": disagreements(members, turns)}
    return found
