"""An encoder from a folder of the user's own images or series (rows J6, J7): the command `lowland pretrain`."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import math
import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, nn

from lowland.data.folder import Folder, check_used, read_folder
from lowland.data.label_files import FOLDERS, check_table
from lowland.data.photos import sample_photos
from lowland.data.prepare import Prepare
from lowland.data.survey import survey
from lowland.energies.joint_embedding import JointEmbedding
from lowland.errors import CheckpointError, OptionError, TrainingError
from lowland.evaluation.collapse import rankme
from lowland.evaluation.fine_tune import fine_tune
from lowland.evaluation.probe import Labelled
from lowland.files import write_atomically
from lowland.nn.standardised import Standardised
from lowland.recipes.base import Recipe, recipe
from lowland.recipes.pretrain_card import check_writable, write_artefacts
from lowland.recipes.pretrain_page import write_failure, write_found, write_page, write_results
from lowland.recipes.pretrain_test import Split, evaluate, represent, split
from lowland.reports.run import Run
from lowland.shaping.base import Batch
from lowland.shaping.joint import JointShaping
from lowland.training.fit import FitResult, fit
from lowland.training.options import read_options
from lowland.training.pretraining import (
    AUTO,
    Plan,
    build,
    check_choices,
    check_enough,
    plan,
    views_of,
    warm_cosine,
)
from lowland.training.samples import Lazy
from lowland.words import escaped

_log = logging.getLogger(__name__)
_PIECES = 20
"""Parts of a training, between which it is looked at."""
_LOOKED_AT = 512
_MEASURED, _NUMBERS = 4096, 2**25
_PACED = 6
_TAUGHT = 1000
"""Most steps of the training by labels alone, which is there to be compared with."""


@recipe(
    "pretrain",
    shows="An encoder is learned from a folder of images or series without labels, and compared with itself untrained "
    "and with the raw data. Without a folder of your own it learns from 500 pieces of sample photographs.",
    rows=("J6", "J7"),
    minutes=2,
    title="Pretraining on a folder",
)
@dataclass(frozen=True)
class PretrainRecipe(Recipe):
    """Reads a folder, trains an encoder by joint embedding, measures it, and writes it to be taken away."""

    folder: str = ""
    """Folder of images (PNG, JPEG, …) or series (.npy, .csv); empty for pieces of sample photographs."""
    labels: str = ""
    """CSV of two columns, file and label; or `folders`, where the sub-folder of a file is its class."""
    method: str = AUTO
    """Training method, such as vicreg, simclr or byol."""
    options: tuple[str, ...] = ()
    """Arguments of the method, such as variance=10 covariance=1."""
    encoder: str = AUTO
    """Network, such as ConvNet, ResNet18 or ResNet1d."""
    encoder_options: tuple[str, ...] = ()
    """Arguments of the encoder, such as width=32."""
    size: int = 0
    """Side of an image in pixels, or time steps of a window; 0: by the files."""
    levels: tuple[float, ...] = ()
    """Levels of black and white, such as 0 4095, of pictures of more than 8 bits; by default by what they hold."""
    views: str = AUTO
    """How samples are changed: auto, or a preset such as none, crop_only, mild or vicreg."""
    batch: int = 0
    """Samples of a step; 0: by their number."""
    epochs: int = 0
    """Passes through the data; 0: by their number."""
    steps: int = 0
    """Updates, instead of epochs."""
    minutes: float = 0.0
    """Train for about so long instead; how many steps that makes is found by trying."""
    rate: float = 0.001
    """Highest learning rate of AdamW; it warms up and falls along a cosine."""
    out: str = ""
    """Folder for the encoder; empty: `encoder` in the folder of the run."""
    photos: int = 500
    """Pieces of sample photographs, where no folder is given."""

    files: ClassVar[tuple[str, ...]] = ("labels",)
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {"photos": 60, "size": 16, "batch": 16, "steps": 4, "encoder_options": ("maps=8,16",)}
    }

    def __post_init__(self) -> None:
        if not 0 < self.rate < math.inf or not 0 <= self.minutes < math.inf:
            raise OptionError(
                f"rate must be positive, minutes not negative and both finite, not {self.rate:g} and {self.minutes:g}."
            )
        given = [name for name in ("steps", "epochs", "minutes") if getattr(self, name)]
        if len(given) > 1:
            raise OptionError(f"{given[0]} and {given[1]} both say how long to train: give one of them.")
        read_options(self.options)
        read_options(self.encoder_options)
        # A run is resumed from any place, so that its paths are whole.
        for name in ("folder", "out"):
            if getattr(self, name):
                object.__setattr__(self, name, os.path.realpath(getattr(self, name)))
        if self.labels and self.labels != FOLDERS:
            # pathlib raises at names that are too long, and where links go in a circle.
            inside = os.path.join(self.folder, self.labels)  # noqa: PTH118
            inner = self.folder and os.path.isfile(inside) and not os.path.isfile(self.labels)  # noqa: PTH113
            found = inside if inner else self.labels
            object.__setattr__(self, "labels", os.path.realpath(found))

    def run(self, run: Run) -> None:
        out = check_writable(Path(self.out) if self.out else run.folder / "encoder")
        self._check()
        folder, labels = self._folder(run)
        data = read_folder(folder, self.size, leave=_files(labels), levels=self.levels, watch=run.doing)
        check_used(data, self.levels)
        self._say(run, data)
        check_enough(len(data))
        parts = split(data, folder, labels, self.seed)
        chosen = plan(data.kind, len(parts.train), self.method, self.encoder, self.batch, self.epochs, self.steps)
        energy, shaping, encoder = self._build(chosen, data, parts)
        self._unchanged(run, data)
        if self.minutes:
            pace = run.stage("pace", partial(self._pace, chosen, data, parts))
            chosen = pace_to(chosen, self.minutes, pace["seconds"])
        run.expect(min(_PIECES, chosen.steps) + 3 + bool(self.minutes))
        run.part(write_found, self._name, data, parts, chosen, shaping, self.rate)
        try:
            looks = self._train(run, chosen, data, parts, energy, shaping, encoder)
        except TrainingError as error:
            run.part(write_failure, error, chosen)
            raise
        test = run.stage("test", partial(self._test, chosen, data, parts, energy, encoder))
        self._artefacts(run, out, data, parts, chosen, encoder, test)
        write_results(run, test["measured"], chosen, len(parts.test))
        run.part(write_page, data, parts, chosen, looks, test)

    # ---- data

    def _check(self) -> None:
        """What can be known to fail before a thousand files are read."""
        kind = survey(self.folder, leave=_files(self.labels)).kind if self.folder else "images"
        for table in _files(self.labels):
            check_table(Path(table))
        check_choices(
            kind, self.size, self.method, self.encoder, self.batch, self.epochs, self.steps,
            read_options(self.encoder_options), read_options(self.options), self.views,
        )  # fmt: skip

    @property
    def _name(self) -> str:
        return escaped(Path(self.folder).name) or "sample photographs"

    def _folder(self, run: Run) -> tuple[Path, str]:
        if self.folder:
            return Path(self.folder), self.labels
        run.stand_in("The data are pieces of sample photographs: give a folder of your own to learn from it.")
        place = run.folder / "photos"
        if not (place / "labels.csv").is_file():
            sample_photos(place, self.photos)
        return place, str(place / "labels.csv")

    def _say(self, run: Run, data: Folder) -> None:
        """What was converted or left out, before anything else can fail."""
        for note in data.notes:
            _log.warning("%s", note)
        if data.skipped:
            place = run.folder / "skipped.txt"
            write_atomically(place, "".join(f"{file}\t{why}\n" for file, why in data.skipped).encode())
            many = "1 file" if len(data.skipped) == 1 else f"{len(data.skipped):,} files"
            _log.warning("%s could not be used: %s says why.", many, place)

    def _unchanged(self, run: Run, data: Folder) -> None:
        content = hashlib.sha256(repr((data.files, data.starts, data.shape)).encode())
        content.update(data.values.numpy().data)
        now = {"samples": len(data), "sha256": content.hexdigest()}
        before = run.stage("files", lambda: now)
        if before != now:
            raise CheckpointError(
                f"The folder has changed since the run began: it had {before['samples']} samples and has {len(data)}, "
                "or some of them differ. Start a new run."
            )

    # ---- training

    def _build(self, chosen: Plan, data: Folder, parts: Split) -> tuple[JointEmbedding, JointShaping, Standardised]:
        energy, shaping, encoder = build(
            chosen, data.shape, read_options(self.encoder_options), read_options(self.options), self.views, self.seed
        )
        # Of large samples fewer say as much, since each has more numbers.
        count = min(_MEASURED, _NUMBERS // math.prod(data.shape))
        encoder.measure(data.take(parts.train[: max(1, count)]))
        return energy.to(self.device), shaping.to(self.device), encoder

    def _fit(
        self, energy: JointEmbedding, shaping: JointShaping, chosen: Plan, data: Folder, parts: Split, **more: Any
    ) -> FitResult:
        samples = Lazy(len(parts.train), lambda rows: as_batch(data, parts.train[rows]))
        schedule = partial(warm_cosine, chosen.steps)
        return fit(
            energy, samples, shaping, batch_size=chosen.batch, lr=self.rate, optimiser="adamw", weight_decay=1e-4,
            schedule=schedule, validation=0.0, seed=self.seed, progress=False, **more,
        )  # fmt: skip

    def _pace(self, chosen: Plan, data: Folder, parts: Split) -> dict[str, float]:
        """Seconds of a step, from the second on: the first one sets things up."""
        energy, shaping, _ = self._build(chosen, data, parts)
        seconds = [self._fit(energy, shaping, chosen, data, parts, max_steps=n).seconds for n in (1, 1 + _PACED)]
        return {"seconds": max(1e-4, (seconds[1] - seconds[0]) / _PACED)}

    def _train(
        self, run: Run, chosen: Plan, data: Folder, parts: Split, energy: JointEmbedding, shaping: JointShaping,
        encoder: Standardised,
    ) -> list[dict[str, Any]]:  # fmt: skip
        """Piece by piece, each from the checkpoint of the one before, with a look at the representations after each."""
        ends = sorted({max(1, round(chosen.steps * piece / _PIECES)) for piece in range(1, _PIECES + 1)})

        def look(end: int) -> dict[str, Any]:
            curves = {}
            if end:
                place = run.folder / "fit"
                found = self._fit(energy, shaping, chosen, data, parts, max_steps=end, run=place, resume=True)
                curves = {name: (list(curve.steps), list(curve.values)) for name, curve in found.history.items()}
            return {
                "step": end,
                "rankme": rankme(represent(encoder, data, parts.train[:_LOOKED_AT])),
                "curves": curves if end == ends[-1] else {},
            }

        modules = {ends[-1]: [energy]}
        return [
            run.stage(f"train/{end}-of-{chosen.steps}-steps", partial(look, end), modules.get(end, []))
            for end in (0, *ends)
        ]

    # ---- afterwards

    def _test(
        self, chosen: Plan, data: Folder, parts: Split, energy: JointEmbedding, encoder: Standardised
    ) -> dict[str, Any]:
        untrained, _, random = self._build(chosen, data, parts)

        def taught(few: Labelled, held: Labelled) -> nn.Module:
            """The same network from scratch, by labels alone, on the same views, for as many steps up to a limit."""
            found = fine_tune(
                random, few, held, views=views_of(data.kind, self.views), rates=(self.rate,),
                steps=min(chosen.steps, _TAUGHT), batch_size=chosen.batch, seed=self.seed,
            )  # fmt: skip
            return found.network[0]

        return evaluate(data, parts, (energy, encoder), (untrained, random), taught, self.views, self.seed)

    def _artefacts(
        self, run: Run, out: Path, data: Folder, parts: Split, chosen: Plan, encoder: Standardised, test: dict[str, Any]
    ) -> None:
        card = {
            "kind": data.kind,
            "levels": data.levels,
            "prepared": Prepare(data.kind, data.shape, data.levels).text,
            "data": self._name,
            "samples": len(parts.train),
            "skipped": len(data.skipped),
            "method": chosen.method,
            "method_options": read_options(self.options),
            "steps": chosen.steps,
            "batch": chosen.batch,
            "rate": self.rate,
            "views": self.views,
            "seed": self.seed,
            "measured": test["measured"],
        }
        write_artefacts(run, out, encoder.cpu(), read_options(self.encoder_options), card)


def _files(labels: str) -> list[str]:
    return [labels] if labels and labels != FOLDERS else []


def as_batch(data: Folder, rows: Tensor) -> Batch:
    """The samples of some rows as a batch."""
    return Batch(data.take(rows))


def pace_to(chosen: Plan, minutes: float, seconds: float) -> Plan:
    """The plan with as many steps as take so many minutes at so many seconds each."""
    steps = max(1, round(60 * minutes / seconds))
    why = f"{steps:,} steps: about {minutes:g} minutes, at {seconds:.3g} s for each of the first steps."
    kept = tuple(reason for reason in chosen.reasons if " epochs: " not in reason)
    return dataclasses.replace(chosen, steps=steps, reasons=(*kept, why))
