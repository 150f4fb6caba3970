from __future__ import annotations

import types
import warnings

import lightning.pytorch as pl
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import lowland as ll
from lowland.errors import CheckpointError, OptionError, TrainingError, UnsupportedError
from lowland.shaping.base import Batch, Losses, Shaping
from lowland.training import SafetensorsIO


class Duel(Shaping):
    """Two groups with opposite losses on both parameters: each may move its own only."""

    rates = types.MappingProxyType({"other": 10.0})

    def __init__(self):
        super().__init__()
        self.other = nn.Parameter(torch.ones(2))
        self.counts = []

    def groups(self, energy):
        return {"energy": energy.parameters(), "other": [self.other], "empty": []}

    def forward(self, energy, batch):
        product = (energy.centre - 2) * self.other
        self.counts.append(int(self.step))
        losses = {"energy": product.sum(), "other": -product.sum()}
        if int(self.step) % 2:
            losses.pop("energy")
        return Losses(losses, {})


class Average(Shaping):
    """The centre of the data by averaging: no gradient at all."""

    def update(self, energy, batch):
        assert not torch.is_grad_enabled()
        energy.centre.lerp_(batch.y.mean(dim=0), 1 / (int(self.step) + 1))
        return Losses({}, {"size": torch.tensor(float(len(batch.y)))})


def quiet(trainer, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"lightning\.")
        trainer.fit(*args, **kwargs)


def trainer(tmp_path, **options):
    return pl.Trainer(
        accelerator="cpu", devices=1, logger=False, enable_progress_bar=False, enable_model_summary=False,
        default_root_dir=tmp_path, plugins=[SafetensorsIO()], **options,
    )  # fmt: skip


def test_each_loss_moves_its_own_group_at_its_own_rate(bowl, points):
    energy, shaping = bowl(), Duel()
    ll.fit(energy, points, shaping, max_steps=1, lr=0.1, optimiser="sgd", validation=0)
    # d/dcentre = other = 1; d/dother = −(centre − 2) = 2, at ten times the rate. Both use values from before the step.
    assert torch.allclose(energy.centre, torch.full((2,), -0.1))
    assert torch.allclose(shaping.other, torch.full((2,), 1 - 10 * 0.1 * 2.0))
    before = energy.centre.clone()
    ll.fit(energy, points, shaping, max_steps=1, lr=0.1, optimiser="sgd", validation=0)
    assert torch.equal(energy.centre, before)


def test_an_update_needs_no_optimiser(bowl, points):
    energy = bowl()
    result = ll.fit(energy, points, Average(), max_steps=10, batch_size=100, validation=0)
    assert torch.allclose(energy.centre, points.mean(dim=0), atol=1e-5)
    assert result.history["size"].values == [100.0] * 10


def test_an_update_brings_its_own_loss_and_validation_asks_for_one(bowl, points):
    class Both(Average):
        def forward(self, energy, batch):
            return Losses({"energy": energy(y=batch.y).mean()}, {})

        def update(self, energy, batch):
            before = self(energy, batch)
            super().update(energy, batch)
            return before

    result = ll.fit(bowl(), points, Both(), max_steps=12, validation=0.2)
    assert result.history["loss/energy"].steps == list(range(1, 13))
    assert "validation/loss/energy" in result.history


def test_in_a_users_own_trainer(bowl, points, mean, tmp_path):
    energy, shaping = bowl(), mean()
    learner = ll.Learner(energy, shaping, lr=0.1)
    loader, held = (DataLoader(TensorDataset(points[a:b]), batch_size=20) for a, b in ((0, 80), (80, 100)))
    own = trainer(tmp_path, max_steps=10, num_sanity_val_steps=0, enable_checkpointing=False)
    quiet(own, learner, loader, held)
    assert (own.global_step, learner.step, int(shaping.step)) == (10, 10, 10)
    assert shaping.prepared == [80]
    assert {"loss/energy", "width", "validation/loss/energy"} <= set(own.callback_metrics)
    assert energy.centre.min() > 0.5


