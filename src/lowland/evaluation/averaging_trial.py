"""A network trained by several workers on a virtual clock: what a gradient is, how long it takes, and at which rate.

Shape letters: N numbers of a model, B samples.
"""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowland.data.images import Images
from lowland.errors import OptionError, UnsupportedError, check_number
from lowland.evaluation.virtual_cluster import Cluster, Method
from lowland.evaluation.virtual_training import train_virtually
from lowland.training.averaging.rules import Downpour, Elastic, Outer

MOMENTUM = 0.9
_WARM, _JUDGED = 3, 1000

METHODS: Mapping[str, Callable[[int], Method]] = {
    "EASGD": lambda period: Method(Elastic(period), momentum=0.0),
    "EAMSGD": lambda period: Method(Elastic(period), momentum=MOMENTUM),
    "Downpour": lambda period: Method(Downpour(period), momentum=0.0),
    "DiLoCo": lambda period: Method(Outer(period), momentum=MOMENTUM, barrier=True),
    "local SGD": lambda period: Method(Outer(period, lr=1.0, momentum=0.0), momentum=MOMENTUM, barrier=True),
}
"""By name, a method with period τ. The first three meet the centre one by one, the others wait for one another."""


class NetworkProblem:
    """The cross-entropy of a classifier as a `Problem`: each worker draws its own batches from all training images.

    Args:
        network: (B, C, H, W) → (B, K); its weights are the first of all workers.
        data: images with labels, on the device of the network.
        batch_size: B of a worker's gradient.
        members: p.
        seed: of the batches.
        judged: "test" or "validation": the split whose error, in percent, is recorded.

    Raises:
        UnsupportedError: for a network with buffers, such as batch normalisation, whose statistics need a rule.
        OptionError: for a split that is neither, or sizes out of range.

    >>> from lowland.data import digits
    >>> from lowland.nn.layers import linear
    >>> problem = NetworkProblem(nn.Sequential(nn.Flatten(), linear(64, 10)), digits())
    >>> problem.gradient(problem.start(), worker=3).shape, problem.error(problem.start()) > 60
    (torch.Size([650]), True)
    """

    def __init__(
        self, network: nn.Module, data: Images, batch_size: int = 128, members: int = 4, seed: int = 0,
        judged: str = "test",
    ) -> None:  # fmt: skip
        check_number("batch_size", batch_size, least=1, whole=True)
        check_number("members", members, least=1, whole=True)
        if judged not in ("test", "validation"):
            raise OptionError(f"judged must be 'test' or 'validation', but it is {judged!r}.")
        if next(network.buffers(), None) is not None:
            raise UnsupportedError("A network with buffers is not trained on the virtual clock: take out its norms.")
        self._network = copy.deepcopy(network)
        self._parameters = list(self._network.parameters())
        self._start = torch.cat([one.detach().flatten() for one in self._parameters])
        # A centre's numbers are written into the network by one copy.
        self._flat = self._start.clone()
        nn.utils.vector_to_parameters(self._flat, self._parameters)
        device = self._flat.device
        self._images, self._labels = data.train.to(device), data.train_labels.to(device)
        self._judged = getattr(data, judged).to(device), getattr(data, f"{judged}_labels").to(device)
        self._batch = batch_size
        self._draws = [torch.Generator().manual_seed(seed * 1_000_003 + worker) for worker in range(members)]

    def start(self) -> Tensor:
        """The first weights, (N,)."""
        return self._start

    def gradient(self, x: Tensor, worker: int) -> Tensor:
        """Of the mean cross-entropy of the worker's next batch at weights x, (N,)."""
        self._flat.copy_(x)
        rows = torch.randint(len(self._images), (self._batch,), generator=self._draws[worker]).to(x.device)
        with torch.enable_grad():
            loss = functional.cross_entropy(self._network(self._images[rows]), self._labels[rows])
            slopes = torch.autograd.grad(loss, self._parameters)
        return torch.cat([slope.flatten() for slope in slopes])

    @torch.no_grad()
    def error(self, x: Tensor) -> float:
        """Share of the judged images that weights x take for another class, in percent."""
        self._flat.copy_(x)
        images, labels = self._judged
        wrong = sum(
            int((self._network(some).argmax(dim=1) != right).sum())
            for some, right in zip(images.split(_JUDGED), labels.split(_JUDGED), strict=True)
        )
        return 100 * wrong / len(labels)


def step_seconds(problem: NetworkProblem, lr: float = 0.01, repeats: int = 50) -> float:
    """The median time of a worker's step, a gradient and SGD with Nesterov momentum, in seconds.

    Processor time on a CPU, so that it is what a machine without other work would take with one thread; wall time else.

    >>> from lowland.data import digits
    >>> from lowland.nn.layers import linear
    >>> 0 < step_seconds(NetworkProblem(nn.Sequential(nn.Flatten(), linear(64, 10)), digits()), repeats=3) < 1
    True
    """
    x = problem.start().clone()
    speed, device = torch.zeros_like(x), x.device
    taken = []
    for _ in range(_WARM + repeats):
        began = _clock(device)
        slope = problem.gradient(x, 0)
        speed.mul_(MOMENTUM).add_(slope)
        x.sub_(slope.add(speed, alpha=MOMENTUM), alpha=lr)
        taken.append(_clock(device) - began)
    return statistics.median(taken[_WARM:])


def _clock(device: torch.device) -> float:
    if device.type == "cpu":
        return time.process_time()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def choose_rate(
    problem: Callable[[], NetworkProblem], method: Method, cluster: Cluster, rates: Sequence[float], steps: int,
    until: float, every: float = 1.0,
) -> dict[float, float]:  # fmt: skip
    """The mean error over virtual time of training at each rate; take the rate with the least.

    The mean over time rewards a fast fall and a low end alike, and hardly depends on chance, as one reading would.

    Args:
        problem: makes one that is judged by validation images.
        method, cluster, steps, until, every: of `train_virtually`.
        rates: learning rates to try.

    Raises:
        OptionError: without rates.

    >>> from lowland.data import digits
    >>> from lowland.nn.layers import linear
    >>> make = lambda: NetworkProblem(nn.Sequential(nn.Flatten(), linear(64, 10)), digits(), judged="validation")
    >>> errors = choose_rate(make, METHODS["EAMSGD"](10), Cluster(), (1e-4, 0.1), steps=20, until=1.0, every=0.1)
    >>> min(errors, key=errors.get)
    0.1
    """
    if not rates:
        raise OptionError("No rates to choose from: give at least one, such as 0.1.")
    return {rate: train_virtually(problem(), method, cluster, rate, steps, until, every).mean(until) for rate in rates}
