"""The recipe `temporal`: neighbouring frames of a film belong together, and that alone is what is learned (row J3)."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from sklearn.linear_model import RidgeCV
from torch import Tensor, nn
from torch.nn import functional

from lowland.data.catalogue import load
from lowland.data.moving_digits import MovingDigits, moving_digits
from lowland.energies.joint_embedding import JointEmbedding
from lowland.errors import OptionError, nearest
from lowland.evaluation.fine_tune import fine_tune
from lowland.evaluation.probe import probe
from lowland.evaluation.representations import represent
from lowland.nn.encoders.convnet import ConvNet
from lowland.recipes.base import Recipe, recipe
from lowland.recipes.baselines import BASELINES, PIXELS, RANDOM, SUPERVISED, titled
from lowland.recipes.temporal_page import write_page
from lowland.reports.run import Run
from lowland.shaping.contrastive.drlim import DrLIM
from lowland.shaping.contrastive.simclr import SimCLR
from lowland.shaping.joint import JointShaping
from lowland.shaping.regularised.vicreg import VICReg
from lowland.training.fit import fit
from lowland.training.pretraining import warm_cosine

DATA = ("mnist10k", "digits")
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
        """The digit of each frame, (N · T,)."""
        return self.labels.repeat_interleave(self.films.frames.shape[1])

    @property
    def place(self) -> Tensor:
        """Its place, (N · T, 2)."""
        return self.films.place.flatten(0, 1)


@recipe(
    "temporal",
    shows="Neighbouring frames of a film are taken as pairs that belong together: what moves is forgotten, and what "
    "stays the same is kept.",
    rows=("J3",),
    minutes=7,
    title="What stays while it moves",
)
@dataclass(frozen=True)
class TemporalRecipe(Recipe):
    """F(x, y) of neighbouring frames x, y by DrLIM, SimCLR and VICReg; no frame is changed in any other way."""

    data: str = "mnist10k"
    """Digits that move: mnist10k, or digits."""
    films: int = 3000
    """Films to train on, each of another digit; a tenth of them is validation."""
    tested: int = 500
    """Test films, of digits that were in no other film."""
    frames: int = 6
    """Frames of a film."""
    side: int = 32
    """Side of the field, in pixels; digits of MNIST are half as large as they were."""
    maps: tuple[int, ...] = (32, 64, 128)
    """Feature maps of the encoder's stages."""
    projector: tuple[int, ...] = (256, 128)
    """Layers from the representation to the embedding."""
    seeds: int = 1
    """Repetitions, each with its own first weights."""
    steps: int = 800
    """Updates of each method, and of supervised training."""
    batch: int = 128
    """Pairs of frames in a batch."""
    rate: float = 2e-3
    """Highest learning rate of AdamW."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {
            "data": "digits", "films": 60, "tested": 20, "frames": 3, "side": 16, "maps": (8, 16),
            "projector": (16,), "steps": 5, "batch": 32,
        },
        "gpu": {"films": 7000, "frames": 12, "steps": 20_000, "batch": 512, "maps": (64, 128, 256)},
    }  # fmt: skip

    def __post_init__(self) -> None:
        if self.data not in DATA:
            raise OptionError(f"There are no digits called {self.data!r} for this recipe. {nearest(self.data, DATA)}")
        if min(self.films, self.tested) < 20 or min(self.frames, self.batch) < 2 or min(self.steps, self.seeds) < 1:
            raise OptionError(
                "films and tested must be at least 20, frames and batch at least 2, and steps and seeds at least 1."
            )
        if not self.rate > 0:
            raise OptionError(f"rate must be positive, but it is {self.rate}.")

    def run(self, run: Run) -> None:
        run.expect(1 + self.seeds * (2 + len(METHODS)))
        splits = self._films()
        found: dict[str, list[dict[str, float]]] = {name: [] for name in (*BASELINES, *METHODS)}
        kept: dict[str, Any] = {"curves": {}, "encoders": {}}
        raw = run.stage("raw", partial(self._measure, nn.Flatten(), splits))
        for seed in range(self.seeds):
            untrained = self._encoder(seed).to(self.device)
            found[PIXELS].append(raw)
            found[RANDOM].append(run.stage(f"seed-{seed}/random", partial(self._measure, untrained, splits)))
            work = partial(self._supervised, untrained, splits, seed)
            found[SUPERVISED].append(run.stage(f"seed-{seed}/supervised", work))
            kept["encoders"].setdefault(RANDOM, untrained)
            for name, (_, distance) in METHODS.items():
                encoder, generator = self._encoder(seed), self.generator(50 + seed)
                energy = JointEmbedding(encoder, self.projector, None, distance, generator=generator).to(self.device)
                work = partial(self._train, name, energy, splits, seed)
                result = run.stage(f"seed-{seed}/{name.lower()}", work, [energy])
                found[name].append(result["measured"])
                kept["curves"].setdefault(name, (result["steps"], result["losses"]))
                kept["encoders"].setdefault(name, energy.branch.encoder)
        self._results(run, found, len(splits["train"].labels))
        run.part(write_page, found, kept, splits["test"].films.frames)

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
        """Pairs of a frame and the one after it, from all training films."""
        frames = splits["train"].films.frames.to(self.device)
        before, after = frames[:, :-1].flatten(0, 1), frames[:, 1:].flatten(0, 1)
        shaping = METHODS[name][0](seed).to(self.device)
        result = fit(
            energy, (before, after), shaping, self.steps, min(self.batch, len(before)), self.rate, "adamw",
            weight_decay=1e-2, schedule=partial(warm_cosine, self.steps), validation=0.0, seed=seed,
            log_every=max(1, self.steps // 50), progress=False,
        )  # fmt: skip
        line = result.history["loss/energy"]
        measured = self._measure(energy.branch.encoder, splits)
        return {"measured": measured, "steps": list(line.steps), "losses": list(line.values)}

    def _supervised(self, untrained: nn.Module, splits: Mapping[str, _Films], seed: int) -> dict[str, float]:
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
        mean, scale = codes["train"].mean(dim=0), codes["train"].std(dim=0).clamp_min(1e-6)
        standard = {name: ((part - mean) / scale).double().cpu().numpy() for name, part in codes.items()}
        where = RidgeCV(alphas=(1.0, 10.0, 100.0, 1000.0, 10_000.0))
        where.fit(standard["train"], splits["train"].place.double().numpy())
        score = where.score(standard["test"], splits["test"].place.double().numpy())
        films = codes["test"].unflatten(0, (-1, self.frames)).double()
        change = (films[:, 1:] - films[:, :-1]).square().sum(dim=2).mean()
        spread = 2 * codes["test"].double().var(dim=0).sum()
        return {
            "digit": which.accuracy,
            "validation": which.validation,
            "place": float(score),
            "slowness": float(change / spread),
            "neighbours": _in_time(codes["test"], self.frames),
        }

    def _results(self, run: Run, found: Mapping[str, list[dict[str, float]]], films: int) -> None:
        claims = {
            "linear read-out of the digit, test accuracy (%)": ("digit", 100),
            "linear read-out of the place, R² on test films": ("place", 1),
            "change from frame to frame over that of strangers": ("slowness", 1),
            "nearest frame is one of the same film (%)": ("neighbours", 100),
        }
        data = f"moving digits of {self.data}, {films} training and {self.tested} test films of {self.frames} frames"
        for claim, (key, factor) in claims.items():
            for name, each in found.items():
                values = [factor * one[key] for one in each]
                run.result(
                    id="J3", claim=claim, method=titled(name),
                    measured=statistics.fmean(values), sd=statistics.stdev(values) if self.seeds > 1 else None,
                    seeds=self.seeds, data=data,
                )  # fmt: skip


def _in_time(codes: Tensor, frames: int) -> float:
    """The share of frames whose nearest other frame, by cosine, is of the same film."""
    unit = functional.normalize(codes, dim=1)
    near = (unit @ unit.T).fill_diagonal_(-torch.inf).argmax(dim=1)
    film = torch.arange(len(codes), device=codes.device) // frames
    return float((film[near] == film).double().mean())
