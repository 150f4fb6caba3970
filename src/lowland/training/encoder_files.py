"""Encoder files: weights with a model card in their header, and the code that loads them without Lowland."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lowland.bounded import parse_json
from lowland.checksums import read_tensors
from lowland.data.prepare import Prepare
from lowland.errors import CheckpointError, OptionError
from lowland.files import regular, write_atomically
from lowland.nn.standardised import Standardised
from lowland.registry import find
from lowland.training.export import export_onnx, export_program, export_safetensors, import_safetensors
from lowland.training.packed import load_packed, save_packed
from lowland.training.source_of import source_of

KIND = "lowland encoder 1"
PACKED = "lowland packed encoder 1"
WEIGHTS = "encoder.safetensors"


def save_encoder(
    encoder: Standardised, options: Mapping[str, Any], folder: str | Path, card: Mapping[str, Any]
) -> Path:
    """Write `encoder.safetensors` and, beside it, `encoder.py`, which needs no Lowland.

        from encoder import load
        encoder = load("encoder.safetensors")
        vectors = encoder(encoder.prepare("cat.jpg"))

    It needs torch, NumPy and safetensors, and Pillow to read image files.

    Args:
        encoder: wraps an encoder of a registered class.
        options: constructor arguments of that class: numbers, text, lists and tuples.
        folder: where both files go.
        card: further metadata, stored in the header as JSON, such as measured numbers. Its `kind`, "images" or
            "series", and `levels`, black and white of images of more than eight bits or None, say how samples are
            prepared.

    Returns:
        the path of the weights file.

    Raises:
        CheckpointError: if the files cannot be written.
        UnsupportedError: if the code of the encoder cannot stand alone.
    """
    folder = Path(folder)
    kind = type(encoder.encoder)
    known = {"shape": list(encoder.shape), "size": encoder.size, "options": dict(options)} | dict(card)
    header = {"format": "pt", "kind": KIND, "class": kind.__name__, "card": json.dumps(known)}
    write_atomically(folder / "encoder.py", _code(kind).encode())
    return export_safetensors(encoder, folder / WEIGHTS, header)


def save_small(encoder: Standardised, path: str | Path, card: Mapping[str, Any]) -> Path:
    """Write an encoder of few bits, of `lowland.nn.quantised`, as one packed file, which `load_encoder` reads.

    Args:
        encoder: a quantised copy of an encoder that `load_encoder` read.
        path: where the file goes.
        card: that of the encoder, perhaps with more entries.

    Raises:
        UnsupportedError: for an encoder that is not quantised.
        CheckpointError: if the file cannot be written.
    """
    header = {"kind": PACKED, "class": type(encoder.encoder).__name__, "card": json.dumps(dict(card))}
    return save_packed(encoder, path, header)


def load_encoder(path: str | Path) -> tuple[Standardised, dict[str, Any]]:
    """The encoder that `save_encoder` or `save_small` wrote, ready for use, and its card.

    Args:
        path: of the weights, of their folder, or of a run of `pretrain`.

    Raises:
        CheckpointError: if the file is missing, damaged or something else.
        OptionError: if there is no encoder of that class (a plugin that is not loaded, perhaps).
    """
    path = weights_in(Path(path))
    if path.exists() and not path.is_dir():
        regular(path, CheckpointError)
    if path.is_dir():
        raise CheckpointError(f"There is no {WEIGHTS} in {path}: name the one of `lowland pretrain`.")
    if not path.exists():
        raise CheckpointError(f"There is no encoder at {path}: name the {WEIGHTS} of `lowland pretrain`.")
    _, header = read_tensors(path)
    if header.get("kind") not in (KIND, PACKED):
        raise CheckpointError(f"{path} is a safetensors file, but not an encoder that `lowland pretrain` wrote.")
    try:
        card = parse_json(header["card"])
        encoder = Standardised(build_encoder(header["class"], tuple(card["shape"]), card["options"]), prepare_by(card))
    except OptionError:
        raise
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} is not a whole encoder: its header says {error}.") from None
    if header["kind"] == PACKED:
        return load_packed(path, encoder).eval(), card
    import_safetensors(encoder, path)
    return encoder.eval(), card


def prepare_by(card: Mapping[str, Any]) -> Prepare:
    """The preprocessing that the encoder of this card expects."""
    levels = card.get("levels")
    return Prepare(card["kind"], tuple(card["shape"]), None if levels is None else (levels[0], levels[1]))


class Guarded(nn.Module):
    """An encoder for exported graphs, which cannot raise errors: an image outside [0, 1] gives a vector of NaN.

    >>> from lowland.nn.encoders.convnet import ConvNet
    >>> encoder = Standardised(ConvNet((1, 16, 16)), Prepare("images", (1, 16, 16))).eval()
    >>> Guarded(encoder)(torch.tensor([0.5, 255.0])[:, None, None, None].expand(2, 1, 16, 16)).isnan().all(dim=1)
    tensor([False,  True])
    """

    def __init__(self, encoder: Standardised) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, sample: Tensor) -> Tensor:
        encoder = self.encoder
        vectors = encoder.encoder((sample - encoder.mean) / encoder.deviation)
        if encoder.prepare is None or encoder.prepare.kind != "images":
            return vectors
        inside = ((sample >= 0) & (sample <= 1)).flatten(1).all(dim=1, keepdim=True)
        return torch.where(inside, vectors, torch.nan)


def export_encoder(path: Path, to: str) -> Path:
    """Write the encoder at a path as "onnx" or "program" beside its weights, and return the file.

    The input is named "images" or "series", and its shape and dtype are in the file, so runtimes check them. The output
    is named "vectors". Images outside [0, 1] give NaN. An ONNX file holds the card and the preprocessing as metadata.

    Raises:
        CheckpointError, OptionError, UnsupportedError: see `load_encoder`, `export_onnx` and `export_program`.
    """
    encoder, card = load_encoder(path)
    example = torch.rand(2, *encoder.shape, generator=torch.Generator().manual_seed(0))
    guarded = Guarded(encoder).eval()
    if to == "program":
        return export_program(guarded, example, path.with_suffix(".pt2"))
    notes = {"card": json.dumps(card), "prepared": encoder.prepare.text if encoder.prepare is not None else ""}
    place = path.with_suffix(".onnx")
    return export_onnx(guarded, example, place, inputs=(card["kind"],), output="vectors", notes=notes)


def weights_in(path: Path) -> Path:
    """The weights file inside a folder or a run; any other path is returned as it is."""
    inside = (path / WEIGHTS, path / "encoder" / WEIGHTS, path / "latest" / "encoder" / WEIGHTS)
    return next((file for file in inside if file.is_file()), path)


def build_encoder(name: str, shape: tuple[int, ...], options: Mapping[str, Any]) -> nn.Module:
    """Build a registered encoder; lists in the options become tuples, which JSON cannot store."""
    plain = {key: tuple(value) if isinstance(value, list) else value for key, value in options.items()}
    return find("encoder", name)(shape=shape, **plain)


_LOAD = '''
def load(path):
    """The trained encoder: float32 (B, *shape) -> (B, size). Images are in [0, 1]; it standardises them itself.

    `encoder.prepare(source)` makes such a batch from a file's path, an array, or a list of either.
    """
    from safetensors import safe_open
    from safetensors.torch import load_file

    with safe_open(path, framework="pt") as file:
        header = file.metadata() or {{}}
    if header.get("class") != "{name}":
        raise ValueError(f"{{path}} does not hold the weights of a {name}.")
    card = json.loads(header["card"])
    options = {{key: tuple(value) if isinstance(value, list) else value for key, value in card["options"].items()}}
    levels = card.get("levels")
    prepare = Prepare(card["kind"], tuple(card["shape"]), None if levels is None else (levels[0], levels[1]))
    encoder = Standardised({name}(shape=prepare.shape, **options), prepare)
    encoder.load_state_dict(load_file(path))
    encoder.card = card
    return encoder.eval()
'''


def _code(kind: type) -> str:
    head = (
        f'"""{kind.__name__} as Lowland trained it. Needs torch, NumPy and safetensors, and Pillow for images.\n\n'
        '    from encoder import load\n    encoder = load("encoder.safetensors")\n'
        '    vectors = encoder(encoder.prepare("a file"))\n"""\n\n'
        "from __future__ import annotations\n\nimport json\n"
    )
    return head + source_of(kind, Standardised) + "\n" + _LOAD.format(name=kind.__name__)
