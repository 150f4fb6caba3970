"""A new energy, solver or shaping is one file: in a package of its own, it is found and passes the whole suite."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

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
        u = problem.domain.confine(state.u - self.step_size * gradient.sign())
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


@pytest.mark.parametrize(
    ("kind", "name", "source"),
    [
        ("energies", "TestOnlyBowl", ENERGY),
        ("solvers", "TestOnlySigns", SOLVER),
        ("shapings", "TestOnlyDataEnergy", SHAPING),
    ],
)
def test_one_file_in_another_package_passes_the_suite(
    tmp_path: Path, repository: Path, kind: str, name: str, source: str
) -> None:
    package = tmp_path / "lowland_test_plugin"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "one_file.py").write_text(source, encoding="utf-8")
    path = os.pathsep.join([str(tmp_path), str(repository / "src")])
    environment = os.environ | {"LOWLAND_PLUGINS": "lowland_test_plugin", "PYTHONPATH": path}
    suite = repository / "tests" / "conformance" / f"test_{kind}.py"
    run = subprocess.run(
        [sys.executable, "-m", "pytest", str(suite), "-k", name, "-q", "-p", "no:cacheprovider", "-p", "no:xdist"],
        cwd=repository, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-2000:]
    passed = re.search(r"(\d+) passed", run.stdout)
    assert passed, run.stdout[-2000:]
    assert int(passed.group(1)) >= 3
