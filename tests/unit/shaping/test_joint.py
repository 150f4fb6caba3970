from __future__ import annotations

import pytest
import torch
from torch import Tensor

import lowland as ll
from lowland.data.views import ImageViews, Jigsaw
from lowland.energies.joint_embedding import JointEmbedding
from lowland.errors import CollapseError, LowlandError, OptionError, ShapeError, TrainingError, UnsupportedError
from lowland.nn.encoders.convnet import ConvNet
from lowland.nn.encoders.perceptron import Perceptron
from lowland.registry import registered
from lowland.shaping.base import Batch
from lowland.shaping.collapse import check_collapse, effective_rank
from lowland.shaping.joint import JointShaping, Target, jitter

METHODS = [name for name, cls in registered("shaping").items() if issubclass(cls, JointShaping)]


def small(predictor: tuple[int, ...] | None = None, size: int = 4) -> JointEmbedding:
    return JointEmbedding(Perceptron((8,), hidden=(16,), size=8), (8, size), predictor, norm=False)


@pytest.fixture(scope="module")
def digits() -> Tensor:
    return ll.data.load("digits").train.reshape(-1, 1, 8, 8)


def images(predicts: bool) -> JointEmbedding:
    return JointEmbedding(ConvNet((1, 8, 8), maps=(8, 16)), (32, 16), (16,) if predicts else None)


# ---- collapse


def test_vicreg_without_its_variance_term_is_stopped_on_real_images(digits):
    shaping = ll.shaping.VICReg(ImageViews.mild(), variance=0.0, alarm=25)
    with pytest.raises(CollapseError, match=r"collapsed: at step \d+ of VICReg .* alarm=0 to continue") as caught:
        ll.fit(images(False), digits, shaping, max_steps=200, batch_size=32, lr=0.01, validation=0, progress=False)
    assert "\n" not in str(caught.value)
    assert caught.value.result.steps < 200
    assert shaping.start > 0.1


@pytest.mark.parametrize("name", ["VICReg", "SIGReg", "BYOL", "DrLIM", "MoCo", "SimSiam"])
def test_no_alarm_at_the_first_steps_of_a_method_as_it_should_be(digits, name):
    cls = registered("shaping")[name]
    result = ll.fit(
        images(cls.predicts), digits, cls(ImageViews.mild(), alarm=1), max_steps=30, batch_size=32, validation=0,
        progress=False,
    )  # fmt: skip
    assert min(result.history["deviation"].values) > 0.3, "ten times the limit"


def test_what_counts_as_collapse(generator):
    point = torch.randn(64, 8, generator=generator)
    check_collapse(point, 0.5, 0.8, "M", 1)
    check_collapse(point, 0.02, 0.03, "M", 1)  # narrow, but no narrower than at the start
    check_collapse(point[:7], 0.001, 0.8, "M", 1)  # too few to tell
    check_collapse(point * torch.nan, 0.001, 0.8, "M", 1)  # has an error of its own
    with pytest.raises(CollapseError, match="at step 7 of M those of 64 samples deviate"):
        check_collapse(point, 0.02, 0.8, "M", 7)
    line = point[:, :1] * torch.ones(8)
    with pytest.raises(CollapseError, match=r"in 1\.0 of 8 directions"):
        check_collapse(line, 0.5, 0.8, "M", 7)
    assert effective_rank(torch.ones(9, 8)) == 0
    assert 7 < effective_rank(torch.randn(4000, 8, generator=generator)) <= 8


def test_the_alarm_is_off_in_validation_and_where_it_is_zero(generator):
    y = torch.randn(16, 8, generator=generator)
    for shaping, training in ((ll.shaping.VICReg(jitter, alarm=0), True), (ll.shaping.VICReg(jitter, alarm=1), False)):
        shaping.train(training)
        shaping.start.fill_(1)
        shaping.step.fill_(1)
        energy = small(size=8)
        for parameter in energy.parameters():
            parameter.data.zero_()
        shaping(energy, Batch(y))


# ---- bad input


@pytest.mark.parametrize("name", METHODS)
def test_one_sample_is_too_few(name):
    case = registered("shaping")[name].reference_case()
    case.shaping.prepare(case.energy, case.batch)
    with pytest.raises(ShapeError, match=f"{name} .*needs at least 2 .*has 1"):
        case.shaping(case.energy, Batch(case.batch.y[:1], index=torch.arange(1)))


def test_whitening_says_how_many_samples_it_needs(generator):
    with pytest.raises(ShapeError, match=r"WMSE .*at least 8 of them, but this batch has 6: raise batch_size, or make"):
        ll.shaping.WMSE(jitter)(small(), Batch(torch.randn(6, 8, generator=generator)))


