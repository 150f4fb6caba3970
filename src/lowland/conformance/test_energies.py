"""What every registered energy must do. None is named here: the registry is the list."""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import lowland as ll
from lowland.conformance.cases import BATCH, ENERGIES, EVERY, case_of, closed, having, problem_of, random_values
from lowland.energies.base import VARIABLES
from lowland.errors import LowlandError, ShapeError
from lowland.evaluation.minima import ends
from lowland.solvers.base import bind
from lowland.tensors import PerSampleRNG, take, tree_leaves, tree_map
from lowland.training import export_onnx, export_program


@EVERY
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_number_for_each_sample(name: str, dtype: torch.dtype) -> None:
    case = case_of(name, dtype)
    value = case.energy(**random_values(case.energy, case, dtype))
    assert value.shape == (BATCH,)
    assert value.dtype == dtype
    assert torch.isfinite(value).all()


@EVERY
def test_float32_agrees_with_float64(name: str) -> None:
    """Inputs are the same numbers; the tolerance is 1000 roundings of single precision."""
    single, double = case_of(name, torch.float32), case_of(name)
    values = random_values(single.energy, single, torch.float32)
    wide = tree_map(lambda t: t.double() if t.is_floating_point() else t, values)
    torch.testing.assert_close(single.energy(**values).double(), double.energy(**wide), rtol=1.2e-4, atol=1.2e-4)


@EVERY
def test_gradient_agrees_with_finite_differences(name: str) -> None:
    """Central differences in every variable with a gradient: the error is h² ≈ 1e-10 times third derivatives."""
    case = case_of(name)
    values = random_values(case.energy, case)
    generator = torch.Generator().manual_seed(3)
    for variable, domain in case.energy.domains.items():
        if domain.discrete or not isinstance(values[variable], Tensor):
            continue
        point = values[variable].clone() + 0.01 * torch.randn(values[variable].shape, generator=generator).double()
        point.requires_grad_()
        value = case.energy(**{**values, variable: point}).sum()
        gradient = torch.zeros_like(point)
        if value.requires_grad:
            (found,) = torch.autograd.grad(value, point, allow_unused=True)
            gradient = gradient if found is None else found
        direction = torch.randn(point.shape, generator=generator).double()
        with torch.no_grad():
            ahead = case.energy(**{**values, variable: point + 1e-5 * direction}).sum()
            behind = case.energy(**{**values, variable: point - 1e-5 * direction}).sum()
        slope = (gradient * direction).sum()
        torch.testing.assert_close((ahead - behind) / 2e-5, slope, rtol=1e-5, atol=1e-6)


@having(lambda case, known: any(p.requires_grad for p in case.energy.parameters()))
def test_parameter_gradient_agrees_with_finite_differences(name: str) -> None:
    case = case_of(name)
    values = random_values(case.energy, case)
    parameters = [p for p in case.energy.parameters() if p.requires_grad]
    value = case.energy(**values).sum()
    gradients = torch.autograd.grad(value, parameters, allow_unused=True)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter, gradient in zip(parameters, gradients, strict=True):
            direction = torch.randn(parameter.shape, generator=generator).double()
            parameter += 1e-5 * direction
            ahead = case.energy(**values).sum()
            parameter -= 2e-5 * direction
            behind = case.energy(**values).sum()
            parameter += 1e-5 * direction
            slope = torch.zeros_like(ahead) if gradient is None else (gradient * direction).sum()
            torch.testing.assert_close((ahead - behind) / 2e-5, slope, rtol=1e-5, atol=1e-6)


@EVERY
def test_a_batch_is_its_rows_in_any_order(name: str) -> None:
    case = case_of(name)
    values = random_values(case.energy, case)
    together = case.energy(**values)
    alone = torch.cat([case.energy(**take(values, torch.tensor([row]))) for row in range(BATCH)])
    torch.testing.assert_close(together, alone, rtol=1e-9, atol=1e-10)
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(case.energy(**take(values, order)), together[order], rtol=1e-9, atol=1e-10)


@EVERY
def test_weights_survive_safetensors(name: str, tmp_path: Path) -> None:
    case = case_of(name)
    values = random_values(case.energy, case)
    before = case.energy(**values)
    save_file(
        {key: value.contiguous() for key, value in case.energy.state_dict().items()}, tmp_path / "energy.safetensors"
    )
    other = copy.deepcopy(case.energy)
    with torch.no_grad():
        for tensor in other.state_dict().values():
            if tensor.is_floating_point():
                tensor.add_(1.0)
    other.load_state_dict(load_file(tmp_path / "energy.safetensors"))
    assert torch.equal(other(**values), before)


