"""Functions on the nodes of a graph that vary little along its edges: label propagation is the minimum (system P1).

Legend: B samples, N nodes, M edges, C numbers of a node.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from lowland.domains import NonNegative, Product, Reals
from lowland.energies.base import Energy, ReferenceCase
from lowland.energies.structure import Structure
from lowland.errors import DomainError, ShapeError, check_number
from lowland.registry import register


@register("energy")
class LaplacianSmoothness(Energy):
    """E(y) = ½ Σ_ij w_ij ‖y_i − y_j‖² = tr(yᵀ L y): low where joined nodes have similar values.

    The sum is over ordered pairs, so that each edge counts ½ twice; L = D − W is the Laplacian. y is (B, N, C), and the
    unit of E that of y, squared, times that of w. Every y that is constant on each connected component has E = 0.

    `Clamped(energy)` holds labels fixed; its minimum is the harmonic function of Zhu, Ghahramani & Lafferty,
    "Semi-supervised learning using Gaussian fields and harmonic functions" (2003), equation 5: label propagation.
    Added to a `WeightedDistance`, it weighs labels instead of holding them. The weights w are parameters, so that
    gradients of a solution (`Implicit`) reach them.

    Args:
        edges: (2, M) int64, each edge of an undirected graph once.
        nodes: N.
        columns: C.
        weights: (M,) of at least 0; all 1 by default.

    Raises:
        ShapeError: for edges to nodes that are not there, or weights of another number.
        DomainError: for a weight that is negative or no finite number.

    >>> energy = LaplacianSmoothness([[0, 1], [1, 2]], nodes=3)
    >>> energy(y=torch.tensor([[[0.0], [1.0], [3.0]]])).detach()
    tensor([5.])
    """

    edges: Tensor

    def __init__(self, edges: Any, nodes: int, columns: int = 1, weights: Any = None) -> None:
        check_number("nodes", nodes, least=1, whole=True)
        check_number("columns", columns, least=1, whole=True)
        super().__init__(y=Reals(nodes, columns))
        edges = torch.as_tensor(edges)
        if edges.ndim != 2 or len(edges) != 2 or edges.is_floating_point():
            raise ShapeError(f"Edges must be whole numbers (2, M), but they are {edges.dtype} {tuple(edges.shape)}.")
        if edges.numel() and not 0 <= int(edges.min()) <= int(edges.max()) < nodes:
            raise ShapeError(f"An edge leads to node {int(edges.max())}, but nodes are counted from 0 to {nodes - 1}.")
        weights = torch.ones(edges.shape[1]) if weights is None else torch.as_tensor(weights)
        if weights.shape != (edges.shape[1],):
            raise ShapeError(f"{edges.shape[1]} edges need as many weights, not {tuple(weights.shape)}.")
        if not bool(((weights >= 0) & weights.isfinite()).all()):
            raise DomainError("Weights of edges must be finite numbers of at least 0.")
        self.nodes, self.columns = nodes, columns
        self.register_buffer("edges", edges.long())
        self.weights = nn.Parameter(weights.detach().to(torch.get_default_dtype(), copy=True))

    def energy(self, x: Any, y: Tensor, z: Any) -> Tensor:
        one, other = self.edges
        apart = y.index_select(1, one) - y.index_select(1, other)
        return (apart.square().sum(dim=2) * self.weights).sum(dim=1)

    def constrain(self) -> None:
        """Keep the weights from becoming negative."""
        with torch.no_grad():
            self.weights.clamp_min_(0)

    def structure(self, over: tuple[str, ...], x: Any, y: Any, z: Any) -> Structure:
        """Convex; no eigenvalue of 2 L is above twice the largest d_i + d_j of an edge (Anderson & Morley 1985)."""
        if over != ("y",):
            return Structure()
        return Structure(lipschitz=self._largest, convex=True)

    def _largest(self) -> Tensor:
        weights = self.weights.detach()
        degree = weights.new_zeros(self.nodes)
        for ends in self.edges:
            degree.index_add_(0, ends, weights)
        return 2 * degree[self.edges].sum(dim=0).max() if len(weights) else degree.new_zeros(())

    @classmethod
    def reference_case(cls) -> ReferenceCase:
        """Constant functions have energy 0."""
        return ReferenceCase(cls([[0, 1], [1, 2]], nodes=3), {}, "y", minimum=torch.zeros(1))


@register("energy")
class WeightedDistance(Energy):
    """E(x, y) = ½ Σ_i c_i ‖y_i − k_i‖²: y should be near what is known of it, as near as it is trusted.

    x is a dictionary of `known` k, (B, N, C), and `trust` c, (B, N), at least 0; a node without a label has c = 0. The
    unit of E is that of y, squared, times that of c. Source: Belkin, Matveeva & Niyogi, "Regularization and
    semi-supervised learning on large graphs" (2004), where it is added to the smoothness of y.

    Args:
        nodes: N.
        columns: C.

    >>> energy = WeightedDistance(nodes=2)
    >>> x = {"known": torch.tensor([[[1.0], [0.0]]]), "trust": torch.tensor([[4.0, 0.0]])}
    >>> energy(x=x, y=torch.zeros(1, 2, 1))
    tensor([2.])
    """

    def __init__(self, nodes: int, columns: int = 1) -> None:
        check_number("nodes", nodes, least=1, whole=True)
        check_number("columns", columns, least=1, whole=True)
        super().__init__(
            x=Product({"known": Reals(nodes, columns), "trust": NonNegative(nodes)}), y=Reals(nodes, columns)
        )

    def energy(self, x: Any, y: Tensor, z: Any) -> Tensor:
        return 0.5 * ((y - x["known"]).square().sum(dim=2) * x["trust"]).sum(dim=1)

    def structure(self, over: tuple[str, ...], x: Any, y: Any, z: Any) -> Structure:
        if over != ("y",) or x is None:
            return Structure()
        return Structure(lipschitz=x["trust"].detach().amax(dim=1), convex=True)

    @classmethod
    def reference_case(cls) -> ReferenceCase:
        """Y = k where all trust is above 0."""
        known = torch.tensor([[[1.0], [-2.0]], [[0.0], [3.0]]])
        x = {"known": known, "trust": torch.tensor([[1.0, 2.0], [0.5, 1.0]])}
        return ReferenceCase(cls(2), {"x": x}, "y", minimum=torch.zeros(2), minimiser=known.flatten(1))
