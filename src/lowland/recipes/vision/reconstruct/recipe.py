"""A user's scan, reconstructed from the part of k-space that was measured: the command `lowland reconstruct`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from lowland.checksums import read_json
from lowland.data.brain import phantoms
from lowland.data.fourier import as_complex
from lowland.data.scans import Scan, read_scan
from lowland.energies.kspace import KSpace, zero_filled
from lowland.evaluation.reconstruction import kspace_residual, least_energy, least_variation, volume_measures
from lowland.plots.reconstructions import reconstructions
from lowland.recipes.base import Bound, Count, NotNegative, Positive, Recipe, recipe
from lowland.reports.run import Run
from lowland.training.reconstruction import load_reconstruction, write_images
from lowland.words import escaped

ZERO, VARIATION, PRIOR = "zero-filled", "variation", "prior"
LABELS = {ZERO: ZERO, VARIATION: "total variation", PRIOR: "U-Net and data"}


@recipe
@dataclass(frozen=True)
class ReconstructRecipe(Recipe):
    """E(x, y) = ½ Σ_ω m_ω |F y − k|²_ω + R(y): x = (k, m) what was measured, y the image, R a prior."""

    scan: str = ""
    """A .h5 file of fastMRI, a .npy array or a NIfTI volume; empty for a head that is drawn here."""
    slices: Annotated[int, Bound(least=0)] = 16
    """Slices at most, evenly from all; 0 for all."""
    axis: Annotated[int, Bound(least=-1, most=2)] = -1
    """Axis of the slices in a volume of images; -1 chooses it."""
    acceleration: Annotated[float, Bound(least=1)] = 4.0
    """How many times fewer columns are measured, where all were or k-space is simulated."""
    noise: NotNegative = 0.02
    """Noise of a simulated k-space, in units of the largest pixel."""
    variation: Positive = 0.004
    """Weight λ of total variation, for images whose largest zero-filled pixel is 1."""
    gap: Positive = 0.001
    """Largest duality gap, as a share of the energy of the zero-filled image."""
    rounds: Count = 1000
    """Rounds of the solver at most."""
    prior: str = ""
    """Folder of a run of `lowland run mri` whose network is the prior, beside total variation."""
    weight: Positive = 0.1
    """Weight of that prior."""

    files: ClassVar[tuple[str, ...]] = ("scan", "prior")
    presets: ClassVar[dict[str, dict[str, Any]]] = {"smoke": {"slices": 2, "gap": 0.01}}

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("scan", "prior"):  # a run is resumed from any place
            if getattr(self, name):
                object.__setattr__(self, name, os.path.realpath(getattr(self, name)))

    def run(self, run: Run) -> None:
        scan = read_scan(self._scan(run), self.slices, self.axis, self.acceleration, self.noise, self.seed)
        height, width = scan.x.shape[2:]
        energy = load_reconstruction(Path(self.prior), height, width) if self.prior else None
        trained = read_json(Path(self.prior) / "config.json")["options"]["data"] if self.prior else ""
        run.expect(2 if energy else 1)
        x = scan.x.to(self.device)
        found = run.stage(VARIATION, lambda: least_variation(x, self.variation, self.gap, self.rounds)._asdict())
        images = {ZERO: zero_filled(scan.x), VARIATION: found["y"]}
        if energy is not None:
            joined = KSpace(height, width) + self.weight * energy.to(self.device)
            images[PRIOR] = run.stage(PRIOR, partial(least_energy, joined, x)).cpu()
        numbers: dict[str, dict[str, Any]] = {}
        for name, y in images.items():
            numbers[name] = {"residual": 100 * float(kspace_residual(scan.x, y, together=True))}
            if scan.truth is not None:
                numbers[name] |= volume_measures(y, scan.truth)
        share = 100 * found["gap"] / found["energy"].clamp_min(torch.finfo(torch.float32).tiny)
        numbers[VARIATION] |= {"gap": float(share.max())}
        run.measured.add(numbers)
        made = {name: scan.scale * np.asarray(as_complex(y)) for name, y in images.items()}
        run.made.append(write_images(run.folder / "images.npz", made, scan.rows))
        late = int((~(found["gap"] <= self.gap * found["start"])).sum())
        run.show(
            name=escaped(Path(self.scan).name) or "a drawn head", count=len(scan.rows), sides=f"{height} × {width}",
            notes=scan.notes, known=scan.truth is not None, late=late, scale=scan.scale,
            trained=trained,
        )  # fmt: skip
        run.part(self._show, scan, images, found, share)

    def _scan(self, run: Run) -> Path:
        if self.scan:
            return Path(self.scan)
        run.stand_in("The scan is a head of ellipses, drawn here: give a file of your own to reconstruct it.")
        place = run.folder / "scan.npy"
        np.save(place, phantoms(16, 64, 56, self.seed).test[:, 0].numpy())
        return place

    def _show(self, run: Run, scan: Scan, images: dict[str, Tensor], found: dict[str, Tensor], share: Tensor) -> None:
        columns = ["slice", "difference from what was measured, %", "energy", "duality gap, %", "rounds"]
        fit = 100 * kspace_residual(scan.x, images[VARIATION])
        rows = [list(row) for row in zip(
            scan.rows, fit.tolist(), found["energy"].tolist(), share.tolist(), found["steps"].tolist(), strict=True
        )]  # fmt: skip
        run.table(columns, [[row[0], *(round(value, 3) for value in row[1:4]), row[4]] for row in rows], name="slices")
        last = len(scan.rows) - 1
        for name, place in {"middle": (last + 1) // 2, **({"first": 0, "last": last} if last > 1 else {})}.items():
            truth = None if scan.truth is None else scan.truth[place]
            shown = {LABELS[way]: image[place] for way, image in images.items()}
            run.figure(name, partial(reconstructions, truth, shown))
        log = (torch.log10(scan.x[len(scan.rows) // 2, :2].norm(dim=0) + 1e-6) + 6) / 6
        run.figure("kspace", partial(reconstructions, None, {"measured": torch.stack([log, 0 * log])}))
