"""`lowland export RUN --to onnx|safetensors|program`."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, arg

from lowland.cli.command import RunsCommand
from lowland.errors import CheckpointError, OptionError, nearest
from lowland.terminal import say

if TYPE_CHECKING:
    from torch import nn

    from lowland.energies.base import Energy


@dataclass(frozen=True)
class Export(RunsCommand):
    """Export the energies or policies of a run, or a pretrained encoder, for use elsewhere."""

    name: Annotated[Positional[str], arg(metavar="RUN")]
    """Folder of a run, name of a recipe for its newest run, or a .safetensors file of one."""
    to: Annotated[Literal["onnx", "safetensors", "program"], arg(metavar="FORMAT")]
    """Format to write: onnx, safetensors or program (PyTorch's exported program, .pt2)."""
    energy: Annotated[str | None, arg(metavar="NAME", help_behavior_hint="(default: all)")] = None
    """Only this energy or policy."""
    part: Annotated[str | None, arg(metavar="PART", help_behavior_hint="")] = None
    """Only a part of the energy that takes y, such as encoder."""
    int8: Annotated[str | None, arg(metavar="FOLDER", help_behavior_hint="")] = None
    """Also write an encoder's ONNX graph in 8 bits, with ranges from samples of this folder, and say what it costs."""

    def run(self) -> int:
        from lowland.planning.policy_files import PREFIX, policy_files

        given = Path(self.name)
        if self.int8 is not None and self.to != "onnx":
            raise OptionError("--int8 writes an ONNX graph of 8 bits: add --to onnx.")
        if self.name == "shipped":
            return self._policies(policy_files("shipped"), Path("exports"))
        if given.suffix == ".safetensors" and _is_policy(given):
            return self._policies({given.stem.removeprefix(PREFIX): given}, given.parent / "exports")
        if given.suffix == ".safetensors" or (given / "encoder.safetensors").is_file():
            return self._encoder(given if given.is_file() else given / "encoder.safetensors")
        folder = self.find(self.name)
        if kept := {path.parent.name: path.parent for path in sorted(folder.glob("checkpoints/*/config.json"))}:
            return self._energies(kept, folder)
        if policies := policy_files(folder):
            return self._policies(policies, folder / "exports")
        if (encoder := folder / "encoder" / "encoder.safetensors").is_file():
            return self._encoder(encoder)
        raise CheckpointError(f"{folder} keeps no energy to export: its recipe saves none, or the run was cut short.")

    def _energies(self, kept: dict[str, Path], folder: Path) -> int:
        from lowland import training

        self._only_encoders()
        if self.energy is not None and self.energy not in kept:
            raise OptionError(f"{folder} keeps no energy called {self.energy!r}. {nearest(self.energy, kept)}")
        for name in kept if self.energy is None else [self.energy]:
            module, example = _part(training.load_energy(kept[name]), self.part)
            path = folder / "exports" / (name if self.part is None else f"{name}-{self.part}")
            if self.to == "safetensors":
                written = training.export_safetensors(module, path.with_name(f"{path.name}.safetensors"))
            elif self.to == "onnx":
                written = training.export_onnx(module, example, path.with_name(f"{path.name}.onnx"))
            else:
                written = training.export_program(module, example, path.with_name(f"{path.name}.pt2"))
            say(written)
        return 0

    def _policies(self, kept: dict[str, Path], folder: Path) -> int:
        from lowland.planning import load_policy
        from lowland.training.policy_export import export_policy

        wanted = None if self.energy is None else self.energy.replace(" ", "-")
        self._only_encoders()
        if self.part is not None:
            raise OptionError("A policy is exported as a whole: leave out --part.")
        if wanted is not None and wanted not in kept:
            raise OptionError(f"{self.name} keeps no policy called {self.energy!r}. {nearest(wanted, kept)}")
        written: list[Path] = []
        for name in kept if wanted is None else [wanted]:
            written += export_policy(load_policy(kept[name]), name, self.to, folder)
        say(*dict.fromkeys(written))
        return 0

    def _encoder(self, path: Path) -> int:
        from lowland.training.encoder_files import export_encoder

        if self.energy is not None or self.part is not None:
            raise OptionError("An encoder is exported as a whole: leave out --energy and --part.")
        if self.to == "safetensors":
            raise OptionError(f"{path} is a safetensors file already, with encoder.py beside it to load it.")
        say(written := export_encoder(path, self.to))
        if self.int8 is not None:
            from lowland.training.int8 import export_encoder_int8

            found = export_encoder_int8(path, written, self.int8)
            say(found.path, found.text)
        return 0

    def _only_encoders(self) -> None:
        if self.int8 is not None:
            raise OptionError("--int8 is for an encoder of lowland pretrain: leave it out for energies and policies.")


def _is_policy(path: Path) -> bool:
    from lowland.planning.policy_files import KIND, policy_header

    with contextlib.suppress(CheckpointError):
        return policy_header(path).get("kind") == KIND
    return False


def _part(energy: Energy, part: str | None) -> tuple[nn.Module, Any]:
    """An energy, or a part of it such as its encoder, with an input of two samples to trace it with."""
    from lowland.training.export import example_of

    example = example_of(energy)
    if part is None:
        return energy, example
    parts = dict(energy.named_children())
    if part not in parts:
        raise OptionError(f"{type(energy).__name__} has no part {part!r}. {nearest(part, parts)}")
    return parts[part], example["y"]
