"""The page of the recipe `conv-psd`: filters, what an encoder gives away, and a second layer."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from lowland.energies.convolutional_sparse_coding import ConvolutionalSparseCoding
from lowland.evaluation.verdict import verdict
from lowland.plots import curves, images
from lowland.plots.style import INK
from lowland.recipes.compose_page import spread
from lowland.reports.run import Run

if TYPE_CHECKING:
    from lowland.recipes.conv_psd import ConvPSDRecipe

Found = Sequence[Mapping[str, Any]]
WORDS = {
    "exact": "exact inference",
    "encoder": "encoder",
    "joint encoder": "encoder, before its last training",
    "ISTA": "ISTA with the learned filters, as many shrinkages",
    "linear encoder": "linear encoder",
    "untrained encoder": "untrained encoder",
    "zero code": "zero code (baseline)",
}


def worth(one: Mapping[str, Any], name: str = "encoder") -> float:
    """Iterations from zero after which FISTA has the objective gap of an encoder; infinite if it never has.

    >>> worth({"FISTA": [1.0, 0.5, 0.2], "report": {"encoder": {"gap": 0.3}}})
    2.0
    """
    gap = one["report"][name]["gap"]
    return next((float(k) for k, value in enumerate(one["FISTA"]) if value <= gap), math.inf)


def write_results(
    run: Run,
    options: ConvPSDRecipe,
    curve: Mapping[int, Mapping[str, float]],
    found: Found,
    second: Mapping[str, Any],
) -> None:
    """The rows of `results.json`."""
    data = f"{options.data}, {options.tests} test images of 32 × 32"
    claim = "energy F(y) by exact inference, as a share of that of no code"
    largest = max(options.filters)
    for method, key in ((f"{largest} learned filters", "after"), (f"{largest} random filters (baseline)", "before")):
        share = curve[largest][key] / curve[largest]["zero"]
        run.result(id="S9", claim=claim, method=method, measured=share, data=data)
    for claim, key in (
        ("objective gap to exact inference, (E(y, ẑ) − F(y)) / F(y)", "gap"),
        ("reconstruction error, Σ‖y − W ∗ ẑ‖² / Σ‖y‖²", "reconstruction"),
    ):
        for name, words in WORDS.items():
            if name == "joint encoder" or (name == "exact" and key == "gap"):
                continue
            middle, sd = spread([one["report"][name][key] for one in found])
            run.result(
                id="S10", claim=claim, method=words, measured=middle, sd=sd, seeds=len(found),
                data=f"{data}, {options.compare} filters",
            )  # fmt: skip
    claim = "F of pooled codes of the first layer, as a share of that of no code"
    for method, key in (("second layer", "after"), ("random second layer (baseline)", "before")):
        run.result(id="S11", claim=claim, method=method, measured=second[key] / second["zero"], data=data)


def write_page(
    run: Run,
    options: ConvPSDRecipe,
    energies: Mapping[int, ConvolutionalSparseCoding],
    curve: Mapping[int, Mapping[str, float]],
    found: Found,
    second: Mapping[str, Any],
    test: Tensor,
) -> None:
    """All sections."""
    run.section("From one filter to many")
    run.text(
        "Sparse coding of patches must learn each edge once for every place in the patch. A filter that is convolved "
        "with a sparse map needs to be learned once. With one filter there is only one thing to say; each doubling "
        "lets the image be explained by fewer and larger pieces."
    )
    tiles = {count: visible(energy.filters.detach()) for count, energy in energies.items()}
    few = [count for count in tiles if count <= 8]
    many = [count for count in tiles if count > 8]
    if few:
        sheet = torch.cat([tiles[count] for count in few])
        names = ", ".join(str(count) for count in few)
        run.figure("few", images(sheet, columns=len(sheet)), f"Bases W_k of the runs with {names} filters, in a row.")
    panels = [(images(tiles[count], columns=8), f"{count} bases W_k") for count in many]
    for count in many[-1:]:
        encoder = energies[count].encoder
        assert encoder is not None
        panels.append((images(visible(encoder.analysis.detach()), columns=8), f"the encoder's {count} filters W_e"))
    if panels:
        run.grid("bases", panels, columns=2)
    counts = list(curve)
    lines = {
        words: (counts, [curve[count][key] / curve[count]["zero"] for count in counts])
        for words, key in (("learned filters", "after"), ("random filters", "before"))
    }
    if len(counts) > 1:
        drawn = curves(lines, title="Test images", xlabel="number of filters", ylabel="F, share of no code's", log="x")
        run.figure("energy", drawn, "Exact inference with the filters of each run")
    run.part(_encoders, options, found, test)
    run.section("A second layer")
    run.text(
        "The sizes of the codes, positive and negative apart, are pooled over 2 × 2 places, and the same energy with "
        f"{options.second} filters of many channels explains these maps. Its energy on test images is "
        f"{second['after'] / second['zero']:.3f} of that of no code, and that of random filters "
        f"{second['before'] / second['zero']:.3f}; one training. Put back through the filters of the first "
        "layer, each unit is a picture."
    )
    features = visible(second["features"])
    run.figure("second", images(features, columns=8), "Units of the second layer in pixels, the most used first")


def _encoders(run: Run, options: ConvPSDRecipe, found: Found, test: Tensor) -> None:
    mean = {
        name: {key: statistics.fmean(one["report"][name][key] for one in found) for key in ("gap", "reconstruction")}
        for name in WORDS
    }
    rivals = ("untrained encoder", "linear encoder")
    told = {
        (key, name): verdict(
            [one["report"]["encoder"][key] for one in found],
            [one["report"][name][key] for one in found],
            ("higher", "lower"),
        ).word
        for key in ("gap", "reconstruction")
        for name in rivals
    }
    said = {key: "; ".join(f"{told[key, name]} against the {name}" for name in rivals) for key in mean["encoder"]}
    run.finding(
        f"One pass of the encoder is {mean['encoder']['gap']:.0%} above the least energy: {said['gap']}, over "
        f"{len(found)} seeds."
    )
    run.section("An encoder that infers")
    steps = [worth(one) for one in found]
    equal = f"{statistics.fmean(steps):.1f} iterations" if math.isfinite(max(steps)) else "more than 60 iterations"
    run.text(
        f"Filters and an encoder of {options.shrinkages} shrinkages are trained together: inference pulls the code to "
        "the encoder's guess, and the encoder to the code. Then the filters are held, and the encoder lowers the "
        f"energy of its own prediction for {options.encoder_steps} steps more; the linear encoder gets the same steps. "
        f"FISTA from zero is as far after {equal}, of which each costs as much as a shrinkage and its way "
        "back. A linear code is never sparse, and pays for it in ‖z‖₁."
    )
    run.verdict(f"What it gives away is {said['gap']}. Its reconstruction error is {said['reconstruction']}.")
    columns = ("method", "objective gap", "reconstruction error", "non-zeros", "ms per image")
    keys, rows = ("gap", "reconstruction", "nonzeros", "microseconds"), []
    for name, words in WORDS.items():
        values = {key: [one["report"][name][key] for one in found] for key in keys}
        means = {key: statistics.fmean(value) for key, value in values.items()}
        pairs = (spread(values["gap"]), spread(values["reconstruction"]))
        cells = [middle if sd is None else (middle, sd) for middle, sd in pairs]
        rows.append([words, *cells, round(means["nonzeros"]), means["microseconds"] / 1000])
    run.table(columns, rows, f"{options.tests} test images, {options.compare} filters, {len(found)} seeds")
    shown = {"image": test[:8].cpu(), **{name: found[0]["shown"][name] for name in WORDS if name != "joint encoder"}}
    run.figure("decoded", sheet(shown), "Test images, and what each code decodes to")


def visible(filters: Tensor) -> Tensor:
    """(K, H, W): filters of several channels as their mean over these."""
    return filters.mean(dim=1)


def sheet(rows: Mapping[str, Tensor]) -> Figure:
    """Rows of images with their names; a row has one scale."""
    tiles = torch.cat([visible(row.cpu()) for row in rows.values()])
    count = len(next(iter(rows.values())))
    drawn = images(tiles.clamp(-2, 2), columns=count, signed=True, each=False)
    height = tiles.shape[1]
    for index, name in enumerate(rows):
        down = index * (height + 1) + height / 2
        drawn.axes[0].text(-3, down, name, ha="right", va="center", fontsize=8.5, color=INK)
    return drawn
