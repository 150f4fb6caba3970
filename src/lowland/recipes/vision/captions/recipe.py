"""Scenes are told in words: by a template, by the phrases that fit, and by phrases in an order of least energy."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, NamedTuple

from lowland.automata import Automaton
from lowland.data.caption_grammar import MOST_PHRASES, Caption, caption_of, template, true_of, words
from lowland.data.captioned_scenes import CaptionedScenes, draw_captioned
from lowland.energies.bits import Bits
from lowland.energies.lattice import Lattice
from lowland.evaluation.captions import best_captions, caption_bleu, caption_row, nearest_captions
from lowland.plots.captions import captioned_images
from lowland.recipes.base import Count, Positive, SeededRecipe, recipe
from lowland.reports.run import Run
from lowland.training.captions import (
    Lexicon,
    attribute_energy,
    attributes,
    caption_energy,
    described,
    least_answers,
    least_captions,
    lexicon,
    likely_phrases,
    phrase_energy,
    phrase_order,
    phrase_scores,
    train_on_scenes,
    train_phrases,
)

NOTHING, NEAREST, TEMPLATE, ALONE, OWN, PLACES = "most frequent", "nearest", "template", "alone", "own", "places"
PARTS = ("test", "new")
_SHOWN = 4


class Left(NamedTuple):
    """What the pictures need of a seed: scenes by part, and captions by method and part."""

    scenes: dict[str, CaptionedScenes]
    captions: dict[str, dict[str, list[Caption]]]


@recipe
@dataclass(frozen=True)
class CaptionsRecipe(SeededRecipe):
    """E(x, y) = −Σ_t f_{y_t}(x) − λ log p(y): x a scene, y a sequence of phrases, p their n-grams."""

    trained: Count = 2000
    """Scenes to learn from, with five captions each."""
    validated: Count = 200
    """Scenes on which λ is chosen."""
    tested: Count = 400
    """Scenes of the test, and as many with a combination that no scene to learn from has."""
    steps: Count = 600
    """Training steps of each network."""
    batch: Count = 32
    """Scenes of a step."""
    rate: Positive = 0.003
    """Learning rate of AdamW at first."""
    order: Count = 3
    """Phrases of an n-gram."""
    weights: tuple[Positive, ...] = (0.5, 1.0, 2.0)
    """λ, to choose from."""

    stages: ClassVar[int] = 4
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {"trained": 60, "validated": 8, "tested": 12, "steps": 8, "batch": 8, "weights": (1.0,), "seeds": 1}
    }

    def measure(self, run: Run, seed: int) -> tuple[dict[str, dict[str, Any]], Left]:
        draw = self.generator(1000 + seed)
        train, validation = (
            draw_captioned("train", self.trained, draw),
            draw_captioned("validation", self.validated, draw),
        )
        tests = {part: draw_captioned("test", self.tested, draw, new=part == "new") for part in PARTS}
        told = [caption for own in train.captions for caption in own]
        known = lexicon(told)
        heard = known.heard()
        models = {
            OWN: (heard, phrase_energy(heard, own_vectors=True, generator=self.generator(seed))),
            PLACES: (known, phrase_energy(known, generator=self.generator(seed))),
        }
        numbers: dict[str, dict[str, Any]] = {}
        for name, (phrases, energy) in models.items():
            work = partial(self._train, energy, phrases, train, seed)
            numbers[name] = run.stage(f"train/{name}", work, [energy])
        slots = attribute_energy(self.generator(seed))
        numbers[TEMPLATE] = run.stage("train/template", partial(self._train_slots, slots, train, seed), [slots])
        work = partial(self._tell, models, slots, told, train, validation, tests)
        found = run.stage("tell", work)
        captions = {
            name: {part: [caption_of(text) for text in texts] for part, texts in own.items()}
            for name, own in found["texts"].items()
        }
        for name, own in captions.items():
            row = caption_row(own["test"], tests["test"])
            row |= {f"{measure}_new": value for measure, value in caption_row(own["new"], tests["new"]).items()}
            numbers[name] = numbers.get(name, {}) | row | found["chosen"].get(name, {})
        if seed == 0:
            run.show(phrases=len(known.phrases), unheard=len(known.phrases) - len(heard.phrases))
        return numbers, Left(tests, captions)

    def _train(self, energy: Bits, known: Lexicon, train: CaptionedScenes, seed: int) -> dict[str, Any]:
        began = time.process_time()
        train_phrases(energy.to(self.device), known, train, self.steps, self.batch, self.rate, seed)
        energy.cpu()
        return {"seconds": time.process_time() - began}

    def _train_slots(self, energy: Lattice, train: CaptionedScenes, seed: int) -> dict[str, Any]:
        began = time.process_time()
        y = energy.transcripts([attributes(scene) for scene in train.scenes])
        energy.to(self.device)
        train_on_scenes(energy, train.pixels(), y, self.steps, self.batch, self.rate, seed)
        energy.cpu()
        return {"seconds": time.process_time() - began}

    def _tell(
        self,
        models: dict[str, tuple[Lexicon, Bits]],
        slots: Lattice,
        told: Sequence[Caption],
        train: CaptionedScenes,
        validation: CaptionedScenes,
        tests: dict[str, CaptionedScenes],
    ) -> dict[str, Any]:
        """The captions of the test scenes by each method, and the λ that validation scenes chose."""
        captions: dict[str, dict[str, Sequence[Caption]]] = {}
        common = Counter(told).most_common(1)[0][0]
        known, places = models[PLACES]
        near = phrase_scores(places, train)
        captions[NOTHING] = {part: [common] * len(scenes.scenes) for part, scenes in tests.items()}
        captions[NEAREST] = {
            part: nearest_captions(near, train, phrase_scores(places, scenes)) for part, scenes in tests.items()
        }
        captions[TEMPLATE] = {
            part: [template(described(answer)) for answer in least_answers(slots, scenes)]
            for part, scenes in tests.items()
        }
        captions[ALONE] = {part: likely_phrases(places, known, scenes, MOST_PHRASES) for part, scenes in tests.items()}
        chosen = {}
        for name, (phrases, energy) in models.items():
            tellers = {weight: self._teller(phrases, energy, told, weight) for weight in self.weights}
            by_weight = {weight: least_captions(teller, phrases, validation) for weight, teller in tellers.items()}
            weight = best_captions(by_weight.__getitem__, validation, self.weights)
            chosen[name] = {"weight": weight, "validation": caption_bleu(by_weight[weight], validation)}
            captions[name] = {part: least_captions(tellers[weight], phrases, tests[part]) for part in PARTS}
        texts = {
            name: {part: [" ".join(words(caption)) for caption in own[part]] for part in PARTS}
            for name, own in captions.items()
        }
        return {"texts": texts, "chosen": chosen}

    def _teller(self, known: Lexicon, energy: Bits, told: Sequence[Caption], weight: float) -> Lattice:
        order: Automaton = phrase_order(known, told, self.order, weight)
        return caption_energy(energy, order, MOST_PHRASES)

    def figures(self, run: Run, first: Left) -> None:
        for part in PARTS:
            scenes, captions = first.scenes[part], first.captions[PLACES][part]
            right = [true_of(caption, scene) for caption, scene in zip(captions, scenes.scenes, strict=True)]
            rows = [row for good in (True, False) for row in [i for i, one in enumerate(right) if one is good][:_SHOWN]]
            texts = [" ".join(words(captions[row])) for row in rows]
            run.figure(part, captioned_images(scenes.pixels(rows), texts, [right[row] for row in rows]))
