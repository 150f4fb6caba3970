"""Counting beyond the lengths of training: networks with stacks and the LSTM on aⁿbⁿ, aⁿbⁿcⁿ and aⁿbᵐcⁿ⁺ᵐ."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor

from lowland.data.counting import language
from lowland.energies.next_symbol import NextSymbol
from lowland.evaluation.counting import counting_rows, most_frequent_rows, stack_depths
from lowland.nn.stacks import LSTM, StackNetwork, SymbolNetwork
from lowland.plots.stacks import right_sizes, stack_heights
from lowland.recipes.base import Bound, Count, Positive, Recipe, recipe
from lowland.reports.run import Run
from lowland.training.symbol_streams import StreamTraining, train_streams

STACKS, RECURRENT, NOTHING = "stacks", "LSTM", "most frequent"
NAMES = {"anbn": "aⁿbⁿ", "anbncn": "aⁿbⁿcⁿ", "anbmcnm": "aⁿbᵐcⁿ⁺ᵐ"}
_SHOWN = 12


@recipe
@dataclass(frozen=True)
class StacksRecipe(Recipe):
    """E(y) = −Σ_t log p(y_t | y_<t): y a stream of words, p of a network that pushes and pops."""

    seeds: Count = 10
    """Copies of each network, each with its own first weights and streams; they are trained side by side."""
    most: Annotated[int, Bound(least=3, most=200)] = 19
    """Largest size of a word in training."""
    longest: Annotated[int, Bound(least=4, most=400)] = 60
    """Largest size of a word in the test."""
    rounds: Count = 60
    """Most rounds of training; it ends before, when all rates are small."""
    windows: Count = 40
    """Windows of 50 symbols in a round."""
    streams: Count = 8
    """Streams that a copy reads at once."""
    rate: Positive = 0.01
    """First rate of networks with stacks."""
    lstm_rate: Positive = 0.05
    """First rate of the LSTM."""
    hidden: Count = 40
    """Hidden units."""
    stacks: Count = 10
    """Stacks."""

    accelerated: ClassVar[bool] = False
    stages: ClassVar[int] = 2 * len(NAMES)
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {
            "seeds": 2, "rounds": 2, "windows": 4, "streams": 2, "most": 4, "longest": 6,
            "hidden": 8, "stacks": 2,
        }
    }  # fmt: skip

    def run(self, run: Run) -> None:
        run.expect(self.stages)
        rights: dict[str, Tensor] = {}
        chosen: dict[str, NextSymbol] = {}
        rows: list[dict[str, dict[str, Any]]] = [{} for _ in range(self.seeds)]
        whole: dict[str, int] = {}
        best: dict[str, dict[str, Any]] = {}
        for name in NAMES:
            for kind in (STACKS, RECURRENT):
                network = self._network(kind, name)
                work = partial(self._compare, network, kind, name)
                found = run.stage(f"{kind}/{name}", work, [network])
                for row, one in zip(rows, found["rows"], strict=True):
                    row.setdefault(kind, {}).update(_named(one, name))
                rights[f"{NAMES[name]}, {kind}"] = found["right"]
                whole[f"{kind} {name}"] = sum(one["all"] > 0 for one in found["rows"])
                entropies = torch.tensor([row["validation"] for row in found["rows"]])
                first = int(entropies.nan_to_num(float("inf")).argmin())
                best.setdefault(f"{kind}, chosen", {}).update(_named(found["rows"][first], name))
                run.measured.set(kind, f"seconds {name}", found["seconds"])
                if kind == STACKS:
                    chosen[name] = NextSymbol(network.copy(first), self.most)
            guess = most_frequent_rows(name, self.longest, self.most, self.generator(3))
            best.setdefault(NOTHING, {}).update(_named(guess, name))
        for row in rows:
            run.measured.add(row)
        run.measured.add(best)
        run.show(whole=whole, names=NAMES)
        run.part(self._draw, rights, chosen)

    def _network(self, kind: str, name: str) -> SymbolNetwork:
        symbols, generator = len(language(name).symbols), self.generator(1)
        if kind == RECURRENT:
            return LSTM(symbols, self.hidden, self.seeds, generator)
        capacity = 2 * self.most + 2
        return StackNetwork(symbols, self.hidden, self.stacks, 2, capacity, copies=self.seeds, generator=generator)

    def _compare(self, network: SymbolNetwork, kind: str, name: str) -> dict[str, Any]:
        rate = self.rate if kind == STACKS else self.lstm_rate
        settings = StreamTraining(self.most, self.rounds, self.windows, streams=self.streams, rate=rate)
        began = time.process_time()
        curve = train_streams(network, name, settings, self.generator(2))
        seconds = time.process_time() - began
        rows, right = counting_rows(network, name, self.longest, self.most, self.generator(3))
        return {"rows": rows, "right": right, "seconds": seconds, "entropy": curve["entropy"]}

    def _draw(self, run: Run, rights: dict[str, Tensor], chosen: dict[str, NextSymbol]) -> None:
        depths, texts = {}, []
        for name, energy in chosen.items():
            spelled = language(name)
            generator = self.generator(4)
            words = [*spelled.draw(4, generator)[0], *spelled.draw(_SHOWN, generator)[0], 0]
            assert isinstance(energy.network, StackNetwork)
            depths[NAMES[name]] = stack_depths(energy.network, torch.tensor(words))
            texts.append("".join(spelled.symbols[symbol] for symbol in words))
        run.figure("depths", partial(stack_heights, depths, texts))
        least = [language(name).least for name in NAMES for _ in (STACKS, RECURRENT)]
        run.figure("right", partial(right_sizes, rights, self.most, least))


def _named(row: dict[str, Any], name: str) -> dict[str, Any]:
    return {f"{measure} {name}": value for measure, value in row.items()}
