"""A trained encoder to take away: weights with a card in their header, and the code that loads them without Lowland."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from lowland.bounded import parse_json
from lowland.checksums import read_tensors
from lowland.errors import CheckpointError, OptionError
from lowland.files import write_atomically
from lowland.nn.standardised import Standardised
from lowland.registry import find
from lowland.training.export import export_safetensors, import_safetensors
from lowland.training.source_of import source_of

KIND = "lowland encoder 1"
WEIGHTS = "encoder.safetensors"


def save_encoder(
    encoder: Standardised, options: Mapping[str, Any], folder: str | Path, card: Mapping[str, Any]
) -> Path:
    """Write `encoder.safetensors` and, beside it, `encoder.py`, which needs torch and safetensors alone.

        from encoder import load
        encoder = load("encoder.safetensors")

    Args:
        encoder: the encoder that it holds is of a registered class.
        options: arguments of that class, in plain numbers, text, lists and tuples.
        folder: of the two files.
        card: what else stands in the header as JSON, such as the kind of data and what was measured.

    Returns:
        the path of the weights.

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


def load_encoder(path: str | Path) -> tuple[Standardised, dict[str, Any]]:
    """The encoder that `save_encoder` wrote, ready for use, and its card.

    Args:
        path: of the weights, of their folder, or of a run of `pretrain`.

    Raises:
        CheckpointError: if the file is missing, damaged or something else.
        OptionError: if there is no encoder of that class (a plugin that is not loaded, perhaps).
    """
    path = weights_in(Path(path))
    if path.is_dir():
        raise CheckpointError(f"There is no {WEIGHTS} in {path}: name the one of `lowland pretrain`.")
    if not path.exists():
        raise CheckpointError(f"There is no encoder at {path}: name the {WEIGHTS} of `lowland pretrain`.")
    _, header = read_tensors(path)
    if header.get("kind") != KIND:
        raise CheckpointError(f"{path} is a safetensors file, but not an encoder that `lowland pretrain` wrote.")
    try:
        card = parse_json(header["card"])
        encoder = Standardised(build_encoder(header["class"], tuple(card["shape"]), card["options"]))
    except OptionError:
        raise
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} is not a whole encoder: its header says {error}.") from None
    import_safetensors(encoder, path)
    return encoder.eval(), card


def weights_in(path: Path) -> Path:
    """The weights of an encoder in a folder, or in a run; any other path as it is."""
    inside = (path / WEIGHTS, path / "encoder" / WEIGHTS, path / "latest" / "encoder" / WEIGHTS)
    return next((file for file in inside if file.is_file()), path)


def build_encoder(name: str, shape: tuple[int, ...], options: Mapping[str, Any]) -> nn.Module:
    """An encoder of a registered class; lists in the options become tuples, which JSON does not have."""
    plain = {key: tuple(value) if isinstance(value, list) else value for key, value in options.items()}
    return find("encoder", name)(shape=shape, **plain)


_LOAD = '''
def load(path):
    """The trained encoder: float32 (B, *shape) -> (B, size). Images are in [0, 1]; it standardises them itself."""
    from safetensors import safe_open
    from safetensors.torch import load_file

    with safe_open(path, framework="pt") as file:
        header = file.metadata() or {{}}
    if header.get("class") != "{name}":
        raise ValueError(f"{{path}} does not hold the weights of a {name}.")
    card = json.loads(header["card"])
    options = {{key: tuple(value) if isinstance(value, list) else value for key, value in card["options"].items()}}
    encoder = Standardised({name}(shape=tuple(card["shape"]), **options))
    encoder.load_state_dict(load_file(path))
    encoder.card = card
    return encoder.eval()
'''


def _code(kind: type) -> str:
    head = (
        f'"""{kind.__name__} as Lowland trained it. Needs torch and safetensors alone.\n\n'
        '    from encoder import load\n    encoder = load("encoder.safetensors")\n"""\n\n'
        "from __future__ import annotations\n\nimport json\n"
    )
    return head + source_of(kind, Standardised) + "\n" + _LOAD.format(name=kind.__name__)
