"""Inpainting (rows S1, S2, E2): missing pixels are what a learned dictionary makes of the others."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from lowland.data.pictures import picture
from lowland.data.windows import Windows
from lowland.energies.hard_sparse_coding import HardSparseCoding
from lowland.errors import DataError, OptionError
from lowland.evaluation.verdict import verdict
from lowland.plots import curves, images, photographs
from lowland.recipes.base import Recipe, recipe
from lowland.recipes.restoration import (
    LARGEST,
    WORDS,
    agree,
    centred,
    check_size,
    crop,
    dictionary,
    in_words,
    learn,
    originals,
    psnr,
    sides,
)  # fmt: skip
from lowland.reports.run import Run
from lowland.words import verbatim

OURS, RIVAL, NOTHING = "learned dictionary", "biharmonic", "local mean (learns nothing)"


@recipe(
    "inpaint",
    shows="Half of the pixels are enough: a dictionary that codes what is there with few atoms also says what is not.",
    rows=("S1", "S2", "E2"),
    minutes=6,
    title="Inpainting by sparse coding",
)
@dataclass(frozen=True)
class InpaintRecipe(Recipe):
    """E(y, z) = Σ_n ½‖y_n − W z_n‖² over all windows n of y, with few atoms each: over z, W and what is missing of y.

    The error that a window may keep falls from round to round, so that rough shapes are settled before fine ones. The
    round to stop at is chosen by a share of the known pixels, hidden in a first pass.
    """

    image: str = ""
    """A picture of your own. Without one, six that scikit-image carries."""
    levels: tuple[float, ...] = ()
    """Which levels of your picture are black and white, where it has more than 8 bits; by default by what it holds."""
    mask: str = ""
    """A picture of the same size, black where pixels are known. Without one, pixels are hidden at random."""
    missing: float = 0.5
    """Share of pixels hidden at random."""
    names: tuple[str, ...] = ("camera", "coins", "brick", "grass", "gravel", "moon")
    """Which of scikit-image's pictures."""
    size: int = 8
    """Side S of a window, in pixels."""
    atoms: int = 256
    """Atoms K of the dictionary."""
    nonzeros: int = 24
    """Atoms of a window, at most."""
    rounds: int = 20
    """Rounds, in each of which codes, atoms and missing pixels are found once."""
    first: float = 30.0
    """Error that a window may keep in the first round, in grey levels of 255 for each pixel."""
    last: float = 1.5
    """Error that a window may keep in the last round."""
    held_out: float = 0.04
    """Share of the known pixels that chooses the round to stop at."""
    samples: int = 10_000
    """Windows to learn from in each round, at most."""
    step: int = 2
    """Pixels between windows; the last round has a window at every pixel."""
    crop: int = 0
    """Take only the middle of each picture, of so many pixels a side; 0 takes all of it."""

    files: ClassVar[tuple[str, ...]] = ("image", "mask")
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {"names": ("camera", "brick"), "rounds": 3, "samples": 500, "atoms": 80, "crop": 40, "nonzeros": 8}
    }

    def __post_init__(self) -> None:
        if not (0 < self.missing < 1 and 0 < self.held_out < 1):
            raise OptionError(f"missing and held_out must be in (0, 1), but are {self.missing} and {self.held_out}.")
        if not 0 < self.last <= self.first:
            raise OptionError(f"last must be positive and at most first, but they are {self.last} and {self.first}.")
        if min(self.rounds, self.samples, self.atoms, self.nonzeros, self.step) < 1 or self.size < 2 or self.crop < 0:
            raise OptionError("rounds, samples, atoms, nonzeros and step must be at least 1, size 2, and crop 0.")
        if self.nonzeros > self.atoms or self.step > self.size:
            raise OptionError("nonzeros may be at most atoms, and step at most size.")
        if self.mask and not self.image:
            raise OptionError("--mask is for a picture of your own: name it with --image.")

    def run(self, run: Run) -> None:
        found = originals(run, self.image, self.names, self.size, self.levels)
        truths = {name: crop(image, self.crop) if self.crop else image for name, image in found.items()}
        check_size(truths)
        run.expect(4 * len(truths))
        results: dict[str, dict[str, Any]] = {}
        for number, (name, truth) in enumerate(truths.items()):
            hidden = self._hidden(found[name], number)
            few = (torch.rand(hidden.shape, generator=self.generator(50 + number)) < self.held_out) & ~hidden
            energy = dictionary(self.size, self.atoms, self.nonzeros)
            first = run.stage(f"{name}/held-out", partial(self._fill, energy, truth, hidden | few, few, self.rounds))
            rounds = 1 + min(range(self.rounds), key=lambda index, errors=first["errors"]: errors[index])
            energy = dictionary(self.size, self.atoms, self.nonzeros)
            done = run.stage(f"{name}/{OURS}", partial(self._fill, energy, truth, hidden, None, rounds), [energy])
            start = run.stage(f"{name}/start", lambda t=truth, h=hidden: {"picture": smoothed(t, h)})
            rival = run.stage(f"{name}/{RIVAL}", partial(_biharmonic, truth, hidden))
            run.save_energy(name, energy)
            pictures = {"known pixels": truth * ~hidden, NOTHING: start["picture"], OURS: done["picture"]}
            if "picture" in rival:
                pictures[RIVAL] = rival["picture"]
            results[name] = {
                "pictures": pictures,
                "errors": first["errors"],
                "rounds": rounds,
                "atoms": energy.dictionary.detach().T,
            }
        run.part(self._page, truths, results, *self._results(run, truths, results))

    def _hidden(self, image: Tensor, number: int) -> Tensor:
        """Which pixels are missing, (1, H, W) of booleans, of the picture as it is cropped."""
        if self.mask:
            given = picture(self.mask, grey=True)
            if given.shape[1:] != image.shape[1:]:
                raise DataError(f"The mask is {sides(given)} pixels, but the picture is {sides(image)}.")
            hidden = given > 0
        else:
            hidden = torch.rand(1, *image.shape[1:], generator=self.generator(number)) < self.missing
        hidden = crop(hidden, self.crop) if self.crop else hidden
        if bool(hidden.all()) or not bool(hidden.any()):
            raise DataError("Some pixels must be known (black in a mask) and some missing (not black).")
        return hidden

    def _fill(
        self, energy: HardSparseCoding, truth: Tensor, hidden: Tensor, judged: Tensor | None, rounds: int
    ) -> dict[str, Any]:
        """The picture with its hidden pixels found, and minus the PSNR of those `judged` after each round."""
        image, errors, chosen = smoothed(truth, hidden), [], self.generator(7)
        for turn in range(rounds):
            share = turn / max(self.rounds - 1, 1)
            level = self.first * (self.last / self.first) ** share / LARGEST
            error = 0.5 * self.size**2 * level**2
            step = 1 if turn == rounds - 1 and judged is None else self.step
            shift = torch.randint(0, step, (2,), generator=chosen).tolist()
            windows = Windows(*truth.shape[1:], size=self.size, step=step, shift=(shift[0], shift[1]))
            signals = torch.cat([centred(windows.cut(channel[None]))[0] for channel in image])
            few = torch.randperm(len(signals), generator=chosen)[: self.samples]
            learn(energy, signals[few], error, 1, self.seed)
            image = torch.where(hidden, agree(energy, image, windows, error).clamp(0, 1), truth)
            if judged is not None:
                errors.append(-psnr(image[:, judged[0]], truth[:, judged[0]]))
        return {"picture": image, "errors": errors}

    def _results(
        self, run: Run, truths: dict[str, Tensor], results: dict[str, dict[str, Any]]
    ) -> tuple[list[str], list[str], dict[str, dict[str, float]]]:
        """Rows of `results.json`; rivals that could be run, all methods, and the PSNR by picture and method."""
        data = self.image or "pictures in scikit-image's wheel"
        rivals = [RIVAL] if all(RIVAL in found["pictures"] for found in results.values()) else []
        methods, table = [NOTHING, *rivals, OURS], {}
        for name, found in results.items():
            table[name] = {method: psnr(found["pictures"][method], truths[name]) for method in methods}
        means = {method: sum(row[method] for row in table.values()) / len(table) for method in methods}
        for method in methods:
            claim = f"mean PSNR of {len(table)}, {self._damage()}, in dB"
            run.result(id="S2", claim=claim, method=method, measured=means[method], data=data)
        for name, row in table.items():
            for method in methods:
                claim = f"PSNR on {name}, {self._damage()}, in dB"
                run.result(id="S2", claim=claim, method=method, measured=row[method], data=data)
        return rivals, methods, table

    def _page(
        self,
        run: Run,
        truths: dict[str, Tensor],
        results: dict[str, dict[str, Any]],
        rivals: list[str],
        methods: list[str],
        table: dict[str, dict[str, float]],
    ) -> None:
        means = {method: sum(row[method] for row in table.values()) / len(table) for method in methods}
        told = {
            rival: verdict([row[OURS] for row in table.values()], [row[rival] for row in table.values()], WORDS)
            for rival in (NOTHING, *rivals)
        }
        run.finding(f"On {len(table)} pictures {OURS} has " + "; ".join(in_words(*one) for one in told.items()) + ".")
        run.section("How well")
        rows = [[verbatim(name), *(round(row[method], 2) for method in methods)] for name, row in table.items()]
        run.table(("picture", *methods), [*rows, ["mean", *(round(means[m], 2) for m in methods)]], "PSNR in dB")
        if not rivals:
            run.text("The biharmonic method could not be run: scikit-image is not installed (`lowland[images]`).")
        for name, found in results.items():
            tiles = [(truths[name], "whole"), *((found["pictures"][m], m) for m in ("known pixels", *methods))]
            labelled = [
                (crop(tile), f"{label}, {table[name][label]:.2f} dB" if label in table[name] else label)
                for tile, label in tiles
            ]
            run.figure(name, partial(photographs, labelled, columns=3), f"**{verbatim(name)}**, its middle")
        run.section("When to stop")
        run.text(
            f"In a first pass {self.held_out:.0%} of the known pixels are hidden too. Where their error is least, the "
            "second pass stops, which knows all of them. The missing pixels choose nothing."
        )
        lines = {name: (range(1, self.rounds + 1), [-e for e in found["errors"]]) for name, found in results.items()}
        chosen = ", ".join(f"{verbatim(name)} {found['rounds']}" for name, found in results.items())
        figure = curves(lines, title="Held-out pixels", xlabel="round", ylabel="PSNR in dB")
        run.figure("rounds", figure, f"round chosen: {chosen}")
        run.section("What it learned")
        atoms = [(images(found["atoms"][:100]), verbatim(name)) for name, found in results.items()]
        run.grid("atoms", atoms, columns=3, caption="100 atoms of each dictionary, learned from the known pixels")

    def _damage(self) -> str:
        return "masked" if self.mask else f"{self.missing:.0%} missing"


