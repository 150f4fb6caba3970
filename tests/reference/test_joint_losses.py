"""Joint-embedding losses against independent formulations: loops over samples, NumPy, explicit copies and lists.

All in float64, where sums of a few hundred terms in another order agree to a relative 1e-10 at the very least.
"""

from __future__ import annotations

import copy
import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

import lowland as ll
from lowland.energies.joint_embedding import JointEmbedding
from lowland.nn.encoders.perceptron import Perceptron
from lowland.shaping.base import Batch
from lowland.shaping.joint import JointShaping

N, D = 16, 4
RATE = 0.05


@pytest.fixture
def pair(generator) -> tuple[Tensor, Tensor]:
    a = torch.randn(N, D, generator=generator, dtype=torch.float64)
    return a, a + 0.5 * torch.randn(N, D, generator=generator, dtype=torch.float64) + 0.3


def cosine(a: Tensor, b: Tensor) -> float:
    return float((a @ b / (a.norm() * b.norm())).detach())


def chances(a: Tensor, b: Tensor, temperature: float) -> list[float]:
    """p that each of the 2N views picks its partner among the 2N − 1 others."""
    both = [*a, *b]
    found = []
    for i, view in enumerate(both):
        partner = (i + len(a)) % len(both)
        odds = [math.exp(cosine(view, other) / temperature) for other in both]
        found.append(odds[partner] / (sum(odds) - odds[i]))
    return found


def close(found: Tensor, expected: float) -> None:
    assert float(found) == pytest.approx(expected, rel=1e-10)


def test_simclr_by_loops(pair):
    found, metrics = ll.shaping.SimCLR(temperature=0.3).loss(*pair)
    p = chances(*pair, 0.3)
    close(found, -sum(math.log(one) for one in p) / len(p))
    assert 0 <= float(metrics["first"]) <= 1


def test_nca_by_loops(pair):
    p = chances(*pair, 0.3)
    close(ll.shaping.NCA(temperature=0.3).loss(*pair)[0], -sum(p) / len(p))


@pytest.mark.parametrize("hardest", [None, 1, 3])
def test_drlim_by_loops(pair, hardest):
    a, b = pair
    who = torch.arange(N) // 2
    positive = sum(float((x - y).square().sum()) for x, y in zip(a, b, strict=True)) / N
    pushes = []
    for i in range(N):
        distances = sorted(math.dist(a[i].tolist(), b[j].tolist()) for j in range(N) if who[i] != who[j])
        pushes += [max(0.0, 2.0 - d) ** 2 for d in distances[:hardest]]
    found, _ = ll.shaping.DrLIM(margin=2.0, hardest=hardest).loss(a, b, who)
    close(found, (positive + sum(pushes) / len(pushes)) / 2)


def test_drlim_takes_identities_by_the_index_of_a_sample(generator):
    y = torch.randn(8, 3, generator=generator)
    energy = JointEmbedding(Perceptron((3,), hidden=(8,), size=4), (), norm=False)
    identities = torch.tensor([0, 1, 0, 1, 5, 5, 5, 5, 2, 3, 2, 3])
    shaping = ll.shaping.DrLIM(hardest=None, identities=identities)
    index = torch.tensor([8, 9, 10, 11, 0, 1, 2, 3])
    found = shaping(energy, Batch(y, index=index)).losses["energy"]
    embedded = energy.embed(y)
    torch.testing.assert_close(found, shaping.loss(embedded, embedded, identities[index])[0])
    same = ll.shaping.DrLIM(identities=torch.zeros(12, dtype=torch.int64))(energy, Batch(y, index=index))
    assert float(same.metrics["negative"]) == 0, "nobody is a negative of the same identity"


def test_vicreg_by_its_definition(pair):
    a, b = (part.numpy() for part in pair)
    near = np.mean([(x - y) @ (x - y) for x, y in zip(a, b, strict=True)]) / D
    wide = sum(np.maximum(0, 1 - np.sqrt(np.var(part, axis=0, ddof=1) + 1e-4)).mean() for part in (a, b)) / 2
    apart = 0.0
    for part in (a, b):
        covariance = np.cov(part.T)
        apart += sum(covariance[i, j] ** 2 for i, j in itertools.permutations(range(D), 2)) / D
    close(ll.shaping.VICReg().loss(*pair)[0], 25 * near + 25 * wide + apart)


