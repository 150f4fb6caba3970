"""An encoder from a folder of the user's own images or series: the command `lowland pretrain`."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from lowland.checksums import read_json, write_json
from lowland.data.folder import Folder, check_used, read_folder, report_skipped
from lowland.data.label_files import check_table, label_path, label_tables
from lowland.data.photos import sample_photos
from lowland.data.split import split_folder
from lowland.data.survey import survey
from lowland.energies.joint_embedding import JointEmbedding
from lowland.errors import CheckpointError, CollapseError, OptionError, TrainingError
from lowland.evaluation import rankme
from lowland.evaluation.pretrained import compare_encoders, represent_rows
from lowland.nn.standardised import Standardised
from lowland.recipes.base import Count, NotNegative, Positive, Recipe, recipe
from lowland.recipes.joint.pretrain import shown
from lowland.reports.run import Run
from lowland.shaping.joint import JointShaping
from lowland.terminal import shell
from lowland.training.folder_training import FolderTraining
from lowland.training.model_card import check_writable, usage, write_encoder
from lowland.training.options import read_options
from lowland.training.pretraining import AUTO, check_choices, check_enough, pace_to, plan
from lowland.words import escaped

_LOOKS, _LOOKED_AT = 20, 512
"""Looks at the representations in a training, about, and samples that are looked at."""


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
        object.__setattr__(self, "labels", label_path(self.labels, self.folder))

    def run(self, run: Run) -> None:
        out = check_writable(Path(self.out) if self.out else run.folder / "encoder")
        self._check()
        folder, labels = self._folder(run)
        data = read_folder(folder, self.size, leave=label_tables(labels), levels=self.levels, watch=run.doing)
        check_used(data, self.levels)
        # What was converted or left out is said before anything else can fail.
        report_skipped(data, run.folder / "skipped.txt")
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
        run.expect(3 + bool(self.minutes))
        run.show(name=self._name)
        shown.describe(run, work, parts, shaping)
        run.part(shown.samples, data, parts, shaping)
        try:
            trained = run.stage("train", partial(self._train, run, work, energy, shaping, encoder), [energy])
        except TrainingError as error:
            run.show(failed=[type(error).__name__, str(error)], collapsed=isinstance(error, CollapseError))
            run.part(shown.training, getattr(error.result, "history", {}), work.plan.method)
            raise
        test = run.stage("test", partial(compare_encoders, work, parts, energy, encoder))
        card = work.card(data=self._name, measured=test["measured"])
        weights = write_encoder(out, encoder.cpu(), work.encoder_options, card)
        run.made.append(weights)
        run.show(weights=shell([str(weights)]), out=escaped(str(out)), usage=usage(encoder, data.kind))
        for method, row in test["measured"].items():
            for measure, value in row.items():
                run.measured.set(method, measure, value)
        if test["right"]:
            shown.judge(run, test["right"], [data.files[row] for row in test["plane_rows"].tolist()])
        run.part(shown.results, data, parts, test)
        run.part(shown.training, trained["curves"], work.plan.method, trained["ranks"])

    def _check(self) -> None:
        """Whatever can be known to fail before a thousand files are read."""
        kind = survey(self.folder, leave=label_tables(self.labels)).kind if self.folder else "images"
        check_table(self.labels)
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

    def _check_unchanged(self, run: Run, data: Folder) -> None:
        now = {"samples": len(data), "sha256": data.fingerprint}
        before = run.stage("files", lambda: now)
        if before != now:
            raise CheckpointError(
                f"The folder has changed since the run began: it had {before['samples']} samples and has {len(data)}, "
                "or some of them differ. Start a new run."
            )

    def _train(
        self, run: Run, work: FolderTraining, energy: JointEmbedding, shaping: JointShaping, encoder: Standardised
    ) -> dict[str, Any]:
        """Train with looks at the representations on the way; returns ranks by step, and the curves of the training."""
        steps, place = work.plan.steps, run.folder / "ranks.json"
        every = max(1, steps // _LOOKS)
        # They are stored as they come: a killed run goes on from a checkpoint and does not see them again.
        ranks: dict[str, Any] = read_json(place)["ranks"] if place.is_file() else {}

        def look(step: int, metrics: Mapping[str, float]) -> None:
            if step % every == 0 or step == steps:
                run.doing(f"training: {step} of {steps} steps")
                ranks[str(step)] = rankme(represent_rows(encoder, work.data, work.rows[:_LOOKED_AT]))
                write_json(place, {"ranks": ranks})

        if not ranks:
            look(0, {})
        found = work.fit(
            energy, shaping, max_steps=steps, run=run.folder / "fit", resume=True, callback=look, checkpoint_every=every
        )
        curves = {name: (list(curve.steps), list(curve.values)) for name, curve in found.history.items()}
        return {"ranks": [(int(step), rank) for step, rank in ranks.items()], "curves": curves}
