"""Writes a pretrained encoder into a folder: weights, the code that loads them, and a model card."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lowland.errors import CheckpointError
from lowland.files import temporary_name, write_atomically
from lowland.nn.standardised import Standardised
from lowland.training.encoder_files import save_encoder

_CARD = """# An encoder of {kind}

Made by `lowland pretrain`, without labels.

```python
{usage}
```

| | |
|---|---|
{facts}

## Measured

On samples that the encoder has not seen. Pairs told apart: how often two views of one sample are closer than views of \
two samples (area under the ROC curve, ½ is chance). RankMe: how many directions the representations use. Linear probe \
and kNN: accuracy, if labels were given.

{measured}

## Limits

It was trained on the files of one folder. On other data, measure before you rely on it.
"""


def check_writable(folder: Path) -> Path:
    """Make the folder, and raise a CheckpointError if nothing can be written there; call it before long work."""
    probe = temporary_name(folder / "lowland")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise CheckpointError(f"{folder} cannot be written ({error.strerror}): choose another folder.") from error
    return folder


def write_encoder(folder: Path, encoder: Standardised, options: Mapping[str, Any], card: Mapping[str, Any]) -> Path:
    """Write `encoder.safetensors`, `encoder.py` and the model card `README.md`; returns the path of the weights.

    Args:
        folder: where the three files go.
        encoder: see `save_encoder`.
        options: constructor arguments of its class.
        card: see `model_card`.

    Raises:
        CheckpointError, UnsupportedError: see `save_encoder`.
    """
    weights = save_encoder(encoder, options, folder, card)
    write_atomically(folder / "README.md", model_card(encoder, options, card).encode())
    return weights


def usage(encoder: Standardised, kind: str) -> str:
    """Python code that loads the encoder and computes vectors, run in the folder of its files.

    Args:
        kind: "images" or "series".
    """
    shape = ", ".join(map(str, encoder.shape))
    file = "a picture.jpg" if kind == "images" else "a series.csv"
    return (
        'from encoder import load\n\nencoder = load("encoder.safetensors")\n'
        f'batch = encoder.prepare("{file}")  # float32 (B, {shape}), as `lowland embed` makes it\n'
        f"vectors = encoder(batch)  # (B, {encoder.size})"
    )


def model_card(encoder: Standardised, options: Mapping[str, Any], card: Mapping[str, Any]) -> str:
    """The card as Markdown.

    Args:
        encoder, options: see `write_encoder`.
        card: "kind", "prepared", "data", "samples", "skipped", "method", "method_options", "steps", "batch", "rate",
            "seed", and "measured": numbers by method and measure.
    """
    mean, deviation = (
        ", ".join(f"{value:.4g}" for value in part.flatten()) for part in (encoder.mean, encoder.deviation)
    )
    names = list(dict.fromkeys(name for row in card["measured"].values() for name in row))
    table = [f"| | {' | '.join(names)} |", f"|---|{'---|' * len(names)}"]
    for method, row in card["measured"].items():
        table.append(f"| {method} | {' | '.join(f'{row[name]:.3f}' if name in row else '–' for name in names)} |")
    arguments = ", ".join(f"{key}={value}" for key, value in options.items())
    facts = {
        "network": f"{type(encoder.encoder).__name__}({arguments})",
        "parameters": f"{sum(tensor.numel() for tensor in encoder.state_dict().values()):,}",
        "input": f"float32 (B, {', '.join(map(str, encoder.shape))}), {card['kind']}",
        "prepared by": card["prepared"],
        "output": f"(B, {encoder.size})",
        "standardised inside by": f"mean {mean}; deviation {deviation}, for each channel",
        "trained on": f"{card['samples']:,} samples of {card['data']}; {card['skipped']} files could not be used",
        "method": f"{card['method']} {json.dumps(card['method_options']) if card['method_options'] else ''}".strip(),
        "training": f"{card['steps']:,} steps of {card['batch']}, rate {card['rate']:g}, seed {card['seed']}",
    }
    lines = "\n".join(f"| {name} | {value} |" for name, value in facts.items())
    return _CARD.format(kind=card["kind"], usage=usage(encoder, card["kind"]), facts=lines, measured="\n".join(table))
