"""How well `lowland read` reads two kinds of lines, from a folder of pictures to the texts of new ones.

    python benchmarks/reading.py [--quick] [--json FILE] [--minutes M] [--kind checks|print ...]

700 amounts on checks, of handwritten digits, and 2,000 printed lines of English in five typefaces that come with
matplotlib, in several sizes, a little turned and noisy. A reader learns from the pictures with a transcript for at most
so many minutes and reads new ones: amounts of digits that no line to learn from has, and two to five neighbouring words
of the same texts, or of other texts (365 words in all, so that lines overlap). The least confidence is chosen so that
1 % of all lines may be read wrongly; that can be promised for lines of the same kind alone.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from core import device, versions
from PIL import Image, ImageDraw, ImageFont
from report import write

from lowland.data.amounts import amount_lines
from lowland.data.catalogue import load
from lowland.evaluation.success import wilson
from lowland.evaluation.text_reading import text_row
from lowland.recipes.base import execute, start
from lowland.recipes.vision.read.recipe import ReadRecipe

SAME, OTHER = "print of the same texts", "print of other texts"
FONTS = ("DejaVuSans", "DejaVuSerif", "DejaVuSansMono", "STIXGeneral", "cmr10")
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,;:()-' "


def checks(folder: Path, count: int, new: int) -> dict[str, dict[str, str]]:
    """Pictures of amounts, `count` of them with a transcript; what the new ones say, by kind."""
    digits, draw = load("mnist10k"), torch.Generator().manual_seed(0)
    said = {}
    for part, many in (("train", count), ("test", new)):
        lines = amount_lines(digits, part, many, draw)
        for number, (image, text) in enumerate(zip(lines.images, lines.texts, strict=True)):
            name = f"{part}-{number:05d}"
            Image.fromarray((255 * (1 - image)).round().byte().numpy()).save(folder / f"{name}.png")
            if part == "train":
                (folder / f"{name}.txt").write_text(text, encoding="utf-8")
            else:
                said[f"{name}.png"] = text
    return {"checks": said}


def print_(folder: Path, count: int, new: int) -> dict[str, dict[str, str]]:
    """Pictures of printed lines, `count` of them with a transcript; what the new ones say, by kind."""
    from matplotlib import get_data_path
    from sklearn import datasets

    kept = ("iris", "wine", "breast_cancer", "diabetes", "linnerud", "digits")
    texts = [getattr(datasets, f"load_{name}")().DESCR for name in kept]
    old, other = (
        [word for text in some for word in text.split() if set(word) <= set(LETTERS)] for some in (texts[:4], texts[4:])
    )
    draw = np.random.default_rng(0)
    said: dict[str, dict[str, str]] = {SAME: {}, OTHER: {}}
    for number in range(count + 2 * new):
        source = other if number >= count + new else old
        first = int(draw.integers(len(source) - 6))
        text = " ".join(source[first : first + int(draw.integers(2, 6))])
        name = FONTS[number % len(FONTS)]
        font = ImageFont.truetype(Path(get_data_path(), "fonts", "ttf", f"{name}.ttf"), int(draw.integers(22, 36)))
        left, top, right, bottom = font.getbbox(text)
        image = Image.new("L", (round(right - left) + 16, round(bottom - top) + 16), 255)
        ImageDraw.Draw(image).text((8 - left, 8 - top), text, fill=int(draw.integers(0, 80)), font=font)
        image = image.rotate(float(draw.normal(0, 0.4)), Image.Resampling.BILINEAR, fillcolor=255)
        grey = np.asarray(image, float) * draw.uniform(0.85, 1) + draw.normal(0, 8, (image.height, image.width))
        file = f"{number:05d}.png"
        Image.fromarray(grey.clip(0, 255).astype(np.uint8)).save(folder / file)
        if number < count:
            (folder / f"{number:05d}.txt").write_text(text, encoding="utf-8")
        else:
            said[OTHER if source is other else SAME][file] = text
    return said


def measure(kind: str, count: int, new: int, minutes: float, steps: int) -> list[dict[str, Any]]:
    """Learn, read the new lines, and compare: a row for each kind of new lines."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "lines")
        folder.mkdir()
        said = {"checks": checks, "print": print_}[kind](folder, count, new)
        options = {"folder": str(folder), "steps": steps} if steps else {"folder": str(folder), "minutes": minutes}
        config = ReadRecipe.from_options(options)
        began, spent = time.perf_counter(), time.process_time()
        run = execute(config, start(config, Path(place, "runs")))
        took, spent = time.perf_counter() - began, time.process_time() - spent
        rows = list(csv.DictReader((run.folder / "read.csv").read_text(encoding="utf-8").splitlines()))
    found, times = {row["file"]: row for row in rows}, {"minutes": took / 60, "CPU minutes": spent / 60}
    return [
        {"case": f"{count} lines to learn from: {name}", **times, **judged(found, some)} for name, some in said.items()
    ]


def judged(found: dict[str, dict[str, str]], said: dict[str, str]) -> dict[str, Any]:
    """What was read of these lines, beside what they say."""
    missing = {"text": "", "accepted": "no"}  # a picture that was skipped is not read
    rows = [found.get(file, missing) for file in said]
    truths, texts = list(said.values()), [row["text"] for row in rows]
    taken = [row["accepted"] == "yes" for row in rows]
    wrong = wilson(sum(t and a != b for t, a, b in zip(taken, texts, truths, strict=True)), len(rows))
    right = text_row(texts, truths)
    return {
        "new lines": len(rows),
        "lines read, %": right["whole"], "from": right["whole low"], "to": right["whole high"],
        "character error, %": right["characters"], "accepted, %": 100 * sum(taken) / len(taken),
        "accepted and wrong, %": 100 * wrong.value, "wrong from": 100 * wrong.low, "wrong to": 100 * wrong.high,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few lines and steps, to see that it runs")
    parser.add_argument("--json", type=Path, help="file for the results")
    parser.add_argument("--minutes", type=float, default=9.0, help="of training")
    parser.add_argument("--kind", nargs="+", default=["checks", "print"], choices=["checks", "print"])
    options = parser.parse_args()
    torch.set_num_threads(1)
    counts = {"checks": (700, 1000), "print": (2000, 500)}
    rows = []
    for kind in options.kind:
        many = (40, 10) if options.quick else counts[kind]
        for row in measure(kind, *many, options.minutes, 4 if options.quick else 0):
            said = {name: value if isinstance(value, str) else f"{value:.4g}" for name, value in row.items()}
            print(", ".join(f"{name}: {value}" for name, value in said.items()))
            rows.append(row)
    if options.json:
        write(options.json, "Reading lines of a folder", device(), versions(), rows)


if __name__ == "__main__":
    main()
