"""LeNet-5 with weights and activations of few bits: rounded after training, and trained on with the rounding."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal, NamedTuple, TypeAlias

import torch

from lowland.compiled import usable
from lowland.data.catalogue import load
from lowland.data.images import Images
from lowland.energies.lenet import LeNet
from lowland.errors import OptionError
from lowland.evaluation.classification import fit_by_validation, inferred_accuracy, inputs_and_answers
from lowland.evaluation.machine import latency, timings
from lowland.nn.quantised import quantised
from lowland.nn.quantisers import MOST_BITS, Bits, precision_of
from lowland.nn.sign_product import pack_signs, sign_product
from lowland.plots import curves
from lowland.recipes.base import Count, Positive, SeededRecipe, recipe
from lowland.reports.run import Run
from lowland.shaping.contrastive.likelihood import MaximumLikelihood
from lowland.training.packed import packed_bytes
from lowland.training.schedules import falling
from lowland.training.snapshots import check_rising

Numbers: TypeAlias = dict[str, dict[str, Any]]
COMMON, FLOAT = "most frequent class", "float"
_SIDE = 1024
"""Rows and columns of the matrices of signs whose product is timed."""


class Left(NamedTuple):
    """What the pictures need of the first seed: for each data set the errors by bits, in points, of three lines."""

    errors: dict[str, dict[str, list[float]]]


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
            seconds = run.stage("product", self._product)["seconds"]
            run.measured.add({"1/1 trained": {"rate": 2e-9 * _SIDE**3 / seconds}})

    def measure(self, run: Run, seed: int) -> tuple[Numbers, Left]:
        numbers: Numbers = {}
        curves_of: dict[str, dict[str, list[float]]] = {}
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
                    found[f"{setting} after"] = self._error(small, data, "test")
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
                curves_of[name] = run.stage(f"{name}-bits", partial(self._by_bits, energy, data))
                run.show(**{f"{name}_counts": [len(data.train), len(data.validation), len(data.test)]})
        return numbers, Left(curves_of)

    def _images(self, run: Run, name: str, seed: int) -> Images:
        whole = load(name)
        if whole.stand_in_for:
            run.stand_in(f"{name} stands in for {whole.stand_in_for}: its test images are not the published ones.")
        drawn = whole.resplit(1 / 8, self.generator(100 + seed))
        return drawn.first(train=self.examples, validation=max(1, self.judged // 2), test=self.judged)

    def _rounded(self, energy: LeNet, setting: str, data: Images) -> LeNet:
        if setting == FLOAT:
            return copy.deepcopy(energy)
        return quantised(energy, *precision_of(setting), x=data.train[: self.calibration].to(self.device))

    def _train(self, energy: LeNet, data: Images, seed: int, epochs: tuple[int, ...], rate: float) -> dict[str, float]:
        """Train, keep the weights with the least error on validation images, and look once at test images."""
        each = -(-len(data.train) // self.batch)
        steps = [one * each for one in epochs]
        fit_by_validation(
            energy, data, MaximumLikelihood(seed=seed), steps, self.batch, seed, rate, partial(falling, steps[-1])
        )
        return {"error": self._error(energy, data, "test")}

    def _error(self, energy: LeNet, data: Images, split: str) -> float:
        with torch.no_grad():
            return 100 * (1 - inferred_accuracy(energy, *inputs_and_answers(energy, data, split)))

    def _costs(self, numbers: Numbers, setting: str, small: LeNet, data: Images) -> None:
        """Bits of a weight and of an activation, bytes of the whole network, and its latency as it is simulated."""
        bits: list[tuple[str, Bits]] = []
        if setting == FLOAT:
            size = sum(one.numel() * one.element_size() for one in small.state_dict().values())
        else:
            size, precision = packed_bytes(small), precision_of(setting)
            bits = [(name, one) for name, one in precision._asdict().items() if isinstance(one, int)]
        one = data.test[:1].to(self.device)
        with torch.no_grad():
            seconds = latency(lambda: small.encode(one), self.seconds)
        row = numbers.setdefault(f"{setting} trained", {})
        row |= {"kilobytes": size / 1000, "milliseconds": 1e3 * seconds} | {
            f"bits of {name}": one for name, one in bits
        }

    def _by_bits(self, energy: LeNet, data: Images) -> dict[str, list[float]]:
        """Errors for 1 to 8 bits after training alone, of weights, of activations, and of both."""
        x = data.train[: self.calibration].to(self.device)
        found: dict[str, list[float]] = {}
        for line, pair in _lines():
            errors = [
                self._error(quantised(energy, *pair(bits), x=x), data, "test") for bits in range(1, MOST_BITS + 1)
            ]
            found[line] = errors
        return found

    def _product(self) -> dict[str, float]:
        signs = [pack_signs(torch.randn(_SIDE, _SIDE, generator=self.generator(k))) for k in range(2)]
        return {"seconds": min(timings(partial(sign_product, *signs), 10))}

    def figures(self, run: Run, first: Left) -> None:
        for name, lines in first.errors.items():
            bits = [float(one) for one in range(1, MOST_BITS + 1)]
            drawn = {line: (bits, errors) for line, errors in lines.items()}
            trained = [
                (float(weights), run.measured.mean(f"{setting} trained", f"error {name}"))
                for setting in self.settings if isinstance(weights := precision_of(setting).weights, int)
            ]  # fmt: skip
            best: dict[float, float] = {}
            for where, error in trained:
                best[where] = min(error, best.get(where, error))
            drawn["trained on"] = (sorted(best), [best[where] for where in sorted(best)])
            run.figure(
                f"bits-{name}",
                partial(curves, drawn, xlabel="bits", ylabel="test images answered wrongly, %", log="y", plain=True),
            )


def _lines() -> Iterator[tuple[str, Any]]:
    yield "weights", lambda bits: (bits, None)
    yield "activations", lambda bits: (None, bits)
    yield "both", lambda bits: (bits, bits)