@EVERY
def test_nothing_is_changed_and_nothing_is_random(name: str) -> None:
    case = case_of(name)
    values = random_values(case.energy, case)
    copies = tree_map(torch.clone, values)
    flags = [p.requires_grad for p in case.energy.parameters()]
    state = torch.get_rng_state()
    first, second = case.energy(**values), case.energy(**values)
    with torch.no_grad():
        problem = bind(case.energy, case.given, case.over)
        problem.value_and_gradient(problem.domain.start(problem.batch, problem.dtype))
    assert torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), state)
    assert [p.requires_grad for p in case.energy.parameters()] == flags
    assert all(p.grad is None for p in case.energy.parameters())
    for one, other in zip(tree_leaves(values), tree_leaves(copies), strict=True):
        assert torch.equal(one, other)
        assert not one.requires_grad


@EVERY
def test_construction_does_not_touch_the_global_random_state(name: str) -> None:
    state = torch.get_rng_state()
    first, second = ENERGIES[name].reference_case().energy, ENERGIES[name].reference_case().energy
    assert torch.equal(torch.get_rng_state(), state)
    for one, other in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        assert torch.equal(one, other)


@having(lambda case, known: case.minimum is not None)
def test_reference_minimum_is_reached_by_the_default_solver(name: str) -> None:
    """Default solvers stop at a residual of 1e-4 or below, so that E is within about 1e-4 of its least value."""
    case = case_of(name)
    init = None if case.start is None else case.energy.over(case.over)[1].unpack(case.start.double())
    found = ll.infer(case.energy, over=case.over, init=init, **case.given)
    torch.testing.assert_close(found.energy.detach().double(), case.minimum.double(), rtol=1e-4, atol=1e-3)
    if case.minimiser is not None:
        flat = case.energy.over(case.over)[1].pack(found.value)
        torch.testing.assert_close(flat.double(), case.minimiser.double(), rtol=1e-2, atol=2e-2)


@EVERY
def test_every_solver_ends_at_the_least_known_minimum_or_says_why_not(name: str) -> None:
    """What is certified as global is at the stated minimum; what has converged is lower than all points around it.

    With a residual of at most 1e-4, a way of ‖v − u‖₁ lowers E by no more than 1e-4 times as much, to first order; the
    second order, 1e-4 of a unit or less at this distance, and rounding are below 1e-4 of E.
    """
    problem, _ = problem_of(case_of(name, torch.float32))
    for end in ends(name):
        assert bool((end.excess >= -end.tolerance).all()), f"{end} is below the stated minimum"
        assert end.reached or not end.exact, f"{end} is not the minimum, but claims to be"
        u, energy = problem.domain.pack(end.found.value), end.found.energy.detach()
        noise = PerSampleRNG(5, torch.arange(len(u)), problem.dtype)
        for _ in range(4):
            near = problem.domain.project(u + 0.01 * noise.normal(problem.size))
            with torch.no_grad():
                least = energy - 1e-4 * (near - u).abs().sum(dim=1) - 1e-4 * energy.abs().clamp_min(1)
                lower = problem.value(near) < least
            assert not bool((lower & end.found.converged).any()), f"{end} is not stationary"


@having(lambda case, known: closed(case, math.inf) is not None)
def test_marginal_is_the_minimum_over_the_latent(name: str) -> None:
    case = case_of(name)
    found = ll.infer(case.energy, over="z", **case.given)
    torch.testing.assert_close(closed(case, math.inf), found.energy, rtol=1e-5, atol=1e-5)


BETAS = (math.inf, 3.0, 1.0, 0.0, -1.0)


@having(
    lambda case, known: (
        "z" in case.energy.domains
        and case.energy.domain("z").cardinality is not None
        and any(closed(case, beta) is not None for beta in BETAS)
    )
)
def test_marginal_is_the_soft_minimum_over_a_finite_latent(name: str) -> None:
    """F_β = −1/β log mean exp(−β E) over all z, the mean of E at β = 0, one z at a time."""
    case = case_of(name)
    elements = case.energy.domain("z").elements(torch.float64)
    batch = tree_leaves(case.given)[0].shape[0]
    each = [case.energy(**case.given, z=case.energy.domain("z").unpack(e.expand(batch, -1))) for e in elements]
    table = torch.stack(each, dim=1)
    for beta in BETAS:
        value = closed(case, beta)
        if value is not None:
            soft = table.mean(dim=1) if beta == 0 else -(-beta * table).exp().mean(dim=1).log() / beta
            expected = table.amin(dim=1) if beta == math.inf else soft
            torch.testing.assert_close(value, expected, rtol=1e-9, atol=1e-9, msg=f"beta = {beta}")


@EVERY
def test_bad_values_raise(name: str) -> None:
    case = case_of(name)
    values = random_values(case.energy, case)
    variable = next((v for v in VARIABLES if isinstance(values.get(v), Tensor)), None)
    assert variable is not None
    good = values[variable]
    bad = {
        "rank": good[:, None, None],
        "no batch": good[0].sum(),
        "size": torch.cat([good, good], dim=-1),
        "kind": "not a tensor",
        "missing": None,
    }
    for value in bad.values():
        with pytest.raises(LowlandError):
            case.energy(**{**values, variable: value})
    if len(values) > 1:
        with pytest.raises(ShapeError, match=r"[Bb]atch size"):
            case.energy(**{**values, variable: good[:2]})
    if next(case.energy.parameters(), None) is not None:
        with pytest.raises(ShapeError, match="float16"):
            case.energy(**{**values, variable: good.half()})
    superfluous = next((v for v in VARIABLES if v not in case.energy.domains), None)
    if superfluous is not None:
        with pytest.raises(ShapeError, match=f"no variable {superfluous}"):
            case.energy(**values, **{superfluous: good})


