"""DrSAE on digits: a recurrent sparse encoder that learns class and strokes together, against three rivals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from lowland.data.images import Images
from lowland.energies.classifier import Classifier
from lowland.energies.discriminative_sparse_autoencoder import DiscriminativeSparseAutoencoder
from lowland.energies.sparse_coding import SparseCoding
from lowland.evaluation.unit_roles import unit_roles
from lowland.inference import infer
from lowland.nn.lista import LISTA
from lowland.plots import curves, images
from lowland.plots.points import by_seed, cloud
from lowland.recipes.base import Bound, Count, recipe, train
from lowland.recipes.sparse.common import DigitsRecipe, Setting, TunedRecipe, load_images, stage_name
from lowland.reports.run import Run
from lowland.shaping.contrastive.likelihood import MaximumLikelihood
from lowland.shaping.regularised.code_prediction import CodePrediction
from lowland.shaping.regularised.expectation_maximisation import ExpectationMaximisation
from lowland.shaping.regularised.minimum_energy import MinimumEnergy
from lowland.training.fit import fit

DRSAE, RELU, DEEPER, LINEAR = "DrSAE", "ReLU, two layers", "ReLU, three layers", "LISTA + linear"
NETS = [{"lr": lr, "weight_decay": decay} for lr in (1e-3, 3e-3) for decay in (0.0, 1e-4)]
TUNING = 999
"""Seed of the split that chooses settings."""
UNIT = 9
"""Norm of the inputs of nets, which are tuned to pixels from 0 to 1; that is about the norm of such an image."""
USED = 1e-3
"""Share of test images above which a unit counts as used."""
Parts = Mapping[str, tuple[Tensor, Tensor]]


@recipe
@dataclass(frozen=True)
class DrsaeRecipe(DigitsRecipe, TunedRecipe):
    """E(x, y) = ½‖x − D z‖² + λ‖z‖₁ − μ y·log softmax(C ẑ + c), z from T steps of a rectified recurrent encoder."""

    seeds: Count = 5
    """Paired repetitions: each draws its own validation images and first weights, shared by all methods."""
    width: Count = 200
    """Hidden units of each method."""
    iterations: Count = 11
    """Steps T of the recurrent encoder, and shrinkages of LISTA."""
    steps: Annotated[int, Bound(least=10)] = 2000
    """Updates of 100 images of each method; DrSAE and LISTA spend the first 30 % without classes."""

    grids: ClassVar[Mapping[str, Sequence[Setting]]] = {
        DRSAE: [{"sparsity": s, "discrimination": d} for s in (0.03, 0.05) for d in (0.1, 0.3)],
        RELU: NETS,
        DEEPER: NETS,
        LINEAR: [{"sparsity": s, "lr": lr} for s in (0.01, 0.03) for lr in (3e-3, 1e-2)],
    }
    stages: ClassVar[int] = 4
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {"data": "digits", "seeds": 2, "width": 16, "iterations": 3, "steps": 20}
    }

    def run(self, run: Run) -> None:
        data = load_images(run, self.data)
        run.show(trained=len(data.train) + len(data.validation), tested=len(data.test))
        commonest = data.train_labels.bincount().argmax()
        run.measured.set("most frequent class", "error", 100 * float((data.test_labels != commonest).double().mean()))
        tuning = self._split(data, TUNING)

        def error(method: str, setting: Setting) -> float:
            return self._learn(method, setting, tuning, TUNING)["validation"]

        self.tune(run, error, ("method", "setting", "validation error in %"), 100)
        super().run(run)

    def measure(self, run: Run, seed: int) -> tuple[dict[str, dict[str, Any]], Any]:
        data = load_images(run, self.data)
        parts, found = self._split(data, seed), {}
        for method, setting in self.tuned(run).items():
            learn = partial(self._learn, method, setting, parts, seed, run if seed == 0 else None)
            found[method] = run.stage(stage_name(method), learn)
        errors = {method: one["test"] for method, one in found.items()}
        rows = {method: {"error": 100 * error} for method, error in errors.items()}
        rows |= {f"{DRSAE} − {m}": {"difference": 100 * (errors[DRSAE] - errors[m])} for m in (RELU, DEEPER, LINEAR)}
        return rows, (found[DRSAE], data.shape[1:])

    def _split(self, data: Images, seed: int) -> Parts:
        """Images in units of the mean norm of the training images, and their labels."""
        data = data.resplit(1 / 8, self.generator(100 + seed))
        unit = data.train.flatten(1).norm(dim=1).mean()
        pairs = {
            "train": (data.train, data.train_labels),
            "validation": (data.validation, data.validation_labels),
            "test": (data.test, data.test_labels),
        }
        return {name: ((x.flatten(1) / unit).to(self.device), y.to(self.device)) for name, (x, y) in pairs.items()}

    def _learn(self, method: str, setting: Setting, parts: Parts, seed: int, run: Run | None = None) -> dict[str, Any]:
        """Errors on validation and test images; with a run, also what its page shows of DrSAE."""
        x, labels = parts["train"]
        pair = (x, functional.one_hot(labels, int(labels.max()) + 1).float())
        build = {DRSAE: self._drsae, LINEAR: self._linear, RELU: self._relu, DEEPER: self._relu}[method]
        scores, energy = build(method, setting, pair, seed)
        found: dict[str, Any] = {}
        for split in ("validation", "test"):
            x, labels = parts[split]
            with torch.no_grad():
                found[split] = (scores(x).argmax(dim=1) != labels).double().mean().item()
        if run is not None and method == DRSAE:
            run.save_energy(DRSAE, energy.cpu())
            x, labels = (part.cpu() for part in parts["test"])
            with torch.no_grad():
                shown = {"x": x[:10], "again": energy.code(x[:10]) @ energy.decoder.T}
            found |= unit_roles(energy, x, labels)._asdict() | shown
        return found

    def _train(self, energy: Any, pair: Any, shaping: Any, steps: int, lr: float, seed: int, decay: float = 0) -> None:
        train(energy, pair, shaping, steps, lr=lr, seed=seed, batch_size=min(100, len(pair[0])), weight_decay=decay)

    def _drsae(self, method: str, setting: Setting, pair: Any, seed: int) -> Any:
        """First without classes, then with them."""
        size = (pair[0].shape[1], pair[1].shape[1], self.width, setting["sparsity"], 0.0, self.iterations)
        energy = DiscriminativeSparseAutoencoder(*size, generator=self.generator(seed)).to(self.device)
        early = 3 * self.steps // 10
        self._train(energy, pair, MinimumEnergy(), early, 1e-3, seed)
        energy.discrimination = setting["discrimination"]
        self._train(energy, pair, MinimumEnergy(), self.steps - early, 1e-3, seed)
        return (lambda x: energy.scores(energy.code(x))), energy

    def _relu(self, method: str, setting: Setting, pair: Any, seed: int) -> Any:
        hidden = (self.width,) if method == RELU else (self.width, self.width)
        energy = Classifier(pair[0].shape[1], pair[1].shape[1], hidden, self.generator(seed)).to(self.device)
        pair = (UNIT * pair[0], pair[1])
        self._train(energy, pair, MaximumLikelihood(), self.steps, setting["lr"], seed, setting["weight_decay"])
        return (lambda x: energy.network(UNIT * x)), energy

    def _linear(self, method: str, setting: Setting, pair: Any, seed: int) -> Any:
        """A dictionary, LISTA for its codes, and a linear classifier of the codes, one after the other."""
        x, early = pair[0], 3 * self.steps // 10
        generator = self.generator(seed)
        coding = SparseCoding(x.shape[1], self.width, setting["sparsity"], True, generator).to(self.device)
        learning = ExpectationMaximisation(memory=0.95)
        fit(coding, x, learning, early // 3, batch_size=min(300, len(x)), validation=0.0, seed=seed, progress=False)
        encoder = LISTA(coding.dictionary, coding.sparsity, self.iterations, positive=True).to(self.device)
        with torch.no_grad():
            codes = infer(coding, y=x, over="z").value
        self._train(coding, x, CodePrediction(encoder, codes=codes), early, 1e-3, seed)
        with torch.no_grad():
            features = encoder(x)
        energy = Classifier(self.width, pair[1].shape[1], (), generator).to(self.device)
        unit = UNIT / features.norm(dim=1).mean()
        self._train(energy, (unit * features, pair[1]), MaximumLikelihood(), self.steps - early, setting["lr"], seed)
        return (lambda x: energy.network(unit * encoder(x))), energy

    def figures(self, run: Run, first: tuple[dict[str, Any], tuple[int, int]]) -> None:
        found, shape = first
        errors = {method: run.measured.each(method, "error") for method in self.grids}
        run.figure("pairs", lambda: by_seed(errors, DRSAE, "Test error", "%"))
        used, cosine = found["used"] > USED, found["cosine"]
        if int(used.sum()) < 2:
            used = torch.ones_like(used)  # hardly trained yet
        order = cosine.masked_fill(~used, 2.0).argsort()[: int(used.sum())]
        count = min(32, len(order) // 2)
        run.show(used=len(order), ends=count)
        sheets = [images(found["atoms"][part], shape, columns=8) for part in (order[:count], order[-count:])]
        run.grid("units", [(sheet, "") for sheet in sheets], 2)
        votes = found["votes"].amax(dim=0) - found["votes"].mean(dim=0)
        axes = ("cosine of its row of A and its column of D", "largest weight in C less the mean")
        run.figure("votes", lambda: cloud(cosine[used], votes[used], "Each unit", *axes))
        steps = list(range(1, self.iterations + 1))
        percent = {key: (steps, [100 * value for value in found[key]]) for key in ("steps", "active")}
        error = curves({"error": percent["steps"]}, title="Test error after each step", xlabel="step", ylabel="%")
        active = curves({"active": percent["active"]}, title="Units that are active", xlabel="step", ylabel="%")
        run.grid("steps", [(error, ""), (active, "")], 2)
        sheet = torch.cat([found["x"], found["again"].clamp_min(0)])
        run.figure("again", images(sheet, shape, columns=len(found["x"])))
