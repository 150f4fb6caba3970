"""Speed of views and of a joint-embedding training step, compared with the usual pipeline and kornia.

    python benchmarks/joint_embedding.py [--quick] [--json FILE] [--threads T ...]

Batches of 256 colour images of 32 × 32. The views are random resized crop, flip, colour (brightness, contrast,
saturation, hue), grey, blur and solarisation, with the same probabilities and strengths for all. The usual pipeline
augments image by image with Pillow in a DataLoader with two workers; kornia works on batches, like Lowland. A training
step is two views of each image, network, loss, gradient and Adam. The usual pipeline has the same network and the same
loss.

All run alternately in this process: processor time with one thread, including the workers, and wall time with two.
Memory is the peak above that of the process before, plus the private memory of the workers; each contestant is measured
in a separate process. Memory for loading a library is not counted; that of Lowland's compiled views, which is the
largest, is printed below the table. The competitors `kornia` and `lightly` are not dependencies of Lowland; if one is
missing its row says why. Memory and time of the workers are read from /proc, so this needs Linux.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import math
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from core import contest, device, race, row, table, versions
from PIL import Image, ImageEnhance, ImageFilter, ImageOps
from report import write
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

import lowland as ll
import lowland.nn.encoders
from lowland.shaping.base import Batch
from lowland.tensors import PerSampleRNG

BATCH, SIDE, WORKERS = 256, 32, 2
CROP, RATIO, SIGMA = (0.2, 1.0), (3 / 4, 4 / 3), (0.1, 2.0)
STRENGTHS = {"brightness": 0.4, "contrast": 0.4, "saturation": 0.2, "hue": 0.1}
CHANCES = {"flip": 0.5, "colour": 0.8, "grey": 0.2, "blur": 0.5, "solarise": 0.1}
STEPS = (("ConvNet", "SimCLR"), ("ConvNet", "VICReg"), ("ResNet18", "SimCLR"))
LOADING = "loading of the compiled views"
USUAL = f"Pillow, DataLoader with {WORKERS} workers"


def photographs(count: int) -> np.ndarray:
    """Colour images (N, H, W, 3) of bytes: crops of photographs that come with scikit-learn."""
    from sklearn.datasets import load_sample_images

    scenes, draw = load_sample_images().images, np.random.default_rng(0)
    corners = [(scene, *(int(draw.integers(side - SIDE)) for side in scene.shape[:2])) for scene in scenes]
    while len(corners) < count:
        scene = scenes[len(corners) % len(scenes)]
        corners.append((scene, *(int(draw.integers(side - SIDE)) for side in scene.shape[:2])))
    return np.stack([scene[top : top + SIDE, left : left + SIDE] for scene, top, left in corners])


# The usual pipeline


def crop(image: Image.Image, draw: random.Random) -> Image.Image:
    width, height = image.size
    for _ in range(10):
        area = draw.uniform(*CROP) * width * height
        form = math.exp(draw.uniform(math.log(RATIO[0]), math.log(RATIO[1])))
        wide, tall = round(math.sqrt(area * form)), round(math.sqrt(area / form))
        if 0 < wide <= width and 0 < tall <= height:
            left, top = draw.randint(0, width - wide), draw.randint(0, height - tall)
            image = image.crop((left, top, left + wide, top + tall))
            break
    return image.resize((SIDE, SIDE), Image.Resampling.BILINEAR)


def turn_hue(image: Image.Image, share: float) -> Image.Image:
    hue, saturation, value = image.convert("HSV").split()
    turned = (np.asarray(hue).astype(np.int16) + round(share * 255)).astype(np.uint8)
    return Image.merge("HSV", (Image.fromarray(turned), saturation, value)).convert("RGB")


def jitter(image: Image.Image, draw: random.Random) -> Image.Image:
    """The four colour changes in random order, each with Pillow's own function."""
    order = list(STRENGTHS)
    draw.shuffle(order)
    for name in order:
        strength = STRENGTHS[name]
        if name == "hue":
            image = turn_hue(image, draw.uniform(-strength, strength))
        else:
            enhance = {"brightness": ImageEnhance.Brightness, "contrast": ImageEnhance.Contrast}
            image = enhance.get(name, ImageEnhance.Color)(image).enhance(draw.uniform(1 - strength, 1 + strength))
    return image