@EVERY
def test_non_finite_data_raise(name: str) -> None:
    case = case_of(name)
    for variable, value in case.given.items():
        broken = tree_map(lambda t: torch.full_like(t, torch.nan) if t.is_floating_point() else t, value)
        with pytest.raises(LowlandError, match="NaN"):
            ll.infer(case.energy, over=case.over, **{**case.given, variable: broken})


ODD: dict[str, Callable[[Tensor], Tensor]] = {
    "meta": lambda t: t.to("meta"),
    "quantised": lambda t: torch.quantize_per_tensor(t.float(), 0.1, 0, torch.qint8),
    "complex": lambda t: t.to(torch.complex64),
    "to_dense": lambda t: t.to_sparse(),
    "nested": lambda t: torch.nested.nested_tensor(list(t)),
}


@EVERY
@pytest.mark.filterwarnings("ignore:.*(quantize_per_tensor|ested tensors)")
def test_tensors_of_an_odd_kind_get_one_sentence(name: str) -> None:
    case = case_of(name, torch.float32)
    for variable, value in case.given.items():
        for word, change in ODD.items():
            odd = case.given | {variable: tree_map(change, value)}
            with pytest.raises(ShapeError, match=f"{variable}.*{word}"):
                ll.infer(case.energy, over=case.over, **odd)
        wrong: dict[str, Callable[[Tensor], Tensor]] = {"wide": lambda t: torch.cat([t, t], dim=-1)}
        if isinstance(value, Tensor) and not case.energy.domains[variable].discrete:
            wrong |= {"whole": lambda t: t.long(), "yes or no": lambda t: t > 0}
        for change in wrong.values():
            with pytest.raises(LowlandError):
                ll.infer(case.energy, over=case.over, **case.given | {variable: tree_map(change, value)})


@EVERY
def test_whole_numbers_do_for_a_discrete_variable(name: str) -> None:
    case = case_of(name)
    values = random_values(case.energy, case)
    for variable, domain in case.energy.domains.items():
        if domain.discrete and isinstance(values[variable], Tensor):
            whole = case.energy(**values | {variable: values[variable].long()})
            torch.testing.assert_close(whole, case.energy(**values), rtol=1e-12, atol=1e-12)


@EVERY
def test_no_samples_have_no_energies(name: str) -> None:
    case = case_of(name)
    none = tree_map(lambda t: t[:0], random_values(case.energy, case))
    assert case.energy(**none).shape == (0,)
    given = tree_map(lambda t: t[:0], case.given)
    if given:
        found = ll.infer(case.energy, over=case.over, **given)
        assert found.energy.shape == found.status.shape == (0,)


@EVERY
def test_an_energy_that_returns_the_wrong_shape_raises(name: str) -> None:
    class Wrong(ENERGIES[name]):  # type: ignore[misc]  the base is looked up by name
        def energy(self, x: Any, y: Any, z: Any) -> Tensor:
            return super().energy(x, y, z).sum()

    case = case_of(name)
    case.energy.__class__ = Wrong
    with pytest.raises(ShapeError, match="one number for each sample"):
        case.energy(**random_values(case.energy, case))


@EVERY
def test_documented_with_its_equation(name: str) -> None:
    text = ENERGIES[name].__doc__ or ""
    assert re.search(r"[A-Z]_?.?\(.*\) = ", text), "the docstring needs the equation"
    assert name in repr(ENERGIES[name].reference_case().energy)


@EVERY
def test_exports_to_a_program_and_to_onnx(name: str, tmp_path: Path) -> None:
    """Read back and given another batch, both say what the energy says, to 1,000 roundings of single precision."""
    case = case_of(name, torch.float32)
    values = random_values(case.energy, case, torch.float32)
    other = take(values, torch.tensor([2, 0, 3, 1, 1, 2, 0]))
    with torch.no_grad():
        expected = case.energy(**other)
    inputs = [tensor for variable in VARIABLES for tensor in tree_leaves(other.get(variable))]
    program = torch.export.load(export_program(case.energy, values, tmp_path / "energy.pt2")).module()
    torch.testing.assert_close(program(*inputs).detach(), expected, rtol=1.2e-4, atol=1.2e-4)
    session = onnxruntime.InferenceSession(
        export_onnx(case.energy, values, tmp_path / "energy.onnx"), providers=["CPUExecutionProvider"]
    )
    feed = {node.name: tensor.numpy() for node, tensor in zip(session.get_inputs(), inputs, strict=True)}
    found = torch.from_numpy(session.run(None, feed)[0])
    torch.testing.assert_close(found, expected, rtol=1.2e-4, atol=1.2e-4)
