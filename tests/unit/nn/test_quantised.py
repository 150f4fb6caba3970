"""Layers of few bits: levels, steps, gradients, which layers are replaced, and that files and ONNX keep them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import lowland as ll
from lowland.energies import Classifier, LeNet
from lowland.errors import OptionError, UnsupportedError
from lowland.evaluation.classification import answer_energies
from lowland.nn.connections import TableConvolution
from lowland.nn.quantised import ANNA, NET32K, quantised, quantised_layers, requantise, settings_of
from lowland.nn.quantisers import Quantiser, WeightQuantiser, best_step, levels_of, straight
from lowland.training import export_onnx, load_energy, save_energy

EVERY = (1, "ternary", 2, 3, 6, 8)


def _draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _lenet() -> LeNet:
    return LeNet(output="linear", modern=True)


def _digits(count: int = 6) -> Tensor:
    return torch.rand(count, 1, 28, 28, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("bits", EVERY)
def test_a_weight_has_no_more_values_than_its_bits_allow(bits: int | str) -> None:
    quantiser, weight = WeightQuantiser(bits, channels=3), _draw(3, 5, 40)  # pyright: ignore[reportArgumentType]
    quantiser.calibrate(weight)
    least, most = levels_of(bits)  # pyright: ignore[reportArgumentType]
    levels = quantiser.levels(weight)
    assert int(levels.min()) >= least
    assert int(levels.max()) <= most
    with torch.no_grad():
        assert torch.equal(quantiser(weight), levels * quantiser.scales(weight)[:, None, None])


def test_the_gradients_are_those_of_the_paper() -> None:
    """Equations 3 and 5 written out for each number: u / s = −3 and 9 are clipped, the others are rounded."""
    u = torch.tensor([-1.5, 0.15, -0.3, 4.5], requires_grad=True)
    step = torch.tensor([0.5], requires_grad=True)
    weight = torch.tensor([1.0, 2.0, 4.0, 8.0])
    (weight * straight(u, step, -2, 1, scale=0.5)).sum().backward()
    assert u.grad is not None
    assert step.grad is not None
    assert u.grad.tolist() == [0.0, 2.0, 4.0, 0.0]
    wanted = 0.5 * (1 * -2 + 2 * (0 - 0.3) + 4 * (-1 - -0.6) + 8 * 1)
    torch.testing.assert_close(step.grad, torch.tensor([wanted]))


def test_the_gradient_of_a_step_does_not_grow_with_the_batch_of_a_mean() -> None:
    for count in (1, 4):
        quantiser, u = Quantiser(3, signed=False), _draw(1, 7).abs().repeat(count, 1)
        quantiser(u).mean(dim=0).sum().backward()
        levels, inside = (u[0] / 1).clamp(0, 7).round(), (u[0] > 0) & (u[0] < 7)
        wanted = torch.where(inside, levels - u[0], levels).sum() / (7 * 7) ** 0.5
        assert quantiser.step.grad is not None
        torch.testing.assert_close(quantiser.step.grad[0], wanted)


def test_the_step_is_the_best_of_a_fine_search() -> None:
    """Brute force on a grid ten times as fine finds at most one part in a hundred less error."""
    rows = _draw(4, 200)
    for least, most in ((-1, 1), (-2, 1), (-4, 3), (-32, 31)):

        def error(step: Tensor, least: int = least, most: int = most) -> Tensor:
            return (rows - straight(rows, step[:, None], least, most)).square().sum(dim=1)

        finest = torch.stack([error(torch.full((4,), float(s))) for s in torch.logspace(-3, 1, 4000)]).amin(dim=0)
        assert bool((error(best_step(rows, least, most)) <= 1.1 * finest).all())


def test_one_bit_is_the_optimal_sign_and_scale() -> None:
    """XNOR-Net's equation 6: no other scale of the signs, and no other signs, have less squared error."""
    weight, quantiser = _draw(2, 9), WeightQuantiser(1, channels=2)
    found = quantiser(weight)
    assert torch.equal(found.sign(), weight.sign())
    error = (weight - found).square().sum(dim=1)
    for factor in (0.95, 1.05):
        assert bool(((weight - factor * found).square().sum(dim=1) > error).all())


def test_filters_of_a_table_share_the_scale_of_their_map() -> None:
    layer = TableConvolution([[0], [0, 2], [2, 1]], inputs=3, kernel=3)
    for bits in (1, 3):
        small = quantised(nn.Sequential(layer), bits, None)
        (found,) = (one for _, one in quantised_layers(small))
        assert found.weight_levels is not None
        assert found.weight_levels.owners is not None
        assert found.weight_levels.owners.tolist() == [0, 1, 1, 2, 2]
        alone = WeightQuantiser(bits)
        alone.calibrate(layer.weight[1:3])
        with torch.no_grad():
            torch.testing.assert_close(found.weight_levels(layer.weight)[1:3], alone(layer.weight[1:3]))


def test_the_layers_compute_with_what_was_rounded() -> None:
    x = _draw(5, 3, 8, 8)
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, stride=2), nn.ReLU(), nn.Conv2d(4, 2, 3, groups=2))
    small = quantised(net, 2, 3, x=x)
    layers: list[Any] = [layer for _, layer in quantised_layers(small)]
    first, last = layers
    assert first.input_levels is None
    assert last.input_levels is not None
    assert not last.input_levels.signed
    with torch.no_grad():
        hidden = functional.conv2d(x, first.weight_levels(first.weight), first.bias, 2, 1).relu()
        step = last.input_levels.step
        hidden = (hidden / step).clamp(0, 7).round() * step
        wanted = functional.conv2d(hidden, last.weight_levels(last.weight), last.bias, groups=2)
        torch.testing.assert_close(small(x), wanted)