def change(image: Image.Image, draw: random.Random) -> Tensor:
    """One view of one image, (3, H, W)."""
    image = crop(image, draw)
    if draw.random() < CHANCES["flip"]:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if draw.random() < CHANCES["colour"]:
        image = jitter(image, draw)
    if draw.random() < CHANCES["grey"]:
        image = image.convert("L").convert("RGB")
    if draw.random() < CHANCES["blur"]:
        image = image.filter(ImageFilter.GaussianBlur(draw.uniform(*SIGMA)))
    if draw.random() < CHANCES["solarise"]:
        image = ImageOps.solarize(image, 128)
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous().float().div(255)


class Pairs(Dataset[tuple[Tensor, Tensor]]):
    """Two views of each image, as a user would write it for a DataLoader."""

    def __init__(self, images: np.ndarray) -> None:
        self.images, self.draw = images, random.Random()

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image = Image.fromarray(self.images[index])
        return change(image, self.draw), change(image, self.draw)


class Usual:
    """A DataLoader with persistent workers."""

    def __init__(self, images: np.ndarray) -> None:
        self.loader = DataLoader(Pairs(images), BATCH, shuffle=True, num_workers=WORKERS, persistent_workers=True)

    def workers(self) -> list[int]:
        """The workers' process ids, once the first pass has begun."""
        return [worker.pid for worker in getattr(self.loader._iterator, "_workers", [])]


class Contestant(NamedTuple):
    """The function to run, and its worker processes."""

    run: Callable[[], Any]
    workers: Callable[[], list[int]] = list


# Batched views


def tensors(images: np.ndarray) -> tuple[Tensor, ...]:
    """Batches (B, 3, H, W) in [0, 1]."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float().div(255).split(BATCH)


def lowland_views() -> ll.data.views.ImageViews:
    return ll.data.views.ImageViews(crop=CROP, ratio=RATIO, sigma=SIGMA, **STRENGTHS, **CHANCES)


def kornia_views() -> Callable[[Tensor], Tensor]:
    import kornia.augmentation as k

    # The kernel is a tenth of the image wide, as in SimCLR; Lowland's and Pillow's are not truncated.
    steps = [
        k.RandomResizedCrop((SIDE, SIDE), scale=CROP, ratio=RATIO),
        k.RandomHorizontalFlip(p=CHANCES["flip"]),
        k.ColorJitter(**STRENGTHS, p=CHANCES["colour"]),
        k.RandomGrayscale(p=CHANCES["grey"]),
        k.RandomGaussianBlur((3, 3), SIGMA, p=CHANCES["blur"]),
        k.RandomSolarize(0.0, 0.0, p=CHANCES["solarise"]),
    ]
    made = nn.Sequential(*steps)

    @torch.no_grad()
    def changed(images: Tensor) -> Tensor:
        return made(images)

    return changed


def twice(change: Callable[[Tensor], Tensor], batches: Iterable[Tensor]) -> None:
    for batch in batches:
        change(batch), change(batch)


def viewers(images: np.ndarray) -> dict[str, Contestant]:
    """Two views of each image, batch by batch, by each installed contestant."""
    batches, usual, views = tensors(images), Usual(images), lowland_views()
    calls = itertools.count()

    def ours(batch: Tensor) -> Tensor:
        return views(batch, PerSampleRNG(next(calls), torch.arange(len(batch))))

    found = {
        "Lowland": Contestant(lambda: twice(ours, batches)),
        USUAL: Contestant(lambda: [None for _ in usual.loader], usual.workers),
    }
    if importlib.util.find_spec("kornia"):
        theirs = kornia_views()
        found["kornia"] = Contestant(lambda: twice(theirs, batches))
    return found


# A training step


def learners(encoder: str, method: str, images: np.ndarray) -> dict[str, Contestant]:
    """One pass over the images by Lowland and by the usual pipeline: the same network, loss and optimiser."""
    usual, batches, found = Usual(images), tensors(images), {}
    for name in ("Lowland", USUAL):
        network = getattr(lowland.nn.encoders, encoder)((3, SIDE, SIDE))
        energy = ll.energies.JointEmbedding(network, (network.size, 128))
        shaping = getattr(ll.shaping, method)(lowland_views())
        pairs = None if name == "Lowland" else usual.loader
        run = partial(learn, energy, shaping, torch.optim.Adam(energy.parameters(), 1e-3), batches, pairs)
        found[name] = Contestant(run, usual.workers if pairs else list)
    return found


def learn(
    energy: Any, shaping: Any, optimiser: torch.optim.Optimizer, batches: Iterable[Tensor], pairs: DataLoader | None
) -> None:
    """A pass over batches, from which the shaping makes views, or over pairs of views."""
    for batch in batches if pairs is None else pairs:
        if pairs is None:
            loss = shaping(energy, Batch(y=batch)).losses["energy"]
        else:
            loss, _ = shaping.loss(*energy.embed(torch.cat(batch)).chunk(2))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        shaping.advance()


# Time and memory


def compare(
    case: str, field: dict[str, Contestant], share: int, rounds: int, threads: int, warm: int = 2
) -> list[dict[str, Any]]:
    """A row of seconds per competitor; `share` is how often a run does what the case names."""
    pids = [worker for each in field.values() for worker in (each.workers,)]

    def seconds() -> float:
        return time.process_time() + sum(processor_time(pid) for workers in pids for pid in workers())

    clock = seconds if threads == 1 else time.perf_counter
    times = race({name: each.run for name, each in field.items()}, rounds, threads, clock, warm)
    per = {name: [one / share for one in found] for name, found in times.items()}
    rivals = [name for name in per if name != "Lowland"]
    return [contest(case, per["Lowland"], rival, per[rival], threads) for rival in rivals]


def processor_time(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(what: str, rivals: Iterable[str], batches: int) -> list[dict[str, Any]]:
    """A row of MiB per competitor, each contestant in a separate process."""
    peaks = {name: apart(what, name, batches) for name in ("Lowland", *rivals)}
    case = f"{what}, batch {BATCH}, memory"
    ours = peaks["Lowland"]
    return [row(case, "MiB", ours, name, peaks[name], 1, ratio=peaks[name] / ours) for name in rivals]


def apart(what: str, name: str, batches: int) -> float:
    arguments = [sys.executable, __file__, "--peak", what, name, "--batches", str(batches)]
    return float(subprocess.run(arguments, capture_output=True, text=True, check=True).stdout)


def peak(what: str, name: str, batches: int) -> float:
    """MiB that a contestant needs beyond the current memory, including its workers' private memory."""
    images = photographs(batches * BATCH)
    field = viewers(images) if what == "views" else learners(*what.split(), images)
    empty = status("VmRSS")
    lowland_views()(torch.zeros(1, 3, SIDE, SIDE), PerSampleRNG(0, torch.arange(1)))
    before = status("VmRSS")
    if name == LOADING:
        return before - empty
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
    field[name].run()
    workers = field[name].workers()
    return status("VmHWM") - before + sum(private(pid) for pid in workers)


