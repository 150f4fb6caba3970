"""The landscape draws every registered energy, tells the truth about it, and leaves the world as it was."""

from __future__ import annotations

import io

import matplotlib as mpl
import numpy as np
import pytest
import torch

import lowland as ll
from lowland.errors import OptionError, ShapeError
from lowland.plots import Field, landscape, landscape_grid, measure, plane_through
from lowland.plots.drawing import colour_levels
from lowland.registry import registered
from lowland.tensors import take

BOX = ((-2.0, 2.0), (-2.0, 2.0))


def _pixels(drawn) -> np.ndarray:
    buffer = io.BytesIO()
    drawn.savefig(buffer, format="rgba", dpi=40)
    return np.frombuffer(buffer.getvalue(), dtype=np.uint8)


def bowl(y: torch.Tensor) -> torch.Tensor:
    return y.square().flatten(1).sum(dim=1)


@pytest.mark.parametrize("name", list(registered("energy")))
def test_every_registered_energy_has_a_landscape(
    name: str, generator: torch.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ll.inference, "_STARTS", 1)  # for a picture one valley will do
    energy, given, *_ = registered("energy")[name].reference_case()
    domain = energy.domains.get("y")
    x = take(given.get("x"), torch.arange(1))
    if domain is None or isinstance(domain, ll.domains.Product | ll.domains.Tokens) or domain.size < 2:
        with pytest.raises(ll.LowlandError, match="y"):
            landscape(energy, BOX, x=x, resolution=6)
        return
    data = torch.randn(12, *domain.shape, generator=generator)
    if domain.discrete:
        data = domain.unpack(domain.project(domain.pack(data)))
    plane = None if tuple(domain.shape) == (2,) else plane_through(data)
    before = {key: value.clone() for key, value in energy.state_dict().items()}
    drawn = landscape(energy, BOX, data, x=x, plane=plane, resolution=6)
    assert drawn.axes[0].get_images()
    assert all(torch.equal(before[key], value) for key, value in energy.state_dict().items())
    assert all(parameter.grad is None for parameter in energy.parameters())


def test_nothing_global_changes(generator: torch.Generator) -> None:
    settings, state = dict(mpl.rcParams), torch.random.get_rng_state()
    numbers = np.random.get_state()[1].copy()  # noqa: NPY002
    data = torch.randn(20, 2, generator=generator)
    first = _pixels(landscape_grid({"a": bowl, "b": ll.energies.Ellipse()}, BOX, data, resolution=10))
    second = _pixels(landscape_grid({"a": bowl, "b": ll.energies.Ellipse()}, BOX, data, resolution=10))
    assert np.array_equal(first, second)
    assert dict(mpl.rcParams) == settings
    assert torch.equal(torch.random.get_rng_state(), state)
    assert np.array_equal(np.random.get_state()[1], numbers)  # noqa: NPY002


def test_values_and_arrows_are_those_of_the_energy() -> None:
    field = measure(ll.energies.Ellipse(radii=(1.0, 1.0)), BOX, resolution=8, arrows=4)
    centres = -2 + 4 * (torch.arange(8) + 0.5) / 8
    radius = torch.stack(torch.meshgrid(centres, centres, indexing="xy")).norm(dim=0)
    # F = (‖y‖ − 1)² and −∇F = −2 (‖y‖ − 1) y/‖y‖; inference of the angle is good to 1e-4 in its gradient.
    assert torch.allclose(field.values, (radius - 1).square(), atol=1e-3)
    assert field.points is not None
    assert field.directions is not None
    length = field.points.norm(dim=1, keepdim=True)
    assert torch.allclose(field.directions, -2 * (length - 1) * field.points / length, atol=1e-2)


def test_arrows_by_differences_where_there_is_no_gradient() -> None:
    exact = measure(bowl, BOX, resolution=50, arrows=3)
    blind = measure(lambda y: bowl(y.detach()), BOX, resolution=50, arrows=3)
    assert exact.directions is not None
    assert blind.directions is not None
    # Central differences are exact for a quadratic, up to float32 rounding of values of at most 8 over a step of 0.16.
    assert torch.allclose(exact.directions, blind.directions, atol=1e-4)


def test_the_level_is_the_quantile_of_the_data(generator: torch.Generator) -> None:
    data = torch.randn(1000, 2, generator=generator)
    field = measure(bowl, BOX, data, resolution=5, arrows=0)
    assert field.level == pytest.approx(float(torch.quantile(bowl(data), 0.95)))
    assert measure(bowl, BOX, resolution=5, arrows=0).level is None


def test_colours_do_not_depend_on_unit_or_offset(generator: torch.Generator) -> None:
    data = torch.randn(100, 2, generator=generator)
    plain = colour_levels(measure(bowl, BOX, data, resolution=20))
    scaled = colour_levels(measure(lambda y: 1000 * bowl(y) - 5, BOX, data, resolution=20))
    # Float32 values near 8000 are exact to 5e-4; their levels to √(5e-4 / 5000).
    assert np.allclose(plain, scaled, atol=1e-3)


