"""The files that the documentation tells a reader to write: the registry finds it, and it works."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

FOUND = """
import torch
from lowland import registry
from lowland.inference import infer

entry = registry.find({kind!r}, {name!r})
assert entry.__module__ == "my_package.{name}", entry.__module__
case = entry.reference_case()
"""
SOLVED = {
    "add_energy": """
found = infer(case.energy, over=case.over, **case.given)
torch.testing.assert_close(found.energy.detach(), case.minimum)
torch.testing.assert_close(found.value, case.minimiser)
""",
    "add_solver": """
problem = case.case
found = infer(problem.energy, over=problem.over, solver=case.solver, **problem.given)
assert found.status.eq(0).all(), found.status
torch.testing.assert_close(found.energy.detach(), problem.minimum, atol=case.tolerance, rtol=0)
""",
}


@pytest.mark.parametrize(
    ("page", "kind", "name"), [("add_energy", "energy", "Lines"), ("add_solver", "solver", "BarzilaiBorwein")]
)
def test_page_holds_a_working_file(repository: Path, tmp_path: Path, page: str, kind: str, name: str) -> None:
    text = (repository / "docs" / f"{page}.md").read_text()
    (code,) = re.findall(r"^```python\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    package = tmp_path / "my_package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / f"{name}.py").write_text(code)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(repository / "src"), str(tmp_path)])}

    def python(*arguments: str) -> None:
        result = subprocess.run(
            [sys.executable, "-W", "error", *arguments],
            cwd=tmp_path,
            env={**environment, "LOWLAND_PLUGINS": "my_package"},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert result.returncode == 0, result.stdout + result.stderr

    python("-c", FOUND.format(kind=kind, name=name) + SOLVED[page])
    python("-m", "doctest", str(package / f"{name}.py"))
    python("-m", "ruff", "check", "--config", str(repository / "pyproject.toml"), str(package / f"{name}.py"))
