"""The conditional regularised auto-encoder (system S15): several answers to one input, one per latent."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lowland.domains import Reals
from lowland.energies.base import Energy, ReferenceCase, squared_distance
from lowland.energies.structure import Structure
from lowland.errors import OptionError, ShapeError
from lowland.nn.layers import mlp
from lowland.registry import register
from lowland.tensors import PerSampleRNG


@register("energy")
class ConditionalAutoencoder(Energy):
    """E(x, y, z) = ½‖y − Dec(z, h)‖² + (α/2)‖z − Enc(x, y)‖² + (λ/2)‖z‖², h = Pred(x).

    Pred summarises what x says about y, and z the rest. The encoder sees y, so only α, λ and the size of z keep it from
    copying y into z: limited capacity of z makes Dec rely on h. Source: LeCun, "A path towards autonomous machine
    intelligence" (2022), section 4.3, with all three terms squared. Train with `ll.shaping.MinimumEnergy(solver=...)`,
    which infers z starting from Enc(x, y). For a new x the answers are `predict(x, z)` with z drawn from `prior`.

    Args:
        n_inputs: size of x.
        n_features: size of y.
        n_latents: size of z.
        n_summary: size of h.
        hidden: sizes of the hidden layers of each of Pred, Enc and Dec, SiLU between them.
        prediction: α ≥ 0.
        regularisation: λ ≥ 0.
        generator: draws the weights.

    Raises:
        OptionError: for a negative α or λ.

    >>> energy = ConditionalAutoencoder(n_inputs=3, n_features=4, n_latents=2)
    >>> energy(x=torch.zeros(5, 3), y=torch.zeros(5, 4), z=torch.zeros(5, 2)).shape
    torch.Size([5])
    """

    prior_mean: Tensor
    prior_root: Tensor

    def __init__(
        self,
        n_inputs: int,
        n_features: int,
        n_latents: int,
        n_summary: int = 128,
        hidden: tuple[int, ...] = (256,),
        prediction: float = 1.0,
        regularisation: float = 0.1,
        generator: torch.Generator | None = None,
    ) -> None:
        if not prediction >= 0 or not regularisation >= 0:
            raise OptionError(
                f"prediction and regularisation must not be negative, but they are {prediction} and {regularisation}."
            )
        super().__init__(x=Reals(n_inputs), y=Reals(n_features), z=Reals(n_latents))
        generator = generator or torch.Generator().manual_seed(0)
        self.prediction, self.regularisation = prediction, regularisation
        self.predictor = mlp(n_inputs, *hidden, n_summary, generator=generator)
        self.encoder = mlp(n_inputs + n_features, *hidden, n_latents, generator=generator)
        self.decoder = mlp(n_latents + n_summary, *hidden, n_features, generator=generator)
        self.register_buffer("prior_mean", torch.zeros(n_latents))
        self.register_buffer("prior_root", torch.eye(n_latents))

    def encode(self, x: Tensor) -> dict[str, Tensor]:
        return {"x": x, "h": self.predictor(x)}

    def energy(self, x: dict[str, Tensor], y: Tensor, z: Tensor) -> Tensor:
        apart = squared_distance(y, self._decode(x, z)) + self.prediction * squared_distance(z, self._predicted(x, y))
        return 0.5 * (apart + self.regularisation * z.square().sum(dim=1))

    def structure(self, over: tuple[str, ...], x: dict[str, Tensor] | None, y: Any, z: Any) -> Structure:
        if over != ("z",) or x is None or y is None:
            return Structure()
        return Structure(warm_start=lambda: self._predicted(x, y).detach())

    def predict(self, x: Tensor, z: Tensor) -> Tensor:
        """Dec(z, Pred(x)): the answers to x for N latents each, (B, n_inputs) and (B, N, D) → (B, N, n_features)."""
        if z.ndim != 3 or len(z) != len(x):
            raise ShapeError(f"z must be (B, N, D) with B = {len(x)} as for x, not {tuple(z.shape)}.")
        h = self.predictor(x)[:, None].expand(-1, z.shape[1], -1)
        return self.decoder(torch.cat([z, h], dim=2))

    def predict_along(self, x: Tensor, deviations: Tensor, axis: int = 0) -> Tensor:
        """Answers to x for z on a principal axis of the prior, (B, n_inputs) and (N,) → (B, N, n_features).

        Args:
            x: (B, n_inputs).
            deviations: how far z is from the mean of the prior, in standard deviations along the axis.
            axis: 0 for that of the largest variance.
        """
        order = self.prior_root.norm(dim=0).argsort(descending=True)
        z = self.prior_mean + deviations[:, None] * self.prior_root[:, order[axis]]
        return self.predict(x, z.expand(len(x), -1, -1))

    def reconstruct(self, x: Tensor, y: Any, z: Tensor) -> Tensor:
        """Dec(z, Pred(x)), (B, n_features)."""
        return self.predict(x, z[:, None])[:, 0]

    def prior(self, x: Any, noise: PerSampleRNG, count: int) -> Tensor:
        """N(m, C), the same for all x: N(0, I) until `fit_prior` is called."""
        return self.prior_mean + noise.normal(count, len(self.prior_mean)) @ self.prior_root.T

    @torch.no_grad()
    def fit_prior(self, z: Tensor) -> None:
        """Set the prior to the mean and covariance of latents (N, D), such as those inferred for the training data."""
        if z.ndim != 2 or z.shape[1] != len(self.prior_mean) or len(z) < 2:
            raise ShapeError(f"z must be (N, {len(self.prior_mean)}) with N of at least 2, not {tuple(z.shape)}.")
        covariance = torch.cov(z.T.double()).reshape(z.shape[1], z.shape[1])
        values, vectors = torch.linalg.eigh(covariance)
        self.prior_mean.copy_(z.mean(dim=0))
        self.prior_root.copy_(vectors * values.clamp_min(0).sqrt())

    def _decode(self, x: dict[str, Tensor], z: Tensor) -> Tensor:
        return self.decoder(torch.cat([z, x["h"]], dim=1))

    def _predicted(self, x: dict[str, Tensor], y: Tensor) -> Tensor:
        return self.encoder(torch.cat([x["x"], y], dim=1))

    @classmethod
    def reference_case(cls) -> ReferenceCase:
        """With Dec(z, h) = z, Enc = 0, α = 1 and λ = 2, z is a quarter of y."""
        energy = cls(2, 2, n_latents=2, n_summary=1, hidden=(), prediction=1.0, regularisation=2.0)
        state = {name: torch.zeros_like(value) for name, value in energy.state_dict().items()}
        state |= {"decoder.0.weight": torch.eye(2, 3), "prior_root": torch.eye(2)}
        energy.load_state_dict(state)
        given = {"x": torch.tensor([[1.0, 2.0]]), "y": torch.tensor([[4.0, -8.0]])}
        minimum = torch.tensor([0.5 * (9 + 36) + 1.5 * (1 + 4)])
        return ReferenceCase(energy, given, "z", minimum=minimum, minimiser=torch.tensor([[1.0, -2.0]]))
