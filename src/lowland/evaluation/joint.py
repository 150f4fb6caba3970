"""Geometry of representations: alignment and uniformity on the sphere, their spectrum, and the energies of pairs.

Shape letters: N samples, D size of a representation.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from lowland.energies.base import Energy
from lowland.errors import ShapeError
from lowland.evaluation.energy_gap import auroc, scores


def alignment(a: Tensor, b: Tensor, power: float = 2.0) -> float:
    """Mean_i ‖ā_i − b̄_i‖^α, ā = a / ‖a‖: 0 if two views of a sample coincide, 2 if they are unrelated.

    Wang & Isola 2020, section 4.1.2, equation for ℓ_align with α = 2. Low is good, but not by itself: a constant has 0.

    Args:
        a, b: (N, ...) representations of two views of each sample.
        power: α.

    >>> alignment(torch.eye(2), 3 * torch.eye(2)), alignment(torch.eye(2), torch.eye(2).flip(0))
    (0.0, 2.0)
    """
    if a.shape != b.shape or a.ndim < 2 or not len(a):
        raise ShapeError(f"Alignment needs two views (N, ...) of the same samples, not {a.shape} and {b.shape}.")
    gap = _sphere(a) - _sphere(b)
    return round(float(gap.norm(dim=1).pow(power).mean()), 12)


def view_distance(a: Tensor, b: Tensor, samples: Tensor) -> float:
    """Mean_i ‖a_i − b_i‖² of two views of each sample, over the mean ‖x − x'‖² of two different samples.

    0 where the views change nothing; at 1 two views of a sample have no more in common than two samples.

    Args:
        a, b: (N, ...), two views of each sample.
        samples: (N, ...), the samples themselves.

    >>> x = torch.tensor([[1.0], [-1.0]])
    >>> view_distance(x, x, x), view_distance(x, x + 2, x)
    (0.0, 1.0)
    """
    if a.shape != b.shape or len(samples) < 2:
        raise ShapeError(f"The distance of views needs two of at least two samples, not {a.shape} and {b.shape}.")
    # The mean squared distance of two independent samples is twice the variance.
    unrelated = 2 * samples.flatten(1).var(dim=0).sum()
    return ((a - b).flatten(1).square().sum(dim=1).mean() / unrelated).item()


def uniformity(codes: Tensor, t: float = 2.0) -> float:
    """The log of the mean over pairs i < j of e^{−t ‖ā_i − ā_j‖²}, ā = a / ‖a‖: 0 for a constant, about −2t if spread.

    Wang & Isola 2020, section 4.1.2, equation for ℓ_uniform with t = 2. Low is good. Independent points on the sphere
    in many dimensions have about −4 for t = 2.

    Args:
        codes: (N, ...) representations; all N² / 2 pairs are compared.
        t: of the Gaussian kernel.

    >>> uniformity(torch.ones(4, 3)), uniformity(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]))
    (0.0, -8.0)
    """
    if codes.ndim < 2 or len(codes) < 2:
        raise ShapeError(f"Uniformity needs at least two representations (N, ...), not {tuple(codes.shape)}.")
    gaps = torch.pdist(_sphere(codes)).square()
    return round(float((-t * gaps).exp().mean().log()), 12)


def spectrum(codes: Tensor) -> Tensor:
    """Singular values of the centred codes, relative to the largest one and in decreasing order, (min(N, D),).

    The faster they fall, the fewer dimensions the codes use. Jing, Vincent, LeCun & Tian 2022 ("dimensional collapse",
    section 3) plot it on a logarithmic scale: values near zero are directions that the representations do not use.
    Identical codes give zeros.

    >>> spectrum(torch.tensor([[2.0, 0.0], [-2.0, 0.0], [0.0, 1.0], [0.0, -1.0]]))
    tensor([1.0000, 0.5000])
    """
    if codes.ndim < 2 or len(codes) < 2:
        raise ShapeError(f"A spectrum needs at least two representations (N, ...), not {tuple(codes.shape)}.")
    flat = codes.detach().double().flatten(1)
    values = torch.linalg.svdvals(flat - flat.mean(dim=0))
    return (values / values[0].clamp_min(torch.finfo(values.dtype).tiny)).float()


def pair_gap(energy: Energy, a: Tensor, b: Tensor) -> tuple[float, Tensor, Tensor]:
    """AUROC of F(x, y) for separating views of different samples from views of one, and both sets of energies.

    1 is perfect, ½ is chance. The negative of sample i is the view of sample i + 1, cyclically, so shuffle ordered
    samples first.

    Args:
        energy: of pairs, such as `JointEmbedding`; F is taken in evaluation mode.
        a, b: (N, *shape), two views of each sample.

    Returns:
        The AUROC, and F(a_i, b_i) and F(a_i, b_{i+1}), (N,) each.

    >>> from lowland.energies.joint_embedding import JointEmbedding
    >>> from lowland.nn.encoders import Perceptron
    >>> x = torch.randn(64, 8, generator=torch.Generator().manual_seed(0))
    >>> pair_gap(JointEmbedding(Perceptron((8,)), ()), x, x)[0]
    1.0
    """
    if a.shape != b.shape or len(a) < 2:
        raise ShapeError(f"The energy gap needs two views of at least two samples, not {a.shape} and {b.shape}.")
    modes = {module: module.training for module in energy.modules()}
    energy.eval()
    try:
        near, far = scores(energy, b, a), scores(energy, b.roll(-1, dims=0), a)
    finally:
        for module, mode in modes.items():
            module.training = mode
    return auroc(near, far), near, far


def plane(codes: Tensor) -> Tensor:
    """Coordinates of the centred codes along their first two principal components, (N, 2), in float32.

    >>> plane(torch.tensor([[3.0, 0.0, 0.0], [-3.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, -1.0, 0.0]])).abs()
    tensor([[3., 0.],
            [3., 0.],
            [0., 1.],
            [0., 1.]])
    """
    if codes.ndim < 2 or len(codes) < 2:
        raise ShapeError(f"A plane needs at least two representations (N, ...), not {tuple(codes.shape)}.")
    flat = codes.detach().double().flatten(1)
    centred = flat - flat.mean(dim=0)
    axes = torch.linalg.svd(centred, full_matrices=False).Vh[:2]
    # Adding zero turns -0 into 0.
    return (centred @ axes.T).float() + 0.0


def principal_codes(train: Tensor, size: int, whiten: bool, samples: Tensor) -> Tensor:
    """Coordinates of samples along the first principal components of training samples, (N, size).

    Args:
        train: (M, ...), taken flat.
        size: components, at most the lesser of M and the numbers of a sample.
        whiten: whether each coordinate is divided by its singular value, so that all vary alike.
        samples: (N, ...).

    >>> train = torch.tensor([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    >>> principal_codes(train, 1, False, train).abs().flatten()
    tensor([3., 3., 0., 0.])
    """
    flat = train.flatten(1)
    mean = flat.mean(dim=0)
    _, scale, axes = torch.linalg.svd(flat - mean, full_matrices=False)
    codes = (samples.flatten(1) - mean) @ axes[:size].T
    return codes / scale[:size] if whiten else codes


def _sphere(codes: Tensor) -> Tensor:
    return functional.normalize(codes.detach().double().flatten(1), dim=1)
