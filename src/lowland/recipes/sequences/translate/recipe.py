"""Translation by three networks behind one energy, each trained for the same seconds of the processor."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import torch

from lowland.data.byte_pairs import BYTES, BytePairs
from lowland.data.office_help import office_help
from lowland.data.parallel_text import ParallelText, SplitText, made_parallel, own_parallel, split_text
from lowland.energies.autoregressive import Autoregressive
from lowland.errors import DataError, OptionError
from lowland.evaluation.translation import (
    baseline_answers,
    by_length,
    example_cells,
    gains,
    looked_at,
    model_answers,
    ranked_rows,
    translation_rows,
)
from lowland.plots.curves import curves
from lowland.plots.translation import attention_map
from lowland.recipes.base import Bound, Count, NotNegative, Positive, SeededRecipe, recipe
from lowland.reports.run import Run
from lowland.training.translation import (
    KINDS,
    Kind,
    Numbers,
    decoded,
    numbered,
    proposed,
    train_translation,
    translation_energy,
)
from lowland.words import verbatim

_NAMES: dict[Kind, str] = {"lstm": "LSTM", "convolutions": "ConvS2S", "transformer": "transformer"}
_WRITERS = ("greedy", "beam", "rewarded")
_LONGEST_LINE = 400


class Left(NamedTuple):
    """What the page needs of a seed."""

    test: ParallelText
    answers: dict[str, list[str]]
    curves: dict[str, list[list[float]]]
    energies: dict[Kind, Autoregressive]
    pieces: BytePairs


@recipe
@dataclass(frozen=True)
class TranslateRecipe(SeededRecipe):
    """E(x, y) = −Σ_t log p(y_t | x, y_1 … y_t−1): x a sentence, y its translation, p from one of three networks."""

    source: str = ""
    """Text to translate from, a line for each sentence; with `target`, in place of the help of LibreOffice."""
    target: str = ""
    """Its translation, line by line."""
    data: Literal["help", "made"] = "help"
    """The help of LibreOffice in English and German, or sentences that are made here, which need no download."""
    translate: str = ""
    """A sentence of your own to translate by all three models."""
    minutes: Positive = 12.0
    """Minutes of the processor to train each network."""
    steps: Annotated[int, Bound(least=0)] = 0
    """If above 0, so many training steps in place of the minutes: a run is then the same each time."""
    pieces: Annotated[int, Bound(least=BYTES)] = 4000
    """Byte pairs of both languages together, the 256 bytes included."""
    longest: Annotated[int, Bound(least=4, most=500)] = 48
    """Most pieces of a sentence; longer ones are left out of all parts."""
    width: Annotated[int, Bound(least=4)] = 160
    """Of vectors and layers, a multiple of four."""
    depth: Count = 3
    """Layers that read and as many that write, or blocks of the transformer."""
    batch: Count = 1500
    """Places of a batch, of both languages together."""
    rate: Positive = 0.002
    """Highest learning rate of AdamW."""
    left_out: Annotated[float, Bound(least=0, below=1)] = 0.1
    """Share of the inputs of layers that are left out in training."""
    tested: Annotated[int, Bound(least=8)] = 500
    """Pairs of the test, and half as many on which the reward is chosen."""
    beam: Count = 5
    """Width of the beam."""
    rewards: tuple[NotNegative, ...] = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    """Rewards of a token in nats, to choose from."""
    seeds: Count = 1
    """Repetitions, each with its own pages for the test, first weights and order of training."""

    accelerated: ClassVar[bool] = False
    files: ClassVar[tuple[str, ...]] = ("source", "target")
    stages: ClassVar[int] = 9
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {"data": "made", "steps": 3, "pieces": 300, "longest": 32, "width": 8, "depth": 1, "batch": 400,
                  "tested": 10, "beam": 2, "rewards": (0.0, 0.5)},
    }  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if bool(self.source) != bool(self.target):
            raise OptionError("source and target belong together: name a file of sentences and one of translations.")
        if self.width % 4:
            raise OptionError(f"width must be a multiple of 4, but it is {self.width}.")
        if not self.rewards:
            raise OptionError("rewards needs at least one number; 0 is no reward.")
        for name in self.files:  # a run is resumed from any place
            if getattr(self, name):
                object.__setattr__(self, name, os.path.realpath(getattr(self, name)))

    def run(self, run: Run) -> None:
        if self.data == "made" and not self.source:
            run.stand_in("Sentences by a grammar of a few words stand in for text.")
        run.show(own="")
        super().run(run)

    def _text(self) -> ParallelText:
        if self.source:
            return own_parallel(Path(self.source), Path(self.target))
        return office_help() if self.data == "help" else made_parallel(800, self.generator(7))

    def measure(self, run: Run, seed: int) -> tuple[dict[str, dict[str, Any]], Left]:
        split = split_text(self._text(), self.generator(1000 + seed))
        pieces = BytePairs(run.stage("pieces", partial(self._pieces, split))["merges"].tolist())
        if self.translate:
            self._own(pieces)  # before hours of training
        train = numbered(split.train, pieces, self.longest)
        test, chosen = (
            self._some(part, pieces, seed, share) for part, share in ((split.test, 1), (split.validation, 2))
        )
        if seed == 0:
            run.show(pairs=len(train.rows), longer=len(split.train) - len(train.rows), dropped=split.dropped,
                     validated=len(chosen[0]), pages=len(set(test[0].group)), tested=len(test[0]))  # fmt: skip
        answers: dict[str, list[str]] = run.stage("baselines", partial(baseline_answers, split.train, test[0].source))
        energies: dict[Kind, Autoregressive] = {}
        costs: dict[str, dict[str, Any]] = {}
        lines: dict[str, list[list[float]]] = {}
        for kind in KINDS:
            energy = translation_energy(
                kind, len(pieces), self.longest, self.width, self.depth, self.generator(10 + seed)
            )
            trained = run.stage(f"train-{kind}", partial(self._train, run, energy, train, kind, seed), [energy])
            found = run.stage(f"translate-{kind}", partial(
                model_answers, energy, pieces, chosen[1], chosen[0].target, test[1], self.beam, sorted(self.rewards)
            ))  # fmt: skip
            energies[kind], lines[kind] = energy, trained["curve"]
            answers |= {f"{kind} {way}": found[way] for way in _WRITERS}
            costs[kind] = {
                "seconds": trained["seconds"], "steps": trained["steps"],
                "pace": trained["tokens"] / trained["seconds"],
                "passes": trained["tokens"] / (int((train.y >= 0).sum()) + len(train.y)),
                "parameters": sum(part.numel() for part in energy.parameters()),
                "nats": trained["curve"][-1][1], "reward": found["reward"],
            }  # fmt: skip
        rows = run.stage("judge", partial(translation_rows, answers, test[0], seed))
        return rows | costs, Left(test[0], answers, lines, energies, pieces)

    def _pieces(self, split: SplitText) -> dict[str, Any]:
        merges = BytePairs.learn(split.train.source + split.train.target, self.pieces).merges
        return {"merges": torch.tensor(merges, dtype=torch.int64).reshape(-1, 2)}

    def _some(self, text: ParallelText, pieces: BytePairs, seed: int, share: int) -> tuple[ParallelText, Numbers]:
        """Some pairs that are short enough, drawn from a part."""
        rows = numbered(text, pieces, self.longest).rows
        order = torch.randperm(len(rows), generator=self.generator(2000 + seed)).tolist()
        some = text.take(sorted(rows[place] for place in order[: max(1, self.tested // share)]))
        return some, numbered(some, pieces, self.longest)

    def _train(self, run: Run, energy: Autoregressive, data: Numbers, kind: str, seed: int) -> dict[str, Any]:
        file = run.folder / "fit" / f"{kind}-{seed}.safetensors"
        file.parent.mkdir(exist_ok=True)
        return train_translation(
            energy, data, 60 * self.minutes, self.steps, self.batch, self.rate, self.left_out, self.seed + seed, file
        )._asdict()

    def _own(self, pieces: BytePairs) -> Numbers:
        line = " ".join(self.translate.split())
        try:
            return numbered(ParallelText((line,), (line,), ("own",)), pieces, self.longest)
        except DataError:
            raise OptionError(
                f"translate has {len(pieces.encode(line))} pieces, but the models read from 1 to {self.longest}: give "
                "one sentence, or raise longest."
            ) from None

    def figures(self, run: Run, first: Left) -> None:
        test, answers = first.test, first.answers
        best = max(KINDS, key=lambda kind: run.measured.mean(f"{kind} rewarded", "bleu") or 0.0)
        pairs = [(f"{kind} {way}", f"{kind} greedy") for kind in KINDS for way in ("beam", "rewarded")]
        pairs += [(f"{kind} rewarded", "copy") for kind in KINDS]
        run.table(("method", "above", "BLEU", "from", "to"), gains(answers, pairs, test), name="gains")
        ranked = ranked_rows(answers[f"{best} rewarded"], test)
        run.table(("", "", "text"), example_cells(answers, test, ranked, best), name="examples")
        kept = [row for row in ranked if 6 <= len(first.pieces.encode(test.source[row])) <= 20] or ranked or [0]
        row = kept[len(kept) // 2]
        run.show(best=_NAMES[best], shown=test.source[row], reference=test.target[row])
        said = {kind: answers[f"{kind} rewarded"][row] or test.target[row] for kind in KINDS}  # it may write nothing
        looks = [looked_at(first.energies[kind], first.pieces, test.source[row], said[kind]) for kind in KINDS]
        drawn = [attention_map(*look) for look in looks]
        run.grid("attention", list(zip(drawn, _NAMES.values(), strict=True)), columns=3)
        methods = {kind: answers[f"{kind} rewarded"] for kind in KINDS} | {"nearest": answers["nearest"]}
        run.figure("length", partial(
            curves, by_length(methods, test), xlabel="words and signs of the reference, at most", ylabel="BLEU"
        ))  # fmt: skip
        lines = {kind: ([point[0] for point in own], [point[1] for point in own]) for kind, own in first.curves.items()}
        run.figure("training", partial(curves, lines, xlabel="seconds of the processor", ylabel="nats for each token"))
        if self.translate:
            x = self._own(first.pieces).x
            rows: list[Sequence[str]] = []
            for kind in KINDS:
                reward = run.measured.mean(kind, "reward") or 0.0
                own = decoded(proposed(first.energies[kind], x, self.beam).best(reward), first.pieces)[0]
                rows.append((_NAMES[kind], verbatim(own, _LONGEST_LINE)))
            run.table(("network", "translation"), rows, name="own")
            run.show(own=self.translate)
