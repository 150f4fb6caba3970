"""Finding things: stamps with their masks, and faces with the angle at which they are turned, on photographs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal, NamedTuple

import torch

from lowland.data.pasted import PastedScenes, Scene
from lowland.data.scene_sets import Kind, scene_sets
from lowland.energies.box_finder import BoxFinder
from lowland.energies.masks import Masks
from lowland.evaluation.detection import found_curve
from lowland.evaluation.finding import (
    Answers,
    accepted,
    answer,
    blind_measures,
    judged_answers,
    mask_values,
    measures,
    sure_answers,
    threshold,
)
from lowland.plots.boxes import found_boxes, heat_maps
from lowland.plots.curves import curves
from lowland.recipes.base import Count, Positive, SeededRecipe, recipe
from lowland.reports.run import Run
from lowland.training.finding import train_finder, train_masks

TASKS: tuple[Kind, ...] = ("stamps", "faces")
BLIND = " without looking"
_SHOWN, _MAPS = 16, 3


class Left(NamedTuple):
    """What the pictures need of a task: test scenes, what was found in them, and what found it."""

    scenes: list[Scene]
    answers: Answers
    least: float
    finder: BoxFinder
    masks: Masks | None
    curve: dict[str, list[float]]


@recipe
@dataclass(frozen=True)
class FindRecipe(SeededRecipe):
    """E(x, y) = Σ over cells c of |y_c − h_c|² H(y_c, h_c) + λ y_c ‖b_c − b̂_c‖₁: x an image, y boxes on its cells."""

    data: Literal["packages", "digits"] = "packages"
    """Stamps, faces and photographs from packages, or small digits as a stand-in for both."""
    steps: Count = 5000
    """Training steps of the finder of stamps."""
    face_steps: Count = 700
    """Training steps of the finder of faces."""
    mask_steps: Count = 400
    """Training steps of the masks of stamps."""
    batch: Count = 16
    """Scenes of a step, or boxes for masks."""
    rate: Positive = 0.002
    """Highest learning rate of Adam."""
    widths: tuple[int, ...] = (32, 64, 128, 192)
    """Maps of the stem of the network, and of each scale."""
    features: Count = 64
    """Maps of each scale of the pyramid."""
    balance: Positive = 0.3
    """λ."""
    chosen: Count = 150
    """Validation scenes, on which the least score is chosen."""
    tested: Count = 400
    """Test scenes."""

    stages: ClassVar[int] = 5
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {
            "data": "digits", "steps": 12, "face_steps": 6, "mask_steps": 6, "batch": 8, "chosen": 6, "tested": 8,
            "seeds": 1, "widths": (8, 16, 24), "features": 16,
        },
        "long": {"steps": 12000, "face_steps": 3000, "mask_steps": 2000},
    }  # fmt: skip

    def measure(self, run: Run, seed: int) -> tuple[dict[str, dict[str, Any]], dict[str, Left]]:
        if self.data == "digits":
            run.stand_in("Small digits stand in for stamps and faces, and crops of two photographs for all the others.")
        numbers, left = dict[str, dict[str, Any]](), dict[str, Left]()
        for task in TASKS:
            sets = scene_sets("digits" if self.data == "digits" else task, self._first(seed))
            run.show(photographs={part: scenes.different for part, scenes in sets.items()})
            with run.below(task):
                numbers[task], left[task] = self._task(run, task, sets, seed)
            blind = blind_measures([sets["train"].draw(number) for number in range(self.chosen)], left[task].scenes)
            numbers[task + BLIND] = {name: blind[name] for name in blind if name in numbers[task]}
        return numbers, left

    def _first(self, seed: int) -> int:
        """The seed of scenes, people and training, another one for each seed of the recipe; `fit` takes 40 bits."""
        return (1000 * self.seed + seed) % 2**40

    def _task(self, run: Run, task: str, sets: dict[str, PastedScenes], seed: int) -> tuple[dict[str, Any], Left]:
        train, generator = sets["train"], self.generator(seed)
        channels, turned = train.photographs.shape[1], task == "faces"
        finder = BoxFinder(train.side, channels, turned, self.widths, self.features, self.balance, generator).to(
            self.device
        )
        masks = None if turned else Masks(finder.pyramid.features + channels, generator=generator).to(self.device)
        folder, options = run.folder / "fit", {"batch": self.batch, "rate": self.rate, "seed": self._first(seed)}
        steps = self.face_steps if turned else self.steps
        learn = partial(train_finder, finder, train, steps, run=folder / f"{task}-{seed}", **options)
        curve = run.stage("train", lambda: _line(learn()), [finder])
        if masks is not None:
            more = partial(train_masks, masks, finder, train, self.mask_steps, run=folder / f"masks-{seed}",
                           first=steps * self.batch, **options)  # fmt: skip
            run.stage("masks", lambda: _line(more()), [masks])
        chosen, tested = ([sets[part].draw(number) for number in range(count)]
                          for part, count in (("validation", self.chosen), ("test", self.tested)))  # fmt: skip
        found = run.stage("find", lambda: [answer(finder, part, masks)._asdict() for part in (chosen, tested)])
        likely, answers = (Answers(**one) for one in found)
        least = threshold(likely, chosen)
        left = Left(tested, answers, least, finder.cpu(), None if masks is None else masks.cpu(), curve)
        if seed == 0:
            run.save_energy(task, finder)
        return measures(answers, tested) | accepted(answers, tested, least), left

    def figures(self, run: Run, first: dict[str, Left]) -> None:
        for task, left in first.items():
            run.figure(task, partial(_pictures, left))
            images = torch.stack([scene.image for scene in left.scenes[:_MAPS]])
            with torch.no_grad():
                heat = left.finder.cells.maps(left.finder.eval().encode(images)["logits"].sigmoid())
            each = [[scale[row] for scale in heat] for row in range(len(images))]
            run.figure(f"{task}-heat", partial(heat_maps, list(images), each, left.finder.cells.strides))
        rates = {task: found_curve(judged_answers(left.answers, left.scenes)) for task, left in first.items()}
        within = {task: (wrong[wrong <= 4].tolist(), (100 * found[wrong <= 4]).tolist())
                  for task, (wrong, found) in rates.items()}  # fmt: skip
        run.figure("rates", partial(curves, within, xlabel="false answers an image", ylabel="found, %"))
        lines = {task: (left.curve["steps"], left.curve["loss"]) for task, left in first.items()}
        run.figure("training", partial(curves, lines, xlabel="step", ylabel="energy of the right boxes", log="y"))


def _line(result: Any) -> dict[str, list[float]]:
    line = result.history["loss/energy"]
    return {"steps": list(line.steps), "loss": list(line.values)}


def _pictures(left: Left) -> Any:
    """The first test scenes, with what was accepted."""
    images = [scene.image for scene in left.scenes[:_SHOWN]]
    found, right, missed = zip(*sure_answers(left.answers, left.scenes, left.least)[:_SHOWN], strict=True)
    masks = [] if left.masks is None else [
        mask_values(left.masks, left.finder, image, boxes) for image, boxes in zip(images, found, strict=True)
    ]  # fmt: skip
    return found_boxes(images, found, right, missed, masks=masks)
