"""An encoder from a folder of the user's own images or series: the command `lowland pretrain`."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from torch import nn

from lowland.data.folder import Folder, check_used, read_folder
from lowland.data.label_files import FOLDERS, check_table
from lowland.data.photos import sample_photos
from lowland.data.prepare import Prepare
from lowland.data.split import Split, split_folder
from lowland.data.survey import survey
from lowland.energies.joint_embedding import JointEmbedding
from lowland.errors import CheckpointError, CollapseError, OptionError, TrainingError
from lowland.evaluation.collapse import rankme
from lowland.evaluation.fine_tune import fine_tune
from lowland.evaluation.pretrained import compare_encoders, represent_rows
from lowland.evaluation.probe import Labelled
from lowland.files import write_atomically
from lowland.nn.standardised import Standardised
from lowland.recipes.base import Count, NotNegative, Positive, Recipe, recipe
from lowland.recipes.joint.pretrain import shown
from lowland.reports.run import Run
from lowland.shaping.joint import JointShaping
from lowland.terminal import shell
from lowland.training.folder_training import FolderTraining
from lowland.training.model_card import check_writable, usage, write_encoder
from lowland.training.options import read_options
from lowland.training.pretraining import AUTO, check_choices, check_enough, pace_to, plan, views_of
from lowland.words import escaped

_log = logging.getLogger(__name__)
_PIECES, _LOOKED_AT = 20, 512
"""Parts of a training, and samples whose representations are measured after each."""
_SUPERVISED = 1000
"""Most steps of the supervised training."""


@recipe
@dataclass(frozen=True)
class PretrainRecipe(Recipe):
    """Reads a folder, trains an encoder by joint embedding, evaluates it, and writes it for use elsewhere."""

    folder: str = ""
    """Folder of images (PNG, JPEG, …) or series (.npy, .csv); empty for crops of sample photographs."""
    labels: str = ""
    """CSV of two columns, file and label; or `folders`, where a file's sub-folder is its class."""
    method: str = AUTO
    """Training method, such as vicreg, simclr or byol."""
    options: tuple[str, ...] = ()
    """Arguments of the method, such as variance=10 covariance=1."""
    encoder: str = AUTO
    """Network, such as ConvNet, ResNet18 or ResNet1d."""
    encoder_options: tuple[str, ...] = ()
    """Arguments of the encoder, such as width=32."""
    size: int = 0
    """Side of an image in pixels, or time steps of a window; 0 chooses by the files."""
    levels: tuple[float, ...] = ()
    """Black and white level of pictures of more than 8 bits, such as 0 4095; by default read off their pixels."""
    views: str = AUTO
    """Augmentation: auto, or a preset such as none, crop_only, mild or vicreg."""
    batch: int = 0
    """Samples in a batch; 0 chooses by their number."""
    epochs: int = 0
    """Passes over the data; 0 chooses by the number of samples."""
    steps: int = 0
    """Training steps, instead of epochs."""
    minutes: NotNegative = 0.0
    """Train for about this many minutes instead; a few steps are timed first."""
    rate: Positive = 0.001
    """Highest learning rate of AdamW; it warms up, then falls along a cosine."""
    out: str = ""
    """Folder for the encoder; by default `encoder` in the folder of the run."""
    photos: Count = 500
    """Crops of sample photographs, if no folder is given."""

    files: ClassVar[tuple[str, ...]] = ("labels",)
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {"photos": 60, "size": 16, "batch": 16, "steps": 4, "encoder_options": ("maps=8,16",)}
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        given = [name for name in ("steps", "epochs", "minutes") if getattr(self, name)]
        if len(given) > 1:
            raise OptionError(f"{given[0]} and {given[1]} both say how long to train: give one of them.")
        read_options(self.options)
        read_options(self.encoder_options)
        # A run is resumed from any place, so its paths are absolute.
        for name in ("folder", "out"):
            if getattr(self, name):
                object.__setattr__(self, name, os.path.realpath(getattr(self, name)))
        if self.labels and self.labels != FOLDERS:
            # pathlib raises at names that are too long, and where links go in a circle.
            inside = os.path.join(self.folder, self.labels)  # noqa: PTH118  see above
            inner = self.folder and os.path.isfile(inside) and not os.path.isfile(self.labels)  # noqa: PTH113  see above
            object.__setattr__(self, "labels", os.path.realpath(inside if inner else self.labels))

    def run(self, run: Run) -> None:
        out = check_writable(Path(self.out) if self.out else run.folder / "encoder")
        self._check()
        folder, labels = self._folder(run)
        data = read_folder(folder, self.size, leave=_files(labels), levels=self.levels, watch=run.doing)
        check_used(data, self.levels)
        self._report_skipped(run, data)
        check_enough(len(data))
        parts = split_folder(data, folder, labels, self.seed)
        chosen = plan(data.kind, len(parts.train), self.method, self.encoder, self.batch, self.epochs, self.steps)
        options, more = read_options(self.encoder_options), read_options(self.options)
        work = FolderTraining(chosen, data, parts.train, options, more, self.views, self.rate, self.seed, self.device)
        energy, shaping, encoder = work.build()
        self._check_unchanged(run, data)
        if self.minutes:
            pace = run.stage("pace", lambda: {"seconds": work.seconds()})
            work = dataclasses.replace(work, plan=pace_to(chosen, self.minutes, pace["seconds"]))
        run.expect(min(_PIECES, work.plan.steps) + 3 + bool(self.minutes))
        run.show(name=self._name)
        shown.describe(run, work, parts, shaping)
        run.part(shown.samples, data, parts, shaping)
        try:
            looks = self._train(run, work, energy, shaping, encoder)
        except TrainingError as error:
            run.show(failed=[type(error).__name__, str(error)], collapsed=isinstance(error, CollapseError))
            run.part(shown.training, shown.curves_of(error.result), work.plan.method)
            raise
        test = run.stage("test", partial(self._test, work, parts, energy, encoder))
        self._write_encoder(run, out, work, encoder, test["measured"])
        for method, row in test["measured"].items():
            for measure, value in row.items():
                run.measured.set(method, measure, value)
        if test["right"]:
            shown.judge(run, test["right"], [data.files[row] for row in test["plane_rows"].tolist()])
        run.part(shown.results, data, parts, test)
        ranks = [(one["step"], one["rankme"]) for one in looks]
        run.part(shown.training, looks[-1]["curves"], work.plan.method, ranks)

    # Data

    def _check(self) -> None:
        """Whatever can be known to fail before a thousand files are read."""
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
        run.stand_in("The data are crops of sample photographs: give a folder of your own to learn from it.")
        place = run.folder / "photos"
        if not (place / "labels.csv").is_file():
            sample_photos(place, self.photos)
        return place, str(place / "labels.csv")

    def _report_skipped(self, run: Run, data: Folder) -> None:
        """What was converted or left out is said before anything else can fail."""
        for note in data.notes:
            _log.warning("%s", note)
        if data.skipped:
            place = run.folder / "skipped.txt"
            write_atomically(place, "".join(f"{file}\t{why}\n" for file, why in data.skipped).encode())
            many = "1 file" if len(data.skipped) == 1 else f"{len(data.skipped):,} files"
            _log.warning("%s could not be used: %s says why.", many, place)

    def _check_unchanged(self, run: Run, data: Folder) -> None:
        content = hashlib.sha256(repr((data.files, data.starts, data.shape)).encode())
        content.update(data.values.numpy().data)
        now = {"samples": len(data), "sha256": content.hexdigest()}
        before = run.stage("files", lambda: now)
        if before != now:
            raise CheckpointError(
                f"The folder has changed since the run began: it had {before['samples']} samples and has {len(data)}, "
                "or some of them differ. Start a new run."
            )

    # Training and results

    def _train(
        self, run: Run, work: FolderTraining, energy: JointEmbedding, shaping: JointShaping, encoder: Standardised
    ) -> list[dict[str, Any]]:
        """Piece by piece, each from the checkpoint of the one before, with a look at the representations after each."""
        steps = work.plan.steps
        ends = sorted({max(1, round(steps * piece / _PIECES)) for piece in range(1, _PIECES + 1)})

        def look(end: int) -> dict[str, Any]:
            found = work.fit(energy, shaping, max_steps=end, run=run.folder / "fit", resume=True) if end else None
            rank = rankme(represent_rows(encoder, work.data, work.rows[:_LOOKED_AT]))
            return {"step": end, "rankme": rank, "curves": shown.curves_of(found) if end == steps else {}}

        return [
            run.stage(f"train/{end}-of-{steps}-steps", partial(look, end), [energy] if end == steps else [])
            for end in (0, *ends)
        ]

    def _test(
        self, work: FolderTraining, parts: Split, energy: JointEmbedding, encoder: Standardised
    ) -> dict[str, Any]:
        untrained, _, random = work.build()
        views, steps = views_of(work.data.kind, self.views), min(work.plan.steps, _SUPERVISED)

        def supervise(train: Labelled, validation: Labelled) -> nn.Module:
            """The same network from scratch, on labels alone, with the same views."""
            options = {"rates": (self.rate,), "steps": steps, "batch_size": work.plan.batch, "seed": self.seed}
            return fine_tune(random, train, validation, views=views, **options).network[0]

        return compare_encoders(work.data, parts, (energy, encoder), (untrained, random), supervise, views, self.seed)

    def _write_encoder(
        self, run: Run, out: Path, work: FolderTraining, encoder: Standardised, measured: Mapping[str, Any]
    ) -> None:
        data, chosen = work.data, work.plan
        card = {
            "kind": data.kind, "levels": data.levels, "prepared": Prepare(data.kind, data.shape, data.levels).text,
            "data": self._name, "samples": len(work.rows), "skipped": len(data.skipped), "method": chosen.method,
            "method_options": work.method_options, "steps": chosen.steps, "batch": chosen.batch, "rate": self.rate,
            "views": self.views, "seed": self.seed, "measured": measured,
        }  # fmt: skip
        weights = write_encoder(out, encoder.cpu(), work.encoder_options, card)
        run.made.append(weights)
        run.show(weights=shell([str(weights)]), out=escaped(str(out)), usage=usage(encoder, data.kind))


def _files(labels: str) -> list[str]:
    return [labels] if labels and labels != FOLDERS else []
