"""Nearest neighbours by cosine: a classifier without training, and retrieval.

Shape letters: N samples, M queries, D size of a representation, k neighbours, K classes.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from lowland.errors import OptionError
from lowland.evaluation.probe import Labelled, check_labelled


def nearest_neighbours(queries: Tensor, bank: Tensor, k: int = 200, chunk: int = 1024) -> tuple[Tensor, Tensor]:
    """Cosine and index in `bank` of the k nearest neighbours of each query, nearest first: two tensors (M, k).

    Exact: all M · N cosines are computed, `chunk` queries at a time, which takes memory for chunk · N numbers. They are
    taken about the mean direction of the bank, so that codes with nearly the same direction can still be distinguished.

    Args:
        queries, bank: (M, ...) and (N, ...), taken flat; a sample of zeros has cosine 0 to all.
        k: neighbours.
        chunk: queries at once.

    Raises:
        OptionError: if k is not in 1 … N.

    >>> bank = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    >>> nearest_neighbours(torch.tensor([[0.1, 1.0]]), bank, k=2)[1]
    tensor([[1, 0]])
    """
    if not 1 <= k <= len(bank) or chunk < 1:
        raise OptionError(f"k must be from 1 to {len(bank)}, the samples there are, and chunk at least 1, but k = {k}.")
    unit_ND = functional.normalize(bank.flatten(1).double(), dim=1)
    middle_D = unit_ND.mean(dim=0)
    rest_ND = unit_ND - middle_D
    along_N, short_ND = (rest_ND @ middle_D).to(bank.dtype), rest_ND.to(bank.dtype)
    cosines, places = [], []
    for part in queries.split(chunk):
        unit_MD = functional.normalize(part.flatten(1).to(unit_ND), dim=1)
        found = ((unit_MD - middle_D).to(short_ND) @ short_ND.T + along_N).topk(k, dim=1)
        cosines.append((found.values + (unit_MD @ middle_D)[:, None]).to(short_ND))
        places.append(found.indices)
    return torch.cat(cosines), torch.cat(places)


def knn(train: Labelled, test: Labelled, k: int = 200, temperature: float = 0.07, chunk: int = 1024) -> float:
    """Accuracy on the test samples of argmax_c Σ_{i ∈ N_k} e^{cos(x, x_i) / τ} [label_i = c].

    N_k are the k training samples nearest by cosine. Wu, Xiong, Yu & Lin 2018 (instance discrimination, section 3.4),
    with their k = 200 and τ = 0.07; with fewer training samples, k is their number.

    Args:
        train, test: representations and labels.
        k: neighbours that vote.
        temperature: τ > 0.
        chunk: test samples at once.

    Raises:
        ShapeError, DomainError: for representations or labels that do not fit together or are not finite.
        OptionError: for a temperature that is not positive.

    >>> points = torch.eye(2).repeat(3, 1)
    >>> knn((points, torch.tensor([0, 1] * 3)), (points, torch.tensor([0, 1] * 3)), k=3)
    1.0
    """
    check_labelled(train, "training", train[0])
    check_labelled(test, "test", train[0])
    if not temperature > 0:
        raise OptionError(f"The temperature must be positive, but it is {temperature}.")
    cosine_Mk, place_Mk = nearest_neighbours(test[0], train[0], min(k, len(train[0])), chunk)
    labels = train[1].to(place_Mk.device)
    # A common factor on all votes of a query changes nothing; this one makes the largest exponential 1.
    weight_Mk = ((cosine_Mk - cosine_Mk[:, :1]) / temperature).exp()
    votes_MK = weight_Mk.new_zeros(len(cosine_Mk), int(labels.max()) + 1)
    votes_MK.scatter_add_(1, labels[place_Mk], weight_Mk)
    return float((votes_MK.argmax(dim=1) == test[1].to(votes_MK.device)).double().mean())
