"""An encoder learns to predict the result of inference, with the energy fixed (systems S3, S5, S6)."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from lowland.energies.base import Energy, squared_distance
from lowland.energies.sparse_coding import SparseCoding
from lowland.errors import ShapeError
from lowland.inference import infer
from lowland.nn.lista import LISTA
from lowland.registry import register
from lowland.shaping.base import Batch, Losses, Shaping, ShapingCase
from lowland.solvers.base import Solver
from lowland.tensors import tree_leaves


@register("shaping")
class CodePrediction(Shaping):
    """L = mean over data of ½‖Enc(y) − z*‖², z* = argmin_z E(y, z); or L = mean of E(y, Enc(y)) with `objective`.

    The energy is fixed and the encoder is trained in place. This trains LISTA and learned coordinate descent (Gregor &
    LeCun, "Learning fast approximations of sparse coding", 2010, equation 6). To train dictionary and encoder together,
    use the energy `PredictiveSparseCoding` with `MinimumEnergy`. Other shapings that need a code use the energy's own
    encoder; this one is for a separate encoder.

    Energies: any with a z; it is not changed.

    Args:
        encoder: y (B, ...) → z (B, D), such as `ll.nn.LISTA`; owned by the shaping, as the group "encoder".
        solver: for z*; None takes the most exact solver for the energy.
        codes: (N, D), the z* of all samples if already known, in the order of the data given to `fit`.
        objective: minimise the energy of the prediction instead, which needs no z*.
        seed: see `Shaping`.

    Raises:
        ShapeError: if a sample has no entry in `codes`.

    >>> import lowland as ll
    >>> energy = ll.energies.SparseCoding(n_features=4, n_atoms=8)
    >>> shaping = CodePrediction(ll.nn.LISTA(energy.dictionary, energy.sparsity))
    >>> sorted(shaping(energy, ll.shaping.Batch(torch.ones(2, 4))).losses)
    ['encoder']
    """

    codes: Tensor | None

    def __init__(
        self,
        encoder: nn.Module,
        solver: Solver | None = None,
        codes: Tensor | None = None,
        objective: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__(seed)
        self.encoder, self.solver, self.objective = encoder, solver, objective
        self.register_buffer("codes", codes, persistent=False)

    def groups(self, energy: Energy) -> dict[str, Iterable[nn.Parameter]]:
        return {"encoder": self.encoder.parameters()}

    def prepare(self, energy: Energy, data: Batch) -> None:
        """Do nothing: the energy is already trained."""

    def after_step(self, energy: Energy, batch: Batch) -> None:
        """Do nothing: the energy does not change."""

    def forward(self, energy: Energy, batch: Batch) -> Losses:
        found = self.encoder(batch.y)
        if self.objective:
            loss = energy(x=batch.x, y=batch.y, z=found).mean()
        else:
            loss = 0.5 * squared_distance(found, self._targets(energy, batch)).mean()
        return Losses({"encoder": loss}, {"code_error" if not self.objective else "objective": loss.detach()})

    def _targets(self, energy: Energy, batch: Batch) -> Tensor:
        """z* (B, D), looked up or inferred."""
        if self.codes is not None:
            if batch.index is None or int(batch.index.max()) >= len(self.codes):
                raise ShapeError(
                    f"There are {len(self.codes)} codes, but a sample is not among the first {len(self.codes)} of the "
                    "data: give one code for each sample, in their order, or none."
                )
            return self.codes[batch.index]
        with torch.no_grad():
            generator = self.generator(tree_leaves(batch.y, "y")[0].device)
            found = infer(energy, x=batch.x, y=batch.y, over="z", solver=self.solver, generator=generator)
        return energy.domain("z").pack(found.value)

    @classmethod
    def reference_case(cls) -> ShapingCase:
        energy = SparseCoding(4, 6, sparsity=0.1)
        y = torch.randn(32, 4, generator=torch.Generator().manual_seed(0))
        return ShapingCase(cls(LISTA(energy.dictionary, 0.1)), energy, Batch(y, index=torch.arange(32)))