@pytest.mark.parametrize("kind", [Duel, Average])
def test_steps_are_batches_whatever_the_number_of_optimisers(kind, bowl, points, tmp_path):
    own = trainer(tmp_path, max_steps=7, enable_checkpointing=False)
    learner = ll.Learner(bowl(), kind())
    quiet(own, learner, DataLoader(TensorDataset(points), batch_size=10))
    assert (own.global_step, learner.step) == (7, 7)


def test_a_users_trainer_resumes_from_safetensors(bowl, points, mean, tmp_path):
    loader = DataLoader(TensorDataset(points), batch_size=20)
    whole = bowl()
    quiet(trainer(tmp_path, max_epochs=2, enable_checkpointing=False), ll.Learner(whole, mean(), lr=0.1), loader)
    first = trainer(tmp_path, max_epochs=1, enable_checkpointing=False)
    quiet(first, ll.Learner(bowl(), mean(), lr=0.1), loader)
    first.save_checkpoint(tmp_path / "a.safetensors")
    energy, shaping = bowl(), mean()
    second = trainer(tmp_path, max_epochs=2, enable_checkpointing=False)
    quiet(second, ll.Learner(energy, shaping, lr=0.1), loader, ckpt_path=tmp_path / "a.safetensors")
    assert torch.equal(energy.centre, whole.centre)
    assert (shaping.prepared, int(shaping.step), second.global_step) == ([], 10, 10)


def test_it_prepares_before_the_first_look_at_the_validation_data(bowl, points, mean, tmp_path):
    class Needs(type(mean())):
        def forward(self, energy, batch):
            assert self.prepared == [80], "a loss before prepare"
            return super().forward(energy, batch)

    learner = ll.Learner(bowl(), Needs(), lr=0.1)
    loader, held = (DataLoader(TensorDataset(points[a:b]), batch_size=20) for a, b in ((0, 80), (80, 100)))
    quiet(trainer(tmp_path, max_steps=3, num_sanity_val_steps=2, enable_checkpointing=False), learner, loader, held)
    assert learner.shaping.prepared == [80]


@pytest.mark.parametrize(
    ("option", "words"),
    [({"gradient_clip_val": 0.5}, r"give clip=0\.5 to Learner"), ({"accumulate_grad_batches": 2}, "larger batches")],
)
def test_what_a_trainer_cannot_do_here_names_the_way_out(option, words, bowl, points, tmp_path):
    own = trainer(tmp_path, max_steps=3, enable_checkpointing=False, **option)
    with pytest.raises(OptionError, match=words):
        quiet(own, ll.Learner(bowl(), Duel()), DataLoader(TensorDataset(points), batch_size=20))


@pytest.mark.parametrize("plugins", [[SafetensorsIO()], []], ids=["safetensors", "as Lightning does"])
def test_the_way_back_from_a_checkpoint(plugins, bowl, points, mean, tmp_path):
    own = pl.Trainer(
        accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False, max_steps=5,
        default_root_dir=tmp_path, plugins=plugins, enable_checkpointing=False,
    )  # fmt: skip
    energy, shaping = bowl(), mean()
    quiet(own, ll.Learner(energy, shaping, lr=0.1), DataLoader(TensorDataset(points), batch_size=20))
    path = tmp_path / "a.ckpt"
    own.save_checkpoint(path)
    again = bowl()
    learner = ll.Learner.load_from_checkpoint(path, energy=again, shaping=mean(), lr=0.1)
    assert torch.equal(again.centre, energy.centre)
    assert (learner.step, learner.prepared, learner.energy, learner.lr) == (5, True, again, 0.1)
    assert not torch.equal(bowl().centre, energy.centre)
    with pytest.raises(OptionError, match="give it as shaping="):
        ll.Learner.load_from_checkpoint(path, energy=again)
    with pytest.raises(CheckpointError, match="not of this energy and shaping"):
        ll.Learner.load_from_checkpoint(path, energy=ll.energies.Ellipse(), shaping=mean())
    if plugins:
        with pytest.raises(CheckpointError, match="There is no checkpoint"):
            ll.Learner.load_from_checkpoint(tmp_path / "none.ckpt", energy=again, shaping=mean())