def test_a_flat_energy_is_drawn_flat_and_a_broken_one_is_drawn(generator: torch.Generator) -> None:
    data = torch.randn(30, 2, generator=generator)
    flat = measure(lambda y: torch.full((len(y),), 3.0), BOX, data, resolution=5)
    assert (colour_levels(flat) == 0.5).all()
    broken = measure(lambda y: torch.where(y[:, 0] > 0, torch.nan, bowl(y)), BOX, data, resolution=6)
    assert np.isnan(colour_levels(broken)).mean() == 0.5
    nothing = measure(lambda y: torch.full((len(y),), torch.nan), BOX, data, resolution=6)
    _pixels(landscape_grid({"flat": flat, "broken": broken, "nothing": nothing}))


def test_a_plane_through_three_points(generator: torch.Generator) -> None:
    data = torch.rand(20, 1, 8, 8, generator=generator)
    plane = plane_through(data, (0, 3, 7))
    chosen = data[[0, 3, 7]]
    assert torch.allclose(plane.points(plane.project(chosen)), chosen, atol=1e-5)
    assert torch.allclose(plane.axes @ plane.axes.T, torch.eye(2), atol=1e-5)
    field = measure(bowl, data=data, plane=plane, resolution=4, arrows=2)
    assert field.on_plane is not None
    assert field.on_plane.nonzero()[:, 0].tolist() == [0, 3, 7]
    # On the plane, ∇‖y‖² in its own coordinates is 2 (u + coordinates of the origin).
    assert field.points is not None
    assert field.directions is not None
    origin = plane.axes @ plane.origin.flatten()
    assert torch.allclose(field.directions, -2 * (field.points + origin), atol=1e-4)
    _pixels(landscape(bowl, data=data, plane=plane, thumbnails=data, resolution=4))


def test_the_principal_plane_has_most_variance(generator: torch.Generator) -> None:
    data = torch.randn(200, 5, generator=generator) * torch.tensor([1.0, 5.0, 1.0, 3.0, 1.0])
    axes = plane_through(data).axes
    # Ratios of variances are 25 and 9 against 1: with 200 samples the axes tilt by less than 0.2.
    assert axes[0, 1] > 0.98
    assert axes[1, 3] > 0.98


def test_a_conditional_energy_needs_one_input() -> None:
    class Follow(ll.energies.Energy):
        def __init__(self) -> None:
            super().__init__(x=ll.domains.Reals(2), y=ll.domains.Reals(2))

        def energy(self, x, y, z):
            return (y - x).square().sum(dim=1)

    field = measure(Follow(), BOX, x=torch.ones(1, 2), resolution=4, arrows=2)
    assert field.values.argmin() in (10, 15)
    with pytest.raises(ShapeError, match="one input x"):
        measure(Follow(), BOX, x=torch.ones(2, 2), resolution=4)


def test_trajectories_and_axes_given() -> None:
    steps = torch.linspace(1, 0, 4)[:, None, None].expand(4, 2, 2)
    drawn = landscape(bowl, BOX, trajectories=steps, resolution=5)
    assert len(drawn.axes[0].lines) == 4
    again = landscape(bowl, BOX, trajectories=[steps[:, 0]], resolution=5, ax=drawn.axes[0])
    assert again is drawn


def test_bad_input() -> None:
    with pytest.raises(ShapeError, match="plane_through"):
        measure(bowl, data=torch.zeros(3, 64))
    with pytest.raises(OptionError, match="at least one energy"):
        landscape_grid({})
    with pytest.raises(OptionError, match="no panel called 'b'"):
        landscape_grid({"a": bowl}, captions={"b": "?"})
    with pytest.raises(OptionError, match="arrows"):
        measure(bowl, BOX, arrows=-1)
    with pytest.raises(OptionError, match="Thumbnails"):
        landscape(bowl, BOX, resolution=3, thumbnails=torch.zeros(1, 2, 2))
    with pytest.raises(OptionError, match="on a line"):
        plane_through(torch.tensor([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]), (0, 1, 2))
    with pytest.raises(OptionError, match="Three indices"):
        plane_through(torch.eye(3), (0, 1, 9))
    with pytest.raises(ShapeError, match="three points"):
        plane_through(torch.eye(2))


def test_a_field_can_be_drawn_again_from_its_parts() -> None:
    field = measure(bowl, BOX, resolution=5)
    copied = Field(**field._asdict())
    assert np.array_equal(_pixels(landscape(field)), _pixels(landscape(copied)))


def test_a_landscape_is_cut_off_above_its_data() -> None:
    data = torch.tensor([[0.0, 0.0], [0.5, 0.0], [1.0, 0.0]])
    field = measure(bowl, BOX, data, resolution=20, arrows=0)
    cut = field.below(1.0)
    assert cut.values.max() == 1.25
    assert torch.equal(cut.values[field.values < 1.25], field.values[field.values < 1.25])
    with pytest.raises(OptionError, match="give data"):
        measure(bowl, BOX, resolution=5, arrows=0).below(1.0)
