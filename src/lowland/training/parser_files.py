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
from PIL import Image

picture = Image.open("a.jpg").convert("RGB").resize(({width}, {height}), Image.Resampling.BICUBIC)
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


def write_parser(
    folder: Path, network: nn.Module, classes: Sequence[str], values: Sequence[str], facts: Mapping[str, str]
) -> Path:
    """Write `parser.onnx` and the card `README.md`; returns the path of the first.

    Args:
        folder: where they go.
        network: trained, (B, 3, H, W) → (B, K, H, W), with the attribute `shape`.
        classes, values: K names, and what stands for each in masks.
        facts: for the card, Markdown by name.

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
        classes=len(classes), table="\n".join(rows),
        facts="\n".join(f"| {key} | {value} |" for key, value in facts.items()),
    )  # fmt: skip
    write_atomically(folder / "README.md", text.encode())
    return made
