"""DrSAE on digits (row S8): a recurrent sparse encoder that learns class and strokes together, against two rivals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from lowland.data.catalogue import load
from lowland.data.images import Images
from lowland.energies.classifier import Classifier
from lowland.energies.discriminative_sparse_autoencoder import DiscriminativeSparseAutoencoder
from lowland.energies.sparse_coding import SparseCoding
from lowland.errors import OptionError, nearest
from lowland.inference import infer
from lowland.nn.lista import LISTA
from lowland.recipes.base import Recipe, recipe
from lowland.recipes.drsae_page import DEEPER, DRSAE, LINEAR, RELU, write_page, write_results
from lowland.reports.run import Run
from lowland.shaping.contrastive.likelihood import MaximumLikelihood
from lowland.shaping.regularised.code_prediction import CodePrediction
from lowland.shaping.regularised.expectation_maximisation import ExpectationMaximisation
from lowland.shaping.regularised.minimum_energy import MinimumEnergy
from lowland.training.fit import fit

DATA = ("mnist10k", "digits", "mnist", "fashion_mnist")
GRIDS: Mapping[str, tuple[dict[str, float], ...]] = {
    DRSAE: tuple({"sparsity": s, "discrimination": d} for s in (0.03, 0.05) for d in (0.1, 0.3)),
    RELU: tuple({"lr": lr, "weight_decay": decay} for lr in (1e-3, 3e-3) for decay in (0.0, 1e-4)),
    DEEPER: tuple({"lr": lr, "weight_decay": decay} for lr in (1e-3, 3e-3) for decay in (0.0, 1e-4)),
    LINEAR: tuple({"sparsity": s, "lr": lr} for s in (0.01, 0.03) for lr in (3e-3, 1e-2)),
}
"""Four settings for each method, of which the validation images of a split that is used for nothing else choose one."""


@recipe(
    "drsae",
    shows="A recurrent sparse encoder trained for reconstruction, sparsity and class together, against a ReLU network "
    "of its width and a classifier on codes that never saw a class.",
    rows=("S8",),
    minutes=7,
    title="Sparse codes that know the class",
)
@dataclass(frozen=True)
class DrsaeRecipe(Recipe):
    """E(x, y) = ½‖x − D z‖² + λ‖z‖₁ − μ y·log softmax(C ẑ + c), z from T steps of a rectified recurrent encoder."""

    data: str = "mnist10k"
    """Images: mnist10k, digits, mnist or fashion_mnist."""
    seeds: int = 5
    """Paired repetitions: each draws its own validation images and first weights, shared by all methods."""
    width: int = 200
    """Hidden units of each method."""
    iterations: int = 11
    """Steps T of the recurrent encoder, and shrinkages of LISTA."""
    steps: int = 2000
    """Updates of 100 images of each method; DrSAE and LISTA spend the first 30 % without classes."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {"data": "digits", "seeds": 2, "width": 16, "iterations": 3, "steps": 20}
    }

    def __post_init__(self) -> None:
        if self.data not in DATA:
            raise OptionError(f"There are no images called {self.data!r} for this recipe. {nearest(self.data, DATA)}")
        if min(self.seeds, self.width, self.iterations) < 1 or self.steps < 10:
            raise OptionError("seeds, width and iterations must be at least 1, and steps at least 10.")

    def run(self, run: Run) -> None:
        run.expect(len(GRIDS) * (self.seeds + 1) + 1)
        images = load(self.data)
        if images.stand_in_for:
            run.stand_in(
                f"{self.data} stands in for {images.stand_in_for}: its test images are not the published ones."
            )
        chosen, found = {}, []
        tuning = self._split(images, 999)
        for method, grid in GRIDS.items():
            tune = partial(self._tune, method, grid, tuning)
            chosen[method] = run.stage(f"tuning/{_plain(method)}", tune)
        for seed in range(self.seeds):
            data, one = self._split(images, seed), {}
            for method in GRIDS:
                setting = GRIDS[method][chosen[method]["best"]]
                train = partial(self._train, method, setting, data, seed, run if seed == 0 else None)
                one[method] = run.stage(f"seed-{seed}/{_plain(method)}", train)
            found.append(one)
        common = images.train_labels.bincount().argmax()
        write_results(run, found, float((images.test_labels != common).double().mean()), self._described(images))
        run.part(write_page, found, chosen, GRIDS, self.iterations, self.width, images.shape[1:])

    def _described(self, images: Images) -> str:
        trained = len(images.train) + len(images.validation)
        return f"{self.data}: {trained} for training and validation, {len(images.test)} for testing"

    def _split(self, images: Images, seed: int) -> dict[str, tuple[Tensor, Tensor]]:
        """Images in units of the mean norm of the training images, and their labels."""
        data = images.resplit(1 / 8, self.generator(100 + seed))
        unit = data.train.flatten(1).norm(dim=1).mean()
        splits = {name: (getattr(data, name), getattr(data, f"{name}_labels")) for name in ("train", "validation")}
        splits["test"] = (data.test, data.test_labels)
        return {
            name: ((x.flatten(1) / unit).to(self.device), labels.to(self.device))
            for name, (x, labels) in splits.items()
        }

    def _tune(self, method: str, grid: tuple[dict[str, float], ...], data: Any) -> dict[str, Any]:
        errors = [self._train(method, setting, data, 999)["validation"] for setting in grid]
        return {"errors": errors, "best": min(range(len(errors)), key=errors.__getitem__)}

    def _train(
        self, method: str, setting: dict[str, float], data: Any, seed: int, run: Run | None = None
    ) -> dict[str, Any]:
        """Errors on validation and test images; with a run, what its page shows of DrSAE, too."""
        classes = int(data["train"][1].max()) + 1
        pair = (data["train"][0], functional.one_hot(data["train"][1], classes).float())
        build = {DRSAE: self._drsae, LINEAR: self._linear, RELU: self._relu, DEEPER: self._relu}[method]
        scores, energy = build(method, setting, pair, seed)
        found: dict[str, Any] = {}
        for split in ("validation", "test"):
            x, labels = data[split]
            with torch.no_grad():
                found[split] = (scores(x).argmax(dim=1) != labels).double().mean().item()
        if run is not None and method == DRSAE:
            run.save_energy(DRSAE, energy.cpu())
            found |= self._look(energy, *(part.cpu() for part in data["test"]))
        return found

    def _fit(self, energy: Any, pair: Any, shaping: Any, steps: int, lr: float, seed: int, decay: float = 0.0) -> None:
        """Adam with a rate that falls linearly to zero: the same for all methods."""
        options = {"batch_size": min(100, len(pair[0])), "validation": 0.0, "progress": False, "weight_decay": decay}
        fit(energy, pair, shaping, steps, lr=lr, seed=seed, schedule=lambda step: 1 - step / steps, **options)

    def _drsae(self, method: str, setting: dict[str, float], pair: Any, seed: int) -> Any:
        """First without classes, then with them."""
        size = (pair[0].shape[1], pair[1].shape[1], self.width, setting["sparsity"], 0.0, self.iterations)
        energy = DiscriminativeSparseAutoencoder(*size, generator=self.generator(seed)).to(self.device)
        early = 3 * self.steps // 10
        self._fit(energy, pair, MinimumEnergy(), early, 1e-3, seed)
        energy.discrimination = setting["discrimination"]
        self._fit(energy, pair, MinimumEnergy(), self.steps - early, 1e-3, seed)
        return (lambda x: energy.scores(energy.code(x))), energy

    def _relu(self, method: str, setting: dict[str, float], pair: Any, seed: int) -> Any:
        hidden = (self.width,) if method == RELU else (self.width, self.width)
        energy = Classifier(pair[0].shape[1], pair[1].shape[1], hidden, self.generator(seed)).to(self.device)
        # Nets are used to pixels from 0 to 1, whose images have a norm of about 9.
        pair = (9 * pair[0], pair[1])
        self._fit(energy, pair, MaximumLikelihood(), self.steps, setting["lr"], seed, setting["weight_decay"])
        return (lambda x: energy.network(9 * x)), energy

    def _linear(self, method: str, setting: dict[str, float], pair: Any, seed: int) -> Any:
        """A dictionary, LISTA for its codes, and a linear classifier of the codes, one after the other."""
        x, early = pair[0], 3 * self.steps // 10
        generator = self.generator(seed)
        coding = SparseCoding(x.shape[1], self.width, setting["sparsity"], True, generator).to(self.device)
        learning = ExpectationMaximisation(memory=0.95)
        fit(coding, x, learning, early // 3, batch_size=min(300, len(x)), validation=0.0, seed=seed, progress=False)
        encoder = LISTA(coding.dictionary, coding.sparsity, self.iterations, positive=True).to(self.device)
        with torch.no_grad():
            codes = infer(coding, y=x, over="z").value
        self._fit(coding, x, CodePrediction(encoder, codes=codes), early, 1e-3, seed)
        with torch.no_grad():
            features = encoder(x)
        energy = Classifier(self.width, pair[1].shape[1], (), generator).to(self.device)
        # Codes of unit images are small numbers; nets are used to larger ones.
        unit = 9 / features.norm(dim=1).mean()
        self._fit(energy, (unit * features, pair[1]), MaximumLikelihood(), self.steps - early, setting["lr"], seed)
        return (lambda x: energy.network(unit * encoder(x))), energy

    @torch.no_grad()
    def _look(self, energy: DiscriminativeSparseAutoencoder, x: Tensor, labels: Tensor) -> dict[str, Any]:
        """Errors and share of active units after each step, and of each unit its atom and the classes it speaks for."""
        errors, active, whole = [], [], energy.iterations
        for count in range(1, whole + 1):
            energy.iterations = count
            z = energy.code(x)
            errors.append((energy.scores(z).argmax(dim=1) != labels).double().mean().item())
            active.append((z > 0).float().mean().item())
        energy.iterations = whole
        z = energy.code(x)
        cosine = functional.cosine_similarity(energy.encoder, energy.decoder.T, dim=1)
        shown = {"x": x[:10], "again": z[:10] @ energy.decoder.T}
        return {"steps": errors, "active": active, "atoms": energy.decoder.T.clone(), "cosine": cosine, **shown,
                "votes": energy.classes.clone(), "used": (z > 0).float().mean(dim=0)}  # fmt: skip


def _plain(method: str) -> str:
    return method.replace(" ", "-").replace(",", "")