def smoothed(truth: Tensor, hidden: Tensor) -> Tensor:
    """Hidden pixels (1, H, W) as the mean of the known ones around them, by a bell that widens until there are some."""
    known = (~hidden).to(truth.dtype)
    filled, weight, width = torch.zeros_like(truth), torch.zeros_like(known), 1.0
    while bool((weight < 1e-3).any()):
        reach = int(4 * width)
        bell = torch.exp(-torch.arange(-reach, reach + 1).square() / (2 * width**2)).to(truth)

        def blur(image: Tensor, bell: Tensor = bell, reach: int = reach) -> Tensor:
            rows = functional.conv2d(image[:, None], bell[None, None, :, None], padding=(reach, 0))
            return functional.conv2d(rows, bell[None, None, None, :], padding=(0, reach))[:, 0]

        wide, total = blur(truth * known), blur(known)
        fresh = (weight < 1e-3) & (total >= 1e-3)
        filled = torch.where(fresh, wide / total.clamp_min(1e-3), filled)
        weight, width = torch.where(fresh, total, weight), 2 * width
    return torch.where(hidden, filled, truth)


def _biharmonic(truth: Tensor, hidden: Tensor) -> dict[str, Tensor]:
    if importlib.util.find_spec("skimage") is None:
        return {}
    from skimage.restoration import inpaint_biharmonic

    mask = hidden[0].numpy()
    channels = [inpaint_biharmonic((channel * ~hidden[0]).double().numpy(), mask) for channel in truth]
    return {"picture": torch.stack([torch.as_tensor(one) for one in channels]).float().clamp(0, 1)}