@pytest.mark.parametrize("bad", [torch.full((16, 4), torch.nan), torch.rand(16, 1).expand(16, 4) * 1e4])
def test_whitening_says_what_it_cannot_whiten(bad):
    with pytest.raises(TrainingError, match="WMSE cannot whiten the embeddings at step 0: they are not finite"):
        ll.shaping.WMSE().loss(bad, bad)


def test_a_slow_copy_that_was_not_started_says_so(generator):
    y = torch.randn(6, 8, generator=generator)
    with pytest.raises(ShapeError, match=r"has 0 weights, but the network \d+: call prepare"):
        ll.shaping.BYOL(jitter)(small((4,)), Batch(y))


def test_predictors_are_where_they_are_needed(generator):
    y = torch.randn(6, 8, generator=generator)
    with pytest.raises(UnsupportedError, match=r"BYOL needs a predictor: make it with predictor="):
        ll.shaping.BYOL(jitter).prepare(small(), Batch(y))
    with pytest.raises(UnsupportedError, match="SimCLR trains no predictor"):
        ll.shaping.SimCLR(jitter)(small((4,)), Batch(y))
    with pytest.raises(LowlandError, match="JointEmbedding"):
        ll.shaping.SimCLR(jitter)(ll.energies.Ellipse(), Batch(y))  # type: ignore[arg-type]


def test_methods_that_need_positions_say_so(generator):
    y = torch.randn(6, 8, generator=generator)
    with pytest.raises(ShapeError, match="PIRL remembers every sample by its position"):
        ll.shaping.PIRL(jitter).prepare(small(), Batch(y))
    with pytest.raises(ShapeError, match="identities of 3 samples"):
        ll.shaping.DrLIM(jitter, identities=torch.arange(3))(small(), Batch(y, index=torch.arange(6)))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("SimCLR", {"temperature": 0.0}),
        ("MoCo", {"size": 1}),
        ("MoCo", {"momentum": 1.5}),
        ("MoCoV3", {"temperature": -1.0}),
        ("PIRL", {"weight": 2.0}),
        ("PIRL", {"negatives": 0}),
        ("DrLIM", {"margin": 0.0}),
        ("SIGReg", {"knots": 1}),
        ("VICReg", {"alarm": -1}),
    ],
)
def test_options_that_cannot_be(name, options):
    with pytest.raises(OptionError):
        getattr(ll.shaping, name)(**options)


@pytest.mark.parametrize("name", ["VICReg", "BarlowTwins", "WMSE", "SimCLR", "SIGReg"])
def test_a_network_of_bfloat16_has_a_loss_in_float32(name, generator):
    """Of coarse embeddings the loss is that of the same numbers in float32, also where matrix products are cast."""
    a, b = (torch.randn(64, 8, generator=generator).bfloat16() for _ in range(2))
    exact = getattr(ll.shaping, name)(jitter).loss(a.float(), b.float())[0]
    with torch.autocast("cpu", torch.bfloat16):
        mixed = getattr(ll.shaping, name)(jitter).precise(a, b)[0]
    assert mixed.dtype == torch.float32
    torch.testing.assert_close(mixed, exact, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["BarlowTwins", "WMSE"])
def test_the_alarm_does_not_see_a_mean_that_the_loss_does_not_see(name, generator):
    a = torch.randn(64, 8, generator=generator)
    shaping = getattr(ll.shaping, name)(jitter)
    torch.testing.assert_close(shaping.deviation(a + 100), shaping.deviation(a), rtol=1e-3, atol=0)


# ---- views, memory, target


def test_the_jigsaw_is_the_second_view_of_pirl(digits):
    shaping = ll.shaping.PIRL(ImageViews.none(), jigsaw=Jigsaw(grid=2, patch=ImageViews.none()))
    plain, mixed = shaping.pair(Batch(digits[:16]))
    torch.testing.assert_close(plain, digits[:16])
    assert not torch.equal(mixed, plain)
    torch.testing.assert_close(mixed.flatten(1).sort().values, plain.flatten(1).sort().values)


def test_pirl_remembers_the_whole_data_set(generator):
    y = torch.randn(50, 8, generator=generator)
    shaping = ll.shaping.PIRL(jitter, negatives=16)
    ll.fit(small(), y, shaping, max_steps=12, batch_size=16, progress=False)
    assert shaping.bank.shape == (50, 4)
    torch.testing.assert_close(shaping.bank.norm(dim=1), torch.ones(50))


