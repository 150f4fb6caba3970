"""All joint-embedding methods on one data set (rows J1, J2, J7): one encoder, one kind of views, one table."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from torch import nn

from lowland.data.images import Images
from lowland.energies.joint_embedding import JointEmbedding
from lowland.errors import OptionError, TrainingError
from lowland.evaluation.fine_tune import fine_tune
from lowland.nn.standardised import Standardised
from lowland.recipes.base import recipe
from lowland.recipes.baselines import PIXELS, RANDOM, SUPERVISED
from lowland.recipes.ssl_measures import Pixels, alone, glance, measure, part
from lowland.recipes.ssl_methods import Method
from lowland.recipes.ssl_page import write_page, write_results
from lowland.recipes.ssl_training import GPU, Pretraining
from lowland.reports.run import Run
from lowland.training.encoder_files import save_encoder

GLANCED = 5000
"""Training images of the online probe, and as many validation images at most."""


@recipe(
    "ssl",
    shows="Twelve methods learn from images without labels to put two views of an image close to each other, and each "
    "has its own way not to put everything in one place. Encoder, views, steps and probe are the same for all.",
    rows=("J1", "J2", "J7"),
    minutes=50,
    title="Joint embedding, twelve ways",
)
@dataclass(frozen=True)
class SslRecipe(Pretraining):
    """F(x, y) = D(p(h(x)), h(y)) of two views, shaped by each method; then the encoder is frozen and measured.

    The settings of the preset `cpu` were chosen on validation images of Fashion-MNIST, by probes after 3 to 10 epochs
    of one seed. Views: `mild` gives SimCLR 85.8 %, crops alone 81.5, other crops, blur or masks 84.7 to 85.6. Network:
    64, 96 and 128 maps at the end give the random encoder 76, 79 and 81 % and SimCLR 83.5, 84.6 and 85.8 % after 4
    epochs; 96 were taken because they pass raw pixels and leave room above the random encoder. Methods are as in their
    papers but for the temperature 0.2 of SimCLR and NCA, margin and negatives of DrLIM (margin 1 and the one nearest:
    81.1 %; 10 and 16: 85.0 %), weight, temperature and patches of PIRL, and the rates of PIRL, Barlow Twins and BYOL;
    on PIRL, which is the weakest, the most trials were spent.
    """

    seeds: int = 1
    """Repetitions, each with its own first weights, views and order of the images."""
    looks: int = 5
    """Looks at the validation images along the way, for the learning curves."""
    neighbours: int = 200
    """Neighbours that vote."""
    temperature: float = 0.1
    """Of the votes: the published figure that stands beside was measured with 200 neighbours and 0.1."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {
            "data": "digits", "methods": ("simclr", "vicreg"), "maps": (8, 16), "epochs": 0.4,
            "batch": 128, "looks": 2, "neighbours": 20,
        },
        "gpu": GPU,
    }  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.seeds, self.looks, self.neighbours) < 1 or not self.temperature > 0:
            raise OptionError("seeds, looks and neighbours must be at least 1, and temperature positive.")

    def run(self, run: Run) -> None:
        chosen = self.chosen()
        run.expect(self.seeds * (len(chosen) * (self.looks + 1) + 3))
        data = self.images(run)
        found: list[dict[str, dict[str, Any]]] = []
        for seed in range(self.seeds):
            one = self._baselines(run, data, seed)
            for method in chosen:
                one[method.title] = self._method(run, method, data, seed)
            found.append(one)
        write_results(run, found, chosen, f"{data.name}, {self.encoder}, epochs: {self.epochs:g}")
        run.part(write_page, found, chosen, data, self.steps(data), self.batch)

    def _measure(self, energy: JointEmbedding, data: Images, seed: int) -> dict[str, Any]:
        return measure(energy, data, self.change(), self.neighbours, self.temperature, self.seed + seed)

    def _baselines(self, run: Run, data: Images, seed: int) -> dict[str, dict[str, Any]]:
        encoder, found = self.network(data, seed), {}
        for name, made in ((PIXELS, Pixels(data.shape)), (RANDOM, encoder)):
            work = partial(self._measure, alone(made), data, seed)
            found[name] = run.stage(f"seed-{seed}/{name.replace(' ', '-')}", work) | {"seconds": 0.0}
        stage = f"seed-{seed}/{SUPERVISED}"
        found[SUPERVISED] = run.stage(stage, partial(self._supervised, encoder, data, seed))
        return found

    def _supervised(self, encoder: nn.Module, data: Images, seed: int) -> dict[str, Any]:
        """The same network, views and number of steps with all labels; then it is frozen and probed as the others."""
        taught = fine_tune(
            encoder, part(data, "train"), part(data, "validation"), views=self.change(), rates=(0.002,),
            steps=self.steps(data), batch_size=self.batch, weight_decay=self.decay, seed=self.seed + seed,
        )  # fmt: skip
        return self._measure(alone(taught.network[0]), data, seed) | {"seconds": taught.seconds}

    def _method(self, run: Run, method: Method, data: Images, seed: int) -> dict[str, Any]:
        """Train by a method with looks along the way, each a stage of its own; then measure."""
        energy = self.energy(method, data, seed)
        steps, stage = self.steps(data), f"seed-{seed}/{method.name}"
        looks: list[dict[str, Any]] = []
        for look in range(1, self.looks + 1):
            further = partial(self._train, run, method, energy, data, seed, max(1, steps * look // self.looks))
            looks.append(run.stage(f"{stage}-{look}", further))
            if looks[-1]["failed"]:
                return {"failed": looks[-1]["failed"]}

        def work() -> dict[str, Any]:
            # Where this process trained nothing, because it resumed here, this loads the last checkpoint.
            self.pretrain(run, method, energy, data, seed, steps)
            return self._measure(energy, data, seed)

        found = run.stage(stage, work, [energy])
        if seed == 0:
            self._keep(run, method, energy.branch.encoder)
        return found | {"seconds": sum(look["seconds"] for look in looks), "looks": looks}

    def _keep(self, run: Run, method: Method, encoder: nn.Module) -> None:
        """The encoder as `lowland embed` and plain torch take it."""
        convnet = {"maps": self.maps, "pooled": self.pooled}
        options = {"width": self.maps[0]} if self.encoder == "resnet18" else convnet
        card = {"kind": "images", "data": self.data, "method": method.title}
        save_encoder(Standardised(encoder.cpu()), options, run.checkpoints / method.name, card)

    def _train(
        self, run: Run, method: Method, energy: JointEmbedding, data: Images, seed: int, until: int
    ) -> dict[str, Any]:
        try:
            trained = self.pretrain(run, method, energy, data, seed, until)
        except TrainingError as error:
            return {"failed": str(error)}
        online = glance(energy.branch.encoder, data, GLANCED, self.seed)
        loss = trained.history["loss/energy"].values
        run.log(until, online=online, loss=loss[-1])
        return {"failed": "", "step": until, "seconds": trained.seconds, "online": online}
