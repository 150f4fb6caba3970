"""GLO on digits: latents learned with a generator, then an encoder that learns to predict them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor, nn

from lowland.energies.generator import Generator
from lowland.evaluation.generation import gaussian_samples, latent_walks
from lowland.evaluation.representations import principal_reconstruction
from lowland.inference import infer
from lowland.nn.layers import mlp
from lowland.plots import curves, image_rows, images
from lowland.recipes.base import Bound, Count, Positive, SeededRecipe, recipe, train
from lowland.recipes.sparse.common import DigitsRecipe, load_images, stage_name
from lowland.reports.run import Run
from lowland.shaping.regularised.code_prediction import CodePrediction
from lowland.shaping.regularised.learned_latents import LearnedLatents
from lowland.solvers.adam import Adam
from lowland.solvers.gradient_descent import GradientDescent
from lowland.tensors import PerSampleRNG

ENCODER, LINEAR, UNTRAINED = "encoder", "linear encoder", "untrained encoder"
EXACT, POLISHED, MEAN = "exact inference", "encoder, then a few steps", "mean latent"
FROM_MEAN, PCA = "from the mean, same steps", "PCA of the same size"
Left = tuple[Generator, dict[str, Any], dict[str, Tensor], tuple[int, int]]
"""What the pictures need of a seed: the energy, what it learned, images to show, and their shape."""


@recipe
@dataclass(frozen=True)
class GloRecipe(DigitsRecipe, SeededRecipe):
    """E(y, z) = ½‖y − G(z)‖², ‖z‖ ≤ r, with one z for each training image in a table."""

    latents: Count = 6
    """Size of z."""
    radius: Positive = 3.0
    """Radius r of the ball that z lies in; a larger one allows a more curved generator."""
    hidden: tuple[Count, ...] = (256, 256)
    """Hidden layers of the generator, and of the encoder."""
    steps: Count = 2000
    """Updates of the generator, of 128 images each."""
    encoder_steps: Count = 1000
    """Updates of each encoder, of 128 images each."""
    rate: Positive = 0.003
    """Learning rate of Adam, for the generator and for the encoders."""
    starts: Count = 3
    """Random starts of exact inference, besides the encoder's prediction; the best one counts."""
    polish: Count = 10
    """Steps of inference after the encoder's prediction."""
    images: Annotated[int, Bound(least=10)] = 200
    """Test images."""

    stages: ClassVar[int] = 4
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {
            "data": "digits", "seeds": 2, "latents": 4, "hidden": (32,), "steps": 30, "encoder_steps": 60, "starts": 1,
            "images": 30,
        }
    }  # fmt: skip

    def measure(self, run: Run, seed: int) -> tuple[dict[str, dict[str, Any]], Left]:
        data = load_images(run, self.data)
        known, test = (part.flatten(1).to(self.device) for part in (data.train, data.test[: self.images]))
        energy = Generator(known.shape[1], self.latents, self.hidden, self.radius, self.generator(seed)).to(self.device)
        learned = run.stage("generator", partial(self._learn, energy, known, seed), [energy])
        encoders = self._encoders(known.shape[1], seed)
        for name in (ENCODER, LINEAR):
            teach = partial(self._teach, energy, encoders[name], known, learned["latents"], seed)
            run.stage(stage_name(name), teach, [encoders[name]])
        found = run.stage("test", partial(self._test, energy, encoders, learned["latents"], known, test, seed))
        if seed == 0:
            run.save_energy("generator", energy.cpu())
        run.show(tests=len(test))
        rows = found["measured"] | {"random starts": {"worse": found["worse"]}}
        return rows, (energy.cpu(), learned, found["shown"], data.shape[1:])

    def _learn(self, energy: Generator, known: Tensor, seed: int) -> dict[str, Any]:
        """The latents, and the error ‖y − G(z)‖² along the way."""
        # A ball of twice the radius has a quarter of the curvature and is twice as wide.
        mover = GradientDescent(0.04 * self.radius**2, max_steps=1, tol=None, check_every=1)
        shaping, every = LearnedLatents(mover, seed=seed), max(1, self.steps // 50)
        options = {"batch_size": min(128, len(known)), "lr": self.rate, "seed": seed, "log_every": every}
        curve = train(energy, known, shaping, self.steps, **options).history["loss/energy"]
        errors = [2 * value for value in curve.values]
        return {"latents": shaping.latents.cpu(), "curve": {"steps": list(curve.steps), "errors": errors}}

    def _encoders(self, size: int, seed: int) -> dict[str, nn.Module]:
        generator = self.generator(50 + seed)
        deep = (size, *self.hidden, self.latents)
        sizes = {ENCODER: deep, LINEAR: (size, self.latents), UNTRAINED: deep}
        return {name: mlp(*each, generator=generator).to(self.device) for name, each in sizes.items()}

    def _teach(self, energy: Generator, encoder: nn.Module, known: Tensor, latents: Tensor, seed: int) -> None:
        """The encoder learns to predict the latents of the training images."""
        shaping, batch = CodePrediction(encoder, codes=latents.to(known)), min(128, len(known))
        train(energy, known, shaping, self.encoder_steps, batch_size=batch, lr=self.rate, seed=seed)

    @torch.no_grad()
    def _test(
        self, energy: Generator, encoders: Mapping[str, nn.Module], latents: Tensor, known: Tensor, y: Tensor, seed: int
    ) -> dict[str, Any]:
        """Energies of new images for each way to find z; the least over all starts counts as exact."""
        domain, rate, rows = energy.domain("z"), 0.03 * self.radius, torch.arange(len(y), device=y.device)
        exact, few = (Adam(rate, max_steps=count, tol=None) for count in (200, self.polish))
        z = {name: domain.project(encoder(y)) for name, encoder in encoders.items()}
        z[MEAN] = domain.project(latents.to(y).mean(dim=0, keepdim=True)).expand(len(y), -1)
        z[POLISHED] = infer(energy, y=y, over="z", solver=few, init=z[ENCODER]).value
        z[FROM_MEAN] = infer(energy, y=y, over="z", solver=few, init=z[MEAN]).value
        starts = [*domain.sample(PerSampleRNG(seed, rows), self.starts).unbind(dim=1), z[ENCODER]]
        tried = [infer(energy, y=y, over="z", solver=exact, init=start) for start in starts]
        reached = torch.stack([one.energy for one in tried])
        z[EXACT] = torch.stack([one.value for one in tried])[reached.argmin(dim=0), rows]
        values = {name: energy(y=y, z=each) for name, each in z.items()}
        floor = values[EXACT]
        measured = {
            name: {"error": 2 * value.mean().item(), "gap": ((value - floor).mean() / floor.mean()).item()}
            for name, value in values.items()
        }
        flat = principal_reconstruction(known, y, self.latents, torch.float64)
        measured[PCA] = {"error": (y - flat).square().sum(dim=1).mean().item()}
        shown = {name: energy.reconstruct(None, None, each[:12]) for name, each in z.items()}
        shown |= {PCA: flat[:12], "test image": y[:12]}
        worse = (reached[:-1].amin(dim=0) > reached[-1] * 1.01).double().mean().item()
        return {"measured": measured, "shown": {name: one.clamp(0, 1) for name, one in shown.items()}, "worse": worse}

    def figures(self, run: Run, first: Left) -> None:
        energy, learned, shown, shape = first
        rows = {}
        for name in ("test image", EXACT, POLISHED, ENCODER, LINEAR, UNTRAINED, PCA):
            error = f"  {run.measured.mean(name, 'error'):.1f}" if run.measured.has(name, "error") else ""
            rows[name + error] = shown[name]
        run.figure("reconstructions", partial(image_rows, rows, shape, signed=False, each=False))
        generator = torch.Generator().manual_seed(0)
        walks = latent_walks(energy, learned["latents"], generator).flatten(0, 1)
        drawn = gaussian_samples(energy, learned["latents"], len(walks), generator)
        sheets = [images(each.clamp(0, 1), shape, columns=9, signed=False) for each in (walks, drawn)]
        run.grid("walks", [(sheet, "") for sheet in sheets], columns=2)
        line = {"training images": (learned["curve"]["steps"], learned["curve"]["errors"])}
        run.figure("training", curves(line, title="Latents and generator", xlabel="step", ylabel="‖y − G(z)‖²"))
