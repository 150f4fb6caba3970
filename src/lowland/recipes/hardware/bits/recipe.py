"""LeNet-5 with weights and activations of few bits: rounded after training, and trained on with the rounding."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal, TypeAlias

import torch
from torch import Tensor

from lowland.compiled import usable
from lowland.data.catalogue import load
from lowland.data.images import Images
from lowland.energies.lenet import LeNet
from lowland.errors import OptionError
from lowland.evaluation.classification import fit_by_validation
from lowland.evaluation.low_precision import error_of, errors_by_bits, lines_by_bits, sign_product_rate
from lowland.evaluation.machine import latency
from lowland.nn.quantised import quantised
from lowland.nn.quantisers import precision_of
from lowland.plots import curves
from lowland.recipes.base import Count, Positive, SeededRecipe, recipe
from lowland.reports.run import Run
from lowland.shaping.contrastive.likelihood import MaximumLikelihood
from lowland.training.packed import packed_bytes
from lowland.training.schedules import falling
from lowland.training.snapshots import check_rising

Numbers: TypeAlias = dict[str, dict[str, Any]]
COMMON, FLOAT = "most frequent class", "float"


@recipe
@dataclass(frozen=True)
class BitsRecipe(SeededRecipe):
    """Q(u) = s · round(clip(u / s, −Q_N, Q_P)) of every weight and activation, with trained steps s."""

    seeds: Count = 5
    """Repetitions, each with its own validation images, first weights and order of training."""
    data: tuple[Literal["mnist10k", "fashion_mnist", "digits"], ...] = ("mnist10k", "fashion_mnist")
    """Ten thousand digits of MNIST, as many pictures of clothes, or the small digits that are always available."""
    settings: tuple[Literal["8/8", "6/3", "4/4", "ternary/3", "1/8", "1/1"], ...] = (
        "8/8", "6/3", "4/4", "ternary/3", "1/8", "1/1",
    )  # fmt: skip
    """Bits of weights and of activations: 6/3 is that of the chip ANNA, and Net32k had ternary weights."""
    epochs: Count = 8
    """Passes through the training images in floating point, before any rounding."""
    further: tuple[Count, ...] = (2, 5)
    """Passes with rounding, of which the validation images choose one; the rate falls to 0 at the end."""
    batch: Count = 64
    """Images in a step of training."""
    rate: Positive = 0.002
    """Learning rate of Adam at first, in floating point."""
    further_rate: Positive = 0.001
    """Learning rate of Adam at first, with rounding."""
    calibration: Count = 500
    """Training images from which the steps of activations are found."""
    examples: Count = 7000
    """Training images at most."""
    judged: Count = 2000
    """Test images at most; half as many validation images."""
    seconds: Positive = 0.5
    """Time of each measurement of latency at least, unless 200 calls are faster."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {
            "seeds": 2, "data": ("digits",), "settings": ("6/3", "1/1"), "epochs": 1, "further": (1, 2), "examples": 64,
            "batch": 16, "judged": 40, "calibration": 32, "seconds": 0.01,
        }
    }  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        check_rising("further", self.further)
        if not self.data or not self.settings:
            raise OptionError("The recipe bits needs at least one data set and one of settings, such as 6/3.")

    def run(self, run: Run) -> None:
        super().run(run)
        fast = usable(torch.zeros(1)) and "1/1" in self.settings
        run.show(product=fast)
        if fast:
            rate = run.stage("product", sign_product_rate)
            run.measured.add({"1/1 trained": {"rate": 1e-9 * rate}})

    def measure(self, run: Run, seed: int) -> tuple[Numbers, dict[str, dict[str, list[float]]]]:
        numbers: Numbers = {}
        by_bits: dict[str, dict[str, list[float]]] = {}
        for name in self.data:
            data = self._images(run, name, seed)
            energy = LeNet(data.shape[1:], output="linear", modern=True, generator=self.generator(seed)).to(self.device)
            begin = partial(self._train, energy, data, seed, (self.epochs,), self.rate)
            first = run.stage(f"{name}-start", begin, [energy])
            common = 100 * (data.test_labels != data.train_labels.bincount().argmax()).double().mean().item()
            found = {COMMON: common, FLOAT: first["error"]}
            for setting in (FLOAT, *self.settings):
                small = self._rounded(energy, setting, data)
                if setting != FLOAT:
                    found[f"{setting} after"] = error_of(small, data)
                train = partial(self._train, small, data, seed, tuple(self.further), self.further_rate)
                found[f"{setting} trained"] = run.stage(f"{name}-{setting.replace('/', '-')}", train, [small])["error"]
                if seed == 0 and name == self.data[0]:
                    self._costs(numbers, setting, small, data)
                    if setting == "6/3":
                        run.save_energy("anna", small)
            for method, error in found.items():
                numbers.setdefault(method, {})[f"error {name}"] = error
                if method not in (COMMON, FLOAT):
                    numbers[method][f"gap {name}"] = error - found[FLOAT]
            if seed == 0:
                by_bits[name] = run.stage(f"{name}-bits", partial(errors_by_bits, energy, data, self._known(data)))
                run.show(**{f"{name}_counts": [len(data.train), len(data.validation), len(data.test)]})
        return numbers, by_bits

    def _images(self, run: Run, name: str, seed: int) -> Images:
        whole = load(name)
        if whole.stand_in_for:
            run.stand_in(f"{name} stands in for {whole.stand_in_for}: its test images are not the published ones.")
        drawn = whole.resplit(1 / 8, self.generator(100 + seed))
        return drawn.first(train=self.examples, validation=max(1, self.judged // 2), test=self.judged)

    def _rounded(self, energy: LeNet, setting: str, data: Images) -> LeNet:
        if setting == FLOAT:
            return copy.deepcopy(energy)
        return quantised(energy, *precision_of(setting), x=self._known(data))

    def _known(self, data: Images) -> Tensor:
        return data.train[: self.calibration].to(self.device)

    def _train(self, energy: LeNet, data: Images, seed: int, epochs: tuple[int, ...], rate: float) -> dict[str, float]:
        """Train, keep the weights with the least error on validation images, and look once at test images."""
        each = -(-len(data.train) // self.batch)
        steps = [one * each for one in epochs]
        fit_by_validation(
            energy, data, MaximumLikelihood(seed=seed), steps, self.batch, seed, rate, partial(falling, steps[-1])
        )
        return {"error": error_of(energy, data)}

    def _costs(self, numbers: Numbers, setting: str, small: LeNet, data: Images) -> None:
        """Bits of a weight and of an activation, bytes of the whole network, and its latency as it is simulated."""
        row = numbers.setdefault(f"{setting} trained", {})
        if setting == FLOAT:
            row["kilobytes"] = sum(one.numel() * one.element_size() for one in small.state_dict().values()) / 1000
        else:
            row["kilobytes"] = packed_bytes(small) / 1000
            bits = precision_of(setting)._asdict()
            row |= {f"bits of {name}": one for name, one in bits.items() if isinstance(one, int)}
        one = data.test[:1].to(self.device)
        with torch.no_grad():
            row["milliseconds"] = 1e3 * latency(lambda: small.encode(one), self.seconds)

    def figures(self, run: Run, first: dict[str, dict[str, list[float]]]) -> None:
        axes = {"xlabel": "bits", "ylabel": "test images answered wrongly, %", "log": "y", "plain": True}
        for name, after in first.items():
            trained = {one: run.measured.mean(f"{one} trained", f"error {name}") for one in self.settings}
            run.figure(f"bits-{name}", partial(curves, lines_by_bits(after, trained), **axes))
