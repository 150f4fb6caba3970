"""Sparse coding of natural images (rows S1, S6): atoms become oriented edges, as in the visual cortex."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from matplotlib.figure import Figure
from torch import Tensor

from lowland.data.natural import patches
from lowland.energies.sparse_coding import SparseCoding
from lowland.errors import OptionError
from lowland.evaluation.gabor import GaborFit, gabor_fit
from lowland.inference import infer
from lowland.plots import images
from lowland.plots.style import BLUE, INK, MUTED, ORANGE, figure, ruled
from lowland.recipes.base import Recipe, recipe
from lowland.reports.run import Run
from lowland.shaping.regularised.expectation_maximisation import ExpectationMaximisation
from lowland.solvers.active_set import ActiveSet
from lowland.training.fit import fit

GOOD = 0.5
"""r² above which an atom counts as a Gabor function."""


@recipe(
    "sparse-patches",
    shows="Asked only to explain photographs by few atoms at a time, a dictionary discovers edges: each atom has a "
    "place, an orientation and a frequency.",
    rows=("S1", "S6"),
    minutes=2,
    title="The Gabor picture",
)
@dataclass(frozen=True)
class SparsePatchesRecipe(Recipe):
    """min over W of the mean of min_z ½‖y − W z‖² + λ‖z‖₁, on patches of photographs, mean removed, unit norm.

    Atoms are learned online (Mairal et al. 2010) with exact codes, and each is fitted by a Gabor function. Patches of
    training and of test come from parts of the photographs that do not overlap.
    """

    size: int = 12
    """Side of a patch, in pixels."""
    atoms: int = 256
    """Atoms of the dictionary."""
    sparsity: float = 0.1
    """λ, for patches of unit norm."""
    samples: int = 50_000
    """Patches to learn from."""
    tested: int = 5_000
    """Patches to measure on."""
    epochs: int = 4
    """Times that all patches are seen."""
    seeds: int = 3
    """Repetitions, each with other patches and other first atoms."""
    fit_steps: int = 150
    """Steps of L-BFGS to fit a Gabor function."""
    data_dir: str = ""
    """Folder with photographs of your own; by default scikit-learn's two."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {"atoms": 20, "samples": 600, "tested": 100, "epochs": 1, "seeds": 2, "size": 8, "fit_steps": 4}
    }

    def __post_init__(self) -> None:
        if min(self.size - 1, self.samples, self.tested, self.epochs, self.seeds, self.fit_steps) < 1:
            raise OptionError("samples, tested, epochs, seeds and fit_steps must be at least 1, and size at least 2.")
        if not 1 <= self.atoms <= self.samples:
            raise OptionError(f"atoms must be from 1 to samples, {self.samples}, but they are {self.atoms}.")

    def run(self, run: Run) -> None:
        run.expect(2 * self.seeds)
        found, shown = [], None
        for seed in range(self.seeds):
            draw = partial(patches, self.size, data_dir=self.data_dir or None)
            train = draw(self.samples, self.generator(seed), part="train")
            test = draw(self.tested, self.generator(100 + seed), part="test")
            energy = SparseCoding(self.size**2, self.atoms, self.sparsity, generator=self.generator(seed))
            noise, energy.dictionary.data = energy.dictionary.detach().clone(), train[: self.atoms].T.clone()
            sets = {"noise (learns nothing)": noise, "patches (learns nothing)": energy.dictionary.detach().clone()}
            run.stage(f"seed-{seed}/learn", partial(self._learn, energy, train, seed), [energy])
            sets["learned"] = energy.dictionary.detach().clone()
            measured = run.stage(f"seed-{seed}/measure", partial(self._measure, sets, test))
            found.append(measured)
            shown = shown or (energy, measured["fits"]["learned"])
        assert shown is not None
        run.save_energy("sparse-patches", shown[0])
        self._results(run, found)
        share = {name: [float((one["fits"][name]["explained"] > GOOD).double().mean()) for one in found]
                 for name in found[0]["fits"]}  # fmt: skip
        said = ", ".join(f"{statistics.fmean(each):.0%} of {name}" for name, each in share.items())
        run.finding(f"A Gabor function explains more than half (r² > {GOOD:g}) of {said}; {self.seeds} seeds.")
        run.part(self._page, *shown)

    def _learn(self, energy: SparseCoding, train: Tensor, seed: int) -> None:
        shaping = ExpectationMaximisation(
            ActiveSet(0.03), memory=1.0, forgetting=4.0, replace_after=20, initialise=False, seed=seed
        )
        steps = max(1, self.epochs * len(train) // 512)
        fit(energy, train, shaping, max_steps=steps, batch_size=512, validation=0.0, seed=seed, progress=False)

    def _measure(self, sets: dict[str, Tensor], test: Tensor) -> dict[str, Any]:
        """F on test patches, non-zeros, and the Gabor fits of each set of atoms."""
        fits, free, used = {}, {}, {}
        for name, atoms in sets.items():
            energy = SparseCoding(self.size**2, self.atoms, self.sparsity).requires_grad_(False)
            energy.dictionary.copy_(atoms)
            codes = infer(energy, y=test, over="z", solver=ActiveSet(1e-4))
            free[name], used[name] = codes.energy.mean().item(), (codes.value != 0).float().sum(dim=1).mean().item()
            fits[name] = gabor_fit(atoms.T, self.fit_steps)._asdict()
        return {"fits": fits, "free": free, "used": used}

    def _results(self, run: Run, found: list[dict[str, Any]]) -> None:
        where = self.data_dir or "scikit-learn's two sample photographs"
        data = f"{self.tested:,} test patches of {where}"
        for name in found[0]["free"]:
            share = [float((one["fits"][name]["explained"] > GOOD).double().mean()) for one in found]
            rows = (
                (f"share of atoms with a Gabor fit of r² > {GOOD:g}", share),
                ("mean free energy F(y) on test patches", [one["free"][name] for one in found]),
                ("non-zeros of a code, of " + str(self.atoms), [one["used"][name] for one in found]),
            )
            for claim, values in rows:
                spread = torch.tensor(values).double()
                sd = spread.std().item() if len(values) > 1 else None
                run.result(
                    id="S6" if "Gabor" in claim else "S1",
                    claim=claim,
                    method=name,
                    measured=spread.mean().item(),
                    sd=sd,
                    seeds=len(values),
                    data=data,
                )

    def _page(self, run: Run, energy: SparseCoding, fits: dict[str, Tensor]) -> None:
        fitted = GaborFit(**fits)
        order = fitted.explained.argsort(descending=True)
        atoms = energy.dictionary.detach().T[order]
        run.section("The atoms, and the functions that fit them")
        run.text(
            f"Nothing in E(y, z) = ½‖y − W z‖² + {self.sparsity:g} ‖z‖₁ knows of edges. On the left the atoms, best "
            "fit first; on the right, in the same places, the Gabor function closest to each: a wave under a bell."
        )
        pair = [(images(atoms), "learned atoms"), (images(fitted.fitted[order]), "the Gabor functions closest to them")]
        run.grid("atoms", pair, columns=2, dpi=150)
        run.section("Orientations and frequencies")
        good = fitted.explained > GOOD
        run.figure("map", _map(fitted, good), f"the {int(good.sum())} atoms with r² > {GOOD:g}")
        turned = fitted.angle[good] * 180 / math.pi
        level = (turned.abs() < 22.5) | (turned.abs() > 67.5)
        upright = float(level.double().mean()) if good.any() else float("nan")
        frequency = float(fitted.frequency[good].median()) if good.any() else float("nan")
        run.text(
            f"{upright:.0%} of them vary along a direction within 22.5° of upright or level; it would be 50 % if all "
            f"directions were alike. Median frequency {frequency:.2f} cycles per pixel."
        )


def _map(fitted: GaborFit, good: Tensor) -> Figure:
    """Wave vectors of the atoms in the half plane, and the distribution of r²."""
    drawn = figure(9, 3.8)
    polar = drawn.add_subplot(1, 2, 1, projection="polar")
    polar.scatter(fitted.angle[good], fitted.frequency[good], s=10, color=BLUE, alpha=0.7, linewidths=0)
    polar.set(thetamin=-90, thetamax=90, rmax=0.6, rticks=[0.1, 0.2, 0.3, 0.4, 0.5])
    polar.set_title("Direction of each wave, and cycles per pixel", fontsize=11, color=INK)
    polar.tick_params(labelsize=8, colors=MUTED)
    share = drawn.add_subplot(1, 2, 2)
    share.hist(fitted.explained.numpy(), bins=40, range=(0, 1), color=BLUE)
    share.axvline(GOOD, color=ORANGE, linewidth=1.5)
    ruled(share, "How much of an atom its Gabor function explains", "r²", "atoms")
    return drawn
