"""What a pretrained encoder is worth for labelling every pixel: `lowland segment` with 5, 20 and 100 masks.

    python benchmarks/segmentation.py [--quick] [--json FILE] [--minutes M] [--seeds S]

Scenes that the library draws, with textures from photographs: an encoder is pretrained on 1,000 of them without masks,
then the job learns from few masks with this encoder, and with the same network from random weights. Two measurements:
the job's own, on scenes with a mask that a training left out, and one on 200 test scenes whose textures come from other
parts of the photographs, with fresh scenes and weights for each seed.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from core import device, versions
from report import write
from torch import Tensor

from lowland.data.scenes import Scenes, draw_scenes, sample_scenes
from lowland.energies.grid_crf import GridCRF
from lowland.evaluation.segmentation import (
    FOREST,
    POSITION,
    baseline_labels,
    confusions,
    overlap_gain,
    segmentation_row,
    smoothed_labels,
)
from lowland.recipes.base import execute, start
from lowland.recipes.joint.pretrain.recipe import PretrainRecipe
from lowland.recipes.vision.segment.recipe import FIELD, PRETRAINED, UNTRAINED, SegmentRecipe
from lowland.training.segmentation import PixelTraining, pixel_network

IMAGE, SMOOTHNESS, STEPS = "mIoU of an image", 1.0, 150


def the_job(place: Path, masks: int, encoder: Path, steps: int) -> dict[str, Any]:
    """What `lowland segment` says of so many masks, and how long it takes."""
    folder = sample_scenes(place / f"{masks}-masks", masks, 100)
    options = {"folder": str(folder), "encoder": str(encoder), "steps": steps}
    began = time.perf_counter()
    run = execute(config := SegmentRecipe.from_options(options), start(config, place / "runs"))
    found = {name: run.measured.each(name, IMAGE)[0] for name in run.measured.methods(IMAGE)}
    gains = {(one, other): (mean, low, high) for one, other, mean, low, high, _ in run.shown["gains"]}
    mean, low, high = gains[PRETRAINED, UNTRAINED]
    return {
        "case": f"{masks} masks, the job's own test", "images": run.shown["tests"], "pretrained": found[PRETRAINED],
        "untrained": found[UNTRAINED], "pretrained, field": found[PRETRAINED + FIELD],
        "position": found[POSITION], "colour forest": found[FOREST], "gain": mean, "gain from": low, "gain to": high,
        "minutes": (time.perf_counter() - began) / 60,
    }  # fmt: skip


def on_test_scenes(masks: int, encoder: Path, test: Scenes, seeds: int, steps: int) -> dict[str, Any]:
    """The two networks on test scenes, each trained on other scenes for each seed."""
    counts: dict[str, list[Tensor]] = {}
    began = time.perf_counter()
    for seed in range(seeds):
        train = draw_scenes("train", masks, torch.Generator().manual_seed(100 + seed))
        labels = baseline_labels(train, test, seed)
        for name in (PRETRAINED, UNTRAINED):
            network = pixel_network(train, torch.Generator().manual_seed(seed), encoder, name == PRETRAINED)
            energy = GridCRF(network)
            PixelTraining(energy, train, steps, 0.002, seed).curve()
            labels[name] = smoothed_labels(energy, test.images, 0.0)
            labels[name + FIELD] = smoothed_labels(energy, test.images, SMOOTHNESS)
        for name, each in labels.items():
            counts.setdefault(name, []).append(confusions(each.long(), test.labels, len(test.classes)))
    took = (time.perf_counter() - began) / 60
    together = {name: torch.stack(each).sum(dim=0) for name, each in counts.items()}
    found = {name: segmentation_row(each)[IMAGE] for name, each in together.items()}
    (mean, low, high), _ = overlap_gain(together[PRETRAINED], together[UNTRAINED])
    return {
        "case": f"{masks} masks, test scenes, {seeds} seeds", "images": len(test.images),
        "pretrained": found[PRETRAINED], "untrained": found[UNTRAINED],
        "pretrained, field": found[PRETRAINED + FIELD], "position": found[POSITION], "colour forest": found[FOREST],
        "gain": mean, "gain from": low, "gain to": high, "minutes": took,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few scenes and steps, to see that it runs")
    parser.add_argument("--json", type=Path, help="file for the results")
    parser.add_argument("--minutes", type=float, default=6.0, help="of pretraining")
    parser.add_argument("--seeds", type=int, default=3, help="trainings on test scenes")
    options = parser.parse_args()
    torch.set_num_threads(1)
    many, tested, steps = (60, 8, 4) if options.quick else (1000, 200, STEPS)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        unlabelled = sample_scenes(place / "scenes", 0, many, seed=1)
        chosen = {"folder": str(unlabelled), "out": str(place / "encoder")}
        chosen |= {"steps": 8} if options.quick else {"minutes": options.minutes}
        execute(config := PretrainRecipe.from_options(chosen), start(config, place / "runs"))
        test = draw_scenes("test", tested, torch.Generator().manual_seed(3))
        for masks in (5, 20) if options.quick else (5, 20, 100):
            rows.append(the_job(place, masks, place / "encoder", steps))
            rows.append(on_test_scenes(masks, place / "encoder", test, options.seeds, steps))
            for row in rows[-2:]:
                print(
                    ", ".join(
                        f"{key}: {value if isinstance(value, str) else f'{value:.4g}'}" for key, value in row.items()
                    )
                )
    if options.json:
        write(
            options.json,
            "Labelling every pixel from few masks: mean IoU of an image in %, gains in points",
            device(),
            versions(),
            rows,
        )


if __name__ == "__main__":
    main()