def test_barlow_by_loops(pair):
    a, b = pair
    total = 0.0
    for i, j in itertools.product(range(D), repeat=2):
        c = float(np.corrcoef(a[:, i].numpy(), b[:, j].numpy())[0, 1])
        total += (1 - c) ** 2 if i == j else 0.01 * c**2
    close(ll.shaping.BarlowTwins(redundancy=0.01).loss(*pair)[0], total)


def test_whitening_by_numpy(pair):
    white = []
    for part in pair:
        x = part.numpy() - part.numpy().mean(axis=0)
        factor = np.linalg.cholesky(np.cov(x.T))
        white.append(x @ np.linalg.inv(factor).T)
        np.testing.assert_allclose(np.cov(white[-1].T), np.eye(D), atol=1e-12)
    gaps = [u / np.linalg.norm(u) - v / np.linalg.norm(v) for u, v in zip(*white, strict=True)]
    close(ll.shaping.WMSE(epsilon=0).loss(*pair)[0], sum(gap @ gap for gap in gaps) / N)


def test_sigreg_by_complex_numbers_and_in_closed_form(pair):
    shaping = ll.shaping.SIGReg(weight=0.1, directions=6, knots=9, reach=2.0)
    found, metrics = copy.deepcopy(shaping).loss(*pair)
    drawn = torch.randn(D, 6, generator=copy.deepcopy(shaping).generator()).double().numpy()
    unit = drawn / np.linalg.norm(drawn, axis=0)
    t = np.linspace(-2, 2, 17)
    tests = []
    for part, u in itertools.product(pair, unit.T):
        gap = np.abs(np.exp(1j * np.outer(t, part.numpy() @ u)).mean(axis=1) - np.exp(-(t**2) / 2)) ** 2
        tests.append(N * np.trapezoid(gap * np.exp(-(t**2) / 2), t))
    a, b = (part.numpy() for part in pair)
    near = np.mean([(z - (a + b) / 2) ** 2 for z in (a, b)])
    # The directions are drawn in float32, and normalised there.
    assert float(found) == pytest.approx(0.9 * near + 0.1 * np.mean(tests), rel=1e-6)
    assert float(metrics["invariance"]) == pytest.approx(near)
    # The whole integral: √2π mean e^{−(x_i − x_j)²/2} − 2√π mean e^{−x_i²/4} + √(2π/3). Both ends are below e^{−72}.
    x = pair[0][:, 0].numpy()
    kernel = np.exp(-(np.subtract.outer(x, x) ** 2) / 2).mean()
    closed = math.sqrt(2 * math.pi) * kernel - 2 * math.sqrt(math.pi) * np.exp(-(x**2) / 4).mean()
    fine = ll.shaping.SIGReg(knots=401, reach=12.0).statistic(pair[0][:, :1])
    close(fine[0], N * (closed + math.sqrt(2 * math.pi / 3)))


# ---- methods with a memory: three steps of training, with copies, lists and dictionaries made by hand


class Steps:
    """Three steps of plain gradient descent on an energy in float64, without views: both parts of pairs are given."""

    def __init__(self, shaping: JointShaping, generator: torch.Generator, predictor: tuple[int, ...] | None) -> None:
        encoder = Perceptron((3,), hidden=(8,), size=6)
        self.energy = JointEmbedding(encoder, (6, D), predictor, norm=False).double()
        self.shaping = shaping.double()
        self.x, self.y = (torch.randn(3, N, 3, generator=generator, dtype=torch.float64) for _ in range(2))
        self.prepared_on = Batch(torch.randn(24, 3, generator=generator, dtype=torch.float64), index=torch.arange(24))
        self.index = torch.stack([torch.randperm(24, generator=generator)[:N] for _ in range(3)])
        self.shaping.prepare(self.energy, self.prepared_on)

    def embed(self, sample: Tensor) -> Tensor:
        return self.energy.embed(sample).detach()

    def take(self, number: int) -> float:
        batch = Batch(self.y[number], self.x[number], self.index[number])
        loss = self.shaping(self.energy, batch).losses["energy"]
        gradients = torch.autograd.grad(loss, list(self.energy.parameters()))
        with torch.no_grad():
            for parameter, gradient in zip(self.energy.parameters(), gradients, strict=True):
                parameter -= RATE * gradient
        self.shaping.after_step(self.energy, batch)
        self.shaping.advance()
        return float(loss.detach())


def follow(slow: torch.nn.Module, fast: torch.nn.Module, momentum: float) -> None:
    with torch.no_grad():
        for mine, other in zip(slow.parameters(), fast.parameters(), strict=True):
            mine.copy_(momentum * mine + (1 - momentum) * other)


