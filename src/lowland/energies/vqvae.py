"""The vector-quantised auto-encoder (system A2): the code is a few entries from a learned codebook."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from lowland.domains import OneHot, Reals
from lowland.energies.base import Energy, ReferenceCase, squared_distance
from lowland.energies.kmeans import spread_out
from lowland.energies.structure import Structure
from lowland.errors import OptionError
from lowland.nn.layers import mlp
from lowland.registry import register
from lowland.tensors import PerSampleRNG


@register("energy")
class VQVAE(Energy):
    """E(y, z) = ‖y − Dec(C z)‖² + β ‖Enc(y) − C z‖², with z one one-hot vector per group.

    C z are the entries that these vectors select from the codebook. The warm start is the entry nearest to the
    encoder's output in each group. Source: van den Oord, Vinyals & Kavukcuoglu (2017), equations 1 and 2.
    `ll.shaping.VectorQuantisation()` trains it.

    Args:
        n_features: size of y.
        groups: number of codebook entries in a code.
        entries: size K of each group's codebook.
        entry_size: dimension of an entry.
        commitment: β; 0.25 in the paper.
        hidden: sizes of the encoder's hidden layers; the decoder mirrors them.
        generator: draws weights and codebook.

    Raises:
        OptionError: for a β below 0.

    >>> energy = VQVAE(n_features=4, groups=2, entries=8)
    >>> energy(y=torch.zeros(3, 4), z=energy.quantise(torch.zeros(3, 4))).shape
    torch.Size([3])
    """

    def __init__(
        self,
        n_features: int,
        groups: int = 8,
        entries: int = 16,
        entry_size: int = 4,
        commitment: float = 0.25,
        hidden: tuple[int, ...] = (128,),
        generator: torch.Generator | None = None,
    ) -> None:
        if not commitment >= 0:
            raise OptionError(f"commitment must not be negative, but it is {commitment}.")
        super().__init__(y=Reals(n_features), z=OneHot(entries, groups=groups))
        generator = generator or torch.Generator().manual_seed(0)
        self.commitment = commitment
        self.encoder = mlp(n_features, *hidden, groups * entry_size, generator=generator)
        self.decoder = mlp(groups * entry_size, *reversed(hidden), n_features, generator=generator)
        self.codebook = nn.Parameter(torch.randn(groups, entries, entry_size, generator=generator))

    def energy(self, x: Any, y: Tensor, z: Tensor) -> Tensor:
        chosen = self.select(z)
        return squared_distance(y, self.decoder(chosen.flatten(1))) + self.commitment * squared_distance(
            self.embed(y), chosen
        )

    def embed(self, y: Tensor) -> Tensor:
        """Enc(y), (B, groups, entry_size)."""
        return self.encoder(y).reshape(y.shape[0], self.codebook.shape[0], self.codebook.shape[2])

    def select(self, z: Tensor) -> Tensor:
        """C z, the entries that z selects, (B, groups, entry_size)."""
        return torch.einsum("bgk,gkc->bgc", z.to(self.codebook.dtype), self.codebook)

    def quantise(self, y: Tensor) -> Tensor:
        """One-hot z of the entry nearest to Enc(y) in each group, (B, groups, entries)."""
        return self._nearest(self.embed(y))

    def _nearest(self, embedded: Tensor) -> Tensor:
        outputs, entries = embedded.detach().transpose(0, 1), self.codebook.detach()
        distance = torch.cdist(outputs, entries, compute_mode="donot_use_mm_for_euclid_dist")
        index = distance.argmin(dim=2).T
        return nn.functional.one_hot(index, self.codebook.shape[1]).to(embedded.dtype)

    def straight_through(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """E at the nearest entries q, (B,), and their z.

        The gradient of ‖y − Dec(q)‖² in q is passed on to the encoder; that of β‖Enc(y) − q‖² goes to the encoder only.
        """
        embedded = self.embed(y)
        z = self._nearest(embedded)
        chosen = self.select(z).detach()
        carried = embedded + (chosen - embedded).detach()
        value = squared_distance(y, self.decoder(carried.flatten(1)))
        return value + self.commitment * squared_distance(embedded, chosen), z

    def replace(self, dead: Tensor, y: Tensor, noise: PerSampleRNG) -> None:
        """Move dead entries, booleans (groups, entries), onto encoder outputs of random samples, in place."""
        embedded = self.embed(y)
        for group, entry in dead.nonzero().tolist():
            self.codebook[group, entry] = embedded[noise.uniform(1)[:, 0].argmax(), group]

    def initialise(self, x: Any, y: Tensor, noise: PerSampleRNG) -> None:
        """Codebook entries become encoder outputs of samples far from each other (`spread_out`)."""
        embedded = self.embed(y)
        for group in range(self.codebook.shape[0]):
            self.codebook[group] = spread_out(embedded[:, group], self.codebook.shape[1], noise)

    def structure(self, over: tuple[str, ...], x: Any, y: Any, z: Any) -> Structure:
        return Structure(warm_start=lambda: self.quantise(y).flatten(1)) if over == ("z",) else Structure()

    def reconstruct(self, x: Any, y: Any, z: Tensor) -> Tensor:
        """Dec(C z), (B, n_features)."""
        return self.decoder(self.select(z).flatten(1))

    @classmethod
    def reference_case(cls) -> ReferenceCase:
        """With Enc and Dec the identity, (1 + β) times the squared distance to the nearest entry."""
        energy = cls(2, groups=1, entries=2, entry_size=2, hidden=())
        eye = {"weight": torch.eye(2), "bias": torch.zeros(2)}
        state = {f"{part}.0.{name}": value for part in ("encoder", "decoder") for name, value in eye.items()}
        state["codebook"] = torch.tensor([[[0.0, 0.0], [4.0, 0.0]]])
        energy.load_state_dict(energy.state_dict() | state)
        y = torch.tensor([[1.0, 0.0], [4.0, 2.0]])
        return ReferenceCase(energy, {"y": y}, "z", minimum=torch.tensor([1.25, 5.0]))
