"""`lowland shrink ENCODER FOLDER`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from lowland.cli.command import Command
from lowland.cli.errors import FAILURE
from lowland.terminal import say


@dataclass(frozen=True)
class Shrink(Command):
    """Store an encoder of `lowland pretrain` in few bits, with a limit on what that may cost.

    The weights are rounded to --bits. The layers whose rounding costs most get more bits until the loss is within
    --error; only if --most bits everywhere lose more is the encoder trained on, to give the codes of the original.
    Your files are split into three: to calibrate, to choose the bits, and to measure the loss printed at the end.

    With --labels the loss is in points of accuracy of a linear probe that was trained on the original's codes. Without,
    it is in % of the variance of the codes. If the limit does not hold on the held-out files, the command says so
    and ends with exit code 1; the file is written all the same.

    The file is read wherever an encoder is, for instance by `lowland embed small.safetensors my_photos`. It saves
    bytes, not time: in torch the rounded weights are floating-point numbers. For time, see `lowland export --int8`.

        lowland shrink runs/pretrain/latest my_photos
        lowland shrink encoder.safetensors my_photos --bits 4 --error 1 --labels folders
        lowland shrink encoder.safetensors my_photos --bits 3 --most 3 --steps 1000
    """

    encoder: Annotated[Positional[Path], arg(metavar="ENCODER")]
    """File encoder.safetensors that `lowland pretrain` wrote, its folder, or the folder of the run."""
    folder: Annotated[Positional[str], arg(metavar="FOLDER")]
    """Folder of images, or of .npy or .csv series, as the encoder will see them; 20 samples or more."""
    bits: int = 6
    """Bits of a weight at first, 1 to 8."""
    error: float = 0.5
    """Largest loss: points of a linear probe with --labels, else % of the variance of the codes."""
    most: int = 8
    """Bits that a layer may be raised to. With --most equal to --bits, only training makes up for the rounding."""
    activations: Annotated[int | None, arg(metavar="BITS", help_behavior_hint="(default: floating point)")] = None
    """Bits of the inputs of layers, 1 to 8. They make the file no smaller."""
    labels: str = ""
    """CSV of two columns, file and label; or `folders`, where a file's sub-folder is its class."""
    steps: int = 300
    """Training steps at most, if rounding alone loses more than --error; 0 for none."""
    seed: int = 0
    """Of the split of the files and the order of training."""
    out: Annotated[Path | None, arg(metavar="FILE", help_behavior_hint="(default: small.safetensors beside it)")] = None
    """File to write."""

    def run(self) -> int:
        from lowland.evaluation.shrinking_files import shrink_folder
        from lowland.reports.progress import Progress

        bar = Progress()
        bar.open("shrink")
        try:
            made = shrink_folder(
                self.encoder, self.folder, self.out, self.labels, self.bits, self.error, self.most, self.activations,
                self.steps, self.seed, bar.start,
            )  # fmt: skip
        finally:
            bar.close()
        for note in made.notes:
            say(f"lowland: {note}", aside=True)
        say(made.path, *made.lines)
        return 0 if made.kept else FAILURE
