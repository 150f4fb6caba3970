"""Integrals and differential equations: a network proposes formulas, and their derivatives check them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from lowland.data.formulas.draws import INTEGRAL, KINDS, LONGEST, Solved, draw_problems
from lowland.data.formulas.text import mathematics, plain
from lowland.data.formulas.tokens import padded, read_formula, tokens_of, tree_of
from lowland.data.formulas.trees import Tree
from lowland.energies.autoregressive import Autoregressive
from lowland.errors import OptionError
from lowland.evaluation.formula_answers import FORWARD, by_length, candidate_text, candidate_texts, judged, rivalled
from lowland.evaluation.formulas import right_answers
from lowland.evaluation.success import success_row
from lowland.evaluation.sympy_rival import Sympy, integrated
from lowland.plots.curves import curves
from lowland.plots.formulas import Proposed, proposed_formulas
from lowland.recipes.base import Bound, Count, Positive, SeededRecipe, recipe
from lowland.reports.run import Run
from lowland.training.formulas import (
    Candidates,
    answered,
    checked,
    proposal_energy,
    train_proposal,
)
from lowland.words import verbatim

_DRAWN = {INTEGRAL: 1, "first": 2, "second": 3}


class Left(NamedTuple):
    """What the pictures need of a seed: rows of the test, right or wrong by method, and lists of candidates."""

    found: dict[str, Any]
    problems: dict[str, list[Solved]]


@recipe
@dataclass(frozen=True)
class FormulasRecipe(SeededRecipe):
    """E(x, y) = −log p(y | x) + γ · residual: x an integrand or a differential equation, y a formula that solves it."""

    kinds: tuple[Literal["integral", "first", "second"], ...] = KINDS
    """Integrals, and differential equations of first and second order; integrals are always among them."""
    trained: Count = 20_000
    """Problems to learn from, of integrals; of each kind of equation there are a quarter as many."""
    tested: Count = 100
    """Problems of each test, and half as many on which γ is chosen."""
    rival: int = 60
    """Of the first seed's test, so many problems for sympy; 0 leaves it out."""
    steps: Count = 2000
    """Training steps for integrals; for each kind of equation there are half as many."""
    batch: Count = 32
    """Problems of a step."""
    rate: Positive = 0.002
    """Highest learning rate of Adam."""
    width: Annotated[int, Bound(least=4)] = 64
    """Of the transformer, a multiple of four."""
    depth: Count = 2
    """Blocks of the transformer."""
    beams: tuple[Count, ...] = (1, 5, 10, 50)
    """Widths of the beam; 10 is always among them."""
    gammas: tuple[Positive, ...] = (1.0, 100.0, 10_000.0, 1_000_000.0)
    """γ, to choose from."""
    seconds: Positive = 1.0
    """Of the processor that sympy has for a problem."""
    integrate: str = ""
    """A function of x of your own to integrate, such as "x*cos(x)"."""

    accelerated: ClassVar[bool] = False
    stages: ClassVar[int] = 6
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {"trained": 40, "tested": 6, "rival": 0, "steps": 4, "batch": 8, "width": 8, "depth": 1, "seeds": 1,
                  "beams": (1, 10)}
    }  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rival < 0 or self.width % 4:
            raise OptionError("rival must be at least 0 and width a multiple of 4.")
        if self.integrate:
            self._own()

    def _own(self) -> Tree:
        """The tree of the user's own integrand, which must fit the model."""
        tree = read_formula(self.integrate)
        padded([tokens_of(tree)], LONGEST[INTEGRAL][0])
        return tree

    def run(self, run: Run) -> None:
        run.stand_in("A small family of formulas stands in for the published one.")
        run.show(agreed=0, judged=0, own="", solved=False, chosen="")
        super().run(run)

    def measure(self, run: Run, seed: int) -> tuple[dict[str, dict[str, Any]], Left]:
        numbers: dict[str, dict[str, Any]] = {}
        found: dict[str, Any] = {}
        tests: dict[str, list[Solved]] = {}
        forward = self._forward(run)
        for kind in dict.fromkeys((INTEGRAL, *self.kinds)):
            share = 1 if kind == INTEGRAL else 4
            test, chosen, train = self._sets(kind, max(1, self.trained // share), seed, forward)
            tests[kind] = test
            model = proposal_energy(kind, self.width, self.depth, self.generator(seed))
            cost = run.stage(f"train-{kind}", partial(self._train, model, kind, train, seed), [model])
            parts = {kind: test} | ({FORWARD: forward} if kind == INTEGRAL else {})
            tests |= parts
            found[kind] = run.stage(
                f"judge-{kind}", partial(judged, model, kind, parts, chosen, train, self.beams, self.gammas)
            )
            for method, row in found[kind]["rows"].items():
                numbers.setdefault(method, {}).update(row)
            numbers["checked 10"] |= {f"seconds {kind}": cost["seconds"], f"gamma {kind}": found[kind]["gamma"]}
            if seed == 0 and kind == INTEGRAL and self.integrate:
                self._answer(run, model, found[kind]["gamma"])
        if seed == 0 and self.rival:
            self._sympy(run, tests, found)
        return numbers, Left(found, tests)

    def _sets(
        self, kind: str, count: int, seed: int, forward: list[Solved]
    ) -> tuple[list[Solved], list[Solved], list[Solved]]:
        """Problems of the test, those on which γ is chosen, and those to learn from: no two of them alike."""
        draw = self.generator(1000 * _DRAWN[kind] + seed)
        test = draw_problems(kind, self.tested, draw, without=forward if kind == INTEGRAL else ())
        held = [*test, *(forward if kind == INTEGRAL else ())]
        chosen = draw_problems(kind, max(1, self.tested // 2), draw, without=held)
        return test, chosen, draw_problems(kind, count, draw, without=[*held, *chosen])

    def _forward(self, run: Run) -> list[Solved]:
        """Integrands that were drawn, of which sympy knows the integral; the same for all seeds."""
        drawn = draw_problems(INTEGRAL, self.tested, self.generator(9000), backwards=False)

        def work() -> dict[str, Any]:
            with Sympy(self.seconds) as rival:
                kept = integrated(rival, drawn)
            return {"tokens": [[tokens_of(one.problem), tokens_of(one.answer)] for one in kept]}

        found = run.stage("forward", work)
        run.show(drawn=len(drawn), kept=len(found["tokens"]))
        return [Solved(tree_of(problem), tree_of(answer)) for problem, answer in found["tokens"]]

    def _train(self, model: Autoregressive, kind: str, train: list[Solved], seed: int) -> dict[str, Any]:
        began = time.process_time()
        steps = self.steps if kind == INTEGRAL else max(1, self.steps // 2)
        train_proposal(model, kind, train, steps, self.batch, self.rate, seed)
        return {"seconds": time.process_time() - began}

    def _sympy(self, run: Run, tests: dict[str, list[Solved]], found: dict[str, Any]) -> None:
        """Sympy on the first problems of each test, and our own answers to the same ones."""
        tested = {part: problems[: self.rival] for part, problems in tests.items() if problems}
        ours = {part: found[_kind(part)][part] for part in tested}
        rows = run.stage("sympy", partial(rivalled, tested, ours, self.seconds))
        table = []
        for part, row in rows.items():
            run.measured.set("sympy", part, success_row(row["sympy"])["success"])
            for name in ("sympy", "beam of ten, checked", "greedy"):
                share = success_row(row[name])
                table.append((part, name, len(row[name]), share["success"], share["low"], share["high"]))
        run.table(("problems", "method", "count", "right, %", "from", "to"), table, name="sympy")
        run.show(agreed=sum(row["agreed"] for row in rows.values()),
                 judged=sum(len(row["sympy"]) for row in rows.values()))  # fmt: skip

    def _answer(self, run: Run, model: Autoregressive, gamma: float) -> None:
        """The candidates for the user's own integrand."""
        x = padded([tokens_of(self._own())], LONGEST[INTEGRAL][0], front=True)
        best, lists = answered(checked(model, INTEGRAL, gamma), x, max(10, *self.beams))
        solved = bool(right_answers(INTEGRAL, x, best)[0])
        rows = [(text, cost, residual) for text, cost, residual, _ in candidate_texts(lists, 0, best[0], plain, 10)]
        run.table(("candidate", "−log p", "residual"), [(verbatim(text), *rest) for text, *rest in rows], name="own")
        run.show(own=plain(self._own()), solved=solved, chosen=candidate_text(best[0], plain))

    def figures(self, run: Run, first: Left) -> None:
        drawn: list[tuple[str, list[Proposed]]] = []
        for part in (INTEGRAL, FORWARD, *KINDS[1:]):
            ours = first.found.get(_kind(part), {}).get(part)
            if ours is None:
                continue
            lists = Candidates(ours["tokens"], ours["proposal"], ours["residual"])
            changed = (ours["right"] & ~ours["greedy"]).nonzero()[:, 0].tolist()
            for row in (changed or ours["right"].nonzero()[:, 0].tolist() or [0])[: 2 if part == INTEGRAL else 1]:
                asked = mathematics(first.problems[part][row].problem)
                title = f"\\int \\left({asked}\\right) dx" if part in (INTEGRAL, FORWARD) else f"{asked} = 0"
                drawn.append(
                    (title, [Proposed(*one) for one in candidate_texts(lists, row, ours["answer"][row], mathematics)])
                )
        run.figure("candidates", partial(proposed_formulas, drawn))
        widths = sorted({10, *self.beams})
        lines = {}
        for part in first.problems:
            for name, method in (("checked", "checked"), ("likeliest", "beam")):
                if run.measured.has(f"{method} 10", part) and part in (INTEGRAL, FORWARD):
                    values = [run.measured.mean(f"{method} {width}", part) or 0.0 for width in widths]
                    lines[f"{part}, {name}"] = [float(width) for width in widths], values
        run.figure("width", partial(curves, lines, xlabel="width of the beam", ylabel="right, %", log="x"))
        ours = first.found[INTEGRAL][INTEGRAL]
        run.figure("length", partial(curves, by_length(ours), xlabel="tokens of the answer", ylabel="right, %"))


def _kind(part: str) -> str:
    """The kind of the problems of a test."""
    return INTEGRAL if part == FORWARD else part