def test_evaluation_leaves_no_trace(bowl, points):
    class Wandering(Shaping):
        def __init__(self):
            super().__init__()
            self.register_buffer("queue", torch.zeros(2))
            self.last = None

        def forward(self, energy, batch):
            assert not self.training
            self.queue += 1
            self.queue = torch.cat([self.queue, batch.y[0]])
            self.last = self.noise(batch.y).normal(1)
            return Losses({"energy": energy(y=batch.y).mean()}, {})

    learner = ll.Learner(bowl(), Wandering())
    losses = learner.evaluate(Batch(points))
    assert not losses.losses["energy"].requires_grad
    assert torch.equal(learner.shaping.queue, torch.zeros(2))
    assert (learner.shaping.last, learner.shaping._calls) == (None, 0)
    assert learner.shaping.training


def test_clipping_and_schedule(bowl, points, mean):
    energy = bowl()
    ll.fit(energy, points * 100, mean(), max_steps=1, lr=1.0, clip=0.5, optimiser="sgd", validation=0)
    assert torch.isclose(energy.centre.norm(), torch.tensor(0.5), rtol=1e-4)
    energy = bowl()
    ll.fit(energy, points, mean(), max_steps=5, lr=1.0, schedule=lambda step: float(step == 9), validation=0)
    assert torch.equal(energy.centre, torch.zeros(2))


def test_an_optimiser_of_ones_own(bowl, points, mean):
    energy = bowl()
    ll.fit(energy, points, mean(), max_steps=60, lr=0.1, optimiser=lambda p, lr: torch.optim.Adagrad(p, lr))
    assert energy.centre.min() > 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"lr": 0.0}, "lr must be"),
        ({"lr": float("nan")}, "lr must be"),
        ({"optimiser": "adm"}, "Did you mean 'adam"),
        ({"clip": -1.0}, "clip"),
        ({"weight_decay": -1.0}, "weight_decay"),
        ({"optimiser": torch.optim.SGD, "weight_decay": 1.0}, "by name"),
    ],
)
def test_bad_options_are_named(options, words, bowl, mean):
    with pytest.raises(OptionError, match=words):
        ll.Learner(bowl(), mean(), **options)


def shaping_that_returns(losses, rates=()):
    class Wrong(Shaping):
        def forward(self, energy, batch):
            return Losses(losses(energy, batch), {})

    made = Wrong()
    made.rates = dict(rates)
    return made


@pytest.mark.parametrize(
    ("losses", "words"),
    [
        (lambda e, b: {"enrgy": e(y=b.y).mean()}, "Did you mean 'energy'"),
        (lambda e, b: {}, "no loss"),
        (lambda e, b: {"energy": e(y=b.y)}, r"shape \(64,\)"),
        (lambda e, b: {"energy": b.y.mean()}, "depends on none"),
    ],
)
def test_losses_that_break_the_contract(losses, words, bowl, points):
    with pytest.raises(UnsupportedError, match=words):
        ll.fit(bowl(), points, shaping_that_returns(losses), max_steps=2, batch_size=64)


def test_a_rate_for_no_group(bowl, points):
    shaping = shaping_that_returns(lambda e, b: {}, {"critic": 1.0})
    with pytest.raises(OptionError, match="critic"):
        ll.fit(bowl(), points, shaping, max_steps=2)


def test_nothing_to_train(bowl, points, mean):
    with pytest.raises(TrainingError, match="nothing to train"):
        ll.fit(bowl().requires_grad_(False), points, mean(), max_steps=2)


def test_a_checkpoint_of_something_else(bowl, mean):
    with pytest.raises(CheckpointError, match="not written by a Learner"):
        ll.Learner(bowl(), mean()).on_load_checkpoint({"state_dict": {}})