def test_byol_by_a_copy_of_the_network(generator):
    steps = Steps(ll.shaping.BYOL(momentum=0.8), generator, (6,))
    slow = copy.deepcopy(steps.energy.branch)
    for number in range(3):
        x, y = steps.x[number], steps.y[number]
        expected = 0.0
        for one, other in ((x, y), (y, x)):
            predicted, target = steps.energy.predict(steps.embed(one)), slow(other)
            expected += sum(2 - 2 * cosine(q, k) for q, k in zip(predicted, target, strict=True)) / N
        assert steps.take(number) == pytest.approx(expected, rel=1e-10)
        follow(slow, steps.energy.branch, 0.8)


def test_simsiam_and_its_stop_gradient(generator):
    steps = Steps(ll.shaping.SimSiam(), generator, (6,))
    fixed = copy.deepcopy(steps.energy)
    x, y = steps.x[0], steps.y[0]
    batch = Batch(y, x)
    total = torch.zeros((), dtype=torch.float64)
    for one, other in ((x, y), (y, x)):
        predicted = steps.energy.predict(steps.energy.embed(one))
        total = total - functional.cosine_similarity(predicted, fixed.embed(other)).mean() / 2
    found = steps.shaping(steps.energy, batch).losses["energy"]
    torch.testing.assert_close(found, total, rtol=1e-10, atol=0)
    parameters = list(steps.energy.parameters())
    for mine, theirs in zip(
        torch.autograd.grad(found, parameters), torch.autograd.grad(total, parameters), strict=True
    ):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-15)


def test_moco_by_a_list_for_the_queue(generator):
    steps = Steps(ll.shaping.MoCo(temperature=0.4, momentum=0.8, size=40), generator, None)
    slow = copy.deepcopy(steps.energy.branch)
    queue = list(functional.normalize(slow(steps.prepared_on.y), dim=1).detach())
    queue = (queue + queue)[:40]
    for number in range(3):
        queries, keys = steps.embed(steps.x[number]), slow(steps.y[number]).detach()
        expected = 0.0
        for q, k in zip(queries, keys, strict=True):
            own = math.exp(cosine(q, k) / 0.4)
            expected -= math.log(own / (own + sum(math.exp(cosine(q, other) / 0.4) for other in queue))) / N
        assert steps.take(number) == pytest.approx(expected, rel=1e-10)
        queue = [functional.normalize(k, dim=0) for k in keys] + queue[: 40 - N]
        follow(slow, steps.energy.branch, 0.8)


def test_moco_v3_by_loops(generator):
    steps = Steps(ll.shaping.MoCoV3(temperature=0.4, momentum=0.8), generator, (6,))
    slow = copy.deepcopy(steps.energy.branch)
    for number in range(3):
        expected = 0.0
        for one, other in ((steps.x[number], steps.y[number]), (steps.y[number], steps.x[number])):
            queries, keys = steps.energy.predict(steps.embed(one)), slow(other)
            for i, q in enumerate(queries):
                odds = [math.exp(cosine(q, k) / 0.4) for k in keys]
                expected -= 2 * 0.4 * math.log(odds[i] / sum(odds)) / N
        assert steps.take(number) == pytest.approx(expected, rel=1e-10)
        follow(slow, steps.energy.branch, 0.8)


def test_pirl_by_a_dictionary_for_the_memory(generator):
    shaping = ll.shaping.PIRL(weight=0.3, temperature=0.5, momentum=0.6, negatives=10)
    steps = Steps(shaping, generator, None)
    memory = dict(enumerate(functional.normalize(steps.embed(steps.prepared_on.y), dim=1)))
    for number in range(3):
        a, b, index = steps.embed(steps.x[number]), steps.embed(steps.y[number]), steps.index[number].tolist()
        drawn = torch.randint(24, (10,), generator=copy.deepcopy(shaping).generator()).tolist()
        expected = 0.0
        for weight, views in ((0.3, b), (0.7, a)):
            for i, view in zip(index, views, strict=True):
                odds = [math.exp(cosine(memory[j], view) / 0.5) for j in [i] + [j for j in drawn if j != i]]
                h = [one / sum(odds) for one in odds]
                expected -= weight * (math.log(h[0]) + sum(math.log(1 - one) for one in h[1:])) / N
        assert steps.take(number) == pytest.approx(expected, rel=1e-10)
        for i, view in zip(index, a, strict=True):
            memory[i] = functional.normalize(0.6 * memory[i] + 0.4 * functional.normalize(view, dim=0), dim=0)