def status(field: str) -> float:
    """A field of /proc/self/status, in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def private(pid: int) -> float:
    """Private memory of a process, in MiB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private")) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="under a minute: one thread, the small network alone")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows to this file")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], metavar="T")
    parser.add_argument("--batches", type=int, default=8, metavar="N", help="of 256 images in a round")
    parser.add_argument("--peak", nargs=2, metavar=("WHAT", "NAME"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.peak:
        print(peak(*options.peak, options.batches))
        return
    batches, rounds = (4, 3) if options.quick else (options.batches, 7)
    images, rows = photographs(batches * BATCH), []
    shape = f"batch {BATCH}, {SIDE} × {SIDE} colour"
    for threads in [1] if options.quick else options.threads:
        field = viewers(images)
        rows += compare(f"one view of each, {shape}", field, 2 * batches, rounds, threads)
        for encoder, method in STEPS[:1] if options.quick else STEPS:
            case = f"training step, {encoder}, {method}, {shape}"
            if encoder == "ResNet18":  # a step takes seconds, nearly all of them in the network
                rows += compare(case, learners(encoder, method, images[: 2 * BATCH]), 2, 3, threads, warm=1)
            else:
                rows += compare(case, learners(encoder, method, images), batches, rounds, threads)
    rivals = [name for name in field if name != "Lowland"]
    rows += memory("views", rivals, batches)
    rows += memory("ConvNet SimCLR", [USUAL], batches)
    # Rows of competitors that did not run still contain Lowland's times.
    ours = {one["case"]: one["ours"] for one in reversed(rows)}
    missing = [case for case in ours if case.startswith("training")]
    why = "not run: lightly needs torchvision, which has no build for this torch on a CPU"
    rows += [row(case, "s", ours[case], "lightly", None, options.threads[0], why=why) for case in missing]
    if "kornia" not in field:
        why, case = "not run: kornia is not installed", f"one view of each, {shape}"
        rows.append(row(case, "s", ours[case], "kornia", None, options.threads[0], why=why))
    print(f"{date.today()}, {device()}, {versions('kornia', 'pillow')}\n")
    print(table(rows))
    print(f"\nThe {LOADING} took {apart('views', LOADING, 1):.0f} MiB, once.")
    if options.json:
        write(options.json, __doc__.splitlines()[0], device(), versions("kornia", "pillow", "numba"), rows)


if __name__ == "__main__":
    main()
