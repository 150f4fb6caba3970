"""Denoising by a dictionary that is learned from the noisy picture alone, against methods of scikit-image."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor

from lowland.energies.hard_sparse_coding import HardSparseCoding
from lowland.errors import OptionError
from lowland.evaluation.restoration import denoise, window_dictionary
from lowland.evaluation.restoration_baselines import DENOISERS, best_setting, denoisers, has_scikit_image
from lowland.plots import images, photographs
from lowland.recipes.base import Positive, recipe
from lowland.recipes.sparse.common import OURS, WHITE, PictureRecipe
from lowland.reports.run import Run
from lowland.words import verbatim

Pictures = dict[str, dict[str, Tensor]]


@recipe
@dataclass(frozen=True)
class DenoiseRecipe(PictureRecipe):
    """For each window of S × S pixels the fewest atoms with ½‖y − W z‖² ≤ ½ S² (g σ)², then the mean of all windows.

    The method of Elad & Aharon (2006), with their window, dictionary size and gain g; atoms and codes are learned in
    turn on windows of the noisy picture itself.
    """

    sigma: Positive = 25.0
    """Standard deviation of the noise, in grey levels of 255."""
    noisy: bool = False
    """Your picture is noisy already: no noise is added, and nothing can be measured."""
    gain: Positive = 1.15
    """g: how far above the noise the error of a window may be."""

    files: ClassVar[tuple[str, ...]] = ("image",)
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {"names": ("camera", "brick"), "rounds": 2, "samples": 1000, "atoms": 80, "crop": 48}
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.noisy and not self.image:
            raise OptionError("--noisy is for a picture of your own: name it with --image.")

    def run(self, run: Run) -> None:
        found, note = self.originals()
        truths = self.cropped(found)
        run.show(note=note, pictures=list(truths), rivals=[])
        run.expect(len(truths) * (1 if self.noisy else 2))
        restored: Pictures = {}
        atoms: dict[str, Tensor] = {}
        settings: dict[str, dict[str, str]] = {}
        for number, (name, truth) in enumerate(truths.items()):
            noise = torch.randn(truth.shape, generator=self.generator(number))
            given = truth if self.noisy else truth + self.sigma / WHITE * noise
            energy = window_dictionary(self.size, self.atoms, nonzeros=min(self.size**2 // 2, self.atoms))
            done = run.stage(f"{name}/{OURS}", partial(self._denoise, energy, given, number), [energy])
            restored[name] = {"noisy": given, OURS: done["picture"]}
            if not self.noisy:
                others = run.stage(f"{name}/rivals", partial(self._rivals, given, truth))
                settings[name] = others.pop("settings", {})
                restored[name] |= {method: others[method] for method in settings[name]}
            run.save_energy(name, energy)
            atoms[name] = energy.dictionary.detach().T[done["use"].argsort(descending=True)]
        if self.noisy:
            run.part(self._show, restored, atoms)
            return
        rivals = [method for method in DENOISERS if all(method in row for row in restored.values())]
        methods = ["noisy", *rivals, OURS]
        self.measure(run, truths, restored, methods)
        if rivals:
            best = zip(*(run.measured.each(rival, "psnr") for rival in rivals), strict=True)
            ahead = sum(own > max(rest) for own, rest in zip(run.measured.each(OURS, "psnr"), best, strict=True))
            run.measured.set(OURS, "ahead", ahead)
        run.show(rivals=rivals)
        pictures = {n: {"clean": truths[n], **{m: restored[n][m] for m in methods}} for n in truths}
        run.part(self.figures, pictures, atoms, methods)
        rows = [[verbatim(name), *(chosen[rival] for rival in rivals)] for name, chosen in settings.items()]
        if rivals:
            run.table(("picture", *rivals), rows, name="settings")

    def _denoise(self, energy: HardSparseCoding, given: Tensor, number: int) -> dict[str, Tensor]:
        error = 0.5 * self.size**2 * (self.gain * self.sigma / WHITE) ** 2
        chosen = self.generator(100 + number)
        clean, use = denoise(energy, given, error, self.rounds, self.samples, chosen, self.seed)
        return {"picture": clean, "use": use}

    def _rivals(self, given: Tensor, truth: Tensor) -> dict[str, Any]:
        if not has_scikit_image():
            return {"settings": {}}
        found = {name: best_setting(options, truth) for name, options in denoisers(given, self.sigma / WHITE).items()}
        pictures = {name: made for name, (made, _) in found.items()}
        return pictures | {"settings": {name: setting for name, (_, setting) in found.items()}}

    def _show(self, run: Run, restored: Pictures, atoms: dict[str, Tensor]) -> None:
        """Without a clean picture: before and after, and the result as a file of its own."""
        for name, found in restored.items():
            tiles = [(found["noisy"], "as given"), (found[OURS], "denoised")]
            run.figure("before", partial(photographs, tiles, height=3.4))
            run.figure("denoised", photographs([(found[OURS], "")], height=found[OURS].shape[1] / 100))
            run.figure("atoms", images(atoms[name][:256]))
