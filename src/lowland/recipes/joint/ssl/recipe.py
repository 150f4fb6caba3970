"""All joint-embedding methods on one data set: one encoder, one kind of views, one table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from matplotlib.figure import Figure
from torch import Tensor, nn

from lowland.data.images import Images
from lowland.energies.joint_embedding import JointEmbedding
from lowland.errors import TrainingError
from lowland.evaluation import fine_tune, labelled
from lowland.evaluation.embeddings import SHOWN, measure_embedding, online_probe
from lowland.nn.layers import Flat
from lowland.nn.standardised import Standardised
from lowland.plots import curves, labelled_retrieval, pair_energies, scatter_panels, spectrum_curves
from lowland.recipes.base import Count, Positive, recipe
from lowland.recipes.joint.common import BASELINES, GPU, PIXELS, RANDOM, SUPERVISED, Pretraining, load_images
from lowland.reports.run import Run
from lowland.training.encoder_files import save_encoder
from lowland.training.joint_methods import WITH_NEGATIVES, JointMethod
from lowland.training.pretraining import views_of

PERCENT = ("probe", "validation", "knn")
MEASURES = (*PERCENT, "rank", "alignment", "uniformity", "gap", "seconds")


@recipe
@dataclass(frozen=True)
class SslRecipe(Pretraining):
    """F(x, y) = D(p(h(x)), h(y)) of two views, shaped by each method; then the encoder is frozen and measured."""

    seeds: Count = 1
    """Repetitions, each with its own first weights, views and order of the images."""
    looks: Count = 5
    """Evaluations on validation images during training, for the learning curves."""
    neighbours: Count = 200
    """Neighbours that vote."""
    temperature: Positive = 0.1
    """Temperature of the votes; the published figure was measured with 200 neighbours and 0.1."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {
            "data": "digits", "methods": ("simclr", "vicreg"), "maps": (8, 16), "epochs": 0.4,
            "batch": 128, "looks": 2, "neighbours": 20,
        },
        "gpu": GPU,
    }  # fmt: skip

    def run(self, run: Run) -> None:
        chosen = self.chosen()
        run.expect(self.seeds * (len(chosen) * (self.looks + 1) + 3))
        data = load_images(run, self.data, self.data_dir)
        first: dict[str, dict[str, Any]] = {}
        failed: dict[str, str] = {}
        for seed in range(self.seeds):
            found = self._baselines(run, data, seed)
            for method in chosen:
                found[method.title] = self._method(run, method, data, seed)
            for name, one in found.items():
                failed |= {name: one["failed"]} if "failed" in one else {}
                numbers = {m: (100 if m in PERCENT else 1) * one[m] if m in one else None for m in MEASURES}
                run.measured.add({name: numbers})
            first = first or found
        titles = [method.title for method in chosen]
        run.show(
            name=data.name, steps=self.steps(data), tests=len(data.test), shown=min(SHOWN, len(data.validation)),
            learned=titles, finished=[t for t in titles if run.measured.each(t, "validation")], failed=failed,
        )  # fmt: skip
        run.part(self.figures, {name: one for name, one in first.items() if "failed" not in one}, data)

    def _measure(self, energy: JointEmbedding, data: Images, seed: int) -> dict[str, Any]:
        return measure_embedding(
            energy, data, views_of("images", self.views), 1000 * (self.seed + seed) + 1, self.neighbours,
            self.temperature,
        )  # fmt: skip

    def _measure_alone(self, encoder: nn.Module, data: Images, seed: int) -> dict[str, Any]:
        """The same of a baseline, which has no head: its energy is 1 − cos of the representations."""
        return self._measure(JointEmbedding(encoder, (), distance="cosine"), data, seed)

    def _baselines(self, run: Run, data: Images, seed: int) -> dict[str, dict[str, Any]]:
        encoder, found = self.network(data, seed), {}
        for name, made in ((PIXELS, Flat(data.shape)), (RANDOM, encoder)):
            work = partial(self._measure_alone, made, data, seed)
            found[name] = run.stage(f"seed-{seed}/{name.replace(' ', '-')}", work) | {"seconds": 0.0}
        work = partial(self._supervise, encoder, data, seed)
        found[SUPERVISED] = run.stage(f"seed-{seed}/{SUPERVISED}", work)
        return found

    def _supervise(self, encoder: nn.Module, data: Images, seed: int) -> dict[str, Any]:
        """The same network, views and number of steps with all labels; then it is frozen and probed as the others."""
        parts, views = (labelled(data, split) for split in ("train", "validation")), views_of("images", self.views)
        taught = fine_tune(
            encoder, *parts, views=views, rates=(0.002,), steps=self.steps(data), batch_size=self.batch,
            weight_decay=self.decay, seed=self.seed + seed,
        )  # fmt: skip
        return self._measure_alone(taught.network[0], data, seed) | {"seconds": taught.seconds}

    def _method(self, run: Run, method: JointMethod, data: Images, seed: int) -> dict[str, Any]:
        """Train by a method with evaluations along the way, each a stage of its own; then measure."""
        energy = self.energy(method, data, seed)
        steps, stage = self.steps(data), f"seed-{seed}/{method.name}"
        looks: list[dict[str, Any]] = []
        for look in range(1, self.looks + 1):
            further = partial(self._train, run, method, energy, data, seed, max(1, steps * look // self.looks))
            looks.append(run.stage(f"{stage}-{look}", further))
            if looks[-1]["failed"]:
                return {"failed": looks[-1]["failed"]}

        def work() -> dict[str, Any]:
            # In a process that trained nothing, because it resumed here, this loads the last checkpoint.
            self.pretrain(run, method, energy, data, seed, steps)
            return self._measure(energy, data, seed)

        found = run.stage(stage, work, [energy])
        if seed == 0:
            self._keep(run, method, energy.encoder)
        return found | {"seconds": sum(look["seconds"] for look in looks), "looks": looks}

    def _keep(self, run: Run, method: JointMethod, encoder: nn.Module) -> None:
        """The encoder in the format of `lowland embed` and plain torch."""
        card = {"kind": "images", "data": self.data, "method": method.title}
        save_encoder(Standardised(encoder.cpu()), self.encoder_options, run.checkpoints / method.name, card)

    def _train(
        self, run: Run, method: JointMethod, energy: JointEmbedding, data: Images, seed: int, until: int
    ) -> dict[str, Any]:
        try:
            trained = self.pretrain(run, method, energy, data, seed, until)
        except TrainingError as error:
            return {"failed": str(error)}
        online = online_probe(energy.encoder, data, self.seed)
        run.log(until, online=online, loss=trained.history["loss/energy"].values[-1])
        return {"failed": "", "step": until, "seconds": trained.seconds, "online": online}

    def figures(self, run: Run, first: Mapping[str, Mapping[str, Any]], data: Images) -> None:
        learning, spectra = [], []
        for group, wanted in (("with negatives", True), ("without negatives", False)):
            chosen = [method.title for method in self.chosen() if (method.name in WITH_NEGATIVES) is wanted]
            if titles := [title for title in chosen if title in first]:
                online: Any = {
                    title: ([one["step"] for one in looks], [100 * one["online"] for one in looks])
                    for title in titles
                    for looks in [first[title]["looks"]]
                }
                learning.append((curves(online, xlabel="step", ylabel="% of validation images"), group))
                values = {name: first[name]["spectrum"].clamp_min(1e-5) for name in (*titles, RANDOM)}
                spectra.append((spectrum_curves(values, ylabel="singular value", log="y"), group))
        run.grid("learning", learning, 2)
        learned = [name for name in first if name not in BASELINES]
        planes = {name: first[name]["plane"] for name in (*learned, *BASELINES)}
        run.figure("planes", partial(scatter_panels, planes, data.validation_labels[:SHOWN], data.classes))
        run.grid("spectra", spectra, 2)
        best = run.measured.best("validation", learned, most=True) if learned else RANDOM
        pairs = [(partial(pair_energies, first[name]["near"], first[name]["far"]), name) for name in (best, PIXELS)]
        run.grid("pairs", pairs, 2)
        sheets = [(partial(_nearest, first[name]["neighbours"], data), name) for name in (best, RANDOM, PIXELS)]
        run.grid("neighbours", sheets, 3)


def _nearest(place: Tensor, data: Images) -> Figure:
    queries = data.validation[: len(place)], data.validation_labels[: len(place)]
    return labelled_retrieval(queries, labelled(data, "train"), place)
