"""The virtual clock: times from closed forms, numbers by hand and from the joint energy, and who waits for whom."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch import Tensor

from lowland.errors import OptionError, UnsupportedError
from lowland.evaluation.virtual_cluster import Cluster, Course, Link, Method
from lowland.evaluation.virtual_training import train_virtually
from lowland.training.averaging.rules import ADMM, Downpour, Elastic, Outer

COMPUTE, SIZE = 0.004, 5 * 8
LINK = Link(bandwidth=SIZE * 8 / 0.01, latency=0.002)
"""Five numbers in double precision keep it busy for 10 ms."""
WIRE, EXCHANGE = 0.01, 2 * (0.01 + 0.002)
LOCAL = Outer(10, lr=1.0, momentum=0.0)


class Valleys:
    """fⁱ(x) = Σ log cosh(x − bⁱ), which differ by worker; what was asked is kept."""

    def __init__(self, members: int = 4) -> None:
        draw = torch.Generator().manual_seed(0)
        self.minima = torch.randn(members, 5, generator=draw, dtype=torch.float64)
        self.first = torch.randn(5, generator=draw, dtype=torch.float64)
        self.asked: list[tuple[int, Tensor]] = []
        self.judged: list[Tensor] = []

    def start(self) -> Tensor:
        return self.first

    def gradient(self, x: Tensor, worker: int) -> Tensor:
        self.asked.append((worker, x.clone()))
        return torch.tanh(x - self.minima[worker])

    def error(self, x: Tensor) -> float:
        self.judged.append(x.clone())
        return float(x.norm())


def end(method: Method, members: int = 4, steps: int = 40, link: Link = LINK, **options: object) -> float:
    """Virtual time of some steps."""
    cluster = Cluster(members, COMPUTE, link, **options)  # pyright: ignore[reportArgumentType]
    return train_virtually(Valleys(members), method, cluster, 0.1, steps).seconds[-1]


def test_a_message_takes_latency_and_bytes_over_bandwidth() -> None:
    assert Link().message(1_250_000) == pytest.approx(0.001 + 0.1)
    assert Link().ring(1_250_000, 4) == pytest.approx(2 * 3 / 4 * 0.1 + 6 * 0.001)
    assert Link().ring(1_250_000, 1) == 0


def test_time_of_averaged_gradients() -> None:
    ring = LINK.ring(SIZE, 4)
    assert end(Method()) == pytest.approx(40 * (COMPUTE + ring))
    assert end(Method(), slow=3.0) == pytest.approx(40 * (3 * COMPUTE + ring))
    assert end(Method(), hidden=True) == pytest.approx(40 * ring)
    assert end(Method(), hidden=True, slow=10.0) == pytest.approx(40 * 10 * COMPUTE)
    assert end(Method(), members=1) == pytest.approx(40 * COMPUTE)


@pytest.mark.parametrize("rule", [LOCAL, Outer(10), Elastic(10)])
def test_time_with_a_barrier(rule: Outer | Elastic) -> None:
    found = end(Method(rule, barrier=True), steps=45, slow=2.0)
    assert found == pytest.approx(45 * 2 * COMPUTE + 4 * LINK.ring(SIZE, 4))


@pytest.mark.parametrize("rule", [Elastic(10), Downpour(10)])
def test_time_of_one_worker(rule: Elastic | Downpour) -> None:
    assert end(Method(rule), members=1, steps=45) == pytest.approx(45 * COMPUTE + 4 * EXCHANGE)
    assert end(Method(rule), members=1, steps=45, hidden=True) == pytest.approx(45 * COMPUTE)


def test_time_of_hidden_messages_that_take_longer_than_a_step() -> None:
    """Each message is waited for at the next step: the first leaves after a step, the others as one is back."""
    assert end(Method(Elastic(1)), members=1, hidden=True) == pytest.approx(COMPUTE + 39 * EXCHANGE)


def test_a_link_of_its_own_is_as_fast_as_one_worker() -> None:
    own = Link(LINK.bandwidth, LINK.latency, shared=False)
    assert end(Method(Elastic(1)), link=own) == pytest.approx(40 * (COMPUTE + EXCHANGE))


def test_a_shared_link_is_filled() -> None:
    """160 messages follow one another without a gap, since three others take longer than a worker needs to be back."""
    assert 2 * LINK.latency + WIRE + COMPUTE < 3 * WIRE
    assert end(Method(Elastic(1))) == pytest.approx(COMPUTE + 160 * WIRE + WIRE + 2 * LINK.latency)


def test_one_worker_that_meets_at_every_step_by_hand() -> None:
    """x̃ ← x̃ + β (x − x̃) and x ← x − η g(x) − β (x − x̃), with the old x and x̃ on the right."""
    problem, beta, rate = Valleys(1), 0.3, 0.2
    x = centre = problem.start()
    for _ in range(12):
        gap = beta * (x - centre)
        x, centre = x - rate * torch.tanh(x - problem.minima[0]) - gap, centre + gap
    train_virtually(problem, Method(Elastic(1, rate=beta), momentum=0.0), Cluster(1, COMPUTE, LINK), rate, 12)
    torch.testing.assert_close(problem.judged[-1], centre, rtol=0, atol=1e-14)


def test_a_hidden_pull_by_hand() -> None:
    """τ = 2, a step of 1 s, an exchange of 1.5 s: sent with the 2nd gradient, the pull comes with the 4th."""
    problem, beta, rate = Valleys(1), 0.3, 0.2

    def step(x: Tensor, at: Tensor) -> Tensor:
        return x - rate * torch.tanh(at - problem.minima[0])

    x = centre = problem.start()
    sent, before = x, None
    for count in range(1, 9):
        pulled = x
        if count % 2 == 0:
            if before is not None:
                pulled = x - beta * (sent - before)
            sent, before = pulled, centre
            centre = centre + beta * (sent - centre)
        x = step(pulled, x)
    link = Link(8 * SIZE / 0.5, 0.25)
    cluster = Cluster(1, 1.0, link, hidden=True)
    train_virtually(problem, Method(Elastic(2, rate=beta), momentum=0.0), cluster, rate, 9, every=0.2)
    torch.testing.assert_close(problem.judged[-1], centre, rtol=0, atol=1e-14)


@pytest.mark.parametrize("members", [1, 4])
def test_elastic_averaging_at_once_descends_the_joint_energy(members: int) -> None:
    """Σ fⁱ(xⁱ) + ρ/2 ‖xⁱ − x̃‖², all of x and x̃ by one gradient step. Double precision, 25 steps of numbers near 1."""
    problem, rate, pull = Valleys(members), 0.1, 1.5
    joint = problem.start().repeat(members + 1, 1).requires_grad_()
    asked = []
    for _ in range(25):
        x, centre = joint[:-1], joint[-1]
        asked += [(k, x[k].detach().clone()) for k in range(members)]
        energy = torch.log(torch.cosh(x - problem.minima)).sum() + 0.5 * pull * (x - centre).square().sum()
        (slope,) = torch.autograd.grad(energy, joint)
        joint = (joint - rate * slope).detach().requires_grad_()
    method = Method(Elastic(1, rate=members * rate * pull), momentum=0.0, barrier=True)
    train_virtually(problem, method, Cluster(members, COMPUTE, LINK), rate, 25)
    torch.testing.assert_close(problem.judged[-1], joint[-1].detach(), rtol=0, atol=1e-12)
    assert [k for k, _ in problem.asked] == [k for k, _ in asked]
    torch.testing.assert_close([x for _, x in problem.asked], [x for _, x in asked], rtol=0, atol=1e-12)


def test_averaged_gradients_are_those_of_torch() -> None:
    problem = Valleys()
    x = torch.nn.Parameter(problem.start().clone())
    optimiser = torch.optim.SGD([x], 0.1, momentum=0.9, nesterov=True)
    for _ in range(20):
        x.grad = torch.tanh(x.detach() - problem.minima).mean(dim=0)
        optimiser.step()
    train_virtually(problem, Method(), Cluster(4, COMPUTE, LINK), 0.1, 20)
    torch.testing.assert_close(problem.judged[-1], x.detach(), rtol=0, atol=1e-12)


def test_nobody_waits_for_a_slow_worker() -> None:
    """Of 1300 steps a worker that is four times as slow makes a thirteenth, but for those that are under way."""
    problem, fast = Valleys(), Link(1e12, 0.0)
    course = train_virtually(problem, Method(Elastic(10)), Cluster(4, COMPUTE, fast, slow=4.0), 0.01, 325)
    made = Counter(worker for worker, _ in problem.asked)
    assert made[0] == pytest.approx(100, abs=1)
    assert [made[k] for k in (1, 2, 3)] == pytest.approx([400] * 3, abs=1)
    assert course.seconds[-1] == pytest.approx(400 * COMPUTE, rel=0.01)
    waits = train_virtually(Valleys(), Method(LOCAL, barrier=True), Cluster(4, COMPUTE, fast, slow=4.0), 0.01, 325)
    assert waits.seconds[-1] == pytest.approx(1300 * COMPUTE)


@pytest.mark.parametrize("method", [Method(), Method(Elastic(3)), Method(Downpour(3), 0.0), Method(LOCAL, 0.9, True)])
def test_two_runs_agree_to_the_bit_and_are_recorded_on_a_grid(method: Method) -> None:
    runs = [
        train_virtually(Valleys(), method, Cluster(4, COMPUTE, LINK), 0.05, 50, until=0.5, every=0.03) for _ in "ab"
    ]
    assert runs[0] == runs[1]
    course = runs[0]
    assert course.seconds[:-1] == [0.03 * k for k in range(len(course.seconds) - 1)]
    assert 0 < course.seconds[-1] - course.seconds[-2] <= 0.03 + 1e-12
    assert course.errors[-1] != course.errors[0]
    assert course.errors[0] == float(Valleys().start().norm())
    assert course.steps == sorted(course.steps)


def test_what_is_recorded_is_what_was_before_the_next_event() -> None:
    """A step of all takes 34 ms: at 30 ms nothing has changed, at 60 ms one step is made."""
    course = train_virtually(Valleys(), Method(), Cluster(4, 0.019, Link(8 * SIZE / 0.006, 0.001)), 0.05, 3, every=0.03)
    assert Link(8 * SIZE / 0.006, 0.001).ring(SIZE, 4) == pytest.approx(0.015)
    assert course.steps == [0, 0, 1, 2, 3]
    assert course.errors[0] == course.errors[1] != course.errors[2]


def test_a_course_that_diverges_ends() -> None:
    class Hill(Valleys):
        def gradient(self, x: Tensor, worker: int) -> Tensor:
            return -x.abs().square()

    course = train_virtually(Hill(), Method(Downpour(1), momentum=0.0), Cluster(4, COMPUTE, LINK), 1.0, 10_000)
    assert not course.finite
    assert course.steps[-1] < 1000


def test_what_is_read_off_a_course() -> None:
    course = Course([0.0, 0.2, 0.4, 0.5], [0, 1, 2, 3], [90.0, 20.0, 10.0, 12.0], 3, True)
    assert course.first(15.0) == 0.4
    assert course.first(5.0) is None
    assert course.mean(1.0) == pytest.approx(0.2 * 90 + 0.2 * 20 + 0.1 * 10 + 0.5 * 12)
    assert course.mean(0.3) == pytest.approx((0.2 * 90 + 0.1 * 20) / 0.3)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="train with Elastic"):
        Method(ADMM())
    with pytest.raises(OptionError, match="hidden=False"):
        train_virtually(Valleys(), Method(LOCAL, barrier=True), Cluster(hidden=True), 0.1, 1)
    for name, wrong in {"bandwidth": 0, "latency": -1.0}.items():
        with pytest.raises(OptionError, match=name):
            Link(**{name: wrong})
    for name, wrong in {"members": 0, "seconds": 0.0, "slow": 0.5}.items():
        with pytest.raises(OptionError, match=name):
            Cluster(**{name: wrong})
    for name, wrong in {"lr": 0.0, "steps": 0, "every": 0.0}.items():
        with pytest.raises(OptionError, match=name):
            train_virtually(Valleys(), Method(), Cluster(), **{"lr": 0.1, "steps": 1, name: wrong})
    with pytest.raises(OptionError, match="momentum"):
        Method(momentum=1.0)
