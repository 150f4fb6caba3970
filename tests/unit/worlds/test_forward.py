"""Forward models learn what the actions and the latents tell, resume to the same bits, and say what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

import lowland as ll
from lowland.errors import CheckpointError, OptionError, ShapeError, UnsupportedError
from lowland.tensors import PerSampleRNG
from lowland.training import load_world, save_world
from lowland.worlds import (
    Ensemble,
    ForwardModel,
    ForwardTraining,
    Posterior,
    rollout,
    usual_spread,
    variance,
    windows,
)
from lowland.worlds.convolutional import ConvolutionalPosterior, ConvolutionalWorld
from lowland.worlds.forward_training import kl_to_normal
from lowland.worlds.vector import VectorWorld


def drift(steps: int = 600, push: float = 0.0) -> dict[str, Tensor]:
    """x moves by half the action, and by a push to one side or the other that the log does not name."""
    drawn = torch.Generator().manual_seed(0)
    actions = 2 * torch.rand(steps, 1, generator=drawn) - 1
    pushes = push * (2 * (torch.rand(steps, 1, generator=drawn) < 0.5).float() - 1)
    path = torch.cat([torch.zeros(1, 1), (0.5 * actions + pushes).cumsum(dim=0)])
    # Two numbers, so that nothing takes the state for a scalar.
    return {"observation": torch.cat([path, -path], dim=1), "actions": actions}


def test_a_deterministic_world_learns_what_the_actions_do() -> None:
    """The change is half the action; the network is smooth, so that 300 steps leave a few percent of it."""
    x, y = windows([drift()], horizon=3)
    energy = ForwardModel(VectorWorld(2, 1, hidden=32), x["state"], horizon=3)
    before = energy(x, y).mean().item()
    ll.fit(energy, (x, y), ForwardTraining(), max_steps=300, lr=3e-3, validation=0.0)
    assert energy(x, y).mean().item() < 0.02 * before
    start = {"observation": torch.zeros(1, 2)}
    moved = energy.world.step(start, torch.tensor([[0.6]]))["observation"] - start["observation"]
    torch.testing.assert_close(moved, torch.tensor([[0.3, -0.3]]), rtol=0, atol=0.06)


def test_a_posterior_tells_the_push_and_the_prior_spreads_over_both() -> None:
    """The push is ±1, equally likely: without z the best answer is 0, an error of 1; z drawn from the prior gives both
    signs, each in a quarter of the draws at least."""
    x, y = windows([drift(push=1.0)], horizon=2)
    world = VectorWorld(2, 1, latents=1, hidden=32)
    energy, shaping = ForwardModel(world, x["state"], horizon=2), ForwardTraining(Posterior(2, 1, 1, (32,)), kl=1e-2)
    result = ll.fit(energy, (x, y), shaping, max_steps=600, lr=3e-3, validation=0.0)
    with torch.no_grad():
        mean, _ = shaping.infer(world, x, y)
        known, unknown = energy(x, y, mean).mean(), energy(x, y, torch.zeros_like(mean)).mean()
        assert float(known) < 0.3 * float(unknown)
        state = {"observation": torch.zeros(500, 2)}
        z = world.prior(PerSampleRNG(0, torch.arange(500)))
        share = float((world.step(state, torch.zeros(500, 1), z)["observation"][:, 0] > 0).float().mean())
    assert 0.25 < share < 0.75
    assert result.history["kl"].values[-1] > 0


def test_the_divergence_is_that_of_torch() -> None:
    mean, log_variance = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0)).unbind()
    one = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
    expected = torch.distributions.kl_divergence(one, torch.distributions.Normal(0.0, 1.0)).sum(dim=1)
    torch.testing.assert_close(kl_to_normal(mean, log_variance), expected)


def test_without_the_posterior_at_any_step_nothing_is_paid_and_nothing_is_told() -> None:
    """z-dropout of almost 1: the loss is the error under the prior, with no divergence in it."""
    x, y = windows([drift()], horizon=2)
    energy = ForwardModel(VectorWorld(2, 1, latents=1, hidden=8), x["state"], horizon=2)
    shaping = ForwardTraining(Posterior(2, 1, 1, (8,)), kl=1.0, z_dropout=1 - 1e-9)
    found = shaping(energy, ll.shaping.Batch(y, x))
    assert float(found.losses["energy"].detach()) == float(found.metrics["error"])
    assert float(found.metrics["kl"]) > 0


def test_training_resumes_to_the_same_bits(tmp_path: Path) -> None:
    """Latents, coins and dropout masks included."""

    def parts() -> tuple[ForwardModel, ForwardTraining]:
        world = VectorWorld(2, 1, latents=2, hidden=8, dropout=0.1)
        return ForwardModel(world, x["state"], horizon=3), ForwardTraining(Posterior(2, 1, 2, (8,)))

    x, y = windows([drift(60, push=0.3)], horizon=3)
    whole, whole_shaping = parts()
    ll.fit(whole, (x, y), whole_shaping, max_steps=12, batch_size=16)
    first, first_shaping = parts()
    ll.fit(first, (x, y), first_shaping, max_steps=5, batch_size=16, run=tmp_path / "run", checkpoint_every=5)
    again, again_shaping = parts()
    ll.fit(again, (x, y), again_shaping, max_steps=12, batch_size=16, run=tmp_path / "run", resume=True)
    for one, other in ((whole, again), (whole_shaping, again_shaping)):
        for name, tensor in one.state_dict().items():
            assert torch.equal(tensor, other.state_dict()[name]), name


def test_the_spread_over_an_ensemble_is_that_of_its_members() -> None:
    members = [VectorWorld(2, 1, hidden=8, generator=torch.Generator().manual_seed(n)) for n in range(3)]
    world, state, action = Ensemble(members), {"observation": torch.ones(4, 2)}, torch.zeros(4, 1)
    masks = world.draw_mask(PerSampleRNG(0, torch.arange(4)), 3)
    answers = torch.stack([member.step(state, action)["observation"] for member in members])
    torch.testing.assert_close(variance(world, state, action, None, masks), answers.var(dim=0).sum(dim=1))
    torch.testing.assert_close(world.step(state, action)["observation"], answers.mean(dim=0))


def test_members_with_latents_are_compared_at_the_mean_of_the_prior_and_the_first_imagines() -> None:
    """Z means something else to each member: neither their mean under one z nor their spread says anything."""
    members = [VectorWorld(2, 1, latents=3, hidden=8, generator=torch.Generator().manual_seed(n)) for n in range(3)]
    world, state, action = Ensemble(members), {"observation": torch.ones(4, 2)}, torch.zeros(4, 1)
    z = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    masks = world.draw_mask(PerSampleRNG(0, torch.arange(4)), 3)
    at_mean = torch.stack([member.step(state, action)["observation"] for member in members])
    torch.testing.assert_close(variance(world, state, action, z, masks), at_mean.var(dim=0).sum(dim=1))
    assert torch.equal(world.step(state, action, z)["observation"], members[0].step(state, action, z)["observation"])


def test_the_spread_is_small_on_data_and_grows_away_from_them() -> None:
    """What an ensemble was trained on, its members agree on: at three times the range they do not, by far."""
    x, y = windows([drift(400)], horizon=1)
    members = []
    for seed in range(3):
        world = VectorWorld(2, 1, hidden=32, generator=torch.Generator().manual_seed(seed))
        options = {"max_steps": 150, "lr": 3e-3, "validation": 0.0, "seed": seed}
        ll.fit(ForwardModel(world, x["state"], horizon=1), (x, y), ForwardTraining(), **options)
        members.append(world)
    world = Ensemble(members)
    masks = world.draw_mask(PerSampleRNG(0, torch.arange(len(x["actions"]))), 3)
    with torch.no_grad():
        near = variance(world, x["state"], x["actions"][:, 0], None, masks).mean()
        far = variance(world, {"observation": 3 * x["state"]["observation"].abs()}, x["actions"][:, 0], None, masks)
    assert float(far.mean()) > 5 * float(near)


def test_the_full_size_is_that_of_the_paper() -> None:
    """Published: about 15.6 million. Ours has 15.48; the residual block, whose size is not published, is a guess."""
    world = ConvolutionalWorld()
    parameters = [*world.parameters(), *ConvolutionalPosterior(world).parameters()]
    assert sum(p.numel() for p in parameters) == pytest.approx(15.6e6, rel=0.05)
    assert world.encoder.shape == (256, 14, 3)


@pytest.mark.parametrize("decoder", ["additive", "warp"])
def test_a_convolutional_world_trains_on_films(decoder: str) -> None:
    """A bar of six rows moves down by one row a step."""
    rows, times = torch.arange(16), torch.arange(30)[:, None]
    frames = ((rows - times) % 16 < 6).float()[:, None, :, None].expand(-1, 1, -1, 8)
    film = torch.stack([frames[t : t + 2] for t in range(29)])
    own = torch.arange(29.0)[:, None].expand(-1, 2)
    path = {"image": film, "own": own, "actions": torch.zeros(28, 2)}
    x, y = windows([path], horizon=2)
    world = ConvolutionalWorld((16, 8), 2, 1, (2,), latents=2, maps=(8, 16), hidden=16, decoder=decoder)
    shaping = ForwardTraining(ConvolutionalPosterior(world, hidden=16))
    result = ll.fit(ForwardModel(world, x["state"], 2), (x, y), shaping, max_steps=80, lr=3e-3, validation=0.0)
    errors = result.history["error"].values
    assert errors[-1] < 0.6 * errors[0]
    with torch.no_grad():
        found = rollout(world, x["state"], torch.zeros(27, 20, 2), None, 20).states
    assert 0 <= float(found["image"].amin()) <= float(found["image"].amax()) <= 1
    assert torch.isfinite(found["own"]).all()


def test_grey_values_of_whole_numbers_are_shares_of_255() -> None:
    world = ConvolutionalWorld((16, 8), 2, 1, (), maps=(4, 4), hidden=8, latents=0)
    grey = torch.randint(0, 256, (3, 2, 1, 16, 8), generator=torch.Generator().manual_seed(0))
    one = world.step({"image": grey.to(torch.uint8)}, torch.zeros(3, 2))["image"]
    torch.testing.assert_close(one, world.step({"image": grey / 255}, torch.zeros(3, 2))["image"])


def test_a_world_is_saved_with_its_arguments(tmp_path: Path) -> None:
    world = ConvolutionalWorld((16, 8), 2, 1, (2,), maps=(4, 4), hidden=8, generator=torch.Generator().manual_seed(9))
    again = load_world(save_world(world, tmp_path / "world"))
    state = {"image": torch.rand(2, 2, 1, 16, 8), "own": torch.zeros(2, 2)}
    assert torch.equal(again.step(state, torch.zeros(2, 2))["image"], world.step(state, torch.zeros(2, 2))["image"])
    with pytest.raises(ShapeError, match="made for images of 16 × 8, but these are 32 × 8"):
        again.step({**state, "image": torch.rand(2, 2, 1, 32, 8)}, torch.zeros(2, 2))
    with pytest.raises(ShapeError, match="looks at 2 frames of 1 channels, but it got 1 of 1"):
        again.step({**state, "image": torch.rand(2, 1, 1, 16, 8)}, torch.zeros(2, 2))
    with pytest.raises(ShapeError, match=r"takes vectors of shape \(B, 2\), but these have shape \(B, 3\)"):
        again.step({**state, "own": torch.zeros(2, 3)}, torch.zeros(2, 2))
    (tmp_path / "world" / "model.safetensors").write_bytes(b"1234567890")
    with pytest.raises(CheckpointError, match="does not hold a saved world"):
        load_world(tmp_path / "world")


def test_what_cannot_be_is_said() -> None:
    world, state = VectorWorld(2, 1, hidden=8), {"observation": torch.zeros(3, 2)}
    with pytest.raises(OptionError, match="has no dropout"):
        variance(world, state, torch.zeros(3, 1), None, torch.ones(3, 2, 8))
    dropped = VectorWorld(2, 1, hidden=8, dropout=0.5)
    with pytest.raises(OptionError, match="at least two masks"):
        variance(dropped, state, torch.zeros(3, 1), None, torch.ones(3, 1, 8))
    with pytest.raises(OptionError, match="at least two roll-outs"):
        usual_spread(dropped, {"observation": torch.zeros(1, 2)}, torch.zeros(1, 2, 1))
    with pytest.raises(OptionError, match="at least two worlds"):
        Ensemble([world])
    with pytest.raises(OptionError, match="same actions and latents"):
        Ensemble([world, VectorWorld(2, 3)])
    with pytest.raises(OptionError, match="horizon"):
        rollout(world, state, torch.zeros(3, 0, 1), None, 0)
    with pytest.raises(ShapeError, match="actions must have the shape"):
        rollout(world, state, torch.zeros(3, 4, 1), None, 5)
    with pytest.raises(ShapeError, match="observations of 2 numbers"):
        world.step({"observation": torch.zeros(3, 5)}, torch.zeros(3, 1))
    with pytest.raises(ShapeError, match="the longest has 3"):
        windows([drift(3)], horizon=4)
    with pytest.raises(UnsupportedError, match="without latents"):
        ForwardTraining(Posterior(2, 1, 1))(
            ForwardModel(world, state, 1),
            ll.shaping.Batch({"observation": torch.zeros(3, 1, 2)}, {"state": state, "actions": torch.zeros(3, 1, 1)}),
        )
    with pytest.raises(UnsupportedError, match=r"needs a ForwardModel, or one times .* but this is a Ellipse"):
        ForwardTraining()(ll.energies.Ellipse(), ll.shaping.Batch(torch.zeros(2, 2)))
    with pytest.raises(OptionError, match="must be an instance of World"):
        ForwardModel(torch.nn.Linear(1, 1), state, 1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "make",
    [
        lambda: VectorWorld(0, 1),
        lambda: VectorWorld(1, 1, dropout=1.0),
        lambda: ConvolutionalWorld(decoder="warped"),
        lambda: ConvolutionalWorld(dropout=-0.1),
        lambda: ConvolutionalWorld(frames=0),
        lambda: ConvolutionalWorld(size=(4, 24)),
        lambda: ForwardTraining(kl=-1.0),
        lambda: ForwardTraining(z_dropout=1.0),
        lambda: ForwardModel(VectorWorld(1, 1), {"observation": torch.zeros(1, 1)}, 0),
    ],
)
def test_options_that_cannot_be(make) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(OptionError):
        make()
