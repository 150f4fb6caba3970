"""Copying beyond the lengths of training: the neural Turing machine and the LSTM."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor, nn

from lowland.nn.turing_machine import TuringMachine
from lowland.plots.curves import curves
from lowland.plots.stacks import tape_heads
from lowland.recipes.base import Bound, Count, Positive, Recipe, recipe
from lowland.reports.run import Run
from lowland.training.copying import BitLSTM, CopyTraining, bit_errors, copy_task, train_copying

TAPE, RECURRENT, NOTHING = "tape", "LSTM", "one bit"


@recipe
@dataclass(frozen=True)
class TapeRecipe(Recipe):
    """E(x, y) = −Σ log p(y_tk | x): x bits that were shown, y the bits that are said again."""

    seeds: Count = 3
    """Copies of each network, each with its own first weights and sequences; they are trained side by side."""
    most: Annotated[int, Bound(least=2, most=200)] = 20
    """Longest sequence of training."""
    bits: Count = 8
    """Bits of a place."""
    steps: Count = 2500
    """Training steps of the Turing machine; the LSTM, which takes less time for one, has three times as many."""
    batch: Count = 16
    """Sequences of a step and copy."""
    rate: Positive = 0.005
    """Rate of Adam."""
    tested: Count = 100
    """Sequences of each length in the test."""

    accelerated: ClassVar[bool] = False
    stages: ClassVar[int] = 2
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {"seeds": 2, "most": 3, "bits": 2, "steps": 5, "batch": 2, "tested": 4},
        "long": {"steps": 10000},
    }

    def run(self, run: Run) -> None:
        run.expect(self.stages)
        lengths = sorted({1, self.most // 2, self.most, 3 * self.most // 2, 2 * self.most})
        lines: dict[str, tuple[list[float], list[float]]] = {}
        machine = self._network(TAPE)
        chosen = 0
        rows: list[dict[str, dict[str, Any]]] = [{} for _ in range(self.seeds)]
        for kind in (TAPE, RECURRENT):
            network = machine if kind == TAPE else self._network(kind)
            found = run.stage(kind, partial(self._compare, network, kind, lengths), [network])
            first = int(found["loss"].nan_to_num(float("inf")).argmin())
            chosen = first if kind == TAPE else chosen
            for copy, row in enumerate(rows):
                at, beyond = (found["errors"][str(length)] for length in (self.most, 2 * self.most))
                row[kind] = {"trained": at[copy], "beyond": beyond[copy]}
            for name, choose in ((f"{kind}, all", None), (f"{kind}, chosen", first)):
                errors = [found["errors"][str(length)] for length in lengths]
                means = [sum(each) / len(each) if choose is None else each[choose] for each in errors]
                lines[name] = [float(length) for length in lengths], means
                if choose is not None:
                    trained = means[lengths.index(self.most)]
                    run.measured.add({name: {"trained": trained, "beyond": means[-1]}})
            run.measured.set(kind, "seconds", found["seconds"])
        for row in rows:
            run.measured.add(row)
        run.measured.add({NOTHING: {"trained": 50.0, "beyond": 50.0}})
        run.part(self._draw, machine, chosen, lines)

    def _network(self, kind: str) -> Any:
        inputs, generator = self.bits + 2, self.generator(1)
        if kind == RECURRENT:
            return BitLSTM(inputs, self.bits, copies=self.seeds, generator=generator)
        return TuringMachine(inputs, self.bits, cells=3 * self.most, copies=self.seeds, generator=generator)

    def _compare(self, network: nn.Module, kind: str, lengths: list[int]) -> dict[str, Any]:
        steps = self.steps if kind == TAPE else 3 * self.steps
        settings = CopyTraining(self.most, self.bits, steps, self.batch, self.rate)
        began = time.process_time()
        loss: Tensor = train_copying(network, self.seeds, settings, self.generator(2))["loss"]
        seconds = time.process_time() - began
        errors = {
            str(length): bit_errors(network, self.seeds, length, self.bits, self.tested, self.generator(3)).tolist()
            for length in lengths
        }
        return {"errors": errors, "loss": loss[-100:].mean(dim=0), "seconds": seconds}

    def _draw(self, run: Run, machine: TuringMachine, chosen: int, lines: Any) -> None:
        x, _ = copy_task(self.most, self.bits, 1, self.generator(4))
        with torch.no_grad():
            _, written, read = machine.trace(x.expand(self.seeds, -1, -1, -1))
        run.figure("heads", partial(tape_heads, written[chosen, 0], read[chosen, 0]))
        run.figure("errors", partial(curves, lines, xlabel="length", ylabel="wrong bits, %"))
