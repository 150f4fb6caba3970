"""What `pretrain` leaves to be taken away: weights, the code that loads them, and a model card."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lowland.errors import CheckpointError
from lowland.files import temporary_name, write_atomically
from lowland.nn.standardised import Standardised
from lowland.reports.run import Run
from lowland.training.encoder_files import save_encoder


def check_writable(folder: Path) -> Path:
    """Make the folder, and raise a CheckpointError before any work is done if nothing can be written there."""
    probe = temporary_name(folder / "lowland")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise CheckpointError(f"{folder} cannot be written ({error.strerror}): choose another folder.") from error
    return folder


def write_artefacts(
    run: Run, out: Path, encoder: Standardised, options: Mapping[str, Any], card: Mapping[str, Any]
) -> None:
    """Write `encoder.safetensors`, `encoder.py` and `README.md`, and say on the page how to use them."""
    weights = save_encoder(encoder, options, out, card)
    write_atomically(out / "README.md", _readme(encoder, options, card).encode())
    run.made.append(weights)
    run.section("The encoder, to be taken away")
    run.text(
        f"`{weights.name}`, `encoder.py` and a model card stand in `{out}`. They need no Lowland, but torch, NumPy "
        "and safetensors, and Pillow to prepare pictures:"
    )
    run.text(_indented(_use(encoder, card)))
    run.text(
        f"    lowland embed {weights} FOLDER --out vectors.npy\n    lowland export {weights} --to onnx\n\n"
        "make vectors of a folder, and an ONNX file."
    )


def _use(encoder: Standardised, card: Mapping[str, Any]) -> str:
    shape = ", ".join(map(str, encoder.shape))
    file = "a picture.jpg" if card["kind"] == "images" else "a series.csv"
    return (
        'from encoder import load\n\nencoder = load("encoder.safetensors")\n'
        f'batch = encoder.prepare("{file}")  # float32 (B, {shape}), as `lowland embed` makes it\n'
        f"vectors = encoder(batch)  # (B, {encoder.size})"
    )


def _indented(text: str) -> str:
    return "\n".join(f"    {line}".rstrip() for line in text.split("\n"))


def _readme(encoder: Standardised, options: Mapping[str, Any], card: Mapping[str, Any]) -> str:
    mean, deviation = (
        ", ".join(f"{value:.4g}" for value in part.flatten()) for part in (encoder.mean, encoder.deviation)
    )
    kind = type(encoder.encoder).__name__
    names = list(dict.fromkeys(name for row in card["measured"].values() for name in row))
    table = [f"| | {' | '.join(names)} |", f"|---|{'---|' * len(names)}"]
    for method, row in card["measured"].items():
        table.append(f"| {method} | {' | '.join(f'{row[name]:.3f}' if name in row else '–' for name in names)} |")
    tensors = encoder.state_dict().values()
    facts = {
        "network": f"{kind}({', '.join(f'{key}={value}' for key, value in options.items())})",
        "numbers in it": f"{sum(tensor.numel() for tensor in tensors):,}",
        "input": f"float32 (B, {', '.join(map(str, encoder.shape))}), {card['kind']}",
        "prepared by": card["prepared"],
        "output": f"(B, {encoder.size})",
        "standardised inside by": f"mean {mean}; deviation {deviation}, for each channel",
        "learned from": f"{card['samples']:,} samples of {card['data']}; {card['skipped']} files could not be used",
        "method": f"{card['method']} {json.dumps(card['method_options']) if card['method_options'] else ''}".strip(),
        "training": f"{card['steps']:,} steps of {card['batch']}, rate {card['rate']:g}, seed {card['seed']}",
    }
    lines = "\n".join(f"| {name} | {value} |" for name, value in facts.items())
    return (
        f"# An encoder of {card['kind']}\n\nMade by `lowland pretrain`, without labels.\n\n```python\n"
        f"{_use(encoder, card)}\n```\n\n| | |\n|---|---|\n{lines}\n\n## Measured\n\n"
        "On samples that the encoder has not seen. Pairs told apart: how often two views of one sample are closer than "
        "views of two (area under the ROC curve, ½ is chance). RankMe: how many directions the representations use. "
        "Linear probe and kNN: share of right classes, where labels were given.\n\n"
        + "\n".join(table)
        + "\n\n## Limits\n\nIt knows what was in its folder. On other data, measure before you rely on it.\n"
    )
