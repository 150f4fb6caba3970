"""Writes a network that labels pixels into a folder: an ONNX file with its classes, and a card."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lowland.files import write_atomically
from lowland.training.export import export_onnx
from lowland.words import verbatim

NAME = "parser.onnx"
_CARD = """# A network that labels every pixel

Made by `lowland segment`. `parser.onnx` takes images, float32 (B, {shape}) in [0, 1], RGB, and gives scores
(B, {classes}, {sides}): the class of a pixel is the largest.

```python
import numpy as np
import onnxruntime
from PIL import Image, ImageOps

picture = ImageOps.exif_transpose(Image.open("a.jpg"))
if picture.mode == "F" or picture.mode.startswith("I"):  # more than 8 bits
{deep}
picture = picture.convert("RGBA")
picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
picture = picture.resize(({width}, {height}), Image.Resampling.BICUBIC)
image = np.asarray(picture, np.float32).transpose(2, 0, 1)[None] / 255
labels = onnxruntime.InferenceSession("parser.onnx").run(None, {{"images": image}})[0][0].argmax(axis=0)
```

| number | class | value in masks |
|---|---|---|
{table}

| | |
|---|---|
{facts}

## Limits

The page of the run says how well it does on pictures that it has not seen; the file here has learned from all masks.
It does without the field of labels, which `lowland segment` adds. On other pictures, measure before you rely on it.
"""
_DEEP = """    black, white = {0!r}, {1!r}  # as in the pictures that it has learned from
    levels = (np.asarray(picture, np.float64) - black) / (white - black)
    picture = Image.fromarray((levels.clip(0, 1) * 255).round().astype(np.uint8))"""
_SHALLOW = '    raise ValueError("the network has learned from pictures of 8 bits: which levels are black and white?")'


def write_parser(
    folder: Path,
    network: nn.Module,
    classes: Sequence[str],
    values: Sequence[str],
    facts: Mapping[str, str],
    levels: tuple[float, float] | None = None,
) -> Path:
    """Write `parser.onnx` and the card `README.md`; returns the path of the first.

    Args:
        folder: where they go.
        network: trained, (B, 3, H, W) → (B, K, H, W), with the attribute `shape`.
        classes, values: K names, and what stands for each in masks.
        facts: for the card, Markdown by name.
        levels: black and white of the pictures of more than eight bits, if there were any.

    Raises:
        OptionError, UnsupportedError, CheckpointError: see `export_onnx`.
    """
    shape: Any = network.shape
    example = torch.rand(2, *shape, generator=torch.Generator().manual_seed(0))
    notes = {"classes": json.dumps(list(classes)), "values": json.dumps(list(values))}
    made = export_onnx(network, example, folder / NAME, inputs=("images",), output="scores", notes=notes)
    rows = [f"| {k} | {verbatim(one)} | {value} |" for k, (one, value) in enumerate(zip(classes, values, strict=True))]
    text = _CARD.format(
        shape=", ".join(map(str, shape)), sides=f"{shape[1]}, {shape[2]}", height=shape[1], width=shape[2],
        classes=len(classes), table="\n".join(rows), deep=_DEEP.format(*levels) if levels else _SHALLOW,
        facts="\n".join(f"| {key} | {value} |" for key, value in facts.items()),
    )  # fmt: skip
    write_atomically(folder / "README.md", text.encode())
    return made
