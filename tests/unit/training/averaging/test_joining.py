"""`ll.fit` as a worker that meets a centre."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import lowland as ll
from lowland.errors import CheckpointError, OptionError, UnsupportedError
from lowland.shaping.base import Batch
from lowland.training.averaging import joining
from lowland.training.averaging.centre import Centre
from lowland.training.averaging.link import Link
from lowland.training.averaging.rules import Downpour, Elastic, Outer, Rule
from lowland.training.averaging.warning import largest_curvature
from lowland.training.stepper import Stepper

DATA = torch.randn(64, 3, generator=torch.Generator().manual_seed(0)) @ torch.diag(torch.tensor([2.0, 1.0, 0.3]))


def autoencoder() -> ll.energies.Autoencoder:
    return ll.energies.Autoencoder(3, 2, generator=torch.Generator().manual_seed(1))


def trained(energy, averaging, **options):
    settings = {"batch_size": 16, "optimiser": "sgd", "lr": 0.01, "validation": 0.0, "progress": False}
    return ll.fit(energy, DATA, ll.shaping.MinimumEnergy(), averaging=averaging, **settings | options)


def test_one_worker_of_local_sgd_trains_as_one_without() -> None:
    plain, alone = autoencoder(), autoencoder()
    trained(plain, None, max_steps=30)
    trained(alone, Outer(3, lr=1.0, momentum=0.0), max_steps=30)
    for mine, theirs in zip(alone.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


def test_the_pull_comes_between_gradient_and_step() -> None:
    """One worker, every step, against the published equations by hand."""
    energy, rule = autoencoder(), Elastic(1, rate=0.4)
    x = torch.nn.utils.parameters_to_vector(energy.parameters()).detach().clone()
    with Centre(rule) as centre:
        found = []
        ll.fit(
            energy, DATA, ll.shaping.MinimumEnergy(), max_steps=5, batch_size=64, lr=0.01, optimiser="sgd",
            validation=0.0, progress=False, averaging=functools.partial(Link, rule=rule, centre=centre.address),
            callback=lambda step, row: found.append(torch.nn.utils.parameters_to_vector(energy.parameters()).clone()),
        )  # fmt: skip
    mine, middle = autoencoder(), x.clone()
    for seen in found:
        torch.nn.utils.vector_to_parameters(x.clone(), mine.parameters())
        loss = mine(y=DATA).mean()
        slope = torch.cat([part.flatten() for part in torch.autograd.grad(loss, list(mine.parameters()))])
        x, middle = x - 0.01 * slope - 0.4 * (x - middle), middle + 0.4 * (x - middle)
        torch.testing.assert_close(seen, x, rtol=1e-5, atol=1e-6)
    middle = middle + 0.4 * (x - middle)  # they meet once more in the end
    torch.testing.assert_close(torch.nn.utils.parameters_to_vector(energy.parameters()), middle, rtol=1e-4, atol=1e-5)


def test_a_run_goes_on_with_its_centre(tmp_path: Path) -> None:
    rule = Elastic(2, rate=0.5)
    energy = autoencoder()
    trained(energy, rule, max_steps=20, run=tmp_path / "run")
    first = {name: part.clone() for name, part in energy.state_dict().items()}
    assert list((tmp_path / "run" / "centre").iterdir())
    again = autoencoder()
    result = trained(again, rule, max_steps=20, run=tmp_path / "run", resume=True)
    assert result.steps == 20
    assert all(torch.equal(part, first[name]) for name, part in again.state_dict().items())
    longer = trained(again, rule, max_steps=40, run=tmp_path / "run", resume=True)
    assert longer.curves["loss/energy"][-1] < result.curves["loss/energy"][0]
    with pytest.raises(CheckpointError, match="averaging"):
        trained(autoencoder(), Elastic(3), max_steps=50, run=tmp_path / "run", resume=True)


def test_a_run_shorter_than_the_period_counts() -> None:
    """It returned what the centre had, the first weights, and wrote them over its last checkpoint."""
    plain, short = autoencoder(), autoencoder()
    trained(plain, None, max_steps=5)
    trained(short, Outer(64, lr=1.0, momentum=0.0), max_steps=5)
    for mine, theirs in zip(short.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


def test_the_numbers_of_the_centre_are_constrained_too() -> None:
    """Means of atoms of norm 1 are shorter, and outer steps longer."""
    energy = ll.energies.SparseCoding(3, 5, generator=torch.Generator().manual_seed(0))
    ll.fit(
        energy, DATA, ll.shaping.MinimumEnergy(), max_steps=9, batch_size=16, lr=0.1, progress=False,
        averaging=Elastic(2, rate=0.5),
    )  # fmt: skip
    torch.testing.assert_close(energy.dictionary.norm(dim=0), torch.ones(5))


@pytest.mark.parametrize("rule", [Downpour(2), Outer(2), Outer(2, lr=1.5, momentum=0.0)], ids=str)
def test_statistics_of_batch_norm_are_not_driven_out_of_range(rule: Rule) -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    with pytest.raises(UnsupportedError, match="floating-point buffers"):
        Link(model, rule, centre=None)
    with Link(model, Elastic(1), centre=None) as link:
        assert link.step()


def test_processes_that_cannot_find_one_centre_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joining, "world_size", lambda: 2)
    with pytest.raises(OptionError, match="start them with torchrun"):
        trained(autoencoder(), Elastic(), max_steps=1)


def test_outer_momentum_in_turns_is_told(caplog: pytest.LogCaptureFixture) -> None:
    rule = Outer(2)
    with Centre(rule) as centre, Link(autoencoder(), rule, centre.address):
        trained(autoencoder(), functools.partial(Link, rule=rule, centre=centre.address), max_steps=2)
    assert "acts 2 times in each round" in caplog.text


def test_workers_started_one_by_one_see_other_samples() -> None:
    rule, found = Elastic(50), []
    with Centre(rule) as centre:
        for _ in range(2):
            result = trained(autoencoder(), functools.partial(Link, rule=rule, centre=centre.address), max_steps=3)
            found.append(result.curves["loss/energy"])
    assert found[0] != found[1]


def test_what_has_no_gradients_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="without gradients"):
        ll.fit(
            ll.energies.KMeans(3, 2), DATA, ll.shaping.ExpectationMaximisation(), max_steps=2, progress=False,
            averaging=Elastic(),
        )  # fmt: skip


def test_what_is_no_rule_is_refused() -> None:
    with pytest.raises(OptionError, match="averaging must be a rule"):
        trained(autoencoder(), "elastic", max_steps=1)


def test_curvature_is_the_largest_eigenvalue_of_the_hessian() -> None:
    energy = autoencoder().double()
    stepper = Stepper(energy, ll.shaping.MinimumEnergy(), optimiser="sgd")
    stepper.make_optimisers()
    parameters, data = list(energy.parameters()), DATA.double()
    shapes = [part.shape for part in parameters]

    def loss(x: torch.Tensor) -> torch.Tensor:
        parts = x.split([shape.numel() for shape in shapes])
        named = {n: p.view(s) for (n, _), p, s in zip(energy.named_parameters(), parts, shapes, strict=True)}
        return torch.func.functional_call(energy, named, (), {"y": data}).mean()

    x = torch.nn.utils.parameters_to_vector(parameters).detach()
    exact = float(torch.linalg.eigvalsh(torch.autograd.functional.hessian(loss, x)).abs().max())
    assert largest_curvature(stepper, Batch(data), parameters) == pytest.approx(exact, rel=0.02)


def test_an_unstable_rate_is_told_before_the_start(caplog: pytest.LogCaptureFixture) -> None:
    trained(autoencoder(), Elastic(1), max_steps=1, lr=1e-3)
    assert "may diverge" not in caplog.text
    trained(autoencoder(), Elastic(1, rate=1.9), max_steps=1, lr=0.5)
    assert "may diverge. Lower lr" in caplog.text


SCRIPT = """
import json, os, sys
import torch
torch.set_num_threads(1)
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lowland as ll
from lowland.training.averaging.rules import Elastic

