"""Draws docs/pictures: those of the tutorial, and every method of the recipe `strategies` on one set of points.

Run `python docs/make_pictures.py` after a change of a method, and look at the result before committing it.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from matplotlib.figure import Figure
from PIL import Image

import lowland as ll
from lowland.plots import Field, landscape_grid, measure
from lowland.recipes.methods import FAMILIES, Case, Method, collect

FOLDER = Path(__file__).parent / "pictures"
SET = "spiral"
LARGEST = 100_000
FIRST = "maximum-likelihood persistent-cd denoising gaussian-mixture vqvae contracting denoising-score-matching".split()
"""Which method stands for its strategy in the overview."""


def field_of(method: Method, train: torch.Tensor, test: torch.Tensor) -> Field:
    """Train a method as the recipe does, and measure its landscape."""
    case = Case(2, train, seed=0, plane=True)
    energy, plan = method.energy(case), method.plan(case)
    ll.fit(
        energy,
        method.data(case),
        shaping=method.shaping(case),
        max_steps=plan.steps,
        batch_size=min(plan.batch, len(train)),
        lr=plan.lr,
        validation=0.0,
        progress=False,
    )
    measured = method.measured(case, energy.eval())
    return measure(measured, data=test, solver=method.solver(case), beta=method.beta, resolution=80, arrows=11)


def save(drawn: Figure, name: str) -> None:
    """As a PNG of few colours and at most 100 kB: with fewer colours and dots until it is small enough."""
    for dpi, colours in ((120, 128), (110, 64), (100, 48), (85, 48), (72, 48)):
        raw = io.BytesIO()
        drawn.savefig(raw, dpi=dpi, metadata={"Software": None})
        content = smaller(raw, colours)
        if len(content) <= LARGEST:
            break
    (FOLDER / f"{name}.png").write_bytes(content)


def smaller(file: io.BytesIO | Path, colours: int) -> bytes:
    """A picture with that many colours."""
    buffer = io.BytesIO()
    Image.open(file).convert("RGB").quantize(colours).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def tutorial() -> None:
    """Run the code of the tutorial and keep the pictures that it saves."""
    code = re.findall(r"^```python\n(.*?)^```$", (FOLDER.parent / "tutorial.md").read_text(), flags=re.M | re.S)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-c", "\n".join(code)], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        for path in sorted(Path(folder).glob("*.png")):
            (FOLDER / f"tutorial_{path.name}").write_bytes(smaller(path, 96))


def main() -> None:
    """Train, measure, draw."""
    torch.set_num_threads(1)
    FOLDER.mkdir(exist_ok=True)
    tutorial()
    train, test = ll.data.toy(SET, 2000), ll.data.toy(SET, 400, torch.Generator().manual_seed(1))
    fields: dict[str, dict[str, Field]] = {family: {} for family in FAMILIES}
    first: dict[str, Field] = {}
    titles: dict[str, str] = {}
    for method in collect().values():
        began = time.process_time()
        field = field_of(method, train, test)
        fields[method.family][method.title] = field
        if method.name in FIRST:
            first[method.family], titles[method.family] = field, method.title
        sys.stdout.write(f"{method.family} {method.name}: {time.process_time() - began:.1f} s\n")
        sys.stdout.flush()
    for family, drawn in fields.items():
        save(landscape_grid(drawn, columns=min(4, len(drawn))), family.lower())
    save(landscape_grid(first, columns=4, captions=titles), "strategies")


if __name__ == "__main__":
    main()