def test_an_input_below_zero_gets_levels_on_both_sides() -> None:
    small = quantised(nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2)), 4, 1, x=_draw(50, 4))
    levels = small[2].input_levels
    assert isinstance(levels, Quantiser)
    assert levels.signed
    assert levels.levels(_draw(50, 4)).unique().tolist() == [-1, 1]


def test_the_first_layer_stays_the_first_though_it_is_kept() -> None:
    small = quantised(nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2)), 4, 3, x=_draw(9, 4), keep=["0"])
    assert type(small[0]) is nn.Linear
    assert small[2].input_levels is not None


def test_the_original_and_its_gradients_stay_as_they_were() -> None:
    energy, x = _lenet(), _digits()
    before, random = {name: one.clone() for name, one in energy.state_dict().items()}, torch.get_rng_state()
    small = quantised(energy, *ANNA, x=x)
    assert torch.equal(torch.get_rng_state(), random)
    assert settings_of(energy) is None
    assert all(torch.equal(one, before[name]) for name, one in energy.state_dict().items())
    assert set(before) < set(small.state_dict())
    assert len(list(quantised_layers(small))) == 5


def test_more_bits_are_closer_to_floating_point() -> None:
    energy, x = _lenet(), _digits()
    with torch.no_grad():
        exact = energy.encode(x)
        errors = [float((quantised(energy, k, k, x=x).encode(x) - exact).abs().mean()) for k in (2, 4, 8)]
    assert errors[0] > 2 * errors[1] > 4 * errors[2]


@pytest.mark.parametrize("precision", [ANNA, NET32K, (1, 1)])
def test_it_trains_by_fit(precision: tuple[int, int]) -> None:
    digits = ll.data.digits()
    energy = Classifier(64, 10, hidden=(30,))
    x, y = digits.train.flatten(1), functional.one_hot(digits.train_labels, 10).float()
    ll.fit(energy, (x, y), ll.shaping.MaximumLikelihood(), max_steps=100, lr=1e-2, progress=False)
    small = quantised(energy, *precision, x=x[:200])

    @torch.no_grad()
    def loss() -> float:
        return functional.cross_entropy(-answer_energies(small, x), y).item()

    before = loss()
    ll.fit(small, (x, y), ll.shaping.MaximumLikelihood(), max_steps=60, lr=5e-3, progress=False)
    assert loss() < (0.8 if precision == (1, 1) else 1.0) * before


@pytest.mark.parametrize("precision", [ANNA, NET32K, (1, 1), (8, None)])
def test_a_file_gives_the_same_energy_again(precision: tuple[int, int], tmp_path: Path) -> None:
    x = _digits()
    small = quantised(_lenet(), *precision, x=x)
    again = load_energy(save_energy(small, tmp_path))
    assert settings_of(again) == settings_of(small)
    with torch.no_grad():
        assert torch.equal(again.encode(x), small.encode(x))


@pytest.mark.parametrize("precision", [ANNA, (1, 1)])
def test_onnx_keeps_the_levels(precision: tuple[int, int], tmp_path: Path) -> None:
    """`export_onnx` compares the numbers of onnxruntime with those of torch."""
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    import onnx

    net = quantised(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)), *precision, x=_draw(20, 4))
    model = onnx.load(export_onnx(net, _draw(4, 4, seed=2), tmp_path / "net.onnx"))
    assert {"Round", "Sign", "Where"} & {node.op_type for node in model.graph.node}


def test_a_second_derivative_is_an_error() -> None:
    x = _draw(3, 2).requires_grad_()
    net = quantised(nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2)), 3, 3, x=x)
    (slope,) = torch.autograd.grad(net(x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.sum().backward()


class _Own(nn.Linear):
    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        return 2 * super().forward(input)


def test_what_cannot_be_done_is_said() -> None:
    net, x = nn.Sequential(nn.Linear(2, 2)), _draw(3, 2)
    for bits in (0, 9, True, 2.0, "binary"):
        with pytest.raises(OptionError, match="bits from 1 to 8"):
            quantised(net, bits, None)  # pyright: ignore[reportArgumentType]
        with pytest.raises(OptionError, match="bits from 1 to 8"):
            quantised(net, 4, bits, x=x)  # pyright: ignore[reportArgumentType]
    with pytest.raises(OptionError, match="calibration data"):
        quantised(net, 4, 3)
    with pytest.raises(OptionError, match="which is no layer"):
        quantised(net, 4, None, keep=["one"])
    with pytest.raises(UnsupportedError, match="already"):
        quantised(quantised(net, 4, None), 4, None)
    with pytest.raises(UnsupportedError, match="no linear"):
        quantised(nn.ReLU(), 4, None)
    for layer in (nn.ConvTranspose2d(1, 1, 3), _Own(2, 2)):
        with pytest.raises(UnsupportedError, match="keep="):
            quantised(nn.Sequential(layer), 4, None)
    with pytest.raises(UnsupportedError, match="did not call"):
        quantised(nn.MultiheadAttention(4, 1), 4, 4, x=(_draw(2, 3, 4),) * 3)
    with pytest.raises(OptionError, match="no layer"):
        requantise(net, {"7": {"weights": 1}})
