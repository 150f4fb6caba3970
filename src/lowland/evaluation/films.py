"""Representations of films over time: slowness, neighbours from the same film, and read-out of positions.

Shape letters: N films or samples, T frames, D size of a representation, K numbers to predict.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowland.data.moving_digits import MovingDigits
from lowland.errors import ShapeError
from lowland.evaluation.probe import probe
from lowland.evaluation.representations import represent

ALPHAS = (1.0, 10.0, 100.0, 1000.0, 10_000.0)
"""Penalty weights that `ridge_score` tries."""


def slowness(codes_NTD: Tensor) -> float:
    """Mean ‖c_{t+1} − c_t‖² relative to the mean ‖c − c'‖² of unrelated frames: 0 if constant, 1 if time is irrelevant.

    It is the objective of slow feature analysis (Wiskott & Sejnowski 2002), scaled by the variance.

    Args:
        codes_NTD: (N, T, D), the frames of each film in order.

    Raises:
        ShapeError: for fewer than two frames.

    >>> slowness(torch.tensor([[[0.0], [0.0]], [[1.0], [1.0]]]))
    0.0
    """
    if codes_NTD.ndim != 3 or codes_NTD.shape[1] < 2:
        raise ShapeError(f"Slowness needs films (N, T, D) of at least two frames, not {tuple(codes_NTD.shape)}.")
    codes = codes_NTD.double()
    change = (codes[:, 1:] - codes[:, :-1]).square().sum(dim=2).mean()
    # The squared distance of two independent samples is twice the variance.
    unrelated = 2 * codes_NTD.flatten(0, 1).double().var(dim=0).sum()
    return float(change / unrelated)


def nearest_in_group(codes_ND: Tensor, groups_N: Tensor) -> float:
    """Fraction of samples whose nearest other sample, by cosine, is in the same group, such as the same film.

    Args:
        codes_ND: (N, D); all N² pairs are compared at once.
        groups_N: (N,).

    >>> codes = torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]])
    >>> nearest_in_group(codes, torch.tensor([0, 0, 1, 1])), nearest_in_group(codes, torch.tensor([0, 1, 0, 1]))
    (1.0, 0.0)
    """
    unit_ND = functional.normalize(codes_ND, dim=1)
    near_N = (unit_ND @ unit_ND.T).fill_diagonal_(-torch.inf).argmax(dim=1)
    return float((groups_N[near_N] == groups_N).double().mean())


def ridge_score(train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor]) -> float:
    """R² on test samples of a ridge regression from representations (N, D) to numbers (N, K).

    Features are standardised on the training samples; the penalty is chosen from `ALPHAS` by leave-one-out error.

    >>> codes = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    >>> round(ridge_score((codes, codes[:, :2]), (codes, codes[:, :2])), 2)
    1.0
    """
    from sklearn.linear_model import RidgeCV

    mean, scale = train[0].mean(dim=0), train[0].std(dim=0).clamp_min(1e-6)
    features = [((part[0] - mean) / scale).double().cpu().numpy() for part in (train, test)]
    numbers = [part[1].double().cpu().numpy() for part in (train, test)]
    return float(RidgeCV(alphas=ALPHAS).fit(features[0], numbers[0]).score(features[1], numbers[1]))


def nearest_films(codes_NTD: Tensor, queries: int, k: int) -> tuple[Tensor, Tensor]:
    """Film and frame nearest to the first frame of each of the first films, by cosine: (queries, k) both.

    Each of the k is of another film, and none of the query's own, since the frames of one film are nearly the same
    picture.

    >>> codes = torch.tensor([[[1.0, 0.0], [1.0, 0.1]], [[0.0, 1.0], [1.0, 0.3]], [[-1.0, 0.0], [0.0, -1.0]]])
    >>> nearest_films(codes, queries=1, k=2)
    (tensor([[1, 2]]), tensor([[1, 1]]))
    """
    unit_NTD = functional.normalize(codes_NTD, dim=2)
    score_QNT = (unit_NTD[:queries, 0] @ unit_NTD.flatten(0, 1).T).unflatten(1, unit_NTD.shape[:2])
    score_QNT[torch.arange(queries), torch.arange(queries)] = -torch.inf
    best = score_QNT.max(dim=2)
    film = best.values.topk(k, dim=1).indices
    return film, best.indices.gather(1, film)


def measure_films(encoder: nn.Module, splits: Mapping[str, MovingDigits]) -> dict[str, float]:
    """What an encoder of single frames says of films: which digit, where it is, and how it goes on in time.

    Args:
        encoder: (B, 1, S, S) → (B, D).
        splits: labelled films "train", "validation" and "test"; the last are used once by each measure.

    Returns:
        "digit" and "validation", the shares of test and validation frames whose digit a linear probe reads out;
        "place", see `ridge_score`; "slowness"; and "neighbours", see `nearest_in_group`, of the test films.

    >>> from lowland.data.moving_digits import moving_digits
    >>> films = moving_digits(torch.rand(8, 1, 8, 8), side=12, frames=3, labels=torch.arange(8) % 2)
    >>> sorted(measure_films(nn.Flatten(), dict.fromkeys(("train", "validation", "test"), films)))
    ['digit', 'neighbours', 'place', 'slowness', 'validation']
    """
    codes = {name: represent(encoder, films.flat) for name, films in splits.items()}
    labelled = {name: (codes[name], films.labelled[1]) for name, films in splits.items()}
    which = probe(labelled["train"], labelled["validation"], labelled["test"])
    assert which.accuracy is not None
    where = {name: (codes[name], splits[name].place.flatten(0, 1)) for name in ("train", "test")}
    films, length = splits["test"].frames.shape[:2]
    film = torch.arange(films).repeat_interleave(length).to(codes["test"].device)
    return {
        "digit": which.accuracy,
        "validation": which.validation,
        "place": ridge_score(where["train"], where["test"]),
        "slowness": slowness(codes["test"].unflatten(0, (-1, length))),
        "neighbours": nearest_in_group(codes["test"], film),
    }
