"""Neighbouring frames of a film belong together, and that alone is what is learned."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn import functional

from lowland.data.catalogue import load
from lowland.data.moving_digits import MovingDigits, moving_digits
from lowland.energies.joint_embedding import JointEmbedding
from lowland.evaluation.films import nearest_in_group, ridge_score, slowness
from lowland.evaluation.fine_tune import fine_tune
from lowland.evaluation.probe import probe
from lowland.evaluation.representations import represent
from lowland.nn.encoders.convnet import ConvNet
from lowland.plots import curves
from lowland.plots.mosaic import mosaic
from lowland.plots.retrieval import retrieval
from lowland.recipes.base import Bound, Count, Positive, Recipe, recipe, train
from lowland.recipes.joint.common import PIXELS, RANDOM, SUPERVISED
from lowland.reports.run import Run
from lowland.shaping.contrastive.drlim import DrLIM
from lowland.shaping.contrastive.simclr import SimCLR
from lowland.shaping.joint import JointShaping
from lowland.shaping.regularised.vicreg import VICReg
from lowland.training.pretraining import warm_cosine

METHODS: dict[str, tuple[Callable[[int], JointShaping], str]] = {
    "DrLIM": (lambda seed: DrLIM(margin=2.0, hardest=None, seed=seed), "euclidean"),
    "SimCLR": (lambda seed: SimCLR(temperature=0.2, seed=seed), "cosine"),
    "VICReg": (lambda seed: VICReg(seed=seed), "squared"),
}
"""The shaping by its seed, and the distance of the energy."""


@dataclass(frozen=True)
class _Films:
    films: MovingDigits
    labels: Tensor

    @property
    def frames(self) -> Tensor:
        """All frames, (N · T, 1, S, S), film by film."""
        return self.films.frames.flatten(0, 1)

    @property
    def names(self) -> Tensor:
        """The digit in each frame, (N · T,)."""
        return self.labels.repeat_interleave(self.films.frames.shape[1])


@recipe
@dataclass(frozen=True)
class TemporalRecipe(Recipe):
    """F(x, y) of neighbouring frames x, y by DrLIM, SimCLR and VICReg; frames are not augmented."""

    data: Literal["mnist10k", "digits"] = "mnist10k"
    """Digits that move: mnist10k, or digits."""
    films: Annotated[int, Bound(least=20)] = 3000
    """Films to train on, each of another digit; a tenth of them is validation."""
    tested: Annotated[int, Bound(least=20)] = 500
    """Test films, of digits that are in no other film."""
    frames: Annotated[int, Bound(least=2)] = 6
    """Frames of a film."""
    side: int = 32
    """Side of the field, in pixels; digits of MNIST are shrunk to half their size."""
    maps: tuple[Count, ...] = (32, 64, 128)
    """Feature maps of the encoder's stages."""
    projector: tuple[Count, ...] = (256, 128)
    """Layers from the representation to the embedding."""
    seeds: Count = 1
    """Repetitions, each with its own first weights."""
    steps: Count = 800
    """Training steps of each method, and of supervised training."""
    batch: Annotated[int, Bound(least=2)] = 128
    """Pairs of frames in a batch."""
    rate: Positive = 2e-3
    """Highest learning rate of AdamW."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {
            "data": "digits", "films": 60, "tested": 20, "frames": 3, "side": 16, "maps": (8, 16),
            "projector": (16,), "steps": 5, "batch": 32,
        },
        "gpu": {"films": 7000, "frames": 12, "steps": 20_000, "batch": 512, "maps": (64, 128, 256)},
    }  # fmt: skip

    def run(self, run: Run) -> None:
        run.expect(1 + self.seeds * (2 + len(METHODS)))
        splits = self._films()
        losses: dict[str, Any] = {}
        encoders: dict[str, nn.Module] = {}
        raw = run.stage("raw", partial(self._measure, nn.Flatten(), splits))
        for seed in range(self.seeds):
            untrained = self._encoder(seed).to(self.device)
            found = {PIXELS: raw, RANDOM: run.stage(f"seed-{seed}/random", partial(self._measure, untrained, splits))}
            work = partial(self._supervise, untrained, splits, seed)
            found[SUPERVISED] = run.stage(f"seed-{seed}/supervised", work)
            encoders.setdefault(RANDOM, untrained)
            for name, (_, distance) in METHODS.items():
                encoder, generator = self._encoder(seed), self.generator(50 + seed)
                energy = JointEmbedding(encoder, self.projector, None, distance, generator=generator).to(self.device)
                work = partial(self._train, name, energy, splits, seed)
                result = run.stage(f"seed-{seed}/{name.lower()}", work, [energy])
                found[name] = result["measured"]
                losses.setdefault(name, (result["steps"], result["losses"]))
                encoders.setdefault(name, energy.branch.encoder)
            percent = {"digit": 100, "validation": 100, "neighbours": 100}
            for name, one in found.items():
                run.measured.add({name: {measure: percent.get(measure, 1) * value for measure, value in one.items()}})
        run.show(learned=list(METHODS), trained=len(splits["train"].labels))
        run.part(self.figures, splits["test"], encoders, losses)

    def _encoder(self, seed: int) -> ConvNet:
        return ConvNet((1, self.side, self.side), self.maps, generator=self.generator(seed))

    def _films(self) -> dict[str, _Films]:
        """Films of training, validation and test digits, which do not mix."""
        data = load(self.data)
        count = {"train": self.films - self.films // 10, "validation": self.films // 10, "test": self.tested}
        made = {}
        for number, (name, most) in enumerate(count.items()):
            digits = getattr(data, name)[:most]
            digits = functional.avg_pool2d(digits, 2) if digits.shape[2] >= self.side // 2 + 4 else digits
            films = moving_digits(digits, self.generator(10 + number), side=self.side, frames=self.frames)
            made[name] = _Films(films, getattr(data, f"{name}_labels")[:most])
        return made

    def _train(self, name: str, energy: JointEmbedding, splits: Mapping[str, _Films], seed: int) -> dict[str, Any]:
        """Pairs of a frame and the next one, from all training films."""
        frames = splits["train"].films.frames.to(self.device)
        before, after = frames[:, :-1].flatten(0, 1), frames[:, 1:].flatten(0, 1)
        result = train(
            energy, (before, after), METHODS[name][0](seed).to(self.device), self.steps,
            batch_size=min(self.batch, len(before)), lr=self.rate, optimiser="adamw", weight_decay=1e-2,
            schedule=partial(warm_cosine, self.steps), seed=seed, log_every=max(1, self.steps // 50),
        )  # fmt: skip
        line = result.history["loss/energy"]
        measured = self._measure(energy.branch.encoder, splits)
        return {"measured": measured, "steps": list(line.steps), "losses": list(line.values)}

    def _supervise(self, untrained: nn.Module, splits: Mapping[str, _Films], seed: int) -> dict[str, float]:
        parts = [(splits[name].frames, splits[name].names) for name in ("train", "validation")]
        trained = fine_tune(
            untrained, parts[0], parts[1], rates=(self.rate,), steps=self.steps, batch_size=self.batch,
            generator=self.generator(80 + seed), seed=seed,
        )  # fmt: skip
        return self._measure(trained.network[0].to(self.device), splits)

    def _measure(self, encoder: nn.Module, splits: Mapping[str, _Films]) -> dict[str, float]:
        """Linear read-outs of which digit and where, and how the representation of a film goes on in time."""
        codes = {name: represent(encoder, part.frames) for name, part in splits.items()}
        labelled = {name: (codes[name], part.names) for name, part in splits.items()}
        which = probe(labelled["train"], labelled["validation"], labelled["test"])
        assert which.accuracy is not None
        where = {name: (codes[name], splits[name].films.place.flatten(0, 1)) for name in ("train", "test")}
        film = torch.arange(len(splits["test"].labels)).repeat_interleave(self.frames).to(codes["test"].device)
        return {
            "digit": which.accuracy,
            "validation": which.validation,
            "place": ridge_score(where["train"], where["test"]),
            "slowness": slowness(codes["test"].unflatten(0, (-1, self.frames))),
            "neighbours": nearest_in_group(codes["test"], film),
        }

    def figures(self, run: Run, test: _Films, encoders: Mapping[str, nn.Module], losses: Mapping[str, Any]) -> None:
        films = test.films.frames
        run.figure("films", mosaic({f"film {number + 1}": film for number, film in enumerate(films[:4])}))
        panels = [(partial(_nearest_frames, encoder, test), name) for name, encoder in encoders.items()]
        run.grid("neighbours", panels, 2)
        run.figure("training", curves(losses, xlabel="step", ylabel="loss of a batch, each method's own", log="y"))


def _nearest_frames(encoder: nn.Module, test: _Films, queries: int = 5, k: int = 5) -> Figure:
    """For the first frame of some films the nearest frame of each of the nearest other films, by cosine."""
    frames, length = test.frames, test.films.frames.shape[1]
    unit = functional.normalize(represent(encoder, frames), dim=1)
    chosen = torch.arange(queries) * length
    score_QNT = (unit[chosen] @ unit.T).unflatten(1, (-1, length))
    score_QNT[torch.arange(queries), torch.arange(queries)] = -torch.inf
    # One frame of each film: its others would be nearly the same picture.
    best = score_QNT.max(dim=2)
    film = best.values.topk(k, dim=1).indices
    place = film * length + best.indices.gather(1, film)
    return retrieval(frames[chosen], frames[place], test.labels[film] != test.labels[:queries, None])
