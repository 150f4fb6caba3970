"""Denoising (rows S1, S2) with a dictionary learned from the noisy picture alone, against methods of scikit-image."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor

from lowland.data.windows import Windows
from lowland.errors import OptionError
from lowland.evaluation.verdict import verdict
from lowland.plots import images, photographs
from lowland.recipes.base import Recipe, recipe
from lowland.recipes.restoration import (
    LARGEST,
    WORDS,
    agree,
    best,
    centred,
    check_size,
    crop,
    dictionary,
    in_words,
    learn,
    originals,
    psnr,
)  # fmt: skip
from lowland.reports.run import Run
from lowland.words import verbatim

RIVALS = ("wavelets", "non-local means", "total variation")
OURS = "learned dictionary"


@recipe(
    "denoise",
    shows="A few atoms explain a picture and none explain noise: a dictionary learned from the noisy picture alone "
    "tells them apart.",
    rows=("S1", "S2"),
    minutes=1.2,
    title="Denoising by sparse coding",
)
@dataclass(frozen=True)
class DenoiseRecipe(Recipe):
    """For each window of S × S pixels the fewest atoms with ½‖y − W z‖² ≤ ½ S² (g σ)², then the mean of all windows.

    The method of Elad & Aharon (2006), with their window, dictionary size and gain g; atoms and codes are learned in
    turn on windows of the noisy picture itself.
    """

    image: str = ""
    """A picture of your own. Without one, six that scikit-image carries."""
    levels: tuple[float, ...] = ()
    """Which levels of your picture are black and white, where it has more than 8 bits; by default by what it holds."""
    sigma: float = 25.0
    """Standard deviation of the noise, in grey levels of 255."""
    noisy: bool = False
    """Your picture is noisy already: none is added, and nothing can be measured."""
    names: tuple[str, ...] = ("camera", "coins", "brick", "grass", "gravel", "moon")
    """Which of scikit-image's pictures."""
    size: int = 8
    """Side S of a window, in pixels."""
    atoms: int = 256
    """Atoms K of the dictionary."""
    rounds: int = 15
    """Times that codes and atoms are learned in turn."""
    samples: int = 20_000
    """Windows to learn from, at most."""
    gain: float = 1.15
    """g: how far above the noise the error of a window may be."""
    crop: int = 0
    """Take only the middle of each picture, of so many pixels a side; 0 takes all of it."""

    files: ClassVar[tuple[str, ...]] = ("image",)
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {"names": ("camera", "brick"), "rounds": 2, "samples": 1000, "atoms": 80, "crop": 48}
    }

    def __post_init__(self) -> None:
        if not (self.sigma > 0 and self.gain > 0):
            raise OptionError(f"sigma and gain must be positive, but they are {self.sigma} and {self.gain}.")
        if min(self.rounds, self.samples, self.atoms) < 1 or self.size < 2 or self.crop < 0:
            raise OptionError("rounds, samples and atoms must be at least 1, size at least 2, and crop at least 0.")
        if self.noisy and not self.image:
            raise OptionError("--noisy is for a picture of your own: name it with --image.")

    def run(self, run: Run) -> None:
        found = originals(run, self.image, self.names, self.size, self.levels)
        truths = {name: crop(image, self.crop) if self.crop else image for name, image in found.items()}
        check_size(truths)
        run.expect(len(truths) * (1 if self.noisy else 2))
        results: dict[str, dict[str, Any]] = {}
        for number, (name, truth) in enumerate(truths.items()):
            noise = torch.randn(truth.shape, generator=self.generator(number))
            given = truth if self.noisy else truth + self.sigma / LARGEST * noise
            energy = dictionary(self.size, self.atoms, nonzeros=min(self.size**2 // 2, self.atoms))
            done = run.stage(f"{name}/{OURS}", partial(self._denoise, energy, given, number), [energy])
            results[name] = {"noisy": given, OURS: done["picture"]}
            if not self.noisy:
                results[name] |= run.stage(f"{name}/rivals", partial(self._rivals, given, truth))
            run.save_energy(name, energy)
            results[name]["atoms"] = energy.dictionary.detach().T[done["use"].argsort(descending=True)]
        if self.noisy:
            run.part(self._show, results)
        else:
            run.part(self._compare, truths, results, *self._results(run, truths, results))

    def _denoise(self, energy: Any, given: Tensor, number: int) -> dict[str, Tensor]:
        windows = Windows(*given.shape[1:], size=self.size)
        error = 0.5 * self.size**2 * (self.gain * self.sigma / LARGEST) ** 2
        signals = torch.cat([centred(windows.cut(channel[None]))[0] for channel in given])
        few = torch.randperm(len(signals), generator=self.generator(100 + number))[: self.samples]
        learn(energy, signals[few], error, self.rounds, self.seed)
        # That pixels lie in [0, 1] is known to all methods.
        clean = agree(energy, given, windows, error).clamp(0, 1)
        use = (energy.dictionary.detach().T @ signals[few].T).abs().mean(dim=1)
        return {"picture": clean, "use": use}

    def _rivals(self, given: Tensor, truth: Tensor) -> dict[str, Any]:
        if importlib.util.find_spec("skimage") is None:
            return {"missing": "scikit-image is not installed: pip install 'lowland[images]'"}
        from skimage.restoration import denoise_nl_means, denoise_tv_chambolle, denoise_wavelet

        sigma, noisy = self.sigma / LARGEST, given.double().numpy()

        def each(function: Any, /, **options: Any) -> Any:
            """A method on each channel, as ours is."""
            return lambda: torch.stack([torch.as_tensor(function(one, **options)).float() for one in noisy]).clamp(0, 1)

        wavelets = {
            f"{method}, {mode}": each(denoise_wavelet, sigma=sigma, method=method, mode=mode, rescale_sigma=True)
            for method in ("BayesShrink", "VisuShrink")
            for mode in ("soft", "hard")
        }
        means = {
            f"patches of {size}, h = {h:g} σ": each(
                denoise_nl_means, patch_size=size, patch_distance=distance, h=h * sigma, sigma=sigma, fast_mode=True
            )
            for size, distance in ((5, 6), (5, 11), (7, 11))
            for h in (0.4, 0.6, 0.8)
        }
        variation = {
            f"weight {weight:g}": each(denoise_tv_chambolle, weight=weight)
            for weight in (0.04, 0.06, 0.08, 0.1, 0.12, 0.16, 0.2)
        }
        found = {name: best(options, truth) for name, options in zip(RIVALS, (wavelets, means, variation), strict=True)}
        return {name: made for name, (made, _) in found.items()} | {
            "settings": {name: settings for name, (_, settings) in found.items()}
        }

    def _show(self, run: Run, results: dict[str, dict[str, Any]]) -> None:
        run.section("Before and after")
        for name, found in results.items():
            tiles = [(found["noisy"], "as given"), (found[OURS], "denoised")]
            run.figure(
                name, partial(photographs, tiles, height=3.4), f"{verbatim(name)}, with σ = {self.sigma:g} grey levels"
            )
            run.figure("denoised", photographs([(found[OURS], "")], height=found[OURS].shape[1] / 100), "the result")
            run.figure("atoms", images(found["atoms"][:256]), "the atoms, learned from this picture alone")

    def _results(
        self, run: Run, truths: dict[str, Tensor], results: dict[str, dict[str, Any]]
    ) -> tuple[list[str], list[str], dict[str, dict[str, float]]]:
        """Rows of `results.json`; rivals that could be run, all methods, and the PSNR by picture and method."""
        rivals = [name for name in RIVALS if all(name in found for found in results.values())]
        methods, data = ["noisy", *rivals, OURS], self.image or "pictures in scikit-image's wheel, noise added here"
        table: dict[str, dict[str, float]] = {}
        labels = {method: "noisy picture (does nothing)" if method == "noisy" else method for method in methods}
        for name, found in results.items():
            table[name] = {method: psnr(found[method], truths[name]) for method in methods}
        means = {method: sum(row[method] for row in table.values()) / len(table) for method in methods}
        for method in methods:
            claim = f"mean PSNR of {len(table)}, σ = {self.sigma:g}, in dB"
            run.result(id="S2", claim=claim, method=labels[method], measured=means[method], data=data)
        if rivals:
            ahead = sum(row[OURS] > max(row[rival] for rival in rivals) for row in table.values())
            run.result(
                id="S2",
                claim=f"pictures of {len(table)} on which it is ahead of all others",
                method=OURS,
                measured=ahead,
                data=data,
            )
        for name, row in table.items():
            for method in methods:
                claim = f"PSNR on {name}, σ = {self.sigma:g}, in dB"
                run.result(id="S2", claim=claim, method=labels[method], measured=row[method], data=data)
        return rivals, methods, table

    def _compare(
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
            for rival in ("noisy", *rivals)
        }
        run.finding(f"On {len(table)} pictures {OURS} has " + "; ".join(in_words(*one) for one in told.items()) + ".")
        run.section("How well")
        run.text(
            "Each method is told the true noise. The others also get the settings that are best for each picture, "
            "judged by the clean picture that they are to find; the dictionary has one setting for all, that of Elad "
            "& Aharon (2006)."
        )
        rows: list[list[Any]] = [
            [verbatim(name), *(round(row[method], 2) for method in methods)] for name, row in table.items()
        ]
        rows.append(["mean", *(round(means[method], 2) for method in methods)])
        run.table(("picture", *methods), rows, "PSNR in dB: more is better, 1 dB is 21 % less squared error")
        for name, found in results.items():
            tiles = [(truths[name], "clean"), *((found[method], method) for method in methods)]
            labelled = [
                (crop(tile), f"{label}, {table[name][label]:.2f} dB" if label in table[name] else label)
                for tile, label in tiles
            ]
            run.figure(name, partial(photographs, labelled, columns=3), f"**{verbatim(name)}**, its middle")
        run.section("What it learned")
        atoms = [(images(found["atoms"][:100]), verbatim(name)) for name, found in results.items()]
        run.grid("atoms", atoms, columns=3, caption="The 100 atoms that match the windows best, of each noisy picture")
        if rivals:
            settings = [
                [verbatim(name), *(found["settings"][rival] for rival in rivals)] for name, found in results.items()
            ]
            run.table(("picture", *rivals), settings, "the settings that were best for the others")
        missing = next((found["missing"] for found in results.values() if "missing" in found), None)
        if missing:
            run.text(f"The other methods could not be run: {missing}")
