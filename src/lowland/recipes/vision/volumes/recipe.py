"""Objects in a volume: each occupied voxel gets the category of its object, by networks sparse and dense."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache, partial
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from torch import Tensor, nn

from lowland.data.solids import solid_models
from lowland.data.source import cache_folder
from lowland.data.stereo_objects import model_files, named_models
from lowland.data.voxels import PointModels, VoxelScenes, point_models, voxel_scenes
from lowland.errors import OptionError
from lowland.evaluation.classification import confusion_counts
from lowland.evaluation.voxels import height_scores, object_answers, voxel_row
from lowland.nn.volume_unets import DenseUNet, NeighbourClassifier, SparseUNet
from lowland.plots.confusion import confusion
from lowland.plots.curves import curves
from lowland.plots.voxels import voxel_panels
from lowland.recipes.base import Bound, Count, Positive, SeededRecipe, recipe
from lowland.reports.run import Run
from lowland.training.voxels import CHANNELS, train_voxel_network, voxel_scores

SPARSE, DENSE, LINEAR = "sparse", "dense", "linear"
_LINEAR_RATE, _SHOWN = 0.03, 3


class Left(NamedTuple):
    """What the pictures need of the first seed: test scenes, and scores (N, K) and curves by method."""

    test: VoxelScenes
    scores: dict[str, Tensor]
    curves: dict[str, dict[str, list[float]]]


@recipe
@dataclass(frozen=True)
class VolumesRecipe(SeededRecipe):
    """E(y) = −Σ_p log p(y_p | x): y_p the category at voxel p, from a U-Net that computes at occupied voxels alone."""

    data: Literal["models", "solids"] = "models"
    """What stands in the scenes: named models of five categories, or boxes, cylinders, cones, balls and rings."""
    side: Annotated[int, Bound(least=8)] = 32
    """Voxels along a side of a scene."""
    scenes: Count = 400
    """Scenes to learn from."""
    held: Count = 60
    """Scenes for validation."""
    tested: Count = 150
    """Scenes for the test."""
    maps: tuple[Count, ...] = (8, 16, 32)
    """Channels of each scale of both U-Nets, the finest first."""
    steps: Count = 400
    """Steps of training, equal for all that learn."""
    batch: Count = 4
    """Scenes of a step."""
    rate: Positive = 0.01
    """Highest learning rate of Adam."""

    stages: ClassVar[int] = 3
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {
            "data": "solids", "side": 16, "scenes": 8, "held": 3, "tested": 4, "maps": (4, 8), "steps": 6, "seeds": 1
        },
        "gpu": {"side": 64, "maps": (16, 32, 64), "steps": 3000, "batch": 16, "scenes": 3000},
    }  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.maps:
            raise OptionError("maps must name the channels of at least one scale.")
        if self.side % (step := 2 ** (len(self.maps) - 1)):
            raise OptionError(f"side must be a multiple of {step} for {len(self.maps)} scales, but it is {self.side}.")

    def measure(self, run: Run, seed: int) -> tuple[dict[str, dict[str, Any]], Left]:
        what = "named models" if self.data == "models" else "solids"
        run.stand_in(f"Scenes of {what} stand in for parts of ShapeNet: the published figure is of other data.")
        run.doing("points on models, read once")
        scenes = self._scenes(seed)
        scores = height_scores(scenes["train"], scenes["test"])
        numbers = {name: voxel_row(one, scenes["test"]) for name, one in scores.items()}
        kinds, lines = len(scenes["test"].classes), {}
        networks = {
            LINEAR: NeighbourClassifier(CHANNELS, kinds),
            DENSE: DenseUNet(CHANNELS, kinds, self.maps, generator=self.generator(200 + seed)),
            SPARSE: SparseUNet(CHANNELS, kinds, self.maps, generator=self.generator(200 + seed)),
        }
        for name, network in networks.items():
            found = run.stage(name, partial(self._train, name, network, scenes, seed))
            scores[name], lines[name] = found["scores"], found["curves"]
            numbers[name] = voxel_row(found["scores"], scenes["test"]) | {"seconds": found["seconds"]}
        if seed == 0:
            test = scenes["test"]
            share = 100 * len(test.labels) / test.number / self.side**3
            run.show(share=share, voxels=len(test.labels), objects=len(test.objects.unique()))
        return numbers, Left(scenes["test"], scores, lines)

    def _scenes(self, seed: int) -> dict[str, VoxelScenes]:
        """Scenes of models that no other part has; each seed draws its own split of the models."""
        draw = self.generator(100 + seed)
        counts = {"train": self.scenes, "validation": self.held, "test": self.tested}
        parts = _models(self.data).split(draw)
        return {name: voxel_scenes(part, counts[name], self.side, draw) for name, part in parts.items()}

    def _train(self, name: str, network: nn.Module, scenes: dict[str, VoxelScenes], seed: int) -> dict[str, Any]:
        def judge(scores: Tensor) -> float:
            return voxel_row(scores, scenes["validation"])["mIoU"]

        began = time.process_time()
        lines = train_voxel_network(
            network, scenes["train"], scenes["validation"], judge, self.steps, self.batch,
            _LINEAR_RATE if name == LINEAR else self.rate, self.generator(300 + seed), device=self.device,
        )  # fmt: skip
        seconds = time.process_time() - began
        return {"scores": voxel_scores(network, scenes["test"], self.device), "curves": lines, "seconds": seconds}

    def figures(self, run: Run, first: Left) -> None:
        test, some = first.test, first.test.some(range(min(_SHOWN, first.test.number)))
        rows = {"truth": some.labels}
        rows |= {name: first.scores[name][: len(some.labels)].argmax(dim=1) for name in (SPARSE, DENSE, LINEAR)}
        run.figure("scenes", partial(voxel_panels, some.coordinates, rows, test.classes, self.side))
        said, truth = object_answers(first.scores[SPARSE], test)
        counts = confusion_counts(truth, said, len(test.classes))
        run.figure("confusion", partial(confusion, counts, test.classes))
        losses = {name: one["loss"] for name, one in first.curves.items()}
        run.figure("loss", partial(curves, losses, title="Training scenes", xlabel="step", ylabel="−log p, nats"))


@cache
def _models(data: str) -> PointModels:
    if data == "solids":
        return point_models(solid_models(6), count=1000)
    return point_models(named_models(model_files()), cache_folder() / "voxels")
