"""Draws docs/pictures: those of the tutorial, and every method as a run of the recipe `strategies` left it.

After a change of a method run `lowland run strategies` and `python docs/make_pictures.py [RUN]`, and look at the result
before committing it.
"""

from __future__ import annotations

import argparse
import io
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from matplotlib.figure import Figure
from PIL import Image

from lowland.plots import Field, landscape_grid
from lowland.plots.field import as_field
from lowland.recipes.foundations.strategies.methods import FAMILIES, collect
from lowland.training.checkpoints import read_checkpoint

FOLDER = Path(__file__).parent / "pictures"
SET = "spiral"
LARGEST = 100_000
FIRST = "maximum-likelihood persistent-cd denoising gaussian-mixture vqvae contracting denoising-score-matching".split()
"""Which method stands for its strategy in the overview."""


def field_of(run: Path, method: str) -> Field:
    """The landscape of a method as a run of the recipe left it."""
    stored = read_checkpoint(run / "stages" / SET / f"{method}.safetensors")
    return as_field(stored["result"]["field"])


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
    """Read, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", nargs="?", type=Path, default=Path("runs/strategies/latest"), help="run of `strategies`")
    run = parser.parse_args().run
    torch.set_num_threads(1)
    FOLDER.mkdir(exist_ok=True)
    tutorial()
    fields: dict[str, dict[str, Field]] = {family: {} for family in FAMILIES}
    first: dict[str, Field] = {}
    titles: dict[str, str] = {}
    for method in collect().values():
        field = field_of(run, method.name)
        fields[method.family][method.title] = field
        if method.name in FIRST:
            first[method.family], titles[method.family] = field, method.title
    for family, drawn in fields.items():
        save(landscape_grid(drawn, columns=min(4, len(drawn))), family.lower())
    save(landscape_grid(first, columns=4, captions=titles), "strategies")


if __name__ == "__main__":
    main()