@pytest.mark.parametrize("name", ["MoCo", "PIRL"])
def test_a_memory_starts_with_any_number_of_samples(name, generator):
    """Of 257 samples, 256 at once would leave one, which batch normalisation does not take."""
    case = registered("shaping")[name].reference_case()
    energy = JointEmbedding(Perceptron((8,), hidden=(8,), size=8), (8, 4))
    y = torch.randn(257, 8, generator=generator)
    case.shaping.prepare(energy, Batch(y, index=torch.arange(257)))
    memory = case.shaping.queue if name == "MoCo" else case.shaping.bank
    torch.testing.assert_close(memory.norm(dim=1), torch.ones(len(memory)))


def test_a_target_follows_also_the_averages_of_batch_normalisation(generator):
    network = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    target = Target(momentum=0.5)
    target.start(network)
    network(torch.randn(8, 3, generator=generator))
    before = target.weights.clone()
    target.follow(network)
    assert not torch.equal(before, target.weights)
    frozen = network[1].running_mean.clone()
    target(network, torch.randn(8, 3, generator=generator))
    assert torch.equal(network[1].running_mean, frozen)


def test_validation_compares_as_many_samples_as_training(generator):
    """Of 25 held-out samples, three batches of 8: the loss of a rest of 1 would mean nothing, and WMSE has none."""
    y = torch.randn(100, 8, generator=generator)
    result = ll.fit(small(), y, ll.shaping.WMSE(jitter), max_steps=2, batch_size=8, validation=0.25, progress=False)
    assert result.history["validation/loss/energy"].values


def test_too_few_samples_to_validate_on(generator):
    y = torch.randn(12, 8, generator=generator)
    with pytest.raises(ShapeError, match="of those that are held out a batch has 1: raise validation"):
        ll.fit(small(), y, ll.shaping.SimCLR(jitter), max_steps=2, batch_size=8, validation=0.1, progress=False)


# ---- precision and resume


@pytest.mark.parametrize("name", METHODS)
def test_every_method_trains_in_mixed_precision(name, digits):
    cls = registered("shaping")[name]
    result = ll.fit(
        images(cls.predicts), digits[:64], cls(ImageViews.mild()), max_steps=2, batch_size=32, validation=0,
        progress=False, precision="bf16-mixed",
    )  # fmt: skip
    assert result.steps == 2


@pytest.mark.parametrize("name", METHODS)
def test_fit_resumes_to_the_same_bits(name, digits, tmp_path):
    cls = registered("shaping")[name]
    states = []
    for parts in ((6,), (4, 6)):
        energy, shaping = images(cls.predicts), cls(ImageViews.mild(), seed=3)
        for steps in parts:
            if steps != parts[0]:
                energy, shaping = images(cls.predicts), cls(ImageViews.mild(), seed=3)
            ll.fit(
                energy, digits[:400], shaping, max_steps=steps, batch_size=32, run=tmp_path / f"{len(parts)}",
                resume=steps != parts[0], checkpoint_every=2, progress=False,
            )  # fmt: skip
        states.append({**energy.state_dict(), **{f"shaping.{k}": v for k, v in shaping.state_dict().items()}})
    assert states[0].keys() == states[1].keys()
    for key, value in states[0].items():
        assert torch.equal(value, states[1][key]), key


def test_a_multiple_of_a_joint_embedding_is_fitted_on_samples_alone_as_the_energy_itself(generator):
    """The loss is one of the embeddings, so that 2·E has the weights of E after as many steps."""
    y, weights = torch.randn(32, 8, generator=generator), []
    for weight in (None, 2.0):
        energy = small()
        ll.fit(energy if weight is None else weight * energy, y, ll.shaping.SimCLR(jitter), max_steps=3, batch_size=8)
        weights.append(torch.cat([parameter.detach().flatten() for parameter in energy.parameters()]))
    assert torch.equal(*weights)
    assert not torch.equal(weights[0], torch.cat([parameter.detach().flatten() for parameter in small().parameters()]))


@pytest.mark.parametrize(
    ("change", "said"),
    [(lambda energy: -1.0 * energy, "this is -1 times a JointEmbedding"), (lambda e: e + small(), "this is a Sum")],
)
def test_what_is_no_joint_embedding_times_a_positive_number_is_refused(generator, change, said):
    with pytest.raises(UnsupportedError, match=rf"SimCLR needs a JointEmbedding, or one times .* but {said}: train it"):
        ll.shaping.SimCLR(jitter)(change(small()), Batch(torch.randn(6, 8, generator=generator)))