data = torch.randn(64, 3, generator=torch.Generator().manual_seed(0))
energy = ll.energies.Autoencoder(3, 2, generator=torch.Generator().manual_seed(1))
result = ll.fit(energy, data, ll.shaping.MinimumEnergy(), max_steps=200, batch_size=32, lr=0.01, optimiser="sgd",
                validation=0.0, progress=False, run=sys.argv[1], averaging=Elastic(period=2))
x = torch.nn.utils.parameters_to_vector(energy.parameters())
losses = result.curves["loss/energy"]
out = {"rank": int(os.environ["RANK"]), "x": x.tolist(), "first": losses[0], "last": losses[-1]}
open(os.path.join(sys.argv[1], f"out-{out['rank']}.json"), "w").write(json.dumps(out))
"""


def test_two_workers_under_torchrun_meet_and_keep_their_own_files(tmp_path: Path, repository: Path) -> None:
    script, run = tmp_path / "train.py", tmp_path / "run"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script), str(run)],
        capture_output=True, text=True, timeout=100, check=False,
        env={**os.environ, "PYTHONPATH": str(repository / "src"), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found = [json.loads((run / f"out-{rank}.json").read_text()) for rank in range(2)]
    assert found[0]["first"] != found[1]["first"], "workers take different samples"
    assert all(one["last"] < one["first"] for one in found)
    near = torch.dist(*(torch.tensor(one["x"]) for one in found))
    assert float(near) < 0.1 * float(torch.tensor(found[0]["x"]).norm())
    assert (run / "worker-1" / "metrics.csv").exists()
    assert (run / "metrics.csv").exists()
    assert list((run / "centre").iterdir())
