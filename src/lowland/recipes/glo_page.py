"""The page of the recipe `glo`: reconstructions, gaps to exact inference, walks between latents, and samples."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from lowland.data.images import Images
from lowland.energies.generator import Generator
from lowland.evaluation.verdict import verdict
from lowland.plots import curves, images
from lowland.plots.style import INK
from lowland.reports.run import Run

ENCODER, LINEAR, UNTRAINED = "encoder", "linear encoder", "untrained encoder"
EXACT, POLISHED, MEAN = "exact inference", "encoder, then a few steps", "mean latent"
PCA = "PCA of the same size"
Found = Sequence[Mapping[str, Any]]


def write_page(run: Run, found: Found, kept: Mapping[str, Any], data: Images, latents: int, polish: int) -> None:
    """Fill the page; pictures are those of the first seed."""
    shape = data.shape[1:]
    gap = {
        name: statistics.fmean(one["measured"][name]["gap"] for one in found) for name in (ENCODER, LINEAR, UNTRAINED)
    }
    run.section("The latent of a new image")
    told = {
        name: verdict(
            *([one["measured"][key]["gap"] for one in found] for key in (ENCODER, name)), words=("higher", "lower")
        ).word
        for name in (LINEAR, UNTRAINED)
    }
    run.finding(
        f"The encoder's guess is {100 * gap[ENCODER]:.1f} % above the least energy: against a linear encoder "
        f"({100 * gap[LINEAR]:.1f} %) {told[LINEAR]}, against an untrained one ({100 * gap[UNTRAINED]:.0f} %) "
        f"{told[UNTRAINED]}, over {len(found)} seeds."
    )
    run.text(
        f"Each training image owns {latents} numbers, which gradient descent moves in a ball while it trains the "
        "generator: no encoder, no adversary, no sampling. A new image owns nothing, so its z is inferred. **Exact "
        "inference** is Adam from random starts and from the encoder's guess, the best one for each image. The "
        "**encoder** learned to predict the latents of the training images, and is one pass through a network."
    )
    few = {
        name: statistics.fmean(one["measured"][name]["gap"] for one in found)
        for name in (POLISHED, "from the mean, same steps")
    }
    worse = 100 * statistics.fmean(one["worse"] for one in found)
    run.text(
        f"The encoder's objective gap is {100 * gap[ENCODER]:.1f} % of the energy at the optimum, a linear encoder's "
        f"{100 * gap[LINEAR]:.1f} % and an untrained one's {100 * gap[UNTRAINED]:.0f} %. {polish} "
        f"steps of Adam from its guess leave {100 * few[POLISHED]:.1f} %; as many from the mean latent leave "
        f"{100 * few['from the mean, same steps']:.1f} %. Random starts alone end more than 1 % above the start from "
        f"the encoder in {worse:.0f} % of the images."
    )
    order = ("test image", EXACT, POLISHED, ENCODER, LINEAR, UNTRAINED, PCA)
    rows = {}
    for name in order:
        errors = [one["measured"][name]["error"] for one in found if name in one["measured"]]
        rows[f"{name}  {statistics.fmean(errors):.1f}" if errors else name] = found[0]["shown"][name]
    run.figure("reconstructions", _sheet(rows, shape), "Numbers are squared errors of an image, means over seeds")
    run.part(_write_walks, kept["energy"], kept["latents"], data, shape)
    line = {"training images": (kept["curve"]["steps"], kept["curve"]["errors"])}
    title = "Latents and generator, learned together"
    drawn = curves(line, title=title, xlabel="step", ylabel="‖y − G(z)‖²")
    run.section("Training")
    run.figure("training", drawn, "Error of a batch, each image with its own latent")


def _write_walks(run: Run, energy: Generator, latents: Tensor, data: Images, shape: tuple[int, int]) -> None:
    run.section("Between and beside the latents")
    run.text(
        "Left: from the latent of one training image to that of another, in a straight line. Right: G(z) for z drawn "
        "from the Gaussian with mean and covariance of the learned latents. Nothing in training asked for either."
    )
    generator = torch.Generator().manual_seed(0)
    ends = torch.randperm(min(len(latents), len(data.train)), generator=generator)[:12].reshape(2, 6)
    ways = torch.linspace(0, 1, 9)[:, None]
    with torch.no_grad():
        walks = [energy.network((1 - ways) * latents[first] + ways * latents[last]) for first, last in ends.T.tolist()]
        root = torch.linalg.cholesky(torch.cov(latents.T.double()) + 1e-9 * torch.eye(latents.shape[1]).double())
        noise = torch.randn(54, latents.shape[1], generator=generator)
        drawn = energy.network(energy.domain("z").project(latents.mean(dim=0) + noise @ root.T.float()))
    panels = [
        (images(torch.cat(walks).clamp(0, 1), shape, columns=9, signed=False), "walks between training images"),
        (images(drawn.clamp(0, 1), shape, columns=9, signed=False), "samples"),
    ]
    run.grid("walks", panels, 2)


def _sheet(rows: Mapping[str, Tensor], shape: tuple[int, int]) -> Figure:
    count = len(next(iter(rows.values())))
    drawn = images(torch.cat(list(rows.values())), shape, columns=count, signed=False)
    for index, name in enumerate(rows):
        place = index * (shape[0] + 1) + shape[0] / 2 - 0.5
        drawn.axes[0].text(-0.15 * shape[1], place, name, ha="right", va="center", fontsize=8.5, color=INK)
    return drawn
