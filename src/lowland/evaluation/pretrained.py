"""Did pretraining help? Compares an encoder with an untrained one, raw data and supervised training, on held-out data.

Shape letters: N samples, F files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowland.data.folder import Folder
from lowland.data.images import stratified
from lowland.data.split import Split
from lowland.energies.joint_embedding import JointEmbedding
from lowland.evaluation.collapse import rankme
from lowland.evaluation.energy_gap import auroc
from lowland.evaluation.fine_tune import fine_tune
from lowland.evaluation.joint import spectrum
from lowland.evaluation.neighbours import nearest_neighbours
from lowland.evaluation.probe import Labelled, probe
from lowland.evaluation.representations import represent
from lowland.evaluation.verdict import Verdict, verdict
from lowland.shaping.joint import Views
from lowland.tensors import PerSampleRNG
from lowland.training.folder_training import FolderTraining
from lowland.training.pretraining import views_of

TRAINED, UNTRAINED, RAW, SUPERVISED = "pretrained", "random encoder", "raw data", "supervised"
_VALIDATION = 0.25
_MOST = 2000
_SUPERVISED = 1000
"""Most steps of the supervised training."""
_QUERIES, _NEIGHBOURS, _VOTES = 6, 6, 5
_SIDE = 16
_AT_ONCE = 128


def represent_rows(encoder: nn.Module, data: Folder, rows: Tensor) -> Tensor:
    """Representations (N, size) of some samples of a folder, see `represent`; samples are loaded in small batches."""
    return torch.cat([represent(encoder, data.take(part)) for part in rows.split(_AT_ONCE)])


def compare_encoders(work: FolderTraining, parts: Split, energy: JointEmbedding, encoder: nn.Module) -> dict[str, Any]:
    """All measures of an encoder and its baselines, on at most 2,000 training and 2,000 held-out samples.

    The baselines are the same network untrained, the data as they are, and with labels the same network trained on them
    alone, with the same views and batches, for as many steps, 1,000 at most.

    Args:
        work: how the energy was trained.
        parts: the split of its data.
        energy, encoder: the trained energy, and the encoder inside it.

    Returns:
        "measured": by method, its measures: "RankMe" and "pairs told apart" (how often two views of one sample are
        closer than views of two), and with labels "linear probe" and "kNN", accuracies. "right": by
        method, whether the linear probe is right on each test sample, (N,) of 0 and 1; empty without labels. "queries"
        and "neighbours": rows of a few test samples, and by method the rows of the training samples nearest to them.
        "plane" and "plane_rows": the first two principal components of the test samples. "spectra": by method, see
        `spectrum`.
    """
    data, seed, views = work.data, work.seed, views_of(work.data.kind, work.views)
    fresh, _, untrained = work.build()
    learned, unseen = _some(parts.train, seed), _some(parts.test, seed)
    networks = {TRAINED: (energy, encoder), UNTRAINED: (fresh, untrained)}
    codes = {
        name: (represent_rows(encoder, data, learned), represent_rows(encoder, data, unseen))
        for name, (_, encoder) in networks.items()
    }
    ranks = {name: rankme(torch.cat(pair)) for name, pair in codes.items()}
    codes[RAW] = (_raw(data, learned), _raw(data, unseen))
    if parts.labels is not None:
        rows = learned[parts.labels[learned] >= 0]
        labels = parts.labels[rows]
        kept, drawn = stratified(labels, _VALIDATION, torch.Generator().manual_seed(seed))
        taught = fine_tune(
            untrained, *((data.take(rows[part]), labels[part]) for part in (kept, drawn)), views=views,
            rates=(work.rate,), steps=min(work.plan.steps, _SUPERVISED), batch_size=work.plan.batch, seed=seed,
        )  # fmt: skip
        network = taught.network[0]
        codes[SUPERVISED] = represent_rows(network, data, learned), represent_rows(network, data, unseen)
    # Cosines say little if all vectors lie in one corner, as those of pixels do.
    codes = {name: (ours - ours.mean(dim=0), other - ours.mean(dim=0)) for name, (ours, other) in codes.items()}
    measured: dict[str, dict[str, float]] = {name: {} for name in codes}
    for name, (energy, _) in networks.items():
        measured[name]["RankMe"] = ranks[name]
        measured[name]["pairs told apart"] = _pairs(energy, data, unseen, views, seed)
    right: dict[str, Tensor] = {}
    if parts.labels is not None:
        known = parts.labels[learned] >= 0
        labels, truth = parts.labels[learned][known], parts.labels[unseen]
        for name, (ours, other) in codes.items():
            shares, right[name] = _probe((ours[known], labels), (other, truth), seed)
            measured[name] |= shares
    queries = torch.randperm(len(unseen), generator=torch.Generator().manual_seed(seed))[:_QUERIES]
    nearest = {
        name: nearest_neighbours(codes[name][1][queries], codes[name][0], min(_NEIGHBOURS, len(learned)))[1]
        for name in (TRAINED, RAW)
    }
    ours, other = codes[TRAINED]
    axes = torch.linalg.svd(ours.double(), full_matrices=False).Vh[:2].to(ours)
    return {
        "measured": measured,
        "right": right,
        "queries": unseen[queries],
        "neighbours": {name: learned[rows] for name, rows in nearest.items()},
        "plane": other @ axes.T,
        "plane_rows": unseen,
        "spectra": {name: spectrum(torch.cat(codes[name])) for name in (TRAINED, UNTRAINED)},
    }


def gains(right: Mapping[str, Tensor], owners: Sequence[str]) -> dict[str, Verdict]:
    """By baseline, the gain in accuracy of the pretrained encoder on the same test files.

    Windows of one file are not independent, so each file counts once, by the accuracy on its windows.

    Args:
        right: by method, whether each test sample is right, (N,) of 0 and 1.
        owners: file of each test sample.

    >>> found = gains({TRAINED: torch.ones(6), RAW: torch.zeros(6)}, list("abcdef"))
    >>> found[RAW].word, found[RAW].difference.value
    ('more', 1.0)
    """
    number = {file: index for index, file in enumerate(dict.fromkeys(owners))}
    file_N = torch.tensor([number[file] for file in owners])
    windows_F = torch.bincount(file_N)
    shares = {name: torch.bincount(file_N, part.double()) / windows_F for name, part in right.items()}
    return {name: verdict(shares[TRAINED].numpy(), part.numpy()) for name, part in shares.items() if name != TRAINED}


def helped(compared: Mapping[str, Verdict]) -> bool | None:
    """True if the encoder beats every baseline, False if it is behind one, None if it is too close to call.

    >>> helped(gains({TRAINED: torch.ones(5), RAW: torch.zeros(5)}, list("abcde"))) is None
    True
    """
    if any(not found.close and found.difference.value < 0 for found in compared.values()):
        return False
    return None if any(found.close for found in compared.values()) else True


def _some(rows: Tensor, seed: int) -> Tensor:
    """At most 2,000 rows, drawn at random, in order."""
    return rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))[:_MOST].sort().values]


def _raw(data: Folder, rows: Tensor) -> Tensor:
    """The samples themselves as vectors, images at no more than 16 × 16 pixels."""

    def small(samples: Tensor) -> Tensor:
        if samples.ndim == 4 and samples.shape[2] > _SIDE:
            samples = functional.interpolate(samples, (_SIDE, _SIDE), mode="area")
        return samples.flatten(1)

    return torch.cat([small(data.take(part)) for part in rows.split(_AT_ONCE)])


@torch.no_grad()
def _pairs(energy: JointEmbedding, data: Folder, unseen: Tensor, views: Views, seed: int) -> float:
    """How often two views of one sample have a lower energy than views of two: the area under the ROC curve."""
    training = energy.training
    energy.eval()
    place = next(energy.parameters()).device
    same, other = [], []
    for number, chosen in enumerate(unseen.split(_AT_ONCE)):
        part, rows = data.take(chosen), torch.arange(len(chosen)) + number * _AT_ONCE
        first, second = (views(part, PerSampleRNG(seed * 2 + which, rows)).to(place) for which in range(2))
        same.append(energy(x=first, y=second))
        other += [energy(x=first, y=second.roll(1, dims=0))] if len(part) > 1 else []
    energy.train(training)
    return auroc(torch.cat(same), torch.cat(other)) if other else float("nan")


def _probe(train: Labelled, test: Labelled, seed: int) -> tuple[Mapping[str, float], Tensor]:
    """Accuracy by measure, and where the linear probe is right (N,), as 0 and 1."""
    from sklearn.neighbors import KNeighborsClassifier

    (codes, labels), (unseen, truth) = train, test
    kept, drawn = stratified(labels, _VALIDATION, torch.Generator().manual_seed(seed))
    found = probe((codes[kept], labels[kept]), (codes[drawn], labels[drawn]), test)
    unit = functional.normalize(codes, dim=1).numpy(), functional.normalize(unseen, dim=1).numpy()
    votes = KNeighborsClassifier(min(_VOTES, len(codes))).fit(unit[0], labels.numpy())
    assert found.accuracy is not None
    right = (found.logits(unseen).argmax(dim=1) == truth).float()
    return {"linear probe": found.accuracy, "kNN": float(votes.score(unit[1], truth.numpy()))}, right
