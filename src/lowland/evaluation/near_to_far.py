"""Near labels that train far ones: what a vehicle sees of the ground, learned from while it drives (system V9).

Legend: N places of a frame, K = 2 labels, F features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from lowland.data.near_stereo import fit_ground, standing_share, stereo_disparity
from lowland.data.terrain import DRIVABLE, FOCAL, OBSTACLE, SIZE, Course, Frame
from lowland.energies.classifier import Classifier
from lowland.errors import OptionError
from lowland.evaluation.classification import answer_energies
from lowland.nn.ground_bands import FIXED, METRE, Places, band_places, cut, yuv
from lowland.shaping.contrastive.likelihood import MaximumLikelihood
from lowland.training.fit import fit
from lowland.training.snapshots import Snapshots

NEAREST = 4.0
"""Metres: what is nearer is below the picture."""
_SURE = 0.2
"""A share of points below this, or above 1 less this, gives a sure label."""
_PATCH, _FOOT = 0.12, (slice(5, 12), slice(8, 17))
_TREES, _LEAF = 20, 5


class Sight(NamedTuple):
    """What is seen at the N places of a frame.

    `places`; `share` (N,), how likely stereo finds an obstacle there, NaN where it says nothing; `truth` (N,),
    `DRIVABLE` or `OBSTACLE`; `inputs`, by name: at first (N, 900) windows, "scaled" by distance and "fixed", which are
    not, and (N, 6) "colour"; later features.
    """

    places: Places
    share: Tensor
    truth: Tensor
    inputs: dict[str, Tensor]

    def through(self, networks: Mapping[str, tuple[str, Callable[[Tensor], Tensor]]]) -> Sight:
        """The same with the features of networks, each of one of the inputs, in place of the windows."""
        found = {name: network(self.inputs[view]) for name, (view, network) in networks.items()}
        return self._replace(inputs={"colour": self.inputs["colour"], **found})


def look(frame: Frame, reach: float, farthest: float, generator: torch.Generator) -> Sight:
    """Measure by stereo, fit the ground, and cut the windows of all places on it; those that show sky are left out.

    Args:
        frame: a picture with its depth, of which only what stereo measures is used, and its labels, for the truth.
        reach: of stereo, metres.
        farthest: place, metres.
        generator: draws the errors of stereo.

    Raises:
        DataError: if no ground is found.
        OptionError: unless 4 < reach < farthest.
    """
    if not NEAREST < reach < farthest:
        raise OptionError(f"Places need {NEAREST:g} < reach < farthest, not {reach:g} and {farthest:g} metres.")
    disparity = stereo_disparity(frame.depth, FOCAL, generator, reach=reach)
    ground = fit_ground(disparity, generator)
    places = band_places(ground, FOCAL, SIZE, NEAREST, farthest)
    truth = frame.labels[places.v.round().long(), places.u.round().long()]
    on_land = (truth == DRIVABLE) | (truth == OBSTACLE)
    places, truth = places.take(on_land), truth[on_land]
    image, scale = yuv(frame.image), FOCAL / places.distance / METRE
    scaled, fixed = (
        cut(image, ground, places.u, places.v, one) for one in (scale, torch.full_like(scale, FIXED))
    )  # fmt: skip
    foot = scaled[:, :, _FOOT[0], _FOOT[1]].flatten(2)
    colour = torch.cat([foot.mean(dim=2), foot.std(dim=2)], dim=1)
    share = standing_share(disparity, ground, places.u, places.v, _PATCH * FOCAL / places.distance)
    share = torch.where(places.distance < reach, ((share - _SURE) / (1 - 2 * _SURE)).clamp(0, 1), torch.nan)
    return Sight(places, share, truth, {"scaled": scaled.flatten(1), "fixed": fixed.flatten(1), "colour": colour})


def drive(course: Course, stops: Sequence[float], reach: float, farthest: float, seed: int) -> Iterator[Sight]:
    """What is seen at each stop of a course, in metres from its start."""
    generator = torch.Generator().manual_seed(seed)
    return (look(course.frame(stop), reach, farthest, generator) for stop in stops)


def learn_online(
    energy: Classifier,
    features: Sequence[Tensor],
    shares: Sequence[Tensor],
    steps: int,
    rate: float,
    batch: int = 32,
    least: float = 10.0,
    seed: int = 0,
) -> list[Tensor]:
    """Train a linear classifier while driving; its energies of both labels at all places of each frame, [(N, 2)].

    With each frame come so many steps on places of this frame and of all before. A place with a share q counts as an
    obstacle with probability q: half of the places of a batch are drawn by q, as obstacles, and half by 1 − q, so that
    the loss is in the mean a cross-entropy with soft labels in which both weigh the same. No step is taken before both
    labels have some weight: with one alone nothing can be told apart. Then the energies of all places of the frame are
    computed, before anything of the next is seen.

    Args:
        energy: E(x, y) of features and a one-hot answer of 2, trained in place.
        features: (N, F) of each frame.
        shares: (N,) of each frame, NaN where there is no label.
        steps: for each frame.
        rate: learning rate of Adam.
        batch: places of a step.
        least: sum of q, and of 1 − q, from which on there are steps.
        seed: draws places and answers.

    >>> x = torch.tensor([[1.0], [-1.0], [2.0]])
    >>> share = torch.tensor([1.0, 0.0, torch.nan])
    >>> found = learn_online(Classifier(1, 2, ()), [x, x], [share, share], 40, 0.1, least=1.0)
    >>> found[-1].argmin(dim=1)
    tensor([1, 0, 1])
    """
    draw = torch.Generator().manual_seed(seed)
    inputs, answers, known_x, known_q = [], [], list[Tensor](), list[Tensor]()
    learned = []
    for number, (x_NF, share_N) in enumerate(zip(features, shares, strict=True)):
        known = ~share_N.isnan()
        known_x.append(x_NF[known])
        known_q.append(share_N[known])
        x, q = torch.cat(known_x), torch.cat(known_q)
        if min(q.sum(), (1 - q).sum()) < least:
            continue
        for _ in range(steps):
            rows = [torch.multinomial(weight, batch // 2, True, generator=draw) for weight in (1 - q, q)]
            inputs.append(x[torch.cat(rows)])
            answers.append(torch.arange(2).repeat_interleave(batch // 2))
        learned.append(number)
    tables = [answer_energies(energy, x).detach() for x in features]
    if not learned:
        return tables
    kept = Snapshots(energy, [steps * (1 + k) for k in range(len(learned))])
    data = TensorDataset(torch.cat(inputs), functional.one_hot(torch.cat(answers), 2).float())
    size = len(inputs[0])
    fit(energy, DataLoader(data, batch_size=size), MaximumLikelihood(), max_steps=steps * len(learned),
        lr=rate, validation=0.0, progress=False, log_every=steps, callback=kept)  # fmt: skip
    for number, x_NF in enumerate(features):
        done = sum(one <= number for one in learned)
        if done:
            kept.restore(steps * done)
            with torch.no_grad():
                tables[number] = answer_energies(energy, x_NF)
    return tables


def colour_answers(sights: Sequence[Sight], seed: int) -> list[Tensor]:
    """Labels by a forest of the mean and spread of the colours at each place, of near labels so far, [(N,)]."""
    from sklearn.ensemble import RandomForestClassifier

    answers, known_x, known_y = [], list[Tensor](), list[Tensor]()
    for sight in sights:
        known, colour = ~sight.share.isnan(), sight.inputs["colour"]
        known_x.append(colour[known])
        known_y.append((sight.share[known] > 0.5).long())
        forest = RandomForestClassifier(_TREES, min_samples_leaf=_LEAF, class_weight="balanced", random_state=seed)
        forest.fit(torch.cat(known_x).numpy(), torch.cat(known_y).numpy())
        answers.append(torch.from_numpy(forest.predict(colour.numpy())))
    return answers


def far_errors(
    answers: Sequence[Tensor], sights: Sequence[Sight], nearest: float, farthest: float = float("inf")
) -> tuple[float, float]:
    """Of the places from `nearest` to `farthest`, the share answered wrongly, and its mean over both labels, in %.

    NaN where there are no places, or none of one label.
    """
    far = [(sight.places.distance >= nearest) & (sight.places.distance < farthest) for sight in sights]
    wrong = torch.cat([(a != s.truth)[f] for a, s, f in zip(answers, sights, far, strict=True)]).double()
    truth = torch.cat([s.truth[f] for s, f in zip(sights, far, strict=True)])
    means = [wrong[truth == label].mean() for label in (DRIVABLE, OBSTACLE)]
    return 100 * wrong.mean().item(), 100 * torch.stack(means).mean().item()


def near_agreement(sights: Sequence[Sight]) -> float:
    """Of the places that stereo labels, the share of which the likelier label is the true one, in %."""
    share, truth = (torch.cat([getattr(sight, name) for sight in sights]) for name in ("share", "truth"))
    known = ~share.isnan()
    return 100 * ((share[known] > 0.5).long() == truth[known]).double().mean().item()
