"""Inpainting: missing pixels are what a dictionary learned from the known ones makes of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor

from lowland.data.pictures import middle, picture, sides
from lowland.energies.hard_sparse_coding import HardSparseCoding
from lowland.errors import DataError, OptionError
from lowland.evaluation.inpainting import inpaint
from lowland.evaluation.restoration import local_mean, window_dictionary
from lowland.evaluation.restoration_baselines import biharmonic, has_scikit_image
from lowland.plots import curves
from lowland.recipes.base import Bound, Count, Positive, recipe
from lowland.recipes.sparse.common import OURS, WHITE, PictureRecipe
from lowland.reports.run import Run

RIVAL, NOTHING = "biharmonic", "local mean (learns nothing)"
Between = Annotated[float, Bound(above=0, below=1)]


@recipe
@dataclass(frozen=True)
class InpaintRecipe(PictureRecipe):
    """min over z, W and the missing part of y of Σ_n ½‖y_n − W z_n‖², y_n the windows of y, ‖z_n‖₀ ≤ nonzeros.

    The error allowed for a window falls from round to round, so that coarse structure is settled before fine detail.
    The round to stop at is chosen on a share of the known pixels, which are hidden in a first pass.
    """

    mask: str = ""
    """A picture of the same size, black where pixels are known. Without one, random pixels are hidden."""
    missing: Between = 0.5
    """Share of pixels hidden at random."""
    nonzeros: Count = 24
    """Atoms per window, at most."""
    rounds: Count = 20
    """Rounds; each updates codes, atoms and missing pixels once."""
    first: Positive = 30.0
    """Error allowed for a window in the first round, in grey levels of 255 per pixel."""
    last: Positive = 1.5
    """Error allowed for a window in the last round."""
    held_out: Between = 0.04
    """Share of the known pixels that chooses the round to stop at."""
    samples: Count = 10_000
    """Windows to learn from in each round, at most."""
    step: Count = 2
    """Pixels between windows; the last round has a window at every pixel."""

    files: ClassVar[tuple[str, ...]] = ("image", "mask")
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {"names": ("camera", "brick"), "rounds": 3, "samples": 500, "atoms": 80, "crop": 40, "nonzeros": 8}
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.last > self.first:
            raise OptionError(f"last must be at most first, but they are {self.last} and {self.first}.")
        if self.nonzeros > self.atoms or self.step > self.size:
            raise OptionError("nonzeros may be at most atoms, and step at most size.")
        if self.mask and not self.image:
            raise OptionError("--mask is for a picture of your own: name it with --image.")

    def run(self, run: Run) -> None:
        found, note = self.originals()
        truths = self.cropped(found)
        run.expect(4 * len(truths))
        filled: dict[str, dict[str, Tensor]] = {}
        atoms: dict[str, Tensor] = {}
        stopped: dict[str, list[float]] = {}
        for number, (name, truth) in enumerate(truths.items()):
            hidden = self._hidden(found[name], number)
            few = (torch.rand(hidden.shape, generator=self.generator(50 + number)) < self.held_out) & ~hidden
            energy = window_dictionary(self.size, self.atoms, self.nonzeros)
            trial = partial(self._fill, energy, truth, hidden | few, few, self.rounds)
            errors = run.stage(f"{name}/held-out", trial)["errors"]
            rounds = 1 + errors.index(min(errors))
            energy = window_dictionary(self.size, self.atoms, self.nonzeros)
            done = run.stage(f"{name}/{OURS}", partial(self._fill, energy, truth, hidden, None, rounds), [energy])
            start = run.stage(f"{name}/start", lambda t=truth, h=hidden: {"picture": local_mean(t, h)})
            rival = run.stage(f"{name}/{RIVAL}", partial(_biharmonic, truth, hidden))
            run.save_energy(name, energy)
            filled[name] = {"whole": truth, "known pixels": truth * ~hidden, NOTHING: start["picture"]}
            filled[name] |= {RIVAL: rival["picture"]} if "picture" in rival else {}
            filled[name][OURS] = done["picture"]
            atoms[name], stopped[name] = energy.dictionary.detach().T, errors
        methods = [name for name in (NOTHING, RIVAL, OURS) if all(name in row for row in filled.values())]
        self.measure(run, truths, filled, methods)
        chosen = {name: 1 + errors.index(min(errors)) for name, errors in stopped.items()}
        run.show(note=note, pictures=list(truths), rivals=[NOTHING, RIVAL] if RIVAL in methods else [NOTHING])
        run.show(rounds=chosen)
        run.part(self.figures, filled, atoms, methods)
        lines = {name: (range(1, self.rounds + 1), [-error for error in each]) for name, each in stopped.items()}
        run.figure("rounds", partial(curves, lines, title="Held-out pixels", xlabel="round", ylabel="PSNR in dB"))

    def _hidden(self, image: Tensor, number: int) -> Tensor:
        """Which pixels are missing, (1, H, W) of booleans, of the picture as it is cropped."""
        if self.mask:
            given = picture(self.mask, grey=True)
            if given.shape[1:] != image.shape[1:]:
                raise DataError(f"The mask is {sides(given)} pixels, but the picture is {sides(image)}.")
            hidden = given > 0
        else:
            hidden = torch.rand(1, *image.shape[1:], generator=self.generator(number)) < self.missing
        hidden = middle(hidden, self.crop) if self.crop else hidden
        if bool(hidden.all()) or not bool(hidden.any()):
            raise DataError("Some pixels must be known (black in a mask) and some missing (not black).")
        return hidden

    def _fill(
        self, energy: HardSparseCoding, truth: Tensor, hidden: Tensor, judged: Tensor | None, rounds: int
    ) -> dict[str, Any]:
        """The picture with its hidden pixels filled in, and minus the PSNR of those `judged` after each round."""
        shares = [turn / max(self.rounds - 1, 1) for turn in range(rounds)]
        levels = [self.first * (self.last / self.first) ** share / WHITE for share in shares]
        errors = [0.5 * self.size**2 * level**2 for level in levels]
        draws = {"samples": self.samples, "step": self.step, "generator": self.generator(7), "seed": self.seed}
        picture, quality = inpaint(energy, truth, hidden, errors, judged=judged, **draws)
        return {"picture": picture, "errors": [-one for one in quality]}


def _biharmonic(truth: Tensor, hidden: Tensor) -> dict[str, Tensor]:
    return {"picture": biharmonic(truth, hidden)} if has_scikit_image() else {}
