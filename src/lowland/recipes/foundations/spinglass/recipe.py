"""Two-layer networks of many widths from many starts: the wider they are, the closer together their test losses."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from lowland.data.catalogue import load
from lowland.data.images import Images
from lowland.evaluation.loss_surface import TwoLayer, curvature, draw_starts, losses, outputs, spread, train_starts
from lowland.plots.spreads import group_histograms, spread_by_size
from lowland.recipes.base import Bound, Count, Positive, Recipe, recipe
from lowland.reports.run import Run
from lowland.training.snapshots import check_rising

SIDE = 10
"""Rows and columns of an image, and its classes."""
BLOCK = 50
"""Starts of one stage, so that a killed run loses little."""
Splits: TypeAlias = dict[str, tuple[Tensor, Tensor]]


@recipe
@dataclass(frozen=True)
class SpinglassRecipe(Recipe):
    """E(W) = mean −log softmax(W₂ᵀ max(0, W₁ᵀ x + b₁) + b₂) on digits of 10 × 10 pixels, descended from many starts."""

    data: Literal["mnist10k", "mnist", "digits"] = "mnist10k"
    """Digits: ten thousand of MNIST, all of it, or the small ones that are always available."""
    widths: tuple[Annotated[int, Bound(least=1, most=2000)], ...] = (10, 25, 50, 100, 250)
    """Hidden units, rising."""
    starts: Annotated[int, Bound(least=3)] = 200
    """Starts of each width."""
    epochs: Count = 10
    """Passes through the training images."""
    rates: tuple[Positive, ...] = (0.2, 0.4, 0.8)
    """Learning rates, of which the validation images choose one for each width."""
    batch: Count = 100
    """Images in a step of training."""
    trials: Count = 8
    """Further starts of each width that choose its rate."""
    narrow: Annotated[int, Bound(least=1, most=25)] = 10
    """Hidden units where the Hessian is computed."""
    hessians: Annotated[int, Bound(least=2)] = 6
    """Starts for which it is computed."""
    examples: Annotated[int, Bound(least=100)] = 100000
    """Training images at most."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {
            "data": "digits", "widths": (4, 16), "starts": 4, "epochs": 1, "rates": (0.2, 0.4), "batch": 50,
            "trials": 2, "narrow": 2, "hessians": 2, "examples": 200,
        }
    }  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        check_rising("widths", self.widths)
        check_rising("rates", self.rates)

    def run(self, run: Run) -> None:
        blocks = range(0, self.starts, BLOCK)
        run.expect(len(self.widths) * (1 + len(blocks)) + 1)
        whole = load(self.data)
        if whole.stand_in_for:
            run.stand_in(f"{self.data} stands in for {whole.stand_in_for}: its test images are not the published ones.")
        data = whole.first(train=self.examples)
        splits = self._splits(data)
        tested, spreads = {}, {}
        for width in self.widths:
            offset = 1000 * width
            rate = run.stage(f"{width}/rate", partial(self._rate, splits, width, offset))
            parts = [
                run.stage(f"{width}/starts-{low}", partial(self._train, splits, width, offset, rate, low))
                for low in blocks
            ]
            found = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
            tested[f"{width}"] = found["test"]
            spreads[width] = spread(found["test"], np.random.default_rng(self.seed))
            for measure in ("train", "test", "error"):
                values = found[measure]
                run.measured.set(f"{width}", measure, values.mean().item(), values.std().item(), len(values))
            run.measured.set(f"{width}", "spread", spreads[width].value, None, self.starts)
            run.measured.add({f"{width}": {
                "low": spreads[width].low, "high": spreads[width].high, "rate": rate,
                "rank": _rank_correlation(found["train"], found["test"]),
            }})  # fmt: skip
        run.measured.add({"untrained": {"test": math.log(len(data.classes))}})
        for name, row in run.stage("hessian", partial(self._hessian, splits)).items():
            for measure, values in row.items():
                run.measured.set(name, measure, values.mean().item(), values.std().item(), len(values))
        pairs = list(itertools.pairwise(spreads.values()))
        run.show(
            trained=len(data.train), tested=len(data.test), pairs=len(pairs),
            fell=sum(b.value < a.value for a, b in pairs), apart=sum(b.high < a.low for a, b in pairs),
        )  # fmt: skip
        run.part(self._draw, tested, spreads)

    def _splits(self, data: Images) -> Splits:
        return {
            name: (self._small(getattr(data, name)), getattr(data, f"{name}_labels").to(self.device))
            for name in ("train", "validation", "test")
        }

    def _small(self, images: Tensor) -> Tensor:
        """Means over the cells of a grid of 10 × 10, centred by a constant, (N, 100)."""
        return functional.adaptive_avg_pool2d(images.mean(dim=1, keepdim=True), SIDE).flatten(1).to(self.device)

    def _descend(self, splits: Splits, start: TwoLayer, rate: float, epochs: int, offset: int) -> TwoLayer:
        start = TwoLayer(*(part.to(self.device) for part in start))
        return train_starts(
            start, *splits["train"], epochs=epochs, rate=rate, generator=self.generator(offset), batch=self.batch
        )

    def _rate(self, splits: Splits, width: int, offset: int) -> float:
        """The learning rate that gives some further starts the least loss on validation images."""
        start = draw_starts(self._sizes(splits, width), self.trials, self.generator(offset))

        def end(rate: float) -> float:
            trained = self._descend(splits, start, rate, self.epochs, offset + 1)
            return losses(trained, *splits["validation"]).mean().nan_to_num(float("inf")).item()

        return min(self.rates, key=end)

    def _train(self, splits: Splits, width: int, offset: int, rate: float, low: int) -> dict[str, Tensor]:
        """Losses and errors of a block of starts of one width; all blocks see the same batches."""
        draw, count = self.generator(offset + 10 + low), min(BLOCK, self.starts - low)
        start = draw_starts(self._sizes(splits, width), count, draw)
        trained = self._descend(splits, start, rate, self.epochs, offset + 2)
        x, labels = splits["test"]
        wrong = [
            100
            * (outputs(TwoLayer(*(part[s : s + 1] for part in trained)), x)[0].argmax(dim=1) != labels).float().mean()
            for s in range(count)
        ]
        found = {name: losses(trained, *splits[name]).cpu() for name in ("train", "test")}
        return {**found, "error": torch.stack(wrong).cpu()}

    def _sizes(self, splits: Splits, width: int) -> tuple[int, int, int]:
        return (SIDE * SIDE, width, int(splits["train"][1].max()) + 1)

    def _hessian(self, splits: Splits) -> dict[str, dict[str, Tensor]]:
        """Loss, gradient and share of negative eigenvalues along the descent of narrow networks."""
        x, labels = (part[:2000] for part in splits["train"])
        start = draw_starts(self._sizes(splits, self.narrow), self.hessians, self.generator(5))
        ends = {"start": start}
        for name, epochs in (("early", 1), ("late", 4 * self.epochs)):
            ends[name] = self._descend(splits, start, self.rates[0], epochs, 6)
        found = {}
        for name, weights in ends.items():
            each = curvature(TwoLayer(*(part.to(self.device) for part in weights)), x, labels)
            found[name] = {
                "loss": torch.tensor([one.loss for one in each]),
                "gradient": torch.tensor([one.gradient for one in each]),
                "index": torch.tensor([100 * one.negative() for one in each]),
                "lowest": torch.tensor([one.eigenvalues[0].item() for one in each]),
                "highest": torch.tensor([one.eigenvalues[-1].item() for one in each]),
            }
        return found

    def _draw(self, run: Run, tested: dict[str, Tensor], spreads: dict[int, Any]) -> None:
        xlabel = "mean cross-entropy on test images, in nats"
        run.figure("losses", partial(group_histograms, tested, xlabel=xlabel, ylabel="starts"))
        intervals = {float(width): (one.value, one.low, one.high) for width, one in spreads.items()}
        xlabel, ylabel = "hidden units", "standard deviation of the test loss"
        run.figure("spread", partial(spread_by_size, intervals, xlabel=xlabel, ylabel=ylabel))


def _rank_correlation(first: Tensor, second: Tensor) -> float:
    """Spearman's: the correlation of ranks."""
    ranks = torch.stack([one.argsort().argsort().double() for one in (first, second)])
    return torch.corrcoef(ranks)[0, 1].item()
