from __future__ import annotations

import errno
import logging
import os
import signal

import pytest
import torch

import lowland as ll
from lowland.errors import CheckpointError, LowlandError, OptionError, TrainingError
from lowland.shaping.base import Losses
from lowland.training.checkpoints import Checkpoints, read_checkpoint


def test_it_trains_in_place_and_says_what_it_did(bowl, mean, points, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    energy, shaping = bowl(), mean()
    result = ll.fit(energy, points, shaping, max_steps=150, lr=0.1)
    assert torch.allclose(energy.centre, points.mean(dim=0), atol=0.2)
    assert (result.steps, result.stopped, result.run) == (150, "max_steps", None)
    assert result.history["loss/energy"].steps == list(range(1, 151))
    curve = result.history["validation/loss/energy"]
    assert curve.values[-1] < curve.values[0]
    assert len(curve.steps) <= 21
    assert shaping.prepared == [90]
    assert list(tmp_path.iterdir()) == []


def test_an_energy_starts_from_the_data_though_its_shaping_prepares_nothing(points):
    """The codebook of a VQ-VAE is made of encoder outputs of the data; also inside a weighted energy."""
    generator = torch.Generator().manual_seed(0)
    for weight in (None, 0.5):
        energy = ll.energies.VQVAE(2, groups=1, entries=4, entry_size=2, hidden=(), generator=generator)
        outputs = energy.embed(points)[:, 0].detach()
        trained = energy if weight is None else weight * energy
        shaping = ll.shaping.VectorQuantisation(revive_below=0.0, memory=0.999999)
        ll.fit(trained, points, shaping, max_steps=1, lr=1e-9, validation=0.0)
        distances = (energy.codebook[0].detach()[:, None] - outputs).abs().amax(dim=2).amin(dim=1)
        assert distances.max() < 1e-5


def test_flags_modes_and_random_state_stay(bowl, mean, points):
    energy, shaping = bowl().eval(), mean()
    energy.register_parameter("frozen", torch.nn.Parameter(torch.ones(1), requires_grad=False))
    state = torch.get_rng_state()
    level = logging.getLogger("lightning.pytorch").level
    kept, handler = points.clone(), signal.getsignal(signal.SIGINT)
    ll.fit(energy, points, shaping, max_steps=3)
    assert torch.equal(torch.get_rng_state(), state)
    assert (energy.training, shaping.training) == (False, True)
    assert energy.centre.requires_grad
    assert energy.centre.grad is None
    assert not energy.frozen.requires_grad
    assert torch.equal(points, kept)
    assert signal.getsignal(signal.SIGINT) is handler
    assert logging.getLogger("lightning.pytorch").level == level
    assert torch.is_grad_enabled()


def test_the_same_seed_gives_the_same_weights_and_another_does_not(bowl, mean, points):
    found = []
    for seed in (0, 0, 1):
        energy, shaping = bowl(), mean()
        ll.fit(energy, points, shaping, max_steps=20, batch_size=8, seed=seed)
        found.append((energy.centre.detach().clone(), shaping.seen))
    assert torch.equal(found[0][0], found[1][0])
    assert found[0][1] == found[1][1]
    assert found[0][1] != found[2][1]


def test_double_precision_is_kept(bowl, mean, points):
    energy = bowl().double()
    ll.fit(energy, points.double(), mean(), max_steps=2)
    assert energy.centre.dtype == torch.float64


def test_log_every_thins_the_history(bowl, mean, points):
    result = ll.fit(bowl(), points, mean(), max_steps=25, log_every=10, validation=0)
    assert result.history["width"].steps == [10, 20, 25]


def test_patience_stops_where_nothing_improves(bowl, mean, points):
    energy = bowl()
    result = ll.fit(energy, points, mean(), max_steps=4000, lr=0.3, optimiser="sgd", patience=3, validate_every=5)
    assert result.stopped == "patience"
    values = result.history["validation/loss/energy"].values
    assert min(values) == values[-4]
    assert result.steps == 5 * len(values)


def test_a_run_leaves_logs_and_two_checkpoints(bowl, mean, points, tmp_path):
    run = tmp_path / "run"
    energy = bowl()
    result = ll.fit(energy, points, mean(), max_steps=70, run=run, checkpoint_every=20)
    lines = (run / "metrics.csv").read_text().splitlines()
    assert lines[0].split(",")[0] == "step"
    assert len(lines) == 71
    assert [path.name[:14] for path in Checkpoints(run / "checkpoints").all()] == ["step-000000070", "step-000000060"]
    assert list((run / "tensorboard").iterdir())
    with pytest.raises(CheckpointError, match="already holds a run"):
        ll.fit(bowl(), points, mean(), max_steps=70, run=run)
    other = bowl()
    again = ll.fit(other, points, mean(), max_steps=70, run=run, checkpoint_every=20, resume=True)
    assert torch.equal(other.centre, energy.centre)
    assert again.history == result.history


def test_a_finished_run_can_be_made_longer(bowl, mean, points, tmp_path):
    whole, part = bowl(), bowl()
    expected = ll.fit(whole, points, mean(), max_steps=60, validate_every=10)
    ll.fit(part, points, mean(), max_steps=40, validate_every=10, run=tmp_path / "run")
    longer = ll.fit(part, points, mean(), max_steps=60, validate_every=10, run=tmp_path / "run", resume=True)
    assert torch.equal(whole.centre, part.centre)
    assert longer.history == expected.history


def test_a_run_that_is_made_longer_is_validated_and_stops_as_one_in_one_go(bowl, mean, points, tmp_path):
    """By default every 10 steps, whatever max_steps is; the validation of the old last step costs no patience."""
    whole, part, run = bowl(), bowl(), tmp_path / "run"
    options = {"lr": 0.3, "optimiser": "sgd", "patience": 3}
    expected = ll.fit(whole, points, mean(), max_steps=1000, **options)
    assert (expected.stopped, expected.steps % 10) == ("patience", 0)
    for last in (4, 17, expected.steps - 1):
        assert ll.fit(part, points, mean(), max_steps=last, run=run, resume=True, **options).stopped == "max_steps"
    longer = ll.fit(part, points, mean(), max_steps=1000, run=run, resume=True, **options)
    assert (longer.stopped, longer.steps) == ("patience", expected.steps)
    assert torch.equal(whole.centre, part.centre)
    rows = dict(zip(*longer.history["validation/loss/energy"], strict=True))
    assert rows.keys() == {*range(10, expected.steps + 1, 10), 4, 17, expected.steps - 1}
    for step, value in zip(*expected.history["validation/loss/energy"], strict=True):
        assert rows[step] == value


def test_resume_refuses_another_setting(bowl, mean, points, tmp_path):
    ll.fit(bowl(), points, mean(), max_steps=4, run=tmp_path / "run")
    with pytest.raises(CheckpointError, match="batch_size = 90, but now it is 5"):
        ll.fit(bowl(), points, mean(), max_steps=8, batch_size=5, run=tmp_path / "run", resume=True)


def test_resume_falls_back_to_the_checkpoint_before(bowl, mean, points, tmp_path, caplog):
    run, whole = tmp_path / "run", bowl()
    ll.fit(whole, points, mean(), max_steps=30, run=run, checkpoint_every=10)
    newest = Checkpoints(run / "checkpoints").all()[0]
    newest.write_bytes(newest.read_bytes()[:-20])
    energy = bowl()
    with caplog.at_level(logging.WARNING):
        ll.fit(energy, points, mean(), max_steps=30, run=run, checkpoint_every=10, resume=True)
    assert newest.name in caplog.text
    assert torch.equal(energy.centre, whole.centre)


def test_a_full_disk_ends_the_run_and_keeps_the_earlier_checkpoint(bowl, mean, points, tmp_path, monkeypatch):
    run, replace = tmp_path / "run", os.replace

    def full(source, target):
        if "000000020" in str(target):
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", full)
    energy = bowl()
    with pytest.raises(CheckpointError, match="No space left"):
        ll.fit(energy, points, mean(), max_steps=30, run=run, checkpoint_every=10)
    monkeypatch.undo()
    assert bool((energy.centre != 0).all())
    (kept,) = (run / "checkpoints").iterdir()
    assert read_checkpoint(kept)["learner"]["step"] == 10
    whole = bowl()
    ll.fit(whole, points, mean(), max_steps=30)
    ll.fit(energy, points, mean(), max_steps=30, run=run, checkpoint_every=10, resume=True)
    assert torch.equal(whole.centre, energy.centre)


def test_an_interrupt_leaves_a_run_that_goes_on(bowl, mean, points, tmp_path):
    def pressing(at):
        class Pressing(mean):
            def forward(self, energy, batch):
                if int(self.step) == at:
                    os.kill(os.getpid(), signal.SIGINT)
                return super().forward(energy, batch)

        return Pressing()

    whole, energy = bowl(), bowl()
    expected = ll.fit(whole, points, pressing(-1), max_steps=50)
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt, match=r"after 24 of 50 steps.*resume=True"):
        ll.fit(energy, points, pressing(23), max_steps=50, run=tmp_path / "run")
    assert signal.getsignal(signal.SIGINT) is handler
    result = ll.fit(energy, points, pressing(-1), max_steps=50, run=tmp_path / "run", resume=True)
    assert torch.equal(whole.centre, energy.centre)
    assert result.history == expected.history
    with pytest.raises(KeyboardInterrupt, match="Pass run="):
        ll.fit(bowl(), points, pressing(3), max_steps=50)


