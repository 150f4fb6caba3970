"""Magnetic resonance with a fourth or an eighth of the measurements: total variation, a U-Net, and both as energies."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from lowland.data.brain import phantoms
from lowland.data.catalogue import load
from lowland.data.images import Images
from lowland.energies.kspace import KSpace, zero_filled
from lowland.energies.learned_reconstruction import LearnedReconstruction
from lowland.evaluation.reconstruction import best_weight, least_energy, least_variation, volume_measures
from lowland.plots.reconstructions import reconstructions
from lowland.recipes.base import Count, NotNegative, Positive, SeededRecipe, recipe
from lowland.reports.run import Run
from lowland.shaping.base import Batch
from lowland.training.reconstruction import kspace_batch, train_reconstruction

ZERO, VARIATION, NETWORK, PRIOR = "zero-filled", "variation", "network", "prior"
LABELS = {ZERO: ZERO, VARIATION: "total variation", NETWORK: "U-Net", PRIOR: "U-Net and data"}
FOLDS = (4, 8)


class Left(NamedTuple):
    """Of the first seed: what each fold found, the truth of its test slices, and the PSNR of each weight."""

    found: dict[int, dict[str, Tensor]]
    truth: dict[int, Tensor]
    tuned: list[list[Any]]


@recipe
@dataclass(frozen=True)
class MriRecipe(SeededRecipe):
    """E(x, y) = ½ Σ_ω m_ω |F y − k|²_ω + R(y): x = (k, m) some Fourier coefficients, y the image, R a prior."""

    data: Literal["brain", "phantoms"] = "brain"
    """Slices of a brain, or heads of ellipses, which are always there."""
    noise: NotNegative = 0.02
    """Standard deviation of the noise in k-space, in units of the largest pixel."""
    variations: tuple[Positive, ...] = (0.001, 0.002, 0.004, 0.008, 0.016)
    """Weights λ of total variation, of which the validation slices choose one."""
    priors: tuple[Positive, ...] = (0.01, 0.03, 0.1, 0.3, 1.0)
    """Weights of the learned prior, of which the validation slices choose one."""
    gap: Positive = 0.001
    """Largest duality gap of total variation, as a share of the energy of the zero-filled image."""
    maps: tuple[Count, ...] = (16, 32, 64, 64)
    """Feature maps of each scale of the U-Net."""
    steps: Count = 2000
    """Training steps of the U-Net, for both accelerations together."""
    batch: Count = 2
    """Slices in a step, each with a mask, a phase and noise of its own."""
    rate: Positive = 0.002
    """Highest learning rate of Adam."""

    stages: ClassVar[int] = 1 + len(FOLDS)
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {"seeds": 2, "data": "phantoms", "steps": 4, "maps": (4, 8), "variations": (0.004, 0.016)},
        "long": {"steps": 12000, "maps": (24, 48, 96, 96), "seeds": 1},
    }

    def measure(self, run: Run, seed: int) -> tuple[dict[str, dict[str, Any]], Left]:
        if self.data == "phantoms":
            run.stand_in("Heads of ellipses stand in for slices of a brain, which are harder.")
        data = load(self.data) if self.data == "brain" else phantoms(16, 48, 40, self.seed)
        energy = LearnedReconstruction(*data.shape[1:], self.maps, self.generator(seed)).to(self.device)
        run.stage("train", partial(self._train, run, energy, data.train, seed), [energy])
        numbers: dict[str, dict[str, Any]] = {method: {} for method in LABELS}
        left = Left({}, {}, [])
        for fold in FOLDS:
            validation, test = (self._pairs(data, part, fold, seed) for part in ("validation", "test"))
            found = run.stage(f"{fold}-fold", partial(self._reconstruct, energy, validation, test))
            left.truth[fold], left.found[fold] = test.y.cpu(), found["images"]
            for method, images in found["images"].items():
                for name, value in volume_measures(images, left.truth[fold]).items():
                    numbers[method][f"{name} {fold}"] = value
            numbers[VARIATION][f"gap {fold}"] = 100 * found["gap"]
            for method, weights in ((VARIATION, self.variations), (PRIOR, self.priors)):
                chosen, each = found[method]
                for weight, value in zip(weights, each, strict=True):
                    said = "chosen" if weight == chosen else ""
                    left.tuned.append([LABELS[method], f"{fold}-fold", weight, round(value, 2), said])
        if seed == 0:
            run.save_energy(NETWORK, energy)
            run.show(sizes={part: len(getattr(data, part)) for part in ("train", "validation", "test")},
                     sides=" × ".join(map(str, data.shape[1:])))  # fmt: skip
        return numbers, left

    def _train(self, run: Run, energy: LearnedReconstruction, images: Tensor, seed: int) -> None:
        folder, first = run.checkpoints / f"fit-{seed}", self._first(seed, "train")
        train_reconstruction(
            energy, images, FOLDS, self.noise, self.steps, self.batch, self.rate, first, run=folder, resume=True
        )

    def _first(self, seed: int, part: str) -> int:
        """The seed of what is simulated, another one for each seed and part."""
        return 3 * (1000 * self.seed + seed) + ("train", "validation", "test").index(part)

    def _pairs(self, data: Images, part: str, fold: int, seed: int) -> Batch:
        images = getattr(data, part)
        pairs = kspace_batch(images, (fold,), self.noise, self._first(seed, part), torch.arange(len(images)))
        return Batch(pairs.y.to(self.device), pairs.x.to(self.device))

    def _reconstruct(self, energy: LearnedReconstruction, validation: Batch, test: Batch) -> dict[str, Any]:
        """Choose the weights on validation slices, and reconstruct the test slices with them."""
        measured = KSpace(*test.y.shape[2:])

        def smooth(x: Tensor, weight: float) -> Tensor:
            return least_variation(x, weight, 10 * self.gap).y

        def joined(x: Tensor, weight: float) -> Tensor:
            return least_energy(measured + weight * energy, x)

        variation = best_weight(self.variations, partial(smooth, validation.x), validation.y)
        prior = best_weight(self.priors, partial(joined, validation.x), validation.y)
        flat = least_variation(test.x, variation[0], self.gap)
        images = {
            ZERO: zero_filled(test.x), VARIATION: flat.y, NETWORK: least_energy(energy, test.x),
            PRIOR: joined(test.x, prior[0]),
        }  # fmt: skip
        return {
            "images": {name: image.cpu() for name, image in images.items()}, VARIATION: list(variation),
            PRIOR: list(prior), "gap": float((flat.gap / flat.energy).max()),
        }  # fmt: skip

    def figures(self, run: Run, first: Left) -> None:
        for fold in FOLDS:
            middle = len(first.truth[fold]) // 2
            shown = {label: first.found[fold][name][middle] for name, label in LABELS.items()}
            run.figure(f"{fold}-fold", partial(reconstructions, first.truth[fold][middle], shown))
        run.table(("energy", "measured", "weight", "PSNR, dB", ""), first.tuned, name="tuning")
