"""Draws docs/pictures: those of the tutorial, and every method from a run of the recipe `strategies`.

After a change of a method run `lowland run strategies` and `python docs/make_pictures.py [RUN]`, and look at the result
before committing it. After `lowland run drive --preset demo`, `python docs/make_pictures.py --film
runs/drive/latest/figures/drive.mp4` draws the picture at the top of README.md.
"""

from __future__ import annotations

import argparse
import io
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import av
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

import lowland as ll
from lowland.plots import Field, landscape_grid
from lowland.plots.field import as_field
from lowland.training.checkpoints import read_checkpoint
from lowland.training.vector_methods import FAMILIES, VECTOR_METHODS

FOLDER = Path(__file__).parent / "pictures"
SET = "spiral"
LARGEST = 100_000
FIRST = "maximum-likelihood persistent-cd denoising gaussian-mixture vqvae contracting denoising-score-matching".split()
"""The method that represents each strategy in the overview."""


def field_of(run: Path, method: str) -> Field:
    """The landscape of a method from a run of the recipe."""
    stored = read_checkpoint(run / "stages" / SET / f"{method}.safetensors")
    return as_field(stored["result"]["field"])


def save(drawn: Figure, name: str) -> None:
    """Save as a PNG of at most 100 kB, with fewer colours and pixels until it is small enough."""
    for dpi, colours in ((120, 128), (110, 64), (100, 48), (85, 48), (72, 48)):
        raw = io.BytesIO()
        drawn.savefig(raw, dpi=dpi, metadata={"Software": None})
        content = smaller(raw, colours)
        if len(content) <= LARGEST:
            break
    (FOLDER / f"{name}.png").write_bytes(content)


def smaller(file: io.BytesIO | Path, colours: int) -> bytes:
    """A PNG with that many colours."""
    buffer = io.BytesIO()
    Image.open(file).convert("RGB").quantize(colours).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def tutorial() -> None:
    """Run the code of the tutorial and keep the pictures it saves."""
    code = re.findall(r"^```python\n(.*?)^```$", (FOLDER.parent / "tutorial.md").read_text(), flags=re.M | re.S)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-c", "\n".join(code)], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        for path in sorted(Path(folder).glob("*.png")):
            (FOLDER / f"tutorial_{path.name}").write_bytes(smaller(path, 96))


def jobs(film: Path) -> None:
    """The three jobs of README.md: learned atoms, digits with few labels, and a frame from a film of `drive`."""
    learner = ll.estimators.DictionaryLearning(n_atoms=96, sparsity=0.1, epochs=10)
    atoms = learner.fit(ll.data.patches(size=12, count=20_000).numpy()).components_
    digits = ll.data.mnist10k().train[:384, 0]
    labelled = torch.arange(384) % 97 == 48  # about one in a hundred
    with av.open(str(film)) as opened:
        frame = next(frame for frame in opened.decode(video=0) if frame.time >= 5).to_ndarray(format="rgb24")
    figure = Figure(figsize=(10, 2.9), layout="constrained")
    left, middle, right = figure.subplots(1, 3, width_ratios=(1.5, 1.5, 1.8))
    left.imshow(sheet(torch.from_numpy(atoms).float().reshape(-1, 12, 12), 12, each=True), cmap="gray")
    middle.imshow(sheet(digits, 24), cmap="gray")
    for place in labelled.nonzero()[:, 0].tolist():
        row, column = divmod(place, 24)
        middle.add_patch(Rectangle((29 * column, 29 * row), 28, 28, fill=False, color="tab:orange", linewidth=2))
    right.imshow(frame[2 * len(frame) // 5 :])  # without human replay and no action
    titles = (
        "Atoms learned from photographs",
        "Digits, one in a hundred labelled",
        "Policies learned from logs of traffic",
    )
    for axes, title in zip(figure.axes, titles, strict=True):
        axes.set_title(title, fontsize=10)
        axes.axis("off")
    save(figure, "jobs")


def sheet(images: torch.Tensor, columns: int, each: bool = False) -> torch.Tensor:
    """Images (N, H, W) side by side with a gap of one pixel, each with its own scale if `each` is set."""
    if each:
        low, high = (getattr(images.flatten(1), end)(dim=1)[:, None, None] for end in ("amin", "amax"))
        images = (images - low) / (high - low)
    padded = torch.nn.functional.pad(images, (0, 1, 0, 1), value=float(images.max()))
    rows = len(padded) // columns
    grid = padded[: rows * columns].reshape(rows, columns, *padded.shape[1:])
    return grid.permute(0, 2, 1, 3).reshape(rows * padded.shape[1], columns * padded.shape[2])


def main() -> None:
    """Read, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", nargs="?", type=Path, default=Path("runs/strategies/latest"), help="run of `strategies`")
    parser.add_argument("--film", type=Path, help="only draw the picture of README.md, with this film of `drive`")
    given = parser.parse_args()
    run = given.run
    torch.set_num_threads(1)
    FOLDER.mkdir(exist_ok=True)
    if given.film:
        jobs(given.film)
        return
    tutorial()
    fields: dict[str, dict[str, Field]] = {family: {} for family in FAMILIES}
    first: dict[str, Field] = {}
    titles: dict[str, str] = {}
    for method in VECTOR_METHODS.values():
        field = field_of(run, method.name)
        fields[method.family][method.title] = field
        if method.name in FIRST:
            first[method.family], titles[method.family] = field, method.title
    for family, drawn in fields.items():
        save(landscape_grid(drawn, columns=min(4, len(drawn))), family.lower())
    save(landscape_grid(first, columns=4, captions=titles), "strategies")


if __name__ == "__main__":
    main()
