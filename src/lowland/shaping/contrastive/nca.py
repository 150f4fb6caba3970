"""Neighbourhood components of a joint embedding (system J2): the expected number of views that find their partner."""

from __future__ import annotations

from torch import Tensor

from lowland.registry import register
from lowland.shaping.base import ShapingCase
from lowland.shaping.contrastive.simclr import InBatch
from lowland.shaping.joint import jitter


@register("shaping")
class NCA(InBatch):
    """L = −mean over all 2N views i of p_i, p_i = e^{s(i, j)} / Σ_{k ≠ i} e^{s(i, k)}, j the other view, s = cos / τ.

    Goldberger, Roweis, Hinton & Salakhutdinov 2004, equations 1 and 3, where p_i is the probability that i picks j
    among all other views of the batch, with j the only one of its class. Here it uses the cosine of projected
    embeddings, as in `SimCLR`, whose loss is −log p instead of −p. Hopeless views get smaller gradients.
    `NeighbourhoodComponents` is the same for other energies. See `JointShaping` for the arguments.

    Energies: `JointEmbedding` without a predictor.

    Args:
        temperature: τ > 0.

    >>> case = NCA.reference_case()
    >>> bool(case.shaping(case.energy, case.batch).losses["energy"] < 0)
    True
    """

    def gain(self, log_p: Tensor) -> Tensor:
        return log_p.exp()

    @classmethod
    def reference_case(cls) -> ShapingCase:
        return cls.case(cls(jitter))