def test_a_loss_that_is_not_finite_loses_nothing(bowl, mean, points, tmp_path):
    class Breaks(mean):
        def forward(self, energy, batch):
            losses = super().forward(energy, batch)
            return Losses({"energy": losses.losses["energy"] / (0 if int(self.step) == 12 else 1)}, losses.metrics)

    energy, until = bowl(), bowl()
    ll.fit(until, points, mean(), max_steps=12)
    with pytest.raises(TrainingError, match="'energy' of Breaks is not finite at step 12") as caught:
        ll.fit(energy, points, Breaks(), max_steps=50, run=tmp_path / "run", checkpoint_every=5)
    assert torch.equal(energy.centre, until.centre)
    assert caught.value.result.steps == 12
    assert caught.value.result.history["loss/energy"].steps[-1] == 12
    assert len((tmp_path / "run" / "metrics.csv").read_text().splitlines()) == 13


def test_warnings_of_the_energy_pass(bowl, mean, points):
    class Warns(mean):
        def prepare(self, energy, data):
            import warnings

            warnings.warn("look here", UserWarning, stacklevel=1)

    with pytest.warns(UserWarning, match="look here"):
        ll.fit(bowl(), points, Warns(), max_steps=1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_steps": 0}, "max_steps"),
        ({"max_steps": 1.5}, "max_steps"),
        ({"max_steps": "3"}, "max_steps"),
        ({"checkpoint_every": 0}, "checkpoint_every"),
        ({"log_every": -1}, "log_every"),
        ({"validate_every": -1}, "validate_every"),
        ({"patience": 0}, "patience"),
        ({"patience": 2, "validation": 0}, "held-out"),
        ({"precision": "16-mixed"}, "precision"),
        ({"accelerator": "abacus"}, "abacus"),
        ({"devices": 0}, "devices"),
        ({"resume": True}, "needs run="),
    ],
)
def test_bad_options_are_named(options, words, bowl, mean, points):
    with pytest.raises(OptionError, match=words) as caught:
        ll.fit(bowl(), points, mean(), **options)
    assert isinstance(caught.value, LowlandError)


def test_loggers_of_lightning_are_told(bowl, mean, points, tmp_path):
    from lightning.pytorch.loggers import CSVLogger

    logger = CSVLogger(tmp_path, name="", version="own")
    ll.fit(bowl(), points, mean(), max_steps=5, loggers=[logger])
    assert len((tmp_path / "own" / "metrics.csv").read_text().splitlines()) == 6


def test_the_bar_shows_on_a_terminal_alone(bowl, mean, points, monkeypatch, capsys):
    ll.fit(bowl(), points, mean(), max_steps=70)
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    ll.fit(bowl(), points, mean(), max_steps=70)
    assert "step=" in "".join(capsys.readouterr())
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    ll.fit(bowl(), points, mean(), max_steps=70, progress=False)
    assert capsys.readouterr() == ("", "")
