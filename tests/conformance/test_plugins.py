"""A new energy, solver or shaping is one file: wherever it lies, `lowland check` runs the whole suite on it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lowland import registry
from lowland.conformance.check import classes
from lowland.errors import OptionError

ENERGY = '''
from __future__ import annotations
from typing import Any
import torch
from torch import Tensor, nn
from lowland.domains import Reals
from lowland.energies.base import Energy, ReferenceCase
from lowland.registry import register

@register("energy")
class TestOnlyBowl(Energy):
    """E(y) = ½‖y − c‖², with c trained.

    >>> TestOnlyBowl()(y=torch.tensor([[1.0, 2.0]])).item()
    0.0
    """

    def __init__(self) -> None:
        super().__init__(y=Reals(2))
        self.centre = nn.Parameter(torch.tensor([1.0, 2.0]))

    def energy(self, x: Any, y: Tensor, z: Any) -> Tensor:
        return 0.5 * (y - self.centre).square().sum(dim=1)

    @classmethod
    def reference_case(cls) -> ReferenceCase:
        return ReferenceCase(cls(), {}, "y", minimum=torch.zeros(1), minimiser=torch.tensor([[1.0, 2.0]]))
'''

SOLVER = '''
from __future__ import annotations
from typing import Any
import torch
from torch import Tensor
from lowland.energies.ellipse import Ellipse
from lowland.registry import register
from lowland.solvers import Info, Problem, Solver, SolverCase
from lowland.solvers.base import Point

@register("solver")
class TestOnlySigns(Solver):
    """u ← u − η sign(∇E), with η small.

    >>> TestOnlySigns().max_steps
    200
    """

    def __init__(self, step_size: float = 5e-3, max_steps: int = 200) -> None:
        super().__init__(max_steps)
        self.step_size = step_size

    def init(self, problem: Problem, u: Tensor) -> Point:
        return Point(u)

    def step(self, problem: Problem, state: Point, drawn: Any) -> tuple[Point, Info]:
        energy, gradient = problem.value_and_gradient(state.u)
        u = problem.domain.project_iterate(state.u - self.step_size * gradient.sign())
        return Point(u), Info(energy, problem.residual(state.u, gradient))

    @classmethod
    def reference_case(cls) -> SolverCase:
        return SolverCase(cls(), Ellipse.reference_case())
'''

SHAPING = '''
from __future__ import annotations
import torch
from lowland.energies.base import Energy
from lowland.energies.gaussian import Gaussian
from lowland.registry import register
from lowland.shaping.base import Batch, Losses, Shaping, ShapingCase

@register("shaping")
class TestOnlyDataEnergy(Shaping):
    """Lowers E on the data.

    >>> TestOnlyDataEnergy().rates
    {}
    """

    def forward(self, energy: Energy, batch: Batch) -> Losses:
        loss = energy(x=batch.x, y=batch.y).mean()
        return Losses({"energy": loss}, {"energy_of_data": loss.detach()})

    @classmethod
    def reference_case(cls) -> ShapingCase:
        batch = Batch(torch.tensor([[1.0, 0.5], [0.5, 1.0], [2.0, 1.0]]), index=torch.arange(3))
        return ShapingCase(cls(), Gaussian(2), batch)
'''


def test_files_anywhere_pass_the_suite(tmp_path: Path, repository: Path) -> None:
    """By the command line, from a folder that Python does not search; of all tests only those of these classes run."""
    for name, source in (("energy", ENERGY), ("solver", SOLVER), ("shaping", SHAPING)):
        (tmp_path / f"my_{name}.py").write_text(source, encoding="utf-8")
    run = lowland_check(repository, tmp_path.parent, str(tmp_path))
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-2000:]
    found = re.search(r"(\d+) passed, (\d+) deselected", run.stdout)
    assert found, run.stdout[-2000:]
    assert int(found[1]) >= 30
    assert int(found[2]) > 10 * int(found[1])


def lowland_check(repository: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "LOWLAND_PLUGINS"}
    command = "import sys; from lowland.cli import main; sys.exit(main(sys.argv[1:]))"
    return subprocess.run(
        [sys.executable, "-P", "-c", command, "check", *words],
        cwd=folder, env=environment | {"PYTHONPATH": str(repository / "src")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_wrong_answer_fails_and_says_where(tmp_path: Path, repository: Path) -> None:
    """The minimum of the reference case is claimed to be 1 where it is 0."""
    (tmp_path / "wrong.py").write_text(ENERGY.replace("minimum=torch.zeros(1)", "minimum=torch.ones(1)"))
    run = lowland_check(repository, tmp_path, "wrong", "--only", "TestOnlyBowl")
    assert run.returncode == 1, run.stderr
    assert "FAILED" in run.stdout
    assert "test_reference_minimum_is_reached_by_the_default_solver[TestOnlyBowl]" in run.stdout


@pytest.mark.parametrize(
    ("file", "source", "words"),
    [
        ("broken.py", "x = 1\ny = = 2\n", r"broken.py cannot be imported: SyntaxError in broken\.py, line 2"),
        ("fails.py", "\n\n1 / 0\n", r"ZeroDivisionError in fails\.py, line 3"),
        ("needs.py", "import no_such_module\n", r"ModuleNotFoundError in needs\.py, line 1"),
        ("nothing.py", "x = 1\n", r"registers no energy, solver, shaping or world: write @register"),
        ("json.py", "x = 1\n", r"has the name of another module, json: rename"),
        ("two-words.py", "x = 1\n", r"cannot be imported under that name"),
        (
            "unanswered.py",
            ENERGY.replace("reference_case", "other_case").replace("TestOnlyBowl", "TestOnlyPlate"),
            r"TestOnlyPlate has no classmethod `reference_case`",
        ),
    ],
)
def test_what_cannot_be_checked_is_said_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, source: str, words: str
) -> None:
    (tmp_path / file).write_text(source, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    with pytest.raises(OptionError, match=words):
        classes(file)
    registry._registered["energy"].pop("TestOnlyPlate", None)


@pytest.mark.parametrize("name", ["missing", "missing.py", "no.such.module", "no/such/folder", ""])
def test_a_plugin_that_is_not_there_is_said_to_be_missing(name: str) -> None:
    with pytest.raises(OptionError, match=f"There is no plugin '{name}'"):
        classes(name)
