"""What `pretrain` measures: the encoder beside itself untrained and the raw data, on samples that it has not seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowland.data.folder import Folder
from lowland.data.images import stratified
from lowland.data.label_files import read_labels
from lowland.energies.joint_embedding import JointEmbedding
from lowland.errors import DataError
from lowland.evaluation.collapse import rankme
from lowland.evaluation.energy_gap import auroc
from lowland.evaluation.probe import Labelled, probe
from lowland.tensors import PerSampleRNG
from lowland.training.pretraining import views_of

TRAINED, UNTRAINED, RAW, SUPERVISED = "pretrained", "random encoder", "raw data", "supervised"
TEST, VALIDATION = 0.25, 0.25
_FEW_LABELS, _FEW_FILES, _FEW_OWNERS = 12, 4, 5
_MOST = 2000
_QUERIES, _NEIGHBOURS, _VOTES = 6, 6, 5
_SIDE = 16
_AT_ONCE = 128


@dataclass(frozen=True)
class Split:
    """Rows of a folder: those that the encoder learns from, and those that it never sees.

    Args:
        train, test: rows (N,) int64.
        labels: class of every sample, −1 where it is not known; None without labels.
        classes: their names.
        notes: sentences on the labels.
    """

    train: Tensor = field(repr=False)
    test: Tensor = field(repr=False)
    labels: Tensor | None = field(default=None, repr=False)
    classes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def split(data: Folder, folder: Path, labels: str, seed: int) -> Split:
    """A quarter of the labelled files is set apart, of every class alike; without labels a tenth of all files.

    All windows of a file stay together; only where there are fewer than five files, the last tenth of each is set
    apart. Classes of fewer than four labelled files count as not labelled.

    Raises:
        DataError: for labels that cannot be used, or fewer than 12 labelled files.
    """
    generator = torch.Generator().manual_seed(seed * 1_000_003 + 2)
    files = list(dict.fromkeys(data.files))
    number = {file: index for index, file in enumerate(files)}
    owner = torch.tensor([number[file] for file in data.files])
    if not labels:
        held = _unlabelled(owner, len(files), generator)
        return Split((~held).nonzero()[:, 0], held.nonzero()[:, 0])
    given, classes, notes = read_labels(labels, folder, data)
    of_file = torch.full((len(files),), -1)
    of_file[owner] = given
    of_file, classes, more = _frequent(of_file, classes)
    known = (of_file >= 0).nonzero()[:, 0]
    if len(known) < _FEW_LABELS or len(classes) < 2:
        raise DataError(
            f"{labels}: there are labels of {len(known)} files in {len(classes)} classes of at least {_FEW_FILES}, but "
            f"the probe needs {_FEW_LABELS} files in two classes: leave out --labels, or label more."
        )
    held = torch.isin(owner, known[stratified(of_file[known], TEST, generator)[1]])
    return Split((~held).nonzero()[:, 0], held.nonzero()[:, 0], of_file[owner], classes, (*notes, *more))


def _unlabelled(owner: Tensor, files: int, generator: torch.Generator) -> Tensor:
    """Which samples are set apart, given the file of each."""
    if files < _FEW_OWNERS:
        held = torch.zeros(len(owner), dtype=torch.bool)
        for file in range(files):
            own = (owner == file).nonzero()[:, 0]
            held[own[len(own) - len(own) // 10 :]] = True
        return held
    return torch.isin(owner, torch.randperm(files, generator=generator)[: max(2, files // 10)])


def _frequent(of_file: Tensor, classes: tuple[str, ...]) -> tuple[Tensor, tuple[str, ...], tuple[str, ...]]:
    """Labels without those of rare classes, of which a part may have none; what is left, and a note."""
    counts = torch.bincount(of_file[of_file >= 0], minlength=len(classes))
    kept = (counts >= _FEW_FILES).nonzero()[:, 0]
    if len(kept) == len(classes):
        return of_file, classes, ()
    anew = torch.full((len(classes) + 1,), -1)
    anew[kept] = torch.arange(len(kept))
    rare = [name for index, name in enumerate(classes) if index not in kept.tolist()]
    named = ", ".join(rare[:5]) + (" …" if len(rare) > 5 else "")
    note = f"Classes of fewer than {_FEW_FILES} labelled files count as not labelled: {named}."
    # The last entry is that of files without a label, −1.
    return anew[of_file], tuple(classes[index] for index in kept.tolist()), (note,)


@torch.no_grad()
def represent(encoder: nn.Module, data: Folder, rows: Tensor) -> Tensor:
    """Representations (N, size) of some samples on the CPU, by the encoder as it is used after training."""
    training = encoder.training
    encoder.eval()
    place = next(encoder.parameters()).device
    found = torch.cat([encoder(data.take(part).to(place)).cpu() for part in rows.split(_AT_ONCE)])
    encoder.train(training)
    return found


def evaluate(
    data: Folder,
    parts: Split,
    trained: tuple[JointEmbedding, nn.Module],
    untrained: tuple[JointEmbedding, nn.Module],
    taught: Callable[[Labelled, Labelled], nn.Module],
    views: str,
    seed: int,
) -> dict[str, Any]:
    """All that the page shows: "measured" by method and measure, neighbours of a few samples, a plane, spectra.

    "right" says by method of each test sample whether the linear probe has it right; it is empty without labels.
    `taught` makes the network that learned from labels alone, of samples to learn from and others to choose by.
    """
    learned, unseen = _some(parts.train, seed), _some(parts.test, seed)
    networks = {TRAINED: trained, UNTRAINED: untrained}
    shown = {
        name: (represent(part[1], data, learned), represent(part[1], data, unseen)) for name, part in networks.items()
    }
    ranks = {name: rankme(torch.cat(pair)) for name, pair in shown.items()}
    shown[RAW] = (raw(data, learned), raw(data, unseen))
    if parts.labels is not None:
        rows = learned[parts.labels[learned] >= 0]
        labels = parts.labels[rows]
        kept, drawn = stratified(labels, VALIDATION, torch.Generator().manual_seed(seed))
        network = taught((data.take(rows[kept]), labels[kept]), (data.take(rows[drawn]), labels[drawn]))
        shown[SUPERVISED] = represent(network, data, learned), represent(network, data, unseen)
    # A cosine says little where all vectors lie in one corner, as those of pixels do.
    shown = {name: tuple(part - pair[0].mean(dim=0) for part in pair) for name, pair in shown.items()}
    measured: dict[str, dict[str, float]] = {name: {} for name in shown}
    for name, (energy, _) in networks.items():
        measured[name]["RankMe"] = ranks[name]
        measured[name]["pairs told apart"] = _pairs(energy, data, unseen, views_of(data.kind, views), seed)
    right: dict[str, Tensor] = {}
    if parts.labels is not None:
        rows = parts.labels[learned] >= 0
        for name, (ours, other) in shown.items():
            truth = parts.labels[unseen]
            found, right[name] = _probe(ours[rows], other, parts.labels[learned][rows], truth, seed)
            measured[name] |= found
    queries = torch.randperm(len(unseen), generator=torch.Generator().manual_seed(seed))[:_QUERIES]
    near = {name: _nearest(ours, other[queries]) for name, (ours, other) in shown.items() if name in (TRAINED, RAW)}
    ours, other = shown[TRAINED]
    axes = torch.linalg.svd(ours.double(), full_matrices=False).Vh[:2].to(ours)
    spectra = {name: _spectrum(torch.cat(shown[name])) for name in (TRAINED, UNTRAINED)}
    return {
        "measured": measured,
        "right": right,
        "queries": unseen[queries],
        "neighbours": {name: learned[rows] for name, rows in near.items()},
        "plane": other @ axes.T,
        "plane_rows": unseen,
        "spectra": spectra,
    }


def _some(rows: Tensor, seed: int) -> Tensor:
    """At most 2,000 rows, drawn at random, in their order."""
    return rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))[:_MOST].sort().values]


def raw(data: Folder, rows: Tensor) -> Tensor:
    """Some samples themselves as vectors, images of at most 16 × 16 pixels."""

    def small(samples: Tensor) -> Tensor:
        if samples.ndim == 4 and samples.shape[2] > _SIDE:
            samples = functional.interpolate(samples, (_SIDE, _SIDE), mode="area")
        return samples.flatten(1)

    return torch.cat([small(data.take(part)) for part in rows.split(_AT_ONCE)])


@torch.no_grad()
def _pairs(energy: JointEmbedding, data: Folder, unseen: Tensor, views: Any, seed: int) -> float:
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


def _probe(train: Tensor, test: Tensor, labels: Tensor, truth: Tensor, seed: int) -> tuple[Mapping[str, float], Tensor]:
    """Shares of right classes by measure, and where the linear probe is right (N,), as 0 and 1."""
    from sklearn.neighbors import KNeighborsClassifier

    kept, drawn = stratified(labels, VALIDATION, torch.Generator().manual_seed(seed))
    found = probe((train[kept], labels[kept]), (train[drawn], labels[drawn]), (test, truth))
    unit = functional.normalize(train, dim=1).numpy(), functional.normalize(test, dim=1).numpy()
    votes = KNeighborsClassifier(min(_VOTES, len(train))).fit(unit[0], labels.numpy())
    assert found.accuracy is not None
    right = (found.logits(test).argmax(dim=1) == truth).float()
    return {"linear probe": found.accuracy, "kNN": float(votes.score(unit[1], truth.numpy()))}, right


def _nearest(learned: Tensor, queries: Tensor) -> Tensor:
    """Rows of the learned samples whose representations have the largest cosine with each query, (Q, K)."""
    close = functional.normalize(queries, dim=1) @ functional.normalize(learned, dim=1).T
    return close.topk(min(_NEIGHBOURS, len(learned)), dim=1).indices


def _spectrum(codes: Tensor) -> Tensor:
    """Singular values of the centred codes, as shares of the largest."""
    values = torch.linalg.svdvals((codes - codes.mean(dim=0)).double())
    return (values / values[0].clamp_min(1e-30)).float()
