"""Sympy as a rival, in a process of its own with a limit of time for each problem."""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import sys
import threading
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from lowland.data.formulas.draws import INTEGRAL, LONGEST, Solved
from lowland.data.formulas.tokens import combined, tokens_of
from lowland.data.formulas.trees import Tree, call, is_number
from lowland.errors import DomainError, LowlandError

_WORKER = Path(__file__).with_name("sympy_worker.py")
_WAIT, _TIMES = 60.0, 30.0


class Sympy:
    """A process that solves and checks problems, and is started again where one has ended it; use it in a `with` block.

    Args:
        seconds: of the processor for each problem.

    >>> with Sympy(seconds=5.0) as rival:
    ...     rival.right("integral", ("*", 2, "x"), ("^", "x", 2))
    True
    """

    def __init__(self, seconds: float = 1.0) -> None:
        self.seconds = seconds
        self.process: subprocess.Popen[str] | None = None
        self.lines: queue.Queue[str] = queue.Queue()

    def __enter__(self) -> Sympy:
        return self

    def __exit__(self, *raised: object) -> None:
        self._end()

    def solve(self, kind: str, problem: Tree) -> tuple[bool, Tree | None]:
        """Whether sympy finds an answer that holds, and an integral as a tree where a formula can say it."""
        found = self._ask({"kind": kind, "problem": listed(problem), "seconds": self.seconds})
        try:
            answer = None if found.get("answer") is None else unlisted(found["answer"])
        except DomainError:
            answer = None
        return bool(found.get("right")), answer

    def right(self, kind: str, problem: Tree, answer: Tree) -> bool:
        """Whether an answer holds, by the derivatives of sympy with thirty digits at three points."""
        return bool(self._ask({"kind": kind, "problem": listed(problem), "answer": listed(answer)}).get("right"))

    def _ask(self, asked: dict[str, Any]) -> dict[str, Any]:
        if self.process is None:
            self._begin()
        process = self.process
        assert process is not None
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(asked) + "\n")
            process.stdin.flush()
            line = self.lines.get(timeout=_WAIT + _TIMES * self.seconds)
        except (queue.Empty, BrokenPipeError):
            line = ""
        if not line:  # it has ended, or hangs
            self._end()
            return {}
        return json.loads(line)

    def _begin(self) -> None:
        self.lines = queue.Queue()
        self.process = subprocess.Popen(
            [sys.executable, str(_WORKER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True,
        )  # fmt: skip
        threading.Thread(target=_read, args=(self.process, self.lines), daemon=True).start()

    def _end(self) -> None:
        if self.process is not None:
            self.process.kill()
            with contextlib.suppress(BrokenPipeError):
                if self.process.stdin is not None:
                    self.process.stdin.close()
            self.process.wait()
            self.process = None


def _read(process: subprocess.Popen[str], lines: queue.Queue[str]) -> None:
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            lines.put(line)
    lines.put("")


def listed(tree: Tree) -> Any:
    """A tree as lists of numbers and names, for JSON.

    >>> listed(("*", Fraction(1, 2), "x"))
    ['*', ['/', 1, 2], 'x']
    """
    if isinstance(tree, Fraction):
        return ["/", tree.numerator, tree.denominator]
    return [tree[0], *(listed(part) for part in tree[1:])] if isinstance(tree, tuple) else tree


def unlisted(found: Any) -> Tree:
    """The tree in canonical form that lists say.

    >>> unlisted(["+", "x", ["*", 2, "x"]])
    ('*', 3, 'x')
    """
    if not isinstance(found, list):
        return found
    kind, *parts = found
    inner = [unlisted(part) for part in parts]
    if kind in ("+", "*", "^", "/"):
        tree = inner[0]
        for part in inner[1:]:
            tree = combined(kind, tree, part)
        return tree
    return call(kind, inner[0])


def integrated(rival: Sympy, problems: Sequence[Solved]) -> list[Solved]:
    """Those of the integrands whose integral sympy finds in time, as a formula that is short enough to be written."""
    found = []
    for one in problems:
        right, answer = rival.solve(INTEGRAL, one.problem)
        try:
            if (
                right
                and answer is not None
                and not is_number(answer)
                and len(tokens_of(answer)) <= LONGEST[INTEGRAL][1]
            ):
                found.append(Solved(one.problem, answer))
        except LowlandError:
            continue
    return found
