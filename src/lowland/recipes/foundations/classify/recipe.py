"""Any module becomes an energy: a classifier, shaped in two ways, read by its energies, and exported."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowland.data.catalogue import load
from lowland.data.images import Images
from lowland.energies.classifier import Classifier
from lowland.errors import OptionError
from lowland.inference import infer
from lowland.nn.layers import linear
from lowland.plots import confusion
from lowland.recipes.base import Count, SeededRecipe, recipe
from lowland.recipes.foundations.classify import figures
from lowland.reports.run import Run
from lowland.shaping.base import Batch, Shaping
from lowland.shaping.contrastive.likelihood import MaximumLikelihood
from lowland.shaping.contrastive.pair import HingePair
from lowland.shaping.contrastive.points import WrongAnswers
from lowland.training.export import export_onnx, export_program
from lowland.training.fit import fit

LIKELIHOOD, HINGE, GRAPH = "likelihood", "hinge", "gated graph"
STRENGTHS = (0.03, 0.1, 0.3, 1.0, 3.0)
"""Inverse strengths of the regulariser of logistic regression, of which the validation images choose one."""


class Left(NamedTuple):
    """What the pictures need of a seed: the images, an energy, and its energies of all answers to test images."""

    images: Images
    energy: Classifier
    table: Tensor


class Gated(nn.Module):
    """f(x) = A (h ⊙ σ(G h)) + C x, h = [B x]⁺: a graph that is not a chain, for h is used twice and x, too."""

    def __init__(self, inputs: int, classes: int, width: int, generator: torch.Generator) -> None:
        super().__init__()
        self.first, self.gate = linear(inputs, width, generator), linear(width, width, generator)
        self.last, self.shortcut = linear(width, classes, generator), linear(inputs, classes, generator)

    def forward(self, x: Tensor) -> Tensor:
        h = functional.relu(self.first(x))
        return self.last(h * torch.sigmoid(self.gate(h))) + self.shortcut(x)


@recipe
@dataclass(frozen=True)
class ClassifyRecipe(SeededRecipe):
    """E(x, y) = −y·f(x), x an image, y a one-hot answer, f the network of the talks with 1000 hidden units."""

    data: Literal["digits", "mnist10k", "fashion_mnist", "mnist"] = "digits"
    """Images: digits, which are always available, mnist10k, fashion_mnist or mnist; these need more steps."""
    hidden: tuple[Count, ...] = (1000,)
    """Sizes of the hidden layers of the network."""
    width: Count = 200
    """Size of the layers of the other graph."""
    steps: tuple[Count, ...] = (25, 50, 100, 200, 400)
    """Numbers of training steps, of 128 images each, of which the validation images choose one."""

    stages: ClassVar[int] = 4
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {"seeds": 2, "hidden": (32,), "width": 16, "steps": (20, 100)}
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.steps or list(self.steps) != sorted(set(self.steps)):
            raise OptionError(f"steps must be one or more rising numbers, not {self.steps}.")

    def measure(self, run: Run, seed: int) -> tuple[dict[str, dict[str, Any]], Left]:
        images, kept, found = load(self.data), {}, {}
        data = images.resplit(0.2, self.generator(100 + seed))
        for method, shaping in self._methods().items():
            kept[method] = self._energy(method, data, seed)
            train = partial(self._train, run, kept[method], shaping, data, seed)
            found[method] = run.stage(method.replace(" ", "-"), train, [kept[method]])
        found |= run.stage("baselines", partial(self._baselines, data, seed))
        numbers: dict[str, dict[str, Any]] = {
            name: {"error": 100 * (1 - one["test"])} | ({"nll": one["nll"]} if "nll" in one else {})
            for name, one in found.items()
        }
        for method in kept:
            one = found[method]
            numbers[method] |= {"fitted": 100 * one["after"], "steps": one["steps"]}
            errors = [100 * error for error in one["validation"]]
            numbers[method] |= {"validation": min(errors)}
            numbers[method] |= {f"validation {steps}": v for steps, v in zip(self.steps, errors, strict=True)}
        numbers["untrained"] = {"fitted": 100 * found[LIKELIHOOD]["before"]}
        if seed == 0:
            if images.stand_in_for:
                run.stand_in(
                    f"{self.data} stands in for {images.stand_in_for}: its test images are not the published ones."
                )
            same = run.stage("cross-entropy", partial(self._cross_entropy, kept[LIKELIHOOD], images))
            numbers[LIKELIHOOD]["cross-entropy"] = same
            for method in (LIKELIHOOD, HINGE):
                run.save_energy(method, kept[method])
            exported = run.stage("export", partial(self._export, run, kept, images))
            for method in (LIKELIHOOD, GRAPH):
                numbers |= {f"{method}, {runtime}": one for runtime, one in exported[method].items()}
            layers = [len(bias) for bias in kept[LIKELIHOOD].network.parameters() if bias.ndim == 1]
            sizes = "-".join(map(str, [images.test[0].numel(), *layers]))
            run.show(missing=exported["missing"], tests=len(images.test), sizes=sizes, legend=figures.legend(images))
        return numbers, Left(images, kept[LIKELIHOOD], found[LIKELIHOOD]["table"])

    def _methods(self) -> dict[str, Shaping]:
        hinge = HingePair(WrongAnswers(), margin=1.0)
        return {LIKELIHOOD: MaximumLikelihood(), HINGE: hinge, GRAPH: MaximumLikelihood()}

    def _energy(self, method: str, data: Images, seed: int) -> Classifier:
        inputs, classes, generator = data.train[0].numel(), len(data.classes), self.generator(seed)
        energy = Classifier(inputs, classes, self.hidden, generator)
        if method == GRAPH:
            energy.network = Gated(inputs, classes, self.width, generator)
        return energy.to(self.device)

    def _train(self, run: Run, energy: Classifier, shaping: Shaping, data: Images, seed: int) -> dict[str, Any]:
        """Train, keep the weights that have the least error on validation images, and look once at test images."""
        x, y = self._pair(data.train, data.train_labels, energy)
        before, errors, weights = _lowest(energy, x, y), [], []

        def look(step: int, metrics: dict[str, float]) -> None:
            if step in self.steps:
                weights.append({name: value.clone() for name, value in energy.state_dict().items()})
                errors.append(1 - _lowest(energy, *self._pair(data.validation, data.validation_labels, energy)))
                run.log(step, validation_error=errors[-1])

        fit(
            energy, (x, y), shaping, max_steps=self.steps[-1], batch_size=128, validation=0.0, seed=seed,
            progress=False, callback=look,
        )  # fmt: skip
        best = min(range(len(errors)), key=errors.__getitem__)
        energy.load_state_dict(weights[best])
        table = _table(energy, self._pair(data.test, data.test_labels, energy)[0])
        return {
            "steps": self.steps[best],
            "validation": errors,
            "before": before,
            "after": _lowest(energy, x, y),
            "test": _lowest(energy, *self._pair(data.test, data.test_labels, energy)),
            "nll": functional.cross_entropy(-table, data.test_labels).item(),
            "table": table,
        }

    def _pair(self, images: Tensor, labels: Tensor, energy: Classifier) -> tuple[Tensor, Tensor]:
        y = functional.one_hot(labels, energy.domain("y").size)
        return images.flatten(1).to(self.device), y.float().to(self.device)

    def _baselines(self, data: Images, seed: int) -> dict[str, Any]:
        """The most frequent class, and scikit-learn's logistic regression."""
        from sklearn.linear_model import LogisticRegression

        def arrays(name: str) -> tuple[Any, Any]:
            return getattr(data, name).flatten(1).numpy(), getattr(data, f"{name}_labels").numpy()

        models = [LogisticRegression(C=c, max_iter=2000).fit(*arrays("train")) for c in STRENGTHS]
        scores = [model.score(*arrays("validation")) for model in models]
        best = models[scores.index(max(scores))]
        x, labels = arrays("test")
        log_p = torch.from_numpy(best.predict_log_proba(x)).double()
        common = data.train_labels.bincount().argmax()
        return {
            "logistic regression": {
                "test": best.score(x, labels),
                "nll": functional.nll_loss(log_p, data.test_labels).item(),
            },
            "most frequent class": {"test": (data.test_labels == common).double().mean().item()},
        }

    def _cross_entropy(self, energy: Classifier, data: Images) -> float:
        """Largest difference between MaximumLikelihood and torch's cross-entropy: the loss and its gradient."""
        x, y = self._pair(data.test, data.test_labels, energy)
        ours = MaximumLikelihood()(energy, Batch(y, x)).losses["energy"]
        theirs = functional.cross_entropy(energy.network(x), y.argmax(dim=1))
        mine, other = (torch.autograd.grad(loss, list(energy.parameters())) for loss in (ours, theirs))
        gaps = [(a - b).abs().max() for a, b in zip((ours, *mine), (theirs, *other), strict=True)]
        return max(gap.item() for gap in gaps)

    def _export(self, run: Run, kept: dict[str, Classifier], data: Images) -> dict[str, Any]:
        """Each energy as a program and, where its packages are there, as ONNX: energies of all answers, and sizes."""
        found: dict[str, Any] = {"missing": None}
        for method in (LIKELIHOOD, GRAPH):
            energy = kept[method].cpu()
            path, x = run.checkpoints / f"{method.replace(' ', '-')}.pt2", data.test.flatten(1)
            answers = energy.domain("y").elements()
            pairs = {"x": x.repeat_interleave(len(answers), dim=0), "y": answers.repeat(len(x), 1)}
            # A program keeps its example inputs in the file, so these are few, and no view of many.
            example = {name: value[:20].clone() for name, value in pairs.items()}
            program = torch.export.load(export_program(energy, example, path)).module()
            with torch.no_grad():
                own = energy(**pairs).reshape(len(x), -1)
                other = {"torch.export": (program(pairs["x"], pairs["y"]).reshape(own.shape), path)}
            try:
                path = export_onnx(energy, example, path.with_suffix(".onnx"))
                other["ONNX"] = (_onnx(path, pairs, self.threads).reshape(own.shape), path)
            except OptionError as error:
                found["missing"] = str(error)
            inferred = infer(energy, x=x, over="y").value.argmax(dim=1)
            found[method] = {
                name: {
                    "difference": (table - own).abs().max().item(),
                    "otherwise": int((table.argmin(dim=1) != inferred).sum()),
                    "size": round(file.stat().st_size / 1024),
                }
                for name, (table, file) in other.items()
            }
        return found

    def figures(self, run: Run, first: Left) -> None:
        data, table, each = first.images, first.table, run.measured.each
        run.figure("answers", partial(figures.answers, data, table))
        errors = {m: [fmean(each(m, f"validation {steps}")) for steps in self.steps] for m in self._methods()}
        run.figure("steps", partial(figures.validation, errors, self.steps))
        run.figure("offending", partial(figures.offending, data, table))
        run.figure("confusion", partial(confusion, figures.counts(data, table), figures.names(data)))
        run.figure("wishes", partial(figures.wishes, data, first.energy))


def _table(energy: Classifier, x: Tensor) -> Tensor:
    """E(x, y) of every answer, (N, K), on the CPU."""
    with torch.no_grad():
        return -energy.encode(x).cpu()


def _lowest(energy: Classifier, x: Tensor, y: Tensor) -> float:
    """Share of the images whose right answer is the one that inference finds."""
    found = infer(energy, x=x, over="y").value
    return (found == y).all(dim=1).double().mean().item()


def _onnx(path: Path, pairs: dict[str, Tensor], threads: int) -> Tensor:
    """What onnxruntime computes; torch takes no part in it."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run(None, {name: value.numpy() for name, value in pairs.items()})[0])
